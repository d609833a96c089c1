// nginx and HAProxy before streamd, with the configurations that are shipped: everything passes over TLS and HTTP/2,
// nothing is held back, what may be shared is asked for once, and nothing reaches someone who may not have it.

import { join } from "node:path";

import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Front, PROGRAMS, Relay } from "../lib/front.mjs";
import { Http2 } from "../lib/http2.mjs";
import { OWNED } from "../lib/server.mjs";
import { START, freshName } from "../lib/streams.mjs";
import { PATIENCE, SLOW, until, within } from "../lib/wait.mjs";

const fronts = Object.keys(PROGRAMS).filter((kind) => PROGRAMS[kind]);
const owned = describe.skipIf(!OWNED || !fronts.length);

// A server, and before it a relay that counts, and before that each front.
function useFront(kind, settings) {
  const fixture = useServer({ settings });
  beforeAll(async () => {
    fixture.relay = await Relay.start(fixture.server.port);
    fixture.front = await Front.start(kind, join(fixture.server.folder, kind), fixture.relay.origin);
    fixture.path = (name) => `/v1/stream/${name}`;
    fixture.url = (name) => fixture.front.url + fixture.path(name);
    fixture.fetch = fixture.front.fetch;
    fixture.make = async (name, { body, type = "text/plain", headers, query = "" } = {}) => {
      const made = await fixture.fetch(fixture.url(name) + query, {
        method: "PUT",
        headers: { "content-type": type, ...headers },
        body,
      });
      expect(made.status).toBe(201);
      return made;
    };
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await fixture.front?.stop();
    fixture.relay?.stop();
  }, 60_000 * PATIENCE);
  return fixture;
}

// The events of a stream as they come: { text, ended, headers }.
function follow(http2, path, headers = {}) {
  const reader = { text: "", ended: false, stream: http2.request(path, { headers }) };
  reader.stream.setEncoding("utf8");
  reader.stream.on("response", (answer) => (reader.headers = answer));
  reader.stream.on("data", (text) => (reader.text += text));
  for (const end of ["end", "close", "error"]) reader.stream.on(end, () => (reader.ended = true));
  return reader;
}

