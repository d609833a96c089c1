// {group} in names: streams of one group share a slot. Streams that were there before groups counted stay where they are.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { hashOf, shardOf, slotOf, slotOfWhole } from "../lib/layout.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { Streams } from "../lib/streams.mjs";
import { PATIENCE, until } from "../lib/wait.mjs";

const SHARDS = 5;
const hex = (value) => value.toString(16).padStart(16, "0");

function fnv(bytes) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & ((1n << 64n) - 1n);
  return hash;
}

// The layout's lines without those that only version 2 has.
function readLayout(server) {
  const [head, ...lines] = readFileSync(join(server.dataDir, "layout"), "utf8").trimEnd().split("\n");
  const table = lines.filter((line) => /^(shards \d+|\d+( \d+)+)$/.test(line));
  return { version: Number(head.split(" ")[2]), table, kept: lines.filter((line) => /^[0-9a-f]{16}$/.test(line)) };
}

function writeLayout(server, lines) {
  const body = `${lines.join("\n")}\n`;
  writeFileSync(join(server.dataDir, "layout"), `${body}checksum ${hex(fnv(Buffer.from(body)))}\n`);
}

// With these names kept, a program of today puts them where one did that knew no groups.
function keep(server, names) {
  const hashes = names.map(hashOf).sort((a, b) => (a < b ? -1 : 1));
  writeLayout(server, ["streamd layout 2", ...readLayout(server).table, `kept ${hashes.length}`, ...hashes.map(hex)]);
}

const ownerOfWhole = (server, name) =>
  readLayout(server).table.slice(1).flatMap((line) => line.split(" ").map(Number))[slotOfWhole(name)];

async function contents(streams, names) {
  const texts = [];
  for (const name of names) texts.push((await streams.readAll(name)).bytes.toString());
  return texts;
}

function verified(server) {
  const { status, out } = server.command("verify");
  expect([status, out]).toEqual([0, out]);
}

test("names of a group have one slot, and are streams like others", async () => {
  const names = Array.from({ length: 20 }, (_, i) => `test/${i}/{group ${"x".repeat(i % 2)}}/${i}`);
  expect(new Set(names.map(slotOf)).size).toBe(2);
  expect(new Set(names.map(slotOfWhole)).size).toBeGreaterThan(10);
  const server = await Server.start({ settings: { "shard.count": SHARDS } });
  const streams = new Streams(server);
  for (const name of names) expect((await streams.create(encodeURI(name), { body: name })).status).toBe(201);
  expect(await contents(streams, names.map(encodeURI))).toEqual(names);
  const { shards } = await (await fetch(`${server.url}/v1/streams/test?limit=100`)).json().then(({ streams: all }) => {
    expect(all.length).toBe(names.length);
    return { shards: new Set(names.map((name) => shardOf(server, name))) };
  });
  expect(shards.size).toBeLessThanOrEqual(2);
  await server.close();
});

test.skipIf(!OWNED)("what was there before stays where it is", { timeout: 120_000 * PATIENCE }, async () => {
  const server = await Server.start({ settings: { "shard.count": SHARDS } });
  const streams = new Streams(server);
  const old = Array.from({ length: 24 }, (_, i) => `test/{${i % 3}}/${i}`);
  const urls = (names) => names.map(encodeURI);
  await server.stop();
  keep(server, old);
  await server.start();
  for (const name of old) expect((await streams.create(encodeURI(name), { body: name })).status).toBe(201);
  expect(new Set(old.map((name) => ownerOfWhole(server, name))).size).toBeGreaterThan(1);
  const fork = encodeURI("test/{0}/fork");
  expect((await streams.fork(fork, encodeURI(old[0]))).status).toBe(201);
  await streams.create("test/plain", { body: "plain" });

  // At first they are in the journal only, then flushed.
  const kept = old.filter((name) => slotOf(name) !== slotOfWhole(name)).map((name) => hex(hashOf(name)));
  for (const settings of [{ "shard.flush_idle": "10ms" }, {}]) {
    await server.kill();
    writeLayout(server, ["streamd layout 1", ...readLayout(server).table]);
    await server.start(settings);
    expect(readLayout(server)).toMatchObject({ version: 2, kept: kept.toSorted() });
    expect(await contents(streams, urls(old))).toEqual(old);
    await until("the flush", async () => {
      const shown = await Promise.all(urls(old).map(async (name) => (await fetch(`${server.url}/v1/streams/${name}`)).json()));
      return shown.every(({ log }) => log.entries === 0);
    });
  }
  expect((await streams.read(fork, { offset: "-1" })).text).toBe(old[0]);
  for (const name of old) expect((await streams.append(encodeURI(name), ";")).status).toBe(204);

  // New names of the same groups are together, and an old name stays where it was when it is created again.
  for (let i = 0; i < 10; i++)
    expect((await streams.create(encodeURI(`test/{1}/new${i}`), { body: "new" })).status).toBe(201);
  expect((await streams.remove(encodeURI(old[5]))).status).toBe(204);
  expect((await streams.create(encodeURI(old[5]), { body: "again" })).status).toBe(201);
  verified(server);

  // Another shard count moves both kinds.
  await server.stop();
  await server.start({ "shard.count": 3 });
  expect(readLayout(server).kept).toEqual(kept.toSorted());
  expect((await streams.read(encodeURI("test/{1}/new3"), { offset: "-1" })).text).toBe("new");
  expect((await streams.read(encodeURI(old[5]), { offset: "-1" })).text).toBe("again");
  expect(await contents(streams, urls(old.slice(12)))).toEqual(old.slice(12).map((name) => `${name};`));
  verified(server);
  await server.close();
});
