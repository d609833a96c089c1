// GET /v1/streams/{project}: exactly the streams that there are, whether the log or the tables have them, over any number of
// shards.

import { connect } from "node:net";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { scrape, valueOf } from "../lib/metrics.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call, place, Streams } from "../lib/streams.mjs";
import { PATIENCE, sleep, until } from "../lib/wait.mjs";

const text = { "content-type": "text/plain" };

// As the server spells it: all but A-Z a-z 0-9 - . _ ~ / : is encoded.
const spelled = (bytes) =>
  [...Buffer.from(bytes)]
    .map((byte) =>
      /[A-Za-z0-9\-._~/:]/.test(String.fromCharCode(byte)) && byte < 128
        ? String.fromCharCode(byte)
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
    )
    .join("");

const page = (server, project, query = "", headers = {}) =>
  call(`${server.url}/v1/streams/${project}${query && `?${query}`}`, "GET", { headers });

// All pages: { streams, pages }. `next` goes into the address as it is.
async function list(server, project, { prefix = "", limit } = {}) {
  const streams = [];
  let pages = 0;
  for (let after = ""; after !== null; pages++) {
    const query = [`prefix=${prefix}`, after && `after=${after}`, limit && `limit=${limit}`].filter(Boolean).join("&");
    const answer = await page(server, project, query);
    expect(answer.status).toBe(200);
    const body = answer.json();
    expect(body.streams.length).toBeLessThanOrEqual(limit ?? 100);
    streams.push(...body.streams);
    after = body.next;
  }
  return { streams, pages };
}

const names = async (...args) => (await list(...args)).streams.map(({ name }) => name);

async function together(items, work, at = 64) {
  const queue = [...items];
  await Promise.all(Array.from({ length: at }, async () => {
    while (queue.length) await work(queue.pop());
  }));
}

