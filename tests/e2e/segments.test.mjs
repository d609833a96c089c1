// History that has left the databases: segments in a directory.

import { randomBytes } from "node:crypto";
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { DurableStream, stream } from "@durable-streams/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { nameOnShard } from "../lib/layout.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call, freshName, place, positionOf, START, Streams } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const JSON_TYPE = "application/json";
const TINY = { "segment.max_messages": 10, "shard.flush_idle": "20ms" };

const segmentsOf = (server) =>
  Object.keys(server.files())
    .filter((name) => name.endsWith(".seg"))
    .sort();

// A JSON stream of `count` numbered messages, in appends of `each`.
async function numbered(streams, name, count, each = 3) {
  for (let i = 0; i < count; i += each) {
    const batch = Array.from({ length: Math.min(each, count - i) }, (_, k) => ({ n: i + k }));
    const answer = await streams.append(name, JSON.stringify(batch), { type: JSON_TYPE });
    if (answer.status !== 204) throw new Error(`append: ${answer.status} ${answer.text}`);
  }
}

const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => ({ n: from + i }));

describe.skipIf(!OWNED).each([[1], [4]])("segments of %i shards", (shards) => {
  let server, streams;
  beforeAll(async () => {
    server = await Server.start({
      settings: { ...TINY, "shard.count": shards, "fanout.inline_limit": 0, "server.hang_timeout": "60s" },
    });
    streams = new Streams(server);
  });
  afterAll(() => server.close());

  const cold = (count) => until(`${count} segments`, () => segmentsOf(server).length >= count).then(() => sleep(150));
  const clean = () => until("no segments", () => segmentsOf(server).length === 0, 5_000);

  test("reads cross segments, chunks and log without a seam", async () => {
    const name = await streams.fresh("json", { type: JSON_TYPE });
    await numbered(streams, name, 64);
    await cold(6);
    await numbered(streams, name, 2); // the log's
    const all = [...numbers(0, 64), ...numbers(0, 2)];
    const whole = await streams.read(name, { offset: "-1" });
    expect(whole.json()).toEqual(all);
    expect(whole.next).toEqual(place(66));
    for (const from of [0, 1, 9, 10, 11, 25, 59, 60, 61, 63, 64, 65, 66]) {
      const page = await streams.read(name, { offset: streams.at(name, from) });
      expect(page.json()).toEqual(all.slice(from));
      const few = await streams.read(name, { offset: streams.at(name, from), limit: "3" });
      expect(few.json()).toEqual(all.slice(from, from + 3));
      expect(few.next).toEqual(place(Math.min(from + 3, 66)));
    }
    const again = await streams.read(
      name,
      { offset: streams.at(name, 5) },
      { "if-none-match": (await streams.read(name, { offset: streams.at(name, 5) })).headers.get("etag") },
    );
    expect(again.status).toBe(304);
    expect((await streams.longPoll(name, streams.at(name, 12))).json()).toEqual(all.slice(12));
    await streams.remove(name);
    await clean();
  });

  test("what is not compressed is sent as it lies in the file", async () => {
    const noise = (n) => randomBytes(n).toString("base64");
    const bytes = await streams.fresh("noise");
    const json = await streams.fresh("noise", { type: JSON_TYPE });
    const parts = Array.from({ length: 30 }, (_, i) => randomBytes(i % 5 ? 40_000 + i : 10));
    const items = Array.from({ length: 30 }, (_, i) => ({ n: i, noise: noise(i % 3 ? 30_000 : 5) }));
    for (const part of parts) expect((await streams.append(bytes, part)).status).toBe(204);
    for (const item of items) await streams.append(json, JSON.stringify(item), { type: JSON_TYPE });
    await cold(6);
    const all = Buffer.concat(parts);
    expect((await streams.readAll(bytes)).bytes.equals(all)).toBe(true);
    for (const at of [0, 1, 9, 10, 65_535, 200_001, all.length - 1]) {
      const page = await streams.read(bytes, { offset: streams.at(bytes, at) });
      expect(page.bytes.equals(all.subarray(at, at + page.bytes.length))).toBe(true);
      expect(Number(page.next.slice(17))).toBe(at + page.bytes.length);
      expect(page.bytes.length).toBeGreaterThan(0);
    }
    for (const from of [0, 1, 9, 10, 17, 29]) {
      const page = await streams.read(json, { offset: streams.at(json, from) });
      const got = page.json();
      expect(got).toEqual(items.slice(from, from + got.length));
      expect(page.next).toEqual(place(from + got.length));
      const few = await streams.read(json, { offset: streams.at(json, from), limit: "4" });
      expect(few.json()).toEqual(items.slice(from, Math.min(from + 4, few.next.slice(17))));
    }
    for (const name of [bytes, json]) await streams.remove(name);
    await clean();
  });

  test("a sub-offset may point anywhere in an append, over however many segments it lies", async () => {
    const name = await streams.fresh("sub", { type: JSON_TYPE });
    const append = (count) => streams.append(name, JSON.stringify(numbers(0, count)), { type: JSON_TYPE });
    await append(3);
    await append(30);
    await append(7);
    await cold(4);
    for (const [at, sub, status] of [
      [3, 2, 201],
      [3, 30, 201],
      [15, 18, 201],
      [3, 31, 400],
      [0, 4, 400],
    ]) {
      const fork = freshName("fork");
      const headers = { at, "stream-fork-sub-offset": `${sub}` };
      expect((await streams.fork(fork, name, headers)).status).toBe(status);
      if (status !== 201) continue;
      expect((await streams.head(fork)).next).toEqual(place(at + sub));
      await streams.remove(fork);
    }
    await streams.remove(name);
    await clean();
  });

  test("a page that will stay as it is says so", async () => {
    const [plain, mortal] = [await streams.fresh("p"), await streams.fresh("m", { headers: { "stream-ttl": "60" } })];
    for (const name of [plain, mortal]) for (let i = 0; i < 25; i++) await streams.append(name, `${i};`);
    await cold(4);
    const caching = async (name, query) => (await streams.read(name, query)).headers.get("cache-control");
    const stays = "public, max-age=60, stale-while-revalidate=300, immutable";
    expect(await caching(plain, { offset: START, limit: "5" })).toBe(stays);
    expect(await caching(plain, { offset: "-1", limit: "20" })).toBe(stays);
    for (const [name, query] of [
      [plain, { offset: START }], // up to the tail, which moves
      [plain, { offset: START, limit: "22" }], // what is not in a segment yet
      [mortal, { offset: START, limit: "5" }],
    ])
      expect(await caching(name, query)).not.toContain("immutable");
    for (const name of [plain, mortal]) await streams.remove(name);
    await clean();
  });

  test("bytes are cut at messages, of any size", async () => {
    const name = await streams.fresh("bytes");
    const parts = Array.from({ length: 40 }, (_, i) => `${i}:`.padEnd(i % 7 === 0 ? 100_000 + i : 20 + i, "abcdef"));
    for (const part of parts) await streams.append(name, part);
    await cold(4);
    const all = Buffer.from(parts.join(""));
    expect((await streams.readAll(name)).bytes.equals(all)).toBe(true);
    for (const from of [1, 99_999, 100_001, 150_000, all.length - 5])
      expect((await streams.readAll(name, streams.at(name, from))).bytes.equals(all.subarray(from))).toBe(true);
    await streams.remove(name);
    await clean();
  });

  test("the official client reads by catch-up and by events", async () => {
    const name = freshName("client");
    const url = streams.url(name);
    const handle = await DurableStream.create({ url, contentType: JSON_TYPE });
    for (let i = 0; i < 45; i++) handle.append(JSON.stringify({ n: i }));
    await until("all appends", async () => positionOf((await handle.head()).offset) === 45);
    await cold(4);
    expect(await (await stream({ url, offset: "-1", live: false })).json()).toEqual(numbers(0, 45));
    await streams.head(name);
    const live = await stream({ url, offset: streams.at(name, 13), live: "sse" });
    const got = [];
    live.subscribeJson(({ items }) => void got.push(...items));
    await until("the rest", () => got.length === 32);
    await handle.append(JSON.stringify({ n: 45 }));
    await until("the new one", () => got.length === 33);
    expect(got).toEqual(numbers(13, 46));
    live.cancel();
    await handle.delete();
    await clean();
  });

  test("closing makes a segment of what there is", async () => {
    const name = await streams.fresh("closed", { type: JSON_TYPE });
    await numbered(streams, name, 4);
    await streams.close(name);
    await cold(1);
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await until("the end", () => events.ended);
    expect(events.data.flatMap((text) => JSON.parse(text))).toEqual(numbers(0, 4));
    await streams.remove(name);
    await clean();
  });

  test("forks share their source's segments, which live as long as one of them", async () => {
    const source = await streams.fresh("source", { type: JSON_TYPE });
    await numbered(streams, source, 35);
    await cold(3);
    const forks = [];
    for (const at of [0, 5, 10, 17, 33]) {
      const name = freshName("fork");
      const made = await streams.fork(name, source, { at });
      expect(made.status).toBe(201);
      await numbered(streams, name, 12);
      forks.push([name, [...numbers(0, at), ...numbers(0, 12)]]);
    }
    const sub = freshName("sub");
    const made = await streams.fork(sub, source, { at: 6, "stream-fork-sub-offset": "2" });
    expect(made.status).toBe(201);
    expect((await streams.read(sub)).json()).toEqual(numbers(0, 8));
    await cold(8);
    expect((await streams.remove(source)).status).toBe(204);
    await sleep(300);
    for (const [name, content] of forks) {
      expect((await streams.read(name)).json()).toEqual(content);
      expect((await streams.read(name, { offset: streams.at(name, 3) })).json()).toEqual(content.slice(3));
    }
    for (const [name] of forks) await streams.remove(name);
    expect((await streams.read(sub)).json()).toEqual(numbers(0, 8));
    await streams.remove(sub);
    await clean();
  });

  test("an estuary gets what its source has put away meanwhile", async () => {
    const source = nameOnShard(server, 0, "feed").replace("test/", "");
    const estuary = nameOnShard(server, shards - 1, "estuary").replace("test/", "");
    await streams.create(`test/${source}`, { type: JSON_TYPE });
    const subscribed = await call(`${server.url}/v1/estuary/subscribe/test/${source}`, "POST", {
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ estuaryId: estuary }),
    });
    expect(subscribed.status).toBe(200);
    const other = server.child("shard", shards - 1);
    if (shards > 1) process.kill(other.pid, "SIGSTOP");
    await numbered(streams, `test/${source}`, 55);
    await cold(4);
    if (shards > 1) process.kill(other.pid, "SIGCONT");
    await until("all of it", async () => (await streams.read(`test/${estuary}`)).json().length === 55, 20_000);
    expect((await streams.read(`test/${estuary}`)).json()).toEqual(numbers(0, 55));
    await streams.remove(`test/${estuary}`);
    await streams.remove(`test/${source}`);
    await clean();
  });
});

