// Another shard.count at the next start: every stream, producer, fork, expiry and offset is as it was.

import { expect, test } from "vitest";

import { shardOf } from "../lib/layout.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { START, Streams, freshName } from "../lib/streams.mjs";
import { PATIENCE, until } from "../lib/wait.mjs";

const JSON_TYPE = { type: "application/json" };

async function populate(streams) {
  const plain = [];
  for (let i = 0; i < 60; i++) {
    const name = await streams.fresh("plain");
    for (let k = 0; k <= i % 5; k++) await streams.append(name, `${i}.${k};`);
    plain.push(name);
  }
  const json = await streams.fresh("json", { ...JSON_TYPE, body: "[1,[2],{}]" });
  const large = await streams.fresh("large", { body: "x".repeat(3_000_000) });
  const closed = await streams.fresh("closed", { body: "end", headers: { "stream-closed": "true" } });
  const ttl = await streams.fresh("ttl", { headers: { "stream-ttl": "1000" } });
  const seq = await streams.fresh("seq");
  await streams.append(seq, "x", { headers: { "stream-seq": "m" } });
  const produced = await streams.fresh("produced");
  for (let i = 0; i < 3; i++) await streams.produce(produced, `${i};`, { epoch: 4, seq: i });
  const source = await streams.fresh("source", { body: "shared," });
  const forks = [];
  for (let i = 0; i < 10; i++) {
    const name = freshName("fork");
    await streams.fork(name, i ? forks.at(-1) : source);
    await streams.append(name, `${i},`);
    forks.push(name);
  }
  await streams.remove(source);
  const deleted = await streams.fresh("deleted", { body: "x" });
  await streams.remove(deleted);
  return { plain, json, large, closed, ttl, seq, produced, source, forks, deleted };
}

const described = async (streams, name) => {
  const { status, headers } = await streams.head(name);
  const kept = ["content-type", "stream-next-offset", "stream-closed", "stream-ttl", "stream-expires-at"];
  const data = status === 200 ? (await streams.readAll(name)).bytes.toString() : "";
  return { name, status, data, ...Object.fromEntries(kept.map((key) => [key, headers.get(key)])) };
};

async function describeAll(streams, made) {
  const names = Object.values(made).flat();
  return Promise.all(names.map((name) => described(streams, name)));
}

// What is not seen by reading: the memory of writers.
async function checkWriters(streams, made, round) {
  const again = await streams.produce(made.produced, "2;", { epoch: 4, seq: 2 + round });
  expect([again.status, again.headers.get("producer-seq")]).toEqual([204, `${2 + round}`]);
  expect((await streams.produce(made.produced, `${3 + round};`, { epoch: 4, seq: 3 + round })).status).toBe(200);
  expect((await streams.produce(made.produced, "z", { epoch: 3, seq: 0 })).status).toBe(403);
  expect((await streams.append(made.seq, "x", { headers: { "stream-seq": "m" } })).status).toBe(409);
  expect((await streams.append(made.closed, "x")).status).toBe(409);
}

test.skipIf(!OWNED)("1 → 4 → 3 → 1, with appends in between", { timeout: 120_000 * PATIENCE }, async () => {
  const server = await Server.start({ settings: { "shard.count": 1, "shard.flush_appends": 64 } });
  const streams = new Streams(server);
  const made = await populate(streams);
  for (const [round, count] of [4, 3, 1].entries()) {
    const before = await describeAll(streams, made);
    if (round % 2) await server.kill();
    else await server.stop();
    await server.start({ "shard.count": count });
    expect(server.shards).toBe(count);
    expect(new Set(made.plain.map((name) => shardOf(server, name))).size).toBe(count);
    expect(await describeAll(streams, made)).toEqual(before);
    await checkWriters(streams, made, round);
    for (const name of made.plain.slice(0, 20)) expect((await streams.append(name, `round ${round};`)).status).toBe(204);
    expect((await streams.read(made.large, { offset: streams.at(made.large, 2_999_999) })).text).toBe("x");
  }
  for (const name of made.forks) expect((await streams.remove(name)).status).toBe(204);
  for (const name of [made.source, ...made.forks])
    await until(`${name} to be gone`, async () => (await streams.head(name)).status === 404);
  await server.close();
});
