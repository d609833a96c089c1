// Where a server built with STREAMD_FAULTS can be ordered to die (common/fault.h), and the giving of such orders.

import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const SHARD_FAULTS = [
  "shard.before-commit",
  "shard.after-commit",
  "shard.after-reply",
  "shard.batch-half",
  "shard.pin-before-commit",
  "shard.pinned",
  "shard.fork-created",
  "shard.flush-before-commit",
  "shard.deleting",
  "shard.fanout-before-send",
  "shard.delivered-before-commit",
  "shard.subscribed",
  "shard.estuary-ends",
  "segment.named-before-commit",
  "segment.named",
  "segment.written",
  "segment.put",
  "segment.put-before-commit",
  "segment.merged-before-commit",
  "segment.dropped",
  "segment.removed",
  "segment.let-go",
];

export const BACKUP_FAULTS = ["backup.copied", "backup.piece", "backup.manifest", "backup.sealed"];

export const RESTORE_FAULTS = ["restore.fetched", "restore.checked", "restore.moved"];

export const UPGRADE_FAULTS = ["router.handed", "router.taken", "shard.leaving", "shard.left"];

export const MOVE_FAULTS = ["move.copied", "move.switched", "move.cleaned"];

export class Faults {
  counts = {}; // name → deaths there
  #armed = new Set();

  constructor(folder) {
    this.folder = folder;
  }

  arm(name) {
    this.collect();
    writeFileSync(join(this.folder, name), "");
    this.#armed.add(name);
  }

  // The process that dies there removes the file first.
  collect() {
    for (const name of this.#armed) {
      if (existsSync(join(this.folder, name))) continue;
      this.#armed.delete(name);
      this.counts[name] = (this.counts[name] ?? 0) + 1;
    }
  }

  disarm() {
    this.collect();
    for (const name of this.#armed) rmSync(join(this.folder, name), { force: true });
    this.#armed.clear();
  }

  get total() {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }
}
