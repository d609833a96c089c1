// A small disk of its own, for tests that fill it. Mounting one takes root.

import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const run = (program, ...args) => spawnSync(program, args).status === 0;

function mount(kind, folder, megabytes) {
  if (kind === "tmpfs") return run("mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", folder);
  const image = `${folder}.img`;
  return (
    run("truncate", "-s", `${megabytes}M`, image) &&
    run(`mkfs.${kind}`, "-q", "-m", "0", image) && // no blocks for root alone: the filler is root, too
    run("mount", "-o", "loop", image, folder)
  );
}

export class Disk {
  #fillers = [];

  constructor(folder) {
    this.folder = folder;
  }

  // kind: tmpfs or ext4. null: it cannot be mounted here.
  static make(kind, megabytes) {
    const disk = new Disk(mkdtempSync(join(tmpdir(), "streamd-disk-")));
    if (mount(kind, disk.folder, megabytes)) return disk;
    disk.#remove();
    return null;
  }

  // Somebody else takes every byte that is left.
  fill() {
    const name = join(this.folder, `filler-${this.#fillers.length}`);
    const file = openSync(name, "w");
    this.#fillers.push(name);
    for (const size of [1 << 20, 1 << 12, 1 << 9, 1]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size));
      } catch (error) {
        if (error.code !== "ENOSPC") throw error;
      }
    }
    try {
      fsyncSync(file);
    } catch {
      // what does not fit is not missed
    }
    closeSync(file);
  }

  // Bytes that anybody may take.
  get free() {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  empty() {
    for (const name of this.#fillers.splice(0)) rmSync(name);
  }

  close() {
    run("umount", this.folder);
    this.#remove();
  }

  #remove() {
    rmSync(this.folder, { recursive: true, force: true });
    rmSync(`${this.folder}.img`, { force: true });
  }
}
