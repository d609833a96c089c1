// auth.mode = callback, against a small HTTP server that allows, denies, dawdles, dies and lies.

import { createServer } from "node:http";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED, Server } from "../lib/server.mjs";
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
        "auth.callback_timeout": "500ms",
        "auth.callback_connections": 4,
        "auth.callback_waiting": 20,
        "auth.callback_cache": "2s",
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
    for (const key of ["slow 2000", "hang-up", "broken", "garbage"]) {
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
    await sleep(2200);
    await ask("HEAD", name, "keep 60");
    expect(decider.asked.length).toBe(before + 5);
  });

  test("connections and waiting requests are bounded", async () => {
    decider.most = 0;
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask("HEAD", "acme/a%20b/c", "slow 150")));
    const statuses = answers.map(({ status }) => status);
    expect(decider.most).toBeLessThanOrEqual(4);
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(3);
    expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(30);
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

describe.skipIf(!OWNED)("a callback that is down", () => {
  const fixture = useServer({
    settings: { "auth.mode": "callback", "auth.callback_url": "http://127.0.0.1:9/", "auth.callback_down": "allow" },
  });

  test("may be told to let everybody in", async () => {
    expect((await call(`${fixture.server.url}/v1/stream/p/s`, "PUT", { headers: text })).status).toBe(201);
  });
});
