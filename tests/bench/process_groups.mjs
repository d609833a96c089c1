// The processes that the benchmark starts, each in a group of its own, and what they use. None outlives this program,
// except when it is killed with SIGKILL.

import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";

import { alive, processInfo } from "../lib/processes.mjs";
import { sleep, until } from "../lib/wait.mjs";

const groups = new Set();
const CLOCK_TICKS = 100; // of /proc/PID/stat, a second; the same on every Linux
const LOG_KEPT = 4000;

const signalGroup = (pid, signal) => {
  try {
    process.kill(-pid, signal);
  } catch {
    // it has left
  }
};

process.on("exit", () => groups.forEach((pid) => signalGroup(pid, "SIGKILL")));

// { pid, stdout, stderr (the end of it), exited: promise of { code, signal }, left: the same once it is over }
export function start(program, args, options = {}) {
  const child = spawn(program, args, { ...options, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const group = { pid: child.pid, stdout: "", stderr: "", left: null };
  if (child.pid) groups.add(child.pid);
  child.stdout.on("data", (data) => (group.stdout += data));
  child.stderr.on("data", (data) => (group.stderr = (group.stderr + data).slice(-LOG_KEPT)));
  group.exited = new Promise((resolve) => {
    const leave = (left) => resolve((group.left = left));
    child.on("error", (error) => leave({ code: -1, error: error.message }));
    child.on("close", (code, signal) => leave({ code, signal }));
  });
  return group;
}

// SIGTERM, and SIGKILL to whoever of the group is still there after `ms`.
export async function stop(group, ms = 5000) {
  if (!group.pid) return;
  signalGroup(group.pid, "SIGTERM");
  await Promise.race([group.exited, sleep(ms)]);
  await kill(group);
}

export async function kill(group) {
  signalGroup(group.pid, "SIGKILL");
  await group.exited;
  groups.delete(group.pid);
}

// Runs a program to its end: { code, stdout, stderr }. It is ended after `ms`.
export async function run(program, args, { ms = 60_000, ...options } = {}) {
  const group = start(program, args, options);
  const timer = setTimeout(() => signalGroup(group.pid, "SIGKILL"), ms);
  const left = await group.exited;
  clearTimeout(timer);
  if (group.pid) groups.delete(group.pid);
  return { ...left, stdout: group.stdout, stderr: left.error ?? group.stderr };
}

// Waits for a line of standard output.
export async function saidReady(group, pattern, ms = 60_000) {
  await until("the ready line", () => pattern.test(group.stdout) || group.left, ms);
  const match = pattern.exec(group.stdout);
  if (!match) throw new Error(`it did not start: ${JSON.stringify(group.left)}\n${group.stderr.trim()}`);
  return match;
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// A process and all that descend from it.
export function familyOf(pid) {
  const all = readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => processInfo(Number(entry)))
    .filter(Boolean);
  const family = [pid];
  for (const member of family) family.push(...all.filter(({ parent }) => parent === member).map((info) => info.pid));
  return family.filter(alive);
}

// Processor seconds that a family has used so far.
export function cpuOf(pids) {
  const ticks = pids.map((pid) => {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return Number(fields[11]) + Number(fields[12]);
  });
  return ticks.reduce((sum, n) => sum + n, 0) / CLOCK_TICKS;
}

// A count that grows whenever a family writes to files: what it changes in the page cache, and no more than that.
export function writtenBy(pids) {
  const counts = pids.map((pid) => Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))[1]));
  return counts.reduce((sum, n) => sum + n, 0);
}

// { rss, pss } in bytes, summed over the processes; shared pages are in pss once.
export function memoryOf(pids) {
  const sum = { rss: 0, pss: 0 };
  for (const pid of pids) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    sum.rss += Number(/^Rss:\s+(\d+)/m.exec(rollup)[1]) * 1024;
    sum.pss += Number(/^Pss:\s+(\d+)/m.exec(rollup)[1]) * 1024;
  }
  return sum;
}
