// A folder of programs that can be replaced while they run, as a package manager does it: by renaming.

import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { BUILD } from "./server.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const NAMES = ["streamd", "streamd-router", "streamd-shard"];

// The folder of programs that are the same but speak frames of another version, built if they are not there.
export function buildAnother() {
  const folder = "build/another";
  execFileSync("make", ["-s", "-j2", `BUILD=${folder}`, "DEFINES=-DWIRE_VERSION=4711", "all"], {
    cwd: ROOT,
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, MAKEFLAGS: "" },
  });
  return join(ROOT, folder);
}

export class Programs {
  constructor(from = BUILD) {
    this.folder = mkdtempSync(join(tmpdir(), "streamd-programs-"));
    this.install(from);
  }

  install(from, names = NAMES) {
    for (const name of names) this.#put(name, (path) => copyFileSync(join(from, name), path));
  }

  // A shell script in place of one of them.
  script(name, text) {
    this.#put(name, (path) => writeFileSync(path, `#!/bin/sh\n${text}\n`));
  }

  #put(name, write) {
    const path = join(this.folder, `.${name}.new`);
    write(path);
    chmodSync(path, 0o755);
    renameSync(path, join(this.folder, name));
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
