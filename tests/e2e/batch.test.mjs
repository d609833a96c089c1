// POST /v1/batch/{project}: appends to several streams in one commit, all or none.

import { createServer } from "node:http";

import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { shardOf } from "../lib/layout.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call, place } from "../lib/streams.mjs";
import { SLOW, until } from "../lib/wait.mjs";

const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const producer = (seq, { id = "p", epoch = 0 } = {}) => ({ id, epoch, seq });

let serial = 0;

// Streams of one group, and batches to them by their short names.
class Group {
  constructor(server, project = "test") {
    Object.assign(this, { server, project, streams: new Streams(server), group: `{${++serial}}` });
  }

  id = (name) => `${this.group}/${name}`;
  url = (name) => encodeURI(`${this.project}/${this.id(name)}`);

  async make(name, type = "text/plain", body) {
    expect((await this.streams.create(this.url(name), { type, body })).status).toBe(201);
    return this;
  }

  send(appends, headers) {
    const body = typeof appends === "string" ? appends : JSON.stringify({ appends });
    return call(`${this.server.url}/v1/batch/${this.project}`, "POST", { body, headers });
  }

  append(...appends) {
    return this.send(appends.map((one) => ({ ...one, stream: this.id(one.stream) })));
  }

  async text(name) {
    return (await this.streams.readAll(this.url(name))).bytes.toString();
  }
}

