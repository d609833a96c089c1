// Lives: an offset is never answered with bytes of another stream that has its stream's name.

import { connect } from "node:net";

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { nameOnShard } from "../lib/layout.mjs";
import { OWNED } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { START, Streams, call, freshName, place, positionOf } from "../lib/streams.mjs";
import { until } from "../lib/wait.mjs";

const SHARDS = 2;
const JSON_TYPE = "application/json";
const fixture = useServer({ settings: { "shard.count": SHARDS, "shard.flush_idle": "50ms" } });
const streams = () => new Streams(fixture.server);
const lifeOf = (answer) => Number(answer.headers.get("stream-incarnation"));

// A stream that was deleted and created again: its name and what is known of both lives.
async function recreated(first, second, options) {
  const name = freshName("again");
  const made = await streams().create(name, { ...options, body: first });
  expect(made.status).toBe(201);
  const page = await streams().read(name);
  expect((await streams().remove(name)).status).toBe(204);
  const again = await streams().create(name, { ...options, body: second });
  expect(again.status).toBe(201);
  return { name, old: page.next, etag: page.headers.get("etag"), lives: [lifeOf(made), lifeOf(again)], tail: again.next };
}

function expectRecreated(answer, earliest) {
  expect([answer.status, answer.json().code]).toEqual([410, "STREAM_RECREATED"]);
  expect(answer.headers.get("stream-earliest-offset")).toEqual(earliest);
}

describe("a stream that was deleted and created again", () => {
  test("answers its old offsets with 410, in every way of reading", async () => {
    const { name, old, lives, tail } = await recreated("EWNEW", "NEWNEWNEW");
    for (const query of [
      { offset: old },
      { offset: old, limit: "1" },
      { offset: old, live: "long-poll" },
      { offset: old, live: "sse" },
      { before: old, n: "1" },
    ]) {
      const answer = await streams().read(name, query);
      expectRecreated(answer, place(0));
      expect(lifeOf(answer)).toBe(lives[1]);
    }
    expect(lives[1]).toBeGreaterThan(lives[0]);
    const earliest = (await streams().read(name, { offset: old })).headers.get("stream-earliest-offset");
    expect((await streams().read(name, { offset: earliest })).text).toBe("NEWNEWNEW");
    for (const offset of ["-1", START]) expect((await streams().read(name, { offset })).text).toBe("NEWNEWNEW");
    expect(tail > old).toBe(true); // offsets sort as text, also over lives
  });

  test("answers an old offset of its start as any other old one", async () => {
    const name = await streams().fresh("empty");
    const { next } = await streams().head(name);
    await streams().remove(name);
    await streams().create(name, { body: "new" });
    expectRecreated(await streams().read(name, { offset: next }), place(0));
  });

  test("has other entity tags, and answers other bytes", async () => {
    const { name, etag } = await recreated("same length", "other bytes");
    const answer = await streams().read(name, {}, { "if-none-match": etag });
    expect([answer.status, answer.text]).toEqual([200, "other bytes"]);
  });

  test("ten times at once has ten lives", async () => {
    const name = freshName("fast");
    const seen = new Set();
    for (let i = 0; i < 10; i++) {
      seen.add(lifeOf(await streams().create(name)));
      await streams().remove(name);
    }
    expect(seen.size).toBe(10);
  });

  test("has another life when it has expired, too", async () => {
    const name = await streams().fresh("ttl", { headers: { "stream-ttl": "1" }, body: "first" });
    const { next } = await streams().head(name);
    await until("its end", async () => (await streams().head(name)).status === 404, 10_000);
    await streams().create(name, { body: "second life" });
    expectRecreated(await streams().read(name, { offset: next }), place(0));
  });

  test.skipIf(!OWNED)("and a process that dies gives no life twice", async () => {
    const { server } = fixture;
    const name = nameOnShard(server, 0, "dies");
    const lives = [];
    for (let i = 0; i < 3; i++) {
      lives.push(lifeOf(await streams().create(name, { body: `${i}` })));
      await streams().remove(name);
      await server.restartChild("shard", 0);
    }
    expect(lives).toEqual([...new Set(lives)].sort((a, b) => a - b));
  });
});

