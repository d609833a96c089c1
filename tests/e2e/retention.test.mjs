// Streams that keep what is newer only.

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call, freshName, place, positionOf, Streams } from "../lib/streams.mjs";
import { SLOW, sleep, until } from "../lib/wait.mjs";

const JSON_TYPE = "application/json";
const SETTINGS = { "segment.max_messages": 10, "segment.max_bytes": "64K", "shard.flush_idle": "20ms" };
const PAD = "x".repeat(1000);

describe.skipIf(!OWNED).each([[1], [4]])("retention with %i shards", (shards) => {
  let server, streams;
  beforeAll(async () => {
    server = await Server.start({ settings: { ...SETTINGS, "shard.count": shards, "fanout.inline_limit": 0 } });
    streams = new Streams(server);
  });
  afterAll(() => server.close());

  const keeping = (about, headers) => streams.fresh(about, { type: JSON_TYPE, headers });
  const put = async (name, from, to) => {
    for (let n = from; n < to; n++)
      expect((await streams.append(name, JSON.stringify({ n, pad: PAD }), { type: JSON_TYPE })).status).toBe(204);
  };
  const earliest = async (name) => positionOf((await streams.head(name)).headers.get("stream-earliest-offset"));
  // The first that is there when no more goes.
  const settled = async (name) => {
    for (let last = -1; ; await sleep(500 * SLOW)) {
      const first = await earliest(name);
      if (first === last) return first;
      last = first;
    }
  };
  const numbersOf = (answer) => answer.json().map(({ n }) => n);
  const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
  const all = async (name, from = "-1") => {
    const { pages } = await streams.readAll(name, from);
    return pages.flatMap((page) => JSON.parse(page.toString()).map(({ n }) => n));
  };

  test("by bytes: the oldest segments go, and at least so much stays", async () => {
    const name = await keeping("bytes", { "stream-retention-bytes": "40000" });
    await put(name, 0, 120);
    await until("something to go", async () => (await earliest(name)) >= 70);
    const first = await settled(name);
    expect(first).toBeLessThanOrEqual(80); // 40 messages are more than 40,000 bytes
    expect(await all(name)).toEqual(range(first, 120));
    expect(await all(name, streams.at(name, first))).toEqual(range(first, 120));
    expect(numbersOf(await streams.read(name))).toEqual(range(first, 120));

    const gone = await streams.read(name, { offset: streams.at(name, first - 1) });
    expect(gone.status).toBe(410);
    expect(gone.json().code).toBe("OFFSET_GONE");
    expect(gone.headers.get("stream-earliest-offset")).toEqual(place(first));
    expect(gone.headers.get("cache-control")).toBe("no-store");
    for (const live of ["long-poll", "sse"]) {
      const refused = await streams.read(name, { offset: streams.at(name, 0), live });
      expect(refused.status).toBe(410);
      expect(refused.headers.get("stream-earliest-offset")).toEqual(place(first));
    }
    const head = await streams.head(name);
    expect(head.headers.get("stream-retention-bytes")).toBe("40000");
    expect(head.headers.get("stream-retention-seconds")).toBe(null);
    expect(head.next).toEqual(place(120));
    await streams.remove(name);
  });

  test("readers begin at the first that is there, and go on live", async () => {
    const name = await keeping("live", { "stream-retention-bytes": "20000" });
    await put(name, 0, 60);
    await until("something to go", async () => (await earliest(name)) > 0);
    const poll = await streams.read(name, { offset: "-1", live: "long-poll" });
    expect(poll.status).toBe(200);
    const reader = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await reader.upToDate();
    await put(name, 60, 61);
    await reader.see("what is new", ({ data }) => data.some((text) => text.includes('"n":60')));
    expect(JSON.parse(reader.data[0])[0].n).toBeGreaterThan(0);
    reader.close();
    await streams.remove(name);
  });

  test("by time: also what does not fill a segment", async () => {
    const name = await keeping("time", { "stream-retention-seconds": "1" });
    await put(name, 0, 3);
    const began = Date.now();
    await until("all of it to go", async () => (await earliest(name)) === 3, 15_000);
    expect(Date.now() - began).toBeGreaterThan(900);
    const empty = await streams.read(name, { offset: "-1" });
    expect([empty.status, empty.text, empty.next]).toEqual([200, "[]", place(3)]);
    expect((await streams.read(name, { offset: streams.at(name, 2) })).status).toBe(410);
    await put(name, 3, 4);
    expect(await all(name)).toEqual([3]);
    await streams.remove(name);
  });

  test("what is new stays, and nothing goes without a retention", async () => {
    const young = await keeping("young", { "stream-retention-seconds": "3600" });
    const old = await keeping("old");
    for (const name of [young, old]) await put(name, 0, 50);
    await sleep(1500);
    expect(await earliest(young)).toBe(0);
    for (const name of [young, old]) expect(await all(name)).toEqual(range(0, 50));
    expect((await streams.head(old)).headers.get("stream-earliest-offset")).toBe(null);
    for (const name of [young, old]) await streams.remove(name);
  });

  test("a fork holds its source's history, and begins where that began", async () => {
    const name = await keeping("source", { "stream-retention-bytes": "20000" });
    await put(name, 0, 60);
    await until("something to go", async () => (await earliest(name)) > 0);
    const first = await settled(name);
    const refused = await streams.fork(freshName("late"), name, { at: first - 1 });
    expect([refused.status, refused.json().code]).toEqual([410, "OFFSET_GONE"]);
    expect(refused.headers.get("stream-earliest-offset")).toEqual(place(first));
    const fork = freshName("fork");
    expect((await streams.fork(fork, name)).status).toBe(201);
    expect(await earliest(fork)).toBe(first);
    expect((await streams.read(fork, { offset: streams.at(fork, first - 1) })).status).toBe(410);
    await put(name, 60, 120);
    await sleep(1000);
    expect(await all(fork)).toEqual(range(first, 60));
    expect(await all(name)).toEqual(range(first, 120));
    await streams.remove(fork);
    await until("the source to let go", async () => (await earliest(name)) > 80, 20_000);
    await streams.remove(name);
  });

  test("an estuary gets everything first", async () => {
    const [project, id] = (await keeping("feeding", { "stream-retention-bytes": "5000" })).split("/");
    const estuary = freshName("estuary").split("/")[1];
    const subscribed = await call(`${server.url}/v1/estuary/subscribe/${project}/${id}`, "POST", {
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ estuaryId: estuary }),
    });
    expect(subscribed.status).toBe(200);
    await put(`${project}/${id}`, 0, 60);
    await until("the estuary", async () => (await all(`${project}/${estuary}`)).length === 60);
    await until("something to go", async () => (await earliest(`${project}/${id}`)) > 40);
    expect(await all(`${project}/${estuary}`)).toEqual(range(0, 60));
    await call(`${server.url}/v1/estuary/${project}/${estuary}`, "DELETE");
    await streams.remove(`${project}/${id}`);
  });

  test("creation again wants the same, or says nothing of it", async () => {
    const headers = { "stream-retention-seconds": "60", "stream-retention-bytes": "1000" };
    const name = await keeping("again", headers);
    const create = (more) => streams.create(name, { type: JSON_TYPE, headers: more });
    expect((await create(headers)).status).toBe(200);
    expect((await create({})).status).toBe(200);
    for (const other of [{ ...headers, "stream-retention-bytes": "1001" }, { "stream-retention-seconds": "60" }]) {
      const answer = await create(other);
      expect([answer.status, answer.json().code]).toEqual([409, "STREAM_RETENTION_MISMATCH"]);
    }
    for (const bad of ["0", "-1", "1.5", "01", "", "x", "99999999999999999999"])
      for (const header of Object.keys(headers)) {
        const answer = await streams.create(freshName(), { headers: { [header]: bad } });
        expect([answer.status, answer.json().code]).toEqual([400, "INVALID_RETENTION"]);
      }
    await streams.remove(name);
  });

  test("a restart and another number of shards change nothing", async () => {
    const name = await keeping("restart", { "stream-retention-bytes": "30000" });
    const fresh = await keeping("unsettled", { "stream-retention-seconds": "7777" });
    await put(name, 0, 80);
    await until("something to go", async () => (await earliest(name)) >= 40);
    const first = await settled(name);
    for (const count of [shards + 1, shards]) {
      await server.stop();
      await server.start({ "shard.count": count });
      expect(await earliest(name)).toBe(first);
      expect(await all(name)).toEqual(range(first, 80));
      expect((await streams.read(name, { offset: streams.at(name, 0) })).status).toBe(410);
      expect((await streams.head(fresh)).headers.get("stream-retention-seconds")).toBe("7777");
    }
    await put(name, 80, 120);
    await until("more to go", async () => (await earliest(name)) > first);
    for (const left of [name, fresh]) await streams.remove(left);
  });

  test("no file is left behind", () =>
    until("no segments", () => !Object.keys(server.files()).some((file) => file.endsWith(".seg")), 20_000));
});

