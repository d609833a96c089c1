// Expiry, awake and while the server was down.

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const fixture = useServer();
const streams = () => new Streams(fixture.server);
const statusOf = async (name) => (await streams().head(name)).status;
const inSeconds = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();

test("a TTL slides with reads and writes and not with HEAD", async () => {
  const [read, written, asked] = await Promise.all(
    [0, 1, 2].map(() => streams().fresh("ttl", { body: "x", headers: { "stream-ttl": "6" } })),
  );
  await until("the one that is only asked for to expire", async () => {
    const renewed = await Promise.all([streams().read(read, { offset: "-1" }), streams().append(written, "x")]);
    expect(renewed.map(({ status }) => status)).toEqual([200, 204]);
    return (await statusOf(asked)) === 404;
  });
  expect(await Promise.all([read, written].map(statusOf))).toEqual([200, 200]);
  await until("the others to expire", async () => (await statusOf(read)) === 404 && (await statusOf(written)) === 404);
});

test("an expiry does not slide", async () => {
  const name = await streams().fresh("expires", { body: "x", headers: { "stream-expires-at": inSeconds(1.5) } });
  await until("the stream to expire", async () => (await streams().read(name)).status === 404, 3000);
});

test("the expiry is given back as it came", async () => {
  const text = "2099-01-02T03:04:05.678+01:30";
  const name = await streams().fresh("expires", { headers: { "stream-expires-at": text } });
  expect((await streams().head(name)).headers.get("stream-expires-at")).toBe(text);
});

test("a name is free again after expiry", async () => {
  const name = await streams().fresh("ttl", { body: "old", headers: { "stream-ttl": "1" } });
  await until("a new stream", async () => (await streams().create(name, { type: "text/html", body: "new" })).status === 201);
  expect((await streams().readAll(name)).bytes.toString()).toBe("new");
});

test("a reader at the tail is ended when the stream expires", async () => {
  const name = await streams().fresh("expires", { body: "x", headers: { "stream-expires-at": inSeconds(1.5) } });
  const reader = EventReader.open(streams().url(name), { query: { offset: "-1" } });
  await reader.end();
  expect(reader.data.join("")).toBe("x");
});

describe.skipIf(!OWNED)("over restarts", () => {
  test("TTL and expiry count on while the server is down", async () => {
    const headers = (name, value) => ({ body: "x", headers: { [name]: value } });
    const short = await streams().fresh("ttl", headers("stream-ttl", "2"));
    const long = await streams().fresh("ttl", headers("stream-ttl", "1000"));
    const soon = await streams().fresh("expires", headers("stream-expires-at", inSeconds(2)));
    const never = await streams().fresh("ever", { body: "x" });
    await fixture.server.stop();
    await sleep(2500);
    await fixture.server.start();
    expect(await Promise.all([short, long, soon, never].map(statusOf))).toEqual([404, 200, 404, 200]);
    expect((await streams().head(long)).headers.get("stream-ttl")).toBe("1000");
  });

  test("a write before a crash has renewed the TTL", async () => {
    const name = await streams().fresh("ttl", { body: "x", headers: { "stream-ttl": "1000" } });
    await sleep(3000);
    const renewed = Date.now();
    expect((await streams().append(name, "y")).status).toBe(204);
    await fixture.server.kill();
    await fixture.server.start();
    const { expiresInSeconds } = (await call(`${fixture.server.url}/v1/streams/${name}`)).json();
    expect(expiresInSeconds).toBeGreaterThanOrEqual(Math.floor(1000 - (Date.now() - renewed) / 1000) - 1);
    expect((await streams().readAll(name)).bytes.toString()).toBe("xy");
  });
});
