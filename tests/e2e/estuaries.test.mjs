// Estuaries: subscribing, what they get and when, the modes of fan-out, and how they end; over 1 and 4 shards.

import { DurableStream, stream as readStream } from "@durable-streams/client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { shardOf } from "../lib/layout.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const json = { "content-type": "application/json" };

// The estuaries of one project of a server.
class Estuaries {
  #serial = 0;

  constructor(server, project = "p") {
    Object.assign(this, { server, project, streams: new Streams(server) });
  }

  fresh(about = "s") {
    return `${about}-${++this.#serial}`;
  }

  name(id) {
    return `${this.project}/${id}`;
  }

  async source(type = "application/json", about = "source") {
    const id = this.fresh(about);
    expect((await this.streams.create(this.name(id), { type })).status).toBe(201);
    return id;
  }

  post(path, body, method = "POST", headers = json) {
    const text = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
    return call(`${this.server.url}/v1/estuary/${path}`, method, { headers, body: text });
  }

  async subscribe(source, estuaryId, more = {}) {
    return this.post(`subscribe/${this.project}/${source}`, { estuaryId, ...more });
  }

  unsubscribe(source, estuaryId) {
    return this.post(`subscribe/${this.project}/${source}`, { estuaryId }, "DELETE");
  }

  publish(source, body, type = "application/json") {
    return this.streams.append(this.name(source), typeof body === "string" ? body : JSON.stringify(body), { type });
  }

  async read(id) {
    const { bytes } = await this.streams.readAll(this.name(id));
    return JSON.parse(bytes.toString());
  }
}

const fanout = (answer) =>
  ["count", "mode", "successes", "failures"].map((name) => answer.headers.get(`stream-fanout-${name}`));

