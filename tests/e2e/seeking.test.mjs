// Reads that begin at the end, end at an offset, or begin at a time: held against a full read by the official client.

import { DurableStream, stream } from "@durable-streams/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { nameOnShard } from "../lib/layout.mjs";
import { scrape, valueOf } from "../lib/metrics.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call, Streams } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const JSON_TYPE = "application/json";
const TEXT = "text/plain";
const start = (answer) => answer.headers.get("stream-start-offset");
const atStart = (answer) => answer.headers.get("stream-at-start");

// Every message of a stream, as the official client reads it: of a text stream, whose messages end with ";".
async function whole(streams, name, type) {
  const all = await stream({ url: streams.url(name), live: true, offset: "-1", signal: AbortSignal.timeout(60_000) });
  return type === JSON_TYPE ? all.json() : (await all.text()).match(/[^;]*;/g) ?? [];
}
const messagesOf = (answer, type) => (type === JSON_TYPE ? answer.json() : (answer.text.match(/[^;]*;/g) ?? []));
const message = (type, n) => (type === JSON_TYPE ? JSON.stringify([{ n, pad: "x".repeat(n % 7) }]) : `${n}${"x".repeat(n % 7)};`);

async function put(streams, name, type, from, to) {
  for (let n = from; n < to; n++) {
    const answer = await streams.append(name, message(type, n), { type });
    if (answer.status !== 204) throw new Error(`append: ${answer.status} ${answer.text}`);
  }
}

// Holds tail, before and the way on from both against all messages that the stream has.
async function holdAgainst(streams, name, type, all) {
  const counts = [1, 2, 3, 5, 9, 10, 11, 20, 31, all.length - 1, all.length, all.length + 7].filter((n) => n > 0);
  const read = (query) => streams.read(name, query);
  for (const n of counts) {
    const last = await read({ tail: `${n}` });
    expect([n, last.status, messagesOf(last, type)]).toEqual([n, 200, all.slice(-n)]);
    expect([n, atStart(last)]).toEqual([n, n >= all.length ? "true" : null]);
    expect(last.headers.get("cache-control")).toBe("no-store");
    expect(messagesOf(await read({ offset: start(last) }), type)).toEqual(all.slice(-n));
    const few = await read({ tail: `${n}`, limit: "2" });
    expect(messagesOf(few, type)).toEqual(all.slice(-n).slice(0, 2));
  }
  for (const n of [1, 4, 17, all.length]) {
    let [before, left] = [(await read({ tail: "0" })).next, all.length];
    for (let answer; left; left -= Math.min(n, left)) {
      answer = await read({ before, n: `${n}` });
      expect([n, left, answer.status, messagesOf(answer, type)]).toEqual([n, left, 200, all.slice(Math.max(0, left - n), left)]);
      expect(answer.next).toBe(before);
      expect(atStart(answer)).toBe(left <= n ? "true" : null);
      before = start(answer);
    }
    const nothing = await read({ before, n: "1" });
    expect([messagesOf(nothing, type), start(nothing), nothing.next, atStart(nothing)]).toEqual([[], before, before, "true"]);
  }
}

const settings = { "segment.max_messages": 10, "shard.flush_idle": "20ms", "server.hang_timeout": "60s" };

