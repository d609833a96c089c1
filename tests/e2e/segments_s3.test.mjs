// Segments in a real S3-compatible store: OpenStack Swift.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { nameOnShard } from "../lib/layout.mjs";
import { scrape, valueOf } from "../lib/metrics.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call, freshName, place, Streams } from "../lib/streams.mjs";
import { Meddler, Swift } from "../lib/swift.mjs";
import { PATIENCE, SLOW, sleep, until } from "../lib/wait.mjs";

const JSON_TYPE = "application/json";
const numbers = (from, to) => Array.from({ length: to - from }, (_, i) => ({ n: from + i }));
const WITH_KEYS = { AWS_ACCESS_KEY_ID: Swift.ACCESS_KEY, AWS_SECRET_ACCESS_KEY: Swift.SECRET_KEY };
const TROUBLE = [
  /cannot be stored: /,
  /store of segments does not answer/,
  /cannot be removed: /,
  /has no bytes/,
  /as fetched: /,
  /the store (does not have it|has it damaged)/,
];

async function numbered(streams, name, count, each = 3) {
  for (let i = 0; i < count; i += each) {
    const batch = Array.from({ length: Math.min(each, count - i) }, (_, k) => ({ n: i + k }));
    const answer = await streams.append(name, JSON.stringify(batch), { type: JSON_TYPE });
    if (answer.status !== 204) throw new Error(`append: ${answer.status} ${answer.text}`);
  }
}

