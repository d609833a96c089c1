// The official client: catching up, tailing, and living through deaths of the server's processes.

import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client";
import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED } from "../lib/server.mjs";
import { Streams, freshName } from "../lib/streams.mjs";
import { until } from "../lib/wait.mjs";

const backoffOptions = { initialDelay: 20, maxDelay: 200, multiplier: 1.5 };

const fixture = useServer({ settings: { "server.restart_delay": "50ms", "live.long_poll_timeout": "2s" } });
const streams = () => new Streams(fixture.server);

// Collects the items of a JSON stream, live, until told to stop.
async function tail(url, live) {
  const items = [];
  const response = await stream({ url, offset: "-1", live, backoffOptions, onError: () => ({}) });
  const stop = response.subscribeJson((batch) => void items.push(...batch.items));
  return { items, response, stop: () => (stop(), response.cancel()) };
}

const numbers = (count, from = 0) => Array.from({ length: count }, (_, i) => ({ n: from + i }));

describe.each(["sse", "long-poll"])("live=%s", (live) => {
  test("catches up, then goes on live", async () => {
    const handle = await DurableStream.create({ url: streams().url(freshName()), contentType: "application/json" });
    for (const item of numbers(20)) await handle.append(JSON.stringify(item));
    const reader = await tail(handle.url, live);
    await until("the first twenty", () => reader.items.length === 20);
    for (const item of numbers(20, 20)) await handle.append(JSON.stringify(item));
    await until("all forty", () => reader.items.length === 40);
    expect(reader.items).toEqual(numbers(40));
    await handle.close();
    await until("the end of the stream", () => reader.response.streamClosed);
    reader.stop();
  });

  test.skipIf(!OWNED)("goes on where it was after the server has restarted", async () => {
    const { server } = fixture;
    const handle = await DurableStream.create({
      url: streams().url(freshName()),
      contentType: "application/json",
      backoffOptions,
    });
    await handle.append(JSON.stringify(numbers(10)));
    const reader = await tail(handle.url, live);
    await until("the first ten", () => reader.items.length === 10);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    await server.start();
    await handle.append(JSON.stringify(numbers(10, 10)));
    await until("all twenty", () => reader.items.length === 20);
    await server.kill();
    await server.start();
    await handle.append(JSON.stringify(numbers(10, 20)));
    await until("all thirty", () => reader.items.length >= 30);
    expect(reader.items).toEqual(numbers(30));
    reader.stop();
  });
});

test.skipIf(!OWNED)("an idempotent producer writes everything once across deaths of shards and routers", async () => {
  const { server } = fixture;
  const url = streams().url(freshName());
  const handle = await DurableStream.create({ url, contentType: "application/json", backoffOptions });
  const errors = [];
  const producer = new IdempotentProducer(handle, "writer-1", {
    lingerMs: 1,
    maxBatchBytes: 400,
    maxInFlight: 5,
    onError: (error) => errors.push(error),
  });
  const items = numbers(600);
  for (const [i, item] of items.entries()) {
    producer.append(JSON.stringify(item));
    if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    if (i % 100 === 50) for (const { pid } of server.children("shard")) process.kill(pid, "SIGKILL");
    if (i === 300) await server.restartChild("router");
  }
  await producer.flush();
  expect(errors).toEqual([]);
  const all = await stream({ url, live: false });
  expect(await all.json()).toEqual(items);
});

test("a fenced producer is told, and claims its stream back", async () => {
  const handle = await DurableStream.create({ url: streams().url(freshName()), contentType: "text/plain" });
  const errors = [];
  const first = new IdempotentProducer(handle, "writer", { onError: (error) => errors.push(error.name) });
  first.append("a");
  await first.flush();
  const second = new IdempotentProducer(handle, "writer", { autoClaim: true, epoch: 0 });
  second.append("b");
  await second.flush();
  const third = new IdempotentProducer(handle, "writer", { epoch: 5 });
  third.append("c");
  await third.flush();
  first.append("lost");
  await first.flush();
  expect(errors).toEqual(["StaleEpochError"]);
  const claiming = new IdempotentProducer(handle, "writer", { autoClaim: true });
  claiming.append("d");
  await claiming.flush();
  expect(claiming.epoch).toBe(6);
  expect(await (await stream({ url: handle.url, live: false })).text()).toMatch(/^ab?cd$/);
});

test("bytes come back as they were sent", async () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) % 256);
  const handle = await DurableStream.create({
    url: streams().url(freshName()),
    contentType: "application/octet-stream",
    body: bytes.slice(0, 50_000),
  });
  await handle.append(bytes.slice(50_000));
  for (const live of [false, "sse", "long-poll"]) {
    const response = await stream({ url: handle.url, offset: "-1", live });
    expect(Buffer.from(await response.body()).equals(Buffer.from(bytes))).toBe(true);
  }
});
