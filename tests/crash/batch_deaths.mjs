// A shard that is ordered to die at each point around the commit of a batch: all of the batch is there, or nothing of it.
//
//     STREAMD_BUILD=build/faults node crash/batch_deaths.mjs

import { Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { Group } from "./batch_writer.mjs";
import { disconnect } from "./client.mjs";
import { Faults } from "./faults.mjs";

// Whether an attempt is done then. The last is also at the end of a turn without a batch, so the shard may die before: all
// or nothing is all that can be said.
const POINTS = {
  "shard.batch-half": false,
  "shard.before-commit": false,
  "shard.after-commit": true,
  "shard.after-reply": undefined,
};
const KINDS = ["none", "one", "all"];
const SETTINGS = {
  "shard.count": 1,
  "shard.flush_idle": "1h", // no commit but those of batches
  "server.restart_delay": "20ms",
};

const wrong = [];
const server = await Server.start({ settings: SETTINGS });
const faults = new Faults(server.faultsDir);
const group = new Group(server, "deaths");
await group.create();

for (const [point, done] of Object.entries(POINTS))
  for (const kind of KINDS) {
    const deaths = () => (faults.collect(), faults.counts[point] ?? 0);
    const before = deaths();
    faults.arm(point);
    const { status } = await group.append(kind);
    const repeated = kind !== "none";
    const known = repeated || done !== undefined;
    const expected = repeated ? 200 : 503;
    if (known && status !== expected) wrong.push(`${point}, ${kind}: ${status} instead of ${expected}`);
    await until(`the death at ${point}`, () => deaths() > before);
    // A batch without a producer is there if it was committed, whoever knows it.
    const { piece } = group.sent.at(-1);
    const there = (await group.text(group.ids[0])).endsWith(piece);
    if (known && there !== (repeated || done)) wrong.push(`${point}, ${kind}: the batch is ${there ? "there" : "not there"}`);
    wrong.push(...(await group.complaints()));
  }

disconnect();
await server.close();
for (const text of wrong) console.log(`VIOLATION ${text}`);
console.log(`batch deaths: ${group.sent.length} batches, ${faults.total} ordered deaths, ${wrong.length} violations`);
process.exitCode = wrong.length ? 1 : 0;
