// The official client: catching up, tailing, and living through deaths of the server's processes.

import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client";
import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED } from "../lib/server.mjs";
import { Streams, freshName } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const backoffOptions = { initialDelay: 20, maxDelay: 200, multiplier: 1.5 };

const fixture = useServer({ settings: { "server.restart_delay": "50ms", "live.long_poll_timeout": "2s" } });
const streams = () => new Streams(fixture.server);

// Collects the items of a JSON stream, live, until told to stop. A session that breaks (an event stream cut in the
// middle ends the client's session with an error) is followed by another from where it was.
function tail(url, live) {
  const reader = { items: [], ended: false };
  const abort = new AbortController();
  const session = async (offset) => {
    const response = await stream({ url, offset, live, backoffOptions, signal: abort.signal });
    const stop = response.subscribeJson((batch) => {
      reader.items.push(...batch.items);
      reader.offset = batch.offset;
    });
    await response.closed.finally(stop);
    reader.ended = response.streamClosed;
  };
  reader.done = (async () => {
    while (!reader.ended && !abort.signal.aborted) await session(reader.offset ?? "-1").catch(() => sleep(20));
  })();
  reader.stop = () => (abort.abort(), reader.done);
  return reader;
}

const numbers = (count, from = 0) => Array.from({ length: count }, (_, i) => ({ n: from + i }));

describe.each(["sse", "long-poll"])("live=%s", (live) => {
  test("catches up, then goes on live", async () => {
    const handle = await DurableStream.create({ url: streams().url(freshName()), contentType: "application/json" });
    for (const item of numbers(20)) await handle.append(JSON.stringify(item));
    const reader = tail(handle.url, live);
    await until("the first twenty", () => reader.items.length === 20);
    for (const item of numbers(20, 20)) await handle.append(JSON.stringify(item));
    await until("all forty", () => reader.items.length === 40);
    expect(reader.items).toEqual(numbers(40));
    await handle.close();
    await until("the end of the stream", () => reader.ended);
    await reader.stop();
  });

  test.skipIf(!OWNED)("goes on where it was after the server has restarted", async () => {
    const { server } = fixture;
    const handle = await DurableStream.create({
      url: streams().url(freshName()),
      contentType: "application/json",
      backoffOptions,
    });
    for (const item of numbers(10)) await handle.append(JSON.stringify(item));
    const reader = tail(handle.url, live);
    await until("the first ten", () => reader.items.length === 10);
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    await server.start();
    for (const item of numbers(10, 10)) await handle.append(JSON.stringify(item));
    await until("all twenty", () => reader.items.length === 20);
    await server.kill();
    await server.start();
    for (const item of numbers(10, 20)) await handle.append(JSON.stringify(item));
    await until("all thirty", () => reader.items.length >= 30);
    expect(reader.items).toEqual(numbers(30));
    await reader.stop();
  });
});

// The client tries again on 5xx; a broken connection it leaves to its caller.
async function persistent(...request) {
  return until("an answer", () => fetch(...request).catch(() => null));
}

test.skipIf(!OWNED)("an idempotent producer writes everything once across deaths of shards and routers", async () => {
  const { server } = fixture;
  const url = streams().url(freshName());
  const handle = await DurableStream.create({ url, contentType: "application/json", backoffOptions });
  const errors = [];
  const producer = new IdempotentProducer(handle, "writer-1", {
    lingerMs: 1,
    maxBatchBytes: 400,
    maxInFlight: 5,
    fetch: persistent,
    onError: (error) => errors.push(error),
  });
  const items = numbers(1000);
  for (const [i, item] of items.entries()) {
    producer.append(JSON.stringify(item));
    if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    if (i % 200 === 50) server.killChildren("shard");
    if (i === 600) await server.restartChild("router");
  }
  await producer.flush();
  expect(errors).toEqual([]);
  const all = await stream({ url, live: false });
  expect(await all.json()).toEqual(items);
});

test("batches of a new producer may arrive in any order", async () => {
  const url = streams().url(freshName());
  const handle = await DurableStream.create({ url, contentType: "application/json" });
  const late = { 0: 150, 1: 20, 2: 60 }; // ms; with five batches in flight, all others wait for the first
  const errors = [];
  const producer = new IdempotentProducer(handle, "project/chapter 1", {
    lingerMs: 0,
    maxBatchBytes: 1,
    fetch: async (address, request) => {
      await sleep(late[request.headers["Producer-Seq"]] ?? 0);
      delete late[request.headers["Producer-Seq"]];
      return fetch(address, request);
    },
    onError: (error) => errors.push(error),
  });
  for (const item of numbers(20)) producer.append(JSON.stringify(item));
  await producer.flush();
  expect(errors).toEqual([]);
  expect(await (await stream({ url, live: false })).json()).toEqual(numbers(20));
});

test("a producer of a stream that somebody has closed is told, and asks no more", async () => {
  const url = streams().url(freshName());
  const handle = await DurableStream.create({ url, contentType: "application/json" });
  const errors = [];
  let requests = 0;
  const producer = new IdempotentProducer(handle, "writer", {
    fetch: (...request) => (requests++, fetch(...request)),
    onError: (error) => errors.push(error),
  });
  producer.append("1");
  await producer.flush();
  await handle.close();
  producer.append("2");
  await producer.flush();
  expect([errors.length, requests]).toEqual([1, 2]);
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

test("live: false reads all of a stream that is longer than a page", async () => {
  const handle = await DurableStream.create({ url: streams().url(freshName()), contentType: "application/octet-stream" });
  for (let i = 0; i < 6; i++) await handle.append(Buffer.alloc(500_000, 65 + i));
  for (const live of [false, true, "sse"]) {
    const response = await stream({ url: handle.url, offset: "-1", live });
    expect([live, (await response.body()).length, response.upToDate]).toEqual([live, 3_000_000, true]);
  }
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
