// What is kept: memory, creation, and coming back after a kill.

import { Agent, request } from "node:http";

import { alive, childrenOf } from "../lib/processes.mjs";
import { sleep, until } from "../lib/wait.mjs";
import { createStreams, listen, load, MB, settledMemory, target, withServer } from "./measure.mjs";
import { peers } from "./peers.mjs";
import { COST, LATENCY, node, rust, streamd } from "./systems.mjs";

const PROBES = 64; // streams asked after a kill: every shard has some of them
const PROBE_EVERY_MS = 2;
const IDLE_READERS = 10_000;
const RESTART_STREAMS = 100_000;

// Peers that have a descriptor open for every stream cannot hold as many.
const fewer = (row, streams) => ({ ...row, name: `${row.name}, ${streams.toLocaleString("en-US")} streams`, streams });

const idleStreams = (most) => (row, context) =>
  withServer(row, context, async (server) => {
    const streams = row.streams ?? most;
    const empty = await settledMemory(server.pid);
    const created = await createStreams(context, server, streams);
    const full = await settledMemory(server.pid);
    return {
      pss_mb: full.pss / MB,
      rss_mb: full.rss / MB,
      empty_pss_mb: empty.pss / MB,
      bytes_each: (full.pss - empty.pss) / streams,
      pss_each: full.pss / streams,
      errors: created.errors,
    };
  });

const idleReaders = (row, context) =>
  withServer(row, context, async (server) => {
    await createStreams(context, server, 1);
    const empty = await settledMemory(server.pid);
    const place = ["--api", server.api, "--url", server.url, "--streams", "1"];
    const readers = await listen(context, [...place, "--readers", String(IDLE_READERS)]);
    const full = await settledMemory(server.pid);
    const { dropped } = await readers.figures();
    return {
      pss_mb: full.pss / MB,
      empty_pss_mb: empty.pss / MB,
      bytes_each: (full.pss - empty.pss) / IDLE_READERS,
      errors: dropped,
    };
  });

const memory = (key, title, main, rows, measure) => ({
  key,
  title: `${title}; lower is better`,
  main,
  columns: [
    [main, { pss_mb: "PSS MB", bytes_each: "B each", pss_each: "PSS B each" }[main], main === "pss_mb" ? 1 : 0],
    ...[
      ["pss_mb", "PSS MB", 1],
      ["rss_mb", "RSS MB", 1],
      ["empty_pss_mb", "empty PSS MB", 1],
      ["bytes_each", "B each", 0],
    ].filter(([figure]) => figure !== main),
    ["errors", "errors", 0],
  ],
  rows,
  measure,
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
async function killShard(shard, urls, agent) {
  const begin = performance.now();
  process.kill(shard.pid, "SIGKILL");
  while (alive(shard.pid)); // what is asked now, only its successor can answer
  await Promise.all(urls.map((url) => headAnswers(url, agent)));
  return performance.now() - begin;
}

const killEachShard = (row, context) =>
  withServer(row, context, async (server) => {
    const created = await createStreams(context, server, RESTART_STREAMS);
    await settledMemory(server.pid);
    const agent = new Agent({ keepAlive: true, maxSockets: PROBES });
    const step = Math.max(1, Math.floor(RESTART_STREAMS / PROBES));
    const urls = Array.from({ length: PROBES }, (_, i) => `${server.url}${(i * step) % RESTART_STREAMS}`);
    const times = [];
    const shards = childrenOf(server.pid).filter(({ role }) => role === "shard");
    if (!shards.length) throw new Error("no shard processes are to be seen");
    for (const shard of shards) {
      await Promise.all(urls.map((url) => headAnswers(url, agent)));
      times.push(await killShard(shard, urls, agent));
      await sleep(1500); // a shard that dies twice within server.restart_delay would be held back
    }
    agent.destroy();
    return { slowest_ms: Math.max(...times), fastest_ms: Math.min(...times), errors: created.errors };
  });

// Everything is killed in the middle of appends to all of the streams, and started again on the same data.
async function killAll(row, context) {
  const folder = context.newFolder();
  let server = await peers[row.peer].start(folder, row);
  try {
    const created = await createStreams(context, server, RESTART_STREAMS);
    const everywhere = ["append", "--connections", "512", "--streams", String(RESTART_STREAMS)];
    const appends = load(context, [...everywhere, ...target(server, { seconds: context.seconds + 10 })]).catch(
      () => null,
    );
    await sleep(context.seconds * 1000 + 5000); // the first seconds it asks for the streams that are there
    await server.kill();
    await appends;
    const begin = performance.now();
    server = await peers[row.peer].start(folder, row);
    return { ready_ms: performance.now() - begin, errors: created.errors };
  } finally {
    await server.stop();
    context.removeFolder(folder);
  }
}

export default [
  memory(
    "idle-streams",
    "Memory: 100,000 idle streams with a message each, all processes",
    "pss_mb",
    [streamd, fewer(rust, 15_000)],
    idleStreams(100_000),
  ),
  memory(
    "idle-million",
    "Memory: 1,000,000 idle streams with a message each, all processes",
    "pss_each",
    [streamd],
    idleStreams(1_000_000),
  ),
  memory(
    "idle-readers",
    "Memory: 10,000 idle SSE readers of one stream, all processes",
    "bytes_each",
    [streamd, rust],
    idleReaders,
  ),
  {
    key: "create",
    title: "Creating streams with a message each, 64 connections; higher is better",
    main: "requests_per_s",
    columns: [["requests_per_s", "creations/s", 0], ...LATENCY, ...COST.slice(1)],
    rows: [streamd, fewer(rust, 15_000), fewer(node, 2000)],
    measure: (row, context) =>
      withServer(row, context, (server) => createStreams(context, server, row.streams ?? 100_000)),
  },
  {
    key: "restart-shard",
    title: "SIGKILL of a shard that holds its part of 100,000 streams, until every shard answers; lower is better",
    main: "slowest_ms",
    columns: [
      ["slowest_ms", "slowest shard ms", 1],
      ["fastest_ms", "fastest shard ms", 1],
      ["errors", "errors", 0],
    ],
    rows: [streamd],
    measure: killEachShard,
  },
  {
    key: "restart",
    title:
      "SIGKILL of everything under load, with 100,000 streams and a full log: from start to ready; lower is better",
    main: "ready_ms",
    columns: [
      ["ready_ms", "ready ms", 0],
      ["errors", "errors", 0],
    ],
    rows: [streamd],
    measure: killAll,
  },
];
