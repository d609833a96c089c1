// The names that the killer orders are those that the server has.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { BACKUP_FAULTS, MOVE_FAULTS, RESTORE_FAULTS, SHARD_FAULTS, UPGRADE_FAULTS } from "./faults.mjs";

test("the list of fault points is that of the sources", () => {
  const sources = ["shard", "router"].flatMap((name) => {
    const folder = join(import.meta.dirname, "../..", name);
    return readdirSync(folder, { recursive: true })
      .filter((file) => file.endsWith(".c"))
      .map((file) => join(folder, file));
  });
  const points = sources.flatMap((path) =>
    [...readFileSync(path, "utf8").matchAll(/fault_point\("([^"]+)"\)/g)].map(([, point]) => point),
  );
  const known = [...SHARD_FAULTS, ...BACKUP_FAULTS, ...RESTORE_FAULTS, ...MOVE_FAULTS, ...UPGRADE_FAULTS];
  expect(known.sort()).toEqual([...new Set(points)].sort());
});
