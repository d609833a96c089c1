// What reaches the disk, and when nothing more is on its way there.
//
// Bytes are read from the counter of the block device. /proc/PID/io would leave out the other processes of the machine,
// but its write_bytes counts what is dirtied in the page cache, by the folio: 1,000 changed pages in a file that had been
// read ahead were 1,293 MB there and 4.7 MB on the device (ext4, Linux 6.18). And it lacks the file system's own journal,
// which more than doubles what an fdatasync of 10 KiB writes. The device counts what others write too, so nothing else
// may use it meanwhile; a loop device counts its own file system only.

import { existsSync, readFileSync, statSync } from "node:fs";

import { sleep } from "../lib/wait.mjs";
import { familyOf, run, writtenBy } from "./process_groups.mjs";

const SECTOR = 512; // bytes in /sys/dev/block/*/stat, whatever the device has
const REST_MS = 5000; // longer than shard.flush_idle
const REST_BYTES = 64 * 1024; // of a server that only notes the time, as the Rust server does
const REST_MAX_MS = 300_000;

// The counters of the device that the folder is on; undefined: its file system has no one block device.
function deviceOf(folder) {
  const { dev } = statSync(folder);
  const major = (dev >>> 8) & 0xfff;
  const minor = (dev & 0xff) | ((dev >>> 12) & 0xfff00);
  const path = `/sys/dev/block/${major}:${minor}/stat`;
  return existsSync(path) ? path : undefined;
}

// Bytes that have reached the disk of the folder, with all that was written to its files so far.
export async function diskWritten(folder) {
  const device = deviceOf(folder);
  if (!device) return undefined;
  const { code, stderr } = await run("sync", ["--file-system", folder]);
  if (code !== 0) throw new Error(`sync: ${stderr}`);
  return Number(readFileSync(device, "utf8").trim().split(/\s+/)[6]) * SECTOR;
}

// Waits until the server has written next to nothing for a while.
export async function atRest(pid) {
  const deadline = Date.now() + REST_MAX_MS;
  for (let before = -Infinity; Date.now() < deadline; await sleep(REST_MS)) {
    const now = writtenBy(familyOf(pid));
    if (now - before <= REST_BYTES) return;
    before = now;
  }
  throw new Error(`the server still writes after ${REST_MAX_MS / 1000} s`);
}
