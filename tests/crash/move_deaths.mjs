// A move of streams that is ordered to die at each of its points, while an estuary in the shard that is given up is behind
// its source. The next start has the old shard count or the new one: every estuary has all of its source, and verify finds
// nothing.
//
//     STREAMD_BUILD=build/faults node crash/move_deaths.mjs

import { nameOnShard } from "../lib/layout.mjs";
import { scrape, valueOf } from "../lib/metrics.mjs";
import { Server } from "../lib/server.mjs";
import { Streams, call } from "../lib/streams.mjs";
import { until } from "../lib/wait.mjs";
import { Faults, MOVE_FAULTS } from "./faults.mjs";

const [OLD, NEW] = [3, 2];
const LAST = OLD - 1; // the shard that is given up
const SETTINGS = { "shard.count": OLD, "shard.flush_idle": "100ms", "fanout.inline_timeout": "100ms" };
const EXPECTED = [/the move of streams failed/];

const wrong = [];
let deaths = 0;

async function subscribe(server, source, estuary) {
  const body = JSON.stringify({ estuaryId: estuary.split("/")[1] });
  const headers = { "content-type": "application/json" };
  const { status } = await call(`${server.url}/v1/estuary/subscribe/${source}`, "POST", { headers, body });
  if (status !== 200) throw new Error(`subscribing ${estuary}: ${status}`);
}

// The last shard stops, so that its estuary is behind; the other shards know that they are not, and so do their files.
async function fallBehind(server, append) {
  const stopped = server.child("shard", LAST).pid;
  process.kill(stopped, "SIGSTOP");
  await append("b;");
  const unflushed = async (shard) => valueOf(await scrape(server.url), "unflushed_appends", { shard: `${shard}` });
  for (let shard = 0; shard < LAST; shard++) await until("the flush", async () => (await unflushed(shard)) === 0);
  const killed = server.kill();
  process.kill(stopped, "SIGKILL");
  await killed;
}

async function dieMoving(server, point) {
  const faults = new Faults(server.faultsDir);
  faults.arm(point);
  server.configure({ "shard.count": NEW });
  server.launch();
  await server.exited();
  faults.collect();
  deaths += faults.counts[point] ?? 0;
}

async function die(point, count) {
  const server = await Server.start({ settings: SETTINGS, expected: EXPECTED });
  const streams = new Streams(server);
  const source = nameOnShard(server, 1, "source");
  const estuaries = Array.from({ length: OLD }, (_, shard) => nameOnShard(server, shard, "estuary"));
  const append = async (text) => {
    const { status } = await streams.append(source, text);
    if (status !== 204) throw new Error(`an append: ${status}`);
  };
  await streams.create(source);
  for (const estuary of estuaries) await subscribe(server, source, estuary);
  await append("a;");
  await fallBehind(server, append);
  await dieMoving(server, point);
  await server.start({ "shard.count": count });
  await append("c;");
  for (const [shard, estuary] of estuaries.entries()) {
    const text = async () => (await streams.readAll(estuary)).bytes.toString();
    await until("the estuary", async () => (await text()) === "a;b;c;", 2000).catch(async () =>
      wrong.push(`${point}, then ${count} shards: the estuary that was in shard ${shard} has ${await text()}`),
    );
  }
  await server.stop();
  const { status, out } = server.command("verify");
  if (status !== 0) wrong.push(`${point}, then ${count} shards: ${out}`);
  await server.close();
}

for (const point of MOVE_FAULTS) for (const count of [OLD, NEW]) await die(point, count);
if (deaths !== MOVE_FAULTS.length * 2) wrong.push(`${deaths} deaths`);
for (const text of wrong) console.log(`VIOLATION ${text}`);
console.log(`move deaths: ${deaths} ordered deaths, ${wrong.length} violations`);
process.exitCode = wrong.length ? 1 : 0;