describe.skipIf(!OWNED).each([[1], [4]])("estuaries over %i shards", (shards) => {
  let server, all;
  beforeAll(async () => {
    server = await Server.start({
      settings: { "shard.count": shards, "router.workers": 2, "shard.flush_idle": "200ms", "fanout.depth": 3, "fanout.inline_timeout": "1m" },
    });
    all = new Estuaries(server);
  });
  afterAll(() => server.close());

  test("the seed's example", async () => {
    const source = await all.source();
    await all.publish(source, { before: true });
    for (const user of ["user-alice", "user-bob"]) {
      const answer = await all.subscribe(source, user);
      expect(answer.status).toBe(200);
      expect(answer.json()).toEqual({
        estuaryId: user,
        streamId: source,
        estuaryStreamPath: `/v1/stream/p/${user}`,
        expiresAt: expect.any(Number),
        isNewEstuary: true,
      });
      expect(Math.abs(answer.json().expiresAt - Date.now() - 86_400_000)).toBeLessThan(60_000);
    }
    const message = { type: "alert", message: "System maintenance in 10 minutes" };
    const published = await all.publish(source, message);
    expect([published.status, ...fanout(published)]).toEqual([204, "2", "inline", "2", "0"]);
    for (const user of ["user-alice", "user-bob"]) expect(await all.read(user)).toEqual([message]);
    expect((await all.post("p/user-alice", undefined, "GET")).json()).toEqual({
      estuaryId: "user-alice",
      estuaryStreamPath: "/v1/stream/p/user-alice",
      subscriptions: [{ streamId: source }],
      contentType: "application/json",
    });
    expect((await all.subscribe(source, "user-alice")).json()).toMatchObject({ isNewEstuary: false });
    expect((await all.unsubscribe(source, "user-alice")).json()).toMatchObject({
      estuaryId: "user-alice",
      streamId: source,
      unsubscribed: true,
    });
    expect(fanout(await all.publish(source, { n: 2 }))).toEqual(["1", "inline", "1", "0"]);
    expect(await all.read("user-alice")).toEqual([message]);
    expect(await all.read("user-bob")).toEqual([message, { n: 2 }]);
    const deleted = await all.post("p/user-bob", undefined, "DELETE");
    expect([deleted.status, deleted.json()]).toEqual([200, { estuaryId: "user-bob", deleted: true }]);
    expect((await all.streams.read("p/user-bob")).status).toBe(404);
    expect((await all.post("p/user-bob", undefined, "DELETE")).status).toBe(200);
    await until("nobody to be subscribed", async () => fanout(await all.publish(source, {}))[0] === null);
  });

  test("many sources, many estuaries: each gets its own, in each source's order", async () => {
    const sources = await Promise.all(Array.from({ length: 6 }, () => all.source()));
    const estuaries = Array.from({ length: 12 }, () => all.fresh("reader"));
    const wants = new Map();
    for (const [i, estuary] of estuaries.entries()) {
      wants.set(
        estuary,
        sources.filter((_, j) => (i >> (j % 4)) & 1 || j === i % 6),
      );
      const answer = await all.post("subscribe/p", { estuaryId: estuary, streams: wants.get(estuary) });
      expect(answer.json()).toMatchObject({
        isNewEstuary: true,
        subscriptions: wants.get(estuary).map((streamId) => ({ streamId, subscribed: true })),
      });
    }
    await Promise.all(
      sources.map(async (source) => {
        for (let n = 0; n < 30; n++)
          expect(
            (
              await all.publish(
                source,
                n % 3
                  ? { source, n }
                  : [
                      { source, n, part: 0, pad: "x".repeat(200) },
                      { source, n, part: 1 },
                    ],
              )
            ).status,
          ).toBe(204);
      }),
    );
    const expected = (source) =>
      Array.from({ length: 30 }, (_, n) =>
        n % 3
          ? [[n]]
          : [
              [n, 0],
              [n, 1],
            ],
      )
        .flat()
        .map((key) => [source, ...key]);
    for (const settled of [false, true]) {
      for (const [estuary, of] of wants) {
        const got = await all.read(estuary);
        for (const source of sources) {
          const mine = got
            .filter((m) => m.source === source)
            .map((m) => [m.source, m.n, ...("part" in m ? [m.part] : [])]);
          expect(mine).toEqual(of.includes(source) ? expected(source) : []);
        }
      }
      if (!settled) await sleep(600);
    }
  });

  test("an envelope says where each message is from, and one can resume there", async () => {
    const source = await all.source();
    const [plain, wrapped] = [all.fresh(), all.fresh()];
    await all.subscribe(source, plain);
    expect((await all.subscribe(source, wrapped, { envelope: true })).status).toBe(200);
    await all.publish(source, [1, "two", { three: [3] }]);
    await all.publish(source, null);
    const got = await all.read(wrapped);
    expect(got.map(({ data }) => data)).toEqual([1, "two", { three: [3] }, null]);
    expect(await all.read(plain)).toEqual([1, "two", { three: [3] }, null]);
    expect(new Set(got.map(({ stream }) => stream))).toEqual(new Set([source]));
    const rest = await all.streams.read(all.name(source), { offset: got[1].offset });
    expect(rest.json()).toEqual([{ three: [3] }, null]);
    const bytes = await all.source("text/plain");
    expect((await all.subscribe(bytes, all.fresh(), { envelope: true })).status).toBe(400);
    expect((await all.subscribe(source, all.fresh(), { envelope: 1 })).status).toBe(400);
  });

  test("bytes go as bytes, large ones too", async () => {
    const source = await all.source("application/octet-stream");
    const estuaries = [all.fresh(), all.fresh(), all.fresh()];
    for (const estuary of estuaries) await all.subscribe(source, estuary);
    let sent = "";
    for (let i = 0; i < 20; i++) {
      const piece = `${i}:`.repeat(i % 4 ? 10 : 30_000);
      sent += piece;
      expect((await all.publish(source, piece, "application/octet-stream")).status).toBe(204);
    }
    for (const wait of [0, 500]) {
      await sleep(wait);
      for (const estuary of estuaries)
        expect((await all.streams.readAll(all.name(estuary))).bytes.toString()).toBe(sent);
    }
  });

  test("the official client reads by catch-up, long-poll and events", async () => {
    const source = await all.source();
    const estuary = all.fresh();
    await all.subscribe(source, estuary);
    const url = `${server.url}/v1/stream/p/${estuary}`;
    await all.publish(source, { n: 0 });
    const once = await readStream({ url, offset: "-1", live: false });
    expect(await once.json()).toEqual([{ n: 0 }]);
    for (const live of ["long-poll", "sse"]) {
      const got = [];
      const abort = new AbortController();
      const response = await readStream({ url, offset: "now", live, signal: abort.signal });
      response.subscribeJson(async (batch) => void got.push(...batch.items));
      await sleep(200);
      for (let n = 0; n < 20; n++) await all.publish(source, { live, n });
      await until("all of it", () => got.length >= 20);
      expect(got).toEqual(Array.from({ length: 20 }, (_, n) => ({ live, n })));
      abort.abort();
    }
    const handle = new DurableStream({ url, contentType: "application/json" });
    await handle.append(JSON.stringify({ own: true })); // an estuary is a stream like any other
    expect((await all.read(estuary)).at(-1)).toEqual({ own: true });
  });

  test("an SSE reader hears of a delivery", async () => {
    const source = await all.source();
    const estuary = all.fresh();
    await all.subscribe(source, estuary);
    const reader = new EventReader(`${server.url}/v1/stream/p/${estuary}?live=sse&offset=now`);
    await reader.upToDate();
    await all.publish(source, { heard: 1 });
    await reader.see("the message", () => reader.data.length === 1);
    expect(JSON.parse(reader.data[0])).toEqual([{ heard: 1 }]);
    reader.close();
  });

  test("sources and estuaries are streams of any name", async () => {
    const names = ["chat/1", "room%20b", "caf%C3%A9", "%FF%FE", "a%25b", "touch", "x/touch", "subscribe/x", "q%22%5C"];
    for (const [i, source] of names.entries()) {
      const estuary = `of/${names[(i + 1) % names.length]}`;
      expect((await all.streams.create(`p/${source}`, { type: "application/json" })).status).toBe(201);
      const answer = await all.subscribe(source, estuary, { envelope: true });
      expect(answer.json()).toMatchObject({ estuaryId: estuary, streamId: source, estuaryStreamPath: `/v1/stream/p/${estuary}` });
      const many = await all.post("subscribe/p", { estuaryId: estuary, streams: [source] });
      expect(many.json().subscriptions).toEqual([{ streamId: source, subscribed: true }]);
      await all.publish(source, { n: i });
      const [{ stream, data }] = await until("the message", async () => {
        const messages = await all.read(estuary);
        return messages.length && messages;
      });
      expect([stream, data]).toEqual([source, { n: i }]);
      const look = await all.post(`p/${estuary}`, undefined, "GET");
      expect(look.json()).toMatchObject({ estuaryId: estuary, subscriptions: [{ streamId: source }] });
      expect((await all.post(`p/${estuary}/touch`)).json()).toMatchObject({ estuaryId: estuary });
      expect((await all.unsubscribe(source, estuary)).json()).toMatchObject({ estuaryId: estuary, streamId: source });
      expect((await all.post(`p/${estuary}`, undefined, "DELETE")).json()).toEqual({ estuaryId: estuary, deleted: true });
    }
  });

  test("a name in a body may be spelled out", async () => {
    const source = await all.source();
    for (const [literal, encoded] of [["room b", "room%20b"], ["café", "caf%C3%A9"], ["a?b#c&", "a%3Fb%23c%26"]]) {
      const estuary = `${all.fresh()} ${literal}`;
      expect((await all.subscribe(source, estuary)).json().estuaryId).toBe(estuary.replace(literal, encoded).replace(" ", "%20"));
      const again = await all.subscribe(source, estuary.replace(literal, encoded));
      expect(again.json()).toMatchObject({ isNewEstuary: false });
    }
    const bytes = Buffer.from('{"estuaryId":"caf\xe9"}', "latin1"); // no JSON, which is UTF-8
    const answer = await call(`${server.url}/v1/estuary/subscribe/p/${source}`, "POST", { headers: json, body: bytes });
    expect([answer.status, answer.json().code]).toEqual([400, "INVALID_SUBSCRIPTION"]);
  });

  test("a project may be called subscribe", async () => {
    const project = new Estuaries(server, "subscribe");
    const [source, estuary] = [await project.source(), project.fresh("e")];
    expect((await project.subscribe(source, estuary)).status).toBe(200);
    for (const path of [`subscribe/${estuary}`, `%73ubscribe/${estuary}`])
      expect((await project.post(path, undefined, "GET")).json().subscriptions).toEqual([{ streamId: source }]);
    expect((await project.post(`%73ubscribe/${estuary}/touch`)).status).toBe(200);
    expect((await project.post(`subscribe/${estuary}`, undefined, "DELETE")).json().deleted).toBe(true);
  });

  test("an estuary has the type that was asked for, or its first source's; others must be the same but for parameters", async () => {
    const source = await all.source("application/json; a=1");
    const [own, taken] = [all.fresh("e"), all.fresh("e")];
    expect((await all.subscribe(source, own, { contentType: "Application/JSON;b=2" })).status).toBe(200);
    expect((await all.subscribe(source, taken)).status).toBe(200);
    for (const [estuary, type] of [[own, "Application/JSON;b=2"], [taken, "application/json; a=1"]]) {
      expect((await all.post(`p/${estuary}`, undefined, "GET")).json().contentType).toBe(type);
      expect((await all.streams.head(all.name(estuary))).headers.get("content-type")).toBe(type);
      expect((await all.subscribe(await all.source("application/json"), estuary)).status).toBe(200);
    }
    const [text, e] = [await all.source("text/plain; x=y"), all.fresh("e")];
    const why = "the stream is text/plain; x=y; this estuary is application/json; a=1";
    expect((await all.subscribe(text, taken)).json()).toEqual({ code: "CONTENT_TYPE_MISMATCH", error: why });
    const many = await all.post("subscribe/p", { estuaryId: taken, streams: [text, "nowhere"] });
    expect(many.json().subscriptions.map(({ error }) => error)).toEqual([why, "stream not found"]);
    expect((await all.subscribe(text, taken, { contentType: "text/plain" })).json().error).toBe(
      "the stream is application/json; a=1; this contentType is text/plain");
    expect((await all.subscribe(text, e, { envelope: true })).json().error).toMatch(/envelopes need .*application\/json.*text\/plain; x=y/);
  });

  test("refusals", async () => {
    const source = await all.source();
    const text = await all.source("text/plain");
    const estuary = all.fresh();
    expect((await all.subscribe("nowhere", estuary)).json().code).toBe("STREAM_NOT_FOUND");
    expect((await all.subscribe("nowhere", estuary)).status).toBe(404);
    expect((await all.streams.head(all.name(estuary))).status).toBe(404);
    await all.subscribe(source, estuary);
    const mismatch = await all.subscribe(text, estuary);
    expect([mismatch.status, mismatch.json().code]).toEqual([409, "CONTENT_TYPE_MISMATCH"]);
    expect((await all.subscribe(source, estuary, { contentType: "text/plain" })).status).toBe(409);
    expect((await all.subscribe(source, all.fresh(), { contentType: "text/plain" })).status).toBe(409);
    expect((await all.subscribe(source, all.fresh(), { contentType: "Application/JSON; charset=utf-8" })).status).toBe(
      200,
    );
    for (const body of [
      "",
      "{",
      "[]",
      "{}",
      { estuaryId: 7 },
      { estuaryId: "" },
      { estuaryId: "%" },
      { estuaryId: "a%0ab" },
      { estuaryId: "." },
      { estuaryId: "a/../b" },
      { estuaryId: "%2E%2e" },
      { estuaryId: estuary, streams: ["x"] },
      { estuaryId: estuary, envelop: true },
      `{"estuaryId":"${estuary}","estuaryId":"other"}`,
      { estuaryId: estuary, contentType: 1 },
      { estuaryId: estuary, contentType: "x" },
      { estuaryId: source },
    ]) {
      const answer = await all.post(`subscribe/p/${source}`, body);
      expect([body, answer.status, answer.json().code]).toEqual([body, 400, "INVALID_SUBSCRIPTION"]);
    }
    for (const streams of [undefined, [], "x", [1], ["%"], [""], Array(1001).fill("x"), [estuary]])
      expect((await all.post("subscribe/p", { estuaryId: estuary, streams })).status).toBe(400);
    expect((await all.post(`p/${source}`, undefined, "GET")).json().code).toBe("ESTUARY_NOT_FOUND");
    expect((await all.post("p/nowhere", undefined, "GET")).status).toBe(404);
    expect((await all.post("p/nowhere/touch")).status).toBe(404);
    expect((await all.post(`p/${source}`, undefined, "DELETE")).status).toBe(404);
    expect((await all.streams.head(all.name(source))).status).toBe(200);
    expect((await all.unsubscribe(source, "nobody")).status).toBe(200);
    expect((await all.post("p/a%20b", undefined, "GET")).json().code).toBe("ESTUARY_NOT_FOUND");
    expect((await all.post("p/a%0ab", undefined, "GET")).status).toBe(400);
    expect((await all.post(`p/${estuary}`, undefined, "PUT")).status).toBe(405);
  });

  test("chains are followed, to a depth; circles are refused", async () => {
    const first = await all.source();
    const names = [first];
    for (let i = 0; i < 3; i++) {
      names.push(all.fresh("link"));
      expect((await all.subscribe(names[i], names[i + 1])).status).toBe(200);
    }
    await all.publish(first, { n: 1 });
    for (const name of names.slice(1))
      await until("the end of the chain", async () => (await all.read(name)).length === 1);
    const deep = await all.subscribe(names[3], all.fresh());
    expect([deep.status, deep.json().code]).toEqual([409, "SUBSCRIPTIONS_TOO_DEEP"]);
    for (const [source, estuary] of [
      [names[3], names[1]],
      [names[2], names[1]],
      [names[1], first],
      [names[3], first],
    ]) {
      const circle = await all.subscribe(source, estuary);
      expect([source, estuary, circle.status, circle.json().code]).toEqual([
        source,
        estuary,
        409,
        "SUBSCRIPTION_CIRCLE",
      ]);
    }
    const [a, b] = [await all.source(), await all.source()];
    const both = await Promise.all([all.subscribe(a, b), all.subscribe(b, a)]);
    expect(both.filter(({ status }) => status === 200).length).toBeLessThan(2);
    await all.publish(a, 1);
    await all.publish(b, 2);
    await sleep(200);
    expect((await all.read(a)).length + (await all.read(b)).length).toBeLessThanOrEqual(3);
    await all.publish(names[0], { n: 2 });
    for (const name of names.slice(1))
      await until("the end of the chain", async () => (await all.read(name)).length === 2);
  });

  test("a subscription in force stays when it is asked for again, however long the chain above has become", async () => {
    const [above, source, estuary] = [await all.source(), await all.source(), all.fresh("e")];
    expect((await all.subscribe(source, estuary)).status).toBe(200);
    let top = source;
    for (let i = 0; i < 4; i++) {
      const next = i === 3 ? above : await all.source();
      expect((await all.subscribe(next, top)).status).toBe(200);
      top = next;
    }
    expect((await all.subscribe(source, all.fresh("e"))).json().code).toBe("SUBSCRIPTIONS_TOO_DEEP");
    expect((await all.subscribe(source, estuary)).status).toBe(200);
    await all.publish(source, { still: "there" });
    await until("it", async () => (await all.read(estuary)).length === 1);
  });

  test("bodies with something behind the document, and ids that no path could have, are refused", async () => {
    const source = await all.source();
    const cut = await all.post(`subscribe/p/${source}`, '{"estuaryId":"e\\u0000f"}');
    expect(cut.status).toBe(400);
    for (const tail of ["x", "\0", " {}", "\0\0"]) {
      const answer = await call(`${server.url}/v1/estuary/subscribe/p/${source}`, "POST", {
        headers: { "content-type": "application/json" },
        body: `{"estuaryId":"e"}${tail}`,
      });
      expect([tail, answer.status, answer.json().code]).toEqual([tail, 400, "INVALID_SUBSCRIPTION"]);
    }
    const long = await all.subscribe(source, "e".repeat(1020));
    expect([long.status, long.json().error]).toEqual([400, expect.stringMatching(/^estuaryId 'e+'\.\.\. is too long: .* 1024 bytes$/)]);
    const fits = "e".repeat(1024 - "/v1/stream/p/".length);
    expect((await all.subscribe(source, fits)).status).toBe(200);
    expect((await all.streams.head(`p/${fits}`)).status).toBe(200);
  });

  test("a deleted source is subscribed to no more, though forks hold it; so is a deleted estuary", async () => {
    const [source, estuary] = [await all.source(), all.fresh("e")];
    await all.publish(source, { n: 1 });
    await all.subscribe(source, estuary);
    const forks = [all.fresh("fork"), all.fresh("fork")];
    expect((await all.streams.fork(`p/${forks[0]}`, `p/${source}`)).status).toBe(201);
    expect((await all.streams.remove(`p/${source}`)).status).toBe(204);
    const subscriptions = async () => (await all.post(`p/${estuary}`, undefined, "GET")).json().subscriptions;
    await until("it to be told", async () => (await subscriptions()).length === 0);
    const other = await all.source();
    await all.subscribe(other, estuary);
    expect((await all.streams.fork(`p/${forks[1]}`, `p/${estuary}`)).status).toBe(201);
    expect((await all.post(`p/${estuary}`, undefined, "DELETE")).status).toBe(200);
    await until("nobody to be subscribed", async () => fanout(await all.publish(other, {}))[0] === null);
    expect(await all.read(forks[0])).toEqual([{ n: 1 }]);
  });

  test("a content type that no source has makes no estuary", async () => {
    const [source, estuary] = [await all.source(), all.fresh("e")];
    const answer = await all.subscribe(source, estuary, { contentType: "text/plain" });
    expect([answer.status, answer.json().code]).toEqual([409, "CONTENT_TYPE_MISMATCH"]);
    expect((await all.streams.head(`p/${estuary}`)).status).toBe(404);
  });

  test("leaving and coming back while much is published", async () => {
    const [source, estuary] = [await all.source(), all.fresh("e")];
    let busy = true;
    const load = (async () => {
      for (let n = 0; busy; n++) await all.publish(source, { n });
    })();
    for (let i = 0; i < 40; i++) {
      expect((await all.subscribe(source, estuary)).status).toBe(200);
      const mark = `mark ${i}`;
      await all.publish(source, { mark });
      await until(mark, async () => (await all.read(estuary)).some((message) => message.mark === mark));
      expect((await all.unsubscribe(source, estuary)).status).toBe(200);
    }
    busy = false;
    await load;
  });

  test("closing a source leaves the estuary open; deleting it ends its subscriptions", async () => {
    const [source, other] = [await all.source(), await all.source()];
    const estuary = all.fresh();
    await all.subscribe(source, estuary);
    await all.subscribe(other, estuary);
    await all.publish(source, 1);
    expect(
      (
        await all.streams.append(all.name(source), "2", {
          type: "application/json",
          headers: { "stream-closed": "true" },
        })
      ).status,
    ).toBe(204);
    await all.publish(other, 3);
    expect(await all.read(estuary)).toEqual([1, 2, 3]);
    expect((await all.streams.remove(all.name(source))).status).toBe(204);
    await until(
      "the subscription to end",
      async () => (await all.post(`p/${estuary}`, undefined, "GET")).json().subscriptions.length === 1,
    );
    expect((await all.streams.create(all.name(source), { type: "application/json" })).status).toBe(201);
    expect(fanout(await all.publish(source, 4))[0]).toBe(null);
    expect(await all.read(estuary)).toEqual([1, 2, 3]);
    await all.subscribe(source, estuary);
    await all.publish(source, 5);
    expect(await all.read(estuary)).toEqual([1, 2, 3, 5]);
  });

  test("a deleted and recreated estuary is a new one", async () => {
    const source = await all.source();
    const estuary = all.fresh();
    await all.subscribe(source, estuary);
    await all.publish(source, 1);
    await all.streams.remove(all.name(estuary));
    await all.streams.create(all.name(estuary), { type: "application/json" });
    await all.publish(source, 2);
    expect(await all.read(estuary)).toEqual([]);
    expect((await all.post(`p/${estuary}`, undefined, "GET")).status).toBe(404);
    expect((await all.subscribe(source, estuary)).json()).toMatchObject({ isNewEstuary: false, expiresAt: null });
    await all.publish(source, 3);
    expect(await all.read(estuary)).toEqual([3]);
  });

  test("shards that are killed: everything arrives, once and in order", async () => {
    const source = await all.source();
    const estuaries = Array.from({ length: 8 }, () => all.fresh());
    for (const estuary of estuaries) await all.subscribe(source, estuary);
    let killing = true;
    let taken = 0;
    const killer = (async () => {
      for (let i = 0, upto = 5; killing; i++, upto = taken + 5) {
        await server.restartChild("shard", i % shards);
        await until("appends between two deaths", () => taken >= upto || !killing);
      }
    })();
    for (let n = 0; n < 150; n++) {
      const headers = { "producer-id": "w", "producer-epoch": "0", "producer-seq": `${n}` };
      await until("the append", async () => {
        const answer = await all.streams.append(
          all.name(source),
          JSON.stringify({ n, pad: "p".repeat(n % 5 ? 10 : 300) }),
          { type: "application/json", headers },
        );
        return answer.status < 300;
      });
      taken = n + 1;
    }
    killing = false;
    await killer;
    for (const estuary of estuaries) {
      await until("all of it", async () => (await all.read(estuary)).length >= 150);
      expect((await all.read(estuary)).map(({ n }) => n)).toEqual(Array.from({ length: 150 }, (_, n) => n));
    }
  });

  test("what was subscribed goes on after a restart", async () => {
    const source = await all.source();
    const [stays, goes] = [all.fresh(), all.fresh()];
    await all.subscribe(source, stays);
    await all.subscribe(source, goes);
    await all.publish(source, 1);
    await server.stop();
    await server.start();
    expect(fanout(await all.publish(source, 2))).toEqual(["2", "inline", "2", "0"]);
    await all.unsubscribe(source, goes);
    await all.publish(source, 3);
    expect([await all.read(stays), await all.read(goes)]).toEqual([
      [1, 2, 3],
      [1, 2],
    ]);
  });
});

