// Ordinary HTTP/1.1 as servers are expected to speak it.

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Connection, exchange } from "../lib/http.mjs";
import { OWNED } from "../lib/server.mjs";
import { Streams, call, freshName } from "../lib/streams.mjs";
import { sleep } from "../lib/wait.mjs";

const fixture = useServer();
const streams = () => new Streams(fixture.server);

const appendTo = (path, body) =>
  `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe("connections", () => {
  test("one connection serves request after request", async () => {
    const name = await streams().fresh("keep");
    const connection = await Connection.open(fixture.server.url);
    for (let i = 0; i < 50; i++) {
      connection.send(appendTo(streams().path(name), `${i},`));
      expect((await connection.answer("POST")).status).toBe(204);
    }
    connection.destroy();
    const all = Array.from({ length: 50 }, (_, i) => `${i},`).join("");
    expect((await streams().readAll(name)).bytes.toString()).toBe(all);
  });

  test("pipelined requests are answered in order, across shards, whatever they are", async () => {
    const names = await Promise.all(Array.from({ length: 8 }, () => streams().fresh("pipe")));
    const connection = await Connection.open(fixture.server.url);
    const expected = [];
    for (let i = 0; i < 200; i++) {
      const path = streams().path(names[i % names.length]);
      const kind = i % 4;
      if (kind === 0) connection.send(appendTo(path, "x".repeat(i)));
      else if (kind === 1) connection.send(`HEAD ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
      else if (kind === 2) connection.send(`GET ${path}?offset=-1 HTTP/1.1\r\nHost: h\r\n\r\n`);
      else connection.send(`GET /v1/stream/nobody/${i} HTTP/1.1\r\nHost: h\r\n\r\n`);
      expected.push([["POST", i ? 204 : 400], ["HEAD", 200], ["GET", 200], ["GET", 404]][kind]);
    }
    for (const [method, status] of expected) expect((await connection.answer(method)).status).toBe(status);
    connection.destroy();
  });

  test("pipelined appends to one stream keep their order", async () => {
    const name = await streams().fresh("pipe");
    const connection = await Connection.open(fixture.server.url);
    const bodies = Array.from({ length: 500 }, (_, i) => `${i};`);
    connection.send(bodies.map((body) => appendTo(streams().path(name), body)).join(""));
    let end = 0;
    for (const body of bodies) {
      const answer = await connection.answer("POST");
      end += body.length;
      expect([answer.status, Number(answer.headers["stream-next-offset"].slice(17))]).toEqual([204, end]);
    }
    connection.destroy();
    expect((await streams().readAll(name)).bytes.toString()).toBe(bodies.join(""));
  });

  test("a request may arrive byte by byte", async () => {
    const name = await streams().fresh("slow");
    const connection = await Connection.open(fixture.server.url);
    for (const byte of appendTo(streams().path(name), "hello")) {
      connection.send(byte);
      await sleep(1);
    }
    expect((await connection.answer("POST")).status).toBe(204);
    connection.destroy();
  });

  test("Connection: close is obeyed", async () => {
    const answer = await exchange(fixture.server.url, "GET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    expect(answer).toMatchObject({ status: 200, text: "ok", closed: true });
    expect(answer.headers.connection).toBe("close");
  });

  test("a client that sends everything and shuts its side still gets its answer", async () => {
    const connection = await Connection.open(fixture.server.url);
    connection.socket.end("GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
    expect((await connection.answer()).text).toBe("ok");
    await connection.end();
  });

  test.each([
    ["a long-poll", "offset=-1&live=long-poll", "hello"],
    ["an event stream", "offset=-1&live=sse", "event: data\ndata:hello\n"],
    ["a page", "offset=-1", "hello"],
  ])("and so does %s that has data", async (_, query, text) => {
    const name = await streams().fresh("half", { body: "hello" });
    const connection = await Connection.open(fixture.server.url);
    connection.socket.end(`GET ${streams().path(name)}?${query} HTTP/1.1\r\nHost: h\r\n\r\n`);
    const answer = await connection.answer();
    expect(answer.status).toBe(200);
    expect(answer.text).toContain(text);
    await connection.end();
  });

  test("a long-poll that waits, of a client that has shut its side, is over", async () => {
    const name = await streams().fresh("half", { body: "hello" });
    const connection = await Connection.open(fixture.server.url);
    connection.socket.end(`GET ${streams().path(name)}?offset=now&live=long-poll HTTP/1.1\r\nHost: h\r\n\r\n`);
    await connection.end(5000);
    expect(connection.received.length).toBe(0);
  });

  test("HTTP/1.0 is answered and closed, or kept if asked", async () => {
    const name = await streams().fresh("old", { body: "hello" });
    const get = `GET ${streams().path(name)} HTTP/1.0\r\n`;
    const answer = await exchange(fixture.server.url, `${get}\r\n`);
    expect(answer).toMatchObject({ status: 200, text: "hello", closed: true });
    expect(answer.headers["transfer-encoding"]).toBeUndefined();
    const connection = await Connection.open(fixture.server.url);
    for (let i = 0; i < 2; i++) {
      connection.send(`${get}Connection: keep-alive\r\n\r\n`);
      expect((await connection.answer()).text).toBe("hello");
    }
    connection.destroy();
  });

  test("empty lines before a request are skipped", async () => {
    const answer = await exchange(fixture.server.url, "\r\n\r\nGET /health HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    expect(answer.status).toBe(200);
  });

  test("an absolute target is a target", async () => {
    const answer = await exchange(
      fixture.server.url,
      "GET http://example.com/health HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
    );
    expect(answer.status).toBe(200);
  });
});

describe("bodies", () => {
  const chunkedPost = (path, chunks) =>
    `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`;

  test("chunked, with extensions and a trailer", async () => {
    const name = await streams().fresh("chunked");
    const connection = await Connection.open(fixture.server.url);
    const chunks = '5;a=b;c="d"\r\nhello\r\n1\r\n,\r\n0A\r\n0123456789\r\n000\r\nX-Trailer: t\r\n\r\n';
    connection.send(chunkedPost(streams().path(name), chunks));
    expect((await connection.answer("POST")).status).toBe(204);
    connection.send("GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
    expect((await connection.answer()).text).toBe("ok");
    connection.destroy();
    expect((await streams().readAll(name)).bytes.toString()).toBe("hello,0123456789");
  });

  test("an empty chunked body is an empty body", async () => {
    const name = await streams().fresh("chunked");
    const answer = await exchange(fixture.server.url, chunkedPost(streams().path(name), "0\r\n\r\n"));
    expect([answer.status, answer.json().code]).toEqual([400, "EMPTY_BODY"]);
  });

  test("chunks split anywhere", async () => {
    const name = await streams().fresh("chunked");
    const connection = await Connection.open(fixture.server.url);
    const bytes = chunkedPost(streams().path(name), `5\r\nhello\r\n2000\r\n${"x".repeat(8192)}\r\n0\r\n\r\n`);
    for (let at = 0; at < bytes.length; ) {
      const size = at < 200 ? 1 : 997;
      connection.send(bytes.slice(at, at + size));
      at += size;
      await sleep(1);
    }
    expect((await connection.answer("POST")).status).toBe(204);
    connection.destroy();
    expect((await streams().readAll(name)).bytes.length).toBe(8197);
  });

  test("Expect: 100-continue is answered before the body comes", async () => {
    const name = await streams().fresh("expect");
    const connection = await Connection.open(fixture.server.url);
    const lines = ["Host: h", "Content-Type: text/plain", "Content-Length: 5", "Expect: 100-continue", "", ""];
    connection.send([`POST ${streams().path(name)} HTTP/1.1`, ...lines].join("\r\n"));
    expect((await connection.answer()).status).toBe(100);
    connection.send("hello");
    expect((await connection.answer("POST")).status).toBe(204);
    connection.destroy();
  });

  test("8 MiB go in and come back", async () => {
    const name = await streams().fresh("large", { type: "application/octet-stream" });
    const body = Buffer.alloc(8 << 20, "0123456789abcdef!");
    expect((await streams().append(name, body, { type: "application/octet-stream" })).status).toBe(204);
    expect((await streams().readAll(name)).bytes.equals(body)).toBe(true);
    const more = await streams().append(name, Buffer.alloc((8 << 20) + 1), { type: "application/octet-stream" });
    expect([more.status, more.json().code]).toEqual([413, "PAYLOAD_TOO_LARGE"]);
  });
});

describe("methods", () => {
  test("HEAD is GET's metadata without a body", async () => {
    const name = await streams().fresh("head", { type: "application/json; charset=utf-8", body: "[1,2]" });
    const connection = await Connection.open(fixture.server.url);
    connection.send(`HEAD ${streams().path(name)} HTTP/1.1\r\nHost: h\r\n\r\nGET /health HTTP/1.1\r\nHost: h\r\n\r\n`);
    const head = await connection.answer("HEAD");
    expect(head.headers).toMatchObject({ "cache-control": "no-store", "content-type": "application/json; charset=utf-8" });
    expect(head.headers["stream-next-offset"]).toBe(streams().at(name, 2));
    expect((await connection.answer()).text).toBe("ok");
    connection.destroy();
  });

  test("HEAD of a missing stream has no body either", async () => {
    const connection = await Connection.open(fixture.server.url);
    connection.send(`HEAD /v1/stream/no/body HTTP/1.1\r\nHost: h\r\n\r\nGET /health HTTP/1.1\r\nHost: h\r\n\r\n`);
    expect((await connection.answer("HEAD")).status).toBe(404);
    expect((await connection.answer()).text).toBe("ok");
    connection.destroy();
  });

  test("OPTIONS allows what browsers need to ask for", async () => {
    const answer = await call(streams().url(freshName()), "OPTIONS", {
      headers: {
        origin: "http://example.com",
        "access-control-request-method": "PUT",
        "access-control-request-headers": "stream-ttl",
      },
    });
    expect(answer.status).toBe(204);
    const list = (header) => answer.headers.get(header).toLowerCase().split(/ *, */);
    expect(list("access-control-allow-methods")).toEqual(
      expect.arrayContaining(["get", "post", "put", "delete", "head", "options"]),
    );
    expect(list("access-control-allow-headers")).toEqual(
      expect.arrayContaining([
        ...["content-type", "authorization", "if-none-match", "stream-seq", "stream-ttl", "stream-expires-at"],
        ...["stream-closed", "producer-id", "producer-epoch", "producer-seq"],
        ...["stream-forked-from", "stream-fork-offset", "stream-fork-sub-offset"],
      ]),
    );
  });

  test("answers expose the protocol's headers to pages of other origins", async () => {
    const name = await streams().fresh("cors");
    const answer = await streams().read(name, {}, { origin: "http://example.com" });
    expect(answer.headers.get("access-control-allow-origin")).toMatch(/^(\*|http:\/\/example\.com)$/);
    expect(answer.headers.get("access-control-expose-headers").toLowerCase().split(/ *, */)).toEqual(
      expect.arrayContaining([
        ...["stream-next-offset", "stream-cursor", "stream-up-to-date", "stream-closed", "etag", "location"],
        ...["producer-epoch", "producer-seq", "producer-expected-seq", "producer-received-seq"],
        ...["stream-sse-data-encoding"],
      ]),
    );
    expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
    expect(answer.headers.get("cross-origin-resource-policy")).toBe("cross-origin");
  });

  test("also of a write, when a page asks; an answer that no page of another origin gets is without them", async () => {
    const name = await streams().fresh("cors");
    const asked = await streams().append(name, "x", { headers: { origin: "http://example.com" } });
    expect(asked.headers.get("access-control-allow-origin")).toBe("*");
    expect(asked.headers.get("access-control-expose-headers")).toContain("Stream-Next-Offset");
    const plain = await streams().append(name, "x");
    expect(plain.status).toBe(204);
    expect(plain.headers.get("access-control-expose-headers")).toBeNull();
    const cacheable = await streams().read(name);
    expect(cacheable.headers.get("access-control-allow-origin")).toBe("*");
  });

  test.each([
    ["PATCH", "/v1/stream/p/s"],
    ["TRACE", "/v1/stream/p/s"],
    ["BREW", "/v1/stream/p/s"],
    ["POST", "/health"],
    ["DELETE", "/health"],
  ])("%s %s is 405 with what is allowed", async (method, path) => {
    const answer = await exchange(fixture.server.url, `${method} ${path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n`);
    expect([answer.status, answer.json().code]).toEqual([405, "METHOD_NOT_ALLOWED"]);
    expect(answer.headers.allow).toMatch(/\bGET\b/);
  });

  test("health and unknown paths", async () => {
    const health = await call(`${fixture.server.url}/health`);
    expect([health.status, health.text, health.headers.get("cache-control")]).toEqual([200, "ok", "no-store"]);
    expect(health.headers.get("content-type")).toMatch(/^text\/plain/);
    for (const path of ["//", "/v2/stream/a/b", "/v1", "/healthz"]) {
      const answer = await call(fixture.server.url + path);
      expect([answer.status, answer.json().code]).toEqual([404, "NOT_FOUND"]);
    }
  });
});

describe("names", () => {
  test.each([
    ["slashes", "proj/a/b/c"],
    ["escapes", "proj/a%20b%2Fc%25"],
    ["UTF-8", "proj/%C3%BC%E2%82%AC"],
    ["punctuation", "proj/a.b~c-d_e!$&'()*+,;=:@"],
  ])("%s", async (_, path) => {
    const url = streams().url(`${path}-${Date.now()}`);
    expect((await call(url, "PUT", { headers: { "content-type": "text/plain" }, body: "x" })).status).toBe(201);
    expect((await call(url)).text).toBe("x");
  });

  test("two spellings of one name are one stream", async () => {
    const name = freshName();
    expect((await streams().create(name)).status).toBe(201);
    expect((await streams().create(name.replace("test", "%74es%74"))).status).toBe(200);
  });

  test.each([
    ["a project with a dot", "a.b/c", "MISSING_PROJECT_OR_STREAM_ID"],
    ["half an escape", "a/b%2", "INVALID_PATH"],
    ["an escape that is not hexadecimal", "a/b%zz", "INVALID_PATH"],
    ["NUL", "a/b%00", "INVALID_PATH"],
  ])("%s is refused", async (_, name, code) => {
    const answer = await exchange(
      fixture.server.url,
      `PUT ${streams().path(name)} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n`,
    );
    expect([answer.status, answer.json().code]).toEqual([400, code]);
  });
});

describe.skipIf(!OWNED)("Location is right wherever the client is", () => {
  const here = () => new URL(fixture.server.url);
  const cases = {
    "a direct client": (path) => [path, [`Host: ${here().host}`], `http://${here().host}${path}`],
    "by another name": (path) => [path, [`Host: a.example:${here().port}`], `http://a.example:${here().port}${path}`],
    "by IPv6": (path) => [path, [`Host: [::1]:${here().port}`], `http://[::1]:${here().port}${path}`],
    "another port": (path) => [path, ["Host: a.example"], path],
    "an address of IPv6 without a port": (path) => [path, [`Host: [::${here().port}]`], path],
    "no port in a port's place": (path) => [path, ["Host: a:"], path],
    "no Host": (path) => [path, ["Host:"], path],
    "https before a proxy": (path) => [path, [`Host: ${here().host}`, "X-Forwarded-Proto: https"], path],
    "any proxy": (path) => [path, [`Host: ${here().host}`, "Via: 1.1 a", "Via: 1.1 b"], path],
    "an absolute target": (path) => [`https://a.example${path}?x`, ["Host: a.example"], `https://a.example${path}`],
    "an absolute target before a proxy": (path) => [`http://a:1${path}`, ["Host: a:1", "Forwarded: x"], `http://a:1${path}`],
  };
  test.each(Object.keys(cases))("%s", async (title) => {
    const [target, lines, location] = cases[title](streams().path(freshName("at")));
    const bytes = [`PUT ${target} HTTP/1.1`, ...lines, "Content-Length: 0", "Connection: close", "", ""].join("\r\n");
    const answer = await exchange(fixture.server.url, bytes);
    expect([answer.status, answer.headers.location]).toEqual([201, location]);
  });
});
