// Forks whose source lives on another shard, their ends, and the ends of their sources.

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { nameOnShard, shardOf } from "../lib/layout.mjs";
import { OWNED } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { START, Streams, freshName, place } from "../lib/streams.mjs";
import { until } from "../lib/wait.mjs";

const SHARDS = 4;
const fixture = useServer({ settings: { "shard.count": SHARDS, "limits.fork_depth": "5", "server.restart_delay": "50ms" } });
const streams = () => new Streams(fixture.server);
const textOf = async (name) => (await streams().readAll(name)).bytes.toString();

// Names on shard `shard`, or any name when the server is not ours to look into.
const onShard = (shard, about) => (OWNED ? nameOnShard(fixture.server, shard % SHARDS, about) : freshName(about));

async function sourceAndFork(body, headers, type) {
  const source = onShard(0, "source");
  const fork = onShard(1, "fork");
  await streams().create(source, { type, body });
  expect((await streams().fork(fork, source, headers)).status).toBe(201);
  return [source, fork];
}

test.skipIf(!OWNED)("the helper knows where streams live", async () => {
  const { server } = fixture;
  const names = Array.from({ length: SHARDS }, (_, shard) => nameOnShard(server, shard, "where"));
  for (const name of names) await streams().create(name, { body: name });
  expect(names.map((name) => shardOf(server, name))).toEqual([0, 1, 2, 3]);
  process.kill(server.child("shard", 2).pid, "SIGSTOP");
  const answers = names.map((name) => streams().head(name).then(({ status }) => status, () => 0));
  expect(await Promise.all([answers[0], answers[1], answers[3]])).toEqual([200, 200, 200]);
  const early = await Promise.race([answers[2], new Promise((resolve) => setTimeout(resolve, 300, "waits"))]);
  process.kill(server.child("shard", 2).pid, "SIGCONT");
  expect(early).toBe("waits");
  expect(await answers[2]).toBe(200);
});

describe("reading", () => {
  test("a fork is its source up to the fork offset and then its own", async () => {
    const [source, fork] = await sourceAndFork("0123456789", { at: 4 });
    await streams().append(source, "source");
    const answer = await streams().append(fork, "fork");
    expect([answer.status, answer.next]).toEqual([204, place(8)]);
    expect(await textOf(fork)).toBe("0123fork");
    expect(await textOf(source)).toBe("0123456789source");
    expect((await streams().read(fork, { offset: streams().at(fork, 2) })).text).toMatch(/^23/);
    expect((await streams().readAll(fork, streams().at(fork, 2))).bytes.toString()).toBe("23fork");
    expect((await streams().readAll(fork, streams().at(fork, 6))).bytes.toString()).toBe("rk");
  });

  test("without an offset it starts at the source's tail; with START it is empty", async () => {
    const [source, whole] = await sourceAndFork("all of it");
    const none = onShard(2, "fork");
    await streams().fork(none, source, { "stream-fork-offset": START });
    expect([await textOf(whole), await textOf(none)]).toEqual(["all of it", ""]);
  });

  test("sub-offsets: bytes, and messages of JSON", async () => {
    const [, bytes] = await sourceAndFork("0123456789", { "stream-fork-offset": START, "stream-fork-sub-offset": "3" });
    expect(await textOf(bytes)).toBe("012");
    const json = await sourceAndFork(
      "[1,2,3,4]",
      { "stream-fork-offset": START, "stream-fork-sub-offset": "3" },
      "application/json",
    );
    expect(JSON.parse(await textOf(json[1]))).toEqual([1, 2, 3]);
  });

  test("a large source comes in pages across shards", async () => {
    const source = onShard(0, "source");
    await streams().create(source, { type: "application/json" });
    const items = Array.from({ length: 40 }, (_, n) => ({ n, pad: "x".repeat(100_000) }));
    for (const item of items) await streams().append(source, JSON.stringify(item), { type: "application/json" });
    const fork = onShard(3, "fork");
    await streams().fork(fork, source, { at: 30 });
    await streams().append(fork, '{"n":"own"}', { type: "application/json" });
    const { pages } = await streams().readAll(fork);
    expect(pages.flatMap((page) => JSON.parse(page)).map(({ n }) => n)).toEqual([
      ...Array.from({ length: 30 }, (_, n) => n),
      "own",
    ]);
  });

  test("live readers of a fork see inherited data, then the fork's own and never the source's", async () => {
    const [source, fork] = await sourceAndFork("inherited,");
    const reader = EventReader.open(streams().url(fork), { query: { offset: "-1" } });
    await reader.upToDate();
    const poll = streams().longPoll(fork, streams().at(fork, 10));
    await streams().append(source, "SOURCE");
    await streams().append(fork, "own");
    expect((await poll).text).toBe("own");
    await reader.see("the fork's own data", () => reader.data.join("") === "inherited,own");
    reader.close();
  });
});