describe.skipIf(!OWNED)("the modes of fan-out", () => {
  let server, all;
  beforeAll(async () => {
    server = await Server.start({
      settings: {
        "shard.count": 4,
        "fanout.inline_limit": 10,
        "fanout.inline_timeout": "4s",
        "fanout.failures": 2,
        "fanout.recovery": "10s",
      },
    });
    all = new Estuaries(server);
  });
  afterAll(() => server.close());

  test("above the limit answers do not wait", async () => {
    const source = await all.source();
    const estuaries = Array.from({ length: 11 }, () => all.fresh());
    for (const estuary of estuaries.slice(0, 10)) await all.subscribe(source, estuary);
    expect(fanout(await all.publish(source, 1))).toEqual(["10", "inline", "10", "0"]);
    await all.subscribe(source, estuaries[10]);
    expect(fanout(await all.publish(source, 2))).toEqual(["11", "queued", null, null]);
    for (const [i, estuary] of estuaries.entries())
      await until("the delivery", async () => (await all.read(estuary)).length === (i < 10 ? 2 : 1));
  });

  test("a stopped shard: the circuit opens, nothing is lost, and it closes again", async () => {
    const source = await all.source();
    // One is not in the source's shard, so that its shard can be stopped.
    const estuaries = Array.from({ length: 7 }, () => all.fresh());
    const shardOfId = (id) => shardOf(server, all.name(id));
    const elsewhere = (shardOfId(source) + 1) % 4;
    estuaries.push(await until("a name", () => [all.fresh()].find((id) => shardOfId(id) === elsewhere)));
    for (const estuary of estuaries) await all.subscribe(source, estuary);
    const modes = [];
    let sent = 0;
    const publish = async () => {
      const answer = await all.publish(source, ++sent);
      expect(answer.status).toBe(204);
      modes.push(fanout(answer)[1]);
      return answer;
    };
    await publish();
    const stopped = server.child("shard", elsewhere);
    process.kill(stopped.pid, "SIGSTOP");
    const [, , successes, failures] = fanout(await publish());
    expect(Number(failures)).toBeGreaterThan(0);
    expect(Number(successes) + Number(failures)).toBe(8);
    await publish();
    for (let i = 0; i < 5; i++) await publish();
    expect(modes.slice(-3)).toEqual(["circuit-open", "circuit-open", "circuit-open"]);
    process.kill(stopped.pid, "SIGCONT");
    await until(
      "the circuit to close",
      async () => fanout(await publish())[1] === "inline" && fanout(await publish())[1] === "inline",
    );
    for (const estuary of estuaries) {
      await until("all of it", async () => (await all.read(estuary)).length >= sent);
      expect(await all.read(estuary)).toEqual(Array.from({ length: sent }, (_, n) => n + 1));
    }
  });
});

