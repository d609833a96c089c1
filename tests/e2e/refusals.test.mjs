// Requests that are not HTTP as RFC 9112 wants it, or too big, or too slow: each is answered with an error as JSON, the
// connection is closed, and nothing is appended.

import { beforeEach, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Connection, exchange } from "../lib/http.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { Streams } from "../lib/streams.mjs";
import { sleep } from "../lib/wait.mjs";

const fixture = useServer({
  settings: {
    "limits.max_header": "2K",
    "limits.max_body": "64K",
    "limits.max_path": "200",
  },
});
const streams = () => new Streams(fixture.server);
let name, path;

beforeEach(async () => {
  name = await streams().fresh("refused", { body: "first" });
  path = streams().path(name);
});

const post = (lines, body = "") =>
  [`POST ${path} HTTP/1.1`, "Host: h", "Content-Type: text/plain", ...lines, "", body].join("\r\n");

async function expectRefused(bytes, status, code) {
  const answer = await exchange(fixture.server.url, bytes, bytes.toString().startsWith("HEAD") ? "HEAD" : "GET");
  expect({ status: answer.status, closed: answer.closed }).toEqual({ status, closed: true });
  expect(answer.headers["cache-control"]).toBe("no-store");
  expect(answer.headers["content-type"]).toMatch(/^application\/json/);
  const body = answer.json();
  expect(body.error).toMatch(/./);
  if (code) expect(body.code).toBe(code);
  expect((await streams().readAll(name)).bytes.toString()).toBe("first");
}

