// Long-polls: woken, timed out, ended by closing and by deleting; carried across the death of a shard.

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { shardOf } from "../lib/layout.mjs";
import { readersWait } from "../lib/metrics.mjs";
import { OWNED } from "../lib/server.mjs";
import { START, Streams } from "../lib/streams.mjs";
import { sleep } from "../lib/wait.mjs";

const settings = { "router.workers": 2, "server.restart_delay": "50ms" };
const fixture = useServer({ settings: { ...settings, "live.long_poll_timeout": "10m" } });
const hasty = useServer({ settings: { ...settings, "live.long_poll_timeout": "1500ms" } });
const streams = () => new Streams(fixture.server);
const at = (name, position) => streams().at(name, position);
const waiting = (count) => readersWait(fixture.server, count);

describe("with data", () => {
  test("answers at once", async () => {
    const name = await streams().fresh("poll", { body: "hello" });
    const answer = await streams().longPoll(name, "-1");
    expect([answer.status, answer.text, answer.next]).toEqual([200, "hello", at(name, 5)]);
    expect(answer.headers.get("cache-control")).toBe("public, max-age=20");
    expect(answer.headers.get("etag")).toMatch(/^"/);
    expect(answer.headers.get("stream-cursor")).toMatch(/^\d+$/);
    expect(answer.headers.get("stream-up-to-date")).toBe("true");
  });
});

describe("without data", () => {
  test("is woken by an append", async () => {
    const name = await streams().fresh("poll", { body: "hello" });
    for (const offset of [at(name, 5), "now"]) {
      const before = await streams().head(name);
      const polls = Array.from({ length: 20 }, () => streams().longPoll(name, offset === "now" ? offset : before.next));
      await waiting(20);
      await streams().append(name, `after ${offset};`);
      for (const answer of await Promise.all(polls)) {
        expect([answer.status, answer.text]).toEqual([200, `after ${offset};`]);
        expect(answer.headers.get("stream-up-to-date")).toBe("true");
      }
    }
  });

  test("times out with 204", async () => {
    const streams = new Streams(hasty.server);
    const name = await streams.fresh("poll", { body: "hello" });
    const started = Date.now();
    const answer = await streams.longPoll(name, streams.at(name, 5));
    const took = Date.now() - started;
    expect([answer.status, answer.next]).toEqual([204, streams.at(name, 5)]);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(answer.headers.get("stream-up-to-date")).toBe("true");
    expect(answer.headers.get("stream-cursor")).toMatch(/^\d+$/);
    expect(took).toBeGreaterThanOrEqual(1400);
  });

  test("is answered when the stream is closed, and at once when it already is", async () => {
    const name = await streams().fresh("poll", { body: "hello" });
    const poll = streams().longPoll(name, at(name, 5));
    await waiting(1);
    await streams().close(name);
    for (const answer of [await poll, await streams().longPoll(name, at(name, 5)), await streams().longPoll(name, "now")]) {
      expect([answer.status, answer.next]).toEqual([204, at(name, 5)]);
      expect(answer.headers.get("stream-closed")).toBe("true");
      expect(answer.headers.get("stream-up-to-date")).toBe("true");
    }
  });

  test("an append that closes brings its data and the closure", async () => {
    const name = await streams().fresh("poll");
    const poll = streams().longPoll(name, "now");
    await waiting(1);
    await streams().append(name, "bye", { headers: { "stream-closed": "true" } });
    const answer = await poll;
    expect([answer.status, answer.text, answer.headers.get("stream-closed")]).toEqual([200, "bye", "true"]);
  });

  test("is answered 404 when the stream is deleted", async () => {
    const name = await streams().fresh("poll");
    const polls = [streams().longPoll(name, "now"), streams().longPoll(name, START)];
    await waiting(2);
    await streams().remove(name);
    for (const answer of await Promise.all(polls)) expect(answer.status).toBe(404);
  });

  test("a client that goes away is forgotten", async () => {
    const name = await streams().fresh("poll");
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController();
      const poll = streams().longPoll(name, "now", controller.signal).catch(() => "aborted");
      await sleep(5);
      controller.abort();
      expect(await poll).toBe("aborted");
    }
    expect((await streams().append(name, "x")).status).toBe(204);
  });

  test.each(["0", "9007199254740991", "009007199254740993"])("cursors go forward from %s", async (first) => {
    const name = await streams().fresh("poll", { body: "x" });
    let cursor = first;
    for (let i = 0; i < 5; i++) {
      const answer = await streams().read(name, { live: "long-poll", offset: "-1", cursor });
      expect(BigInt(answer.headers.get("stream-cursor"))).toBeGreaterThan(BigInt(cursor));
      cursor = answer.headers.get("stream-cursor");
    }
  });
});

test.skipIf(!OWNED)("a waiting long-poll lives through the death of its shard", async () => {
  const { server } = fixture;
  const name = await streams().fresh("poll", { body: "hello" });
  const poll = streams().longPoll(name, at(name, 5));
  await waiting(1);
  await server.restartChild("shard", shardOf(server, name));
  await streams().append(name, " again");
  const answer = await poll;
  expect([answer.status, answer.text]).toEqual([200, " again"]);
});