describe.skipIf(!OWNED)("segments on S3", () => {
  let swift,
    meddler,
    buckets = 0;
  beforeAll(async () => {
    swift = await Swift.start();
    meddler = await Meddler.start(swift);
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    meddler.close();
    await swift.close();
  });

  const begin = async (settings = {}, { environment = WITH_KEYS, expected } = {}) => {
    const bucket = `bucket-${buckets++}`;
    expect((await swift.request("PUT", `/${bucket}`)).status).toBe(200);
    const server = await Server.start({
      settings: {
        "segment.max_messages": 10,
        "shard.flush_idle": "20ms",
        "shard.count": 2,
        "segment.store": "s3",
        "s3.endpoint": meddler.url,
        "s3.region": Swift.REGION,
        "s3.bucket": bucket,
        ...settings,
      },
      environment,
      expected,
    });
    const objects = async () => (await swift.list(bucket)).filter((name) => !name.endsWith("owner"));
    return { server, bucket, streams: new Streams(server), objects };
  };
  const empty = (objects) => until("no objects", async () => (await objects()).length === 0, 20_000);
  const dropCache = async (server) => {
    await server.stop();
    rmSync(join(server.dataDir, "cache"), { recursive: true, force: true });
    await server.start();
  };

  test("objects are put, read by every kind of reader, and removed", async () => {
    const { server, streams, objects } = await begin({ "s3.prefix": "some/where/" });
    const name = await streams.fresh("json", { type: JSON_TYPE });
    await numbered(streams, name, 64);
    await until("six objects", async () => (await objects()).length === 6);
    for (const object of await objects()) expect(object).toMatch(/^some\/where\/[0-9a-f]{3}\/[0-9a-f-]+\.seg$/);
    await sleep(200);
    expect((await streams.readAll(name)).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(numbers(0, 64)));
    await dropCache(server);
    for (const from of [0, 9, 10, 33, 60, 63]) {
      const few = await streams.read(name, { offset: streams.at(name, from), limit: "2" });
      const got = few.json(); // fewer where the next segment is not here yet
      expect(got).toEqual(numbers(from, Math.min(from + Math.max(got.length, 1), from + 2, 64)));
    }
    await dropCache(server);
    expect((await streams.longPoll(name, streams.at(name, 25))).json()[0]).toEqual({ n: 25 });
    const events = EventReader.open(streams.url(name), { query: { offset: streams.at(name, 7) } });
    await until("all of it", () => events.data.flatMap((text) => JSON.parse(text)).length === 57);
    expect(events.data.flatMap((text) => JSON.parse(text))).toEqual(numbers(7, 64));
    events.request.destroy();
    await streams.remove(name);
    await empty(objects);
    await server.close();
  });

  test("forks, over shards", async () => {
    const { server, streams, objects } = await begin();
    const source = nameOnShard(server, 0, "source");
    await streams.create(source, { type: JSON_TYPE });
    await numbered(streams, source, 35);
    await until("three objects", async () => (await objects()).length === 3);
    await dropCache(server);
    const forks = [0, 1].map((shard) => nameOnShard(server, shard, "fork"));
    for (const fork of forks) {
      const headers = { at: 15, "stream-fork-sub-offset": "2" };
      expect((await streams.fork(fork, source, headers)).status).toBe(201);
    }
    await dropCache(server);
    for (const fork of forks)
      expect((await streams.readAll(fork)).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(numbers(0, 17)));
    for (const name of [source, ...forks]) await streams.remove(name);
    await empty(objects);
    await server.close();
  });

  test("an append arrives in one piece in an estuary, however many objects it has to be fetched from", async () => {
    const { server, streams, objects } = await begin({ "fanout.inline_limit": 0, "server.hang_timeout": "60s" });
    const sources = ["a", "b"].map((about) => nameOnShard(server, 0, about));
    const estuary = nameOnShard(server, 1, "estuary");
    for (const source of sources) await streams.create(source, { type: JSON_TYPE });
    const [project, estuaryId] = estuary.split("/");
    const subscribed = await call(`${server.url}/v1/estuary/subscribe/${project}`, "POST", {
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ estuaryId, streams: sources.map((source) => source.split("/")[1]), envelope: true }),
    });
    expect(subscribed.status).toBe(200);
    process.kill(server.child("shard", 1).pid, "SIGSTOP");
    for (const source of sources) await numbered(streams, source, 64, 16);
    await until("twelve objects", async () => (await objects()).length === 12);
    await server.kill();
    rmSync(join(server.dataDir, "cache"), { recursive: true, force: true });
    await server.start();
    const read = async () => (await streams.read(estuary)).json();
    await until("all of it", async () => (await read()).length === 128, 20_000);
    const got = (await read()).map(({ stream, data }) => ({ stream, n: data.n }));
    const torn = got.filter(({ stream, n }, i) => n % 16 && !(got[i - 1].stream === stream && got[i - 1].n === n - 1));
    expect(torn).toEqual([]);
    await server.close();
  });

  test("many readers of one segment cause one fetch, and the cache keeps its size", async () => {
    const { server, streams, objects } = await begin({
      "segment.max_messages": 1000,
      "segment.max_bytes": "256K",
      "segment.compression": "none",
      "segment.cache_bytes": "2M",
      "shard.count": 1,
    });
    const name = await streams.fresh("large");
    const part = (i) => `${i} `.padEnd(64 << 10, "0123456789");
    for (let i = 0; i < 128; i++) await streams.append(name, part(i));
    await until("32 objects", async () => (await objects()).length === 32, 20_000);
    await dropCache(server);
    const all = Buffer.from(Array.from({ length: 128 }, (_, i) => part(i)).join(""));
    const before = meddler.counts.GET;
    const reads = await Promise.all(Array.from({ length: 16 }, () => streams.readAll(name)));
    for (const { bytes } of reads) expect(bytes.equals(all)).toBe(true);
    const fetched = meddler.counts.GET - before;
    expect(fetched).toBeGreaterThanOrEqual(32);
    expect(fetched).toBeLessThan(64); // a slow reader may find some gone from so small a cache
    const cached = readdirSync(join(server.dataDir, "cache"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((sum, entry) => sum + statSync(join(entry.parentPath ?? entry.path, entry.name)).size, 0);
    expect(cached).toBeLessThan((2 << 20) + (1 << 20));
    await server.close();
  });

  test("a store that is away stops no append and no read of what is hot, and is caught up with", async () => {
    const { server, streams, objects } = await begin({ "shard.count": 1, "s3.timeout": "1s" }, { expected: TROUBLE });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 20);
    await until("two objects", async () => (await objects()).length === 2);
    await dropCache(server);
    await swift.suspend();
    await numbered(streams, name, 20);
    await sleep(500);
    expect((await streams.read(name, { offset: streams.at(name, 20) })).json()).toEqual(numbers(0, 20));
    const away = await streams.read(name, { offset: streams.at(name, 0) });
    expect([away.status, away.json().code, away.headers.get("retry-after")]).toEqual([503, "SEGMENT_UNAVAILABLE", "1"]);
    await numbered(streams, name, 10);
    await until("the status to say so", async () =>
      /shard\/0: the store of segments does not answer/.test((await server.commandLater("status")).out),
    );
    expect(valueOf(await scrape(server.url), "s3_unreachable")).toBe(1);
    await swift.resume();
    await until("all objects", async () => (await objects()).length === 5, 40_000);
    const expected = [...numbers(0, 20), ...numbers(0, 20), ...numbers(0, 10)];
    await until("what was away", async () => (await streams.read(name)).status === 200, 20_000);
    expect((await streams.readAll(name)).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(expected));
    await streams.remove(name);
    await empty(objects);
    await server.close();
  });

  test("a store that refuses, hangs, cuts short and answers with wrong bytes", async () => {
    const { server, streams, objects } = await begin(
      { "shard.count": 1, "s3.timeout": "300ms" },
      { expected: TROUBLE },
    );
    const name = await streams.fresh("s", { type: JSON_TYPE });
    let n = 0;
    for (const harm of ["refuse", "hang", "cut", "wrong"]) {
      let left = 2;
      meddler.harm = ({ method }) => (method !== "DELETE" && left-- > 0 ? harm : undefined);
      await numbered(streams, name, 10);
      n += 10;
      await until(`an object in spite of ${harm}`, async () => (await objects()).length >= n / 10, 20_000);
      await until("the harm to be over", () => left <= 0);
    }
    const all = Array.from({ length: n / 10 }, () => numbers(0, 10)).flat();
    for (const harm of ["refuse", "hang", "cut"]) {
      await dropCache(server);
      let left = 2;
      meddler.harm = () => (left-- > 0 ? harm : undefined);
      expect((await streams.readAll(name)).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(all));
    }
    await dropCache(server);
    meddler.harm = () => "wrong";
    expect((await streams.read(name)).status).toBe(500);
    meddler.harm = () => undefined;
    await sleep(1100);
    expect((await streams.readAll(name)).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(all));
    let refused = 0;
    meddler.harm = ({ method }) => (method === "DELETE" && refused++ < 6 ? "refuse" : undefined);
    await streams.remove(name);
    await empty(objects);
    meddler.harm = () => undefined;
    await server.close();
  });

  const saying = (status, code, headers = {}) => ({
    status,
    headers: { "content-type": "application/xml", ...headers },
    body: code && `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>no</Message></Error>`,
  });
  const AWAY = [
    ["a bucket that is not there", saying(404, "NoSuchBucket")],
    ["a front's 404", { status: 404, headers: { "content-type": "text/html" }, body: "<html>NoSuchKey</html>" }],
    ["a 404 without a body", { status: 404 }],
    ["a 410", saying(410, "NoSuchKey")],
  ];

  test("what is not known to be missing is not believed to be", async () => {
    const { server, streams, objects } = await begin({ "shard.count": 1 }, { expected: [/segment \S+: /, ...TROUBLE] });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 20);
    await streams.inSegments(name);
    for (const [about, answer] of AWAY) {
      await dropCache(server);
      meddler.harm = ({ method }) => (method === "GET" ? answer : undefined);
      const away = await streams.read(name);
      expect([about, away.status, away.json().code]).toEqual([about, 503, "SEGMENT_UNAVAILABLE"]);
      meddler.harm = () => undefined;
    }
    await dropCache(server);
    meddler.harm = ({ method, url }) => (method === "GET" && url.endsWith(".seg") ? saying(404, "NoSuchKey") : undefined);
    expect((await streams.read(name)).json().code).toBe("SEGMENT_MISSING");
    // And what is to be removed is removed once the store is back.
    let asked = 0;
    meddler.harm = ({ method }) => (method === "DELETE" ? (asked++, AWAY[asked % AWAY.length][1]) : undefined);
    await streams.remove(name);
    await until("some attempts", () => asked >= 6, 30_000);
    expect((await objects()).length).toBe(2);
    meddler.harm = () => undefined;
    await empty(objects);
    await server.close();
  });

  test("redirections are followed, and what S3 calls passing is asked again", async () => {
    const { server, streams, objects } = await begin({ "shard.count": 1 }, { expected: TROUBLE });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    const elsewhere = (url) => saying(307, "TemporaryRedirect", { location: swift.url + url });
    meddler.harm = ({ url }) => elsewhere(url);
    await numbered(streams, name, 20);
    await streams.inSegments(name);
    const read = async (harm) => {
      await dropCache(server);
      meddler.harm = harm;
      const { status } = await streams.read(name);
      meddler.harm = () => undefined;
      return status;
    };
    expect(await read(({ url }) => elsewhere(url))).toBe(200);
    for (const [status, code] of [[400, "RequestTimeout"], [409, "OperationAborted"], [503, "SlowDown"], [500, "InternalError"]]) {
      const seen = new Set();
      const once = ({ url }) => (seen.has(url) ? undefined : (seen.add(url), saying(status, code)));
      expect([code, await read(once)]).toEqual([code, 200]);
    }
    let asked = 0;
    const nowhere = saying(307, "TemporaryRedirect", { location: "http://127.0.0.2:1/elsewhere" });
    expect(await read(() => (asked++, nowhere))).toBe(503);
    const round = ({ url }) => saying(307, "TemporaryRedirect", { location: meddler.url + url });
    expect(await read((request) => (asked++, round(request)))).toBe(503);
    expect(asked).toBeLessThan(100);
    meddler.harm = ({ url }) => elsewhere(url);
    await streams.remove(name);
    await empty(objects);
    meddler.harm = () => undefined;
    await server.close();
  });

  test("a list of backups that cannot be had is not taken for an empty one", async () => {
    const { server, bucket } = await begin({ "backup.interval": "0s" }, { expected: [...TROUBLE, /backup \d+ failed/] });
    const backUp = () => server.commandLater("backup", "now");
    const first = (await backUp()).out.trim();
    for (const [, answer] of AWAY) {
      meddler.harm = ({ method, url }) => (method === "GET" && url.endsWith("/index") ? answer : undefined);
      expect((await backUp()).status).toBe(1);
    }
    meddler.harm = () => undefined;
    const second = (await backUp()).out.trim();
    const index = await (await swift.request("GET", `/${bucket}/backup/index`)).json();
    expect(index.map(String)).toEqual([second, first]);
    await server.close();
  });

  const OURS = /s3.bucket or s3.prefix: .*(has no object owner|has the object owner of another server|has none of the segments)|s3.bucket is empty|segment.directory is not this server's/;

  test("another bucket or prefix is not believed to have lost anything", async () => {
    const { server, bucket, streams, objects } = await begin({ "shard.count": 1 }, { expected: [OURS, ...TROUBLE] });
    const names = [await streams.fresh("s", { type: JSON_TYPE }), await streams.fresh("s", { type: JSON_TYPE })];
    for (const name of names) await numbered(streams, name, 20);
    for (const name of names) await streams.inSegments(name);
    expect((await objects()).length).toBe(4);
    const at = async (settings) => {
      await server.stop();
      rmSync(join(server.dataDir, "cache"), { recursive: true, force: true });
      await server.start(settings);
    };
    const owner = join(server.dataDir, "owner");
    const mark = async () => (await swift.request("GET", `/${bucket}/owner`)).text();
    expect(await mark()).toBe(readFileSync(owner, "utf8"));
    await at({ "s3.prefix": "elsewhere/" });
    await until("a word about it", () => /has no object owner: the segments are elsewhere \(they were in /.test(server.log));
    expect((await streams.read(names[0])).json().code).toBe("SEGMENT_UNAVAILABLE");
    await streams.remove(names[1]);
    await streams.append(names[0], JSON.stringify(numbers(20, 40)), { type: JSON_TYPE });
    await sleep(2500);
    expect((await objects()).length).toBe(4);
    // Another server's.
    await swift.request("PUT", `/${bucket}/elsewhere/owner`, { body: `streamd ${"7".repeat(32)}\n` });
    await at({ "s3.prefix": "elsewhere/" });
    await until("a word about it", () => server.log.includes("has the object owner of another server"));
    expect((await streams.read(names[0])).json().code).toBe("SEGMENT_UNAVAILABLE");
    // No bucket at all.
    await at({ "segment.store": "directory", "s3.bucket": "" });
    expect(server.log).toMatch(/s3.bucket is empty, and there are segments in .*bucket-/);
    expect((await streams.read(names[0])).json().code).toBe("SEGMENT_UNAVAILABLE");
    // And back.
    await at({ "segment.store": "s3", "s3.bucket": bucket, "s3.prefix": "" });
    await until("what was deleted to be gone, and what was appended to be there", async () => (await objects()).length === 4, 20_000);
    expect((await streams.readAll(names[0])).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(numbers(0, 40)));
    await server.close();
  }, 60_000 * PATIENCE);

  test("what was used before buckets had owners is known by its segments", async () => {
    const { server, bucket, streams, objects } = await begin({ "shard.count": 1 }, { expected: [OURS, ...TROUBLE] });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 20);
    await streams.inSegments(name);
    const forget = async (settings) => {
      await server.stop();
      for (const file of ["owner", "owner.bucket"]) rmSync(join(server.dataDir, file));
      await swift.request("DELETE", `/${bucket}/owner`);
      rmSync(join(server.dataDir, "cache"), { recursive: true, force: true });
      await server.start(settings);
    };
    await forget({});
    await until("an owner", async () => (await swift.request("GET", `/${bucket}/owner`)).status === 200);
    expect((await streams.readAll(name)).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(numbers(0, 20)));
    await sleep(500 * SLOW);
    await forget({ "s3.prefix": "elsewhere/" });
    await until("a word about it", () => server.log.includes("has none of the segments that the databases know"));
    expect((await streams.read(name)).json().code).toBe("SEGMENT_UNAVAILABLE");
    await server.close();
  }, 60_000 * PATIENCE);

  test("a folder with segments of its own is no cache", async () => {
    const { server, streams, objects } = await begin({ "shard.count": 1 }, { expected: [/segment.cache_directory: /, ...TROUBLE] });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 10);
    await streams.inSegments(name);
    const folder = join(server.folder, "theirs");
    mkdirSync(folder);
    writeFileSync(join(folder, "owner"), `streamd ${"7".repeat(32)}\n`);
    await server.stop();
    rmSync(join(server.dataDir, "cache"), { recursive: true, force: true });
    await server.start({ "segment.cache_directory": folder });
    expect((await streams.read(name)).json().code).toBe("SEGMENT_UNAVAILABLE");
    expect(server.log).toContain(`segment.cache_directory: ${folder} is a store of segments: it has a file owner`);
    expect(readdirSync(folder)).toEqual(["owner"]);
    await server.stop();
    await server.start({ "segment.cache_directory": "" });
    expect((await streams.read(name)).json()).toEqual(numbers(0, 10));
    await server.close();
  });

  test("of two servers with one prefix the second is refused", async () => {
    const { server, bucket, streams, objects } = await begin({ "shard.count": 1 });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 10);
    await until("an object", async () => (await objects()).length === 1);
    const settings = {
      "segment.max_messages": 10,
      "shard.flush_idle": "20ms",
      "segment.store": "s3",
      "s3.endpoint": meddler.url,
      "s3.region": Swift.REGION,
      "s3.bucket": bucket,
    };
    const second = await Server.start({ settings, environment: WITH_KEYS, expected: [OURS, ...TROUBLE] });
    await until("a word about it", () => second.log.includes("has the object owner of another server"));
    const other = new Streams(second);
    const theirs = await other.fresh("s", { type: JSON_TYPE });
    await numbered(other, theirs, 10);
    await until("a refusal", () => /cannot be stored: .*of another server/.test(second.log), 20_000);
    expect((await objects()).length).toBe(1);
    await second.close();
    await server.close();
  }, 60_000 * PATIENCE);

  test("an object that is gone or another is an error for its part of the stream only", async () => {
    const { server, bucket, streams, objects } = await begin(
      { "shard.count": 1 },
      {
        expected: [/segment \S+: /, ...TROUBLE],
      },
    );
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 35);
    await until("three objects", async () => (await objects()).length === 3);
    const [first, second] = (await objects()).sort();
    const read = async (name) => Buffer.from(await (await swift.request("GET", `/${bucket}/${name}`)).arrayBuffer());
    const good = await read(second);
    const check = async (code, told) => {
      await dropCache(server);
      expect((await server.commandLater("verify")).out).toMatch(/^3 segments are in the store only[^]* 0 problems$/m);
      const verified = await server.commandLater("verify", "--objects");
      expect(verified.out).toMatch(new RegExp(`: the segment at 10, ${second}: ${told}\n[^]* 1 problems$`));
      const answer = await streams.read(name, { offset: streams.at(name, 12) });
      expect([answer.status, answer.json().code]).toEqual([500, code]);
      expect((await streams.read(name, { offset: streams.at(name, 0), limit: "10" })).json()).toEqual(numbers(0, 10));
      expect((await streams.readAll(name, streams.at(name, 20))).bytes.toString()).toBe(JSON.stringify(numbers(20, 35)));
      const page = await scrape(server.url);
      const missing = code === "SEGMENT_MISSING";
      const counted = { error: missing ? "missing" : "damaged" };
      expect(valueOf(page, "segment_errors_total", counted)).toBeGreaterThanOrEqual(1);
      const answers = { call: "fetch", result: missing ? "missing" : "ok" };
      expect(valueOf(page, "s3_requests_total", answers)).toBeGreaterThanOrEqual(1);
      expect(valueOf(page, "s3_request_duration_seconds_count", { call: "fetch" })).toBeGreaterThanOrEqual(3);
    };
    await swift.request("DELETE", `/${bucket}/${second}`);
    await check("SEGMENT_MISSING", "its object is missing");
    await swift.request("PUT", `/${bucket}/${second}`, { body: good.subarray(1) });
    await check("SEGMENT_TRUNCATED", "its file has another size");
    await swift.request("PUT", `/${bucket}/${second}`, { body: await read(first) });
    await check("SEGMENT_TRUNCATED", "its file .*");
    await swift.request("PUT", `/${bucket}/${second}`, {
      body: Buffer.from(good.map((byte, i) => byte ^ (i === good.length - 2))),
    });
    await check("SEGMENT_TRUNCATED", "its file is damaged");
    await swift.request("PUT", `/${bucket}/${second}`, { body: good });
    await sleep(1100);
    expect((await streams.readAll(name)).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(numbers(0, 35)));
    await server.close();
  });

  test("the store may be changed: what was put before is read from where it is", async () => {
    const { server, streams, objects } = await begin();
    const name = await streams.fresh("s", { type: JSON_TYPE });
    const files = () => Object.keys(server.files()).filter((file) => /^segments.*seg$/.test(file));
    await numbered(streams, name, 20);
    await until("two objects", async () => (await objects()).length === 2);
    await server.stop();
    await server.start({ "segment.store": "directory" });
    await numbered(streams, name, 20);
    await until("two files", () => files().length === 2);
    await server.stop();
    await server.start({ "segment.store": "s3" });
    await numbered(streams, name, 10);
    await until("three objects", async () => (await objects()).length === 3);
    await dropCache(server);
    const expected = [...numbers(0, 20), ...numbers(0, 20), ...numbers(0, 10)];
    expect((await streams.readAll(name)).bytes.toString().replaceAll("][", ",")).toBe(JSON.stringify(expected));
    await streams.remove(name);
    await empty(objects);
    await until("no files", () => files().length === 0);
    await server.close();
  });

  test("a cache where the segments are is refused", async () => {
    const server = new Server({ settings: { "segment.cache_directory": "/tmp/x", "segment.directory": "/tmp/x" } });
    server.launch();
    expect(await server.exited()).toMatchObject({ code: 78 });
    expect(server.log).toContain("[segment] cache_directory: expected a folder apart from the segments' own (/tmp/x)");
    rmSync(server.folder, { recursive: true });
  });

  test("what cannot be is refused at the start", async () => {
    for (const [settings, says] of [
      [{ "segment.store": "s3" }, /\[s3\] bucket: /],
      [{ "s3.bucket": "b", "s3.endpoint": "example.org" }, /\[s3\] endpoint: expected .*, got "example.org"/],
      [{ "s3.prefix": "a b/" }, /\[s3\] prefix: expected .*, got "a b\/"/],
    ]) {
      const server = new Server({ settings, expected: [/.*/] });
      server.launch();
      expect((await server.exited()).code).toBe(78);
      expect(server.log).toMatch(says);
      rmSync(server.folder, { recursive: true });
    }
  });

  test("a large segment is fetched in parts, and of these only what was cut again", async () => {
    const settings = { "segment.max_bytes": "64M", "limits.read_page": "64M", "limits.max_body": "32M" };
    const { server, streams, objects } = await begin(settings, { expected: TROUBLE });
    const name = await streams.fresh("large");
    const parts = [randomBytes(9_000_000), randomBytes(13_000_000)];
    for (const part of parts) expect((await streams.append(name, part)).status).toBe(204);
    await streams.close(name);
    await streams.inSegments(name);
    expect((await objects()).length).toBe(1);
    await dropCache(server);
    const ranges = [];
    meddler.harm = ({ method, headers }) => {
      if (method !== "GET") return;
      ranges.push(headers.range);
      return ranges.length === 2 ? "cut" : undefined;
    };
    const { bytes } = await streams.readAll(name);
    meddler.harm = () => undefined;
    expect(bytes.equals(Buffer.concat(parts))).toBe(true);
    expect(ranges.slice(0, 3).map((range) => range.split("-")[0])).toEqual([
      "bytes=0",
      "bytes=8388608",
      "bytes=8388608",
    ]);
    expect(ranges.length).toBe(4);
    await streams.remove(name);
    await empty(objects);
    await server.close();
  });

  // Requests for objects of the stream wait until release() is called.
  const holdBack = () => {
    let release;
    const released = new Promise((resolve) => (release = resolve));
    meddler.harm = ({ method }) => (method === "GET" ? released : undefined);
    return () => {
      meddler.harm = () => undefined;
      release();
    };
  };

  test("a late answer to a shard that has died is nobody else's", async () => {
    const { server, streams, objects } = await begin({ "s3.timeout": "60s" });
    const sources = [nameOnShard(server, 0, "a"), nameOnShard(server, 0, "b")];
    const forks = [nameOnShard(server, 1, "fa"), nameOnShard(server, 1, "fb")];
    for (const [i, source] of sources.entries()) {
      await streams.create(source, { type: JSON_TYPE });
      await streams.append(source, JSON.stringify(Array.from({ length: 10 }, () => ({ n: i }))), { type: JSON_TYPE });
      await streams.fork(forks[i], source);
    }
    for (const source of sources) await streams.inSegments(source);
    await dropCache(server);
    const release = holdBack();
    const first = streams.read(forks[0]);
    await until("the store to be asked", () => meddler.counts.GET > 0);
    await server.restartChild("shard", 1);
    const second = streams.read(forks[1]);
    await sleep(300);
    release();
    expect((await first).json()[0]).toEqual({ n: 0 });
    expect((await second).json()[0]).toEqual({ n: 1 });
    await server.close();
  });

  test("readers that wait for the store keep nobody else waiting", async () => {
    const { server, streams, objects } = await begin({ "shard.count": 1, "s3.timeout": "60s" });
    const [cold, hot] = [await streams.fresh("cold", { type: JSON_TYPE }), await streams.fresh("hot")];
    await numbered(streams, cold, 10);
    await streams.append(hot, "here");
    await streams.inSegments(cold);
    await dropCache(server);
    const release = holdBack();
    const waiting = Array.from({ length: 150 }, () => streams.read(cold));
    await sleep(300);
    expect((await streams.read(hot)).text).toBe("here");
    release();
    for (const answer of await Promise.all(waiting)) expect(answer.json()).toEqual(numbers(0, 10));
    await server.close();
  });

  test("a bad file in the cache is fetched again", async () => {
    const { server, streams, objects } = await begin({ "shard.count": 1 });
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await numbered(streams, name, 20);
    await streams.inSegments(name);
    const cache = join(server.dataDir, "cache");
    const files = () => readdirSync(cache, { recursive: true }).filter((file) => file.endsWith(".seg"));
    for (const damage of [
      (file) => writeFileSync(file, ""),
      (file) => writeFileSync(file, randomBytes(statSync(file).size)),
      (file) => writeFileSync(file, readFileSync(file).fill(7, 120)),
    ]) {
      await dropCache(server);
      expect((await streams.readAll(name)).bytes.length).toBeGreaterThan(100);
      await server.stop();
      for (const file of files()) damage(join(cache, file));
      expect(await server.commandLater("verify", "--objects")).toMatchObject({ status: 0, err: "" });
      await server.start();
      const { pages } = await streams.readAll(name);
      expect(pages.flatMap((page) => JSON.parse(page.toString()))).toEqual(numbers(0, 20));
    }
    await server.close();
  });

  test("the bucket's name before the host's", async () => {
    const endpoint = swift.url.replace("127.0.0.1", "localhost");
    const settings = { "s3.endpoint": `${endpoint}/`, "s3.style": "virtual", "s3.prefix": "a/b-" };
    const { server, streams, objects } = await begin(settings);
    const name = await streams.fresh("virtual", { type: JSON_TYPE });
    await numbered(streams, name, 40);
    await until("four objects", async () => (await objects()).length === 4);
    expect((await objects()).every((object) => object.startsWith("a/b-"))).toBe(true);
    await dropCache(server);
    expect((await streams.read(name, { offset: streams.at(name, 0) })).json().slice(0, 10)).toEqual(numbers(0, 10));
    await streams.remove(name);
    await empty(objects);
    await server.close();
  });

  test("credentials from a file, which may change; wrong ones are told of", async () => {
    const { server, streams, objects } = await begin({}, { environment: {}, expected: TROUBLE });
    const file = join(server.folder, "credentials");
    const name = await streams.fresh("s", { type: JSON_TYPE });
    await server.stop();
    writeFileSync(file, `[default]\naws_access_key_id = ${Swift.ACCESS_KEY}\naws_secret_access_key = wrong\n`);
    await server.start({ "s3.credentials": file });
    await numbered(streams, name, 20);
    await until("a refusal", () => /cannot be stored: status 403 SignatureDoesNotMatch/.test(server.log));
    writeFileSync(
      file,
      `[default]\naws_access_key_id = ${Swift.ACCESS_KEY}\naws_secret_access_key = ${Swift.SECRET_KEY}\n`,
    );
    await until("two objects", async () => (await objects()).length === 2, 20_000);
    expect(server.log).not.toContain(Swift.SECRET_KEY);
    await server.close();
  });
});