describe.skipIf(!OWNED).each([1, 4])("a listing over %i shards", (shards) => {
  const fixture = useServer({ settings: { "shard.count": shards, "shard.flush_idle": "1h" } });
  const put = (path, options) => call(`${fixture.server.url}/v1/stream/${path}`, "PUT", { headers: text, ...options });

  test("says what there is to say of a stream", async () => {
    const { server } = fixture;
    await put("facts/plain", { body: "12345" });
    await put("facts/json", { headers: { "content-type": 'application/json; x="y"' }, body: "[1,2,3]" });
    await put("facts/ttl", { headers: { ...text, "stream-ttl": "3600", "stream-closed": "true" } });
    await put("facts/expires", { headers: { ...text, "stream-expires-at": "2999-01-01T00:00:00Z" }, query: { public: "true" } });
    await put("facts/kept", { headers: { ...text, "stream-retention-seconds": "60", "stream-retention-bytes": "1000" } });
    await put("facts/fork", { headers: { "stream-forked-from": "/v1/stream/facts/plain" }, body: "678" });
    const answer = await page(server, "facts");
    expect([answer.status, answer.headers.get("cache-control"), answer.headers.get("content-type")]).toEqual([
      200,
      "no-store",
      "application/json",
    ]);
    const usual = { incarnation: expect.any(Number), contentType: "text/plain", nextOffset: place(0), bytes: 0, closed: false, public: false, estuary: false, fork: false };
    expect(answer.json()).toEqual({
      streams: [
        { ...usual, name: "expires", public: true, expiresAt: "2999-01-01T00:00:00Z" },
        { ...usual, name: "fork", contentType: "text/plain;charset=UTF-8", nextOffset: place(8), bytes: 3, fork: true }, // fetch says so
        { ...usual, name: "json", contentType: 'application/json; x="y"', nextOffset: place(3), bytes: 6 },
        { ...usual, name: "kept", earliestOffset: place(0), retention: { seconds: 60, bytes: 1000 } },
        { ...usual, name: "plain", nextOffset: place(5), bytes: 5 },
        { ...usual, name: "ttl", closed: true, ttl: 3600 },
      ],
      next: null,
    });
  });

  test("has estuaries, and streams without a project under _default", async () => {
    const { url } = fixture.server;
    await put("feeds/source", { headers: { "content-type": "application/json" } });
    const body = JSON.stringify({ estuaryId: "user" });
    await call(`${url}/v1/estuary/subscribe/feeds/source`, "POST", { headers: { "content-type": "application/json" }, body });
    const { streams } = await list(fixture.server, "feeds");
    expect(streams.map(({ name, estuary }) => [name, estuary])).toEqual([["source", false], ["user", true]]);
    await put("alone");
    expect(await names(fixture.server, "_default")).toEqual(["alone"]);
  });

  test("pages through 2,500 streams, unsettled and settled, and finds those with a prefix", async () => {
    const { server } = fixture;
    const all = Array.from({ length: 2500 }, (_, i) => `${i % 2 ? "odd" : "even"}/${String(i).padStart(5, "0")}`);
    await together(all, async (name) => expect((await put(`many/${name}`)).status).toBe(201));
    await put("many-not/even/00000"); // another project, which sorts among them
    await put("man/even/00000");
    all.sort();
    const check = async () => {
      expect(await names(server, "many", { limit: 1000 })).toEqual(all);
      const { streams, pages } = await list(server, "many", { prefix: "odd/", limit: 77 });
      expect(streams.map(({ name }) => name)).toEqual(all.filter((name) => name.startsWith("odd/")));
      expect(pages).toBe(Math.ceil(1250 / 77));
      expect(await names(server, "many", { prefix: "even/0000" })).toEqual(all.filter((name) => name.startsWith("even/0000")));
      expect(await names(server, "many", { prefix: "none" })).toEqual([]);
      expect((await page(server, "many", "after=odd/02498&limit=3")).json().streams.map(({ name }) => name)).toEqual(["odd/02499"]);
      expect((await page(server, "many", "after=even&prefix=odd&limit=1")).json()).toMatchObject({
        streams: [{ name: "odd/00001" }],
        next: "odd/00001",
      });
      expect((await page(server, "many", "limit=5")).json().next).toBe(all[4]);
    };
    await check(); // the log alone has them
    await server.restartChild("shard");
    await check(); // out of the log, after a crash
    await server.stop();
    await server.start({ "shard.flush_idle": "10ms", "shard.memory_streams": 16 });
    await check(); // while they are settled
    await sleep(500);
    await put("many/last/1");
    all.push("last/1");
    all.sort();
    await check();
    await server.stop();
    await server.start({ "shard.flush_idle": "1h" });
    await check();
  }, 60_000 * PATIENCE);

  test("lists odd names as they go into a path, and goes on from each of them", async () => {
    const { server } = fixture;
    const odd = [
      "a b", "a%b", "100%41", "a+b", "a&b=c", "a#b", "a?b", 'quote"d', "back\\slash", "/", "//x", "a/", "~tilde", "ü", "日本", "\u{1f600}",
      Buffer.from([0xff, 0xfe]), Buffer.from([0xc3]), Buffer.from("x\xed\xa0\x80", "latin1"),
    ].map((name) => Buffer.from(name));
    const wanted = odd.sort(Buffer.compare).map(spelled);
    for (const name of wanted) expect((await put(`odd/${name}`)).status).toBe(201);
    expect(await names(server, "odd")).toEqual(wanted);
    expect(await names(server, "odd", { limit: 1 })).toEqual(wanted);
    for (const [i, name] of wanted.entries()) {
      expect((await page(server, "odd", `after=${name}`)).json().streams.map((stream) => stream.name)).toEqual(wanted.slice(i + 1));
      expect((await call(`${server.url}/v1/stream/odd/${name}`, "HEAD")).status).toBe(200);
    }
    expect(await names(server, "odd", { prefix: "%FF" })).toEqual(["%FF%FE"]);
  });

  test("refuses what is malformed", async () => {
    const { server } = fixture;
    const refused = async (path, method = "GET") => {
      const { status, json } = await call(`${server.url}${path}`, method);
      return [status, json().error?.code ?? json().code];
    };
    for (const query of ["limit=0", "limit=1001", "limit=", "limit=-1", "limit=1x", "prefix=%zz", "after=%00", "prefix=%0a"])
      expect((await refused(`/v1/streams/p?${query}`))[0], query).toBe(400);
    expect((await refused("/v1/streams/p%20q"))[0]).toBe(400);
    expect((await refused("/v1/streams/p", "POST"))[0]).toBe(405);
    expect(await names(server, "nobody")).toEqual([]);
    expect((await page(server, "nobody", "other=1&limit=1000")).status).toBe(200);
  });
});