owned.each(fronts)("%s", (kind) => {
  describe("lets everything pass", () => {
    const fixture = useFront(kind, { "live.heartbeat": "500ms", "live.long_poll_timeout": "4s", "cors.origins": "*" });

    test.each(["sse", "long-poll"])("the official client over HTTP/2, live=%s", async (live) => {
      const { fetch } = fixture;
      const url = fixture.url(freshName("front"));
      const handle = await DurableStream.create({ url, contentType: "application/json", fetch });
      for (let n = 0; n < 10; n++) await handle.append(JSON.stringify({ n }));
      const caughtUp = await stream({ url, offset: "-1", live: false, fetch });
      expect(await caughtUp.json()).toHaveLength(10);

      const items = [];
      const following = await stream({ url, offset: "-1", live, fetch });
      following.subscribeJson((batch) => void items.push(...batch.items));
      await until("the first ten", () => items.length === 10);
      const producer = new IdempotentProducer(handle, "front", { autoClaim: true, fetch });
      for (let n = 10; n < 30; n++) producer.append(JSON.stringify({ n }));
      await producer.flush();
      await until("all thirty", () => items.length === 30);
      expect(items).toEqual(Array.from({ length: 30 }, (_, n) => ({ n })));
      await producer.detach?.();
      await handle.close();
      await within("the end", following.closed);
      const head = await DurableStream.head({ url, fetch });
      expect(head.streamClosed).toBe(true);
    });

    test("an event comes when it is appended, and silence ends nothing", async () => {
      const name = freshName("events");
      await fixture.make(name);
      const path = `${fixture.path(name)}?offset=-1&live=sse`;
      const reader = follow(fixture.front.http2, path);
      await until("the first control event", () => reader.text.includes("upToDate"));
      for (let n = 0; n < 10; n++) {
        await fixture.fetch(fixture.url(name), {
          method: "POST",
          headers: { "content-type": "text/plain" },
          body: `<${n}>`,
        });
        await until(`event ${n}`, () => reader.text.includes(`<${n}>`));
      }
      const beats = () => reader.text.split(": heartbeat").length - 1;
      const before = beats();
      await until("five heartbeats", () => beats() >= before + 5);
      expect(reader.ended).toBe(false);
      await fixture.fetch(fixture.url(name), {
        method: "POST",
        headers: { "content-type": "text/plain" },
        body: "<end>",
      });
      await until("the last event", () => reader.text.includes("<end>"));
      reader.stream.destroy();
    });

    test("a long-poll lasts as long as the server lets it", async () => {
      const name = freshName("poll");
      await fixture.make(name);
      const began = Date.now();
      const answer = await fixture.fetch(`${fixture.url(name)}?offset=${START}&live=long-poll`);
      expect(answer.status).toBe(204);
      expect(answer.headers.get("stream-up-to-date")).toBe("true");
      expect(answer.headers.get("x-accel-expires")).toBe(kind === "nginx" ? null : "1");
      expect(Date.now() - began).toBeGreaterThan(3500);
    });

    test("large bodies pass, and what is too large is refused by streamd", async () => {
      const name = freshName("large");
      const body = Buffer.alloc(8 << 20, "0123456789abcdef");
      await fixture.make(name, { type: "application/octet-stream", body });
      const got = await fixture.fetch(`${fixture.url(name)}?offset=-1`);
      expect(Buffer.from(await got.arrayBuffer()).equals(body)).toBe(true);
      const refused = await fixture
        .fetch(fixture.url(name), {
          method: "POST",
          headers: { "content-type": "application/octet-stream" },
          body: Buffer.alloc((8 << 20) + 1),
        })
        .then(async (answer) => [answer.status, (await answer.json()).code]);
      expect(refused).toEqual([413, "PAYLOAD_TOO_LARGE"]);
    });

    test("headers are as they should be: Location, ETag, CORS, HEAD, errors", async () => {
      const name = freshName("headers");
      const made = await fixture.make(name, { body: "text" });
      expect(new URL(made.headers.get("location"), fixture.front.url).href).toBe(fixture.url(name));
      const page = await fixture.fetch(`${fixture.url(name)}?offset=-1`, {
        headers: { origin: "https://page.example" },
      });
      expect(page.headers.get("access-control-allow-origin")).toBe("*");
      const etag = page.headers.get("etag");
      const again = await fixture.fetch(`${fixture.url(name)}?offset=-1`, { headers: { "if-none-match": etag } });
      expect([again.status, await again.text()]).toEqual([304, ""]);
      const head = await fixture.fetch(fixture.url(name), { method: "HEAD" });
      expect([head.status, head.headers.get("stream-next-offset")]).toEqual([
        200,
        page.headers.get("stream-next-offset"),
      ]);
      expect(fixture.relay.count("HEAD", name)).toBe(1);
      const missing = await fixture.fetch(fixture.url(freshName("missing")));
      expect([missing.status, (await missing.json()).code]).toEqual([404, "STREAM_NOT_FOUND"]);
      expect((await fixture.fetch(`${fixture.front.url}/metrics`)).status).toBe(404);
    });

    test("conditions reach streamd, also where a cache has the answer", async () => {
      const name = freshName("conditions");
      await fixture.make(name, { body: "text" });
      const read = (headers) => fixture.fetch(`${fixture.url(name)}?offset=-1`, { headers });
      const append = (headers) =>
        fixture.fetch(fixture.url(name), { method: "POST", headers: { "content-type": "text/plain", ...headers }, body: "x" });
      const life = (await read()).headers.get("stream-incarnation");
      expect((await read({ "stream-incarnation": "1" })).status).toBe(412);
      expect((await read({ "stream-incarnation": life })).status).toBe(200);
      const refused = await Promise.all([append({ "if-match": '"x"' }), append({ "stream-expected-offset": START })]);
      expect(refused.map(({ status }) => status)).toEqual([412, 409]);
    });

    test("the pieces of an append pass as they come, and so does its end", async () => {
      const name = freshName("pieces");
      await fixture.make(name);
      const headers = { "content-type": "text/plain", "stream-append": "incremental" };
      const stored = async () => (await fixture.fetch(`${fixture.url(name)}?tail=10`)).text();
      const append = fixture.front.http2.open(fixture.path(name), { method: "POST", headers });
      let status;
      append.on("response", (answer) => (status = answer[":status"]));
      append.on("error", () => {}); // nobody wants the rest of the body
      append.resume();
      for (const [piece, all] of Object.entries({ once: "once", upon: "onceupon" })) {
        append.write(piece);
        await until(piece, async () => (await stored()) === all);
      }
      await fixture.fetch(fixture.url(name), { method: "POST", headers: { "stream-closed": "true" } });
      await until("the news that the stream is closed", () => status === 409);
      append.destroy();
    });

    test("those who read from the end do not wait for each other", async () => {
      const name = freshName("end");
      await fixture.make(name, { body: "text" });
      const began = Date.now();
      const read = async (i) => (await fixture.fetch(`${fixture.url(name)}?${i % 2 ? "tail=1" : "since=0"}`)).text();
      const texts = await Promise.all(Array.from({ length: 100 }, (_, i) => read(i)));
      expect(new Set(texts)).toEqual(new Set(["text"]));
      expect(Date.now() - began).toBeLessThan(5_000 * SLOW);
    });

    test("a page is asked for once, and each answer has an id of its own", async () => {
      const name = freshName("page");
      const ids = new Set();
      await fixture.make(name, { body: "content" });
      for (let i = 0; i < 10; i++) {
        const answer = await fixture.fetch(`${fixture.url(name)}?offset=-1`);
        expect(await answer.text()).toBe("content");
        ids.add(answer.headers.get("x-request-id"));
      }
      expect([ids.has(null), ids.size]).toEqual([false, 10]);
      expect(fixture.relay.count("GET", name)).toBe(1);
    });
  });

  describe("keeps what is private", () => {
    const fixture = useFront(kind, { "auth.mode": "jwt", "auth.failures": 0, "live.long_poll_timeout": "1s" });
    const known = {};
    let token;

    beforeAll(() => {
      fixture.server.command("create-project", "acme");
      token = fixture.server.command("token", "--project", "acme", "--scope", "write", "--ttl", "1h").out;
      known.authorization = `Bearer ${token}`;
    });

    const get = async (name, query, headers) => {
      const answer = await fixture.fetch(`${fixture.url(name)}?${new URLSearchParams(query)}`, { headers });
      return [answer.status, answer.status === 200 ? await answer.text() : ""];
    };
    const make = async (query = "") => {
      const name = `acme/${freshName("private")}`;
      const made = await fixture.make(name, { body: "secret", headers: known, query });
      return { name, rk: made.headers.get("stream-reader-key") };
    };

    test.each([{ offset: "-1" }, { offset: START, live: "long-poll" }])("%j is for who has a token", async (query) => {
      const { name } = await make();
      for (let i = 0; i < 3; i++) {
        expect(await get(name, query, known)).toEqual([200, "secret"]);
        expect(await get(name, { ...query, token }, {})).toEqual([200, "secret"]);
        expect(await get(name, query, {})).toEqual([401, ""]);
        expect(await get(name, { ...query, token: "no" }, {})).toEqual([401, ""]);
        expect(await get(name, query, { authorization: "Bearer no" })).toEqual([401, ""]);
      }
      expect(fixture.relay.count("GET", name)).toBe(15);
    });

    test("a reader key opens nothing, whoever has read with it before", async () => {
      const { name, rk } = await make();
      const query = { offset: "-1", rk };
      for (let i = 0; i < 3; i++) {
        expect(await get(name, query, known)).toEqual([200, "secret"]);
        expect(await get(name, { ...query, token }, {})).toEqual([200, "secret"]);
        expect(await get(name, query, {})).toEqual([401, ""]);
        expect(await get(name, query, { authorization: "Bearer no" })).toEqual([401, ""]);
        expect(await get(name, { ...query, token: "no" }, {})).toEqual([401, ""]);
        expect(await get(name, { ...query, rk: `rk_${"0".repeat(32)}` }, {})).toEqual([401, ""]);
      }
      /* nginx asks streamd whether the reader may, and has the page already */
      const pages = fixture.relay.requests.filter((line) => line.startsWith("GET") && line.endsWith(`rk=${rk}`));
      expect(pages.filter((line) => line.includes(name)).length).toBe(kind === "nginx" ? 1 + 3 : 9);
      const missing = await get(`acme/${freshName("missing")}`, query, known);
      expect(missing[0]).toBe(404);
    });

    test("a public stream's page is for everybody, and asked for once", async () => {
      const { name } = await make("?public=true");
      for (let i = 0; i < 5; i++) expect(await get(name, { offset: "-1" }, {})).toEqual([200, "secret"]);
      expect(fixture.relay.count("GET", name)).toBe(1);
    });

    test("those who have tokens do not wait for each other", async () => {
      const { name } = await make();
      const began = Date.now();
      const query = { offset: "now", live: "long-poll" };
      const answers = await Promise.all(Array.from({ length: 20 }, () => get(name, query, known)));
      expect(answers.every(([status]) => status === 204)).toBe(true);
      expect(Date.now() - began).toBeLessThan(15_000 * SLOW);
    });

    test("tokens are in no log, whatever fails", async () => {
      const { name } = await make();
      await get(name, { offset: "-1", token }, {});
      expect((await get(name, { offset: "-1", token: `${token}x` }, {}))[0]).toBe(401);
      const reader = follow(fixture.front.http2, `${fixture.path(name)}?offset=-1&live=sse&token=${token}`);
      await until("the event", () => reader.text.includes("secret"));
      await fixture.server.kill();
      const failed = await get(name, { offset: "-1", token }, {}).catch(({ message }) => [message]);
      expect(`${failed[0]}`).toMatch(/^50[23]$|REFUSED_STREAM/); // the latter says: ask again
      await until("the end", () => reader.ended);
      await fixture.server.start();
      const log = fixture.front.log();
      expect(log).toContain(name);
      expect(log).not.toContain(token);
      expect(log).not.toContain(token.slice(0, 40));
    });
  });
});

