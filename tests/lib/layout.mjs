// Which shard owns which stream, by the rule of common/layout.c and the table in the data folder.

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { freshName } from "./streams.mjs";

const U64 = (1n << 64n) - 1n;
const SLOTS = 1024n;

export function hashOf(name) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(name)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & U64;
  hash = ((hash ^ (hash >> 33n)) * 0xff51afd7ed558ccdn) & U64;
  hash = ((hash ^ (hash >> 33n)) * 0xc4ceb9fe1a85ec53n) & U64;
  return hash ^ (hash >> 33n);
}

// Of a name that was there before {group} counted, whole.
export const slotOfWhole = (name) => Number(hashOf(name) % SLOTS);

export const slotOf = (name) => slotOfWhole(name.replace(/\/[^{]*\{([^}]+)\}.*$/s, "/$1"));

export function shardOf(server, name) {
  const lines = readFileSync(join(server.dataDir, "layout"), "utf8").split("\n");
  const owners = lines.filter((line) => /^\d+( \d+)+$/.test(line)).flatMap((line) => line.split(" ").map(Number));
  return owners[slotOf(name)];
}

// A fresh name that lives on that shard.
export function nameOnShard(server, shard, about) {
  for (;;) {
    const name = freshName(about);
    if (shardOf(server, name) === shard) return name;
  }
}