describe.skipIf(!OWNED)("one stream of a listing", () => {
  const fixture = useServer({ settings: { "shard.count": 4, "shard.flush_idle": "1h", "segment.max_messages": 1000 } });
  const show = async (name) => (await call(`${fixture.server.url}/v1/streams/${name}`)).json();
  const json = { "content-type": "application/json" };

  test("has what it is subscribed to, who is subscribed, its forks and its live readers", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    await streams.create("look/source", { type: "application/json" });
    for (const estuaryId of ["user-1", "user-2"])
      await call(`${server.url}/v1/estuary/subscribe/look/source`, "POST", { headers: json, body: JSON.stringify({ estuaryId }) });
    await streams.append("look/source", "[1,2,3]", { type: "application/json" });
    await streams.fork("look/fork", "look/source");
    const reader = EventReader.open(streams.url("look/source"), { query: { offset: "-1" } });
    await until("the reader", () => reader.events.length);
    expect(await show("look/source")).toMatchObject({
      name: "source",
      nextOffset: place(3),
      subscribers: 2,
      subscribedTo: { count: 0, first: [] },
      forks: 1,
      readers: { here: 1, routers: 1 },
    });
    reader.close();
    await until("the reader to be gone", async () => (await show("look/source")).readers.here === 0);
    expect(await show("look/user-1")).toMatchObject({ estuary: true, subscribedTo: { count: 1, first: ["source"] } });
    expect(await show("look/fork")).toMatchObject({ fork: true, forkedFrom: "look/source", forkedAt: place(3), nextOffset: place(3) });
  });

  test("has producers of any name", async () => {
    const ids = ["project/chapter 1, \"a+b=\"\\@", "caf\u00c3\u00a9", "\u00ff", "x".repeat(1024)]; // as bytes
    const streams = new Streams(fixture.server);
    await streams.create("look/produced");
    for (const id of ids)
      for (const status of [200, 204])
        expect((await streams.produce("look/produced", "x", { id, seq: 0 })).status).toBe(status);
    const { producers } = await show("look/produced");
    expect(producers.first.map(({ id }) => id).sort()).toEqual([ids[0], "café", "\ufffd", ids[3]].sort());
  });

  test("has its producers, in memory and in the store, and what it weighs in each tier", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    await streams.create("look/weighed");
    for (let i = 0; i < 120; i++) await streams.produce("look/weighed", "12345", { id: `p${i}`, epoch: 1, seq: 0 });
    await streams.produce("look/weighed", "12345", { id: "p7", epoch: 1, seq: 1 });
    const check = async (tiers) => {
      const shown = await show("look/weighed");
      expect(shown).toMatchObject({ bytes: 605, nextOffset: place(605), closed: false });
      expect(shown.log.bytes + shown.chunks.bytes + shown.segments.bytes).toBe(605);
      expect(shown).toMatchObject(tiers);
      expect(shown.producers.count).toBe(120);
      expect(shown.producers.first).toHaveLength(100);
      expect(new Set(shown.producers.first.map(({ id }) => id)).size).toBe(100);
      const seventh = shown.producers.first.find(({ id }) => id === "p7");
      if (seventh) expect(seventh).toEqual({ id: "p7", epoch: 1, seq: 1 });
    };
    await check({ log: { bytes: 605 }, chunks: { messages: 0, bytes: 0 }, segments: { count: 0 } });
    await server.restartChild("shard", (await show("look/weighed")).shard);
    await check({ log: { bytes: 605 } });
    await server.stop();
    await server.start({ "shard.flush_idle": "10ms" });
    await until("it to be settled", async () => (await show("look/weighed")).log.bytes === 0);
    await check({ log: { entries: 0 }, chunks: { messages: 121, bytes: 605 } });
    await streams.close("look/weighed");
    await until("it to be a segment", async () => (await show("look/weighed")).segments.count === 1);
    const { segments, chunks } = await show("look/weighed");
    expect([segments.bytes, chunks.bytes, segments.stored > 0]).toEqual([605, 0, true]);
  }, 30_000 * PATIENCE);

  test("is 404 where there is none, and 410 where only forks hold it", async () => {
    const streams = new Streams(fixture.server);
    const status = async (name) => (await call(`${fixture.server.url}/v1/streams/${name}`)).status;
    await streams.create("look/held", { body: "x" });
    await streams.fork("look/holds", "look/held");
    await streams.remove("look/held");
    expect([await status("look/none"), await status("look/held"), await status("look/holds"), await status("look/")]).toEqual([
      404, 410, 200, 400,
    ]);
    await streams.create("look/%2Fodd%20%C3%BC");
    expect((await show("look/%2Fodd%20%C3%BC")).name).toBe("/odd%20%C3%BC");
  });
});

