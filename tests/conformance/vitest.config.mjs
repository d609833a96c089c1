import { defineConfig } from "vitest/config";

import { PATIENCE } from "../lib/wait.mjs";

export default defineConfig({
  root: import.meta.dirname,
  cacheDir: "../node_modules/.vite",
  test: {
    include: ["*.test.mjs"],
    fileParallelism: false,
    testTimeout: 30_000 * PATIENCE,
    hookTimeout: 60_000 * PATIENCE,
  },
});
