// Space: what is deleted is given back or used again; what is appended is settled out of the log.

import { expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED } from "../lib/server.mjs";
import { Streams } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const fixture = useServer({ settings: { "shard.count": 1, "shard.flush_idle": "100ms", "shard.flush_bytes": "1M" } });
const MIB = 1 << 20;
const TYPE = { type: "application/octet-stream" };

const sizeOfAll = () => Object.values(fixture.server.files()).reduce((sum, size) => sum + size, 0);

async function fill(streams, name, megabytes) {
  for (let i = 0; i < megabytes; i++) {
    const { status } = await streams.append(name, Buffer.alloc(MIB, i), TYPE);
    expect(status).toBe(204);
  }
}

test.skipIf(!OWNED)("streams that come and go do not make the folder grow without end", async () => {
  const streams = new Streams(fixture.server);
  const kept = await streams.fresh("kept", { ...TYPE, body: "kept" });
  let largest = 0;
  for (let round = 0; round < 6; round++) {
    const name = await streams.fresh("space", TYPE);
    await fill(streams, name, 20);
    await sleep(300);
    expect((await streams.remove(name)).status).toBe(204);
    largest = Math.max(largest, sizeOfAll());
    await until("its space to be free", () => sizeOfAll() < 60 * MIB);
  }
  // 120 MiB went through; one round's data, a log and a journal of it may be there at once.
  expect(largest).toBeLessThan(90 * MIB);
  expect((await streams.readAll(kept)).bytes.toString()).toBe("kept");
});

test.skipIf(!OWNED)("an expired stream's space is used again too", async () => {
  const streams = new Streams(fixture.server);
  const before = sizeOfAll();
  for (let round = 0; round < 3; round++) {
    const name = await streams.fresh("space", { ...TYPE, headers: { "stream-ttl": "1" } });
    await fill(streams, name, 10);
    await until("the stream to expire", async () => (await streams.head(name)).status === 404);
    await sleep(700);
  }
  expect(sizeOfAll() - before).toBeLessThan(40 * MIB);
});