describe.skipIf(!OWNED)("segments and their server", () => {
  const begin = async (settings = {}, expected = []) => {
    const server = await Server.start({ settings: { ...TINY, "shard.count": 2, ...settings }, expected });
    return { server, streams: new Streams(server) };
  };
  const cold = (server, count) =>
    until(`${count} segments`, () => segmentsOf(server).length >= count).then(() => sleep(200));

  test("an append arrives in one piece, over however many segments it lies in its source", async () => {
    const { server, streams } = await begin({
      "fanout.inline_limit": 0,
      "fanout.window": "64K",
      "server.hang_timeout": "60s",
    });
    const sources = [0, 1].map((n) => nameOnShard(server, 0, `source${n}`).replace("test/", ""));
    const estuary = nameOnShard(server, 1, "estuary").replace("test/", "");
    for (const source of sources) await streams.create(`test/${source}`, { type: JSON_TYPE });
    const subscribed = await call(`${server.url}/v1/estuary/subscribe/test`, "POST", {
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ estuaryId: estuary, streams: sources }),
    });
    expect(subscribed.status).toBe(200);
    const appends = new Map(sources.map((source) => [source, []]));
    const append = async (source, parts, size) => {
      const n = appends.get(source).push(parts) - 1;
      const batch = Array.from({ length: parts }, (_, part) => ({ source, n, part, pad: "x".repeat(size) }));
      const answer = await streams.append(`test/${source}`, JSON.stringify(batch), { type: JSON_TYPE });
      expect(answer.status).toBe(204);
    };
    const other = server.child("shard", 1);
    process.kill(other.pid, "SIGSTOP");
    for (const source of sources) await append(source, 1, 70_000); // more than may be on its way
    for (const source of sources) await append(source, 4, 30_000); // of several blocks
    for (let n = 0; n < 12; n++) for (const source of sources) await append(source, 3, 10);
    for (const source of sources) await append(source, 25, 10);
    await cold(server, 12);
    process.kill(other.pid, "SIGCONT");
    const sent = [...appends.values()].flat().reduce((sum, parts) => sum + parts, 0);
    const read = async () => JSON.parse((await streams.readAll(`test/${estuary}`)).bytes.toString());
    await until("all of it", async () => (await read()).length === sent, 20_000);
    const got = await read();
    for (const [source, sizes] of appends) {
      const due = sizes.flatMap((parts, n) => Array.from({ length: parts }, (_, part) => `${n}.${part}`));
      expect(got.filter((m) => m.source === source).map(({ n, part }) => `${n}.${part}`)).toEqual(due);
    }
    const name = ({ source, n, part }) => `${source} ${n}.${part}`;
    const torn = got.filter((m, i) => m.part && name(got[i - 1]) !== name({ ...m, part: m.part - 1 }));
    expect(torn.map(name)).toEqual([]);
    await server.close();
  });

  test("they are there after restarts, kills and another shard count", async () => {
    const { server, streams } = await begin();
    const names = [];
    for (let i = 0; i < 8; i++) names.push(await streams.fresh("s", { type: JSON_TYPE }));
    const expected = [];
    let n = 0;
    for (const count of [2, 2, 4, 1, 3]) {
      await server.stop();
      await server.start({ "shard.count": count });
      for (const name of names) await numbered(streams, name, 13);
      expected.push(...numbers(0, 13));
      n += 13;
      await until("segments", () => segmentsOf(server).length >= names.length * Math.floor(n / 10));
      await server.restartChild("shard", 0);
      for (const name of names) expect((await streams.read(name)).json()).toEqual(expected);
    }
    for (const name of names) await streams.remove(name);
    await until("no segments", () => segmentsOf(server).length === 0, 5_000);
    await server.close();
  });

  test("a file that is missing or damaged is an error for its part of the stream only", async () => {
    const { server, streams } = await begin({ "shard.count": 1 }, [/segment \S+: /, /has no bytes/]);
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 35);
    await cold(server, 3);
    const [, second] = segmentsOf(server).map((file) => join(server.dataDir, file));
    const good = readFileSync(second);
    const check = async (code) => {
      await server.stop(); // nothing is open
      await server.start();
      const first = await streams.read(name, { offset: "-1" });
      expect(first.json()).toEqual(numbers(0, 10));
      expect([first.next, first.headers.get("stream-up-to-date")]).toEqual([place(10), null]);
      for (const from of [10, 15]) {
        const answer = await streams.read(name, { offset: streams.at(name, from) });
        expect([answer.status, answer.json().code]).toEqual([500, code]);
      }
      expect((await streams.read(name, { offset: streams.at(name, 20) })).json()).toEqual(numbers(20, 35));
    };
    renameSync(second, `${second}.away`);
    await check("SEGMENT_MISSING");
    writeFileSync(second, good.subarray(0, good.length - 1));
    await check("SEGMENT_TRUNCATED");
    const wrong = Buffer.from(good);
    wrong[wrong.length - 3] ^= 1;
    writeFileSync(second, wrong);
    await check("SEGMENT_TRUNCATED");
    writeFileSync(second, readFileSync(join(server.dataDir, segmentsOf(server)[0])));
    await check("SEGMENT_TRUNCATED");
    writeFileSync(second, good);
    expect((await streams.read(name)).json()).toEqual(numbers(0, 35));
    rmSync(`${second}.away`);
    await server.close();
  });

  describe("the folder is this server's, or is not believed", () => {
    const WRONG = [/segment.directory: /, /segment \S+: No such file/, /segment.directory is not this server's/];
    const prepare = async () => {
      const made = await begin({ "shard.count": 2 }, WRONG);
      const { server, streams } = made;
      const names = [0, 1].map((shard) => nameOnShard(server, shard, "s"));
      for (const name of names) {
        await streams.create(name, { type: JSON_TYPE });
        await numbered(streams, name, 25);
      }
      await until("four segments", () => segmentsOf(server).length === 4);
      await sleep(300);
      const folder = join(server.dataDir, "segments");
      const elsewhere = mkdtempSync(join(tmpdir(), "streamd-elsewhere-"));
      const at = async (directory) => {
        await server.stop();
        await server.start({ "segment.directory": directory });
      };
      const refused = async () => {
        for (const name of names) {
          const answer = await streams.read(name);
          expect([answer.status, answer.json().code]).toEqual([503, "SEGMENT_UNAVAILABLE"]);
        }
      };
      const works = async () => {
        for (const name of names) expect((await streams.read(name)).json()).toEqual(numbers(0, 25));
      };
      return { ...made, names, folder, elsewhere, at, refused, works };
    };
    const close = async ({ server, elsewhere }) => {
      await server.close();
      rmSync(elsewhere, { recursive: true });
    };
    const below = (folder) => readdirSync(folder, { recursive: true });

    test("another folder, which is empty", async () => {
      const all = await prepare();
      const { server, streams, names, folder, elsewhere, at, refused } = all;
      await at(elsewhere);
      expect(server.log).toMatch(new RegExp(`segment.directory: ${elsewhere} has no file owner: .*they were in ${folder}`));
      await refused();
      expect(server.command("verify").out).toMatch(/segment.directory is not this server's/);
      await streams.remove(names[1]);
      await streams.append(names[0], JSON.stringify(numbers(25, 60)), { type: JSON_TYPE });
      expect((await streams.read(names[0], { offset: streams.at(names[0], 25) })).json()).toEqual(numbers(25, 60));
      await sleep(2500);
      expect(below(elsewhere)).toEqual([]);
      expect(segmentsOf(server).length).toBe(4);
      await at("");
      await until("what was appended to be there", async () => (await streams.read(names[0])).json().length >= 10);
      expect((await streams.readAll(names[0])).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(numbers(0, 60)));
      await streams.remove(names[0]);
      await until("no segments", () => segmentsOf(server).length === 0, 5_000);
      await close(all);
    });

    test("a volume that is not mounted, now or at the start", async () => {
      const all = await prepare();
      const { server, streams, names, folder, refused } = all;
      await server.stop();
      renameSync(folder, `${folder}.away`);
      await server.start();
      await refused();
      mkdirSync(folder); // where it is mounted
      await refused();
      await streams.append(names[0], JSON.stringify(numbers(25, 60)), { type: JSON_TYPE });
      await sleep(1500);
      expect(below(folder)).toEqual([]);
      rmSync(folder, { recursive: true });
      renameSync(`${folder}.away`, folder);
      expect((await streams.readAll(names[0])).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(numbers(0, 60)));
      expect(server.log).toMatch(/segment.directory: .* is this server's again/);
      await close(all);
    });

    test("another server's", async () => {
      const all = await prepare();
      const { server, elsewhere, at, refused } = all;
      writeFileSync(join(elsewhere, "owner"), `streamd ${"7".repeat(32)}\n`);
      await at(elsewhere);
      expect(server.log).toContain(`segment.directory: ${elsewhere} has the file owner of another server`);
      await refused();
      await close(all);
    });

    test("one that was moved, with its owner; one that is lost, and is said to be", async () => {
      const all = await prepare();
      const { server, streams, names, folder, elsewhere, at, works } = all;
      await server.stop();
      rmSync(elsewhere, { recursive: true });
      cpSync(folder, elsewhere, { recursive: true });
      await at(elsewhere);
      await works();
      expect(server.log).not.toMatch(/error:/);
      await server.stop();
      rmSync(elsewhere, { recursive: true });
      mkdirSync(elsewhere);
      copyFileSync(join(server.dataDir, "owner"), join(elsewhere, "owner"));
      await server.start();
      const answer = await streams.read(names[0]);
      expect([answer.status, answer.json().code]).toEqual([500, "SEGMENT_MISSING"]);
      await close(all);
    });

    test("one that was used before folders had owners is known by its segments", async () => {
      const all = await prepare();
      const { server, folder, elsewhere, at, refused, works } = all;
      const forget = async () => {
        await server.stop();
        for (const file of ["owner", "owner.folder", "segments/owner"]) rmSync(join(server.dataDir, file), { force: true });
      };
      await forget();
      await server.start();
      await works();
      expect(readFileSync(join(folder, "owner"), "utf8")).toBe(readFileSync(join(server.dataDir, "owner"), "utf8"));
      await forget();
      await at(elsewhere);
      expect(server.log).toContain(`segment.directory: ${elsewhere} has none of the segments that the databases know`);
      await refused();
      expect(below(elsewhere)).toEqual([]);
      await close(all);
    });
  });

  test("a directory that cannot be written stops nothing, up to a limit, and is caught up with", async () => {
    const { server, streams } = await begin({ "segment.backlog_limit": "64K", "shard.count": 1 }, [/cannot be stored: /]);
    const folder = join(server.dataDir, "segments");
    writeFileSync(folder, "in the way");
    const name = await streams.fresh("s");
    const sent = [];
    let refused;
    for (let i = 0; i < 2000 && !refused; i++) {
      const part = `${i} `.padEnd(1000, "x");
      const answer = await streams.append(name, part);
      if (answer.status === 204) sent.push(part);
      else refused = answer;
      if (i % 10 === 0) await sleep(60);
    }
    expect([refused?.status, refused?.json().code, refused?.headers.get("retry-after")]).toEqual([
      507,
      "SEGMENT_BACKLOG",
      "10",
    ]);
    expect(sent.length).toBeGreaterThan(64);
    const all = Buffer.from(sent.join(""));
    expect((await streams.readAll(name)).bytes.equals(all)).toBe(true);
    rmSync(folder);
    await until("appends to be taken again", async () => (await streams.append(name, "y")).status === 204, 30_000);
    expect((await streams.readAll(name)).bytes.equals(Buffer.concat([all, Buffer.from("y")]))).toBe(true);
    await until("segments", () => segmentsOf(server).length > 0);
    await streams.remove(name);
    await until("no segments", () => segmentsOf(server).length === 0, 5_000);
    await server.close();
  });

  // A folder on a file system of its own, or null where this process may not have one.
  const mountSmall = (size) => {
    const folder = mkdtempSync(join(tmpdir(), "streamd-small-"));
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder]);
    return status === 0 ? folder : null;
  };

  test("a full disk under the segments loses nothing, and is caught up with", async ({ skip }) => {
    const folder = mountSmall("256k");
    if (!folder) skip("no file system can be mounted here");
    const settings = { "segment.directory": folder, "segment.compression": "none", "shard.count": 1 };
    const { server, streams } = await begin(settings, [/cannot be stored: write: No space left/]);
    const name = await streams.fresh("s");
    const parts = Array.from({ length: 120 }, (_, i) => `${i} `.padEnd(5000, "x"));
    for (const part of parts) expect((await streams.append(name, part)).status).toBe(204);
    await until("the disk to be full", () => /No space left/.test(server.log));
    const all = Buffer.from(parts.join(""));
    expect((await streams.readAll(name)).bytes.equals(all)).toBe(true);
    await server.kill();
    await server.start();
    expect((await streams.readAll(name)).bytes.equals(all)).toBe(true);
    spawnSync("mount", ["-o", "remount,size=8m", folder]);
    const files = () => readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".seg"));
    await until("all of it in segments", () => files().length >= 12, 20_000);
    expect((await streams.readAll(name)).bytes.equals(all)).toBe(true);
    await streams.remove(name);
    await until("no files", () => files().length === 0, 20_000);
    await server.close();
    spawnSync("umount", [folder]);
    rmSync(folder, { recursive: true });
  });

  test("small segments become one, of an open stream and of a closed one", async () => {
    const { server, streams } = await begin({ "segment.max_messages": 5, "segment.max_bytes": "16K" });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    let n = 0;
    const more = async (count) => {
      for (const end = n + count; n < end; n++)
        await streams.append(name, JSON.stringify({ n, pad: "x".repeat(90) }), { type: JSON_TYPE });
      await sleep(100);
    };
    const expected = () => Array.from({ length: n }, (_, i) => ({ n: i, pad: "x".repeat(90) }));
    for (let i = 0; i < 30; i++) {
      await more(5);
      if (i % 5 === 0) expect((await streams.read(name)).json()).toEqual(expected());
    }
    await until("few segments", () => segmentsOf(server).length <= 16);
    expect((await streams.read(name)).json()).toEqual(expected());
    for (const from of [1, 74, 149])
      expect((await streams.read(name, { offset: streams.at(name, from) })).json()).toEqual(expected().slice(from));
    await streams.close(name);
    await until("fewer", () => segmentsOf(server).length <= 9);
    await server.restartChild("shard", 0);
    await server.restartChild("shard", 1);
    expect((await streams.read(name)).json()).toEqual(expected());
    await streams.remove(name);
    await until("no segments", () => segmentsOf(server).length === 0, 5_000);
    await server.close();
  });

  test("a directory of its own; compressed or not", async () => {
    for (const compression of ["none", "zstd"]) {
      const { server, streams } = await begin({ "segment.compression": compression });
      const elsewhere = join(server.folder, "elsewhere");
      await server.stop();
      await server.start({ "segment.directory": elsewhere });
      const name = await streams.fresh("s");
      for (let i = 0; i < 20; i++) await streams.append(name, `${i} `.padEnd(20_000, "again and again "));
      const sizes = () =>
        existsSync(elsewhere)
          ? readdirSync(elsewhere, { recursive: true, withFileTypes: true })
              .filter((entry) => entry.name.endsWith(".seg"))
              .map((entry) => readFileSync(join(entry.parentPath ?? entry.path, entry.name)).length)
          : [];
      await until("two segments", () => sizes().length === 2);
      for (const size of sizes())
        if (compression === "none") expect(size).toBeGreaterThan(200_000);
        else expect(size).toBeLessThan(20_000);
      expect((await streams.readAll(name)).bytes.length).toBe(400_000);
      await server.close();
    }
  });

  test("nothing is put away with segment.store = none", async () => {
    const { server, streams } = await begin({ "segment.store": "none" });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 35);
    await sleep(500);
    expect(segmentsOf(server)).toEqual([]);
    await server.close();
  });
});
