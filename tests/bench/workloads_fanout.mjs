// Fan-out: publishing to streams that others are subscribed to, all of it durable in every estuary when it is answered.

import { readdirSync, statSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";

import { atRest } from "./disk.mjs";
import { load, target, withCost, withServer } from "./measure.mjs";
import { COST } from "./systems.mjs";

const CONNECTIONS = 64;
const MESSAGE = 1024; // bytes

// Every answer waits for all of its subscribers, however many.
const row = {
  name: "streamd, shard.count=4",
  peer: "streamd",
  settings: { "shard.count": 4, "fanout.inline_limit": 1000000, "fanout.inline_timeout": "60s" },
};

function ask(agent, method, url, type, body = "") {
  const headers = { "content-type": type, "content-length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, agent, headers }, (answer) => {
      answer.resume();
      answer.on("end", () =>
        answer.statusCode < 300 ? resolve() : reject(new Error(`${method} ${url}: ${answer.statusCode}`)),
      );
    });
    asked.on("error", reject);
    asked.end(body);
  });
}

// `sources` streams with `each` estuaries, whose ids end in numbers of their own.
async function subscribe(server, sources, each) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const url = new URL(server.url);
  const [, , , project, prefix] = url.pathname.split("/");
  for (let i = 0; i < sources; i++) await ask(agent, "PUT", `${server.url}${i}`, "text/plain");
  let next = 0;
  const worker = async () => {
    for (let i; (i = next++) < sources * each;) {
      const address = `${url.origin}/v1/estuary/subscribe/${project}/${prefix}${i % sources}`;
      await ask(agent, "POST", address, "application/json", JSON.stringify({ estuaryId: `estuary-${i}` }));
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  agent.destroy();
}

const sizeOf = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".db"))
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath ?? entry.path, entry.name)).size, 0);

const publish = (sources, each, connections) => async (theRow, context) => {
  let folder, empty, figures;
  await withServer(theRow, context, async (server, its) => {
    folder = its;
    await subscribe(server, sources, each);
    empty = sizeOf(folder);
    const args = ["append", "--connections", connections, "--streams", sources, "--size", MESSAGE].map(String);
    figures = await withCost(server, () => load(context, [...args, ...target(server, context)]));
    await atRest(server.pid);
    figures.bytes_each = (sizeOf(folder) - empty) / (figures.requests * each);
  });
  return {
    ...figures,
    deliveries_per_s: figures.requests_per_s * each,
    p50_ms: figures.p50_us / 1000,
    p99_ms: figures.p99_us / 1000,
    server_cpu_us: figures.server_cpu_us / each,
  };
};

const columns = {
  p50_ms: ["p50_ms", "p50 ms", 1],
  p99_ms: ["p99_ms", "p99 ms", 1],
  deliveries_per_s: ["deliveries_per_s", "deliveries/s", 0],
  bytes_each: ["bytes_each", "B each", 0],
};

const fanout = (key, title, main, measure) => ({
  key,
  title,
  main,
  columns: [columns[main], ...Object.values(columns).filter((column) => column !== columns[main]), ...COST],
  rows: [row],
  measure,
});

export default [
  fanout(
    "fanout-10000",
    "1 KiB to a stream with 10,000 estuaries, one publisher, until all of them have it on disk; lower is better",
    "p50_ms",
    publish(1, 10_000, 1),
  ),
  fanout(
    "fanout-16x1000",
    "1 KiB to 16 streams with 1,000 estuaries each, 16 publishers; higher is better",
    "deliveries_per_s",
    publish(16, 1000, 16),
  ),
  fanout(
    "fanout-1000x10",
    "1 KiB to 1,000 streams with 10 estuaries each, 64 connections; higher is better",
    "deliveries_per_s",
    publish(1000, 10, CONNECTIONS),
  ),
];