describe.skipIf(!OWNED).each([[1], [4]])("with %i shards", (shards) => {
  let server, streams;
  beforeAll(async () => {
    server = await Server.start({ settings: { ...settings, "shard.count": shards } });
    streams = new Streams(server);
  });
  afterAll(() => server.close());
  const cold = (name, count) =>
    until("segments", async () => (await call(`${server.url}/v1/streams/${name}`)).json().segments.count >= count, 20_000);

  test.each([[JSON_TYPE], [TEXT]])("%s over segments, chunks and what is pending", async (type) => {
    const name = await streams.fresh("tiers", { type });
    await put(streams, name, type, 0, 47);
    await cold(name, 4);
    await sleep(150);
    await put(streams, name, type, 47, 50);
    await holdAgainst(streams, name, type, await whole(streams, name, type));
    await streams.close(name);
    const last = await streams.read(name, { tail: "3" });
    expect([last.headers.get("stream-closed"), last.headers.get("stream-up-to-date")]).toEqual(["true", "true"]);
    await holdAgainst(streams, name, type, await whole(streams, name, type));
    const poll = await streams.read(name, { tail: "0", live: "long-poll" });
    expect([poll.status, poll.headers.get("stream-closed"), start(poll)]).toEqual([204, "true", last.next]);
  });

  test.each([[JSON_TYPE], [TEXT]])("%s in forks of forks", async (type) => {
    const on = (shard) => nameOnShard(server, shard % shards, "fork");
    const names = [on(0), on(1), on(2), on(3)];
    await streams.create(names[0], { type });
    await put(streams, names[0], type, 0, 25);
    await cold(names[0], 2);
    await put(streams, names[0], type, 25, 27);
    for (let i = 1; i < names.length; i++) {
      const { next } = await streams.read(names[i - 1], { tail: "0" });
      const at = i === 2 ? start(await streams.read(names[1], { tail: "9" })) : next; // the second begins within the first's source
      expect((await streams.fork(names[i], names[i - 1], { "stream-fork-offset": at })).status).toBe(201);
      await put(streams, names[i], type, 30 * i, 30 * i + 4);
      await put(streams, names[i - 1], type, 900, 902); // which the fork does not have
    }
    for (const name of names) await holdAgainst(streams, name, type, await whole(streams, name, type));
  });

  test("a fork that begins inside an append", async () => {
    const [source, fork] = [nameOnShard(server, 0, "source"), nameOnShard(server, 1 % shards, "fork")];
    await streams.create(source, { body: "one;" });
    const { next } = await streams.append(source, "two;");
    await streams.append(source, "three;");
    expect((await streams.fork(fork, source, { "stream-fork-offset": next, "stream-fork-sub-offset": "3" })).status).toBe(201);
    await streams.append(fork, "own;");
    expect((await streams.read(fork, { tail: "1" })).text).toBe("own;");
    expect((await streams.read(fork, { tail: "2" })).text).toBe("thrown;"); // "thr" is a message of its own here
    const two = await streams.read(fork, { tail: "2" });
    expect((await streams.read(fork, { before: start(two), n: "1" })).text).toBe("two;");
  });

  test("what retention has left", async () => {
    const name = await streams.fresh("retention", { type: JSON_TYPE, headers: { "stream-retention-bytes": "2000" } });
    const earliest = async () => (await streams.head(name)).headers.get("stream-earliest-offset");
    const first = await earliest();
    for (let n = 0; n < 60; n++) await streams.append(name, JSON.stringify([{ n, pad: "x".repeat(100) }]), { type: JSON_TYPE });
    await until("something to go", async () => (await earliest()) !== first, 20_000);
    let all, gone;
    await until("nothing more to go", async () => {
      gone = await earliest();
      all = await whole(streams, name, JSON_TYPE);
      await sleep(300);
      return gone === (await earliest());
    }, 20_000);
    await holdAgainst(streams, name, JSON_TYPE, all);
    expect(start(await streams.read(name, { tail: "1000" }))).toBe(gone);
    expect((await streams.read(name, { before: first.replace(/.$/, "1"), n: "1" })).status).toBe(410);
  });

  test.each([[JSON_TYPE], [TEXT]])("%s since a time", async (type) => {
    const name = nameOnShard(server, 0, "since");
    const fork = nameOnShard(server, 1 % shards, "since");
    const times = [];
    const write = async (to, from, until) => {
      for (let n = from; n < until; n++) {
        await put(streams, to, type, n, n + 1);
        times.push(Number((await streams.read(to, { tail: "1" })).headers.get("stream-write-timestamp")));
        await sleep(5);
      }
    };
    await streams.create(name, { type });
    await write(name, 0, 23);
    await cold(name, 2);
    await write(name, 23, 25);
    await streams.fork(fork, name);
    await write(fork, 25, 30);
    const all = await whole(streams, fork, type);
    for (const [i, time] of times.entries()) {
      const answer = await streams.read(fork, { since: `${time}` });
      const found = messagesOf(answer, type);
      expect(found).toEqual(all.slice(i));
      expect(atStart(answer)).toBe(found.length === all.length ? "true" : null);
    }
    expect(messagesOf(await streams.read(fork, { since: "0" }), type)).toEqual(all);
    const later = await streams.read(fork, { since: new Date(Date.now() + 60_000).toISOString() });
    expect([later.status, messagesOf(later, type), start(later)]).toEqual([200, [], later.next]);
  });
});

