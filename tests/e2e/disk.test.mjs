// A full disk, whoever filled it: appends are refused; reads, deletes and starts go on.

import { randomBytes } from "node:crypto";
import { statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Disk } from "../lib/disk.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { freshName, Streams } from "../lib/streams.mjs";
import { SLOW, sleep, until } from "../lib/wait.mjs";

const MEGABYTES = 240;
const BALLAST = 8 << 20; // shard.disk_ballast
const TYPE = { type: "application/octet-stream" };
const CASES = [
  ["tmpfs", 1],
  ["tmpfs", 4],
  ["ext4", 1],
  ["ext4", 4],
];

function mountable(kind) {
  const disk = OWNED ? Disk.make(kind, 20) : null;
  disk?.close();
  return disk !== null;
}

const possible = CASES.filter(([kind]) => mountable(kind));

describe.skipIf(!possible.length).each(possible.length ? possible : [["none", 0]])("on %s, %i shards", (kind, shards) => {
  let disk, server, streams;

  beforeAll(async () => {
    disk = Disk.make(kind, MEGABYTES);
    server = await Server.start({
      settings: { "shard.count": shards, "shard.disk_reserve": "8M" },
      expected: [/less than shard\.disk_reserve is free/, /cannot be stored: write: No space left/],
      folder: disk.folder,
      keep: true,
    });
    streams = new Streams(server);
  }, 60_000 * SLOW);
  afterAll(async () => {
    disk.empty();
    await server.close();
    disk.close();
  }, 60_000 * SLOW);

  // Bytes that the disk has given to the databases, each of which keeps a ballast behind its end.
  const inDatabases = () =>
    Array.from({ length: shards }, (_, i) => statSync(join(server.dataDir, `shard-${i}.db`)).blocks * 512)
      .reduce((sum, bytes) => sum + bytes, 0);
  const deaths = () => server.log.split("\n").filter((line) => /\bdeath\b/.test(line) && !/SIGKILL|Killed/.test(line));
  const statuses = async (asked) => [...new Set((await Promise.all(asked)).map(({ status }) => status))];
  const several = (count, { bytes = 20_000, headers } = {}) =>
    Promise.all(Array.from({ length: count }, () => streams.fresh("full", { ...TYPE, headers, body: randomBytes(bytes) })));
  const full = (name) =>
    until("appends to be refused", async () => (await streams.append(name, "x", TYPE)).status === 507);
  const roomy = (name) =>
    until("appends to be taken", async () => (await streams.append(name, "x", TYPE)).status === 204);

  test("somebody else fills it", async () => {
    const kept = [...(await several(20)), ...(await several(20, { headers: { "stream-ttl": "3600" } }))];
    const gone = await several(200, { bytes: 60_000 });
    const later = await several(20);
    await until("what will be deleted to be in the databases", () => inDatabases() >= shards * BALLAST + 200 * 60_000);
    disk.fill();
    await full(kept[0]);

    for (let i = 0; i < 3; i++) {
      expect(await statuses(kept.map((name) => streams.read(name)))).toEqual([200]); // which renews the TTL of some
      await sleep(300); // and that is written down
    }
    const refused = await streams.create(freshName("new"), TYPE);
    expect([refused.status, refused.json().code]).toEqual([507, "INSUFFICIENT_STORAGE"]);
    expect(await statuses(gone.map((name) => streams.remove(name)))).toEqual([204]);
    await until("deletes to make room", () => disk.free > 2 << 20);
    disk.fill();
    expect(await statuses(gone.map((name) => streams.read(name)))).toEqual([404]);
    expect(await statuses(kept.map((name) => streams.read(name)))).toEqual([200]);
    expect(deaths()).toEqual([]);

    for (let i = 0; i < shards; i++) await server.restartChild("shard", i);
    expect(await statuses(kept.map((name) => streams.read(name)))).toEqual([200]);
    await server.stop();
    disk.fill();
    await server.start();
    expect(await statuses(kept.map((name) => streams.read(name)))).toEqual([200]);
    expect(await statuses(gone.map((name) => streams.read(name)))).toEqual([404]);
    expect(await statuses(later.map((name) => streams.remove(name)))).toEqual([204]);
    expect((await streams.append(kept[0], "x", TYPE)).status).toBe(507);
    expect(deaths()).toEqual([]);

    disk.empty();
    await Promise.all(kept.map(roomy)); // each shard looks for itself
  }, 120_000 * SLOW);

  test("appends fill it, and deletes make room", async () => {
    const names = await several(8);
    // Until one is refused. Flushing may make room again for the next.
    const fill = async (name) => {
      for (let i = 0; i < MEGABYTES; i++) {
        const { status } = await streams.append(name, randomBytes(1 << 20), TYPE);
        if (status === 507) return true;
        expect(status).toBe(204);
      }
      return false;
    };
    expect(await Promise.all(names.map(fill))).toEqual(names.map(() => true));
    expect(await statuses(names.map((name) => streams.head(name)))).toEqual([200]);
    expect(await statuses(names.slice(1).map((name) => streams.remove(name)))).toEqual([204]);
    await roomy(names[0]);
    expect(deaths()).toEqual([]);
  }, 120_000 * SLOW);
});
