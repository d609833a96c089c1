// Server-sent events: framing, heartbeat, lifetime, readers that do not read, many readers, deaths of shards.

import { connect } from "node:net";

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { shardOf } from "../lib/layout.mjs";
import { holdsConnection, memoryOf } from "../lib/processes.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, offsetIn as at } from "../lib/streams.mjs";
import { SLOW, sleep, until } from "../lib/wait.mjs";

const JSON_TYPE = { type: "application/json" };

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
    expect(reader.controls.map(({ streamNextOffset }) => streamNextOffset)).toEqual([at(name, 2), at(name, 4)]);
    for (const control of reader.controls) {
      expect(control).toMatchObject({ upToDate: true, streamCursor: expect.stringMatching(/^\d+$/) });
      expect(Number(control.streamWriteTimestamp)).toBeGreaterThan(before - 10_000); // the time at which its turn began
    }
    reader.close();
  });

  test("bytes are base64, whatever their cuts", async () => {
    const body = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256));
    const name = await streams().fresh("sse", { type: "application/octet-stream", body });
    const reader = open(name, { offset: at(name, 1) });
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
    expect(now.offset).toBe(at(name, 3));
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
    expect(reader.controls.at(-1)).toMatchObject({ streamClosed: true, streamNextOffset: at(name, 2) });
    for (const query of [{ offset: at(name, 2) }, { offset: "now" }, { offset: "-1" }]) {
      const late = open(name, query);
      expect(await late.end()).toBe("clean");
      expect(late.controls.at(-1)).toMatchObject({ streamClosed: true, streamNextOffset: at(name, 2) });
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
    expect(reader.offset).toBe(at(name, 2_000_000));
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

  // Appends the parts one by one, and "!" at the end, so that it is known when all has come.
  async function appendAll(name, parts) {
    for (const part of parts) expect((await streams().append(name, Buffer.from(part))).status).toBe(204);
    return (await streams().append(name, "!")).next;
  }

  // What a reader has heard, which is as long as the stream.
  async function heard(reader, end) {
    await reader.see("all of it", () => reader.offset === end);
    reader.close();
    return reader.data.join("");
  }

  describe("text that appends cut", () => {
    test.each([
      ["é in two", [[0x63, 0xc3], [0xa9, 0x21]], "cé!!"],
      ["an emoji in four", [[0xf0], [0x9f], [0x99], [0x82]], "🙂!"],
      ["an emoji after another", [[0xf0, 0x9f, 0x99, 0x82, 0xf0], [0x9f, 0x99], [0x82]], "🙂🙂!"],
      ["CRLF in two", [[0x61, 0x0d], [0x0a, 0x62]], "a\nb!"],
      ["CR, and no LF", [[0x61, 0x0d], [0x62, 0x0d], [0x0d]], "a\nb\n\n!"],
      ["a character that something else comes after", [[0xe2, 0x82], [0x41, 0xf0], [0xc3], [0xa9]], "\ufffdA\ufffdé!"],
      ["no UTF-8", [[0x80], [0xff, 0xe4], [0xe4], [0xf5], [0xe0], [0x80]], "\ufffd".repeat(7) + "!"],
      ["halves and ends of lines", [[0xc3, 0x0d], [0x0a, 0xc3], [0x0d], [0x0a]], "\ufffd\n\ufffd\n!"],
    ])("is the same to whoever is there and to whoever comes later: %s", async (_, parts, text) => {
      const name = await streams().fresh("cut");
      const there = [open(name), open(name)];
      await Promise.all(there.map((reader) => reader.upToDate()));
      const end = await appendAll(name, parts);
      for (const reader of [...there, open(name)]) expect(await heard(reader, end)).toBe(text);
      // And whoever goes on from what a control event says has the same.
      const { events } = there[0];
      for (let n = 0; n < events.length - 1; n++) {
        if (events[n].type !== "control") continue;
        const before = events.slice(0, n).filter(({ type }) => type === "data");
        const rest = open(name, { offset: JSON.parse(events[n].data).streamNextOffset });
        expect(before.map(({ data }) => data).join("") + (await heard(rest, end))).toBe(text);
      }
    });

    test("is not said to be all there while its end waits, and others get that end", async () => {
      const name = await streams().fresh("cut", { body: Buffer.from([0x63, 0xc3]) });
      const reader = open(name);
      await reader.see("an event", () => reader.controls.length === 1);
      expect(reader.data).toEqual(["c"]);
      expect(reader.controls[0].streamNextOffset).toBe(at(name, 1));
      expect(reader.controls[0].upToDate).toBeUndefined();
      const again = open(name, { offset: at(name, 1) });
      await again.see("an event", () => again.controls.length === 1);
      expect(again.events).toHaveLength(1);
      expect(again.controls[0]).toMatchObject({ streamNextOffset: at(name, 1) });
      expect(again.controls[0].upToDate).toBeUndefined();
      expect((await streams().longPoll(name, at(name, 1))).bytes).toEqual(Buffer.from([0xc3]));
      const poll = streams().longPoll(name, at(name, 2));
      await sleep(50); // it may come before or after the append
      await streams().append(name, Buffer.from([0xa9, 0xc3]));
      expect((await poll).bytes).toEqual(Buffer.from([0xa9, 0xc3]));
      await Promise.all([reader, again].map((one) => one.see("é", () => one.offset === at(name, 3))));
      await streams().append(name, Buffer.from([0xa9]));
      await Promise.all([reader, again].map((one) => one.see("é", () => one.offset === at(name, 5))));
      expect([reader.data.join(""), again.data.join("")]).toEqual(["céé", "éé"]);
      expect(reader.controls.at(-1).upToDate).toBe(true);
      for (const one of [reader, again]) one.close();
    });

    test("goes to readers that begin inside a character as to those before it", async () => {
      const name = await streams().fresh("cut", { body: Buffer.from([0x63, 0xf0, 0x9f]) });
      const before = open(name);
      await before.see("c", () => before.offset === at(name, 1));
      const inside = [open(name, { offset: "now" }), open(name, { offset: at(name, 2) }), open(name, { offset: "now" })];
      await Promise.all(inside.map((reader) => reader.see("an event", () => reader.controls.length === 1)));
      expect(inside[0].controls[0]).toMatchObject({ streamNextOffset: at(name, 3), upToDate: true });
      const end = await appendAll(name, [[0x99], [0x82, 0xc3], [0xa9]]);
      expect(await heard(before, end)).toBe("c🙂é!");
      expect(await heard(inside[0], end)).toBe("\ufffd\ufffdé!");
      expect(await heard(inside[1], end)).toBe("\ufffd\ufffd\ufffdé!");
      expect(await heard(inside[2], end)).toBe("\ufffd\ufffdé!");
    });

    test.each([
      ["half a character", [0x61, 0xe2, 0x82], "a\ufffd"],
      ["CR", [0x61, 0x0d], "a\n"],
    ])("comes whole when the stream is closed or deleted: %s", async (_, bytes, text) => {
      for (const finish of ["close", "remove"]) {
        const name = await streams().fresh("cut");
        const early = open(name);
        await early.upToDate();
        await streams().append(name, Buffer.from(bytes));
        const late = open(name);
        for (const reader of [early, late]) await reader.see("a", () => reader.offset === at(name, 1));
        await streams()[finish](name);
        for (const reader of [early, late]) {
          expect(await reader.end()).toBe("clean");
          expect(reader.data.join("")).toBe(text);
          expect(reader.offset).toBe(at(name, bytes.length));
          const last = reader.controls.filter(({ streamDeleted }) => !streamDeleted).at(-1);
          expect(Number(last.streamWriteTimestamp)).toBeGreaterThan(0);
          expect(reader.controls.at(-1).streamDeleted).toBe(finish === "close" ? undefined : true);
          expect(reader.controls.at(-1).streamClosed).toBe(finish === "close" ? true : undefined);
        }
      }
    });

    test("also where an append is too large to be pushed, and in small pages", async () => {
      const text = "x" + "🙂".repeat(300_000);
      const bytes = Buffer.from(text);
      const name = await streams().fresh("cut");
      const reader = open(name);
      await reader.upToDate();
      await streams().append(name, bytes.subarray(0, 2));
      await streams().append(name, bytes.subarray(2, 1_000_000));
      await streams().append(name, bytes.subarray(1_000_000, 1_000_001));
      const end = await appendAll(name, [[...bytes.subarray(1_000_001)]]);
      expect(await heard(reader, end)).toBe(text + "!");
      expect(await heard(open(name), end)).toBe(text + "!");
    });

    test.skipIf(!OWNED)("goes on over a restart of its shard", async () => {
      const name = await streams().fresh("cut");
      const reader = open(name);
      await reader.upToDate();
      await streams().append(name, Buffer.from([0x63, 0xc3]));
      await reader.see("c", () => reader.offset === at(name, 1));
      await fixture.server.restartChild("shard", shardOf(fixture.server, name));
      expect(await heard(reader, await appendAll(name, [[0xa9]]))).toBe("cé!");
      expect(reader.ended).not.toBe("clean");
    });
  });

  test("the first event says when to come back, differently to each", async () => {
    const name = await streams().fresh("sse", { body: "x" });
    const readers = Array.from({ length: 20 }, () => open(name));
    await Promise.all(readers.map((reader) => reader.upToDate()));
    await streams().append(name, "y");
    const retries = [];
    for (const reader of readers) {
      await reader.see("the append", () => reader.offset === at(name, 2));
      retries.push(...reader.events.map(({ retry }) => retry).filter((retry) => retry !== undefined));
      reader.close();
    }
    expect(retries).toHaveLength(20);
    expect(new Set(retries).size).toBeGreaterThan(1);
    for (const retry of retries) expect(retry >= 100 && retry < 200).toBe(true);
  });

  test("a thousand readers all get everything", async () => {
    const name = await streams().fresh("sse", { ...JSON_TYPE, body: "[0]" });
    const readers = Array.from({ length: 1000 }, () => open(name));
    await Promise.all(readers.map((reader) => reader.upToDate()));
    for (let n = 1; n <= 20; n++) await streams().append(name, `[${n}]`, JSON_TYPE);
    const expected = Array.from({ length: 21 }, (_, n) => n);
    for (const reader of readers) {
      await reader.see("the last event", () => reader.offset === at(name, 21), 20_000);
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
      await reader.see("the last event", () => reader.offset === at(name, n));
      expect(reader.ended).toBeNull();
      expect(reader.data.flatMap((data) => JSON.parse(data))).toEqual(Array.from({ length: n }, (_, i) => i));
      reader.close();
    }
  });
});

