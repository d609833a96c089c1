// The crash test: rounds of clients at work while their server's processes are killed, each round judged by what the
// clients have written down.
//
//     node crash/crash.mjs [seconds] [seed]
//
// STREAMD_STORE=s3: segments go to an S3 server. POWER=1: the power fails, too, and calls to the disk. STREAMD_BUILD names the folder of the programs; built with -DSTREAMD_FAULTS they can be ordered to die at given points.

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { Server } from "../lib/server.mjs";
import { openStore } from "../lib/store.mjs";
import { SLOW, sleep, until, within } from "../lib/wait.mjs";
import { BatchWriters } from "./batch_writer.mjs";
import { check } from "./check.mjs";
import { disconnect, resultOf, send } from "./client.mjs";
import { BACKUP_FAULTS, Faults, RESTORE_FAULTS, SHARD_FAULTS } from "./faults.mjs";
import { History } from "./history.mjs";
import { Killer } from "./killer.mjs";
import { TYPES } from "./payload.mjs";
import { Power } from "./power.mjs";
import { Random } from "./random.mjs";
import { Workload } from "./workload.mjs";

const ROUND_SECONDS = 12;
const STREAMS = 16;
const BATCH_WRITERS = 3;
const SHOWN = 20;

// Small limits, so that every path is walked often: eviction, settling, several events for one append, reads across all tiers.
const SETTINGS = {
  "server.restart_delay": "20ms",
  "server.hang_timeout": `${6000 * SLOW}ms`, // a busy disk may hold a move of streams for seconds
  "router.workers": 2,
  "router.shard_wait": "5s",
  "shard.count": 3,
  "shard.flush_appends": 200,
  "shard.flush_idle": "100ms",
  "shard.memory_streams": 16,
  "segment.max_messages": 20,
  "segment.max_bytes": "8K",
  "live.long_poll_timeout": "1s",
  "live.sse_lifetime": "4s",
  "live.heartbeat": "500ms",
  "fanout.inline_timeout": "300ms",
  "fanout.recovery": "500ms",
  "fanout.window": "64K",
  "limits.read_page": "32K",
  "limits.read_answer": "100K",
  "limits.sse_event": "8K",
};
const EXPECTED = [/the upgrade ends here/, /has not reported/, /the move of streams failed/, /backup \d+ failed/];
const EXPECTED_OF_POWER = [
  /Input\/output error|No space left on device|disk I\/O error|database or disk is full|unable to open database file/,
  /less than shard\.disk_reserve is free/,
  /attempt to write a readonly database/, // SQLite opens a file to read it if it cannot be opened to write
  /cannot make the socket: Address already in use/, // an earlier one could not be removed
  /layout: it cannot be read|ended with status 78/,
];
const BACKUPS = { "backup.interval": "1500ms", "backup.keep": 2 };
const RESTORES_MAX = 20;
const LATER = 5; // streams that go on behind the last backup of a round

const digest = (units) => createHash("sha1").update(JSON.stringify(units)).digest("hex");

class CrashTest {
  counts = { rounds: 0, batches: 0, appends: 0, chunks: 0, streams: 0, deliveries: 0, restored: 0, ahead: 0, again: 0, conditional: 0 };
  violations = [];
  museum = []; // { workload, target, digest }: streams of earlier rounds that must stay as they are

  constructor(seconds, seed) {
    this.seconds = seconds;
    this.random = new Random(seed);
    this.folder = mkdtempSync(join(tmpdir(), "streamd-crash-"));
  }

  blame(rule, text) {
    this.violations.push({ rule, stream: `round ${this.counts.rounds}`, text });
  }

  async run() {
    this.store = await openStore();
    const { environment } = this.store;
    const settings = { ...SETTINGS, ...this.store.settings, ...(this.store.backups ? BACKUPS : {}) };
    this.power = process.env.POWER ? new Power(this.folder) : null;
    const expected = this.power ? [...EXPECTED, ...EXPECTED_OF_POWER] : EXPECTED;
    const through = this.power?.through;
    this.server = await Server.start({ settings, environment, folder: this.folder, keep: true, expected, through });
    this.faults = new Faults(this.server.faultsDir);
    const points = this.store.backups ? [...SHARD_FAULTS, ...BACKUP_FAULTS] : SHARD_FAULTS;
    this.killer = new Killer(this.server, this.faults, points, this.random.fork(), this.power);
    const end = Date.now() + this.seconds * 1000;
    while (Date.now() < end && !this.violations.length)
      await this.round(Math.min(ROUND_SECONDS * 1000, end - Date.now()));
    if (!this.violations.length) await this.visitMuseum();
    if (!this.violations.length) await this.removeAll();
    await this.server.stop();
    await this.verify();
    for (const line of this.server.complaints) this.violations.push({ rule: "complaint", stream: "log", text: line });
  }