describe("batches", () => {
  const fixture = useServer({
    settings: { "shard.count": 3, "limits.batch_appends": 10, "limits.max_body": "1M", "server.restart_delay": "50ms" },
  });
  const group = () => new Group(fixture.server);

  test("append to streams of every type, and close them", async () => {
    const all = group();
    await all.make("text");
    await all.make("json", "application/json");
    await all.make("suffix", "application/vnd.x+json");
    await all.make("bytes", "application/octet-stream");
    await all.make("closed");
    const body = `{"appends": [
      {"stream": "${all.id("text")}", "data": "a\\n\\u00e9\\ud83d\\ude00\\u0000", "contentType": "Text/Plain; x=y"},
      {"stream": "${all.id("json")}", "data": [ 1.50, {"b" :12345678901234567890}, [] ]},
      {"stream": "${all.id("suffix")}", "data" : {"c":"\\u00e9"}, "close": true},
      {"stream": "${encodeURIComponent(all.id("bytes"))}", "dataBase64": "${base64([0, 255, 10])}", "close": false},
      {"close": true, "stream": "${all.id("closed")}"}]}`;
    const answer = await all.send(body);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("cache-control")).toBe("no-store");
    const name = (short) => encodeURIComponent(all.id(short)).replaceAll("%2F", "/");
    expect(answer.json()).toEqual({
      appends: [
        { stream: name("text"), nextOffset: place(9) },
        { stream: name("json"), nextOffset: place(3) },
        { stream: name("suffix"), nextOffset: place(1), closed: true },
        { stream: name("bytes"), nextOffset: place(3) },
        { stream: name("closed"), nextOffset: place(0), closed: true },
      ],
    });
    expect(await all.text("text")).toBe("a\né😀\0");
    expect(await all.text("json")).toBe('[1.50,{"b" :12345678901234567890},[]]');
    expect(await all.text("suffix")).toBe('[{"c":"\\u00e9"}]');
    expect([...(await all.streams.readAll(all.url("bytes"))).bytes]).toEqual([0, 255, 10]);
    expect((await all.streams.append(all.url("closed"), "x")).status).toBe(409);
    const encoded = await all.append({ stream: "json", dataBase64: base64("[4, 5]") });
    expect(encoded.json().appends[0].nextOffset).toEqual(place(5));
  });

  test("one that is refused refuses all, and is named", async () => {
    const all = group();
    for (const name of ["a", "b", "closed"]) await all.make(name);
    await all.make("json", "application/json");
    await all.append({ stream: "closed", data: "end", close: true });
    await all.append({ stream: "b", data: "0", producer: producer(0, { epoch: 3 }) });
    const good = { stream: "a", data: "x" };
    const ask = async (one) => (await all.append(good, one)).json();
    const b = encodeURIComponent(all.id("b")).replaceAll("%2F", "/");
    expect(await ask({ stream: "none", data: "x" })).toMatchObject({ code: "STREAM_NOT_FOUND", index: 1 });
    expect(await ask({ stream: "none", data: "x" })).not.toHaveProperty("nextOffset");
    expect(await ask({ stream: "closed", data: "x" })).toMatchObject({
      code: "STREAM_CLOSED",
      index: 1,
      stream: b.replace(/b$/, "closed"),
      nextOffset: place(3),
      closed: true,
    });
    expect(await ask({ stream: "b", data: "x", producer: producer(2, { epoch: 3 }) })).toMatchObject({
      code: "PRODUCER_SEQUENCE_GAP",
      index: 1,
      stream: b,
      nextOffset: place(1),
      expectedSeq: 1,
      receivedSeq: 2,
    });
    expect(await ask({ stream: "b", data: "x", producer: producer(0, { epoch: 2 }) })).toMatchObject({
      code: "STALE_PRODUCER_EPOCH",
      index: 1,
      producerEpoch: 3,
    });
    expect(await ask({ stream: "b", data: "x", contentType: "text/html" })).toMatchObject({
      code: "CONTENT_TYPE_MISMATCH",
      index: 1,
      error: expect.stringMatching(/^appends\[1\]: the stream is text\/plain/),
    });
    expect(await ask({ stream: "json", data: [] })).toMatchObject({ code: "EMPTY_JSON_ARRAY", index: 1 });
    expect(await ask({ stream: "json", dataBase64: base64("[1,") })).toMatchObject({ code: "INVALID_JSON", index: 1 });
    expect(await ask({ stream: "b", data: "" })).toMatchObject({ code: "EMPTY_BODY", index: 1 });
    for (const data of [{ a: 1 }, 1, null, ["x"], true])
      expect(await ask({ stream: "b", data })).toMatchObject({ code: "INVALID_BATCH", index: 1 });
    expect((await all.append({ stream: "none", data: "x" }, good)).json()).toMatchObject({ index: 0 });
    expect(await all.text("a")).toBe("");
    expect(await all.text("b")).toBe("0");
  });

  test.each(["stream-seq", "stream-closed", "stream-append", "producer-id", "producer-epoch", "producer-seq"])(
    "a header of one append is refused: %s",
    async (header) => {
      const all = await group().make("a");
      const answer = await all.send([{ stream: all.id("a"), data: "x" }], { [header]: "1" });
      expect([answer.status, answer.json().code]).toEqual([400, "INVALID_BATCH"]);
      expect(answer.json().error.toLowerCase()).toContain(header);
      expect(await all.text("a")).toBe("");
    },
  );

  test("a body that is none is refused, with its place", async () => {
    const all = group();
    await all.make("a");
    const one = `{"stream":"${all.id("a")}","data":"x"}`;
    for (const [body, why] of [
      ["", /body/],
      ["{", /not valid JSON/],
      [`{"appends":[${one}]} x`, /not valid JSON/],
      ["[]", /a batch must be a JSON object/],
      ["{}", /appends must be an array/],
      ['{"appends":{}}', /appends must be an array/],
      ['{"appends":[]}', /appends must not be empty/],
      [`{"appends":[${one}],"more":1}`, /'more' is no field of a batch/],
      [`{"appends":[${one}],"appends":[]}`, /the field 'appends' comes twice/],
      ['{"appends":[1]}', /appends\[0\]: an append must be a JSON object/],
      ['{"appends":[{"data":"x"}]}', /appends\[0\]: stream must be a string/],
      ['{"appends":[{"stream":"","data":"x"}]}', /appends\[0\]: stream must be the name of a stream/],
      ['{"appends":[{"stream":"a%2","data":"x"}]}', /appends\[0\]: stream 'a%2' is no name/],
      ['{"appends":[{"stream":"a\\u0000","data":"x"}]}', /appends\[0\]: stream .* is no name/],
      [`{"appends":[{"stream":"${"x".repeat(2000)}","data":"x"}]}`, /appends\[0\]: stream .* is too long/],
      ['{"appends":[{"stream":"a"}]}', /appends\[0\]: an append has data, dataBase64 or close/],
      ['{"appends":[{"stream":"a","close":false}]}', /appends\[0\]: an append has data/],
      ['{"appends":[{"stream":"a","close":1}]}', /close must be true or false/],
      ['{"appends":[{"stream":"a","data":"x","dataBase64":"eA=="}]}', /cannot be used together/],
      ['{"appends":[{"stream":"a","dataBase64":"?"}]}', /dataBase64 must be base64/],
      ['{"appends":[{"stream":"a","dataBase64":"eA==eA=="}]}', /dataBase64 must be base64/],
      ['{"appends":[{"stream":"a","dataBase64":"eHh4e"}]}', /dataBase64 must be base64/],
      ['{"appends":[{"stream":"a","dataBase64":"\\ud800"}]}', /dataBase64 must be a string/],
      ['{"appends":[{"stream":"a","dataBase64":""}]}', /appends\[0\]: the body is empty/],
      ['{"appends":[{"stream":"a","data":"x","contentType":"text"}]}', /appends\[0\]: Content-Type must be/],
      ['{"appends":[{"stream":"a","data":"x","producer":1}]}', /producer must be a JSON object/],
      ['{"appends":[{"stream":"a","data":"x","producer":{}}]}', /producer must have id, epoch and seq/],
      ['{"appends":[{"stream":"a","data":"x","producer":{"id":"p","epoch":0}}]}', /Producer-Seq is missing/],
      ['{"appends":[{"stream":"a","data":"x","producer":{"id":"","epoch":0,"seq":0}}]}', /Producer-Id must be 1 to/],
      ['{"appends":[{"stream":"a","data":"x","producer":{"id":"a\\n","epoch":0,"seq":0}}]}', /no control characters/],
      ['{"appends":[{"stream":"a","data":"x","producer":{"id":"p","epoch":"0","seq":0}}]}', /Producer-Epoch must be/],
      ['{"appends":[{"stream":"a","data":"x","producer":{"id":"p","epoch":0,"seq":-1}}]}', /Producer-Seq must be/],
      [`{"appends":[${one},${one.replace("/a", "%2fa")}]}`, /appends\[1\]: its stream is that of appends\[0\]/],
      [`{"appends":[${Array.from({ length: 11 }, (_, i) => one.replace("/a", `/${i}`))}]}`, /limits.batch_appends, 10/],
    ]) {
      const answer = await all.send(body);
      expect([body.slice(0, 100), answer.status, answer.json().error]).toEqual([
        body.slice(0, 100),
        400,
        expect.stringMatching(why),
      ]);
      const place = /^appends\[(\d+)\]/.exec(answer.json().error);
      expect(answer.json().index).toBe(place ? Number(place[1]) : undefined);
    }
    expect((await all.send(JSON.stringify({ appends: [{ stream: "a", data: "x".repeat(1 << 20) }] }))).status).toBe(413);
    expect(await all.text("a")).toBe("");
  });

  test("streams of different shards are refused", async () => {
    const all = group();
    await all.make("a");
    let other;
    for (let i = 0; !other; i++) {
      const name = `${serial}-${i}`;
      if (shardOf(fixture.server, `test/${name}`) !== shardOf(fixture.server, `test/${all.id("a")}`)) other = name;
    }
    await all.streams.create(`test/${other}`);
    const answer = await all.send([{ stream: all.id("a"), data: "x" }, { stream: other, data: "x" }]);
    expect([answer.status, answer.json()]).toMatchObject([409, { code: "CROSS_SHARD", index: 1 }]);
    expect(answer.json().error).toContain(`test/${other}`);
    expect(await all.text("a")).toBe("");
  });

  test("producers make a batch repeatable, as a whole", async () => {
    const all = group();
    for (const name of ["a", "b", "c"]) await all.make(name);
    const batch = (seq) => [
      { stream: "a", data: `${seq}`, producer: producer(seq) },
      { stream: "b", data: `${seq}`, producer: producer(seq, { id: "q" }) },
      { stream: "c", data: `${seq}` },
    ];
    const first = (await all.append(...batch(0))).json().appends;
    expect(first.map(({ duplicate, producer: p }) => [duplicate, p])).toEqual([
      [undefined, { epoch: 0, seq: 0 }],
      [undefined, { epoch: 0, seq: 0 }],
      [undefined, undefined],
    ]);
    const again = await all.append(...batch(0));
    expect(again.status).toBe(200);
    expect(again.json().appends.map(({ duplicate }) => duplicate)).toEqual([true, true, true]);
    expect((await all.append(...batch(1))).status).toBe(200);

    // Only some were done before: then this is another batch, and the rest is not done.
    const mixed = await all.append({ stream: "a", data: "2", producer: producer(2) }, batch(1)[1], batch(1)[2]);
    expect([mixed.status, mixed.json()]).toMatchObject([
      409,
      { code: "BATCH_PARTLY_DONE", index: 0, expectedSeq: 2, receivedSeq: 2 },
    ]);
    for (const name of ["a", "b", "c"]) expect(await all.text(name)).toBe("01");

    // A batch that was done is so also if its streams have moved on, but not if one is closed.
    await all.append({ stream: "c", close: true });
    expect((await all.append(...batch(1))).status).toBe(200);
    await all.append({ stream: "b", close: true });
    expect((await all.append(...batch(1))).json()).toMatchObject({ code: "STREAM_CLOSED", index: 1, closed: true });
    const last = { stream: "a", data: "2", producer: producer(2), close: true };
    for (const duplicate of [undefined, true])
      expect((await all.append(last)).json().appends).toMatchObject([{ closed: true, ...(duplicate && { duplicate }) }]);
    expect(await all.text("a")).toBe("012");
  });

  test("every expected offset must be the tail", async () => {
    const all = group();
    for (const name of ["a", "b"]) await all.make(name);
    const tail = async (name) => (await all.streams.head(all.url(name))).next;
    const batch = async (seq) => [
      { stream: "a", data: "x", expectedOffset: await tail("a") },
      { stream: "b", data: "x", expectedOffset: await tail("b"), producer: producer(seq) },
    ];
    const first = await batch(0);
    expect((await all.append(...first)).status).toBe(200);
    expect((await all.append(...first)).json().appends.map(({ duplicate }) => duplicate)).toEqual([true, true]);
    const second = await batch(1);
    await all.append({ stream: "a", data: "y" });
    const late = await all.append(...second);
    expect([late.status, late.json()]).toMatchObject([
      409,
      { code: "EXPECTED_OFFSET_CONFLICT", index: 0, nextOffset: await tail("a") },
    ]);
    expect(await all.text("b")).toBe("x");
    for (const expectedOffset of ["now", "-1", 1, null])
      expect((await all.append({ ...second[0], expectedOffset })).status).toBe(400);

    // Writers that race: each batch moves a pair of counters by one, or nothing.
    let won = 0;
    const write = async () => {
      for (let i = 0; i < 20; i++) {
        const expectedOffset = await tail("b");
        const { status } = await all.append({ stream: "a", data: "." }, { stream: "b", data: ".", expectedOffset });
        if (status === 200) won++;
        else expect(status).toBe(409);
      }
    };
    await Promise.all(Array.from({ length: 5 }, write));
    expect((await all.text("b")).length).toBe(1 + won);
    expect((await all.text("a")).length).toBe(2 + won);
  });

  test("live readers and estuaries get it like any append", async () => {
    const all = group();
    await all.make("a", "application/json");
    await all.make("b", "application/json");
    const estuary = `estuary-${serial}`;
    for (const name of ["a", "b"])
      await call(`${fixture.server.url}/v1/estuary/subscribe/${all.url(name)}`, "POST", {
        body: JSON.stringify({ estuaryId: estuary }),
      });
    const reader = EventReader.open(all.streams.url(all.url("b")), { query: { offset: "-1" } });
    await reader.upToDate();
    const answer = (await all.append({ stream: "a", data: 1 }, { stream: "b", data: [2, 3], close: true })).json();
    expect(answer.appends.map(({ fanoutCount }) => fanoutCount)).toEqual([1, 1]);
    await reader.see("the end", () => reader.controls.some(({ streamClosed }) => streamClosed));
    expect(JSON.parse(reader.data[0])).toEqual([2, 3]);
    reader.close();
    await until("the estuary", async () => {
      const got = (await all.streams.read(`test/${estuary}`, { offset: "-1" })).json();
      return got.toSorted().join() === "1,2,3";
    });
  });

  test.skipIf(!OWNED)("a shard that dies has done all of each batch or none", { timeout: 60_000 * SLOW }, async () => {
    const all = group();
    const names = ["a", "b", "c", "d"];
    for (const name of names) await all.make(name, "application/json");
    const shard = shardOf(fixture.server, `test/${all.id("a")}`);
    let done = 0;
    for (let round = 0; round < 5; round++) {
      const killed = fixture.server.restartChild("shard", shard);
      for (let i = 0; i < 40; i++) {
        const answer = await all.append(...names.map((stream) => ({ stream, data: done, producer: producer(done) })));
        if (answer.status === 200) done++;
        else expect(answer.status).toBe(503);
      }
      await killed;
      const read = await Promise.all(names.map((name) => all.text(name)));
      expect(new Set(read).size).toBe(1);
    }
    expect(JSON.parse(await all.text("a"))).toEqual(Array.from({ length: done }, (_, i) => i));
  });
});

