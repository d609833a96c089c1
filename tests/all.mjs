// Runs every suite, one after the other, with and without sanitizers, and sums them up in a last line:
// "N passed, N failed".
//
//     node tests/all.mjs [words…]     only the steps whose titles have all the words

import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const LOGS = join(ROOT, "build", "test-logs");
const SUMMARY = join(ROOT, "build", "test-summary");

const SANITIZE = "-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all";
const ASAN = ["BUILD=build/asan", `SANITIZE=${SANITIZE}`, "OPT=-O1", "DEFINES=-DSTREAMD_FAULTS"];
const ASAN_ENV = { STREAMD_BUILD: "build/asan", STREAMD_SLOW: "3", UBSAN_OPTIONS: "print_stacktrace=1" };
const FAULTS = ["BUILD=build/faults", "DEFINES=-DSTREAMD_FAULTS"];
const END = 3000; // characters of a failed step's output, shown again below everything

const JOBS = `-j${availableParallelism()}`;

const make = (title, words, more = {}) => ({ title, command: ["make", "--no-print-directory", ...words], ...more });
const vitest = (title, words, env) => ({ title, command: ["npx", "vitest", "run", ...words], cwd: "tests", env });
const crash = (title, seconds, env) => ({ title, command: ["node", "tests/crash/crash.mjs", `${seconds}`], env });
const upgrades = (title, words, env) => ({ title, command: ["node", "tests/crash/upgrades.mjs", ...words], env });

const conformance = (shards, workers, env = {}) => {
  const segments = env.CONFORMANCE_SEGMENTS ? `, segments ${env.STREAMD_STORE ?? "in a directory"}` : "";
  const more = `${env.CONFORMANCE_AUTH ? ", tokens" : ""}${segments}${env.STREAMD_BUILD ? ", asan" : ""}`;
  const title = `conformance, ${shards} shards, ${workers} routers${more}`;
  const shape = { CONFORMANCE_SHARDS: `${shards}`, CONFORMANCE_WORKERS: `${workers}` };
  return vitest(title, ["--config", "conformance/vitest.config.mjs"], { ...shape, ...env });
};

// Memory that was never written is what valgrind sees and the sanitizers do not.
const VALGRIND =
  'find build/unit -type f -executable | while read -r t; do valgrind -q --error-exitcode=1 --leak-check=full "$t" || exit 1; done';

// Nothing after a `must` step makes sense if that fails.
const STEPS = [
  make("build with gcc", [JOBS, "all"], { must: true }),
  make("build with clang", [JOBS, "BUILD=build/clang", "CC=clang", "all", "build/clang/libpower.so"]),
  make("build with fault points", [JOBS, ...FAULTS, "all"], { must: true }),
  make("layout of the C files", ["format-check"]),
  make("layers", ["layers"]),
  make("unit tests", [JOBS, "unit"]),
  { title: "unit tests under valgrind", command: ["sh", "-c", VALGRIND] },
  make("fuzz corpora", [JOBS, "fuzz-replay"]),
  { title: "configuration", command: ["tests/config/run.sh"] },
  { title: "source tour", command: ["scripts/check-tour.sh"] },
  { title: "Debian package", command: ["tests/deb.sh"] },
  ...[1, 4].flatMap((shards) => [1, 2].map((workers) => conformance(shards, workers))),
  conformance(4, 2, { CONFORMANCE_AUTH: "jwt" }),
  conformance(4, 1, { CONFORMANCE_SEGMENTS: "tiny" }),
  conformance(1, 1, { CONFORMANCE_SEGMENTS: "tiny", STREAMD_STORE: "s3" }),
  vitest("end to end", []),
  { title: "batches at ordered deaths", command: ["node", "tests/crash/batch_deaths.mjs"], env: { STREAMD_BUILD: "build/faults" } },
  { title: "moves at ordered deaths", command: ["node", "tests/crash/move_deaths.mjs"], env: { STREAMD_BUILD: "build/faults" } },
  crash("crash test", 60, { STREAMD_BUILD: "build/faults" }),
  crash("crash test, segments s3", 30, { STREAMD_BUILD: "build/faults", STREAMD_STORE: "s3" }),
  crash("power failures", 60, { STREAMD_BUILD: "build/faults", POWER: "1" }),
  upgrades("upgrades under load", []),
  make("build, asan", [JOBS, ...ASAN, "all"], { must: true }),
  make("unit tests, asan", [JOBS, ...ASAN, "unit"], { env: ASAN_ENV }),
  make("fuzz corpora, asan", [JOBS, ...ASAN, "fuzz-replay"], { env: ASAN_ENV }),
  conformance(1, 1, ASAN_ENV),
  conformance(4, 2, ASAN_ENV),
  vitest("end to end, asan", ["e2e"], ASAN_ENV),
  crash("crash test, asan", 30, ASAN_ENV),
  upgrades("upgrades under load, asan", ["4", "100", "50", "16"], ASAN_ENV),
];

const sum = (output, pattern) => [...output.matchAll(pattern)].reduce((total, [, count]) => total + Number(count), 0);

// Tests that a step's output tells of: vitest's, cmocka's; any other step is one test.
function countTests(output, ok) {
  const passed = sum(output, /^ +Tests .*?(\d+) passed/gm) + sum(output, /^\[  PASSED  \] (\d+) test/gm);
  const failed = sum(output, /^ +Tests .*?(\d+) failed/gm) + sum(output, /^\[  FAILED  \] (\d+) test/gm);
  if (ok) return { passed: passed || 1, failed };
  return { passed, failed: failed || 1 };
}

function runStep({ title, command: [program, ...words], cwd = ".", env }) {
  const log = createWriteStream(join(LOGS, `${title.replace(/[^a-z0-9]+/gi, "-")}.log`));
  const child = spawn(program, words, {
    cwd: join(ROOT, cwd),
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const take = (data) => {
    output += data;
    log.write(data);
    process.stdout.write(data);
  };
  child.stdout.on("data", take);
  child.stderr.on("data", take);
  return new Promise((resolve) => {
    child.on("error", (error) => take(`${error.message}\n`));
    child.on("close", (code) => {
      log.end();
      resolve({ ok: code === 0, ...countTests(output, code === 0), end: output.slice(-END) });
    });
  });
}

const words = process.argv.slice(2);
const chosen = STEPS.filter(({ title }) => words.every((word) => title.includes(word)));
const results = [];
mkdirSync(LOGS, { recursive: true });
for (const step of chosen) {
  console.log(`\n=== ${step.title}`);
  const started = Date.now();
  const result = await runStep(step);
  results.push({ ...step, ...result, seconds: (Date.now() - started) / 1000 });
  if (!result.ok && step.must) break;
}

for (const { title, ok, end } of results) if (!ok) console.log(`\n=== the end of what failed: ${title}\n${end}`);
console.log();
const width = Math.max(...results.map(({ title }) => title.length));
for (const { title, ok, passed, failed, seconds } of results)
  console.log(
    `${ok ? "ok  " : "FAIL"} ${title.padEnd(width)} ${passed} passed, ${failed} failed, ${seconds.toFixed(0)} s`,
  );
const total = (key) => results.reduce((all, result) => all + result[key], 0);
const closing = `${total("passed")} passed, ${total("failed")} failed`;
writeFileSync(SUMMARY, `${closing}\n`);
console.log(closing);
process.exitCode = results.every(({ ok }) => ok) ? 0 : 1;