describe.skipIf(!OWNED)("a project's retention", () => {
  let server, streams, token;
  beforeAll(async () => {
    server = await Server.start({ settings: { ...SETTINGS, "auth.mode": "jwt" } });
    server.command("create-project", "test");
    token = server.command("token", "--project", "test", "--scope", "manage", "--ttl", "1h").out;
    streams = new Streams(server);
  });
  afterAll(() => server.close());

  test("is that of streams which do not say another", async () => {
    const authorization = `Bearer ${token}`;
    const url = `${server.url}/v1/config/test`;
    const config = (await call(url, "GET", { headers: { authorization } })).json();
    const set = (retention) =>
      call(url, "PUT", {
        headers: { authorization },
        body: JSON.stringify({ signingSecrets: config.signingSecrets, retention }),
      });
    for (const bad of [{ seconds: 0 }, { bytes: 1.5 }, { days: 1 }, 7]) {
      const refused = await set(bad);
      expect([refused.status, refused.json().code]).toEqual([400, "INVALID_CONFIG"]);
      expect(refused.json().error).toContain("retention");
    }
    expect((await set({ seconds: 86400, bytes: 20000 })).status).toBe(200);
    expect((await call(url, "GET", { headers: { authorization } })).json().retention).toEqual({
      seconds: 86400,
      bytes: 20000,
    });
    const plain = freshName("plain");
    await until("the routers to know", async () => {
      await streams.create(plain, { headers: { authorization } });
      const head = await call(streams.url(plain), "HEAD", { headers: { authorization } });
      return (
        head.headers.get("stream-retention-seconds") === "86400" ||
        !(await call(streams.url(plain), "DELETE", { headers: { authorization } }))
      );
    });
    const head = await call(streams.url(plain), "HEAD", { headers: { authorization } });
    expect(head.headers.get("stream-retention-bytes")).toBe("20000");
    const usage = async () => (await call(`${server.url}/v1/usage/test`, "GET", { headers: { authorization } })).json();
    for (let i = 0; i < 60; i++) await streams.append(plain, PAD, { headers: { authorization } });
    await until("usage to shrink", async () => (await usage()).bytes < 45_000);
    const own = freshName("own");
    await streams.create(own, { headers: { authorization, "stream-retention-bytes": "5" } });
    const ownHead = await call(streams.url(own), "HEAD", { headers: { authorization } });
    expect(ownHead.headers.get("stream-retention-bytes")).toBe("5");
    expect(ownHead.headers.get("stream-retention-seconds")).toBe(null);
  });
});
