import { defineConfig } from "vitest/config";

import { PATIENCE } from "./lib/wait.mjs";

export default defineConfig({
  root: import.meta.dirname,
  test: {
    include: ["e2e/*.test.mjs", "crash/*.test.mjs"],
    maxWorkers: 2,
    testTimeout: 20_000 * PATIENCE,
    hookTimeout: 60_000 * PATIENCE,
  },
});
