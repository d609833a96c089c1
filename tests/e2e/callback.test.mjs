// auth.mode = callback, against a small HTTP server that allows, denies, dawdles, dies and lies.

import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Connection } from "../lib/http.mjs";
import { readersWait } from "../lib/metrics.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call, freshName } from "../lib/streams.mjs";
import { PATIENCE, sleep, until } from "../lib/wait.mjs";

const text = { "content-type": "text/plain" };

// Answers by what the header X-Key says; remembers what it was asked.
class Decider {
  asked = [];
  open = 0;
  most = 0;

  async start(port = 0) {
    this.server = createServer((request, response) => this.#take(request, response));
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/decide`;
    return this;
  }

  async #take(request, response) {
    this.most = Math.max(this.most, ++this.open);
    response.on("close", () => this.open--);
    let body = "";
    for await (const piece of request) body += piece;
    this.asked.push({ method: request.method, url: request.url, headers: request.headers, body: JSON.parse(body) });
    const [word, argument] = (request.headers["x-key"] ?? "deny").split(" ");
    if (word === "slow") await sleep(Number(argument));
    if (word === "gate") await this.gate;
    if (word === "hang-up") return request.socket.destroy();
    if (word === "garbage") return request.socket.end("SMTP 220 hello\r\n\r\n");
    if (word === "scope") response.setHeader("stream-auth-scope", argument);
    if (word === "keep") response.setHeader("cache-control", `private, max-age=${argument}`);
    if (word === "redirect") response.setHeader("location", "/elsewhere");
    const status = { deny: 401, forbid: 403, teapot: 418, broken: 500, redirect: 302 }[word] ?? 200;
    response.writeHead(status).end("whatever it says");
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

describe.skipIf(!OWNED)("what browsers send by themselves", () => {
  test("is handed on for pages of listed origins and of the server itself only", async () => {
    const decider = await new Decider().start();
    const server = await Server.start({
      settings: {
        "auth.mode": "callback",
        "auth.callback_url": decider.url,
        "auth.callback_headers": "X-Key Authorization Cookie",
        "cors.origins": "https://app.example",
      },
    });
    const handed = async (headers, method = "POST") => {
      const path = `/v1/stream/p/${freshName("s")}`;
      const answer = await call(server.url + path, method, { headers: { ...text, ...headers }, body: method === "POST" ? "x" : undefined });
      const asked = decider.asked.find(({ body }) => body.path === path).headers;
      return [answer, asked.cookie, asked.authorization];
    };
    const cookie = "session=1";
    for (const page of [{ origin: "https://app.example" }, { origin: server.url }, { "sec-fetch-site": "same-origin" }, {}])
      expect((await handed({ ...page, cookie, authorization: "Basic dTpw" })).slice(1)).toEqual([cookie, "Basic dTpw"]);
    for (const page of [{ origin: "https://evil.example" }, { origin: "null" }, { "sec-fetch-site": "cross-site" }]) {
      const [answer, ...seen] = await handed({ ...page, cookie, authorization: "Basic dTpw" });
      expect(seen).toEqual([undefined, undefined]);
      expect([answer.status, answer.json().error]).toEqual([403, expect.stringMatching(/a cookie does not count/)]);
      expect((await handed({ ...page, cookie, authorization: "Bearer t", "x-key": "allow" })).slice(1)).toEqual([undefined, "Bearer t"]);
    }
    const [answer] = await handed({ origin: "https://app.example", cookie, "x-key": "allow" }, "GET");
    expect(answer.headers.get("access-control-allow-credentials")).toBe("true");
    await server.close();
    await decider.stop();
  });
});

describe.skipIf(!OWNED)("the callback", () => {
  const decider = new Decider();
  let server;
  const url = (name) => `${server.url}/v1/stream/${name}`;
  const ask = (method, name, key, options = {}) =>
    call(url(name), method, { ...options, headers: { ...text, ...(key ? { "x-key": key } : {}), ...options.headers } });

  beforeAll(async () => {
    await decider.start();
    server = await Server.start({
      settings: {
        "auth.mode": "callback",
        "auth.callback_url": decider.url,
        "auth.callback_headers": "X-Key Authorization",
        "auth.callback_timeout": "5s",
        "auth.callback_connections": 4,
        "auth.callback_waiting": 20,
        "auth.callback_cache": "8s",
        "limits.max_body": "4M",
      },
    });
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await server?.close();
    await decider.stop().catch(() => {});
  });

  test("is told what the request is, and what it allows is done", async () => {
    const headers = { authorization: "Bearer x", cookie: "secret=1", "x-other": "no" };
    expect((await ask("PUT", "acme/a%20b/c", "yes", { headers, body: "hello" })).status).toBe(201);
    const [{ method, url: path, headers: got, body }] = decider.asked;
    expect([method, path, got["content-type"]]).toEqual(["POST", "/decide", "application/json"]);
    expect(body).toEqual({ method: "PUT", path: "/v1/stream/acme/a%20b/c", project: "acme", stream: "a b/c" });
    expect([got["x-key"], got.authorization, got.cookie, got["x-other"]]).toEqual(["yes", "Bearer x", undefined, undefined]);
    expect((await ask("GET", "acme/a%20b/c", "yes")).text).toBe("hello");
    expect((await call(`${server.url}/health`)).status).toBe(200);
  });

  test("its refusals are passed on", async () => {
    const of = async (key) => {
      const answer = await ask("GET", "acme/a%20b/c", key);
      return [answer.status, answer.json().code];
    };
    expect(await of(undefined)).toEqual([401, "UNAUTHORIZED"]);
    expect(await of("deny")).toEqual([401, "UNAUTHORIZED"]);
    expect(await of("forbid")).toEqual([403, "FORBIDDEN"]);
    expect(await of("teapot")).toEqual([403, "FORBIDDEN"]);
    expect(await of("redirect")).toEqual([403, "FORBIDDEN"]);
  });

  test("a scope it names is the limit", async () => {
    const name = freshName("scope");
    await ask("PUT", `acme/${name}`, "yes");
    const statuses = async (key) =>
      [await ask("GET", `acme/${name}`, key), await ask("POST", `acme/${name}`, key, { body: "x" }), await ask("DELETE", `acme/${name}`, key)].map(({ status }) => status);
    expect(await statuses("scope read")).toEqual([200, 403, 403]);
    expect(await statuses("scope write")).toEqual([200, 204, 403]);
    expect(await statuses("scope everything")).toEqual([403, 403, 403]);
    expect(await statuses("scope manage")).toEqual([200, 204, 204]);
  });

  test("slow, dead, broken and lying: nobody gets in", async () => {
    for (const key of ["slow 60000", "hang-up", "broken", "garbage"]) {
      const answer = await ask("GET", "acme/a%20b/c", key);
      expect([key, answer.status, answer.json().code]).toEqual([key, 503, "AUTH_UNAVAILABLE"]);
      expect(answer.headers.get("retry-after")).toBe("1");
    }
  });

  test("an answer is remembered as long as it says and we allow, for the same question only", async () => {
    const name = `acme/${freshName("kept")}`;
    await ask("PUT", name, "yes");
    const before = decider.asked.length;
    for (let i = 0; i < 5; i++) expect((await ask("HEAD", name, "keep 60")).status).toBe(200);
    expect(decider.asked.length).toBe(before + 1);
    await ask("HEAD", name, "keep 61");
    await ask("GET", name, "keep 60");
    await ask("HEAD", name, "keep 60", { headers: { authorization: "Bearer y" } });
    expect(decider.asked.length).toBe(before + 4);
    await sleep(8500);
    await ask("HEAD", name, "keep 60");
    expect(decider.asked.length).toBe(before + 5);
  });

  test("connections and waiting requests are bounded", async () => {
    decider.most = 0;
    const statuses = [];
    decider.gate = new Promise((resolve) => (decider.release = resolve));
    const asking = Array.from({ length: 60 }, async () => statuses.push((await ask("HEAD", "acme/a%20b/c", "gate")).status));
    await until("those that are too many", () => statuses.length === 40);
    decider.release();
    await Promise.all(asking);
    expect(decider.most).toBeLessThanOrEqual(4);
    expect(statuses.filter((status) => status === 503).length).toBe(40);
    expect(statuses.filter((status) => status === 200).length).toBe(20);
  });

  test("large bodies, live readers and clients that leave", async () => {
    const name = `acme/${freshName("large")}`;
    await ask("PUT", name, "yes");
    expect((await ask("POST", name, "slow 100", { body: "x".repeat(3_000_000) })).status).toBe(204);
    const live = await fetch(`${url(name)}?offset=now&live=sse`, { headers: { "x-key": "slow 50" } });
    expect(live.status).toBe(200);
    await live.body.cancel();
    const gone = new AbortController();
    const left = ask("GET", name, "slow 300", { signal: gone.signal }).catch(() => "left");
    await sleep(50);
    gone.abort();
    expect(await left).toBe("left");
    await sleep(400);
    expect((await ask("HEAD", name, "yes")).status).toBe(200);
  });

  test("a callback that is down is deny, or what the configuration says; it may come back", async () => {
    await decider.stop();
    expect((await ask("GET", "acme/a%20b/c", "yes")).status).toBe(503);
    await decider.start(decider.port);
    await until("the callback", async () => (await ask("GET", "acme/a%20b/c", "yes")).status === 200);
  });
});

// Answers by what decide(question, headers) says, strictly: a question that is not JSON in UTF-8 is 500. decide gives a
// status, or { status, headers }, or a promise of them, or "hang-up".
class Judge {
  asked = [];
  open = 0;
  most = 0;

  constructor(decide) {
    this.decide = decide;
  }

  async start(port = 0) {
    this.server = createServer(async (request, response) => {
      this.most = Math.max(this.most, ++this.open);
      const pieces = [];
      for await (const piece of request) pieces.push(piece);
      let question, said;
      try {
        question = JSON.parse(new TextDecoder("utf8", { fatal: true }).decode(Buffer.concat(pieces)));
      } catch {
        return response.writeHead(500).end();
      }
      this.asked.push(question);
      said = await this.decide(question, request.headers);
      this.open--;
      if (said === "hang-up") return request.socket.destroy();
      if (typeof said === "number") said = { status: said };
      response.writeHead(said.status, said.headers ?? []).end();
    });
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    this.port = this.server.address().port;
    this.url = `http://127.0.0.1:${this.port}/decide`;
    return this;
  }

  // What was asked since the last time; questions of one request may come in any order, and are in that of their paths.
  take() {
    const { asked } = this;
    this.asked = [];
    return asked.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

const as = (who) => ({ authorization: `Bearer ${who}` });
const whoIs = (headers) => headers.authorization?.slice("Bearer ".length);

describe.skipIf(!OWNED)("a callback that decides stream by stream", () => {
  // Everybody has the streams that begin with their name; "admin" has all; "whole" has the project, but not "secret".
  const judge = new Judge(({ stream }, headers) => {
    const who = whoIs(headers);
    const own = who === "admin" || (who === "whole" && stream !== "secret") || (who && stream?.startsWith(who));
    return { status: own ? 200 : who ? 403 : 401, headers: who === "whole" ? { "cache-control": "max-age=60" } : {} };
  });
  const settings = { "auth.mode": "callback", "router.body_memory": "1M", "limits.max_body": "1M", "auth.callback_cache": "1m" };
  let server;
  const url = (name) => `${server.url}/v1/stream/${name}`;
  const ask = (who, method, path, body, headers = {}) =>
    call(`${server.url}/v1/${path}`, method, { headers: { ...text, ...as(who), ...headers }, body });
  const subscribe = (who, method, path, body) => ask(who, method, `estuary/subscribe/${path}`, JSON.stringify(body));

  beforeAll(async () => {
    await judge.start();
    server = await Server.start({ settings: { ...settings, "auth.callback_url": judge.url } });
    for (const name of ["secret", "alice", "alice2", "bob", "orders"]) await ask("admin", "PUT", `stream/p/${name}`, "of the admin");
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await server?.close();
    await judge.stop();
  });

  test("is asked about a fork's source as if it were read", async () => {
    judge.take();
    const fork = (source) => ask("alice", "PUT", "stream/p/alice/copy", undefined, { "stream-forked-from": source });
    const answer = await fork("/v1/stream/p/secret");
    expect([answer.status, answer.json().code, answer.json().error]).toEqual([403, "FORBIDDEN", expect.stringContaining("Stream-Forked-From")]);
    expect(judge.take()).toEqual([
      { method: "PUT", path: "/v1/stream/p/alice/copy", project: "p", stream: "alice/copy" },
      { method: "GET", path: "/v1/stream/p/secret", project: "p", stream: "secret" },
    ]);
    expect((await fork("/v1/stream/p/%73ecret")).status).toBe(403);
    expect((await fork("/v1/stream/q/alice")).status).toBe(403); // of another project
    expect((await ask("alice", "GET", "stream/p/alice/copy")).status).toBe(404);
    expect((await fork("/v1/stream/p/alice")).status).toBe(201);
  });

  test("is asked about an estuary as if it were written", async () => {
    judge.take();
    const answer = await subscribe("bob", "POST", "p/bob", { estuaryId: "orders" });
    expect([answer.status, answer.json().error]).toEqual([403, expect.stringContaining("estuaryId")]);
    expect(judge.take()).toEqual([
      { method: "POST", path: "/v1/estuary/subscribe/p/bob", project: "p", stream: "bob" },
      { method: "POST", path: "/v1/stream/p/orders", project: "p", stream: "orders" },
    ]);
    expect((await subscribe("admin", "POST", "p/bob", { estuaryId: "orders" })).status).toBe(200);
    expect((await subscribe("bob", "DELETE", "p/bob", { estuaryId: "orders" })).status).toBe(403);
    expect((await subscribe("bob", "DELETE", "p/bob", { estuaryId: "." })).status).toBe(403);
    expect((await subscribe("bob", "POST", "p/bob", { estuaryId: "%6Frders" })).status).toBe(403);
    expect((await subscribe("bob", "POST", "p/orders", { estuaryId: "bob" })).status).toBe(403);
    expect((await subscribe("admin", "DELETE", "p/bob", { estuaryId: "orders" })).status).toBe(200);
    expect((await subscribe("bob", "POST", "p/bob", { estuaryId: "bob-too" })).status).toBe(200);
    for (const [method, path] of [["GET", "p/orders"], ["POST", "p/orders/touch"], ["DELETE", "p/orders"]])
      expect([path, (await ask("bob", method, `estuary/${path}`)).status]).toEqual([path, 403]);
  });

  test("is asked about the project, the estuary and each stream of a list", async () => {
    judge.take();
    const body = { estuaryId: "mine", streams: ["alice", "alice2"] };
    expect((await subscribe("whole", "POST", "p", body)).status).toBe(200);
    expect(judge.take()).toEqual([
      { method: "POST", path: "/v1/estuary/subscribe/p", project: "p" },
      { method: "POST", path: "/v1/estuary/subscribe/p/alice", project: "p", stream: "alice" },
      { method: "POST", path: "/v1/estuary/subscribe/p/alice2", project: "p", stream: "alice2" },
      { method: "POST", path: "/v1/stream/p/mine", project: "p", stream: "mine" },
    ]);
    const answer = await subscribe("whole", "POST", "p", { ...body, streams: ["alice", "secret", "alice2"] });
    expect([answer.status, answer.json().error]).toEqual([403, expect.stringContaining("streams")]);
    expect((await subscribe("whole", "POST", "p", { estuaryId: "secret", streams: ["alice"] })).status).toBe(403);
    expect((await subscribe("alice", "POST", "p", { estuaryId: "alice3", streams: ["alice"] })).status).toBe(403);
    expect((await subscribe("whole", "POST", "p", { estuaryId: "mine" })).status).toBe(400);
  });

  test("hears a long list with few questions at a time, and not twice what it lets be remembered", async () => {
    const streams = Array.from({ length: 1000 }, (_, i) => `s${i}`);
    judge.take();
    judge.most = 0;
    const answer = await subscribe("whole", "POST", "p", { estuaryId: "list", streams });
    expect(answer.json().subscriptions.length).toBe(1000);
    expect(judge.most).toBeLessThanOrEqual(8);
    expect(judge.take().length).toBeGreaterThanOrEqual(1000);
    const few = { estuaryId: "list", streams: ["few1", "few2"] };
    for (let i = 0; i < 3; i++) expect((await subscribe("whole", "POST", "p", few)).status).toBe(200);
    expect(judge.take().filter(({ stream }) => stream?.startsWith("few")).length).toBeLessThan(4);
  });

  test("may take long over a long list, as long as it answers", async () => {
    const slow = await new Judge(() => sleep(200).then(() => 200)).start();
    const waits = { "auth.callback_timeout": "2s", "auth.jwks_timeout": "10ms", "router.shard_wait": "10ms" }; // for one answer
    const other = await Server.start({ settings: { ...settings, ...waits, "auth.callback_url": slow.url } });
    const body = JSON.stringify({ estuaryId: "list", streams: Array.from({ length: 120 }, (_, i) => `s${i}`) });
    const answer = await call(`${other.url}/v1/estuary/subscribe/p`, "POST", { headers: text, body });
    expect([answer.status, answer.json().subscriptions?.length]).toEqual([200, 120]);
    await other.close();
    await slow.stop();
  });

  test("hears every name in UTF-8, and no two alike", async () => {
    const paths = ["x%FF", "x%FE", "x%25FF", "xFF", "x%EF%BF%BD", "x%C3", "caf%C3%A9"];
    judge.take();
    for (const path of paths) expect([path, (await ask("stranger", "PUT", `stream/p/${path}`)).status]).toEqual([path, 403]);
    const names = judge.asked.map(({ stream }) => stream);
    expect(names).toEqual(["x\u001aFF", "x\u001aFE", "x%FF", "xFF", "x\ufffd", "x\u001aC3", "caf\u00e9"]);
    const fork = await ask("stranger", "PUT", "stream/p/stranger%FF", undefined, { "stream-forked-from": "/v1/stream/p/secret" });
    expect(fork.status).toBe(403);
    expect((await ask("admin", "PUT", "stream/p/x%FF")).status).toBe(201);
  });

  const head = (who, path, more) =>
    `POST /v1/stream/p/${path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n${who ? `Authorization: Bearer ${who}\r\n` : ""}${more}\r\n\r\n`;

  test("is asked before a body is: strangers' bodies take no memory", async () => {
    const strangers = [];
    for (let i = 0; i < 20; i++) {
      const connection = await Connection.open(server.url);
      connection.send(head(i % 2 && "eve", "orders", "Content-Length: 900000") + "x".repeat(100_000));
      strangers.push(connection);
    }
    for (const [i, connection] of strangers.entries()) expect((await connection.answer("POST")).status).toBe(i % 2 ? 403 : 401);
    expect((await ask("admin", "POST", "stream/p/orders", "x".repeat(900_000))).status).toBe(204);
    for (const connection of strangers) connection.destroy();
  });

  test("bodies that nothing looks at take no memory either", async () => {
    const requests = ["GET /health", "POST /health", "PATCH /v1/stream/p/alice", "OPTIONS /v1/stream/p/alice", "GET /v1/stream/p/alice"];
    const connections = [];
    for (const request of [...requests, ...requests]) {
      const connection = await Connection.open(server.url);
      connection.send(`${request} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer alice\r\nContent-Length: 900000\r\n\r\n` + "x".repeat(800_000));
      connections.push(connection);
    }
    await sleep(200);
    expect((await ask("admin", "POST", "stream/p/orders", "x".repeat(900_000))).status).toBe(204);
    const statuses = [];
    for (const [i, connection] of connections.entries()) {
      connection.send("x".repeat(100_000));
      statuses.push((await connection.answer(requests[i % 5].split(" ")[0])).status);
      connection.destroy();
    }
    expect(statuses.slice(0, 5)).toEqual([200, 405, 405, 204, 200]);
    expect(statuses.slice(5)).toEqual(statuses.slice(0, 5));
    const chunked = await Connection.open(server.url);
    const pieces = `10000\r\n${"x".repeat(65536)}\r\n`.repeat(20);
    chunked.send(`POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${pieces}0\r\n\r\n`);
    expect((await chunked.answer("POST")).status).toBe(413);
    chunked.destroy();
  });

  test("100 Continue is for those who may", async () => {
    for (const [who, first] of [["eve", 403], ["admin", 100]]) {
      const connection = await Connection.open(server.url);
      judge.take();
      connection.send(head(who, "orders", "Expect: 100-continue\r\nContent-Length: 3"));
      expect([who, (await connection.answer("POST")).status]).toEqual([who, first]);
      expect(judge.take().length).toBe(1);
      if (first === 100) expect((await connection.send("abc").answer("POST")).status).toBe(204);
      expect(judge.take()).toEqual([]);
      connection.destroy();
    }
  });

  test("requests behind one another on a connection are each asked about", async () => {
    const connection = await Connection.open(server.url);
    const one = (who, body) => head(who, "alice2", `Content-Length: ${body.length}`) + body;
    connection.send(one("admin", "abc") + one("eve", "defg") + one("admin", "hij"));
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await connection.answer("POST")).status);
    expect(statuses).toEqual([204, 403, 204]);
    connection.send(one("admin", "klm").slice(0, -2));
    await sleep(50);
    connection.socket.end(); // and the rest of the body never comes
    await connection.end();
    expect((await ask("admin", "GET", "stream/p/alice2?offset=-1")).text).toBe("of the adminabchij");
  });
});

describe.skipIf(!OWNED)("live reads that a callback has allowed", () => {
  let right = 200;
  const judge = new Judge(() => ({ status: right, headers: { "cache-control": "max-age=60" } }));
  const settings = { "auth.mode": "callback", "live.sse_lifetime": "1h", "live.long_poll_timeout": "10m" };
  let server;
  beforeAll(async () => {
    await judge.start();
    server = await Server.start({ settings: { ...settings, "auth.callback_url": judge.url, "auth.callback_recheck": "1s", "auth.callback_cache": "0ms" } });
    await call(`${server.url}/v1/stream/p/s`, "PUT", { headers: text, body: "x" });
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await server?.close();
    await judge.stop();
  });

  test("end after auth.callback_recheck, and come back while they may", async () => {
    right = 200;
    const address = `${server.url}/v1/stream/p/s`;
    const first = EventReader.open(address, { query: { offset: "-1" } });
    const poll = call(address, "GET", { query: { offset: "now", live: "long-poll" } });
    expect(await first.end()).toBe("clean");
    expect(first.controls.length).toBeGreaterThan(1);
    expect((await poll).status).toBe(204);
    right = 403;
    const second = EventReader.open(address, { query: { offset: first.offset } });
    expect(await second.end()).toBe("clean");
    expect([second.status, second.data]).toEqual([403, []]);
  });

  test("a body that took longer than that is asked about again", async () => {
    const append = async (before, after) => {
      const connection = await Connection.open(server.url);
      right = before;
      connection.send("POST /v1/stream/p/s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n");
      judge.take();
      await until("the first question", () => judge.asked.length);
      await sleep(1200);
      right = after;
      const { status } = await connection.send("ab").answer("POST");
      connection.destroy();
      return [status, judge.take().length];
    };
    expect(await append(200, 403)).toEqual([403, 2]);
    expect(await append(200, 200)).toEqual([204, 2]);
  });
});

describe.skipIf(!OWNED)("headers that are handed on", () => {
  const heard = [];
  const judge = new Judge((_, headers) => (heard.push(headers["x-user"]), 200));
  let server;
  beforeAll(async () => {
    await judge.start();
    const settings = { "auth.mode": "callback", "auth.callback_url": judge.url, "auth.callback_headers": "X-User" };
    server = await Server.start({ settings });
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await server?.close();
    await judge.stop();
  });

  test("come with every line that they have", async () => {
    const connection = await Connection.open(server.url);
    connection.send("GET /v1/stream/p/s HTTP/1.1\r\nHost: x\r\nX-User: eve\r\nx-user:admin\r\nX-Users: no\r\n\r\n");
    expect((await connection.answer()).status).toBe(404);
    expect(heard).toEqual(["eve, admin"]);
    connection.destroy();
  });
});

describe.skipIf(!OWNED)("the callback's settings", () => {
  const first = new Judge(() => ({ status: 200, headers: { "cache-control": "max-age=3600" } }));
  const second = new Judge(() => 403);
  let server;
  const configure = (url) => {
    server.configFile ??= join(server.folder, "streamd.ini");
    const settings = { mode: "callback", callback_url: url, callback_cache: "1h", callback_recheck: "1h" };
    const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}\n`);
    writeFileSync(server.configFile, `[auth]\n${lines.join("")}[live]\nsse_lifetime = 1h\nlong_poll_timeout = 10m\n`);
  };
  beforeAll(async () => {
    await first.start();
    await second.start();
    server = new Server({ settings: { "router.workers": 1, "shard.count": 1 } });
    configure(first.url);
    await server.start();
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await server?.close();
    await first.stop();
    await second.stop();
  });

  test("a new one counts at once: for what is remembered, and for live readers", async () => {
    const address = `${server.url}/v1/stream/p/s`;
    expect((await call(address, "PUT", { headers: text, body: "x" })).status).toBe(201);
    expect((await call(address)).status).toBe(200);
    const reader = EventReader.open(address, { query: { offset: "-1" } });
    const poll = call(address, "GET", { query: { offset: "now", live: "long-poll" } });
    await reader.upToDate();
    first.take();
    expect((await call(address)).status).toBe(200); // it is remembered
    expect(first.take()).toEqual([]);
    await readersWait(server, 1);
    configure(second.url);
    server.signal("SIGHUP");
    expect(await reader.end()).toBe("clean");
    expect((await poll).status).toBe(204);
    expect((await call(address)).status).toBe(403);
  });
});

describe.skipIf(!OWNED)("a callback that is down", () => {
  const fixture = useServer({
    settings: { "auth.mode": "callback", "auth.callback_url": "http://127.0.0.1:9/", "auth.callback_down": "allow" },
  });

  test("may be told to let everybody in", async () => {
    expect((await call(`${fixture.server.url}/v1/stream/p/s`, "PUT", { headers: text })).status).toBe(201);
  });
});

describe.skipIf(!OWNED)("with auth.callback_down = allow", () => {
  const judge = new Judge(({ stream }) => (stream === "hang-up" ? "hang-up" : stream === "never" ? new Promise(() => {}) : Number(stream) || 403));
  let server;
  beforeAll(async () => {
    await judge.start();
    const settings = { "auth.mode": "callback", "auth.callback_url": judge.url, "auth.callback_down": "allow", "auth.callback_timeout": "500ms" };
    server = await Server.start({ settings });
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await server?.close();
    await judge.stop().catch(() => {});
  });

  test("a callback that fails at one question lets nobody in, however it fails", async () => {
    const status = async (stream) => (await call(`${server.url}/v1/stream/p/${stream}`, "PUT", { headers: text })).status;
    for (const stream of ["500", "501", "502", "503", "504", "599", "hang-up", "never"]) {
      expect([stream, await status(stream)]).toEqual([stream, 503]);
      expect([stream, await status("other")]).toEqual([stream, 403]);
    }
    await judge.stop();
    expect(await status("anything")).toBe(201);
    await judge.start(judge.port);
    await until("the callback", async () => (await status("other")) === 403);
    expect(await status("never")).toBe(503);
  });
});
