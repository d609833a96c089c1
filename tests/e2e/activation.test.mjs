// Sockets that systemd passes: those of a socket unit, and those that an earlier streamd has put into its store.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { Connection } from "../lib/http.mjs";
import { BUILD, OWNED, Server } from "../lib/server.mjs";
import { PATIENCE, until } from "../lib/wait.mjs";

const MANAGER = join(import.meta.dirname, "../lib/manager.py");
const ELSEWHERE = "127.0.0.1:1"; // where nobody may listen: this must not count
const GET = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

function freePort() {
  return new Promise((resolve) => {
    const listener = createServer().listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}

const has = (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

// The sockets that listen on a port: Map of inode → how many of the server's processes have it.
function listening(server) {
  const hex = server.port.toString(16).toUpperCase().padStart(4, "0");
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n");
  const rows = lines
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => local?.endsWith(`:${hex}`) && state === "0A");
  const sockets = new Map(rows.map((row) => [row[9], 0]));
  for (const { pid } of server.children("router"))
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const [, inode] = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? [];
      if (sockets.has(inode)) sockets.set(inode, sockets.get(inode) + 1);
    }
  return sockets;
}

async function answers(server, requests = 20) {
  for (let i = 0; i < requests; i++) {
    const answer = await fetch(`${server.url}/health`, { headers: { Connection: "close" } });
    expect(await answer.text()).toBe("ok");
  }
}

describe.skipIf(!OWNED)("sockets that are passed", () => {
  let server;
  afterEach(async () => {
    await server?.close();
    server = null;
  }, 60_000 * PATIENCE);

  test.skipIf(!has("systemd-socket-activate"))("by systemd-socket-activate are listened on", async () => {
    const port = await freePort();
    const environment = Object.keys(process.env).filter((name) => /^[AU]\w*SAN_OPTIONS$/.test(name));
    const setenv = ["STREAMD_FAULTS", ...environment].flatMap((name) => ["-E", name]);
    server = new Server({
      through: ["systemd-socket-activate", "-l", `127.0.0.1:${port}`, ...setenv],
      settings: { "router.listen": ELSEWHERE, "router.workers": 2 },
    });
    server.launch();
    await until("its socket", () => server.log.includes(`Listening on 127.0.0.1:${port}`));
    const first = await Connection.open(`http://127.0.0.1:${port}`); // which starts streamd
    first.send(GET);
    await server.ready();
    expect((await first.answer()).text).toBe("ok");
    first.destroy();
    expect(server.port).toBe(port);
    expect(server.log).toMatch(/listening on 1 socket that was passed; router\.listen is ignored/);
    await answers(server);
    expect([...listening(server).values()]).toEqual([2]); // both routers have it
    for (const { pid } of server.children())
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toMatch(/LISTEN_/);
    await server.restartChild("router", 1);
    await answers(server);
  });

  test("are shared out among the routers", async () => {
    const where = `127.0.0.1:${await freePort()}`;
    server = await Server.start({
      through: ["python3", MANAGER, "run", "--tcp", where, "--tcp", where],
      settings: { "router.listen": ELSEWHERE, "router.workers": 3 },
    });
    expect(server.url).toBe(`http://${where}`);
    expect([...listening(server).values()].sort()).toEqual([1, 2]);
    await answers(server);
  });

  test("of IPv6 that take IPv4 too tell clients of IPv4 apart, and know those on this machine", async () => {
    const port = await freePort();
    server = await Server.start({
      through: ["python3", MANAGER, "run", "--tcp", `[::]:${port}`],
      settings: { "router.listen": ELSEWHERE, "auth.mode": "jwt", "auth.failures": "3", "log.access": "all" },
    });
    server.command("create-project", "p");
    let sent = 0;
    const status = (localAddress, path) =>
      new Promise((resolve, reject) => {
        const headers = { authorization: `Bearer nonsense${sent++}` }; // the same one counts once
        get({ host: "127.0.0.1", port, path, localAddress, headers, agent: false }, (answer) => resolve(answer.resume().statusCode)).on("error", reject);
      });
    await until("one address to have sent too much", async () => (await status("127.0.0.2", "/v1/stream/p/s")) === 429);
    expect(await status("127.0.0.3", "/v1/stream/p/s")).toBe(401);
    expect(await status("127.0.0.3", "/metrics")).toBe(200);
    await until("the log", () => / path=\/metrics .* client=127\.0\.0\.3:\d+/.test(server.log));
  });

  test.each([
    ["a datagram socket", ["--udp"], /descriptor 3 is not a TCP socket/],
    ["a connection", ["--tcp", "--connected"], /descriptor 4 does not listen \(a socket unit needs Accept=no\)/],
    ["another address", ["--tcp", "--tcp other"], /descriptor 4 has another address than those before it/],
    ["more than routers", ["--tcp", "--tcp"], /2 sockets were passed, one for each router is the most/],
  ])("are refused: %s", async (_, kinds, why) => {
    const [here, other] = [await freePort(), await freePort()];
    const words = kinds.flatMap((kind) => [kind.split(" ")[0], `127.0.0.1:${kind.includes("other") ? other : here}`]);
    server = new Server({ through: ["python3", MANAGER, "run", ...words], expected: [/./] });
    server.launch();
    expect(await server.exited()).toEqual({ code: 78, signal: null });
    expect(server.log).toMatch(why);
    rmSync(server.folder, { recursive: true });
    server = null;
  });

  test("must be there", () => {
    // sh has no descriptor 3; its process becomes streamd's.
    const script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" --set server.data_dir=/nonexistent';
    const { status, stderr } = spawnSync("sh", ["-c", script, join(BUILD, "streamd")], { encoding: "utf8" });
    expect(stderr).toMatch(/LISTEN_FDS is 1, but descriptor 3 is not open/);
    expect(status).toBe(78);
  });
});

describe.skipIf(!OWNED)("sockets that are stored", () => {
  let folder, manager, heard, server;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "streamd-manager-"));
    heard = [];
    manager = spawn("python3", [MANAGER, "serve", folder], { stdio: ["ignore", "pipe", "inherit"] });
    let rest = "";
    manager.stdout.on("data", (data) => {
      const lines = (rest + data).split("\n");
      rest = lines.pop();
      heard.push(...lines);
    });
    await until("the manager", () => heard.includes("listening"));
  });
  afterEach(async () => {
    try {
      await server?.close();
    } finally {
      server = null;
      manager.kill();
      rmSync(folder, { recursive: true });
    }
  }, 60_000 * PATIENCE);

  const stored = () => heard.filter((line) => /FDSTORE/.test(line));

  async function start(settings) {
    server = await Server.start({
      through: ["python3", MANAGER, "run", "--store", folder],
      environment: { NOTIFY_SOCKET: join(folder, "notify"), FDSTORE: "128" },
      settings: { "shard.count": 1, ...settings },
    });
    await until("what is stored", () => heard.some((line) => /^READY=1/.test(line)));
  }

  test("keep connections waiting while streamd is dead", async () => {
    await start({ "router.workers": 2 });
    expect(stored()).toEqual(["FDSTORE=1 FDNAME=streamd-listen [2]"]);
    const before = [...listening(server).keys()].sort();
    await server.kill();
    const waiting = [];
    for (let i = 0; i < 20; i++) {
      const connection = await Connection.open(server.url);
      connection.send(GET);
      waiting.push(connection);
    }
    await server.start();
    for (const connection of waiting) {
      expect((await connection.answer()).text).toBe("ok");
      connection.destroy();
    }
    expect(server.log).toMatch(/listening on 2 sockets of an earlier process/);
    const after = listening(server);
    expect([...after.keys()].sort()).toEqual(before);
    expect([...after.values()]).toEqual([1, 1]);
    expect(stored()).toHaveLength(1); // what is in the store is not put there again
    for (const { pid } of server.children())
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toMatch(/LISTEN_|FDSTORE/);
  });

  test("come back for port 0, with more of them for more routers, and fewer for fewer", async () => {
    await start({ "router.workers": 1 });
    const { port } = server;
    await server.stop();
    await server.start({ "router.workers": 3, "router.listen": "127.0.0.1:0" });
    expect(server.port).toBe(port);
    expect([...listening(server).values()]).toEqual([1, 1, 1]);
    expect(stored().at(-1)).toBe("FDSTORE=1 FDNAME=streamd-listen [2]");
    await answers(server);
    await server.kill();
    await server.start({ "router.workers": 2 });
    expect(server.port).toBe(port);
    await until("the new ones", () => stored().length === 4);
    expect(stored().slice(2)).toEqual([
      "FDSTOREREMOVE=1 FDNAME=streamd-listen",
      "FDSTORE=1 FDNAME=streamd-listen [2]",
    ]);
    expect([...listening(server).values()]).toEqual([1, 1]);
    await answers(server);
  });

  test("are let go where router.listen has changed, even to one that overlaps", async () => {
    await start({ "router.workers": 2 });
    const { port } = server;
    await server.stop();
    await server.start({ "router.listen": `0.0.0.0:${port}` });
    expect(server.url).toBe(`http://0.0.0.0:${port}`);
    server.url = `http://127.0.0.1:${port}`;
    expect([...listening(server).values()]).toEqual([1, 1]);
    await until("the new ones", () => stored().length === 3);
    expect(stored().slice(1)).toEqual([
      "FDSTOREREMOVE=1 FDNAME=streamd-listen",
      "FDSTORE=1 FDNAME=streamd-listen [2]",
    ]);
    await answers(server);
  });

  test("give way to those of a socket unit, which are not stored", async () => {
    await start({ "router.workers": 1 });
    await server.stop();
    const where = `127.0.0.1:${await freePort()}`;
    server.through.push("--tcp", where);
    await server.start();
    expect(server.url).toBe(`http://${where}`);
    await until("the store to be empty", () => stored().at(-1) === "FDSTOREREMOVE=1 FDNAME=streamd-listen");
    await answers(server);
  });

  test("survive an upgrade", async () => {
    await start({ "router.workers": 2 });
    const before = [...listening(server).keys()].sort();
    server.signal("SIGUSR2");
    await until("the upgrade", () => /has taken over, in \d+ ms/.test(server.log), 30_000);
    expect([...listening(server).keys()].sort()).toEqual(before);
    await server.kill();
    await server.start();
    expect([...listening(server).keys()].sort()).toEqual(before);
    expect(stored()).toHaveLength(1);
    await answers(server);
  });
});
