// The servers that are measured: what each needs, and how it is started on a free loopback port with a private folder.
//
// A peer: { missing(): why it cannot run, or null; start(folder, row): { api, url, pid, stop(), kill() } }. `url` is what
// the load generator puts the number of a stream behind.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { until } from "../lib/wait.mjs";
import { freePort, kill, run, saidReady, start, stop } from "./process_groups.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const BUILD = resolve(process.env.STREAMD_BUILD ?? join(HERE, "../../build"));
const PROGRAMS = ["streamd", "streamd-router", "streamd-shard"];
const NPM_FOLDER = join(BUILD, "bench/npm");
const REFERENCE = join(NPM_FOLDER, "node_modules/@durable-streams/server");
const REFERENCE_VERSION = "0.3.7";
const RUST_FOLDER = join(BUILD, "bench/cargo");
const RUST_PROGRAM = join(RUST_FOLDER, "bin/durable-streams-server");
const RUST_VERSION = "0.1.5";
const NCHAN_MODULE = "/usr/lib/nginx/modules/ngx_nchan_module.so";

export const MAY_INSTALL = process.env.BENCH_INSTALL !== "no";

const inPath = (program) =>
  [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin", join(homedir(), ".cargo/bin")]
    .map((folder) => join(folder, program))
    .find(existsSync);

// RUNLEVEL=1: the packages' own services are not started.
async function installDebian(packages) {
  if (!MAY_INSTALL) return "not installed, and BENCH_INSTALL=no";
  if (!inPath("apt-get")) return `not installed, and this is no Debian: ${packages.join(" ")}`;
  const command = ["env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", ...packages];
  if (process.getuid() !== 0) command.unshift("sudo", "-n");
  const { code, stderr } = await run(command[0], command.slice(1), { ms: 180_000 });
  return code === 0 ? null : `apt-get install ${packages.join(" ")}: ${stderr.trim().split("\n").pop()}`;
}

async function debianMissing(there, packages) {
  if (there()) return null;
  return (await installDebian(packages)) ?? (there() ? null : `${packages.join(" ")} did not bring it`);
}

async function referenceMissing() {
  if (existsSync(join(REFERENCE, "dist/index.js"))) return null;
  if (!MAY_INSTALL) return "not installed, and BENCH_INSTALL=no";
  mkdirSync(NPM_FOLDER, { recursive: true });
  const { code, stderr } = await run(
    "npm",
    ["install", "--prefix", NPM_FOLDER, "--no-fund", "--no-audit", `@durable-streams/server@${REFERENCE_VERSION}`],
    { ms: 180_000 },
  );
  return code === 0 ? null : `npm install: ${stderr.trim().split("\n").pop()}`;
}

async function rustMissing() {
  if (existsSync(RUST_PROGRAM)) return null;
  if (!MAY_INSTALL) return "not installed, and BENCH_INSTALL=no";
  const cargo = inPath("cargo");
  if (!cargo) return "not installed, and there is no cargo";
  const args = ["install", "durable-streams", "--version", RUST_VERSION, "--locked", "--root", RUST_FOLDER];
  const { code, stderr } = await run(cargo, args, { ms: 900_000 });
  return code === 0 ? null : `cargo install durable-streams: ${stderr.trim().split("\n").pop()}`;
}

// A copy of a configuration file of this folder, with its @WORDS@ filled in.
function fillIn(name, folder, words) {
  const text = readFileSync(join(HERE, name), "utf8").replace(/@([A-Z]+)@/g, (_, word) => words[word]);
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

async function answers(group, what, url, good = (status) => status < 300) {
  await until(`${what} to answer`, async () => {
    if (group.left) throw new Error(`${what} did not start: ${group.stderr}`);
    return fetch(url).then(
      (answer) => good(answer.status),
      () => false,
    );
  });
}

const running = (group, api, url) => ({
  api,
  url,
  pid: group.pid,
  stop: () => stop(group),
  kill: () => kill(group),
});

// A new project's token, good for everything in it.
async function tokenOf(dataDir, project) {
  const command = (...args) => run(join(BUILD, "streamd"), ["--set", `server.data_dir=${dataDir}`, ...args]);
  await command("create-project", project);
  const { stdout } = await command("token", "--project", project, "--scope", "manage", "--ttl", "1h");
  return stdout.trim();
}

async function startStreamd(folder, { settings = {}, project } = {}) {
  const all = { "router.listen": "127.0.0.1:0", "server.data_dir": join(folder, "data"), ...settings };
  const sets = Object.entries(all).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  const group = start(join(BUILD, "streamd"), sets);
  const [, root] = await saidReady(group, /^ready: (http:\/\/\S+)/m);
  const token = project && (await tokenOf(all["server.data_dir"], project));
  return { ...running(group, "durable", `${root}/v1/stream/bench/s`), token };
}

async function startReference(dataDir) {
  const script = join(HERE, "node_server.mjs");
  const group = start(process.execPath, [script, REFERENCE, ...(dataDir ? [dataDir] : [])]);
  const [, root] = await saidReady(group, /^ready: (http:\/\/\S+)/m);
  return running(group, "durable", `${root}/v1/stream/bench/s`);
}

async function startRedis(folder) {
  const port = await freePort();
  const config = fillIn("redis.conf", folder, { PORT: port, FOLDER: folder });
  const group = start("redis-server", [config]);
  await saidReady(group, /Ready to accept connections/);
  return running(group, "redis", `redis://127.0.0.1:${port}/s`);
}

async function startRust(folder) {
  const port = await freePort();
  const place = ["--host", "127.0.0.1", "--port", String(port), "--data-dir", join(folder, "data")];
  // It wants a descriptor for each stream.
  const limit = ["-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh"];
  const group = start("sh", [...limit, RUST_PROGRAM, ...place, "--durability", "wal"]);
  const root = `http://127.0.0.1:${port}`;
  await answers(group, "durable-streams-server", root, (status) => status > 0);
  return running(group, "durable", `${root}/v1/stream/bench/s`);
}

async function startNginx(folder, api, path) {
  const port = await freePort();
  const user = process.getuid() === 0 ? "user root;" : "";
  const words = { PORT: port, FOLDER: folder, MODULE: NCHAN_MODULE, USER: user };
  const group = start(inPath("nginx"), ["-e", "stderr", "-c", fillIn("nginx.conf", folder, words)]);
  const root = `http://127.0.0.1:${port}`;
  await answers(group, "nginx", `${root}/empty/`);
  return running(group, api, root + path);
}

const nginxMissing = () =>
  debianMissing(() => inPath("nginx") && existsSync(NCHAN_MODULE), ["nginx-light", "libnginx-mod-nchan"]);

export const peers = {
  streamd: {
    missing: async () => {
      const absent = PROGRAMS.filter((program) => !existsSync(join(BUILD, program)));
      return absent.length ? `${absent.join(", ")} not built: make all` : null;
    },
    start: startStreamd,
  },
  redis: {
    missing: () => debianMissing(() => inPath("redis-server"), ["redis-server"]),
    start: startRedis,
  },
  nchan: { missing: nginxMissing, start: (folder) => startNginx(folder, "nchan", "/stream/s") },
  nginxEmpty: { missing: nginxMissing, start: (folder) => startNginx(folder, "durable", "/empty/s") },
  // Serves the files of `folder`/static, which is the server's to fill.
  nginxStatic: { missing: nginxMissing, start: (folder) => startNginx(folder, "static", "/static/s") },
  rust: { missing: rustMissing, start: startRust },
  referenceFile: { missing: referenceMissing, start: (folder) => startReference(folder) },
  referenceMemory: { missing: referenceMissing, start: () => startReference(null) },
  machine: { missing: async () => null, start: async (folder) => ({ folder, pid: null, stop: async () => {} }) },
};

// { name: version } of what is there.
export async function versions() {
  const first = async (program, args, pattern) => {
    const path = inPath(program);
    if (!path) return "none";
    const { stdout, stderr } = await run(path, args);
    return pattern.exec(stdout + stderr)?.[1] ?? "unknown";
  };
  const manifest = join(REFERENCE, "package.json");
  return {
    streamd: await first("git", ["-C", HERE, "describe", "--always", "--dirty"], /(\S+)/),
    redis: await first("redis-server", ["--version"], /v=(\S+)/),
    nginx: await first("nginx", ["-v"], /nginx\/(\S+)/),
    nchan: await first("dpkg-query", ["-W", "-f", "${Version}", "libnginx-mod-nchan"], /^(?:\d+:)?([\d.]+)/),
    node: process.versions.node,
    "@durable-streams/server": existsSync(manifest) ? JSON.parse(readFileSync(manifest, "utf8")).version : "none",
    "durable-streams (Rust)": existsSync(RUST_PROGRAM) ? RUST_VERSION : "none",
  };
}