describe.skipIf(!OWNED)("who may batch", () => {
  let server;
  const secrets = {};
  const now = () => Math.floor(Date.now() / 1000);
  const sign = (project, claims) =>
    new SignJWT({ sub: project, exp: now() + 600, ...claims })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secrets[project]));
  const bearer = async (project, claims) => ({ authorization: `Bearer ${await sign(project, claims)}` });

  beforeAll(async () => {
    server = await Server.start({ settings: { "auth.mode": "jwt" } });
    for (const project of ["acme", "other"]) secrets[project] = server.command("create-project", project).out;
  });
  afterAll(() => server.close());

  test("a token must be good for every stream", async () => {
    const all = new Group(server, "acme");
    const manager = await bearer("acme", { scope: "manage" });
    for (const name of ["a", "b"])
      await call(`${server.url}/v1/stream/${all.url(name)}`, "PUT", { headers: { ...manager, "content-type": "text/plain" } });
    const send = async (claims, project = "acme") => {
      const appends = ["a", "b"].map((name) => ({ stream: all.id(name), data: "x" }));
      const answer = await all.send(appends, await bearer(project, claims));
      return [answer.status, answer.json().code];
    };
    expect(await send({ scope: "write" })).toEqual([200, undefined]);
    expect(await send({ scope: "write", stream_id: `${all.group}/*` })).toEqual([200, undefined]);
    expect(await send({ scope: "write", stream_id: all.id("a") })).toEqual([403, "FORBIDDEN"]);
    expect(await send({ scope: "read" })).toEqual([403, "FORBIDDEN"]);
    expect((await send({ scope: "write" }, "other"))[0]).toBeGreaterThan(400);
    const bare = await all.send([{ stream: all.id("a"), data: "x" }]);
    expect([bare.status, bare.json().code]).toEqual([401, "UNAUTHORIZED"]);
  });

  test("each append counts in the project's quotas", async () => {
    const all = new Group(server, "other");
    const manager = await bearer("other", { scope: "manage" });
    const configure = (quotas) =>
      call(`${server.url}/v1/config/other`, "PUT", {
        headers: manager,
        body: JSON.stringify({ signingSecrets: [secrets.other], quotas }),
      });
    for (const name of ["a", "b", "c"])
      await call(`${server.url}/v1/stream/${all.url(name)}`, "PUT", { headers: { ...manager, "content-type": "text/plain" } });
    const send = async (data) =>
      all.send(["a", "b", "c"].map((name) => ({ stream: all.id(name), data })), manager);
    expect((await configure({ bytes: 100 })).status).toBe(200);
    expect((await send("x".repeat(40))).json()).toMatchObject({ code: "QUOTA_EXCEEDED" });
    expect((await send("x")).status).toBe(200);
    expect((await configure({ appendsPerSecond: 1 })).status).toBe(200);
    let refused;
    await until("the rate", async () => (refused = await send("x")).status === 429);
    expect(refused.json().error).toMatch(/appends a second/);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(1); // three appends to wait for
  });

  test("a callback is asked about the batch and about every stream", async () => {
    const asked = [];
    const judge = createServer(async (request, response) => {
      let body = "";
      for await (const piece of request) body += piece;
      const question = JSON.parse(body);
      asked.push(question);
      response.writeHead(question.stream === "secret" ? 403 : 200).end();
    });
    await new Promise((resolve) => judge.listen(0, "127.0.0.1", resolve));
    const other = await Server.start({
      settings: { "auth.mode": "callback", "auth.callback_url": `http://127.0.0.1:${judge.address().port}/`, "shard.count": 1 },
    });
    const streams = new Streams(other);
    for (const name of ["x/a", "x/b c"]) await streams.create(encodeURI(name));
    asked.length = 0;
    const send = (...ids) =>
      call(`${other.url}/v1/batch/x`, "POST", { body: JSON.stringify({ appends: ids.map((stream) => ({ stream, data: "x" })) }) });
    expect((await send("a", "b%20c")).status).toBe(200);
    expect(asked).toEqual([
      { method: "POST", path: "/v1/batch/x", project: "x" },
      { method: "POST", path: "/v1/stream/x/a", project: "x", stream: "a" },
      { method: "POST", path: "/v1/stream/x/b%20c", project: "x", stream: "b c" },
    ]);
    expect((await send("a", "secret")).json()).toMatchObject({ code: "FORBIDDEN" });
    expect((await streams.readAll("x/a")).bytes.toString()).toBe("x");
    await other.close();
    judge.close();
  });
});