// Estuaries of one shard share what they get, and each message has a time of its own.
test.skipIf(!OWNED)("estuaries since a time", async () => {
  const server = await Server.start({ settings: { "shard.count": 1, "shard.flush_idle": "20ms" } });
  const streams = new Streams(server);
  const source = "demo/source";
  await streams.create(source, { type: JSON_TYPE });
  for (const estuaryId of ["alice", "bob", "carol"]) {
    const answer = await call(`${server.url}/v1/estuary/subscribe/${source}`, "POST", { body: JSON.stringify({ estuaryId }) });
    expect(answer.status).toBe(200);
  }
  const times = [];
  for (let n = 0; n < 12; n++) {
    await streams.append(source, JSON.stringify([{ n, pad: "x".repeat(2000) }, { n: n + 0.5 }]), { type: JSON_TYPE });
    const last = async () => Number((await streams.read("demo/bob", { tail: "1" })).headers.get("stream-write-timestamp"));
    times.push(await until("the copy", async () => ((await last()) > (times.at(-1) ?? 0) ? last() : null)));
    await sleep(5);
  }
  await until("all to be flushed", async () => !valueOf(await scrape(server.url), "unflushed_appends"), 20_000);
  for (const [n, time] of times.entries())
    for (const since of [time, times[n - 1] === undefined ? 0 : times[n - 1] + 1]) {
      const answer = await streams.read("demo/bob", { since: `${since}` });
      expect(answer.json().map((one) => one.n)).toEqual(Array.from({ length: 24 - 2 * n }, (_, i) => n + i / 2));
    }
  await server.close();
});

