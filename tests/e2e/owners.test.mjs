// An operator's commands are run as root and the service as another user: whatever root makes in the data folder belongs
// to the folder's owner, who can work with it.

import { chmodSync, cpSync, statSync } from "node:fs";
import { join } from "node:path";

import { afterEach, describe, expect, test } from "vitest";

import { folderOf, IS_ROOT, SOMEBODY, strangersIn } from "../lib/owners.mjs";
import { BUILD, OWNED, Server } from "../lib/server.mjs";
import { Streams } from "../lib/streams.mjs";
import { until } from "../lib/wait.mjs";

const PROGRAMS = ["streamd", "streamd-router", "streamd-shard"];
const AS_SOMEBODY = ["setpriv", `--reuid=${SOMEBODY}`, `--regid=${SOMEBODY}`, "--clear-groups"];

describe.skipIf(!OWNED || !IS_ROOT)("what root's commands make in a folder of another user", () => {
  let server;
  afterEach(() => server.close());

  // Its programs are where that user may run them.
  const begin = (settings, through) => {
    server = new Server({ settings: { "segment.max_messages": 5, "shard.flush_idle": "20ms", ...settings }, through });
    chmodSync(server.folder, 0o755);
    for (const name of PROGRAMS) cpSync(join(BUILD, name), join(server.folder, name));
    server.programs = server.folder;
    folderOf(SOMEBODY, server.dataDir);
  };

  test("projects, keys, tokens and checks before the first start", async () => {
    begin({ "auth.mode": "jwt" }, AS_SOMEBODY);
    for (const words of [
      ["create-project", "acme"],
      ["add-key", "acme"],
      ["add-origin", "acme", "https://a.example"],
      ["token", "--project", "acme", "--scope", "read", "--ttl", "1m"],
      ["list-projects"],
    ]) {
      expect([words, server.command(...words)]).toEqual([words, expect.objectContaining({ status: 0, err: "" })]);
      expect([words, strangersIn(server.dataDir, SOMEBODY)]).toEqual([words, []]);
    }
    await server.start();
    expect(server.command("streams", "--project", "acme").status).toBe(0);
    expect(server.command("add-key", "acme").status).toBe(0);
    expect(server.command("verify").status).toBe(0);
    await server.stop();
    expect(server.command("verify").status).toBe(0);
    expect(server.command("add-key", "acme").status).toBe(0);
    expect(strangersIn(server.dataDir, SOMEBODY)).toEqual([]);
    await server.start();
  });

  test("the server itself, with other shards and segments in a folder of their own", async () => {
    begin({});
    const segments = join(server.folder, "segments");
    folderOf(SOMEBODY, segments);
    await server.start({ "shard.count": 2, "segment.directory": segments });
    const streams = new Streams(server);
    const name = await streams.fresh("many", { type: "application/json" });
    for (let n = 0; n < 12; n++) await streams.append(name, `${n}`, { type: "application/json" });
    await until("segments", () => strangersIn(segments, -1).length > 1);
    await server.stop();
    await server.start({ "shard.count": 3 });
    await server.stop();
    expect(strangersIn(segments, SOMEBODY)).toEqual([]);
    expect(strangersIn(server.dataDir, SOMEBODY)).toEqual([]);
    server.through = AS_SOMEBODY;
    await server.start();
    expect((await new Streams(server).readAll(name)).bytes.length).toBeGreaterThan(0);
  });

  test("a data folder that is not there is made for the owner of the folder around it", () => {
    begin({});
    const around = join(server.folder, "around");
    folderOf(SOMEBODY, around);
    expect(server.command("--set", `server.data_dir=${around}/data/`, "create-project", "acme").status).toBe(0);
    expect(strangersIn(around, SOMEBODY)).toEqual([]);
    expect(statSync(join(around, "data")).mode & 0o777).toBe(0o700);
    expect(statSync(join(around, "data", "registry.db")).mode & 0o777).toBe(0o600);
  });
});
