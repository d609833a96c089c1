// Ways to measure a row of a workload; each answers the figures of one round.

import { join } from "node:path";

import { sleep } from "../lib/wait.mjs";
import { atRest, diskWritten } from "./disk.mjs";
import { peers } from "./peers.mjs";
import { cpuOf, familyOf, memoryOf, run, saidReady, start, stop } from "./process_groups.mjs";

export const MB = 1e6;
const SETTLE_EVERY_MS = 500;
const SETTLE_SAMPLES = 6; // so many in a row within SETTLE_SPREAD: stable
const SETTLE_SPREAD = 0.005;
const SETTLE_MAX_MS = 30_000;

const lastLine = (text) => text.trim().split("\n").pop();

function figuresOf({ code, stdout, stderr }, args) {
  const line = lastLine(stdout);
  if (!line.startsWith("{")) throw new Error(`load ${args.join(" ")}: ${code} ${stderr.trim()}`);
  return JSON.parse(line);
}

// Runs the load generator to its end.
export async function load(context, args) {
  const left = await run(join(context.build, "load"), args, { ms: context.seconds * 1000 + 180_000 });
  return figuresOf(left, args);
}

// Starts `load listen`; resolves when its readers are attached: { figures(): stops it, what it counted }.
export async function listen(context, args) {
  const all = ["listen", "--seconds", "3600", ...args];
  const group = start(join(context.build, "load"), all);
  await saidReady(group, /"attached"/);
  return {
    figures: async () => {
      await stop(group);
      return figuresOf({ ...group, ...group.left }, all);
    },
  };
}

// What a load run is told about its server and its length.
export const target = (server, context) => [
  ...["--api", server.api, "--url", server.url],
  ...["--seconds", String(context.seconds)],
  ...(server.token ? ["--token", server.token] : []),
];

// Starts the row's server with fresh data, lets `measure` use it, and stops it, whatever happens.
export async function withServer(row, context, measure) {
  const folder = context.newFolder();
  const server = await peers[row.peer].start(folder, row);
  try {
    return await measure(server, folder);
  } finally {
    await server.stop();
    context.removeFolder(folder);
  }
}

// Adds what the server's processes used for each answer or delivery while `measure` ran.
export async function withCost(server, measure) {
  const before = cpuOf(familyOf(server.pid));
  const figures = await measure();
  const used = cpuOf(familyOf(server.pid)) - before;
  return { ...figures, server_cpu_us: (used * 1e6) / (figures.answered ?? figures.delivered) };
}

// Adds the bytes that reached the disk for each byte of the requests of `size` bytes that `measure` had answered. What the
// server puts off counts too.
export async function withWritten(server, folder, size, measure) {
  const before = await diskWritten(folder);
  const figures = await measure();
  await atRest(server.pid);
  const bytes = (await diskWritten(folder)) - before;
  return { ...figures, written_each: bytes / (figures.answered * size) };
}

// One run of the load generator.
export const loadRun = (args) => (row, context) =>
  withServer(row, context, (server) => withCost(server, () => load(context, [...args, ...target(server, context)])));

// The limit of the machine: SQLite without a server, `batch` rows a commit.
export async function machineCommit(context, batch = 1) {
  const folder = context.newFolder();
  const args = ["--dir", folder, "--seconds", String(context.seconds), "--batch", String(batch)];
  const figures = await load(context, ["commit", ...args]);
  context.removeFolder(folder);
  return { ...figures, requests_per_s: figures.commits_per_s, messages_per_s: figures.rows_per_s, errors: 0 };
}

// The limit of the disk: a bare sequential write, `batch` blocks of `size` bytes an fdatasync.
export async function machineWrite(context, size, batch) {
  const folder = context.newFolder();
  const args = ["--dir", folder, "--seconds", String(context.seconds), "--size", String(size), "--batch", String(batch)];
  const figures = await load(context, ["write", ...args]);
  context.removeFolder(folder);
  return { ...figures, requests_per_s: figures.blocks_per_s, errors: 0 };
}

export const createStreams = (context, server, streams) =>
  load(context, ["idle-streams", "--streams", String(streams), "--api", server.api, "--url", server.url]);

// Waits until memory does not change any more.
export async function settledMemory(pid) {
  const samples = [];
  const deadline = Date.now() + SETTLE_MAX_MS;
  for (;;) {
    const memory = memoryOf(familyOf(pid));
    samples.push(memory.pss);
    const last = samples.slice(-SETTLE_SAMPLES);
    const spread = Math.max(...last) - Math.min(...last);
    if (last.length === SETTLE_SAMPLES && spread <= SETTLE_SPREAD * memory.pss) return memory;
    if (Date.now() > deadline) return memory;
    await sleep(SETTLE_EVERY_MS);
  }
}