describe("chains", () => {
  test("forks of forks across all shards, down to the limit", async () => {
    const names = [onShard(0, "root")];
    await streams().create(names[0], { body: "0," });
    for (let depth = 1; depth <= 5; depth++) {
      const name = onShard(depth, "fork");
      const { status } = await streams().fork(name, names.at(-1));
      expect([depth, status]).toEqual([depth, 201]);
      await streams().append(name, `${depth},`);
      names.push(name);
    }
    for (const [depth, name] of names.entries())
      expect(await textOf(name)).toBe(Array.from({ length: depth + 1 }, (_, i) => `${i},`).join(""));
    const tooDeep = await streams().fork(onShard(2, "deep"), names.at(-1));
    expect([tooDeep.status, tooDeep.json().code]).toEqual([400, "FORK_TOO_DEEP"]);
  });

  test("deleting from the top soft-deletes; the last fork's end frees them all", async () => {
    const names = [onShard(0, "root"), onShard(1, "middle"), onShard(2, "leaf")];
    await streams().create(names[0], { body: "a" });
    await streams().fork(names[1], names[0]);
    await streams().append(names[1], "b");
    await streams().fork(names[2], names[1]);
    for (const name of names.slice(0, 2)) expect((await streams().remove(name)).status).toBe(204);
    for (const name of names.slice(0, 2)) {
      const answers = [streams().read(name), streams().head(name), streams().append(name, "x"), streams().remove(name)];
      expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([410, 410, 410, 410]);
      const again = await streams().create(name);
      expect([again.status, again.json().code]).toEqual([409, "STREAM_SOFT_DELETED"]);
      const fork = await streams().fork(freshName(), name);
      expect([fork.status, fork.json().code]).toEqual([409, "FORK_SOURCE_GONE"]);
    }
    expect(await textOf(names[2])).toBe("ab");
    expect((await streams().remove(names[2])).status).toBe(204);
    for (const name of names)
      await until(`${name} to be gone`, async () => (await streams().head(name)).status === 404);
    for (const name of names) expect((await streams().create(name)).status).toBe(201);
  });

  test("a source with two forks waits for both", async () => {
    const [source, first] = await sourceAndFork("data");
    const second = onShard(3, "fork");
    await streams().fork(second, source);
    await streams().remove(source);
    await streams().remove(first);
    expect((await streams().head(source)).status).toBe(410);
    expect(await textOf(second)).toBe("data");
    await streams().remove(second);
    await until("the source to be gone", async () => (await streams().head(source)).status === 404);
  });
});

