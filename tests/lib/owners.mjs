// Whose files are: what root's commands leave in a data folder of somebody else.

import { chownSync, lstatSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";

export const IS_ROOT = process.getuid() === 0;
export const SOMEBODY = 65534; // "nobody", but any would do

// A data folder of somebody else.
export function folderOf(uid, path) {
  mkdirSync(path, { mode: 0o700, recursive: true });
  chownSync(path, uid, uid);
}

// What in a folder, and below it, does not belong to that user; a socket is made anew by whoever listens.
export function strangersIn(path, uid) {
  return readdirSync(path, { recursive: true })
    .filter((name) => {
      const file = lstatSync(join(path, name));
      return !file.isSocket() && (file.uid !== uid || file.gid !== uid);
    })
    .sort();
}
