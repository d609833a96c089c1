// Server-sent events: framing, heartbeat, lifetime, readers that do not read, many readers, deaths of shards.

import { connect } from "node:net";

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { shardOf } from "../lib/layout.mjs";
import { memoryOf } from "../lib/processes.mjs";
import { OWNED } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { START, Streams } from "../lib/streams.mjs";
import { SLOW, sleep, until } from "../lib/wait.mjs";

const JSON_TYPE = { type: "application/json" };
const at = (position) => `${START.slice(0, 17)}${`${position}`.padStart(16, "0")}`;

describe("framing", () => {
  const fixture = useServer({ settings: { "server.restart_delay": "50ms" } });
  const streams = () => new Streams(fixture.server);
  const open = (name, query = { offset: "-1" }) => EventReader.open(streams().url(name), { query });

  test("headers", async () => {
    const reader = open(await streams().fresh("sse", { body: "x" }));
    await reader.upToDate();
    expect(reader.headers).toMatchObject({ "content-type": "text/event-stream", "x-accel-buffering": "no" });
    expect(reader.headers["cache-control"]).toMatch(/no-cache|no-store/);
    expect(reader.headers["stream-sse-data-encoding"]).toBeUndefined();
    reader.close();
  });

  test("every data event is followed by a control event that says where it ends", async () => {
    const before = Date.now();
    const name = await streams().fresh("sse", { ...JSON_TYPE, body: "[1,2]" });
    const reader = open(name);
    await reader.upToDate();
    await streams().append(name, "[3,[4]]", JSON_TYPE);
    await reader.see("the appended data", () => reader.controls.length === 2);
    expect(reader.events.map(({ type }) => type)).toEqual(["data", "control", "data", "control"]);
    expect(reader.data.map((data) => JSON.parse(data))).toEqual([[1, 2], [3, [4]]]);
    expect(reader.controls.map(({ streamNextOffset }) => streamNextOffset)).toEqual([at(2), at(4)]);
    for (const control of reader.controls) {
      expect(control).toMatchObject({ upToDate: true, streamCursor: expect.stringMatching(/^\d+$/) });
      expect(Number(control.streamWriteTimestamp)).toBeGreaterThan(before - 10_000); // the time at which its turn began
    }
    reader.close();
  });

  test("bytes are base64, whatever their cuts", async () => {
    const body = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256));
    const name = await streams().fresh("sse", { type: "application/octet-stream", body });
    const reader = open(name, { offset: at(1) });
    await reader.upToDate();
    expect(reader.headers["stream-sse-data-encoding"]).toBe("base64");
    await streams().append(name, Buffer.from([7]), { type: "application/octet-stream" });
    await reader.see("the appended byte", () => reader.data.length === 2);
    const decoded = Buffer.concat(reader.data.map((data) => Buffer.from(data.replaceAll("\n", ""), "base64")));
    expect(decoded.equals(Buffer.concat([body.subarray(1), Buffer.from([7])]))).toBe(true);
    reader.close();
  });

  test("an empty stream, and offset=now", async () => {
    const name = await streams().fresh("sse", { body: "old" });
    const now = open(name, { offset: "now" });
    await now.upToDate();
    expect(now.events).toHaveLength(1);
    expect(now.offset).toBe(at(3));
    await streams().append(name, "new");
    await now.see("the new data", () => now.data.length === 1);
    expect(now.data).toEqual(["new"]);
    now.close();
  });

  test("closing ends it, with the last data if there is some", async () => {
    const name = await streams().fresh("sse", { body: "a" });
    const reader = open(name);
    await reader.upToDate();
    await streams().append(name, "b", { headers: { "stream-closed": "true" } });
    expect(await reader.end()).toBe("clean");
    expect(reader.data).toEqual(["a", "b"]);
    expect(reader.controls.at(-1)).toMatchObject({ streamClosed: true, streamNextOffset: at(2) });
    for (const query of [{ offset: at(2) }, { offset: "now" }, { offset: "-1" }]) {
      const late = open(name, query);
      expect(await late.end()).toBe("clean");
      expect(late.controls.at(-1)).toMatchObject({ streamClosed: true, streamNextOffset: at(2) });
    }
  });

  test("deleting ends it", async () => {
    const name = await streams().fresh("sse", { body: "a" });
    const reader = open(name);
    await reader.upToDate();
    const started = Date.now();
    await streams().remove(name);
    await reader.end();
    expect(Date.now() - started).toBeLessThan(30_000);
  });

  test("more than 256 KiB goes out in several pairs, and only the last is up to date", async () => {
    const items = Array.from({ length: 100 }, (_, n) => ({ n, pad: "x".repeat(10_000) }));
    const json = await streams().fresh("sse", { ...JSON_TYPE, body: JSON.stringify(items) });
    const name = await streams().fresh("sse", { body: "y".repeat(1_000_000) });
    for (const [reader, check] of [
      [open(json), (data) => expect(data.flatMap((text) => JSON.parse(text))).toEqual(items)],
      [open(name), (data) => expect(data.join("")).toBe("y".repeat(1_000_000))],
    ]) {
      await reader.upToDate();
      expect(reader.data.length).toBeGreaterThanOrEqual(4);
      expect(reader.controls.length).toBe(reader.data.length);
      for (const data of reader.data) expect(data.length).toBeLessThanOrEqual(256 * 1024 + 2);
      expect(reader.controls.slice(0, -1).some(({ upToDate }) => upToDate)).toBe(false);
      check(reader.data);
      reader.close();
    }
  });

  test("a large append reaches a reader that is already there", async () => {
    const name = await streams().fresh("sse");
    const reader = open(name);
    await reader.upToDate();
    await streams().append(name, "z".repeat(2_000_000));
    await reader.see("all of it", () => reader.data.join("").length === 2_000_000);
    expect(reader.offset).toBe(at(2_000_000));
    reader.close();
  });

  test("multi-byte text is never cut inside a character", async () => {
    const text = "ü€😀".repeat(100_000);
    const name = await streams().fresh("sse", { body: text });
    const reader = open(name);
    await reader.upToDate();
    expect(reader.data.join("")).toBe(text);
    reader.close();
  });

  test("a thousand readers all get everything", async () => {
    const name = await streams().fresh("sse", { ...JSON_TYPE, body: "[0]" });
    const readers = Array.from({ length: 1000 }, () => open(name));
    await Promise.all(readers.map((reader) => reader.upToDate()));
    for (let n = 1; n <= 20; n++) await streams().append(name, `[${n}]`, JSON_TYPE);
    const expected = Array.from({ length: 21 }, (_, n) => n);
    for (const reader of readers) {
      await reader.see("the last event", () => reader.offset === at(21), 20_000);
      expect(reader.data.flatMap((data) => JSON.parse(data))).toEqual(expected);
      reader.close();
    }
  });

  test.skipIf(!OWNED)("readers stay connected while their shard is restarted, without gap or double", async () => {
    const { server } = fixture;
    const name = await streams().fresh("sse", JSON_TYPE);
    const readers = Array.from({ length: 10 }, () => open(name));
    await Promise.all(readers.map((reader) => reader.upToDate()));
    let n = 0;
    for (let death = 0; death < 3; death++) {
      for (let i = 0; i < 10; i++) expect((await streams().append(name, `${n++}`, JSON_TYPE)).status).toBe(204);
      await server.restartChild("shard", shardOf(server, name));
    }
    for (let i = 0; i < 10; i++) await streams().append(name, `${n++}`, JSON_TYPE);
    for (const reader of readers) {
      await reader.see("the last event", () => reader.offset === at(n));
      expect(reader.ended).toBeNull();
      expect(reader.data.flatMap((data) => JSON.parse(data))).toEqual(Array.from({ length: n }, (_, i) => i));
      reader.close();
    }
  });
});