describe("answers", () => {
  const fixture = useServer({ settings: { "limits.read_page": "4K", "limits.read_answer": "16K", "live.long_poll_timeout": "300ms" } });
  const streams = () => new Streams(fixture.server);

  test("a tail that is longer than an answer is read forwards", async () => {
    const name = await streams().fresh("long", { type: JSON_TYPE });
    const items = Array.from({ length: 300 }, (_, n) => ({ n, pad: "p".repeat(n) }));
    await streams().append(name, JSON.stringify(items), { type: JSON_TYPE });
    let answer = await streams().read(name, { tail: "250" });
    const found = answer.json();
    expect(found[0]).toEqual(items[50]);
    expect(answer.headers.get("stream-up-to-date")).toBeNull();
    while (!answer.headers.get("stream-up-to-date")) {
      answer = await streams().read(name, { offset: answer.next });
      found.push(...answer.json());
    }
    expect(found).toEqual(items.slice(50));
  });

  test("before keeps the newest messages that fit", async () => {
    const name = await streams().fresh("long", { type: JSON_TYPE });
    const items = Array.from({ length: 300 }, (_, n) => ({ n, pad: "p".repeat(n === 200 ? 9000 : n) }));
    await streams().append(name, JSON.stringify(items), { type: JSON_TYPE });
    let found = [];
    let [before, pages] = [(await streams().read(name, { offset: "now" })).next, 0];
    for (let answer; !answer || !atStart(answer); pages++) {
      answer = await streams().read(name, { before, n: "200" });
      expect(answer.next).toBe(before);
      expect(answer.bytes.length <= 4097 || answer.json().length === 1).toBe(true);
      found = [...answer.json(), ...found];
      before = start(answer);
    }
    expect(found).toEqual(items);
    expect(pages).toBeGreaterThan(10);
  });

  test("before is kept by caches, and is immutable once the stream went on", async () => {
    const name = await streams().fresh("cached", { type: JSON_TYPE, body: "[1,2,3,4]" });
    const { next } = await streams().read(name, { offset: "now" });
    const read = (headers) => streams().read(name, { before: next, n: "2" }, headers);
    const first = await read();
    expect(first.headers.get("cache-control")).toBe("public, max-age=60, stale-while-revalidate=300");
    expect(first.headers.get("stream-up-to-date")).toBe("true");
    await streams().append(name, "[5]", { type: JSON_TYPE });
    const second = await read();
    expect([second.json(), second.headers.get("etag")]).toEqual([[3, 4], first.headers.get("etag")]);
    expect(second.headers.get("cache-control")).toMatch(/immutable$/);
    expect(second.headers.get("stream-up-to-date")).toBeNull();
    const unchanged = await read({ "if-none-match": first.headers.get("etag") });
    expect([unchanged.status, start(unchanged), unchanged.next]).toEqual([304, start(second), next]);
    for (const query of [{ tail: "2" }, { since: "0" }]) {
      const answer = await streams().read(name, query, { "if-none-match": "*" });
      expect([answer.status, answer.headers.get("cache-control"), answer.headers.get("etag")]).toEqual([200, "no-store", null]);
    }
    const mortal = await streams().fresh("cached", { type: JSON_TYPE, body: "[1,2,3]", headers: { "stream-ttl": "3600" } });
    const { next: end } = await streams().read(mortal, { offset: "-1", limit: "2" });
    const answer = await streams().read(mortal, { before: end, n: "1" });
    expect([answer.json(), answer.headers.get("cache-control")]).toEqual([[2], "public, max-age=60"]);
  });

  test("questions that differ are not joined", async () => {
    const name = await streams().fresh("joined", { type: JSON_TYPE, body: "[0,1,2,3,4,5,6,7,8,9]" });
    const { next } = await streams().read(name, { offset: "now" });
    const asked = Array.from({ length: 60 }, (_, i) => [
      [{ tail: `${1 + (i % 5)}` }, [5, 6, 7, 8, 9].slice(4 - (i % 5))],
      [{ before: next, n: `${1 + (i % 5)}` }, [5, 6, 7, 8, 9].slice(4 - (i % 5))],
      [{ since: `${i % 2 ? 0 : 4e12}` }, i % 2 ? [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] : []],
      [{ offset: "now" }, []],
    ]).flat();
    const answers = await Promise.all(asked.map(([query]) => streams().read(name, query)));
    expect(answers.map((answer) => answer.json())).toEqual(asked.map(([, found]) => found));
  });

  test("one of offset, tail, before and since", async () => {
    const name = await streams().fresh("wrong", { body: "x" });
    const { next } = await streams().read(name, { offset: "now" });
    const wrong = [
      [{ offset: "-1", tail: "1" }, "INVALID_QUERY_PARAM", "offset and tail cannot be used together"],
      [{ tail: "1", since: "1" }, "INVALID_QUERY_PARAM", "tail and since cannot be used together"],
      [{ tail: "10001" }, "INVALID_QUERY_PARAM", "tail must be at most 10000 (limits.read_back)"],
      [{ before: next, n: "10001" }, "INVALID_QUERY_PARAM", "n must be at most 10000 (limits.read_back)"],
      [{ before: next }, "INVALID_QUERY_PARAM", "before needs n"],
      [{ before: next.replace(/.$/, "9"), n: "1" }, "OFFSET_BEYOND_TAIL", "tail"],
      [{ n: "1", offset: "-1" }, "INVALID_QUERY_PARAM", "n can be used with before only"],
      [{ live: "sse" }, "OFFSET_REQUIRED", "tail or since"],
    ];
    for (const [query, code, text] of wrong) {
      const answer = await streams().read(name, query);
      expect([query, answer.status, answer.json().code]).toEqual([query, 400, code]);
      expect(answer.json().error).toContain(text);
    }
  });

  test("a long-poll waits where it began", async () => {
    const name = await streams().fresh("poll", { type: JSON_TYPE });
    const nothing = await streams().read(name, { tail: "5", live: "long-poll" });
    expect([nothing.status, start(nothing), atStart(nothing)]).toEqual([204, nothing.next, "true"]);
    const waits = streams().read(name, { tail: "5", live: "long-poll" });
    await sleep(50);
    await streams().append(name, "[1,2]", { type: JSON_TYPE });
    const answer = await waits;
    expect([answer.status, answer.json(), start(answer)]).toEqual([200, [1, 2], nothing.next]);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect((await streams().read(name, { tail: "1", live: "long-poll" })).json()).toEqual([2]);
    expect((await streams().read(name, { since: "0", live: "long-poll", limit: "1" })).json()).toEqual([1]);
  });

  test("an event stream that comes back uses its last offset", async () => {
    const name = await streams().fresh("events", { type: JSON_TYPE, body: "[1,2,3,4]" });
    const first = EventReader.open(streams().url(name), { query: { tail: "2" } });
    await first.upToDate();
    expect([first.headers["stream-start-offset"].slice(-1), first.headers["stream-at-start"]]).toEqual(["2", undefined]);
    expect(first.data.flatMap((data) => JSON.parse(data))).toEqual([3, 4]);
    const { offset } = first;
    first.close();
    await streams().append(name, "[5]", { type: JSON_TYPE });
    const again = EventReader.open(streams().url(name), { query: { tail: "2" }, headers: { "last-event-id": offset } });
    await again.upToDate();
    expect(again.data.flatMap((data) => JSON.parse(data))).toEqual([5]);
    again.close();
  });

  // A writer that does not stop, and readers that come in at any moment.
  test.each([["long-poll"], ["sse"]])("%s goes on without a gap and without a duplicate", async (live) => {
    const name = await streams().fresh("live", { type: JSON_TYPE, body: "[0,1,2,3,4,5,6,7,8,9]" });
    let [n, writes] = [10, true];
    const writer = (async () => {
      for (; writes; n++) await streams().append(name, `[${n}]`, { type: JSON_TYPE });
      await streams().close(name);
    })();
    const follow = async (query) => {
      const found = [];
      if (live === "sse") {
        const reader = EventReader.open(streams().url(name), { query });
        await reader.see("the end", () => reader.ended !== null, 30_000);
        return reader.data.flatMap((data) => JSON.parse(data));
      }
      for (let at = query, answer; ; at = { offset: answer.next }) {
        answer = await streams().read(name, { ...at, live });
        if (answer.status === 200) found.push(...answer.json());
        if (answer.headers.get("stream-closed")) return found;
      }
    };
    const readers = [];
    for (let i = 0; i < 20; i++) {
      readers.push(follow({ tail: `${i % 8}` }), follow({ since: `${Date.now()}` }));
      await sleep(10);
    }
    writes = false;
    await writer;
    for (const [i, found] of (await Promise.all(readers)).entries()) {
      const from = n - found.length;
      expect([i, found]).toEqual([i, Array.from({ length: found.length }, (_, k) => from + k)]);
    }
  });
});

