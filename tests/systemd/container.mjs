// A Debian with systemd as its first process, made of packages, in namespaces of its own: nothing it does is seen
// outside, and what it has written is gone with it.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { until } from "../lib/wait.mjs";

const PACKAGES = ["systemd", "systemd-sysv", "dbus", "curl", "procps", "iproute2"];

const childrenOf = (pid) => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);

// The folder of a Debian with these packages too; it is kept for the next time.
function makeRoot(folder, packages) {
  const root = join(folder, "root");
  const stamp = join(folder, "packages");
  const wanted = [...PACKAGES, ...packages].join(",");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return root;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const release = /^VERSION_CODENAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8"))[1];
  execFileSync("mmdebstrap", ["--quiet", "--variant=minbase", `--include=${wanted}`, release, root], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  writeFileSync(stamp, wanted);
  return root;
}

export class Container {
  #nspawn;
  #leader;
  output = "";

  // files: { path inside: path outside }, read only.
  static async boot({ folder, packages = [], files = {} }) {
    const container = new Container();
    const root = makeRoot(folder, packages);
    const binds = Object.entries(files).map(([inside, outside]) => `--bind-ro=${outside}:${inside}`);
    const words = ["--directory", root, "--machine", `streamd-test-${process.pid}`, "--boot", "--volatile=overlay"];
    words.push("--private-network", "--register=no", "--keep-unit", "--quiet", "--console=pipe", ...binds);
    container.#nspawn = spawn("systemd-nspawn", words, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [container.#nspawn.stdout, container.#nspawn.stderr])
      stream.on("data", (data) => (container.output += data));
    try {
      container.#leader = await until("systemd to be started", () => container.#findLeader(), 30_000);
      await until("the machine to be up", () => container.state() === "running", 60_000);
    } catch (error) {
      await container.close();
      throw new Error(`${error.message}\n${container.output}`);
    }
    return container;
  }

  #findLeader() {
    if (this.#nspawn.exitCode !== null) throw new Error(`systemd-nspawn ended with ${this.#nspawn.exitCode}`);
    // The innermost has process 1 of the new namespace.
    for (const pid of childrenOf(this.#nspawn.pid).flatMap((pid) => [pid, ...childrenOf(pid)]))
      if (/^NSpid:\t\d+\t1$/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) return Number(pid);
    return null;
  }

  state() {
    return this.run("systemctl", "is-system-running").out;
  }

  enter(...words) {
    return ["nsenter", "--target", `${this.#leader}`, "--all", "--root", "--wdns=/", ...words];
  }

  // { status, out, err } of a command inside.
  run(...words) {
    const [program, ...rest] = this.enter(...words);
    const { status, stdout, stderr } = spawnSync(program, rest, { encoding: "utf8", env: { PATH: process.env.PATH } });
    return { status, out: stdout.trim(), err: stderr.trim() };
  }

  // Its output; an error if it fails.
  must(...words) {
    const { status, out, err } = this.run(...words);
    if (status !== 0) throw new Error(`${words.join(" ")}: ${status}\n${out}\n${err}`);
    return out;
  }

  // A program inside that goes on.
  start(...words) {
    const [program, ...rest] = this.enter(...words);
    return spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"], env: { PATH: process.env.PATH } });
  }

  async close() {
    if (this.#nspawn.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#nspawn.on("exit", resolve));
    if (this.#leader) this.run("systemctl", "poweroff");
    const late = setTimeout(() => this.#nspawn.kill("SIGKILL"), 20_000);
    if (!this.#leader) this.#nspawn.kill("SIGKILL");
    await ended;
    clearTimeout(late);
  }
}
