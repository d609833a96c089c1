import { defineConfig } from "vitest/config";

import { SLOW } from "../lib/wait.mjs";

export default defineConfig({
  root: import.meta.dirname,
  cacheDir: "../node_modules/.vite",
  test: {
    include: ["*.test.mjs"],
    fileParallelism: false,
    testTimeout: 30_000 * SLOW,
    hookTimeout: 60_000 * SLOW,
  },
});
