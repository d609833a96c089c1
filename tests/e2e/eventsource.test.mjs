// The EventSource of the "eventsource" package, as a program outside a browser uses it.

import { EventSource } from "eventsource";
import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED } from "../lib/server.mjs";
import { Streams } from "../lib/streams.mjs";
import { until } from "../lib/wait.mjs";

const fixture = useServer({ settings: { "live.heartbeat": "200ms" } });
const streams = () => new Streams(fixture.server);

function follow(url) {
  const source = new EventSource(url);
  const seen = { data: [], controls: [], source };
  source.addEventListener("data", ({ data }) => seen.data.push(data));
  source.addEventListener("control", ({ data }) => seen.controls.push(JSON.parse(data)));
  return seen;
}

test("gets what is there and what is appended", async () => {
  const name = await streams().fresh("es", { type: "application/json", body: '[{"n":0},{"n":1}]' });
  const seen = follow(`${streams().url(name)}?offset=-1&live=sse`);
  await until("the first event", () => seen.data.length === 1);
  await streams().append(name, '{"n":2}', { type: "application/json" });
  await until("the second event", () => seen.controls.length === 2);
  expect(seen.data.flatMap((data) => JSON.parse(data))).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }]);
  expect(seen.controls.at(-1)).toMatchObject({ upToDate: true });
  seen.source.close();
});

test("text with line breaks of every kind arrives as its lines", async () => {
  const name = await streams().fresh("es", { body: "one\ntwo\n\nfour: x\n data: five\n" });
  const seen = follow(`${streams().url(name)}?offset=-1&live=sse`);
  await until("the event", () => seen.controls.length === 1);
  expect(seen.data.join("")).toBe("one\ntwo\n\nfour: x\n data: five\n");
  seen.source.close();
});

describe.skipIf(!OWNED)("whose connections end often", () => {
  const short = useServer({ settings: { "live.sse_lifetime": "1s" } });

  test("comes back at once, and misses nothing", async () => {
    const here = new Streams(short.server);
    const name = await here.fresh("es", { type: "application/json" });
    const gaps = [];
    let ended;
    const seen = follow(`${here.url(name)}?offset=-1&live=sse`);
    seen.source.addEventListener("error", () => (ended = performance.now()));
    seen.source.addEventListener("open", () => ended && gaps.push(performance.now() - ended));
    // Of its own it waits for 3 s, every time.
    await until("a connection that comes soon", () => gaps.some((gap) => gap < 2500), 60_000);
    await here.append(name, '{"n":1}', { type: "application/json" });
    await until("the event", () => seen.data.length === 1);
    seen.source.close();
  }, 70_000);
});

test.skipIf(!OWNED)("reconnects by itself after the router died and goes on where it was", async () => {
  const name = await streams().fresh("es", { body: "before " });
  const seen = follow(`${streams().url(name)}?offset=-1&live=sse`);
  await until("the first event", () => seen.data.length === 1);
  await fixture.server.restartChild("router");
  await streams().append(name, "after");
  await until("the rest", () => seen.data.join("") === "before after", 15_000);
  seen.source.close();
});
