// The processes: starting, reloading, hanging, dying, stopping.

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterEach, describe, expect, test } from "vitest";

import { Connection } from "../lib/http.mjs";
import { nameOnShard } from "../lib/layout.mjs";
import { readersWait } from "../lib/metrics.mjs";
import { alive } from "../lib/processes.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call } from "../lib/streams.mjs";
import { sleep, until, within } from "../lib/wait.mjs";

const servers = [];

// An append whose first half is sent. The answer 100 says that its router waits for the rest.
async function beginAppend(server, path, body) {
  const connection = await Connection.open(server.url);
  const head = `POST ${path} HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\n`;
  connection.send(`${head}Content-Length: ${body.length}\r\n\r\n`);
  expect((await connection.answer("POST")).status).toBe(100);
  return connection.send(body.slice(0, body.length / 2));
}

async function startServer(options) {
  const server = await Server.start(options);
  servers.push(server);
  return [server, new Streams(server)];
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

describe.skipIf(!OWNED)("starting", () => {
  test("the processes asked for are there", async () => {
    const [server] = await startServer({ settings: { "router.workers": 2, "shard.count": 3 } });
    expect(server.shards).toBe(3);
    const shape = server.children().map(({ role, index }) => `${role} ${index}`);
    expect(shape).toEqual(["router 0", "router 1", "shard 0", "shard 1", "shard 2"]);
  });

  test("a second server on the same folder is refused and disturbs nothing", async () => {
    const [server, streams] = await startServer();
    const name = await streams.fresh("first", { body: "mine" });
    const second = new Server({ folder: server.folder, keep: true });
    second.launch();
    const { code } = await second.exited();
    expect(code).not.toBe(0);
    expect(second.log).toMatch(/another streamd/);
    expect((await streams.append(name, ", still")).status).toBe(204);
    expect((await streams.readAll(name)).bytes.toString()).toBe("mine, still");
  });

  test("a second server on the same port is refused", async () => {
    const [server] = await startServer();
    const second = new Server({ settings: { "router.listen": `127.0.0.1:${server.port}` } });
    second.launch();
    expect((await second.exited()).code).not.toBe(0);
    expect(second.log).toMatch(/in use/i);
  });

  test("a wrong setting is named and nothing starts", async () => {
    const server = new Server({ settings: { "shard.count": "many" } });
    server.launch();
    expect((await server.exited()).code).not.toBe(0);
    expect(server.log).toMatch(/shard.*count/);
  });
});

describe.skipIf(!OWNED)("reloading", () => {
  function configure(server, text) {
    server.configFile ??= join(server.folder, "streamd.ini");
    writeFileSync(server.configFile, text);
  }

  async function startConfigured(text) {
    const server = new Server({ expected: [/configuration/] });
    servers.push(server);
    configure(server, text);
    await server.start();
    return [server, new Streams(server)];
  }

  test("SIGHUP takes new limits over without disturbing anybody", async () => {
    const [server, streams] = await startConfigured("[limits]\nmax_body = 10\n");
    const name = await streams.fresh("reload");
    const pids = server.children().map(({ pid }) => pid);
    const reader = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await reader.upToDate();
    expect((await streams.append(name, "x".repeat(11))).status).toBe(413);
    configure(server, "[limits]\nmax_body = 20\n[live]\nlong_poll_timeout = 200ms\n");
    server.signal("SIGHUP");
    await until("the new limit", async () => (await streams.append(name, "x".repeat(11))).status === 204);
    const started = Date.now();
    expect((await streams.longPoll(name, "now")).status).toBe(204);
    expect(Date.now() - started).toBeLessThan(15_000); // not its default of 20 s
    await reader.see("the append", () => reader.data.length > 0);
    expect(reader.ended).toBeNull();
    expect(server.children().map(({ pid }) => pid)).toEqual(pids);
    reader.close();
  });

  test("a broken file changes nothing", async () => {
    const [server, streams] = await startConfigured("[limits]\nmax_body = 10\n");
    const name = await streams.fresh("reload");
    configure(server, "[limits]\nmax_body = 20\nmax_boddy = 1\n");
    server.signal("SIGHUP");
    await until("the complaint", () => server.log.includes("configuration not reloaded"));
    expect((await streams.append(name, "x".repeat(11))).status).toBe(413);
  });

  test("a file that is right, but not with what a reload cannot change, changes nothing", async () => {
    const [server] = await startConfigured("[auth]\nmode = callback\ncallback_url = http://127.0.0.1:1/\n");
    configure(server, "[auth]\nmode = none\n[limits]\nmax_body = 20\n");
    server.signal("SIGHUP");
    await until("the complaint", () => server.log.includes("configuration not reloaded"));
    expect(server.log).toContain("[auth] callback_url: expected a value, because auth.mode is callback");
    expect(server.log).toContain("restart instead");
    configure(server, "[auth]\nmode = callback\n");
    server.signal("SIGHUP");
    await until("another", () => server.log.split("configuration not reloaded").length === 3);
    await server.stop();
    server.launch();
    expect((await server.exited()).code).toBe(78);
    configure(server, "[auth]\nmode = none\n");
    await server.start();
  });

  test("a key that cannot be reloaded is named, and keeps its value", async () => {
    const [server] = await startConfigured("[shard]\ncount = 2\n");
    configure(server, "[shard]\ncount = 3\n");
    server.signal("SIGHUP");
    await until("the report", () => /configuration: .*count/.test(server.log));
    expect(server.children("shard")).toHaveLength(2);
  });
});

describe.skipIf(!OWNED)("stopping", () => {
  test("SIGTERM answers what is in flight, ends event streams cleanly and exits 0 in time", async () => {
    const [server, streams] = await startServer({ settings: { "server.stop_timeout": "1m" } });
    const name = await streams.fresh("stop", { body: "x" });
    const readers = Array.from({ length: 20 }, () => EventReader.open(streams.url(name), { query: { offset: "-1" } }));
    await Promise.all(readers.map((reader) => reader.upToDate()));
    const poll = streams.longPoll(name, "now");
    await readersWait(server, 1);
    const slow = await beginAppend(server, streams.path(name), "half");
    const started = Date.now();
    server.signal("SIGTERM");
    await sleep(100);
    slow.send("lf");
    expect((await slow.answer("POST")).status).toBe(204);
    expect([200, 204, 503]).toContain((await poll).status);
    for (const reader of readers) expect(await reader.end()).toBe("clean");
    expect(await server.exited()).toEqual({ code: 0, signal: null });
    expect(Date.now() - started).toBeLessThan(30_000);
    await server.start();
    expect((await streams.readAll(name)).bytes.toString()).toBe("xhalf");
  });

  test("new connections are refused while the old ones are served out", async () => {
    const [server, streams] = await startServer({ settings: { "server.stop_timeout": "1m" } });
    const name = await streams.fresh("stop");
    const slow = await beginAppend(server, streams.path(name), "half");
    server.signal("SIGTERM");
    await until("a refusal", () => Connection.open(server.url).then((c) => (c.destroy(), false), () => true));
    slow.send("lf");
    expect((await slow.answer("POST")).status).toBe(204);
    expect((await server.exited()).code).toBe(0);
  });

  test("what does not end by itself is ended at the limit", async () => {
    const [server, streams] = await startServer({ settings: { "server.stop_timeout": "1s", "limits.body_timeout": "1h" } });
    const name = await streams.fresh("stop");
    const stuck = await beginAppend(server, streams.path(name), "half");
    server.signal("SIGTERM");
    expect((await server.exited()).code).toBe(0);
    await stuck.end();
  });

  test("a second SIGTERM does not wait", async () => {
    const [server, streams] = await startServer({ settings: { "server.stop_timeout": "10m", "limits.body_timeout": "1h" } });
    const name = await streams.fresh("stop");
    await beginAppend(server, streams.path(name), "half");
    server.signal("SIGTERM");
    await until("the first to be heard", () => /"msg":"stopping"|: stopping$/m.test(server.log));
    await sleep(300); // one that comes within 250 ms is the first one, sent twice
    server.signal("SIGTERM");
    await server.exited();
  });
});

describe.skipIf(!OWNED)("dying", () => {
  const settings = { "server.restart_delay": "50ms", "router.shard_wait": "10s" };
  const impatient = { ...settings, "server.hang_timeout": "1s" };

  test("a shard that hangs is killed and started again; requests wait for it", async () => {
    const [server, streams] = await startServer({ settings: impatient, expected: [/has not reported/] });
    const name = nameOnShard(server, 1, "hang");
    await streams.create(name);
    await streams.append(name, "a");
    const { pid } = server.child("shard", 1);
    process.kill(pid, "SIGSTOP");
    const append = streams.produce(name, "b", { seq: 0 });
    expect((await within("the answer of the new shard", append, 15_000)).status).toBe(200);
    expect(server.child("shard", 1).pid).not.toBe(pid);
    expect(alive(pid)).toBe(false);
    expect((await streams.readAll(name)).bytes.toString()).toBe("ab");
  });

  test("a router that hangs is killed and started again", async () => {
    const [server] = await startServer({ settings: impatient, expected: [/has not reported/] });
    const { pid } = server.child("router");
    process.kill(pid, "SIGSTOP");
    await until("another router", () => ![undefined, pid].includes(server.child("router")?.pid));
    await until("its answer", async () => (await call(`${server.url}/health`).catch(() => ({}))).status === 200);
  });

  test("a shard that stays away is answered 503 with Retry-After after shard_wait, the others go on", async () => {
    const [server, streams] = await startServer({ settings: { "router.shard_wait": "300ms", "server.hang_timeout": "10m" } });
    const names = Array.from({ length: 4 }, (_, shard) => nameOnShard(server, shard, "away"));
    for (const name of names) await streams.create(name);
    process.kill(server.child("shard", 2).pid, "SIGKILL");
    const statuses = await Promise.all(names.map(async (name) => (await streams.append(name, "x")).status));
    expect(statuses.filter((_, shard) => shard !== 2)).toEqual([204, 204, 204]);
    expect([204, 503]).toContain(statuses[2]);
    await until("the shard", async () => (await streams.append(names[2], "x")).status === 204);
  });

  test("children leave with their supervisor", async () => {
    const [server] = await startServer({ settings: { "router.workers": 2 } });
    const children = server.children();
    expect(children).toHaveLength(6);
    await server.kill();
    expect(children.some(({ pid }) => alive(pid))).toBe(false);
    await server.start();
  });

  test("a new server waits for the children of the one that died", async () => {
    const [server, streams] = await startServer();
    const name = await streams.fresh("orphan", { body: "x" });
    server.signal("SIGKILL");
    await server.exited();
    await server.start();
    expect((await streams.readAll(name)).bytes.toString()).toBe("x");
  });

  test("every process in turn, under load: nothing acknowledged is lost", async () => {
    const [server, streams] = await startServer({ settings: { ...settings, "router.workers": 2 } });
    const names = Array.from({ length: 4 }, (_, shard) => nameOnShard(server, shard, "load"));
    for (const name of names) await streams.create(name);
    const state = { done: false };
    const writers = names.map(async (name) => {
      let seq = 0;
      for (; !state.done; seq++) {
        const send = () => streams.produce(name, `${seq};`, { seq }).then(({ status }) => status, () => 0);
        await until(`append ${seq}`, async () => [200, 204].includes(await send()), 20_000);
      }
      return seq;
    });
    for (const { role, index } of server.children()) await server.restartChild(role, index);
    state.done = true;
    const counts = await Promise.all(writers);
    for (const [i, name] of names.entries()) {
      const expected = Array.from({ length: counts[i] }, (_, seq) => `${seq};`).join("");
      expect((await streams.readAll(name)).bytes.toString()).toBe(expected);
    }
  });
});