describe.skipIf(!OWNED)("time", () => {
  const fixture = useServer({ settings: { "live.heartbeat": "300ms", "live.sse_lifetime": "2s" } });

  test("a silent reader gets comments, and a clean end at the lifetime", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("sse", { body: "x" });
    const started = Date.now();
    const reader = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    expect(await reader.end()).toBe("clean");
    const took = Date.now() - started;
    expect(took).toBeGreaterThan(1500);
    expect(took).toBeLessThan(30_000);
    const comments = reader.events.filter(({ type }) => type === "comment").length;
    expect(comments).toBeGreaterThanOrEqual(3);
    expect(comments).toBeLessThanOrEqual(1 + took / 300);
  });

  test("a reader that is behind at the lifetime is told where it is, not that it has all", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("sse", { type: "application/octet-stream" });
    const body = Buffer.alloc(4 << 20);
    for (let i = 0; i < 6; i++) await streams.append(name, body, { type: "application/octet-stream" });
    const reader = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await reader.see("an event", () => reader.response);
    reader.response.pause();
    await sleep(4000 * SLOW); // longer than it lasts
    reader.response.resume();
    expect(await reader.end()).toBe("clean");
    expect(reader.controls.length).toBeGreaterThan(1);
    expect(reader.offset < at(6 * body.length)).toBe(true);
    expect(reader.controls.filter(({ upToDate }) => upToDate)).toEqual([]);
  });

  test("a reader that gets data gets no comments", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("sse");
    const reader = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await reader.upToDate();
    for (let i = 0; i < 10; i++) {
      await streams.append(name, "x");
      await sleep(100);
    }
    expect(reader.events.filter(({ type }) => type === "comment")).toEqual([]);
    reader.close();
  });
});