  async round(ms) {
    const number = ++this.counts.rounds;
    const history = new History(join(this.folder, `history-${number}.jsonl`));
    const workload = new Workload(this.server, history, this.random.fork(), `r${number}`);
    const batches = new BatchWriters(this.server, this.random.fork(), `r${number}`, BATCH_WRITERS);
    await workload.start(STREAMS);
    batches.start();
    this.killer.start();
    await sleep(ms);
    const ended = Promise.all([workload.end(), batches.end()]);
    await this.killer.stop();
    await within("the last answers of the writers", ended, 60_000);
    await this.finish(workload);
    await history.close();
    this.judge(history);
    for (const text of await batches.complaints()) this.blame("batch", text);
    this.counts.batches += batches.count;
    await this.verify();
    if (!this.violations.length && this.store.backups) await this.checkBackups(workload);
    if (this.violations.length) return;
    rmSync(join(this.folder, `history-${number}.jsonl`));
    await batches.remove();
    await this.cleanUp(workload);
  }

  // The final reads; then every reader must arrive at what they found.
  async finish(workload) {
    const { readers } = workload;
    await workload.drain();
    await workload.readFinals();
    await within("the readers", Promise.all(readers.map(({ done }) => done)), 20_000).catch(() => {});
    for (const { name, target, finished, offset, error } of readers) {
      if (error) this.blame("reader", `${name} of ${target.name}: ${error.stack}`);
      const { next } = workload.finals.get(target.name);
      if (!finished) this.blame("reader stuck", `${name} of ${target.name} is at ${offset}, the end is ${next}`);
    }
    workload.abandoned = true;
  }

  judge(history) {
    const { violations, counts } = check(history.events);
    this.violations.push(...violations);
    for (const key of Object.keys(counts)) this.counts[key] += counts[key];
  }

  // Every database and segment is whole, and they fit each other; also while the server runs.
  async verify() {
    const { status, out, err } = await this.server.commandLater("verify", "--objects");
    if (status !== 0) this.blame("verify", `${out}\n${err}`);
  }

  // What is made of the last backup of the round has of every stream a beginning; of one that is made now, everything.
  async checkBackups(workload) {
    await this.withRestored(async (server) => {
      for (const target of workload.targets) {
        const { status, units } = await workload.readFinal(target, undefined, server);
        const final = workload.finals.get(target.name);
        const good =
          status === 200 && (final.status !== 200 || digest(final.units.slice(0, units.length)) === digest(units));
        if (!good && ![404, 410].includes(status))
          this.blame("restored", `${target.name}: ${units?.length} units (${status}) are not how it began`);
        else if (status === 200 && target.tail) await this.checkAhead(workload, server, target, units.length);
      }
    });
    const made = await until("a backup", () => this.server.command("backup", "now").status === 0, 30_000);
    if (!made) return this.blame("backup", "there is none");
    const later = await this.appendLater(workload);
    await this.withRestored(async (server) => {
      for (const target of workload.all) {
        const { status, units } = await workload.readFinal(target, undefined, server);
        const final = workload.finals.get(target.name);
        // The next backup by the clock may have what was appended later.
        const known = later.includes(target) ? units?.slice(0, final.units.length) : units;
        if (status === 200 && later.includes(target)) await this.checkAhead(workload, server, target, units.length);
        if (status !== final.status || (status === 200 && digest(known) !== digest(final.units)))
          this.blame(
            "restored",
            `${target.name} has ${units?.length} units (${status}), not ${final.units?.length} (${final.status})`,
          );
      }
    });
    for (const target of later) workload.finals.set(target.name, await workload.readFinal(target));
  }

  // Some streams go on behind the backup: which.
  async appendLater(workload) {
    const open = workload.targets.filter(({ name, kind, subscribed }) => {
      const { status, closed } = workload.finals.get(name);
      return status === 200 && !closed && kind !== "json" && !subscribed; // an estuary would have it, too
    });
    const later = open.slice(0, LATER);
    for (const target of later) {
      const headers = { "content-type": TYPES[target.kind], ...target.condition };
      target.learn(await workload.insist(target, "POST", { headers, body: Buffer.from("later") }));
    }
    return later;
  }

  // A reader that was given more than the restored server has is told so, also when that has gone on; others go on.
  async checkAhead(workload, server, target, tail) {
    const url = workload.url(target, server);
    const ahead = target.tail > tail;
    const ask = async (when) => {
      const { status, code } = await send(`${url}?offset=${target.end}`, "GET");
      const right = ahead ? status === 410 && code === "STREAM_RECREATED" : status === 200;
      if (!right) this.blame("ahead", `${target.name} at ${target.end}, restored at ${tail}: ${status} ${code} ${when}`);
    };
    await ask("at once");
    if (!ahead || target.kind === "json") return;
    this.counts.ahead++;
    const body = Buffer.alloc(target.tail - tail + 1, "x");
    await send(url, "POST", { headers: { "content-type": TYPES[target.kind] }, body });
    await ask("behind an append");
  }