describe.skipIf(!OWNED || !PROGRAMS.nginx)("a crowd at one tail, behind nginx", () => {
  const READERS = Number(process.env.FRONT_READERS ?? 2000);
  const A_CONNECTION = 100;
  const fixture = useFront("nginx", { "live.long_poll_timeout": "5s" });
  const connections = [];

  beforeAll(() => {
    for (let i = 0; i < READERS / A_CONNECTION; i++) connections.push(new Http2(fixture.front.url, fixture.front.ca));
  });
  afterAll(() => connections.forEach((connection) => connection.close()));

  // All of them ask for it at once; resolves to their answers: [status, text, cursor].
  const all = (path) =>
    Promise.all(
      Array.from({ length: READERS }, (_, i) => {
        const request = connections[i % connections.length].request(path);
        return new Promise((resolve, reject) => {
          let text = "";
          request.setEncoding("utf8");
          request.on("data", (data) => (text += data));
          request.on("response", (answer) =>
            request.on("end", () => resolve([answer[":status"], text, answer["stream-cursor"]])),
          );
          request.on("error", reject);
        });
      }),
    );

  test("is a handful of requests to streamd", { timeout: 60_000 * PATIENCE }, async () => {
    const name = freshName("crowd");
    await fixture.make(name);
    let path = `${fixture.path(name)}?offset=${START}&live=long-poll`;

    // Nothing comes: one waits for all.
    const silent = await all(path);
    expect(silent.filter(([status]) => status !== 204)).toEqual([]);
    const polls = () => fixture.relay.count("GET", name);
    expect(polls()).toBeLessThan(20);

    // All come back with the cursor they were given, and something comes.
    const cursors = new Set(silent.map(([, , cursor]) => cursor));
    expect(cursors.size).toBeLessThan(20);
    path += `&cursor=${silent[0][2]}`;
    const before = polls();
    const waiting = all(path);
    await until("one to wait at streamd", () => polls() > before);
    const appended = Date.now();
    await fixture.fetch(fixture.url(name), { method: "POST", headers: { "content-type": "text/plain" }, body: "news" });
    const answers = await waiting;
    const took = Date.now() - appended;
    expect(answers.filter(([status, text]) => status !== 200 || text !== "news")).toEqual([]);
    expect(polls() - before).toBeLessThan(20);
    console.log(
      `${READERS} long-polls: ${before} and ${polls() - before} requests to streamd; the last had it after ${took} ms`,
    );
  });
});
