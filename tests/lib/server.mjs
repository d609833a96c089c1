// A private streamd for one test file: its own folder, its own port, its own settings.
//
// STREAMD_BUILD  folder of the programs (default: build)
// STREAMD_URL    use this running server instead (for one under gdb); tests that need to own it are skipped then

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { parseLine } from "./logs.mjs";
import { alive, childrenOf, memoryOf } from "./processes.mjs";
import { until } from "./wait.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export const BUILD = resolve(ROOT, process.env.STREAMD_BUILD ?? "build");
export const OWNED = !process.env.STREAMD_URL;

const READY = /^ready: (http:\/\/\S+:(\d+)) shards=(\d+)$/m;
const SANITIZER = /(Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error:|== *ERROR SUMMARY: [1-9]/;
const ERROR_LINE = /\berror: /;
const FIRST_MESSAGE = /^streamd /; // of a child, which tells its number

export const TOKEN = /eyJ[\w-]{10,}/; // how a JWT begins

// Sanitizers do not write our log's lines.
function parseOrNot(line) {
  try {
    return parseLine(line) ?? {};
  } catch {
    return {};
  }
}

const LOG_KEPT = 1 << 20;

const WHATEVER_THE_MACHINE = { "shard.count": 4, "router.workers": 1 };

export class Server {
  #settings;
  #environment;
  #expected;
  #child = null;
  #stdout = "";
  #exited = null;
  #line = "";
  #secrets = new Set(); // what its commands have printed, and its log must not have
  #indices = new Map(); // "shard 1234" → its number
  complaints = []; // lines in the log that a healthy server does not write

  // settings: { "section.key": value }. expected: regular expressions of error lines that may be logged.
  // keep: the folder is the caller's, and stays. programs: the folder of the three programs.
  // through: a command that becomes the one that follows it.
  constructor({ settings = {}, environment = {}, expected = [], folder, keep = false, programs = BUILD, through } = {}) {
    this.programs = programs;
    this.through = through ?? [];
    this.folder = folder ?? mkdtempSync(join(tmpdir(), "streamd-test-"));
    this.dataDir = join(this.folder, "data");
    this.faultsDir = join(this.folder, "faults");
    mkdirSync(this.faultsDir, { recursive: true });
    this.log = "";
    this.keep = keep;
    this.url = process.env.STREAMD_URL?.replace(/\/$/, "");
    this.#settings = { ...settings };
    this.#environment = environment;
    this.#expected = expected;
  }

  static async start(options) {
    const server = new Server(options);
    await server.start();
    return server;
  }

  // Settings for the next start.
  configure(settings) {
    Object.assign(this.#settings, settings);
  }

  // Starts the server, on the same port as the last time, and waits until it says that it is ready.
  async start(settings = {}) {
    if (!OWNED) return;
    this.configure(settings);
    this.launch();
    await this.ready();
  }

  // givenUp: tells that it will not be ready, though it has not ended.
  async ready(givenUp = () => false) {
    await until("the ready line", () => READY.test(this.#stdout) || this.#exited || givenUp(), 60_000);
    const match = READY.exec(this.#stdout);
    if (!match) throw new Error(`streamd did not start (${JSON.stringify(this.#exited)}):\n${this.log}`);
    this.url = match[1];
    this.port = Number(match[2]);
    this.shards = Number(match[3]);
    this.#settings["router.listen"] = `127.0.0.1:${this.port}`;
  }

  // Starts the program without waiting for anything.
  launch() {
    this.#stdout = "";
    this.#exited = null;
    const settings = {
      "server.data_dir": this.dataDir,
      "router.listen": "127.0.0.1:0",
      ...(this.configFile ? {} : WHATEVER_THE_MACHINE),
      ...this.#settings,
    };
    const sets = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    const args = this.configFile ? ["--config", this.configFile, ...sets] : sets;
    const [program, ...words] = [...this.through, join(this.programs, "streamd"), ...args];
    const child = spawn(program, words, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, STREAMD_FAULTS: this.faultsDir, ...this.#environment },
    });
    child.stdout.on("data", (data) => (this.#stdout += data));
    child.stderr.on("data", (data) => this.#takeLog(data.toString()));
    child.on("error", (error) => (this.#exited = { error: error.message }));
    child.on("exit", (code, signal) => (this.#exited = { code, signal }));
    this.#child = child;
  }

  // Its settings, as arguments of a command.
  get sets() {
    return Object.entries(this.#settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  }

  // The same while this process does other things.
  commandLater(...args) {
    return new Promise((resolve) => {
      const child = spawn(
        join(this.programs, "streamd"),
        ["--set", `server.data_dir=${this.dataDir}`, ...this.sets, ...args],
        {
          stdio: ["ignore", "pipe", "pipe"],
          env: { ...process.env, ...this.#environment },
        },
      );
      const said = { out: "", err: "" };
      child.stdout.on("data", (data) => (said.out += data));
      child.stderr.on("data", (data) => (said.err += data));
      child.on("close", (status) => resolve({ status, out: said.out.trim(), err: said.err.trim() }));
    });
  }

  // Runs a command on the server's data folder, with its settings: { status, out, err }.
  command(...args) {
    const { status, stdout, stderr } = spawnSync(
      join(this.programs, "streamd"),
      ["--set", `server.data_dir=${this.dataDir}`, ...this.sets, ...args],
      { encoding: "utf8", env: { ...process.env, STREAMD_FAULTS: this.faultsDir, ...this.#environment } },
    );
    if (args[0] === "create-project" || args[0] === "add-key") this.#secrets.add(stdout.trim());
    return { status, out: stdout.trim(), err: stderr.trim() };
  }

  get pid() {
    return this.#child?.pid;
  }

  get running() {
    return this.#child !== null && this.#exited === null;
  }

  // [{ pid, role, index }] of the children that are alive now and know who they are.
  children(role) {
    return childrenOf(this.pid)
      .map((child) => ({ ...child, index: this.#indices.get(`${child.role} ${child.pid}`) }))
      .filter((child) => child.index !== undefined && (!role || child.role === role))
      .sort((a, b) => a.role.localeCompare(b.role) || a.index - b.index);
  }

  child(role, index = 0) {
    return this.children(role).find((child) => child.index === index);
  }

  // Bytes of memory that the routers hold.
  routerMemory() {
    return this.children("router").reduce((sum, { pid }) => sum + memoryOf(pid), 0);
  }

  // Kills one child with SIGKILL and waits until another has taken its place.
  async restartChild(role, index = 0) {
    const before = this.child(role, index).pid;
    process.kill(before, "SIGKILL");
    await until(`${role} ${index} to be restarted`, () => {
      const now = this.child(role, index);
      return now && now.pid !== before;
    });
  }

  signal(name) {
    this.#child.kill(name);
  }

  async exited(ms = 20_000) {
    await until("streamd to exit", () => this.#exited, ms);
    return this.#exited;
  }

  // SIGTERM; returns { code, signal }.
  async stop() {
    if (!this.running) return this.#exited;
    const children = this.children();
    this.signal("SIGTERM");
    const result = await this.exited();
    await until("the children to leave", () => children.every(({ pid }) => !alive(pid)));
    return result;
  }

  // SIGKILL to the supervisor; its children must leave by themselves.
  async kill() {
    if (!this.running) return;
    const children = this.children();
    this.signal("SIGKILL");
    await this.exited();
    await until("the children to follow the supervisor", () => children.every(({ pid }) => !alive(pid)));
  }

  // Kills every child of a role that is there. One that has just died by an earlier kill is as good.
  killChildren(role) {
    for (const { pid } of this.children(role)) {
      try {
        process.kill(pid, "SIGKILL");
      } catch (error) {
        if (error.code !== "ESRCH") throw error;
      }
    }
  }

  // Sizes of the files in the data folder: { name: bytes }.
  files() {
    if (!existsSync(this.dataDir)) return {};
    const stats = readdirSync(this.dataDir, { recursive: true })
      .map((name) => [name, statSync(join(this.dataDir, name), { throwIfNoEntry: false })])
      .filter(([, stat]) => stat?.isFile());
    return Object.fromEntries(stats.map(([name, { size }]) => [name, size]));
  }

  #takeLog(text) {
    this.log = (this.log + text).slice(-LOG_KEPT);
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop();
    for (const line of lines) {
      const { level, role, index, pid, msg } = parseOrNot(line);
      if (index !== undefined && FIRST_MESSAGE.test(msg)) this.#indices.set(`${role} ${pid}`, index);
      const wrong = SANITIZER.test(line) || ERROR_LINE.test(line) || level === "error";
      if (TOKEN.test(line) || [...this.#secrets].some((secret) => secret && line.includes(secret)))
        this.complaints.push(`a secret is in the log: ${line}`);
      if (wrong && !this.#expected.some((pattern) => pattern.test(line))) this.complaints.push(line);
    }
  }

  // Stops the server, removes its folder, and throws if anything in its log was not right.
  async close() {
    if (!OWNED) return;
    const result = await this.stop();
    const { complaints } = this;
    if (!this.keep) rmSync(this.folder, { recursive: true, force: true });
    if (complaints.length) throw new Error(`streamd complained:\n${complaints.join("\n")}\n\nlog:\n${this.log}`);
    if (result && result.code !== 0) throw new Error(`streamd ended with ${JSON.stringify(result)}\n${this.log}`);
  }
}
