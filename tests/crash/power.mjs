// Failures of the power and of calls to the disk, for a server that runs with the library of power/power.c.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { groupAlive } from "../lib/processes.mjs";
import { BUILD } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { powerOff } from "./power/power_off.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LIBRARY = join(BUILD, "libpower.so");

// What can be ordered: kind of call → what it does instead.
const ACTIONS = {
  open: ["EIO", "ENOSPC"],
  write: ["EIO", "ENOSPC", "short", "off"],
  truncate: ["EIO", "off"],
  allocate: ["ENOSPC", "EIO"],
  sync: ["EIO", "ENOSPC", "off"],
  rename: ["EIO", "ENOSPC", "off"],
  unlink: ["EIO", "off"],
  mkdir: ["EIO", "ENOSPC", "off"],
  link: ["EIO", "ENOSPC", "off"],
};
const FILES = ["*", "*.db", "*-wal", "*.journal-*", "*.seg", "*/segments*"];

// Everything that was not synced is gone, or nothing.
export const ALL = () => () => true;
export const NOTHING = () => () => false;

// Of each file and folder another part is gone, from nothing to everything.
export function some(random) {
  return () => {
    const share = random.pick([0, 0.1, 0.5, 0.9, 1]);
    return () => random.chance(share);
  };
}

let built = false;

// Returns where it is.
export function buildLibrary() {
  const make = ["-s", "--no-print-directory", `BUILD=${BUILD}`, LIBRARY];
  if (!built) execFileSync("make", make, { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"], env: { ...process.env, MAKEFLAGS: "" } });
  built = true;
  return LIBRARY;
}

export class Power {
  counts = {}; // "write EIO" → how often a call took such an order
  changes = 0; // that were not synced when the power failed
  #ordered = new Map(); // path of the order → what it is

  // folder: of the server, on the disk that its data is on.
  constructor(folder) {
    buildLibrary();
    this.root = join(realpathSync(folder), "data");
    this.folder = join(realpathSync(folder), "power");
    for (const name of ["log", "attic", "orders"]) mkdirSync(join(this.folder, name), { recursive: true });
  }

  // How its server is started: in a group of its own, which can be killed at one moment, and which ends with the test.
  get through() {
    const variables = { LD_PRELOAD: LIBRARY, STREAMD_POWER: this.folder, STREAMD_POWER_ROOT: this.root };
    const words = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    return ["setsid", "setpriv", "--pdeathsig", "KILL", "env", ...words];
  }

  // What the next call of a kind does, on a path that the pattern fits. "lie" is for syncs, and stays.
  order(kind, action, pattern) {
    this.collect();
    const path = join(this.folder, "orders", kind);
    writeFileSync(`${path}.new`, `${action} ${pattern}`);
    renameSync(`${path}.new`, path);
    this.#ordered.set(path, `${kind} ${action}`);
  }

  orderAny(random) {
    const kind = random.pick(Object.keys(ACTIONS));
    this.order(kind, random.pick(ACTIONS[kind]), random.pick(FILES));
  }

  // The process that takes an order removes it.
  collect() {
    for (const [path, what] of this.#ordered) {
      if (existsSync(path)) continue;
      this.#ordered.delete(path);
      this.counts[what] = (this.counts[what] ?? 0) + 1;
    }
  }

  disarm() {
    this.collect();
    for (const path of this.#ordered.keys()) rmSync(path, { force: true });
    this.#ordered.clear();
  }

  get total() {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  // A call waits for the end.
  get isOff() {
    return existsSync(join(this.folder, "off"));
  }

  // Ends every process of the server at once and leaves of its folder what a disk may have.
  async fail(server, chanceOf) {
    const group = server.pid;
    if (groupAlive(group)) process.kill(-group, "SIGKILL");
    await server.exited();
    await until("the last process to end", () => !groupAlive(group));
    this.collect();
    rmSync(join(this.folder, "off"), { force: true });
    this.changes += powerOff(this.folder, this.root, chanceOf);
  }
}