describe.skipIf(!OWNED)("a listing while streams come and go", () => {
  const fixture = useServer({
    settings: { "shard.count": 4, "shard.flush_idle": "20ms", "shard.memory_streams": 16, "router.workers": 2 },
  });

  test("is what the clients know, after each of many changes and over crashes", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    const model = new Map();
    let seed = 7, made = 0;
    const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
    const any = () => [...model.keys()][random(model.size)];
    for (let round = 0; round < 40; round++) {
      for (let i = 0; i < 12; i++) {
        const what = random(10);
        if (what < 5 || model.size < 3) {
          const name = `n${random(1000)}-${made++}`;
          expect((await streams.create(`model/${name}`)).status).toBe(201);
          model.set(name, { next: 0, closed: false });
        } else if (what < 7) {
          const name = any();
          if (model.get(name).closed) continue;
          expect((await streams.append(`model/${name}`, "abc")).status).toBe(204);
          model.get(name).next += 3;
        } else if (what < 8) {
          const name = any();
          await streams.close(`model/${name}`);
          model.get(name).closed = true;
        } else {
          const name = any();
          expect((await streams.remove(`model/${name}`)).status).toBe(204);
          model.delete(name);
        }
      }
      if (round % 13 === 12) await server.restartChild("shard", random(4));
      else if (round % 4 === 3) await sleep(60); // some are settled
      const listed = (await list(server, "model", { limit: 50 })).streams;
      const wanted = [...model].sort(([a], [b]) => (a < b ? -1 : 1));
      expect(listed.map(({ name, nextOffset, closed }) => [name, nextOffset, closed])).toEqual(
        wanted.map(([name, { next, closed }]) => [name, place(next), closed]),
      );
    }
  }, 60_000 * PATIENCE);

  test("does not show what has expired, or what only forks hold", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    await streams.create("ends/short", { headers: { "stream-ttl": "1" } });
    await streams.create("ends/source", { body: "x" });
    await streams.fork("ends/fork", "ends/source");
    expect(await names(server, "ends")).toEqual(["fork", "short", "source"]);
    await streams.remove("ends/source");
    expect(await names(server, "ends")).toEqual(["fork", "short"]);
    await until("the TTL to pass", async () => (await names(server, "ends")).length === 1);
    expect((await streams.head("ends/short")).status).toBe(404);
    await streams.create("ends/watched", { headers: { "stream-ttl": "1" } });
    const reader = EventReader.open(streams.url("ends/watched"), { query: { offset: "-1" } });
    await until("the reader", () => reader.events.length);
    await sleep(1500);
    expect(await names(server, "ends")).toEqual(["fork", "watched"]); // as whoever reads it sees it
    reader.close();
  });

  test("waits for a shard that is away, and says so after router.shard_wait", async () => {
    const { server } = fixture;
    const before = await names(server, "model");
    const { pid } = server.child("shard", 2);
    process.kill(pid, "SIGKILL");
    expect(await names(server, "model")).toEqual(before);
  });
});

describe.skipIf(!OWNED)("a shard that stays away", () => {
  let server;
  beforeAll(async () => {
    server = await Server.start({ settings: { "shard.count": 2, "router.shard_wait": "200ms", "server.restart_delay": "20s" } });
  });
  afterAll(() => server.close());

  test("makes it 503", async () => {
    process.kill(server.child("shard", 1).pid, "SIGKILL");
    await until("the shard to be gone", () => !server.child("shard", 1));
    const answer = await page(server, "p");
    expect([answer.status, answer.json().code]).toEqual([503, "SHARD_UNAVAILABLE"]);
    expect(answer.headers.get("retry-after")).toBe("1");
  });
});

