// What a failure of the power leaves of a folder: undoes what was not synced, or a part of it. The logs are undo.c's.
//
// A change is undone from the newest to the oldest, piece by piece: a sector of a file, its size, a name in a folder. A
// piece is kept from its first change that is kept, so what is left is something that the piece has been: of several
// writes to a sector the disk has any of them, and of a large write any of its sectors. Names come first, then bytes.

import { existsSync, linkSync, lstatSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const MAGIC = Buffer.alloc(8);
MAGIC.writeBigUInt64LE(0x6b71c3f09d2e58a4n);
const HEAD = 56;
const SECTOR = 512;
const WRITE = 1;
const CUT = 2;
const NAMES = 3;
const SYNCED = 4;
const FAILED = 5;

function recordAt(log, at) {
  const word = (n) => Number(log.readBigUInt64LE(at + 8 * n));
  const [kind, bytes, from, len, size, after] = [1, 2, 3, 4, 5, 6].map(word);
  const end = at + HEAD + bytes;
  const whole = end === log.length || (end < log.length && log.subarray(end, end + 8).equals(MAGIC));
  return { at, kind, from, len, size, after, end, whole, bytes: log.subarray(at + HEAD, end), durable: false };
}

// A record of which a process could write a part only is skipped: its call was not done.
export function readLog(log) {
  const records = [];
  for (let at = 0; (at = log.indexOf(MAGIC, at)) >= 0 && at + HEAD <= log.length;) {
    const record = recordAt(log, at);
    if (record.whole) records.push(record);
    at = record.whole ? record.end : at + 8;
  }
  return records;
}

// An fsync that succeeds says nothing about what an earlier one has failed to write.
function markDurable(records) {
  for (const [i, { kind, from }] of records.entries())
    for (const earlier of records.slice(0, i)) {
      if (earlier.at >= from) continue;
      if (kind === SYNCED && !earlier.lost) earlier.durable = true;
      if (kind === FAILED && !earlier.durable) earlier.lost = true;
    }
  return records.filter(({ kind }) => kind !== SYNCED && kind !== FAILED).reverse();
}

// Whether a change of one piece is undone: never if a later one was kept.
class Pieces {
  #kept = new Set();

  constructor(chance) {
    this.chance = chance;
  }

  undoes(change, pieces) {
    if (!change.durable && !pieces.some((piece) => this.#kept.has(piece)) && this.chance()) return true;
    for (const piece of pieces) this.#kept.add(piece);
    return false;
  }
}

function undoNames(folder, attic, records, pieces) {
  for (const record of records) {
    const words = record.bytes.toString().split("\0").slice(0, -1);
    const pairs = words.filter((_, i) => i % 2 === 0).map((name, i) => ({ name, kept: words[2 * i + 1] }));
    if (!pieces.undoes(record, pairs.map(({ name }) => name))) continue;
    for (const { name, kept } of pairs) {
      rmSync(join(folder, name), { recursive: true, force: true });
      if (kept) linkSync(join(attic, kept), join(folder, name));
    }
  }
}

function* sectors(from, end) {
  for (let n = Math.floor(from / SECTOR); n * SECTOR < end; n++) yield n;
}

// A file is shortened as a whole or not at all: what was cut off is there again when the size is. An fsync is one of the
// size, too.
function undoBytes(content, records, pieces) {
  let { length: size } = content;
  const room = records.reduce((most, record) => Math.max(most, record.size, record.from + record.len), size);
  const bytes = Buffer.concat([content, Buffer.alloc(room - size)]);
  for (const record of records) {
    const { kind, from, len, after, bytes: before } = record;
    const range = [...sectors(from, from + len)];
    const sized = record.size !== after || record.durable;
    const resized = sized && pieces.undoes(record, ["size", ...(kind === CUT ? range : [])]);
    if (resized) size = record.size;
    if (resized && kind === CUT) bytes.set(before, from);
    for (const sector of kind === WRITE ? range : []) {
      const [at, end] = [Math.max(from, sector * SECTOR), Math.min(from + len, (sector + 1) * SECTOR)];
      if (pieces.undoes(record, [sector])) bytes.fill(0, at, end).set(before.subarray(at - from, end - from), at);
    }
  }
  return bytes.subarray(0, size);
}

// Inode → path, of a folder and of everything below it.
function inodes(folder, found = new Map()) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    found.set(`${lstatSync(path, { bigint: true }).ino}`, path);
    if (entry.isDirectory()) inodes(path, found);
  }
  return found;
}

// folder: the one of the logs. root: the one that is watched. chanceOf: gives for each file or folder the function that
// decides, change by change, whether it is undone. The logs are empty then. Returns how many changes there were.
export function powerOff(folder, root, chanceOf) {
  const logs = readdirSync(join(folder, "log"))
    .filter((name) => !name.endsWith(".failed"))
    .map((ino) => ({ ino, records: markDurable(readLog(readFileSync(join(folder, "log", ino)))) }))
    .filter(({ records }) => records.length);
  const folders = inodes(root).set(`${lstatSync(root, { bigint: true }).ino}`, root);
  const above = dirname(root);
  folders.set(`${lstatSync(above, { bigint: true }).ino}`, above);
  for (const { ino, records } of logs)
    if (records[0].kind === NAMES && existsSync(folders.get(ino) ?? ""))
      undoNames(folders.get(ino), join(folder, "attic"), records, new Pieces(chanceOf()));
  const files = existsSync(root) ? inodes(root) : new Map();
  for (const { ino, records } of logs)
    if (records[0].kind !== NAMES && files.has(ino))
      writeFileSync(files.get(ino), undoBytes(readFileSync(files.get(ino)), records, new Pieces(chanceOf())));
  for (const kind of ["log", "attic"])
    for (const name of readdirSync(join(folder, kind))) rmSync(join(folder, kind, name));
  return logs.reduce((sum, { records }) => sum + records.filter(({ durable }) => !durable).length, 0);
}