describe.skipIf(!OWNED)("the end of estuaries", () => {
  test("one that nobody renews is deleted, with its subscriptions; touching and subscribing renew it", async () => {
    const server = await Server.start({ settings: { "shard.count": 2, "estuary.ttl": "6s" } });
    const all = new Estuaries(server);
    const source = await all.source();
    const [dies, touched, again] = ["dies", "touched", "again"];
    for (const estuary of [dies, touched, again])
      expect((await all.subscribe(source, estuary)).json().expiresAt).toBeLessThan(Date.now() + 6500);
    await until("the other one to end", async () => {
      const answer = await all.post(`p/${touched}/touch`);
      expect(answer.json()).toEqual({ estuaryId: touched, expiresAt: expect.any(Number) });
      expect((await all.subscribe(source, again)).json().isNewEstuary).toBe(false);
      await all.publish(source, 1); // what comes renews nothing
      return (await all.streams.head("p/dies")).status === 404;
    });
    await until("two to be left", async () => fanout(await all.publish(source, {}))[0] === "2");
    expect((await all.streams.head("p/touched")).headers.get("stream-expires-at")).toMatch(/^20.*Z$/);
    await until("none to be left", async () => fanout(await all.publish(source, {}))[0] === null, 10_000);
    await server.close();
  });

  test("another shard count keeps subscriptions and what is still to be delivered", async () => {
    const server = await Server.start({ settings: { "shard.count": 1, "shard.flush_idle": "100ms", "fanout.inline_timeout": "1m" } });
    const all = new Estuaries(server);
    const sources = [];
    for (let i = 0; i < 5; i++) sources.push(await all.source());
    const estuaries = Array.from({ length: 10 }, () => all.fresh());
    for (const estuary of estuaries) await all.post("subscribe/p", { estuaryId: estuary, streams: sources });
    const expected = [];
    let n = 0;
    for (const count of [1, 4, 3, 1, 2]) {
      await server.stop();
      await server.start({ "shard.count": count });
      for (let i = 0; i < 8; i++)
        for (const source of sources) {
          const message = { source, n: n++, pad: "x".repeat(i % 2 ? 0 : 200) };
          expected.push(message);
          expect(fanout(await all.publish(source, message))).toEqual(["10", "inline", "10", "0"]);
        }
      await sleep(300);
      for (const estuary of estuaries) expect((await all.read(estuary)).sort((a, b) => a.n - b.n)).toEqual(expected);
    }
    await server.close();
  });
});

