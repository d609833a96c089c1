// What is measured. A workload: { key, title, main, columns, rows, measure(row, context): figures of one round }.
// main: the figure that is compared; columns: [figure, heading, digits].

import { Agent, request } from "node:http";
import { join } from "node:path";

import { alive, childrenOf } from "../lib/processes.mjs";
import { sleep, until } from "../lib/wait.mjs";
import { peers } from "./peers.mjs";
import { cpuOf, familyOf, memoryOf, run } from "./process_groups.mjs";

const MB = 1e6;
const SETTLE_EVERY_MS = 500;
const SETTLE_SAMPLES = 6; // so many in a row within SETTLE_SPREAD: stable
const SETTLE_SPREAD = 0.005;
const SETTLE_MAX_MS = 30_000;
const PROBES = 64; // streams asked after a kill: every shard has some of them
const PROBE_EVERY_MS = 2;

async function load(context, args) {
  const program = join(context.build, "load");
  const { code, stdout, stderr } = await run(program, args, { ms: context.seconds * 1000 + 120_000 });
  const line = stdout.trim().split("\n").pop();
  if (!line.startsWith("{")) throw new Error(`load ${args.join(" ")}: ${code} ${stderr.trim()}`);
  return JSON.parse(line);
}

// Starts the row's server with fresh data, lets `measure` use it, and stops it, whatever happens.
async function withServer(row, context, measure) {
  const folder = context.newFolder();
  const server = await peers[row.peer].start(folder, row.settings);
  try {
    return await measure(server);
  } finally {
    await server.stop();
    context.removeFolder(folder);
  }
}

// Runs the load generator, and adds what the server's processes used for each answer or delivery.
function loadRun(args) {
  return (row, context) =>
    withServer(row, context, async (server) => {
      const before = cpuOf(familyOf(server.pid));
      const figures = await load(context, [
        ...args,
        ...["--api", server.api, "--url", server.url, "--seconds", String(context.seconds)],
      ]);
      const used = cpuOf(familyOf(server.pid)) - before;
      return { ...figures, server_cpu_us: (used * 1e6) / (figures.answered ?? figures.delivered) };
    });
}

async function machineCommit(context) {
  const folder = context.newFolder();
  const figures = await load(context, ["commit", "--dir", folder, "--seconds", String(context.seconds)]);
  context.removeFolder(folder);
  return { ...figures, requests_per_s: figures.commits_per_s, errors: 0 };
}

const oneConnection = loadRun(["append", "--connections", "1"]);

const createStreams = (context, server) =>
  load(context, ["idle-streams", "--streams", String(context.streams), "--url", server.url, "--pipeline", "8"]);

// Waits until memory does not change any more.
async function settledMemory(pid) {
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

const idleMemory = (row, context) =>
  withServer(row, context, async (server) => {
    const empty = await settledMemory(server.pid);
    const created = await createStreams(context, server);
    const full = await settledMemory(server.pid);
    return {
      pss_mb: full.pss / MB,
      rss_mb: full.rss / MB,
      empty_pss_mb: empty.pss / MB,
      bytes_per_stream: (full.pss - empty.pss) / context.streams,
      created_per_s: created.requests_per_s,
      errors: created.errors,
    };
  });

function head(url, agent) {
  return new Promise((resolve) => {
    const asked = request(url, { method: "HEAD", agent }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode));
    });
    asked.on("error", () => resolve(0));
    asked.end();
  });
}

// Asks until it is 200.
async function headAnswers(url, agent) {
  await until(`HEAD ${url}`, async () => (await head(url, agent)) === 200 || sleep(PROBE_EVERY_MS), 30_000);
}

// Milliseconds from the SIGKILL of a shard until streams of every shard have answered.
async function killShard(server, shard, urls, agent) {
  const begin = performance.now();
  process.kill(shard.pid, "SIGKILL");
  while (alive(shard.pid)); // what is asked now, only its successor can answer
  await Promise.all(urls.map((url) => headAnswers(url, agent)));
  return performance.now() - begin;
}