describe.skipIf(!OWNED)("listings that nobody takes", () => {
  const fixture = useServer({ settings: { "router.answer_memory": "1M", "shard.count": 2 } });

  test("do not fill more memory than answers may", async () => {
    const { server } = fixture;
    const names = Array.from({ length: 1000 }, (_, i) => `${"n".repeat(200)}${i}`);
    await together(names, (name) => call(`${server.url}/v1/stream/full/${name}`, "PUT", { headers: text }));
    const get = (path) => `GET /v1/streams/full${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const requests = (get("?limit=1000") + get(`/${names[0]}`)).repeat(100);
    const greedy = Array.from({ length: 20 }, () => {
      const socket = connect(server.port, "127.0.0.1").on("error", () => {}).pause();
      socket.write(requests);
      return socket;
    });
    // They are told so behind what they do not take; where that is counted shows it.
    for (const route of ["streams", "show"]) {
      const refused = async () => valueOf(await scrape(server.url), "requests_total", { route, status: "503" });
      await until(`a refusal of ${route}`, async () => (await refused()) > 0, 30_000);
    }
    const status = async (query) => (await page(server, "full", query)).status;
    greedy.forEach((socket) => socket.destroy());
    await until("the memory to be free", async () => (await status("limit=1000")) === 200, 30_000);
  }, 90_000 * PATIENCE);
});

describe.skipIf(!OWNED)("whoever may list", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt" } });
  const bearer = (token) => ({ authorization: `Bearer ${token}` });

  test("has a token of the project's with the scope manage", async () => {
    const { server } = fixture;
    for (const project of ["acme", "other"]) server.command("create-project", project);
    const token = (project, scope, ...more) =>
      server.command("token", "--project", project, "--scope", scope, "--ttl", "1h", ...more).out;
    const manage = bearer(token("acme", "manage"));
    await call(`${server.url}/v1/stream/acme/s`, "PUT", { headers: { ...text, ...manage } });
    const status = async (headers) => (await page(server, "acme", "", headers)).status;
    expect(await status({})).toBe(401);
    expect(await status(bearer("nonsense"))).toBe(401);
    expect(await status(bearer(token("acme", "read")))).toBe(403);
    expect(await status(bearer(token("acme", "write")))).toBe(403);
    expect(await status(bearer(token("acme", "manage", "--stream", "s")))).toBe(403);
    expect(await status(bearer(token("other", "manage")))).toBe(401);
    const shown = async (headers) => (await call(`${server.url}/v1/streams/acme/s`, "GET", { headers })).status;
    expect(await shown({})).toBe(401);
    expect(await shown(bearer(token("acme", "write")))).toBe(403);
    expect(await shown(bearer(token("acme", "manage", "--stream", "other")))).toBe(403);
    expect(await shown(bearer(token("acme", "manage", "--stream", "s")))).toBe(200);
    const answer = await page(server, "acme", "", manage);
    expect([answer.status, answer.json().streams.map(({ name }) => name)]).toEqual([200, ["s"]]);
  });

  test("but a token for some of the streams does not learn of others by what they have to do with these", async () => {
    const { server } = fixture;
    server.command("create-project", "narrow");
    const token = (...more) =>
      bearer(server.command("token", "--project", "narrow", "--scope", "manage", "--ttl", "1h", ...more).out);
    const all = token();
    const put = (name, headers) => call(`${server.url}/v1/stream/narrow/${name}`, "PUT", { headers: { ...all, ...headers } });
    await put("hidden", text);
    await put("mine-fork", { "stream-forked-from": "/v1/stream/narrow/hidden" });
    await call(`${server.url}/v1/estuary/subscribe/narrow/hidden`, "POST", {
      headers: { ...all, "content-type": "application/json" },
      body: JSON.stringify({ estuaryId: "mine-estuary" }),
    });
    const show = async (name, headers) => (await call(`${server.url}/v1/streams/narrow/${name}`, "GET", { headers })).json();
    expect(await show("mine-fork", all)).toMatchObject({ fork: true, forkedFrom: "narrow/hidden" });
    expect(await show("mine-estuary", all)).toMatchObject({ subscribedTo: { count: 1, first: ["hidden"] } });
    const narrow = token("--stream", "mine*");
    const fork = await show("mine-fork", narrow), estuary = await show("mine-estuary", narrow);
    expect([fork, estuary]).toMatchObject([{ fork: true, forkedAt: place(0) }, { subscribedTo: { count: 1, first: [] } }]);
    expect(JSON.stringify([fork, estuary])).not.toContain("hidden");
  });
});
