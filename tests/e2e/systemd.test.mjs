// What systemd is told, and what it is given to read.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { BUILD, OWNED, Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

// A socket as systemd's, whose messages are printed as they come; Node has no datagrams of this kind.
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(s.recv(4096).decode().replace("\\n", " "), flush=True)
`;

describe.skipIf(!OWNED)("systemd is told", () => {
  const folder = mkdtempSync(join(tmpdir(), "streamd-notify-"));
  const path = join(folder, "notify");
  const heard = [];
  let listener;
  beforeAll(async () => {
    listener = spawn("python3", ["-c", LISTENER, path], { stdio: ["ignore", "pipe", "inherit"] });
    let rest = "";
    listener.stdout.on("data", (data) => {
      const lines = (rest + data).split("\n");
      rest = lines.pop();
      heard.push(...lines);
    });
    await until("the listener", () => heard.includes("listening"));
  });
  afterAll(() => {
    listener.kill();
    rmSync(folder, { recursive: true });
  });

  test("of readiness, of life while all answer, of reloads and of the end", async () => {
    const server = await Server.start({
      settings: { "shard.count": 2, "server.hang_timeout": "60s" },
      environment: { NOTIFY_SOCKET: path, WATCHDOG_USEC: "400000" },
    });
    await until("READY", () => heard.some((line) => /^READY=1 STATUS=serving on .* with 2 shards$/.test(line)));
    const beats = () => heard.filter((line) => line === "WATCHDOG=1").length;
    await until("the watchdog to be fed", () => beats() >= 3);
    for (const { pid } of server.children())
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toMatch(/NOTIFY_SOCKET|WATCHDOG/);
    server.signal("SIGHUP");
    await until("the reload", () => heard.some((line) => /^RELOADING=1 MONOTONIC_USEC=\d+$/.test(line)));
    await until("its end", () => heard.at(-1) === "READY=1" || heard.at(-2) === "READY=1");
    await server.stop();
    await until("STOPPING", () => heard.some((line) => line.startsWith("STOPPING=1")));
    const after = beats();
    await sleep(600);
    expect(beats()).toBe(after);
    await server.close();
  });

  test("nothing while a process is missing", async () => {
    heard.length = 0;
    const server = await Server.start({
      settings: { "shard.count": 1, "server.restart_delay": "1m" },
      environment: { NOTIFY_SOCKET: path, WATCHDOG_USEC: "200000" },
    });
    const beats = () => heard.filter((line) => line === "WATCHDOG=1").length;
    await until("the watchdog to be fed", () => beats() >= 2);
    process.kill(server.child("shard").pid, "SIGKILL");
    await until("the shard to be away", () => /starting it again in [1-9]\d{3,} ms/.test(server.log));
    await sleep(150); // what was on its way
    const then = beats();
    await sleep(600);
    expect(beats()).toBe(then);
    await server.close();
  });
});

const has = (program) => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

test.skipIf(!has("systemd-analyze"))("the installed units are confined, and systemd understands them", () => {
  const folder = mkdtempSync(join(tmpdir(), "streamd-install-"));
  execFileSync("make", ["-s", "install", `DESTDIR=${folder}`, "PREFIX=/usr"], { cwd: ROOT });
  const units = join(folder, "usr/lib/systemd/system");
  const unit = join(units, "streamd.service");
  const { stdout } = spawnSync("systemd-analyze", ["security", "--offline=true", unit], { encoding: "utf8" });
  const [, score] = /Overall exposure level for streamd.service: ([\d.]+)/.exec(stdout) ?? [];
  expect(Number(score)).toBeLessThan(2);
  // As it would be here, with the programs that were built.
  const here = join(folder, "streamd.service");
  writeFileSync(here, readFileSync(unit, "utf8").replaceAll("/usr/lib/streamd", BUILD));
  copyFileSync(join(units, "streamd.socket"), join(folder, "streamd.socket"));
  for (const name of ["streamd.service", "streamd.socket"]) {
    const verified = spawnSync("systemd-analyze", ["verify", "--man=no", join(folder, name)], { encoding: "utf8" });
    expect(verified.stderr.split("\n").filter((line) => /streamd\.(service|socket)/.test(line))).toEqual([]);
  }
  expect(execFileSync(join(folder, "usr/lib/streamd/streamd"), ["version"], { encoding: "utf8" })).toMatch(/^streamd /);
  rmSync(here);
  rmSync(join(folder, "streamd.socket"));
  execFileSync("make", ["-s", "uninstall", `DESTDIR=${folder}`, "PREFIX=/usr"], { cwd: ROOT });
  expect(execFileSync("find", [folder, "-type", "f"], { encoding: "utf8" }).trim()).toBe(
    join(folder, "etc/streamd/streamd.ini"),
  );
  rmSync(folder, { recursive: true });
});
