// Large appends: how fast, how much of them is written to the disk, and how long small ones beside them take.

import { sleep } from "../lib/wait.mjs";
import { atRest } from "./disk.mjs";
import { load, machineWrite, MB, target, withCost, withServer, withWritten } from "./measure.mjs";
import { bareDisk, COST, LATENCY, redis, rust, streamd } from "./systems.mjs";

const KIB = 1024; // bytes
const MIB = 1024 * KIB;
const CONNECTIONS = 64;
const LARGE = 256 * KIB;
const LARGE_CONNECTIONS = 16;
const WRITTEN_STREAMS = 16;
const WRITTEN_EACH = 16 * MIB; // sent to each of them at least: four segments
const SMALL = ["append", "--connections", "8", "--rate", "200"];
const NEIGHBOUR = ["append", "--connections", String(CONNECTIONS), "--streams", "1", "--size", String(10 * KIB)];
const NEIGHBOUR_FIRST_MS = 1000;
const NEIGHBOUR_LONGER = 10; // seconds, at the end

const WRITTEN = ["written_each", "written/appended", 2];

const appends = async (server, context, folder, size, args) => {
  const all = ["append", "--size", String(size), ...args, ...target(server, context)];
  const figures = await withWritten(server, folder, size, () => withCost(server, () => load(context, all)));
  return { ...figures, mb_per_s: (figures.requests_per_s * size) / MB };
};

const large = async (row, context) => {
  if (row.batch) {
    const figures = await machineWrite(context, LARGE, row.batch);
    return { ...figures, mb_per_s: (figures.requests_per_s * LARGE) / MB };
  }
  const args = ["--connections", String(LARGE_CONNECTIONS)];
  return withServer(row, context, (server, folder) => appends(server, context, folder, LARGE, args));
};

// A closed stream's messages become a segment at once, so all history leaves.
async function closeAll(server, streams) {
  for (let i = 0; i < streams; i++) {
    const answer = await fetch(`${server.url}${i}`, { method: "POST", headers: { "stream-closed": "true" } });
    if (!answer.ok) throw new Error(`close: ${answer.status}`);
  }
}

const written = ({ size, connections, ...row }, context) =>
  withServer(row, context, (server, folder) =>
    withWritten(server, folder, size, async () => {
      const shape = ["--connections", connections, "--streams", WRITTEN_STREAMS, "--size", size].map(String);
      const sum = { answered: 0, errors: 0 };
      while (sum.answered * size < WRITTEN_STREAMS * WRITTEN_EACH) {
        const { answered, errors } = await load(context, ["append", ...shape, ...target(server, context)]);
        sum.answered += answered;
        sum.errors += errors;
      }
      await closeAll(server, WRITTEN_STREAMS);
      return { ...sum, appended_mb: (sum.answered * size) / MB };
    }),
  );

const writtenRows = (row) => [
  { ...row, name: `${row.name}: 10 KiB`, size: 10 * KIB, connections: CONNECTIONS },
  { ...row, name: `${row.name}: 256 KiB`, size: LARGE, connections: LARGE_CONNECTIONS },
];

// All messages of the load generator are the same, and compression would leave nothing of them.
const plain = {
  ...streamd,
  name: "streamd, segment.compression=none",
  settings: { "segment.compression": "none" },
};

// Paced small appends, and with them, unless the row is alone, a neighbour at half of the rate that it reaches by itself.
const neighboured = (row, context) =>
  withServer(row, context, async (server) => {
    const neighbour = (seconds, ...rate) =>
      load(context, [...NEIGHBOUR, ...rate, ...target({ ...server, url: `${server.url}n` }, { seconds })]);
    const small = () => load(context, [...SMALL, ...target(server, context)]);
    const top = await neighbour(context.seconds);
    await atRest(server.pid);
    if (row.alone) return { ...(await small()), top_per_s: top.requests_per_s };
    const rate = Math.max(1, Math.round(top.requests_per_s / 2 / CONNECTIONS));
    const beside = neighbour(context.seconds + NEIGHBOUR_LONGER, "--rate", String(rate));
    const ended = beside.then(
      () => true,
      () => true,
    );
    await sleep(NEIGHBOUR_FIRST_MS);
    const figures = await small();
    const early = await Promise.race([ended, sleep(0)]);
    const { requests_per_s, errors } = await beside;
    if (early) throw new Error("the neighbour ended first");
    return {
      ...figures,
      top_per_s: top.requests_per_s,
      neighbour_per_s: requests_per_s,
      errors: figures.errors + errors,
    };
  });

const neighbourRows = (row) => [row, { ...row, name: `${row.name}, no neighbour`, alone: true }];

export default [
  {
    key: "append-10k",
    title: "Durable append: 64 connections, 64 streams, 10 KiB; higher is better",
    main: "requests_per_s",
    columns: [["requests_per_s", "appends/s", 0], ...LATENCY, WRITTEN, ...COST],
    rows: [streamd, redis, rust],
    measure: (row, context) =>
      withServer(row, context, (server, folder) => appends(server, context, folder, 10 * KIB, [])),
  },
  {
    key: "append-256k",
    title: `Durable append: ${LARGE_CONNECTIONS} connections, ${LARGE_CONNECTIONS} streams, 256 KiB; higher is better`,
    main: "mb_per_s",
    columns: [["mb_per_s", "MB/s", 0], ["requests_per_s", "appends/s", 0], ...LATENCY, WRITTEN, ...COST],
    rows: [
      streamd,
      rust,
      bareDisk(`${LARGE_CONNECTIONS} blocks an fdatasync`, LARGE_CONNECTIONS), // what the connections have under way
      bareDisk("one block an fdatasync", 1),
    ],
    measure: large,
  },
  {
    key: "written",
    title: "Bytes written to the disk for a byte appended, until all history is in segments; lower is better",
    main: "written_each",
    columns: [WRITTEN, ["appended_mb", "MB appended", 0], ["errors", "errors", 0]],
    rows: [...writtenRows(plain), ...writtenRows(rust)],
    measure: written,
  },
  {
    key: "append-neighbour",
    title:
      "8 streams with 200 appends of 100 B a second each, beside a stream that takes 10 KiB at half of its top rate; lower is better",
    main: "p99_us",
    columns: [
      ["p99_us", "p99 µs", 0],
      ["p999_us", "p99.9 µs", 0],
      LATENCY[0],
      ["requests_per_s", "appends/s", 0],
      ["neighbour_per_s", "neighbour/s", 0],
      ["top_per_s", "its top/s", 0],
      ["errors", "errors", 0],
    ],
    rows: [...neighbourRows(streamd), ...neighbourRows(rust)],
    measure: neighboured,
  },
];