// What is answered must not depend on which shards the streams of a chain are in.
describe.skipIf(!OWNED).each([1, 2, 3, 5])("sub-offsets into inherited appends, %i shards", (shards) => {
  const own = useServer({ settings: { "shard.count": shards, "segment.max_messages": 4, "shard.flush_idle": "50ms" } });
  const places = Array.from({ length: shards }, (_, shard) => shard);
  const all = new Streams({ get url() { return own.server.url; } });
  const fork = async (name, source, at, sub) => {
    const headers = { at, "stream-fork-sub-offset": `${sub}` };
    const answer = await all.fork(name, source, headers);
    return answer.status === 201 ? 201 : [answer.status, answer.json().code];
  };
  const PAST = [400, "INVALID_FORK_SUB_OFFSET"];

  test.each([
    ["application/json", "[1,2]", "[3]", '["own"]'],
    ["text/plain", "12", "3", "o"],
  ])("%s: of forks and of forks of forks, wherever they are", async (type, first, second, mine) => {
    const root = nameOnShard(own.server, 0, "root");
    await all.create(root, { type });
    for (const body of [first, second]) await all.append(root, body, { type });
    for (const middle of places)
      for (const leaf of places) {
        const forks = [nameOnShard(own.server, middle, "fork"), nameOnShard(own.server, leaf, "fork")];
        await all.fork(forks[0], root);
        await all.append(forks[0], mine, { type });
        await all.fork(forks[1], forks[0]);
        for (const source of forks) {
          const made = (offset, sub) => fork(nameOnShard(own.server, (middle + leaf) % shards, "leaf"), source, offset, sub);
          expect([await made(0, 1), await made(0, 2), await made(1, 1), await made(2, 1), await made(3, 1)]).toEqual(
            [201, 201, 201, 201, 201]);
          expect([await made(0, 3), await made(0, 4), await made(1, 2), await made(2, 2), await made(3, 2)]).toEqual(
            [PAST, PAST, PAST, PAST, PAST]);
        }
        // A fork inside an append: its boundary is where the fork's own begin.
        const inside = nameOnShard(own.server, middle, "inside");
        expect(await fork(inside, root, 0, 1)).toBe(201);
        await all.append(inside, second, { type });
        const end = nameOnShard(own.server, leaf, "leaf");
        expect([await fork(end, inside, 0, 2), await fork(end, inside, 0, 1)]).toEqual([PAST, 201]);
        expect((await all.readAll(end)).bytes.toString()).toBe(type === "text/plain" ? "1" : "[1]");
      }
  });
});

describe("what a fork takes over and what not", () => {
  test("not the closure, not the producers, not Stream-Seq", async () => {
    const source = onShard(0, "source");
    await streams().create(source);
    await streams().produce(source, "a", { epoch: 3, seq: 0, headers: { "stream-seq": "zzz" } });
    await streams().close(source);
    const fork = onShard(1, "fork");
    expect((await streams().fork(fork, source)).status).toBe(201);
    expect((await streams().head(fork)).headers.get("stream-closed")).toBeNull();
    const answer = await streams().produce(fork, "b", { epoch: 0, seq: 0, headers: { "stream-seq": "a" } });
    expect(answer.status).toBe(200);
    expect(await textOf(fork)).toBe("ab");
  });

  test("the TTL, unless it brings its own", async () => {
    const source = onShard(0, "source");
    await streams().create(source, { headers: { "stream-ttl": "100" } });
    const [inherits, own] = [onShard(1, "fork"), onShard(2, "fork")];
    await streams().fork(inherits, source);
    await streams().fork(own, source, { "stream-ttl": "7" });
    expect((await streams().head(inherits)).headers.get("stream-ttl")).toBe("100");
    expect((await streams().head(own)).headers.get("stream-ttl")).toBe("7");
  });

  test("an expired source keeps its data for its forks", async () => {
    const source = onShard(0, "source");
    await streams().create(source, { body: "kept", headers: { "stream-ttl": "1" } });
    const fork = onShard(1, "fork");
    await streams().fork(fork, source, { "stream-ttl": "100" });
    await until("the source to expire", async () => (await streams().head(source)).status !== 200);
    expect(await textOf(fork)).toBe("kept");
  });
});

test.skipIf(!OWNED)("forks live through the death of every shard", async () => {
  const { server } = fixture;
  const [source, fork] = await sourceAndFork("shared,");
  await streams().append(fork, "own");
  await streams().remove(source);
  for (let shard = 0; shard < SHARDS; shard++) await server.restartChild("shard", shard);
  expect(await textOf(fork)).toBe("shared,own");
  expect((await streams().head(source)).status).toBe(410);
  await streams().remove(fork);
  for (let shard = 0; shard < SHARDS; shard++) await server.restartChild("shard", shard);
  await until("the source to be gone", async () => (await streams().head(source)).status === 404);
});