describe.skipIf(!OWNED)("readers that do not read", () => {
  const fixture = useServer({
    settings: { "limits.reader_buffer": "256K", "limits.write_timeout": "60s", "limits.max_body": "1M" },
  });

  // An SSE reader whose socket is never read.
  function openDeaf(name) {
    const { port } = fixture.server;
    const socket = connect(port, "127.0.0.1");
    const deaf = { socket, closed: false };
    socket.on("error", () => (deaf.closed = true));
    socket.on("close", () => (deaf.closed = true));
    socket.pause();
    socket.write(`GET /v1/stream/${name}?offset=now&live=sse HTTP/1.1\r\nHost: h\r\n\r\n`);
    return deaf;
  }

  // Appends until 30 MB have gone through, and returns how much the router's memory has grown at most.
  async function flood(name, size) {
    const streams = new Streams(fixture.server);
    const { pid } = fixture.server.child("router");
    const before = memoryOf(pid);
    const body = Buffer.alloc(size, 1);
    let peak = before;
    for (let sent = 0; sent < 30_000_000; sent += size) {
      await streams.append(name, body, { type: "application/octet-stream" });
      peak = Math.max(peak, memoryOf(pid));
    }
    return peak - before;
  }

  // Fifty readers with 30 MB each would be 1.5 GB; one shared copy and the limit for each are far less.
  const BOUND = process.env.STREAMD_SLOW ? Infinity : 64 << 20;

  test("are dropped at the buffer limit; the others get everything", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("deaf", { type: "application/octet-stream" });
    const deaf = Array.from({ length: 50 }, () => openDeaf(name));
    const reader = EventReader.open(streams.url(name), { query: { offset: "now" } });
    await reader.upToDate();
    await sleep(200);
    expect(await flood(name, 100_000)).toBeLessThan(BOUND);
    await reader.see("everything", () => reader.offset === at(30_000_000));
    for (const { socket } of deaf) socket.resume();
    await until("the deaf readers to be dropped", () => deaf.every(({ closed }) => closed));
    reader.close();
  });

  test("go on at their own pace when appends are too large to be pushed", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("deaf", { type: "application/octet-stream" });
    const readers = Array.from({ length: 10 }, () => EventReader.open(streams.url(name), { query: { offset: "now" } }));
    await Promise.all(readers.map((reader) => reader.upToDate()));
    for (const { response } of readers) response.pause();
    expect(await flood(name, 500_000)).toBeLessThan(BOUND);
    for (const reader of readers) {
      reader.response.resume();
      await reader.see("everything", () => reader.offset === at(30_000_000));
      reader.close();
    }
  });
});

describe.skipIf(!OWNED)("the limit on writing", () => {
  const fixture = useServer({ settings: { "limits.write_timeout": "1s", "limits.max_body": "64M" } });

  test("a client that does not take its answer is let go", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("stuck", { type: "application/octet-stream" });
    const body = Buffer.alloc(40 << 20); // more than two sockets hold
    await streams.append(name, body, { type: "application/octet-stream" });
    const socket = connect(fixture.server.port, "127.0.0.1");
    let closed = false;
    let received = 0;
    socket.on("data", (data) => (received += data.length));
    socket.on("error", () => (closed = true));
    socket.on("close", () => (closed = true));
    socket.pause();
    socket.write(`GET /v1/stream/${name} HTTP/1.1\r\nHost: h\r\n\r\n`);
    await sleep(3000);
    socket.resume();
    await until("the connection to be closed", () => closed);
    expect(received).toBeLessThan(body.length);
  });
});
