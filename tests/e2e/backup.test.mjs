// Backups of the databases beside the segments in a real S3-compatible store, and what is made from them.

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { nameOnShard } from "../lib/layout.mjs";
import { seeded } from "../lib/lives_play.mjs";
import { scrape, valueOf } from "../lib/metrics.mjs";
import { folderOf, IS_ROOT, SOMEBODY, strangersIn } from "../lib/owners.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { call, freshName, Streams } from "../lib/streams.mjs";
import { Swift } from "../lib/swift.mjs";
import { PATIENCE, sleep, until } from "../lib/wait.mjs";

const JSON_TYPE = "application/json";
const WITH_KEYS = { AWS_ACCESS_KEY_ID: Swift.ACCESS_KEY, AWS_SECRET_ACCESS_KEY: Swift.SECRET_KEY };
const EXPECTED = [/^.*backup \d+ failed/, /backup .* (is damaged|cannot be had)/, /has not reported/];

describe.skipIf(!OWNED)("backup and restore", () => {
  let swift,
    buckets = 0;
  beforeAll(async () => (swift = await Swift.start()), 60_000 * PATIENCE);
  afterAll(() => swift.close());

  const settingsFor = (bucket, more) => ({
    "segment.max_messages": 10,
    "shard.flush_idle": "20ms",
    "shard.count": 3,
    "fanout.inline_limit": 0,
    "segment.store": "s3",
    "s3.endpoint": swift.url,
    "s3.region": Swift.REGION,
    "s3.bucket": bucket,
    "s3.prefix": "there/",
    "backup.interval": "0s",
    ...more,
  });
  const begin = async (more = {}, expected = []) => {
    const bucket = `backups-${buckets++}`;
    expect((await swift.request("PUT", `/${bucket}`)).status).toBe(200);
    const settings = settingsFor(bucket, more);
    const server = await Server.start({ settings, environment: WITH_KEYS, expected });
    const objects = async (kind = "") => (await swift.list(bucket)).filter((name) => name.includes(kind) && !name.endsWith("owner"));
    return { server, bucket, settings, streams: new Streams(server), objects };
  };
  // A server of another data folder that is made from a backup: { server, streams, restored }. Root restores it for
  // somebody else.
  const restore = (settings, from = "latest") => {
    const server = new Server({ settings, environment: WITH_KEYS });
    if (IS_ROOT) folderOf(SOMEBODY, server.dataDir);
    const restored = server.command("restore", "--from", from);
    if (IS_ROOT) expect(strangersIn(server.dataDir, SOMEBODY)).toEqual([]);
    return { server, streams: new Streams(server), restored };
  };
  const now = (server) => {
    const { status, out, err } = server.command("backup", "now");
    if (status !== 0) throw new Error(`backup now: ${err}`);
    return out;
  };
  const put = async (streams, name, from, to) => {
    for (let n = from; n < to; n++)
      expect((await streams.append(name, JSON.stringify({ n }), { type: JSON_TYPE })).status).toBe(204);
  };
  const numbers = async (streams, name) => {
    const { pages } = await streams.readAll(name);
    return pages.flatMap((page) => JSON.parse(page.toString()).map(({ n }) => n));
  };
  // All of a stream, however it is cut into pages.
  const content = async (streams, name) => {
    const type = (await streams.head(name)).headers.get("content-type");
    return type === JSON_TYPE ? await numbers(streams, name) : `${(await streams.readAll(name)).bytes}`;
  };
  const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
  const subscribe = async (server, source, estuary) => {
    const answer = await call(`${server.url}/v1/estuary/subscribe/${source}`, "POST", {
      headers: { "content-type": JSON_TYPE },
      body: JSON.stringify({ estuaryId: estuary }),
    });
    expect(answer.status).toBe(200);
  };

  test("readers up to the restored tail go on, and those ahead of it are told so", { timeout: 60_000 * PATIENCE }, async () => {
    const { server, settings, streams } = await begin();
    const json = { type: JSON_TYPE };
    const [name, empty, closed] = [await streams.fresh("ahead", json), await streams.fresh("empty", json), await streams.fresh("closed", json)];
    await put(streams, name, 0, 5);
    await put(streams, closed, 0, 2);
    await streams.close(closed);
    const heads = {};
    for (const one of [name, empty, closed]) heads[one] = await streams.head(one);
    now(server);
    const lost = [];
    for (let n = 5; n < 9; n++) lost.push((await streams.append(name, `{"lost":${n}}`, json)).next);
    const lostOfEmpty = (await streams.append(empty, '{"lost":0}', json)).next;
    await streams.remove(closed);
    await streams.create(closed, json);
    const lostLife = (await streams.append(closed, '{"lost":0}', json)).next;
    await server.kill(); // the machine is gone

    const again = restore(settings);
    expect(again.restored.status).toBe(0);
    await again.server.start();
    const there = again.streams;
    const gone = async (one, offset) => {
      for (const query of [{ offset }, { offset, live: "long-poll" }, { offset, live: "sse" }]) {
        const answer = await there.read(one, query);
        expect([answer.status, answer.json().code]).toEqual([410, "STREAM_RECREATED"]);
      }
    };
    for (const offset of lost) await gone(name, offset);
    await gone(empty, lostOfEmpty);
    await gone(closed, lostLife);
    const tail = heads[name].next;
    expect((await there.read(name, { offset: tail })).json()).toEqual([]);
    const poll = there.longPoll(name, tail);
    const next = (await there.append(name, '{"n":"new"}', json)).next;
    expect((await poll).json()).toEqual([{ n: "new" }]);
    await put(there, name, 20, 30); // past all that is lost
    for (const offset of lost) await gone(name, offset);
    expect(next > tail && next > lost[0]).toBe(true);
    expect((await there.read(name, { offset: next })).json().length).toBe(10);
    await there.append(empty, '{"n":"new"}', json);
    expect((await there.read(empty, { offset: heads[empty].next })).json()).toEqual([{ n: "new" }]);
    await gone(empty, lostOfEmpty);

    const life = (answer, header = "stream-incarnation") => answer.headers.get(header);
    const head = await there.head(name);
    expect(Number(life(head))).toBeGreaterThan(Number(life(heads[name])));
    expect([life(head, "stream-previous-incarnation"), life(head, "stream-inherited-offset")]).toEqual([life(heads[name]), tail]);
    expect(life(await there.head(closed))).toBe(life(heads[closed])); // it can have lost nothing
    const fork = freshName("fork");
    expect((await there.fork(fork, name, { "stream-fork-offset": next })).status).toBe(201);
    expect((await there.read(fork, { offset: tail })).json()).toEqual([{ n: "new" }]);
    await there.append(fork, '{"n":"own"}', json);
    expect((await there.read(fork, { offset: next })).json()).toEqual([{ n: "own" }]);
    await gone(fork, lost[0]);
    await again.server.stop();
    const verified = again.server.command("verify");
    expect([verified.status, verified.out]).toEqual([0, expect.stringContaining("0 problems")]);
    await again.server.close();
  });

  test("the restored server has every stream byte for byte, and works on", { timeout: 60_000 * PATIENCE }, async () => {
    const { server, settings, streams, objects } = await begin();
    const key = server.command("create-project", "kept").out;
    const names = {};
    for (const about of ["hot", "cold", "closed", "source"])
      names[about] = await streams.fresh(about, { type: JSON_TYPE });
    names.bytes = await streams.fresh("bytes", { headers: { "stream-ttl": "3600" } });
    await put(streams, names.hot, 0, 7);
    await put(streams, names.cold, 0, 100);
    await put(streams, names.source, 0, 25);
    await put(streams, names.closed, 0, 33);
    await streams.close(names.closed);
    for (const part of ["one", "two", "x".repeat(300_000)]) await streams.append(names.bytes, part);
    names.fork = freshName("fork");
    await streams.fork(names.fork, names.source);
    await put(streams, names.fork, 25, 28);
    await subscribe(server, names.source, "reader");
    names.reader = "test/reader";
    await put(streams, names.source, 100, 103);
    await until("the estuary", async () => (await numbers(streams, names.reader)).length === 3);
    await streams.produce(names.hot, '{"n":7}', { seq: 0, type: JSON_TYPE });
    await until("segments", async () => (await objects(".seg")).length >= 4);
    for (let last = ""; last !== `${await objects(".seg")}`; await sleep(2500)) last = `${await objects(".seg")}`;

    const before = {};
    for (const [about, name] of Object.entries(names)) before[about] = await content(streams, name);
    const heads = {};
    for (const [about, name] of Object.entries(names)) heads[about] = (await streams.head(name)).headers;
    const id = now(server);
    expect(id).toMatch(/^\d{13}$/);
    const known = await objects(".seg");
    await put(streams, names.hot, 8, 12); // later than the backup
    await streams.remove(names.cold); // its segments must stay
    const kept = await objects(".seg");
    await sleep(2500); // longer than it takes to look after orphans
    expect(await objects(".seg")).toEqual(expect.arrayContaining(kept));
    await server.kill(); // the machine is gone
    const unknown = (await objects(".seg")).filter((name) => !known.includes(name));

    const again = restore(settings);
    expect(again.restored).toMatchObject({ status: 0, out: "restored" });
    expect(again.restored.err).toContain(`backup ${id} is restored`);
    await again.server.start();
    for (const [about, name] of Object.entries(names)) {
      expect(await content(again.streams, name)).toEqual(before[about]);
      const { headers } = await again.streams.head(name);
      for (const header of ["stream-next-offset", "content-type", "stream-closed", "stream-ttl", "stream-reader-key"])
        expect(headers.get(header)).toBe(heads[about].get(header));
    }
    expect(again.server.command("list-projects").out).toContain("kept keys=1");
    expect(key.length).toBeGreaterThanOrEqual(32);
    const twice = await again.streams.produce(names.hot, '{"n":7}', { seq: 0, type: JSON_TYPE });
    expect(twice.status).toBe(204); // it was taken before
    await put(again.streams, names.hot, 20, 21);
    await put(again.streams, names.source, 200, 201);
    await until("the estuary", async () => (await numbers(again.streams, names.reader)).includes(200));
    expect((await numbers(again.streams, names.hot)).slice(-2)).toEqual([7, 20]);

    // The bucket is the restored server's as well.
    const owners = [server, again.server].map(({ dataDir }) => readFileSync(join(dataDir, "owner"), "utf8"));
    expect(owners[1]).toBe(owners[0]);

    // And it makes backups of its own, after which nothing of the old ones stays for ever.
    again.server.configure({ "backup.keep": 1 });
    await again.server.stop();
    await again.server.start();
    const next = now(again.server);
    expect(Number(next)).toBeGreaterThan(Number(id));
    await until("the old backup to go", async () => !(await objects(`backup/${id}/`)).length, 20_000);
    for (const name of Object.values(names).reverse()) await again.streams.remove(name);
    await until("the segments to go", async () => {
      now(again.server); // which needs none of what was deleted before it
      await sleep(500);
      return (await objects(".seg")).every((name) => unknown.includes(name));
    });
    expect((await objects()).every((name) => name.startsWith("there/backup/") || unknown.includes(name))).toBe(true);
    await again.server.close();
    await server.close().catch(() => {}); // it was killed
  });

  test("made under load it is of one moment for all shards", async () => {
    const { server, settings, streams } = await begin({ "backup.keep": 2, "shard.count": 4 });
    const source = nameOnShard(server, 0);
    const sinks = [1, 2, 3].map((shard) => nameOnShard(server, shard).split("/")[1]);
    expect((await streams.create(source, { type: JSON_TYPE })).status).toBe(201);
    for (const sink of sinks) await subscribe(server, source, sink);
    let writing = true,
      written = 0;
    const write = async () => {
      for (; writing; written++) await streams.append(source, JSON.stringify({ n: written }), { type: JSON_TYPE });
    };
    const forks = [];
    const fork = async () => {
      for (; writing; await sleep(5)) {
        const name = freshName("fork");
        if ((await streams.fork(name, source)).status === 201) forks.push(name);
      }
    };
    const busy = [write(), fork()];
    const asked = [];
    for (let i = 0; i < 4 || written <= 100; i++) {
      await sleep(100);
      const answer = await server.commandLater("backup", "now");
      asked.push(answer);
      expect(answer.status).toBe(0);
    }
    writing = false;
    await Promise.all(busy);
    await server.kill();
    for (const { out } of asked.slice(-2)) {
      const again = restore(settings, out.trim());
      expect(again.restored.status).toBe(0);
      await again.server.start();
      const all = await numbers(again.streams, source);
      expect(all).toEqual(range(0, all.length));
      for (const sink of sinks)
        await until(`sink ${sink}`, async () => (await numbers(again.streams, `test/${sink}`)).length === all.length);
      for (const sink of sinks) expect(await numbers(again.streams, `test/${sink}`)).toEqual(all);
      let there = 0;
      for (const name of forks) {
        const head = await again.streams.head(name);
        if (head.status !== 200) continue;
        there++;
        const own = await numbers(again.streams, name);
        expect(own).toEqual(range(0, own.length));
        expect(own.length).toBeLessThanOrEqual(all.length);
      }
      expect(there).toBeGreaterThan(0);
      await again.server.close();
      rmSync(again.server.folder, { recursive: true, force: true });
    }
    const gone = restore(settings, asked[0].out.trim());
    expect(gone.restored.status).not.toBe(0);
    expect(gone.restored.err).toMatch(/there is no backup \d+; there are: \d+ \d+/);
    rmSync(gone.server.folder, { recursive: true, force: true });
    rmSync(server.folder, { recursive: true, force: true });
  });

  test("random histories go on from the restored tails", { timeout: 120_000 * PATIENCE }, async () => {
    const { server, settings } = await begin();
    await seeded(server, async (play) => {
      await play.run(100);
      for (let n = 0; n < 2; n++) {
        now(play.server);
        const copy = play.model.copy();
        await play.run(40);
        await play.server.kill();
        await play.stopReaders();
        const again = restore(settings);
        expect(again.restored.status).toBe(0);
        await again.server.start();
        await play.restored(again.server, copy);
        await play.run(60);
        await play.settle();
        await play.probeAll();
      }
      await play.server.close();
    });
    await server.close().catch(() => {}); // it was killed
  });

  test("by the clock", async () => {
    const { server, objects } = await begin({ "backup.interval": "1s", "backup.keep": 1 }, [/failed: streamd stops/]);
    const manifests = async () => (await objects("backup/")).filter((name) => name.endsWith("manifest"));
    await until("a backup", async () => (await manifests()).length > 0);
    const [first] = await manifests();
    await until("the next, and the first to go", async () => {
      const there = await manifests();
      return there.length === 1 && there[0] !== first;
    });
    await server.close();
  });

  test("what cannot be is said", async () => {
    const { server, settings, streams, bucket, objects } = await begin({}, EXPECTED);
    const say = (command) => `${command.status} ${command.err}`;
    expect(say(server.command("backup"))).toMatch(/^1 .*backup now/);
    expect(say(server.command("backup", "later"))).toMatch(/^1 .*backup now/);
    for (const words of [[], ["latest"], ["--from"], ["--from", "x"], ["--from", ""], ["--from", "latest", "more"]])
      expect(say(server.command("restore", ...words))).toMatch(/^1 .*--from latest/);
    const first = restore(settings);
    expect(first.restored.status).not.toBe(0);
    expect(first.restored.err).toContain("there is no backup in the bucket");
    expect(existsSync(join(first.server.dataDir, "layout"))).toBe(false);

    const name = await streams.fresh("s", { type: JSON_TYPE });
    await put(streams, name, 0, 30);
    const id = now(server);
    const away = restore({ ...settings, "s3.bucket": "nowhere" });
    expect(away.restored.status).not.toBe(0);
    const unreachable = restore({ ...settings, "s3.endpoint": "http://127.0.0.1:1" });
    expect(unreachable.restored.err).toContain("the list of backups cannot be had");
    const none = restore({ ...settings, "segment.store": "directory" });
    expect(none.restored.err).toContain("set segment.store = s3");
    for (const { server: unused } of [away, unreachable, none, first]) rmSync(unused.folder, { recursive: true });

    // A folder that holds data is left alone, a half restored one is not served and is made anew.
    const other = restore(settings, id);
    expect(other.restored.status).toBe(0);
    expect(say(other.server.command("restore", "--from", "latest"))).toMatch(/^78 .*holds data already/s);
    mkdirSync(join(other.server.dataDir, "restore"));
    writeFileSync(join(other.server.dataDir, "restore", "shard-0.db"), "half");
    other.server.launch();
    expect(await other.server.exited()).toMatchObject({ code: 78 });
    expect(other.server.log).toContain("a restore was cut short");
    expect(other.server.command("restore", "--from", "latest").status).toBe(0);
    expect(existsSync(join(other.server.dataDir, "restore"))).toBe(false);
    await other.server.start();
    expect(await numbers(other.streams, name)).toEqual(range(0, 30));
    await other.server.stop();

    // While the server that made it is away.
    await server.stop();
    expect(say(server.command("backup", "now"))).toMatch(/^1 .*no streamd works on the folder/);

    // Damage of every kind in the bucket.
    const files = (await objects(`backup/${id}/`)).sort();
    expect(files.map((file) => file.split("/").at(-1))).toEqual([
      "layout.0",
      "manifest",
      "shard-0.db.0",
      "shard-1.db.0",
      "shard-2.db.0",
    ]);
    for (const file of [...files, "there/backup/index"]) {
      const body = Buffer.from(await (await swift.request("GET", `/${bucket}/${file}`)).arrayBuffer());
      const wrong = Buffer.from(body);
      wrong[wrong.length >> 1] ^= 4;
      for (const bad of [wrong, body.subarray(0, body.length - 1), Buffer.from("x"), null]) {
        if (bad) await swift.request("PUT", `/${bucket}/${file}`, { body: bad });
        else await swift.request("DELETE", `/${bucket}/${file}`);
        const damaged = restore(settings, id);
        if (damaged.restored.status === 0) {
          await damaged.server.start(); // a changed byte may not matter, as a space in a manifest
          expect(await numbers(damaged.streams, name)).toEqual(range(0, 30));
          await damaged.server.stop();
        } else {
          expect(damaged.restored.err).toMatch(/is damaged|cannot be had|there is no backup|another version/);
        }
        rmSync(damaged.server.folder, { recursive: true, force: true });
      }
      await swift.request("PUT", `/${bucket}/${file}`, { body });
    }
    rmSync(other.server.folder, { recursive: true, force: true });
    await server.start();
    await server.close();
  });

  test("a store that does not answer fails a backup, and the next one works", async () => {
    const { server, settings } = await begin({ "s3.timeout": "300ms", "server.hang_timeout": "60s" }, EXPECTED);
    const first = now(server);
    swift.freeze();
    const failed = server.command("backup", "now");
    swift.thaw();
    expect(failed.status).toBe(1);
    expect(failed.err).toMatch(/error: shard \d: /);
    const second = await until("the store's answers", () => {
      const { status, out } = server.command("backup", "now");
      return status === 0 && out;
    });
    const page = await scrape(server.url);
    expect(valueOf(page, "backups_total", { result: "complete" })).toBe(2);
    expect(valueOf(page, "backups_total", { result: "failed" })).toBeGreaterThanOrEqual(1);
    expect(Math.abs(Date.now() / 1000 - valueOf(page, "backup_last_success_timestamp_seconds"))).toBeLessThan(60);
    const again = restore(settings);
    expect(again.restored.err).toContain(`backup ${second} is restored`);
    expect(second > first).toBe(true);
    rmSync(again.server.folder, { recursive: true, force: true });
    await server.close();
  });

  test("a server without such a store has none", async () => {
    const server = await Server.start();
    const silent = Array.from({ length: 20 }, () => connect(join(server.dataDir, "console")));
    for (const socket of silent) socket.on("error", () => {});
    await sleep(100); // whoever says nothing does not keep operators out
    const { status, err } = server.command("backup", "now");
    expect(`${status} ${err}`).toMatch(/^1 .*backups need segment.store = s3/);
    for (const socket of silent) socket.destroy();
    await server.close();
  });
});
