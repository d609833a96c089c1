// History that leaves the database: what that costs appends, what stays behind, and what compression brings.

import { randomBytes } from "node:crypto";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

import { Server } from "../lib/server.mjs";
import { Meddler, Swift } from "../lib/swift.mjs";
import { sleep, until } from "../lib/wait.mjs";
import { atRest } from "./disk.mjs";
import { load, loadRun, target, withServer } from "./measure.mjs";
import { COST, LATENCY, streamd } from "./systems.mjs";

const STREAMS = 100;
const MESSAGE = 1024; // bytes
const GIB = Number(process.env.BENCH_GIB ?? 2); // sent, for what is left in the database
const READERS = 16;
const COLD_MIB = 64;
const SETTLED_MS = 6000;
const REST_MAX_MS = 120_000;
const EVENTS = 200_000;
const EVENTS_A_REQUEST = 500;
const MIB = 1 << 20;

const without = { name: "streamd, segment.store=none", peer: "streamd", settings: { "segment.store": "none" } };

// Bytes of the files in a folder whose names end so.
const sizeOf = (folder, ending) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath ?? entry.path, entry.name)).size, 0);

const hot = (row, context) =>
  withServer(row, context, async (server, folder) => {
    const args = ["append", "--streams", String(STREAMS), "--size", String(MESSAGE)];
    let sent = 0,
      errors = 0;
    while (sent < GIB * 1024 * MIB) {
      const figures = await load(context, [...args, ...target(server, context)]);
      sent += figures.requests * MESSAGE;
      errors += figures.errors;
    }
    await atRest(server.pid);
    return {
      errors,
      hot_mb: sizeOf(folder, ".db") / MIB,
      cold_mb: sizeOf(folder, ".seg") / MIB,
      sent_mb: sent / MIB,
    };
  });

// What an application might write of what its users do.
function event(n) {
  const kinds = ["message.created", "message.edited", "reaction.added", "presence.changed", "file.uploaded"];
  const words =
    "the quick brown fox jumps over a lazy dog while streams of small events pass by one after another".split(" ");
  let seed = (n * 2654435761) >>> 0;
  const next = (most) => (seed = (seed * 1664525 + 1013904223) >>> 0) % most;
  const text = Array.from({ length: 4 + next(16) }, () => words[next(words.length)]).join(" ");
  return {
    id: `evt_${(seed ^ (n * 40503)).toString(36)}${n.toString(36)}`,
    type: kinds[next(kinds.length)],
    at: new Date(1.7e12 + n * 137 + next(100)).toISOString(),
    actor: { id: `user_${next(5000)}`, name: `User ${next(5000)}` },
    room: `room_${next(200)}`,
    data: { text, mentions: next(4) ? [] : [`user_${next(5000)}`], length: text.length },
  };
}

const compression = (row, context) =>
  withServer(row, context, async (server, folder) => {
    const url = `${server.url}events`;
    const headers = { "content-type": "application/json" };
    let bytes = 0;
    await fetch(url, { method: "PUT", headers });
    for (let n = 0; n < EVENTS; n += EVENTS_A_REQUEST) {
      const body = JSON.stringify(Array.from({ length: EVENTS_A_REQUEST }, (_, i) => event(n + i)));
      bytes += body.length;
      const answer = await fetch(url, { method: "POST", headers, body });
      if (!answer.ok) throw new Error(`append: ${answer.status}`);
    }
    await atRest(server.pid);
    const cold = sizeOf(folder, ".seg");
    return { sent_mb: bytes / MIB, cold_mb: cold / MIB, ratio: bytes / cold, errors: 0 };
  });

// Everything of a stream, as one reader reads it: bytes.
async function readAll(url) {
  let bytes = 0;
  for (let offset = "-1"; ;) {
    const answer = await fetch(`${url}?offset=${offset}`);
    if (!answer.ok) throw new Error(`read: ${answer.status}`);
    bytes += (await answer.arrayBuffer()).byteLength;
    offset = answer.headers.get("stream-next-offset");
    if (answer.headers.get("stream-up-to-date")) return bytes;
  }
}

const fromS3 = async (row, context) => {
  const swift = await Swift.start();
  const meddler = await Meddler.start(swift); // it counts
  await swift.request("PUT", "/bench");
  const folder = context.newFolder();
  const settings = { "segment.store": "s3", "s3.endpoint": meddler.url, "s3.bucket": "bench", "backup.interval": "0s" };
  const environment = { AWS_ACCESS_KEY_ID: Swift.ACCESS_KEY, AWS_SECRET_ACCESS_KEY: Swift.SECRET_KEY };
  const server = await Server.start({ settings, environment, folder, keep: true });
  try {
    const url = `${server.url}/v1/stream/bench/cold`;
    const headers = { "content-type": "application/octet-stream" };
    await fetch(url, { method: "PUT", headers });
    for (let i = 0; i < COLD_MIB; i++) await fetch(url, { method: "POST", headers, body: randomBytes(MIB) });
    await fetch(url, { method: "POST", headers: { "stream-closed": "true" } });
    const segments = await until(
      "segments",
      async () => {
        const there = (await swift.list("bench")).length;
        await sleep(SETTLED_MS);
        return there > 0 && there === (await swift.list("bench")).length && there;
      },
      REST_MAX_MS,
    );
    await server.stop();
    rmSync(join(server.dataDir, "cache"), { recursive: true, force: true });
    await server.start();
    meddler.counts = {};
    const began = performance.now();
    const all = await Promise.all(Array.from({ length: READERS }, () => readAll(`${server.url}/v1/stream/bench/cold`)));
    const seconds = (performance.now() - began) / 1000;
    const errors = all.filter((bytes) => bytes !== COLD_MIB * MIB).length;
    return { fetches_each: meddler.counts.GET / segments, segments, mb_per_s: (READERS * COLD_MIB) / seconds, errors };
  } finally {
    await server.stop();
    meddler.close();
    await swift.close();
    context.removeFolder(folder);
  }
};

export default [
  {
    key: "rotate",
    title: "Durable append of 1 KiB, 64 connections, 64 streams, while history leaves for segments; higher is better",
    main: "requests_per_s",
    columns: [["requests_per_s", "appends/s", 0], ...LATENCY, ...COST],
    rows: [streamd, without],
    measure: loadRun(["append", "--size", String(MESSAGE)]),
  },
  {
    key: "hot-size",
    title: `What is left in the database of ${GIB} GiB of 1 KiB appends to ${STREAMS} streams; lower is better`,
    main: "hot_mb",
    columns: [
      ["hot_mb", "MiB of databases", 0],
      ["sent_mb", "MiB sent", 0],
      ["cold_mb", "MiB of segments", 0],
    ],
    rows: [streamd],
    measure: hot,
  },
  {
    key: "cold-s3",
    title: `${READERS} readers at once of a cold ${COLD_MIB} MiB stream on S3 (Swift): fetches of each segment; lower is better`,
    main: "fetches_each",
    columns: [
      ["fetches_each", "fetches a segment", 2],
      ["segments", "segments", 0],
      ["mb_per_s", "MiB/s of all readers", 0],
    ],
    rows: [streamd],
    measure: fromS3,
  },
  {
    key: "compression",
    title: `${EVENTS} JSON events of an application in segments; higher is better`,
    main: "ratio",
    columns: [
      ["ratio", "times smaller", 1],
      ["sent_mb", "MiB sent", 0],
      ["cold_mb", "MiB of segments", 0],
    ],
    rows: [streamd],
    measure: compression,
  },
];