describe.skipIf(!OWNED)("a server that stops", () => {
  test.each([["100ms", 1000], ["0ms", undefined]])("says to come back later: live.sse_retry = %s", async (setting, least) => {
    const server = await Server.start({ settings: { "live.sse_retry": setting } });
    const streams = new Streams(server);
    const name = await streams.fresh("sse", { body: "x" });
    const reader = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await reader.upToDate();
    await server.close();
    expect(await reader.end()).toBe("clean");
    const { retry } = reader.events.at(-1);
    expect(reader.offset).toBe(at(name, 1));
    if (least) expect(retry >= least && retry < 2 * least).toBe(true);
    else expect(reader.events.map((event) => event.retry)).toEqual(reader.events.map(() => undefined));
  });
});

describe.skipIf(!OWNED)("time", () => {
  const HEARTBEAT_MS = 300;
  const fixture = useServer({ settings: { "live.heartbeat": `${HEARTBEAT_MS}ms`, "live.sse_lifetime": "2s" } });

  test("half a character at the lifetime is what the next connection begins with", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("sse", { body: Buffer.from([0x63, 0xc3]) });
    const reader = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    expect(await reader.end()).toBe("clean");
    expect(reader.data).toEqual(["c"]);
    expect(reader.controls.map(({ streamNextOffset, upToDate }) => [streamNextOffset, upToDate])).toEqual([
      [at(name, 1), undefined],
      [at(name, 1), undefined],
    ]);
    await streams.append(name, Buffer.from([0xa9]));
    const next = EventReader.open(streams.url(name), { query: { offset: reader.offset } });
    await next.upToDate();
    expect(next.data).toEqual(["é"]);
    next.close();
  });

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
    expect(reader.offset < at(name, 6 * body.length)).toBe(true);
    expect(reader.controls.filter(({ upToDate }) => upToDate)).toEqual([]);
  });

  test("a reader that gets data gets no comments", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("sse");
    let last = Date.now();
    let silent = 0; // heartbeats that a slow machine let pass without data
    const reader = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await reader.upToDate();
    for (let i = 0; i < 10; i++) {
      await streams.append(name, "x");
      silent += Math.floor((Date.now() - last) / HEARTBEAT_MS);
      last = Date.now();
      await sleep(HEARTBEAT_MS / 3);
    }
    expect(reader.events.filter(({ type }) => type === "comment").length).toBeLessThanOrEqual(silent);
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
    await reader.see("everything", () => reader.offset === at(name, 30_000_000));
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
      await reader.see("everything", () => reader.offset === at(name, 30_000_000));
      reader.close();
    }
  });
});

describe.skipIf(!OWNED)("the limit on writing", () => {
  const fixture = useServer({ settings: { "limits.write_timeout": "1s", "limits.max_body": "64M", "limits.read_answer": "64M" } });

  test("a client that does not take its answer is let go", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("stuck", { type: "application/octet-stream" });
    const body = Buffer.alloc(40 << 20); // more than two sockets hold
    await streams.append(name, body, { type: "application/octet-stream" });
    const socket = connect(fixture.server.port, "127.0.0.1");
    let closed = false;
    let received = 0;
    socket.on("data", (data) => (received += data.length));
    socket.once("data", () => socket.pause());
    socket.on("error", () => (closed = true));
    socket.on("close", () => (closed = true));
    socket.write(`GET /v1/stream/${name} HTTP/1.1\r\nHost: h\r\n\r\n`);
    await until("the answer to begin", () => received);
    const { pid } = fixture.server.child("router");
    await until("the router to close the connection", () => !holdsConnection(pid, socket.localPort));
    socket.resume();
    await until("the connection to be closed", () => closed);
    expect(received).toBeLessThan(body.length);
  });
});