describe.skipIf(!OWNED)("a chat of 100,000 messages", () => {
  const fixture = useServer({ settings: { "shard.count": 1, "shard.flush_idle": "20ms" } });

  test("the last 200 are looked up, not searched for", async () => {
    const streams = new Streams(fixture.server);
    const looks = async () => valueOf(await scrape(fixture.server.url), "seek_looks_total");
    const chats = { [JSON_TYPE]: await streams.fresh("chat", { type: JSON_TYPE }), [TEXT]: await streams.fresh("chat") };
    for (let n = 0; n < 100_000; n += 1000) {
      const texts = Array.from({ length: 1000 }, (_, i) => ({ n: n + i, say: "something that people say in a chat" }));
      await streams.append(chats[JSON_TYPE], JSON.stringify(texts), { type: JSON_TYPE });
    }
    const producer = await DurableStream.connect({ url: streams.url(chats[TEXT]), contentType: TEXT });
    for (let n = 0; n < 5_000; n += 50)
      await Promise.all(Array.from({ length: 50 }, (_, i) => fetch(producer.url, { method: "POST", headers: { "content-type": TEXT }, body: `something ${n + i} said;` })));
    const pending = async () => valueOf(await scrape(fixture.server.url), "unflushed_appends");
    await until("all to be flushed", async () => !(await pending()), 20_000);
    for (const [type, name] of Object.entries(chats)) {
      const before = await looks();
      const took = [];
      for (let i = 0; i < 20; i++) {
        const began = performance.now();
        const answer = await streams.read(name, { tail: "200" });
        took.push(performance.now() - began);
        expect(messagesOf(answer, type).length).toBe(200);
      }
      const all = await looks();
      const each = (all - before) / 20;
      took.sort((a, b) => a - b);
      console.log(`${type}: the last 200 in ${took[10].toFixed(1)} ms (median of 20), with ${each} looks`);
      expect(each).toBeLessThanOrEqual(type === JSON_TYPE ? 0 : 20);
    }
  });
});