describe("lengths that two servers could read differently", () => {
  const SMUGGLED = "DELETE /v1/stream/x/y HTTP/1.1\r\nHost: h\r\n\r\n";
  test.each([
    ["both lengths", ["Content-Length: 5", "Transfer-Encoding: chunked"], `0\r\n\r\n${SMUGGLED}`],
    ["both lengths, the other way round", ["Transfer-Encoding: chunked", "Content-Length: 5"], "0\r\n\r\n"],
    ["Content-Length twice, different", ["Content-Length: 5", "Content-Length: 6"], "hello!"],
    ["Content-Length twice, the same", ["Content-Length: 5", "Content-Length: 5"], "hello"],
    ["a list in Content-Length", ["Content-Length: 5, 5"], "hello"],
    ["a signed Content-Length", ["Content-Length: +5"], "hello"],
    ["a negative Content-Length", ["Content-Length: -5"], "hello"],
    ["a hexadecimal Content-Length", ["Content-Length: 0x5"], "hello"],
    ["an empty Content-Length", ["Content-Length:"], "hello"],
    ["a Content-Length beyond 64 bits", ["Content-Length: 18446744073709551621"], "hello"],
    ["a space before the colon", ["Content-Length : 5"], "hello"],
    ["chunked twice", ["Transfer-Encoding: chunked, chunked"], "0\r\n\r\n"],
    ["Transfer-Encoding twice", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "0\r\n\r\n"],
    ["chunked not last", ["Transfer-Encoding: chunked, identity"], "0\r\n\r\n"],
  ])("%s", async (_, lines, body) => {
    const answer = await exchange(fixture.server.url, post(lines, body));
    expect([400, 413, 501]).toContain(answer.status);
    await expectRefused(post(lines, body), answer.status);
  });

  test("an unknown transfer coding", () => expectRefused(post(["Transfer-Encoding: gzip"], "hello"), 501, "NOT_IMPLEMENTED"));
  test("chunked in HTTP/1.0", () =>
    expectRefused(
      `POST ${path} HTTP/1.0\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
      400,
    ));
});

describe("chunked bodies that are not", () => {
  test.each([
    ["no digits", "\r\nhello\r\n0\r\n\r\n"],
    ["not a number", "zz\r\nhello\r\n0\r\n\r\n"],
    ["a sign", "+5\r\nhello\r\n0\r\n\r\n"],
    ["a prefix", "0x5\r\nhello\r\n0\r\n\r\n"],
    ["more digits than any body", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
    ["a bare LF after the size", "5\nhello\r\n0\r\n\r\n"],
    ["a bare LF after the data", "5\r\nhello\n0\r\n\r\n"],
    ["data longer than its size", "4\r\nhello\r\n0\r\n\r\n"],
    ["a space before the size", " 5\r\nhello\r\n0\r\n\r\n"],
    ["an extension whose quoted text does not end", '5;a="\r\nhello\r\n0\r\n\r\n'],
    ["a trailer line without a colon", "5\r\nhello\r\n0\r\nGET /health HTTP/1.1\r\n\r\n"],
    ["a trailer line without a name", "5\r\nhello\r\n0\r\n: x\r\n\r\n"],
  ])("%s", (_, body) => expectRefused(post(["Transfer-Encoding: chunked"], body), 400, "BAD_REQUEST"));

  test("a chunk larger than the limit", () =>
    expectRefused(post(["Transfer-Encoding: chunked"], `fffff\r\n${"x".repeat(70_000)}`), 413, "PAYLOAD_TOO_LARGE"));
  test("many chunks, larger than the limit together", () =>
    expectRefused(
      post(["Transfer-Encoding: chunked"], `400\r\n${"x".repeat(1024)}\r\n`.repeat(70)),
      413,
      "PAYLOAD_TOO_LARGE",
    ));
});

describe("heads that are not", () => {
  const get = (...lines) => [`GET ${path} HTTP/1.1`, ...lines, "", ""].join("\r\n");
  const cases = {
    "bare LF line ends": () => `GET ${path} HTTP/1.1\nHost: h\n\n`,
    "a bare LF between headers": () => `GET ${path} HTTP/1.1\r\nHost: h\nX: y\r\n\r\n`,
    "a bare CR in a value": () => get("Host: h", "X: a\rb"),
    "a folded header": () => get("Host: h", "X: a", "  b"),
    "NUL in a value": () => get("Host: h", "X: a\0b"),
    "NUL in the target": () => get("Host: h").replace(path, `${path}\0`),
    "a control character in the target": () => get("Host: h").replace(path, `${path}\x01`),
    "a space in the target": () => get("Host: h").replace(path, `${path} x`),
    "two spaces after the method": () => get("Host: h").replace("GET ", "GET  "),
    "a space in a header's name": () => get("Host: h", "Content Type: x"),
    "a header without a colon": () => get("Host: h", "nonsense"),
    "an empty header name": () => get("Host: h", ": x"),
    "no Host": () => get(),
    "Host twice": () => get("Host: h", "Host: h"),
    "no version": () => `GET ${path}\r\n\r\n`,
    "not HTTP at all": () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a target without a slash": () => get("Host: h").replace(path, "v1"),
  };
  test.each(Object.keys(cases))("%s", (title) => expectRefused(cases[title](), 400));

  test("a header that may come once came twice", () =>
    expectRefused(post(["Stream-Seq: 1", "Stream-Seq: 2", "Content-Length: 5"], "hello"), 400, "DUPLICATE_HEADER"));
  test("another major version", () =>
    expectRefused(get("Host: h").replace("HTTP/1.1", "HTTP/2.0"), 505, "HTTP_VERSION_NOT_SUPPORTED"));
  test("an expectation nobody knows", () =>
    expectRefused(post(["Expect: 200-ok", "Content-Length: 5"], "hello"), 417, "EXPECTATION_FAILED"));
});

describe("sizes", () => {
  test("a head with one long header", () =>
    expectRefused(`GET ${path} HTTP/1.1\r\nHost: h\r\nX: ${"x".repeat(3000)}\r\n\r\n`, 431, "HEADERS_TOO_LARGE"));
  test("a head that never ends", () =>
    expectRefused(`GET ${path} HTTP/1.1\r\nHost: h\r\n${"X: yyyyyyyy\r\n".repeat(400)}`, 431, "HEADERS_TOO_LARGE"));
  test("a request line that never ends", () => expectRefused(`GET /${"x".repeat(5000)}`, 431, "HEADERS_TOO_LARGE"));
  test("a declared body above the limit", () =>
    expectRefused(post(["Content-Length: 65537"], "x".repeat(1000)), 413, "PAYLOAD_TOO_LARGE"));
  test("a declared body above the limit, waiting for 100 Continue", () =>
    expectRefused(post(["Content-Length: 65537", "Expect: 100-continue"]), 413, "PAYLOAD_TOO_LARGE"));
  test("a body of exactly the limit is taken", async () => {
    const answer = await exchange(fixture.server.url, post(["Content-Length: 65536", "Connection: close"], "x".repeat(65536)));
    expect(answer.status).toBe(204);
  });
  test("a path above the limit", async () => {
    const answer = await exchange(
      fixture.server.url,
      `GET /v1/stream/p/${"x".repeat(300)} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`,
    );
    expect(answer.status).toBe(400);
    expect(answer.json().code).toBe("PATH_TOO_LONG");
  });
});

describe("texts that say what is wrong and what would be right", () => {
  const said = async (bytes) => (await exchange(fixture.server.url, bytes)).json().error;
  const get = (target, ...lines) => [`GET ${target} HTTP/1.1`, "Host: h", "Connection: close", ...lines, "", ""].join("\r\n");
  test.each([
    ["a header that came twice", () => post(["Stream-Seq: 1", "stream-seq: 2"]), "header 'stream-seq' came twice"],
    ["a header line without a colon", () => get(path, 'no "colon"\\'), "header 'no' is malformed"],
    ["a control character", () => get(path, "X-Mine: a\x01b"), "header 'X-Mine' has a control character"],
    ["a large body", () => post(["Content-Length: 65537"]), "limits.max_body, 65536 bytes"],
    ["large chunks", () => post(["Transfer-Encoding: chunked"], "fffff\r\n" + "x".repeat(70_000)), "limits.max_body, 65536 bytes"],
    ["a large head", () => get(path, `X: ${"x".repeat(3000)}`), "limits.max_header, 2048 bytes"],
    ["a long path", () => get(`/${"x".repeat(300)}`), "the path has 301 bytes; limits.max_path allows 200"],
    ["a parameter twice", () => get(`${path}?limit=1&limit=2`), "query parameter limit is given twice"],
    ["a live mode", () => get(`${path}?offset=-1&live=%22%5C%ff%00`), "query parameter live has a broken"],
    ["another live mode", () => get(`${path}?offset=-1&live=%22%5C%ff`), "live must be long-poll or sse, not '\"\\\ufffd'"],
    ["a long offset", () => get(`${path}?offset=${"9".repeat(100)}`), `not '${"9".repeat(66)}'...`],
    ["a route", () => get("/v1"), "GET / lists all routes"],
    ["a method", () => get(path).replace("GET", "PATCH"), "this path allows GET, HEAD, POST, PUT, DELETE, OPTIONS"],
  ])("%s", async (_, bytes, text) => expect(await said(bytes())).toContain(text));
});

describe.skipIf(!OWNED)("slowness", () => {
  const fixture = useServer({
    settings: { "limits.head_timeout": "600ms", "limits.body_timeout": "600ms", "limits.idle_timeout": "1s" },
  });
  const streams = () => new Streams(fixture.server);
  beforeEach(async () => {
    name = await streams().fresh("slow", { body: "first" });
    path = streams().path(name);
  });

  test("a head that trickles in is cut off at the head timeout", async () => {
    const connection = await Connection.open(fixture.server.url);
    const started = Date.now();
    for (const byte of `GET ${path} HTTP/1.1\r\nHost: h\r\nX-Slow: `) {
      if (connection.closed || connection.received.length) break;
      connection.send(byte);
      await sleep(50);
    }
    const answer = await connection.answer();
    expect([answer.status, answer.json().code]).toEqual([408, "REQUEST_TIMEOUT"]);
    expect(answer.json().error).toBe("the request head took longer than limits.head_timeout, 600 ms");
    await connection.end();
    expect(Date.now() - started).toBeGreaterThan(500);
  });

  test("a body that stops is cut off at the body timeout", async () => {
    await expectSlowBody(post(["Content-Length: 100"], "some"));
    await expectSlowBody(post(["Transfer-Encoding: chunked"], "64\r\nsome"));
  });

  test("a body that pauses but goes on is taken", async () => {
    const server = await Server.start({ settings: { "limits.body_timeout": "5s" } });
    const own = new Streams(server);
    const connection = await Connection.open(server.url);
    connection.send(
      `POST ${own.path(await own.fresh("pauses"))} HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\n`,
    );
    for (const byte of "hello!") {
      await sleep(1000); // six of them are longer than the limit
      connection.send(byte);
    }
    expect((await connection.answer("POST")).status).toBe(204);
    connection.destroy();
    await server.close();
  });

  test("an idle connection is closed without a word", async () => {
    const connection = await Connection.open(fixture.server.url);
    connection.send(`HEAD ${path} HTTP/1.1\r\nHost: h\r\n\r\n`);
    expect((await connection.answer("HEAD")).status).toBe(200);
    await connection.end();
    expect(connection.received.length).toBe(0);
    const silent = await Connection.open(fixture.server.url);
    await silent.end();
  });

  async function expectSlowBody(bytes) {
    const connection = await Connection.open(fixture.server.url);
    connection.send(bytes);
    const answer = await connection.answer("POST");
    expect([answer.status, answer.json().code]).toEqual([408, "REQUEST_TIMEOUT"]);
    await connection.end();
    expect((await streams().readAll(name)).bytes.toString()).toBe("first");
  }
});

describe("connections that go away", () => {
  test("half a body appends nothing", async () => {
    const connection = await Connection.open(fixture.server.url);
    connection.send(post(["Content-Length: 100"], "half"));
    await sleep(50);
    connection.destroy();
    await sleep(100);
    expect((await streams().readAll(name)).bytes.toString()).toBe("first");
  });

  test("an aborted connection in the middle of a chunked body appends nothing", async () => {
    const connection = await Connection.open(fixture.server.url);
    connection.send(post(["Transfer-Encoding: chunked"], "4\r\nhalf\r\n"));
    await sleep(50);
    connection.socket.resetAndDestroy();
    await sleep(100);
    expect((await streams().readAll(name)).bytes.toString()).toBe("first");
  });
});