const restart = (row, context) =>
  withServer(row, context, async (server) => {
    const created = await createStreams(context, server);
    await settledMemory(server.pid);
    const agent = new Agent({ keepAlive: true, maxSockets: PROBES });
    const step = Math.max(1, Math.floor(context.streams / PROBES));
    const urls = Array.from({ length: PROBES }, (_, i) => `${server.url}${(i * step) % context.streams}`);
    const times = [];
    const shards = childrenOf(server.pid).filter(({ role }) => role === "shard");
    if (!shards.length) throw new Error("no shard processes are to be seen");
    for (const shard of shards) {
      await Promise.all(urls.map((url) => headAnswers(url, agent)));
      times.push(await killShard(server, shard, urls, agent));
      await sleep(1500); // a shard that dies twice within server.restart_delay would be held back
    }
    agent.destroy();
    return { slowest_ms: Math.max(...times), fastest_ms: Math.min(...times), errors: created.errors };
  });

const LATENCY = [
  ["p50_us", "p50 µs", 0],
  ["p99_us", "p99 µs", 0],
];
const COST = [
  ["server_cpu_us", "server cpu µs", 1],
  ["generator_cpu", "load cpu", 2],
  ["errors", "errors", 0],
];

const streamd = (shards) => ({
  name: `streamd, shard.count=${shards}`,
  peer: "streamd",
  settings: { "shard.count": shards },
});
const redis = { name: "Redis XADD, appendfsync always", peer: "redis" };
const referenceFile = { name: "Node reference, files and fsync", peer: "referenceFile" };
const referenceMemory = { name: "Node reference, memory (not durable)", peer: "referenceMemory" };

export const workloads = [
  {
    key: "a",
    title: "Durable append: 64 connections, 64 streams, 100 B; higher is better",
    main: "requests_per_s",
    columns: [["requests_per_s", "appends/s", 0], ...LATENCY, ...COST],
    rows: [streamd(4), streamd(1), streamd(2), redis, referenceFile, referenceMemory],
    measure: loadRun(["append"]),
  },
  {
    key: "b",
    title: "One writer: 1 connection, 100 B; lower is better",
    main: "p50_us",
    columns: [["p50_us", "p50 µs", 1], ["p99_us", "p99 µs", 0], ["requests_per_s", "appends/s", 0], ...COST],
    rows: [streamd(4), { name: "bare SQLite commit (the machine)", peer: "machine" }, redis, referenceFile],
    measure: (row, context) => (row.peer === "machine" ? machineCommit(context) : oneConnection(row, context)),
  },
  {
    key: "c",
    title: "Fan-out: 1,000 SSE readers of one stream, next message when all have the last; higher is better",
    main: "deliveries_per_s",
    columns: [
      ["deliveries_per_s", "deliveries/s", 0],
      ...LATENCY,
      ["lost", "lost", 0],
      ["doubled", "doubled", 0],
      ["dropped", "dropped", 0],
      ...COST,
    ],
    rows: [streamd(4), { name: "Nchan (memory)", peer: "nchan" }],
    measure: loadRun(["sse", "--readers", "1000"]),
  },
  {
    key: "d",
    title: "Memory: idle streams (BENCH_STREAMS, 100,000) with one message each, all processes; lower is better",
    main: "pss_mb",
    columns: [
      ["pss_mb", "PSS MB", 1],
      ["rss_mb", "RSS MB", 1],
      ["empty_pss_mb", "empty PSS MB", 1],
      ["bytes_per_stream", "B/stream", 0],
      ["created_per_s", "created/s", 0],
      ["errors", "errors", 0],
    ],
    rows: [streamd(4)],
    measure: idleMemory,
  },
  {
    key: "e",
    title: "Restart: SIGKILL of a shard that holds its part of as many streams, until every shard answers; lower is better",
    main: "slowest_ms",
    columns: [
      ["slowest_ms", "slowest shard ms", 1],
      ["fastest_ms", "fastest shard ms", 1],
      ["errors", "errors", 0],
    ],
    rows: [streamd(4)],
    measure: restart,
  },
];
