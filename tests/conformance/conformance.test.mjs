// The official conformance suite against a server of the shape that CONFORMANCE_SHARDS and CONFORMANCE_WORKERS ask for; with
// CONFORMANCE_AUTH=jwt every request of the suite carries a token.
// The reserved subscription APIs (PROTOCOL.md 6) are not part of streamd; the suite leaves them out unless told not to.

import { runConformanceTests } from "@durable-streams/server-conformance-tests";
import { afterAll, beforeAll, describe } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { openStore } from "../lib/store.mjs";
import { SLOW } from "../lib/wait.mjs";

const shards = Number(process.env.CONFORMANCE_SHARDS ?? 4);
const workers = Number(process.env.CONFORMANCE_WORKERS ?? 1);
const auth = process.env.CONFORMANCE_AUTH ?? "none";

// Gives fetch a token of the project that the path names; makes the project when it is new.
function attachTokens(fixture) {
  const plain = globalThis.fetch;
  const tokens = new Map();
  const tokenFor = (project) => {
    if (!tokens.has(project)) {
      fixture.server.command("create-project", project);
      tokens.set(
        project,
        fixture.server.command("token", "--project", project, "--scope", "manage", "--ttl", "1h").out,
      );
    }
    return tokens.get(project);
  };
  globalThis.fetch = (input, init = {}) => {
    const request = new Request(input, init);
    const [, , , first, ...rest] = new URL(request.url).pathname.split("/");
    const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined));
    headers.set("authorization", `Bearer ${tokenFor(rest.length ? decodeURIComponent(first) : "_default")}`);
    return plain(input, { ...init, headers });
  };
}

// CONFORMANCE_SEGMENTS: nearly every read crosses a segment.
const store = process.env.CONFORMANCE_SEGMENTS ? await openStore() : null;
const SEGMENTS = { "segment.max_messages": 1, "shard.flush_idle": "10ms", ...store?.settings };

describe(`shard.count=${shards} router.workers=${workers} auth.mode=${auth}`, () => {
  afterAll(() => store?.close()); // before the server's: the hooks of the end run last first
  const fixture = useServer({
    settings: {
      "shard.count": shards,
      "router.workers": workers,
      "live.long_poll_timeout": "2s",
      "auth.mode": auth,
      ...(store && SEGMENTS),
    },
    environment: store?.environment,
  });
  const options = { baseUrl: "", longPollTimeoutMs: 20_000 * SLOW };

  // The suite reads the address when a test runs, not when it is declared.
  beforeAll(() => {
    options.baseUrl = fixture.server.url;
    if (auth === "jwt") attachTokens(fixture);
  });
  runConformanceTests(options);
});
