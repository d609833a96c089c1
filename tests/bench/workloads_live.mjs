// Live readers: SSE and long-poll.

import { loadRun } from "./measure.mjs";
import { COST, LATENCY, nchan, nodeMemory, rust, streamd } from "./systems.mjs";

const live = (key, title, main, args, rows) => ({
  key,
  title: `${title}; ${main === "p99_us" ? "lower" : "higher"} is better`,
  main,
  columns: [
    main === "p99_us" ? ["p99_us", "p99 µs", 0] : ["deliveries_per_s", "deliveries/s", 0],
    ...(main === "p99_us" ? [LATENCY[0], ["deliveries_per_s", "deliveries/s", 0]] : LATENCY),
    ["lost", "lost", 0],
    ["doubled", "doubled", 0],
    ["dropped", "dropped", 0],
    ...COST,
  ],
  rows,
  measure: loadRun(args),
});

const closedLoop = (readers, name) =>
  live(
    `sse-${readers}`,
    `Fan-out: ${name} of one stream, next message when all have the last`,
    "deliveries_per_s",
    ["sse", "--readers", String(readers)],
    [streamd, nchan, rust],
  );

const paced = (readers, name, rate) =>
  live(
    `sse-${readers}-paced`,
    `Delivery time: ${name} of one stream, ${rate} messages a second`,
    "p99_us",
    ["sse", "--readers", String(readers), "--rate", String(rate)],
    [streamd, nchan, rust],
  );

export default [
  closedLoop(1, "one SSE reader"),
  closedLoop(100, "100 SSE readers"),
  closedLoop(1000, "1,000 SSE readers"),
  closedLoop(10_000, "10,000 SSE readers"),
  paced(100, "100 SSE readers", 50),
  paced(1000, "1,000 SSE readers", 50),
  paced(10_000, "10,000 SSE readers", 5),
  live(
    "sse-streams",
    "Fan-out: 1,000 streams with 5 SSE readers each",
    "deliveries_per_s",
    ["sse", "--readers", "5000", "--streams", "1000", "--publishers", "1000"],
    [streamd, nchan, rust],
  ),
  live(
    "poll",
    "Long-poll: 1,000 streams with one reader each",
    "deliveries_per_s",
    ["poll", "--readers", "1000", "--streams", "1000", "--publishers", "1000"],
    [streamd, rust, nodeMemory],
  ),
];