  // Makes a server of the last backup, which may take several attempts: they die on the way.
  async withRestored(look) {
    const folder = mkdtempSync(join(tmpdir(), "streamd-restored-"));
    const settings = { ...SETTINGS, ...this.store.settings, "shard.count": this.random.int(1, 4) };
    const { environment } = this.store;
    const server = new Server({ settings, environment, folder, keep: true, expected: EXPECTED });
    const faults = new Faults(server.faultsDir);
    for (const point of RESTORE_FAULTS) if (this.random.chance(0.4)) faults.arm(point);
    let restored;
    for (let n = 0; n < RESTORES_MAX && restored?.status !== 0; n++)
      restored = server.command("restore", "--from", "latest");
    if (/there is no backup in the bucket/.test(restored.err)) return rmSync(folder, { recursive: true, force: true });
    if (restored.status !== 0) return this.blame("restore", restored.err);
    server.configure({ "segment.store": "directory" }); // it reads from the bucket, and puts nothing there
    await server.start();
    await look(server);
    await server.stop();
    for (const line of server.complaints) this.blame("complaint", line);
    this.counts.restored++;
    faults.collect();
    for (const [point, count] of Object.entries(faults.counts))
      this.faults.counts[point] = (this.faults.counts[point] ?? 0) + count;
    if (!this.violations.length) rmSync(folder, { recursive: true, force: true });
  }

  // Deletes most of the round's streams, forks before and after their sources; all must really go.
  async cleanUp(workload) {
    const share = this.random.chance(0.3) ? 0.2 : 0;
    const kept = workload.all.filter(
      ({ name }) => workload.finals.get(name).status === 200 && this.random.chance(share),
    );
    for (const target of kept)
      this.museum.push({ workload, target, digest: digest(workload.finals.get(target.name).units) });
    const gone = workload.all.filter((target) => !kept.includes(target));
    for (const target of gone) await workload.remove(target);
    if (kept.length) return; // what they were forked from must stay
    for (const target of gone) await this.expectGone(workload, target);
  }

  async expectGone(workload, target) {
    const deadline = Date.now() + 60_000 * SLOW;
    for (;;) {
      const answer = await send(workload.url(target), "HEAD");
      if (answer.status === 404) return;
      if (Date.now() > deadline)
        return this.blame("never freed", `${target.name} and its forks are deleted, still ${answer.status}`);
      await sleep(resultOf(answer) === "unknown" ? 30 : 100);
    }
  }

  async visitMuseum() {
    for (const { workload, target, digest: expected } of this.museum) {
      const final = await workload.readFinal(target);
      if (final.status !== 200 || digest(final.units) !== expected)
        this.blame("changed later", `${target.name} is not what it was at the end of its round (${final.status})`);
    }
  }

  // When every stream is deleted, no file is left that has some of one.
  async removeAll() {
    for (const { workload, target } of this.museum) await workload.remove(target);
    const deadline = Date.now() + 180_000 * SLOW;
    for (;;) {
      const left = await this.store.list(this.server);
      if (!left.length) return;
      if (Date.now() > deadline) return this.blame("never freed", `${left.length} segments are left, as ${left[0]}`);
      await sleep(200);
    }
  }

  report() {
    const { rounds, batches, appends, chunks, streams, deliveries, restored, ahead, again, conditional } = this.counts;
    if (!this.killer) return console.log(`the server did not start: ${this.violations[0]?.text}`);
    const { kills } = this.killer;
    for (const { rule, stream, text } of this.violations.slice(0, SHOWN))
      console.log(`VIOLATION ${rule}: ${stream}: ${text}`);
    console.log(`ordered deaths: ${JSON.stringify(this.faults.counts)}`);
    if (this.power)
      console.log(
        `power: ${kills.power} failures, ${this.power.changes} changes that were not synced, ${this.power.total} orders taken: ${JSON.stringify(this.power.counts)}`,
      );
    console.log(
      `crash: ${rounds} rounds, ${streams} streams (${again} on a path used before), ${appends} appends (${conditional} conditional) and ${batches} batches acknowledged, ${deliveries} deliveries, ${chunks} reads checked, ` +
        `${this.killer.total} kills (${kills.shard} shards, ${kills.router} routers, ${kills.supervisor} supervisors, ` +
        `${kills.hang} hung, ${this.faults.total} ordered), ${kills.stop} restarts, ${kills.moved} other shard counts, ` +
        `${kills.upgrade} upgrades, ` +
        `${this.museum.length} streams kept, ${restored} servers restored (${ahead} readers were ahead), ${this.violations.length} violations`,
    );
  }
}

const seconds = Number(process.argv[2] ?? 60);
const seed = Number(process.argv[3] ?? process.env.SEED ?? Date.now() % 1_000_000);
console.log(`crash: ${seconds} seconds, seed ${seed}`);
const test = new CrashTest(seconds, seed);
try {
  await test.run();
} catch (error) {
  test.blame("error", error.stack);
  await test.server?.kill().catch(() => {});
}
disconnect();
await test.store?.close();
test.report();
const failed = test.violations.length > 0;
if (failed) {
  writeFileSync(join(test.folder, "streamd.log"), test.server?.log ?? "");
  console.log(`the data, the log's end and the history are in ${test.folder}`);
} else {
  rmSync(test.folder, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);
