// The official conformance suite against a server of the shape that CONFORMANCE_SHARDS and CONFORMANCE_WORKERS ask for.
// The reserved subscription APIs (PROTOCOL.md 6) are not part of streamd; the suite leaves them out unless told not to.

import { runConformanceTests } from "@durable-streams/server-conformance-tests";
import { beforeAll, describe } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { SLOW } from "../lib/wait.mjs";

const shards = Number(process.env.CONFORMANCE_SHARDS ?? 4);
const workers = Number(process.env.CONFORMANCE_WORKERS ?? 1);

describe(`shard.count=${shards} router.workers=${workers}`, () => {
  const fixture = useServer({
    settings: { "shard.count": shards, "router.workers": workers, "live.long_poll_timeout": "2s" },
  });
  const options = { baseUrl: "", longPollTimeoutMs: 20_000 * SLOW };

  // The suite reads the address when a test runs, not when it is declared.
  beforeAll(() => {
    options.baseUrl = fixture.server.url;
  });
  runConformanceTests(options);
});
