// Types with the suffix "+json" (RFC 6839) are JSON: bodies are messages, and offsets count them.

import { expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, freshName, place } from "../lib/streams.mjs";

const fixture = useServer();
const streams = () => new Streams(fixture.server);

test.each([
  ["application/vnd.api+json", "application/vnd.api+json"],
  ["Application/CloudEvents+JSON; charset=utf-8", "application/cloudevents+json"],
  ["text/x.y+json", "TEXT/x.y+json;a=b"],
])("%s is a JSON stream", async (type, same) => {
  const name = await streams().fresh("suffix", { type, body: '[{"a": 1},2]' });
  expect((await streams().append(name, " [3, [4]] ", { type: same })).next).toEqual(place(4));
  expect((await streams().produce(name, '"5"', { seq: 0, type })).status).toBe(200);
  expect((await streams().produce(name, '"5"', { seq: 0, type })).status).toBe(204);
  expect((await streams().append(name, "[1,", { type })).json().code).toBe("INVALID_JSON");
  expect((await streams().append(name, "[]", { type })).json().code).toBe("EMPTY_JSON_ARRAY");
  expect((await streams().append(name, "1", { type: "application/json" })).json().code).toBe("CONTENT_TYPE_MISMATCH");
  const all = await streams().read(name, { offset: "-1" });
  expect(all.headers.get("content-type")).toBe(type);
  expect(all.json()).toEqual([{ a: 1 }, 2, 3, [4], "5"]);
  expect((await streams().read(name, { offset: streams().at(name, 3) })).json()).toEqual([[4], "5"]);
  const reader = EventReader.open(streams().url(name), { query: { offset: streams().at(name, 4) } });
  await reader.upToDate();
  expect(reader.headers["stream-sse-data-encoding"]).toBeUndefined();
  expect(JSON.parse(reader.data[0])).toEqual(["5"]);
  reader.close();
});

test("a fork and an estuary of such a stream hold messages", async () => {
  const type = "application/vnd.api+json";
  const source = await streams().fresh("suffix", { type, body: "[1,2]" });
  const fork = freshName("suffix");
  expect((await streams().fork(fork, source)).next).toEqual(place(2));
  expect((await streams().append(fork, "[3]", { type })).next).toEqual(place(3));
  expect((await streams().read(fork, { offset: "-1" })).json()).toEqual([1, 2, 3]);

  const estuary = freshName("suffix");
  const subscribed = await fetch(`${fixture.server.url}/v1/estuary/subscribe/${source}`, {
    method: "POST",
    body: JSON.stringify({ estuaryId: estuary.split("/")[1], envelope: true }),
  });
  expect(subscribed.status).toBe(200);
  await streams().append(source, "[4,5]", { type });
  const got = (await streams().read(estuary, { offset: "-1" })).json();
  expect(got.map(({ data }) => data)).toEqual([4, 5]);
});