describe("live readers of a stream that is deleted and created again", () => {
  test("at the tail end, and are told 410 when they come back", async () => {
    const name = await streams().fresh("live", { body: "old" });
    const events = EventReader.open(streams().url(name), { query: { offset: "-1" } });
    await events.upToDate();
    const mine = events.offset;
    const poll = streams().longPoll(name, mine);
    await until("both", async () => (await call(`${fixture.server.url}/health`)).status === 200);
    await streams().remove(name);
    await streams().create(name, { body: "new stream" });
    await events.end();
    expect([404, 410]).toContain((await poll).status);
    expect(events.data).toEqual(["old"]);
    expect(events.controls.at(-1)).toMatchObject({ streamDeleted: true, streamNextOffset: mine });
    const id = { "last-event-id": events.offset };
    const back = await call(`${streams().url(name)}?offset=-1&live=sse`, "GET", { headers: id });
    expectRecreated(back, place(0));
  });

  // Its client does not read, so that it is behind when the stream goes.
  test("behind are told so by a control event that keeps their place", async () => {
    const name = await streams().fresh("behind");
    for (let i = 0; i < 24; i++) await streams().append(name, `${i % 10}`.repeat(1_000_000));
    const { hostname, port } = new URL(fixture.server.url);
    const socket = connect(Number(port), hostname);
    socket.pause();
    socket.write(`GET ${streams().path(name)}?offset=-1&live=sse HTTP/1.1\r\nHost: x\r\n\r\n`);
    await new Promise((resolve) => setTimeout(resolve, 500)); // what fits into buffers is on its way
    await streams().remove(name);
    const { next } = await streams().create(name, { body: "another stream" });
    let text = "";
    socket.on("data", (part) => (text += part));
    socket.resume();
    await until("its end", () => /"streamRecreated":true/.test(text) || socket.readyState === "closed", 30_000);
    socket.destroy();
    const last = JSON.parse(text.slice(text.lastIndexOf("event: control")).match(/^data:(.*)$/m)[1]);
    expect(last).toMatchObject({ streamRecreated: true, streamEarliestOffset: `${next.slice(0, 17)}${START.slice(17)}` });
    expect(text).not.toContain("another");
    expect(positionOf(last.streamNextOffset)).toBeGreaterThan(0);
    expectRecreated(await streams().read(name, { offset: last.streamNextOffset }), place(0));
  });
});

describe("forks", () => {
  const sourceAndFork = async (headers) => {
    const source = OWNED ? nameOnShard(fixture.server, 0, "source") : freshName("source");
    const fork = OWNED ? nameOnShard(fixture.server, 1, "fork") : freshName("fork");
    await streams().create(source, { body: "0123456789" });
    expect((await streams().fork(fork, source, headers)).status).toBe(201);
    return [source, fork];
  };

  test("take their source's offsets up to the fork, and not those behind it", async () => {
    const [source, fork] = await sourceAndFork({ at: 6 });
    await streams().append(fork, "FORK");
    for (const at of [0, 1, 6]) {
      const answer = await streams().read(fork, { offset: streams().at(source, at) });
      expect([answer.status, answer.text]).toEqual([200, "012345FORK".slice(at)]);
    }
    expectRecreated(await streams().read(fork, { offset: streams().at(source, 7) }), place(0));
    expectRecreated(await streams().read(source, { offset: streams().at(fork, 7) }), place(0)); // nor the fork's own
  });

  test("have offsets that sort, from the source's to their own", async () => {
    const [source, fork] = await sourceAndFork({ at: 6 });
    const tail = (await streams().head(fork)).next;
    expect(tail > streams().at(source, 6)).toBe(true); // a fork tells its own life only
    const offsets = [streams().at(source, 6), tail];
    for (let i = 0; i < 3; i++) offsets.push((await streams().append(fork, "x")).next);
    expect([...offsets].sort()).toEqual(offsets);
    const again = freshName("again");
    expect((await streams().fork(again, fork)).status).toBe(201);
    offsets.push((await streams().append(again, "y")).next);
    expect([...offsets].sort()).toEqual(offsets);
    expect((await streams().read(again, { offset: offsets[2] })).text).toBe("xxy");
    const early = freshName("early"); // in front of where its source's own bytes begin
    expect((await streams().fork(early, fork, { "stream-fork-offset": streams().at(fork, 4) })).status).toBe(201);
    await streams().append(early, "EARLY");
    for (const offset of [streams().at(source, 3), streams().at(fork, 3), streams().at(early, 3)])
      expect((await streams().read(early, { offset })).text).toBe("3EARLY");
  });

  test("of one source on one path are told apart, also in what they have from it", async () => {
    const [source, fork] = await sourceAndFork({ at: 6 });
    const { next } = await streams().head(fork);
    await streams().remove(fork);
    expect((await streams().fork(fork, source, { at: 8 })).status).toBe(201);
    expectRecreated(await streams().read(fork, { offset: next }), place(0));
    expect((await streams().read(fork, { offset: streams().at(source, 6) })).text).toBe("67");
  });

  test("are not made at a place of a life that is over", async () => {
    const { name, old } = await recreated("EWNEW", "NEWNEWNEW");
    const refused = await streams().fork(freshName("late"), name, { "stream-fork-offset": old });
    expectRecreated(refused, place(0));
  });
});

test("an envelope's offset is one of its source", async () => {
  const project = "lives";
  const headers = { "content-type": JSON_TYPE };
  const address = (name) => `${fixture.server.url}/v1/stream/${project}/${name}`;
  await call(address("source"), "PUT", { headers });
  const body = JSON.stringify({ estuaryId: "user", envelope: true });
  const subscribed = await call(`${fixture.server.url}/v1/estuary/subscribe/${project}/source`, "POST", { headers, body });
  expect(subscribed.status).toBe(200);
  await call(address("source"), "POST", { headers, body: '[{"n":1},{"n":2}]' });
  let messages = [];
  await until("the envelopes", async () => (messages = (await call(address("user"))).json()).length === 2);
  const answer = await call(`${address("source")}?offset=${messages[0].offset}`);
  expect([answer.status, answer.json()]).toEqual([200, [{ n: 2 }]]);
});
