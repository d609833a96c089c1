// The names that the killer orders are those that the server has.

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { BACKUP_FAULTS, MOVE_FAULTS, RESTORE_FAULTS, SHARD_FAULTS } from "./faults.mjs";

test("the list of fault points is that of the sources", () => {
  const folder = join(import.meta.dirname, "../../shard");
  const sources = readdirSync(folder).filter((name) => name.endsWith(".c"));
  const points = sources.flatMap((name) =>
    [...readFileSync(join(folder, name), "utf8").matchAll(/fault_point\("([^"]+)"\)/g)].map(([, point]) => point),
  );
  expect([...SHARD_FAULTS, ...BACKUP_FAULTS, ...RESTORE_FAULTS, ...MOVE_FAULTS].sort()).toEqual(
    [...new Set(points)].sort(),
  );
});
