// Upgrades: other programs take over, and nobody notices. tests/crash/upgrades.mjs does it under load.

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { Connection } from "../lib/http.mjs";
import { scrape, valueOf } from "../lib/metrics.mjs";
import { Programs, buildAnother } from "../lib/programs.mjs";
import { BUILD, OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call } from "../lib/streams.mjs";
import { PATIENCE, until } from "../lib/wait.mjs";

describe.skipIf(!OWNED)("an upgrade", () => {
  const TAKEN = /has taken over, in \d+ ms/g;
  let another, programs, server, streams;
  beforeAll(() => {
    another = buildAnother();
  }, 180_000 * PATIENCE);
  beforeEach(() => {
    programs = new Programs();
  });
  afterEach(async () => {
    await server?.close();
    server = null;
    programs.remove();
  }, 60_000 * PATIENCE);

  async function start(settings = {}, more = {}) {
    server = await Server.start({
      programs: programs.folder,
      settings: { "shard.count": 2, "router.workers": 2, ...settings },
      ...more,
    });
    streams = new Streams(server);
  }

  const count = (pattern) => [...server.log.matchAll(pattern)].length;

  async function upgrade(signal = "SIGUSR2") {
    const before = count(TAKEN);
    server.signal(signal);
    await until("the upgrade", () => count(TAKEN) > before, 30_000);
  }

  test("keeps the supervisor's process, and replaces every other", async () => {
    await start();
    const before = server.children().map(({ pid }) => pid);
    const { pid } = server;
    const { starttime } = { starttime: readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[21] };
    await upgrade();
    expect(server.running).toBe(true);
    expect(readFileSync(`/proc/${pid}/stat`, "utf8").split(" ")[21]).toBe(starttime);
    const after = server.children();
    expect(after.map(({ role, index }) => `${role} ${index}`)).toEqual(["router 0", "router 1", "shard 0", "shard 1"]);
    expect(after.filter((child) => before.includes(child.pid))).toEqual([]);
    // It hears its children, reaps them and stops them as the first one did.
    await server.restartChild("shard", 1);
    await server.restartChild("router", 0);
    await upgrade();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
  });

  test("keeps live readers of every kind, idle connections and what was being sent", async () => {
    await start();
    const name = await streams.fresh("kept", { type: "application/json" });
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await events.upToDate();
    const cut = await streams.fresh("cut", { body: Buffer.from([0x63, 0xc3]) });
    const text = EventReader.open(streams.url(cut), { query: { offset: "-1" } });
    await text.see("what is whole", ({ data }) => data.length === 1);
    const poll = streams.longPoll(name, "now");
    const idle = await Connection.open(server.url);
    const half = await Connection.open(server.url);
    const path = streams.path(name);
    half.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Ty`);
    const pipelined = await Connection.open(server.url);
    const head = `HEAD ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    pipelined.send(head);
    await pipelined.answer("HEAD");
    await upgrade();
    pipelined.send(head + head + head);
    for (let n = 0; n < 3; n++) expect((await pipelined.answer("HEAD")).status).toBe(200);
    half.send(`pe: application/json\r\nContent-Length: 9\r\n\r\n{"n": 17}`);
    expect((await half.answer()).status).toBe(204);
    expect((await poll).text).toBe('[{"n": 17}]');
    await events.see("the message", ({ data }) => data.length === 1);
    idle.send(`GET ${path}?offset=-1 HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect((await idle.answer()).text).toBe('[{"n": 17}]');
    await upgrade();
    await streams.append(name, '{"n": 18}', { type: "application/json" });
    await events.see("the other", ({ data }) => data.length === 2);
    expect(events.data).toEqual(['[{"n": 17}]', '[{"n": 18}]']);
    await streams.append(cut, Buffer.from([0xa9]));
    await text.see("the rest of a character", ({ controls }) => controls.at(-1).upToDate);
    expect(text.data).toEqual(["c", "é"]);
    text.close();
    await streams.close(name);
    expect(await events.end()).toBe("clean");
    for (const connection of [idle, half, pipelined]) connection.destroy();
  });

  test("waits for a body that is arriving, and for a reader that catches up", async () => {
    await start({ "limits.reader_buffer": "64K", "limits.sse_event": "16K" });
    const name = await streams.fresh("slow");
    const slow = await Connection.open(server.url);
    slow.send(
      `POST ${streams.path(name)} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n01234`,
    );
    const big = await streams.fresh("big");
    for (let n = 0; n < 8; n++) await streams.append(big, `${n}`.repeat(1 << 20));
    const reader = EventReader.open(streams.url(big), { query: { offset: "-1" }, held: true });
    await until("the reader to begin", () => reader.status === 200);
    const before = count(TAKEN);
    server.signal("SIGUSR2");
    await until("a router to hand over", () => count(/handing over \d+ clients/g) > 0, 30_000);
    reader.response.resume();
    slow.send("56789");
    expect((await slow.answer()).status).toBe(204);
    await until("the upgrade", () => count(TAKEN) > before, 30_000);
    expect((await streams.read(name, { offset: "-1" })).text).toBe("0123456789");
    await reader.see("all of it", ({ controls }) => controls.at(-1)?.upToDate, 30_000);
    expect(reader.data.join("").length).toBe(8 << 20);
    expect(reader.ended).toBe(null);
    reader.close();
    slow.destroy();
  });

  test("lets an incremental append go on, and ends it with its tail after router.handover_timeout", async () => {
    await start({ "router.handover_timeout": "5s" });
    const name = await streams.fresh("incremental");
    const connection = await Connection.open(server.url);
    const head = `POST ${streams.path(name)} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n`;
    connection.send(`${head}Stream-Append: incremental\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n`);
    const stored = (text) => until(text, async () => (await streams.read(name, { offset: "-1" })).text === text);
    await stored("one");
    const upgraded = upgrade();
    await until("the handover to begin", () => /handing over \d+ clients/.test(server.log), 30_000);
    connection.send("3\r\ntwo\r\n");
    const answer = await connection.answer("POST");
    expect([answer.status, answer.json().code]).toEqual([503, "APPEND_INTERRUPTED"]);
    await connection.end();
    await upgraded;
    const { bytes, next } = await streams.readAll(name);
    expect([bytes.toString(), answer.headers["stream-next-offset"]]).toEqual(["onetwo", next]);
  });

  test("lets go whoever cannot be handed over, with a last control event", async () => {
    await start({ "router.handover_timeout": "300ms", "router.workers": 1, "limits.reader_buffer": "64M" });
    const name = await streams.fresh("stuck");
    const slow = await Connection.open(server.url);
    slow.send(`POST ${streams.path(name)} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0`);
    const big = await streams.fresh("big");
    for (let n = 0; n < 32; n++) await streams.append(big, `${n % 10}`.repeat(1 << 20));
    const reader = EventReader.open(streams.url(big), { query: { offset: "-1" }, held: true });
    const queued = async () => valueOf(await scrape(server.url), "queue_bytes", { queue: "answers" });
    await until("much to wait for the reader", async () => (await queued()) > 12 << 20, 30_000);
    const before = count(TAKEN);
    server.signal("SIGUSR2");
    await until("the drain", () => count(/could not be handed over/g) > 0, 30_000);
    reader.response.resume();
    await reader.end(30_000);
    const offset = Number(reader.offset.slice(17)); // it goes on from here
    expect(reader.data.join("").length).toBe(offset);
    slow.send("123456789");
    expect((await slow.answer()).status).toBe(204);
    await slow.end();
    await until("the upgrade", () => count(TAKEN) > before, 30_000);
  }, 90_000 * PATIENCE);

  test("is part of a reload when the programs have been replaced, and speaks another version of frames then", async () => {
    await start();
    const name = await streams.fresh("other");
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await events.upToDate();
    server.signal("SIGHUP");
    await until("a reload", () => /configuration reloaded/.test(server.log));
    expect(count(TAKEN)).toBe(0);
    programs.install(another);
    await upgrade("SIGHUP");
    await streams.append(name, "to the new one");
    await events.see("the event", ({ data }) => data.length === 1);
    programs.install(BUILD);
    await upgrade("SIGHUP");
    await streams.append(name, "and back");
    await events.see("the other", ({ data }) => data.length === 2);
    events.close();
  });

  test.each([
    ["programs of two versions", (p) => p.install(another, ["streamd-router"]), /are not of one version/],
    ["a program that does not run", (p) => p.script("streamd-shard", "exit 3"), /does not say its version/],
    [
      "a program that is older than the data",
      (p) => {
        const said = "0.1.0 wire 1 data 1";
        p.script("streamd-shard", `echo streamd-shard ${said}`);
        p.script("streamd-router", `echo streamd-router ${said}`);
      },
      /knows data of version 1, but the data has version \d+: an older streamd cannot take over/,
    ],
    [
      "a configuration that it does not understand",
      (p) => p.script("streamd", `[ "$1" = version ] && echo streamd 0.1.0 && exit; echo "no such key" >&2; exit 1`),
      /no such key/,
    ],
  ])("is refused for %s", async (_, spoil, why) => {
    await start({}, { expected: [/./] });
    const before = server.children().map(({ pid }) => pid);
    spoil(programs);
    server.signal("SIGUSR2");
    await until("the refusal", () => /the upgrade is refused; nothing has changed/.test(server.log), 30_000);
    expect(server.log).toMatch(why);
    expect(server.children().map(({ pid }) => pid)).toEqual(before);
    expect((await streams.create("test/still-here")).status).toBe(201);
    programs.install(BUILD);
    await upgrade();
  });

  test("ends where a new process does not start; the old ones work on", async () => {
    await start({ "server.hang_timeout": "2s", "server.restart_delay": "100ms" }, { expected: [/./] });
    const name = await streams.fresh("still");
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await events.upToDate();
    const router = join(BUILD, "streamd-router");
    programs.script("streamd-router", `[ "$1" = version ] && exec ${router} version; exit 78`);
    server.signal("SIGUSR2");
    await until("the end", () => /the upgrade ends here: router\/0 does not start/.test(server.log), 30_000);
    await streams.append(name, "still there");
    await events.see("the event", ({ data }) => data.length === 1);
    programs.install(BUILD);
    await upgrade();
    await streams.append(name, "and now");
    await events.see("the event", ({ data }) => data.length === 2);
    expect(events.ended).toBe(null);
    events.close();
  });

  test("takes over what of the configuration can be reloaded, and keeps the rest", async () => {
    await start({ "limits.max_body": "1K", "shard.page_cache": "4M" });
    const name = await streams.fresh("config");
    expect((await streams.append(name, "x".repeat(2000))).status).toBe(413);
    await upgrade();
    expect((await streams.append(name, "x".repeat(2000))).status).toBe(413);
    expect(server.log).not.toMatch(/needs a restart/);
  });

  test("is not undone by an older streamd: data of a newer one is refused with a clear line", async () => {
    await start({ "shard.count": 1 }, { expected: [/./] });
    await streams.fresh("newer");
    await server.stop();
    const database = join(server.dataDir, "shard-0.db");
    const script = `import sqlite3; sqlite3.connect("${database}").execute("PRAGMA user_version = 999")`;
    execFileSync("python3", ["-c", script]);
    await expect(server.start()).rejects.toThrow(
      /shard-0.db: schema version 999 was written by a newer streamd; this one knows \d+/,
    );
    await server.exited();
    server = null; // there is nothing to stop
  });

  test("takes data of the version before over, which is then of this one", async () => {
    await start({ "shard.count": 1, "shard.flush_idle": "20ms" });
    const name = await streams.fresh("older", { type: "application/json", body: "[1,2]" });
    await until("all to be flushed", () => /, [1-9]\d* chunks, 0 batches/.test(server.command("verify", "--quick").out));
    await server.stop();
    for (const file of readdirSync(server.dataDir)) if (/journal-\d+$/.test(file)) rmSync(join(server.dataDir, file));
    const database = join(server.dataDir, "shard-0.db");
    const run = (statement) =>
      execFileSync("python3", ["-c", `import sqlite3; print(*sqlite3.connect("${database}").execute("${statement}").fetchall())`]);
    const version = String(run("PRAGMA user_version"));
    run("DROP TABLE journal");
    run("ALTER TABLE stream DROP COLUMN lives");
    run("PRAGMA user_version = 8");
    const verified = server.command("verify");
    expect(verified.status).toBe(1);
    expect(verified.out).toMatch(/its schema version is 8; start the server once, which makes it \d+/);
    await server.start();
    expect(server.command("verify").status).toBe(0);
    expect((await streams.append(name, "3", { type: "application/json; charset=utf-8" })).status).toBe(204);
    expect((await streams.readAll(name)).bytes.toString()).toBe("[1,2,3]");
    await server.stop();
    expect(String(run("PRAGMA user_version"))).toBe(version);
    await server.start();
  });

  test("waits for slow clients of all routers at the same time", async () => {
    await start({ "router.workers": 4 });
    const path = streams.path(await streams.fresh("slow"));
    const slow = [];
    for (let n = 0; n < 40; n++) slow.push(await Connection.open(server.url)); // every router has some
    for (const one of slow)
      one.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n0`);
    server.signal("SIGUSR2");
    await until("all routers to hand over", () => count(/handing over \d+ clients/g) === 4, 15_000);
    expect(count(/shard\/\d+\[\d+\] info: streamd /g)).toBe(server.shards);
    for (const one of slow) one.send("1");
    for (const one of slow) expect((await one.answer()).status).toBe(204);
    await until("the upgrade", () => count(TAKEN) > 0, 30_000);
    for (const one of slow) one.destroy();
  });

  test("finds descriptors left, however many clients there are", async () => {
    await start({ "router.workers": 1, "shard.count": 1 }, { through: ["prlimit", "--nofile=300:300"] });
    expect(server.log).toMatch(/limits.max_connections is 20000, but 300 files may be open: 150 connections at the most/);
    const clients = [];
    for (let n = 0; n < 320; n++) clients.push(await Connection.open(server.url));
    await until("all to be met", () => clients.filter(({ closed }) => closed).length === 170);
    await upgrade();
    const name = `${server.url}/v1/stream/test/few`;
    const kept = clients.filter(({ closed }) => !closed);
    expect(kept.length).toBe(150);
    kept[149].send(`HEAD ${new URL(name).pathname} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect((await kept[149].answer("HEAD")).status).toBe(404);
    for (const client of clients) client.destroy();
  });

  test("does not keep it from stopping in order", async () => {
    await start({ "router.handover_timeout": "10m" });
    const name = await streams.fresh("stop");
    const slow = await Connection.open(server.url);
    slow.send(`POST ${streams.path(name)} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0`);
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await events.upToDate();
    server.signal("SIGUSR2");
    await until("a router to hand over", () => count(/handing over \d+ clients/g) > 0, 30_000);
    slow.send("123456789");
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    slow.destroy();
  });

  test("waits until a process that has just died is up again", async () => {
    await start({ "server.restart_delay": "2s" }, { expected: [/./] });
    process.kill(server.child("shard", 0).pid, "SIGKILL");
    await until("its death", () => /starting it again in/.test(server.log));
    await upgrade();
  });

  test("that ends because the new program is gone again leaves everything as it was", async () => {
    await start({}, { environment: { NOTIFY_SOCKET: "@nobody-listens-here" }, expected: [/./] });
    programs.script("streamd", `[ "$1" = version ] && exec ${join(BUILD, "streamd")} version; rm "$0"`);
    server.signal("SIGUSR2");
    await until("the end", () => /the upgrade has failed; nothing has changed/.test(server.log), 30_000);
    await server.restartChild("shard", 1);
    for (const { pid } of server.children())
      expect(readFileSync(`/proc/${pid}/environ`, "latin1")).not.toMatch(/NOTIFY_SOCKET|STREAMD_INHERITANCE/);
    programs.install(BUILD);
    await upgrade();
  });

  test("to other frames leaves nobody waiting for those who take long", async () => {
    await start({ "router.shard_wait": "4s", "router.handover_timeout": "20s" });
    const name = await streams.fresh("apart");
    const slow = [];
    for (let n = 0; n < 8; n++) slow.push(await Connection.open(server.url)); // a router has one, at least
    for (const one of slow)
      one.send(
        `POST ${streams.path(name)} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0`,
      );
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await events.upToDate();
    const shards = () => count(/shard\/\d+\[\d+\] info: streamd /g);
    const before = shards();
    programs.install(another);
    server.signal("SIGUSR2");
    const statuses = [];
    await until(
      "the shards to be new",
      async () => {
        statuses.push((await streams.append(name, "x")).status);
        return shards() === before + server.shards;
      },
      30_000,
    );
    statuses.push((await streams.append(name, "last")).status);
    expect(new Set(statuses)).toEqual(new Set([204]));
    expect(count(TAKEN)).toBe(0); // the old routers are still there
    for (const one of slow) one.destroy();
    await until("the upgrade", () => count(TAKEN) > 0, 30_000);
    expect(shards()).toBe(before + server.shards);
    await events.see("the last", ({ data }) => data.at(-1)?.endsWith("last"));
    expect(events.ended).toBe(null);
    events.close();
  });

  test("leaves readers that a callback has allowed no more time", async () => {
    const callback = createServer((request, response) => response.end());
    await new Promise((resolve) => callback.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${callback.address().port}/`;
    const settings = { "auth.mode": "callback", "auth.callback_url": url, "auth.callback_recheck": "3s", "live.sse_lifetime": "1h" };
    await start({ ...settings, "router.workers": 1 });
    const name = streams.url("p/s");
    expect((await call(name, "PUT", { headers: { "content-type": "text/plain" } })).status).toBe(201);
    const reader = EventReader.open(name, { query: { offset: "-1" } });
    await reader.upToDate();
    await upgrade();
    expect(await reader.end()).toBe("clean");
    expect(reader.events.at(-1).type).toBe("control");
    callback.closeAllConnections();
    callback.close();
  });

  describe("whose clients are on their way", () => {
    let others;
    afterEach(() => {
      for (const one of others ?? []) one.destroy();
      others = null;
    });

    // The old router hands clients over while the new one does not run: some stay between the two.
    async function stopBetween() {
      const old = server.child("router").pid;
      process.kill(old, "SIGSTOP");
      server.signal("SIGUSR2");
      await until("the replacement", () => /router\/0: up -> stopping/.test(server.log), 30_000);
      const { pid } = server.children("router").find((child) => child.pid !== old);
      process.kill(pid, "SIGSTOP");
      process.kill(old, "SIGCONT");
      await until("the handover to begin", () => /handing over \d+ clients/.test(server.log), 30_000);
      return pid;
    }

    async function crowd(settings, each) {
      await start({ "router.workers": 1, "log.level": "debug", "server.hang_timeout": "1m", ...settings });
      others = [];
      for (let n = 0; n < 200; n++) {
        others.push(await Connection.open(server.url));
        others.at(-1).send(`GET / HTTP/1.1\r\nX: ${"x".repeat(6000)}`);
        await each?.(n);
      }
    }

    test("stops in order", async () => {
      await crowd({ "server.stop_timeout": "1m", "limits.head_timeout": "5m" });
      const stopped = await stopBetween();
      const end = server.stop();
      await until("the stop", () => /supervisor\[\d+\] info: stopping/.test(server.log));
      process.kill(stopped, "SIGCONT");
      expect(await end).toEqual({ code: 0, signal: null });
    });

    test("ends readers whose keys are removed meanwhile", async () => {
      const readers = [];
      let url, token;
      await crowd({ "auth.mode": "jwt" }, async (n) => {
        if (n === 0) {
          const made = server.command("create-project", "acme").out;
          server.command("add-key", "acme");
          token = server.command("token", "--project", "acme", "--scope", "manage", "--ttl", "1h").out;
          url = `${server.url}/v1/stream/acme/s`;
          const headers = { authorization: `Bearer ${token}`, "content-type": "text/plain" };
          expect([made.length > 6, (await call(url, "PUT", { headers })).status]).toEqual([true, 201]);
        }
        if (n % 4 === 0) readers.push(EventReader.open(url, { query: { offset: "-1", token } }));
      });
      for (const reader of readers) await reader.upToDate();
      const stopped = await stopBetween();
      expect(server.command("delete-project", "acme").status).toBe(0);
      process.kill(stopped, "SIGCONT");
      await until("all to end", () => readers.every(({ ended }) => ended));
    });

    test("ends readers without a token whose project is not public any more", async () => {
      const readers = [], lasting = [];
      let url, config, headers, made;
      const configure = async (isPublic) => {
        const answer = await call(config, "PUT", { headers, body: JSON.stringify({ signingSecrets: [made], isPublic }) });
        expect(answer.status).toBe(200);
      };
      await crowd({ "auth.mode": "jwt" }, async (n) => {
        if (n === 0) {
          made = server.command("create-project", "acme").out;
          const token = server.command("token", "--project", "acme", "--scope", "manage", "--ttl", "1h").out;
          headers = { authorization: `Bearer ${token}`, "content-type": "text/plain" };
          [url, config] = [`${server.url}/v1/stream/acme`, `${server.url}/v1/config/acme`];
          await configure(true);
          for (const path of ["s", "open?public=true"])
            expect((await call(`${url}/${path}`, "PUT", { headers })).status).toBe(201);
        }
        if (n % 4 === 0) readers.push(EventReader.open(`${url}/s`, { query: { offset: "-1" } }));
        if (n % 20 === 0) lasting.push(EventReader.open(`${url}/open`, { query: { offset: "-1" } }));
      });
      for (const reader of [...readers, ...lasting]) await reader.upToDate();
      server.signal("SIGUSR2");
      await until("the upgrade", () => count(TAKEN) === 1, 30_000);
      expect([...readers, ...lasting].every(({ ended }) => ended === null)).toBe(true);
      await configure(false);
      for (const reader of readers) expect(await reader.end()).toBe("clean");
      expect((await call(`${url}/open`, "POST", { headers, body: "for all" })).status).toBe(204);
      for (const reader of lasting) {
        await reader.see("what is new", ({ data }) => data.includes("for all"));
        expect(reader.ended).toBe(null);
        reader.close();
      }
    });
  });
});
