// `make bench`: streamd and its peers on this machine, in turns.

import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { goalsTable } from "./goals.mjs";
import { peers, versions } from "./peers.mjs";
import { plot } from "./plot.mjs";
import { run } from "./process_groups.mjs";
import { table } from "./table.mjs";
import { workloads } from "./workloads.mjs";

const HELP = `make bench, or: node tests/bench/bench.mjs

Measures streamd against its peers on this machine: fresh data for every run, the systems in turns (A B C, A B C, ...),
medians and ranges. The load generator (build/load --help) runs on the same machine and takes its share of it.

${workloads.map(({ key, title }) => `  ${key.padEnd(16)}  ${title}`).join("\n")}

Peers that are missing are installed (Debian packages redis-server, nginx-light, libnginx-mod-nchan; the npm package
@durable-streams/server and the crate durable-streams, which takes cargo some minutes, into build/bench); what cannot be
installed is skipped, and the table says why.

  BENCH_ONLY=a,b        only these workloads; a* is all that begin so               [all]
  BENCH_SECONDS=5       how long one run is measured                                [5]
  BENCH_ROUNDS=3        how often each run is made; ROUNDS=3 is the same            [3]
  BENCH_GIB=2           how much is sent for what history leaves in the database    [2]
  BENCH_INSTALL=no      install nothing
  BENCH_TMP=FOLDER      where the servers keep their data; it must be a disk        [build/bench]
  BENCH_MINUTES=90      give up after this                                          [90]
  BENCH_OUT=FOLDER      where the results go                                        [build/bench/results]
  STREAMD_BUILD=FOLDER  where streamd and load are                                  [build]

Results: a table for each workload on standard output and in table.txt, every figure of every run in results.json, a
picture of each workload (KEY.svg). Figures of different runs of this program should not be compared: machines drift.`;

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD = resolve(process.env.STREAMD_BUILD ?? join(ROOT, "build"));
const MEMORY_FILESYSTEMS = { 0x01021994: "tmpfs", 0x858458f6: "ramfs" };

function setting(name, preset) {
  const value = Number(process.env[name] ?? preset);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name}=${process.env[name]}: a whole number is wanted`);
  return value;
}

// Everything that the workloads need to know, and the temporary folder, which is removed at exit.
function makeContext() {
  const parent = resolve(process.env.BENCH_TMP ?? join(BUILD, "bench"));
  mkdirSync(join(BUILD, "bench"), { recursive: true });
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, "data-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));
  return {
    build: BUILD,
    folder,
    seconds: setting("BENCH_SECONDS", 5),
    rounds: setting("BENCH_ROUNDS", process.env.ROUNDS ?? 3),
    newFolder: () => mkdtempSync(join(folder, "run-")),
    removeFolder: (path) => rmSync(path, { recursive: true, force: true, maxRetries: 5 }),
  };
}

async function machineOf(context) {
  const { stdout } = await run("df", ["--output=fstype,source", context.folder]);
  const [filesystem, device] = stdout.trim().split("\n").pop().split(/\s+/);
  return {
    processor: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    filesystem,
    device,
    in_memory: MEMORY_FILESYSTEMS[statfsSync(context.folder).type] !== undefined,
    versions: await versions(),
  };
}

function machineLine(machine) {
  const programs = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  const warning = machine.in_memory ? "\nWARNING: the data folder is in memory; an fsync costs nothing here." : "";
  return (
    `machine: ${machine.cores} cores (${machine.processor}), ${machine.memory_gb} GB, Linux ${machine.kernel}, ` +
    `${machine.filesystem} on ${machine.device}; ${programs.join(", ")}${warning}`
  );
}

async function measureRow(workload, row, context, progress) {
  if (row.skipped) return;
  try {
    const figures = await workload.measure(row, context);
    row.rounds.push(figures);
    const { [workload.main]: main } = figures;
    console.error(`${progress}  ${row.name}: ${main.toFixed(1)} ${workload.main}`);
  } catch (error) {
    row.failures.push(error.message.split("\n")[0]);
    console.error(`${progress}  ${row.name}: ${error.message}`);
  }
}

async function measure(workload, context, why) {
  const rows = workload.rows.map((row) => ({ ...row, rounds: [], failures: [], skipped: why[row.peer] }));
  for (let round = 1; round <= context.rounds; round++)
    for (const row of rows) await measureRow(workload, row, context, `${workload.key} ${round}/${context.rounds}`);
  return rows;
}

// { peer: why it cannot be measured, or undefined } for the peers of these workloads.
async function findMissing(chosen) {
  const why = {};
  for (const name of new Set(chosen.flatMap(({ rows }) => rows.map(({ peer }) => peer)))) {
    why[name] = (await peers[name].missing()) ?? undefined;
    if (why[name]) console.error(`skipped: ${name}: ${why[name]}`);
  }
  return why;
}

function choose() {
  const wanted = process.env.BENCH_ONLY?.split(",");
  const matches = (key, want) => (want.endsWith("*") ? key.startsWith(want.slice(0, -1)) : key === want);
  const unknown = wanted?.find((want) => !workloads.some(({ key }) => matches(key, want)));
  if (unknown) throw new Error(`BENCH_ONLY: there is no workload ${unknown}`);
  return workloads.filter(({ key }) => !wanted || wanted.some((want) => matches(key, want)));
}

// Ending by process.exit() lets the exit handlers kill the servers and remove the data.
function giveUpInTime() {
  process.on("SIGINT", () => process.exit(130));
  process.on("SIGTERM", () => process.exit(143));
  const late = () => {
    console.error("BENCH_MINUTES are over");
    process.exit(1);
  };
  setTimeout(late, setting("BENCH_MINUTES", 90) * 60_000).unref();
}

async function main() {
  giveUpInTime();
  const chosen = choose();
  const context = makeContext();
  const why = await findMissing(chosen);
  const machine = await machineOf(context);
  const { seconds, rounds } = context;
  const results = { date: new Date().toISOString(), machine, settings: { seconds, rounds }, workloads: [] };
  const out = resolve(process.env.BENCH_OUT ?? join(BUILD, "bench/results"));
  mkdirSync(out, { recursive: true });
  const tables = [];
  for (const workload of chosen) {
    const rows = await measure(workload, context, why);
    const { key, title, main: figure, columns } = workload;
    const measured = { key, title, main: figure, unit: columns[0][1], rows };
    tables.push(table(workload, rows));
    results.workloads.push(measured);
    writeFileSync(join(out, "results.json"), `${JSON.stringify(results, null, 1)}\n`);
    const picture = plot(measured);
    if (picture) writeFileSync(join(out, `${key}.svg`), picture);
  }
  const text = `${machineLine(machine)}\nmedians of ${rounds} rounds of ${seconds} s\n\n${tables.join("\n")}\n${goalsTable(results)}`;
  writeFileSync(join(out, "table.txt"), text);
  console.log(text);
}

if (process.argv.includes("--help")) {
  console.log(HELP);
  process.exit(0);
}
await main().then(
  () => process.exit(0),
  (error) => {
    console.error(`bench: ${error.message}`);
    process.exit(1);
  },
);
