// Random histories of create, append, fork, delete, expire, create again, conditions and batches: no reader sees bytes of
// a life that it did not ask for. SEED=N tells one history again. Those with restores are in backup.test.mjs.

import { describe, expect, test } from "vitest";

import { Play, seeded } from "../lib/lives_play.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { call, freshName } from "../lib/streams.mjs";
import { PATIENCE } from "../lib/wait.mjs";

const SETTINGS = {
  "server.restart_delay": "20ms",
  "shard.count": 3,
  "shard.flush_appends": 64,
  "shard.flush_idle": "100ms",
  "segment.max_messages": 20,
  "live.long_poll_timeout": "200ms",
  "live.sse_lifetime": "2s",
};

describe.skipIf(!OWNED)("random histories", () => {
  test("of lives, while shards die", { timeout: 60_000 * PATIENCE }, async () => {
    const server = await Server.start({ settings: SETTINGS });
    await seeded(server, async (play) => {
      await play.run(400);
      await play.settle();
      await play.probeAll();
    });
    await server.close();
  });
});

test("of writers who race for a tail, each append is behind the one it has seen", async () => {
  const server = await Server.start({ settings: SETTINGS });
  const [WRITERS, EACH] = [8, 12];
  const url = `${server.url}/v1/stream/${freshName("counter")}`;
  const type = { "content-type": "application/json" };
  const made = await Promise.all(
    Array.from({ length: WRITERS }, () => call(url, "PUT", { headers: { ...type, "if-none-match": "*" } })),
  );
  expect(made.map(({ status }) => status).sort()).toEqual([201, ...Array(WRITERS - 1).fill(412)]);
  const write = async (writer) => {
    let [offset, value] = ["-1", 0];
    for (let done = 0; done < EACH; ) {
      const { next, text } = await call(url, "GET", { query: { offset } });
      value += JSON.parse(text).length;
      offset = next;
      const body = JSON.stringify({ value: value + 1, writer });
      const { status } = await call(url, "POST", { headers: { ...type, "stream-expected-offset": offset }, body });
      expect([204, 409]).toContain(status);
      if (status === 204) done++;
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
  const all = (await call(url, "GET", { query: { offset: "-1" } })).json();
  expect(all.map(({ value }) => value)).toEqual(Array.from({ length: WRITERS * EACH }, (_, i) => i + 1));
  for (let writer = 0; writer < WRITERS; writer++) expect(all.filter((one) => one.writer === writer)).toHaveLength(EACH);
  await server.close();
});
