// A server for the tests of one file or one describe block.

import { afterAll, beforeAll } from "vitest";

import { Server } from "./server.mjs";
import { PATIENCE } from "./wait.mjs";

// Returns an object whose `server` is there while the tests run.
export function useServer(options = {}) {
  const fixture = { server: null };
  beforeAll(async () => {
    fixture.server = await Server.start(options);
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await fixture.server?.close();
  }, 60_000 * PATIENCE);
  return fixture;
}