describe.skipIf(!OWNED)("estuaries and tokens", () => {
  test("each route needs its scope, and what a token names", async () => {
    const server = await Server.start({ settings: { "auth.mode": "jwt", "shard.count": 2 } });
    const all = new Estuaries(server);
    server.command("create-project", "p");
    server.command("create-project", "q");
    const bearer = (scope, stream, project = "p") => {
      const only = stream ? ["--stream", stream] : [];
      const { out } = server.command("token", "--project", project, "--scope", scope, ...only, "--ttl", "1h");
      return { ...json, authorization: `Bearer ${out}` };
    };
    const [read, write, manage] = ["read", "write", "manage"].map((scope) => bearer(scope));
    const ask = async (path, body, method, headers) => (await all.post(path, body, method, headers)).status;
    for (const name of ["s", "plain", "user-1", "team-s"])
      expect((await call(`${server.url}/v1/stream/p/${name}`, "PUT", { headers: write })).status).toBe(201);

    const subscribe = (headers, estuaryId = "e", source = "s", method = "POST") =>
      ask(`subscribe/p/${source}`, { estuaryId }, method, headers);
    expect(await subscribe(json)).toBe(401);
    expect(await subscribe(read)).toBe(403);
    expect(await subscribe(bearer("write", undefined, "q"))).not.toBe(200);
    expect(await subscribe(bearer("write", "s"))).toBe(403); // not the estuary
    expect(await subscribe(bearer("write", "e"))).toBe(403); // not the source
    expect(await subscribe(bearer("write", "team-*"), "team-e", "team-s")).toBe(200);
    expect(await subscribe(write)).toBe(200);
    expect(await ask("subscribe/p", { estuaryId: "e", streams: ["s", "user-1"] }, "POST", bearer("write", "s"))).toBe(
      403,
    );
    expect(await ask("subscribe/p", { estuaryId: "e", streams: ["s", "user-1"] }, "POST", write)).toBe(200);

    expect(await ask("p/e", undefined, "GET", json)).toBe(401);
    expect(await ask("p/e", undefined, "GET", read)).toBe(200);
    expect(await ask("p/e", undefined, "GET", bearer("read", "s"))).toBe(403);
    expect(await ask("p/e/touch", undefined, "POST", bearer("read", "e"))).toBe(200);
    expect(await ask("p/e/touch", undefined, "POST", json)).toBe(401);

    expect(await subscribe(read, "e", "s", "DELETE")).toBe(403);
    expect(await subscribe(write, "e", "s", "DELETE")).toBe(200);
    expect(await ask("p/e", undefined, "DELETE", read)).toBe(403);
    expect(await ask("p/e", undefined, "DELETE", bearer("write", "s"))).toBe(403);
    expect(await ask("p/e", undefined, "DELETE", bearer("write", "e"))).toBe(200);

    expect(await subscribe(write, "plain")).toBe(200); // a stream that somebody made is not deleted by who may write
    expect(await ask("p/plain", undefined, "DELETE", write)).toBe(403);
    expect((await call(`${server.url}/v1/stream/p/plain`, "GET", { headers: read })).status).toBe(200);
    expect(await ask("p/plain", undefined, "DELETE", manage)).toBe(200);
    await server.close();
  });

  test("what a quota does not leave room for is not made", async () => {
    const server = await Server.start({ settings: { "auth.mode": "jwt", "shard.count": 2 } });
    const all = new Estuaries(server);
    const secret = server.command("create-project", "p").out;
    const { out } = server.command("token", "--project", "p", "--scope", "manage", "--ttl", "1h");
    const headers = { ...json, authorization: `Bearer ${out}` };
    const body = JSON.stringify({ signingSecrets: [secret], quotas: { streams: 2 } });
    expect((await call(`${server.url}/v1/config/p`, "PUT", { headers, body })).status).toBe(200);
    expect((await call(`${server.url}/v1/stream/p/s`, "PUT", { headers })).status).toBe(201);
    expect((await all.post("subscribe/p/s", { estuaryId: "a" }, "POST", headers)).status).toBe(200);
    await until("the quota", async () => {
      const { status, text, headers: told } = await all.post("subscribe/p/s", { estuaryId: "b" }, "POST", headers);
      return status === 507 && JSON.parse(text).code === "QUOTA_EXCEEDED" && told.get("retry-after") !== null;
    });
    expect((await all.post("subscribe/p/s", { estuaryId: "a" }, "POST", headers)).status).toBe(200);
    await server.close();
  });
});
