// Appends: how many, how fast, and what readers cost them.

import { join } from "node:path";

import { createStreams, listen, load, loadRun, machineCommit, target, withCost, withServer } from "./measure.mjs";
import { start, stop } from "./process_groups.mjs";
import { fill } from "./fill.mjs";
import {
  COST,
  LATENCY,
  machine,
  nginxEmpty,
  node,
  nodeMemory,
  redis,
  rust,
  streamd,
  streamdJwt,
  streamdShards,
} from "./systems.mjs";

const STREAMS = 64;
const FOLLOWERS = 100;
const CATCHING_UP = 32;
const SCRAPE_MS = 1000;
const BATCH = 100;
const SQLITE_BATCH = 6400; // what 64 connections with BATCH messages have under way
const PAGE = 1 << 20;

const appends = (key, title, args, rows) => ({
  key,
  title: `${title}; higher is better`,
  main: "requests_per_s",
  columns: [["requests_per_s", "appends/s", 0], ...LATENCY, ...COST],
  rows,
  measure: loadRun(["append", ...args]),
});

const oneWriter = loadRun(["append", "--connections", "1"]);
const batches = loadRun(["append", "--json", "--batch", String(BATCH)]);
const redisBatches = loadRun(["append", "--batch", String(BATCH)]);

const followed = (row, context) =>
  withServer(row, context, async (server) => {
    const append = () => withCost(server, () => load(context, ["append", ...target(server, context)]));
    if (row.alone) return append();
    await createStreams({ ...context }, server, STREAMS);
    const place = ["--api", server.api, "--url", server.url, "--streams", String(STREAMS)];
    const readers = await listen(context, [...place, "--readers", String(FOLLOWERS)]);
    const figures = await append();
    const { deliveries_per_s, dropped } = await readers.figures();
    return { ...figures, deliveries_per_s, errors: figures.errors + dropped };
  });

const caughtUp = (row, context) =>
  withServer(row, context, async (server) => {
    const append = () => withCost(server, () => load(context, ["append", ...target(server, context)]));
    if (row.alone) return append();
    const url = `${server.url}history`;
    await fill(url, 4 * PAGE);
    const args = ["catchup", "--walk", "--url", url, "--connections", String(CATCHING_UP), "--seconds", "3600"];
    const readers = start(join(context.build, "load"), args);
    const figures = await append();
    await stop(readers);
    return figures;
  });

const scraped = (row, context) =>
  withServer(row, context, async (server) => {
    const append = () => withCost(server, () => load(context, ["append", ...target(server, context)]));
    if (row.alone) return append();
    const url = new URL("/metrics", server.url);
    const scrapes = setInterval(() => fetch(url).then((answer) => answer.text()), SCRAPE_MS);
    const figures = await append();
    clearInterval(scrapes);
    return figures;
  });

export default [
  appends(
    "append",
    `Durable append: 64 connections, ${STREAMS} streams, 100 B`,
    [],
    [streamd, streamdShards(4), streamdJwt, redis, rust, node, nodeMemory, nginxEmpty],
  ),
  appends(
    "append-many",
    "Durable append: 512 connections, 10,000 streams, 100 B",
    ["--connections", "512", "--streams", "10000"],
    [streamd, redis, rust],
  ),
  appends(
    "append-shared",
    "Durable append: 64 connections, one stream, 100 B",
    ["--streams", "1"],
    [streamd, redis, rust],
  ),
  {
    key: "append-one",
    title: "One writer: 1 connection, 100 B; lower is better",
    main: "p50_us",
    columns: [["p50_us", "p50 µs", 1], ["p99_us", "p99 µs", 0], ["requests_per_s", "appends/s", 0], ...COST],
    rows: [streamd, machine, redis, rust, node],
    measure: (row, context) =>
      row === machine || row.peer === "machine" ? machineCommit(context) : oneWriter(row, context),
  },
  appends(
    "append-json",
    "Durable append: 64 connections, 64 streams, JSON of 100 B",
    ["--json"],
    [streamd, rust, node],
  ),
  {
    key: "append-batch",
    title: `Batches of ${BATCH} JSON messages of 100 B, 64 connections, 64 streams; higher is better`,
    main: "messages_per_s",
    columns: [["messages_per_s", "messages/s", 0], ...LATENCY, ["errors", "errors", 0]],
    rows: [streamd, streamdShards(4), redis, rust, machine],
    measure: (row, context) => {
      if (row.peer === "machine") return machineCommit(context, SQLITE_BATCH);
      return row.peer === "redis" ? redisBatches(row, context) : batches(row, context);
    },
  },
  {
    key: "append-followed",
    title: `Durable append 64 x 64 with ${FOLLOWERS} SSE readers on the ${STREAMS} streams; higher is better`,
    main: "requests_per_s",
    columns: [
      ["requests_per_s", "appends/s", 0],
      ...LATENCY,
      ["deliveries_per_s", "deliveries/s", 0],
      ["errors", "errors", 0],
    ],
    rows: [streamd, { ...streamd, name: "streamd, no readers", alone: true }, rust],
    measure: followed,
  },
  {
    key: "append-catchup",
    title: `Durable append 64 x 64 while ${CATCHING_UP} connections catch up without a pause; higher is better`,
    main: "requests_per_s",
    columns: [["requests_per_s", "appends/s", 0], ...LATENCY, ["errors", "errors", 0]],
    rows: [streamd, { ...streamd, name: "streamd, no readers", alone: true }, rust],
    measure: caughtUp,
  },
  {
    key: "append-scraped",
    title: "Durable append 64 x 64 while /metrics is read every second; higher is better",
    main: "requests_per_s",
    columns: [["requests_per_s", "appends/s", 0], ...LATENCY, ...COST],
    rows: [streamd, { ...streamd, name: "streamd, no scrapes", alone: true }],
    measure: scraped,
  },
];
