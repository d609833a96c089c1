// What we mean to reach, as ratios of medians of one run.

import { median } from "./table.mjs";

// [what it is, workload, our row, their row (of another workload: "key:row"), at least]; rows by how their names begin
const GOALS = [
  ["durable append, Redis", "append", "streamd", "Redis", 2],
  ["durable append, Node reference with files", "append", "streamd", "Node reference, files", 20],
  ["durable append with tokens, without", "append", "streamd, auth", "streamd", 0.95],
  ["durable append, Rust server", "append", "streamd", "Rust", 2],
  ["512 connections and 10,000 streams, 64 x 64", "append-many", "streamd", "append:streamd", 0.9],
  ["batches of JSON, SQLite's limit", "append-batch", "streamd", "limit", 0.5],
  ["batches of JSON, Rust server", "append-batch", "streamd", "Rust", 1],
  ["appends of 10 KiB, Rust server", "append-10k", "streamd", "Rust", 1],
  ["appends of 10 KiB, Redis", "append-10k", "streamd", "Redis", 1.3],
  ["appends of 256 KiB, bare writes with fdatasync", "append-256k", "streamd", "limit", 0.7],
  ["append with 100 SSE readers, without", "append-followed", "streamd", "streamd, no readers", 0.8],
  ["append during catch-up, without", "append-catchup", "streamd", "streamd, no readers", 0.7],
  ["append while metrics are scraped, without", "append-scraped", "streamd", "streamd, no scrapes", 0.97],
  ["1,000 SSE readers, Nchan", "sse-1000", "streamd", "Nchan", 2],
  ["10,000 SSE readers, Nchan", "sse-10000", "streamd", "Nchan", 2],
  ["catch-up of 1 MiB, nginx static", "read-1m", "streamd", "nginx", 0.8],
  ["catch-up of 64 MiB from segments, nginx static", "read-64m", "streamd", "nginx", 0.8],
  ["append while history leaves, without", "rotate", "streamd", "streamd, segment.store=none", 0.9],
  ["reads of 1 KiB, nginx static", "read-1k", "streamd", "nginx", 0.6],
  ["creating streams, appending", "create", "streamd", "append:streamd", 1],
];

// [what it is, workload, figure, our row, their row, at most]
const RATIO_CEILINGS = [
  ["one connection, p50, Rust server", "append-one", "p50_us", "streamd", "Rust", 1.1],
  ["batches of JSON, p99, Rust server", "append-batch", "p99_us", "streamd", "Rust", 1],
  ["appends of 10 KiB, p99, Rust server", "append-10k", "p99_us", "streamd", "Rust", 1],
  ["appends of 256 KiB, p99, Rust server", "append-256k", "p99_us", "streamd", "Rust", 1],
  ["small appends beside a neighbour, p99, without", "append-neighbour", "p99_us", "streamd", "streamd, no", 3],
  ["small appends beside a neighbour, p99.9, without", "append-neighbour", "p999_us", "streamd", "streamd, no", 3],
  ["100 SSE readers, paced, p99, Nchan", "sse-100-paced", "p99_us", "streamd", "Nchan", 1],
  ["100 SSE readers, paced, p99, Rust server", "sse-100-paced", "p99_us", "streamd", "Rust", 1],
  ["1,000 SSE readers, paced, p99, Nchan", "sse-1000-paced", "p99_us", "streamd", "Nchan", 1],
  ["1,000 SSE readers, paced, p99, Rust server", "sse-1000-paced", "p99_us", "streamd", "Rust", 1],
  ["10,000 SSE readers, paced, p99, Nchan", "sse-10000-paced", "p99_us", "streamd", "Nchan", 1],
  ["10,000 SSE readers, paced, p99, Rust server", "sse-10000-paced", "p99_us", "streamd", "Rust", 1],
];

// Goals that are a figure, not a ratio: at most so much.
const CEILINGS = [
  ["one connection, p50 above a bare SQLite commit, µs", "append-one", (row) => row("streamd") - row("limit"), 100],
  ["an idle SSE reader, bytes", "idle-readers", (row) => row("streamd"), 1024],
  ["an idle stream of 1,000,000, bytes of all processes", "idle-million", (row) => row("streamd"), 100],
  ["to 10,000 estuaries, p50 ms", "fanout-10000", (row) => row("streamd"), 150],
  ["a copy of 1 KiB in an estuary, bytes", "fanout-10000", (row) => row("streamd", "bytes_each"), 100],
  ["databases with history in segments, MiB", "hot-size", (row) => row("streamd"), 200],
  ["written to the disk for a byte, 10 KiB", "written", (row) => row("streamd, segment.compression=none: 10"), 2.5],
  ["written to the disk for a byte, 256 KiB", "written", (row) => row("streamd, segment.compression=none: 256"), 2],
  ["fetches of a segment by 16 readers at once", "cold-s3", (row) => row("streamd"), 1],
  ["ready after SIGKILL, ms", "restart", (row) => row("streamd"), 500],
];

// At least so much.
const FLOORS = [["deliveries a second to estuaries", "fanout-16x1000", (row) => row("streamd"), 100_000]];

// The median of a row's main figure, or NaN.
function figure(results, key, name, which) {
  const workload = results.workloads.find((candidate) => candidate.key === key);
  const row = workload?.rows.find((candidate) => candidate.name === name || candidate.name.startsWith(name));
  return row?.rounds.length ? median(row.rounds.map((round) => round[which ?? workload.main])) : NaN;
}

function ratio(results, [what, key, ours, theirs, atLeast]) {
  const [otherKey, otherName] = theirs.includes(":") ? theirs.split(":") : [key, theirs];
  const reached = figure(results, key, ours) / figure(results, otherKey, otherName);
  return { what, reached, wanted: `>= ${atLeast}`, good: reached >= atLeast, digits: 2 };
}

function ratioCeiling(results, [what, key, which, ours, theirs, atMost]) {
  const reached = figure(results, key, ours, which) / figure(results, key, theirs, which);
  return { what, reached, wanted: `<= ${atMost}`, good: reached <= atMost, digits: 2 };
}

function ceiling(results, [what, key, value, atMost]) {
  const reached = value((name, which) => figure(results, key, name, which));
  return { what, reached, wanted: `<= ${atMost}`, good: reached <= atMost, digits: atMost < 10 ? 2 : 0 };
}

function floor(results, [what, key, value, atLeast]) {
  const reached = value((name) => figure(results, key, name));
  return { what, reached, wanted: `>= ${atLeast}`, good: reached >= atLeast, digits: 0 };
}

// [{ what, reached, wanted, good, digits }] for the goals whose workloads were measured.
export function goals(results) {
  const all = [
    ...GOALS.map((goal) => ratio(results, goal)),
    ...RATIO_CEILINGS.map((goal) => ratioCeiling(results, goal)),
    ...CEILINGS.map((goal) => ceiling(results, goal)),
    ...FLOORS.map((goal) => floor(results, goal)),
  ];
  return all.filter(({ reached }) => !Number.isNaN(reached));
}

export function goalsTable(results) {
  const lines = goals(results).map(
    ({ what, reached, wanted, good, digits }) =>
      `  ${what.padEnd(52)} ${reached.toFixed(digits).padStart(10)}  ${wanted.padEnd(8)} ${good ? "reached" : "not reached"}`,
  );
  return lines.length ? `Goals (ours / theirs)\n${lines.join("\n")}\n` : "";
}
