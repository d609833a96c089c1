// Conditional requests: Stream-Expected-Offset, If-Match, If-None-Match, Stream-Incarnation.
//
// The first two groups are written from the semantics of the protocol's conformance group strictAppend, and of
// durable-streams pull request 243.

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { nameOnShard } from "../lib/layout.mjs";
import { OWNED } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { START, Streams, call, freshName } from "../lib/streams.mjs";
import { until } from "../lib/wait.mjs";

const SHARDS = 4;
const fixture = useServer({ settings: { "shard.count": SHARDS, "router.workers": 2, "server.restart_delay": "50ms" } });
const streams = () => new Streams(fixture.server);

const onShard = (shard, about) => (OWNED ? nameOnShard(fixture.server, shard % SHARDS, about) : freshName(about));
const textOf = async (name) => (await streams().readAll(name)).bytes.toString();
const tailOf = async (name) => (await streams().head(name)).next;
const lifeOf = async (name) => (await streams().head(name)).headers.get("stream-incarnation");
const expecting = (name, body, offset, headers) => streams().append(name, body, { headers: { "stream-expected-offset": offset, ...headers } });
const matching = (name, body, tag, headers) => streams().append(name, body, { headers: { "if-match": tag, ...headers } });
const put = (name, headers) => streams().create(name, { headers });
const remove = (name, headers) => call(streams().url(name), "DELETE", { headers });
const closing = (name, headers) => call(streams().url(name), "POST", { headers: { "stream-closed": "true", ...headers } });
const quoted = (offset) => `"${offset}"`;

// The two conflicts whose body is the protocol's text.
function expectConflict(answer, code, tail) {
  const text = { EXPECTED_OFFSET_CONFLICT: "Expected offset conflict", STREAM_SEQ_REGRESSION: "Sequence conflict" }[code];
  const { status, headers } = answer;
  expect([status, answer.text, headers.get("content-type"), headers.get("stream-error-code")]).toEqual([409, text, "text/plain", code]);
  expect([answer.next, headers.get("etag")]).toEqual([tail, quoted(tail)]);
}

function expectCode(answer, status, code) {
  expect([answer.status, answer.json().code]).toEqual([status, code]);
}

// 412, with all that the client needs to go on.
function expectFailed(answer, tail, life) {
  expectCode(answer, 412, "PRECONDITION_FAILED");
  const { headers } = answer;
  expect([answer.next, headers.get("etag"), headers.get("cache-control")]).toEqual([tail, quoted(tail), "no-store"]);
  expect(headers.get("stream-incarnation")).toBe(life);
}

async function recreated(body = "old") {
  const name = await streams().fresh("recreated", { body });
  const old = { tail: await tailOf(name), life: await lifeOf(name) };
  await streams().remove(name);
  await streams().create(name, { body });
  return { name, old, tail: await tailOf(name), life: await lifeOf(name) };
}

describe("Stream-Expected-Offset", () => {
  test("the tail of the creation, and then that of each answer, is the next one's condition", async () => {
    const name = freshName("strict");
    const tail0 = (await streams().create(name)).next;
    const first = await expecting(name, "first", tail0);
    expect(first.status).toBe(204);
    expect(first.next).not.toBe(tail0);
    expect((await expecting(name, "second", first.next)).status).toBe(204);
    expect(await textOf(name)).toBe("firstsecond");
  });

  test("an old tail is 409 with the new one, and nothing is appended", async () => {
    const name = freshName("strict");
    const tail0 = (await streams().create(name)).next;
    const tail1 = (await streams().append(name, "winner")).next;
    expectConflict(await expecting(name, "loser", tail0), "EXPECTED_OFFSET_CONFLICT", tail1);
    expect(await textOf(name)).toBe("winner");
    expect((await expecting(name, "+", tail1)).status).toBe(204);
  });

  test("a repeated append of a producer is a duplicate, though the tail is another one now", async () => {
    const name = freshName("strict");
    const tail0 = (await streams().create(name)).next;
    const append = (seq, headers) => streams().produce(name, "msg", { seq, headers: { "stream-expected-offset": tail0, ...headers } });
    expect((await append(0)).status).toBe(200);
    expect((await append(0)).status).toBe(204);
    expect((await append(0, { "stream-expected-offset": "0000000000000001_0000000000000099" })).status).toBe(204);
    const next = await append(1);
    expectConflict(next, "EXPECTED_OFFSET_CONFLICT", await tailOf(name));
    expect([next.headers.get("producer-expected-seq"), next.headers.get("producer-received-seq")]).toEqual(["1", "1"]);
    expect(await textOf(name)).toBe("msg");
    expect((await append(1, { "stream-expected-offset": next.next })).status).toBe(200); // the refused number was not used up
  });

  test("with Stream-Seq, either can conflict", async () => {
    const name = freshName("strict");
    const tail0 = (await streams().create(name)).next;
    const tail1 = (await expecting(name, "first", tail0, { "stream-seq": "seq-001" })).next;
    expectConflict(await expecting(name, "x", tail0, { "stream-seq": "seq-002" }), "EXPECTED_OFFSET_CONFLICT", tail1);
    const regressed = await expecting(name, "x", tail1, { "stream-seq": "seq-001" });
    expectConflict(regressed, "STREAM_SEQ_REGRESSION", tail1);
    expect(regressed.headers.get("stream-seq")).toBe("seq-001");
    expect(await textOf(name)).toBe("first");
  });

  test("a conflict of Stream-Seq alone says where the stream is", async () => {
    const name = await streams().fresh("strict");
    const tail = (await streams().append(name, "first", { headers: { "stream-seq": "002" } })).next;
    const answer = await streams().append(name, "x", { headers: { "stream-seq": "001" } });
    expectConflict(answer, "STREAM_SEQ_REGRESSION", tail);
    expect(answer.headers.get("stream-seq")).toBe("002");
  });

  test("a closed stream says so, whatever the condition", async () => {
    const name = await streams().fresh("strict");
    const tail = (await streams().append(name, "final")).next;
    await streams().close(name);
    for (const offset of [tail, START]) {
      const answer = await expecting(name, "late", offset);
      expectCode(answer, 409, "STREAM_CLOSED");
      expect([answer.headers.get("stream-closed"), answer.next]).toEqual(["true", tail]);
    }
  });

  test("a fork has its own tail", async () => {
    const source = onShard(0, "strict");
    const fork = onShard(1, "strict");
    await streams().create(source, { body: "source" });
    const tail = (await streams().fork(fork, source)).next;
    const moved = (await streams().append(source, " more")).next;
    const own = await expecting(fork, " forked", tail);
    expect(own.status).toBe(204);
    expectConflict(await expecting(fork, " bad", moved), "EXPECTED_OFFSET_CONFLICT", own.next);
    expectConflict(await expecting(source, " bad", own.next), "EXPECTED_OFFSET_CONFLICT", moved);
    expect([await textOf(fork), await textOf(source)]).toEqual(["source forked", "source more"]);
  });

  test("the tail of a stream that had the name before never matches", async () => {
    const { name, old, tail } = await recreated("four");
    expect(old.tail.slice(17)).toBe(tail.slice(17));
    expectConflict(await expecting(name, "x", old.tail), "EXPECTED_OFFSET_CONFLICT", tail);
    expect(await textOf(name)).toBe("four");
  });

  test("all zeros ask for a stream that has nothing yet", async () => {
    const name = await streams().fresh("strict");
    const tail = (await expecting(name, "first", START)).next;
    expectConflict(await expecting(name, "second", START), "EXPECTED_OFFSET_CONFLICT", tail);
  });

  test("closing has the same conditions, and is repeated alike", async () => {
    const name = await streams().fresh("strict", { body: "x" });
    const tail = await tailOf(name);
    expectConflict(await closing(name, { "stream-expected-offset": START }), "EXPECTED_OFFSET_CONFLICT", tail);
    expect((await streams().head(name)).headers.get("stream-closed")).toBeNull();
    for (let i = 0; i < 2; i++) expect((await closing(name, { "stream-expected-offset": tail })).status).toBe(204);
    expectCode(await closing(name, { "stream-expected-offset": START }), 409, "STREAM_CLOSED");
  });

  test.each(["", "-1", "now", "x", "1", `"${START}"`, `${START}, ${START}`])("%j is malformed", async (value) => {
    const name = await streams().fresh("strict");
    expectCode(await expecting(name, "x", value), 400, "INVALID_CONDITION");
    expect(await textOf(name)).toBe("");
  });
});

describe("If-Match of an append", () => {
  const json = { type: "application/json" };
  const fresh = (options) => streams().fresh("match", options);

  test("the quoted tail, also as HEAD, PUT and POST give it as ETag, is matched", async () => {
    const name = freshName("match");
    const made = await streams().create(name);
    expect(made.headers.get("etag")).toBe(quoted(made.next));
    const first = await matching(name, "1", quoted(made.next));
    expect([first.status, first.headers.get("etag")]).toEqual([204, quoted(first.next)]);
    const second = await matching(name, "2", first.headers.get("etag"));
    expect(second.status).toBe(204);
    expect((await streams().create(name)).headers.get("etag")).toBe(quoted(second.next));
    const head = await streams().head(name);
    expect((await matching(name, "3", head.headers.get("etag"))).status).toBe(204);
    expect(await textOf(name)).toBe("123");
  });

  test("another tag is 412 with the tail, which is then matched", async () => {
    const name = await fresh();
    const old = await tailOf(name);
    const tail = (await streams().append(name, "winner")).next;
    for (const tag of [quoted(old), '"0"', '"stale-offset"', '""', tail, `W/${quoted(tail)}`])
      expectFailed(await matching(name, "loser", tag), tail, await lifeOf(name));
    const { next } = await matching(name, "loser", '"0"');
    expect((await matching(name, "+", quoted(next))).status).toBe(204);
    expect(await textOf(name)).toBe("winner+");
  });

  test("the ETag of a read is matched as long as nothing came after it", async () => {
    const name = await fresh({ body: "read" });
    const etag = (await streams().read(name)).headers.get("etag");
    expect((await matching(name, "+", etag)).status).toBe(204);
    expectFailed(await matching(name, "-", etag), await tailOf(name), await lifeOf(name));
    const { name: again, tail } = await recreated("read");
    expectFailed(await matching(again, "-", etag), tail, await lifeOf(again));
  });

  test("* and lists are 400", async () => {
    const name = await fresh();
    const tail = quoted(await tailOf(name));
    for (const tag of ["*", `${tail}, "x"`, `"x",${tail}`]) expectCode(await matching(name, "x", tag), 400, "CONDITION_NOT_SUPPORTED");
    expect(await textOf(name)).toBe("");
  });

  test("with producer headers it is 400; with Stream-Expected-Offset as well", async () => {
    const name = await fresh();
    const tail = await tailOf(name);
    const produced = await streams().produce(name, "x", { seq: 0, headers: { "if-match": quoted(tail) } });
    expectCode(produced, 400, "CONDITION_NOT_SUPPORTED");
    expectCode(await matching(name, "x", quoted(tail), { "stream-expected-offset": tail }), 400, "CONDITION_NOT_SUPPORTED");
    expect(await textOf(name)).toBe("");
  });

  test("what is wrong is told in the protocol's order: 404, closed, type, 400, 412, Stream-Seq", async () => {
    const name = freshName("match");
    const seq = { "stream-seq": "1" };
    const other = { type: "text/html", headers: { "if-match": "*", ...seq } };
    expectCode(await matching(name, "x", "*"), 404, "STREAM_NOT_FOUND");
    await streams().create(name);
    await streams().append(name, "x", { headers: seq });
    expectCode(await streams().append(name, "x", other), 409, "CONTENT_TYPE_MISMATCH");
    expectCode(await matching(name, "x", "*", seq), 400, "CONDITION_NOT_SUPPORTED");
    expectCode(await matching(name, "x", '"x"', seq), 412, "PRECONDITION_FAILED");
    expectConflict(await matching(name, "x", quoted(await tailOf(name)), seq), "STREAM_SEQ_REGRESSION", await tailOf(name));
    await streams().close(name);
    expectCode(await streams().append(name, "x", other), 409, "STREAM_CLOSED");
    expect(await textOf(name)).toBe("x");
  });

  test("a stream of JSON counts messages", async () => {
    const name = await fresh(json);
    const append = (tag) => streams().append(name, "[1,2]", { ...json, headers: { "if-match": tag } });
    const first = await append(quoted(await tailOf(name)));
    expect(first.status).toBe(204);
    expect((await append(first.headers.get("etag"))).next).toMatch(/_0000000000000004$/);
  });
});

describe("creating and deleting", () => {
  test("If-None-Match: * creates, and never confirms", async () => {
    const name = freshName("absent");
    expect((await put(name, { "if-none-match": "*" })).status).toBe(201);
    await streams().append(name, "x");
    expectFailed(await put(name, { "if-none-match": "*" }), await tailOf(name), await lifeOf(name));
    expectCode(await put(name, { "if-none-match": quoted(await tailOf(name)) }), 400, "CONDITION_NOT_SUPPORTED");
    await streams().remove(name);
    expect((await put(name, { "if-none-match": "*" })).status).toBe(201);
  });

  test.each([0, 1])("of many who create with If-None-Match: * one does; forks: %i", async (forks) => {
    const name = onShard(1, "race");
    const source = onShard(0, "race");
    await streams().create(source, { body: "source" });
    const headers = { "if-none-match": "*", ...(forks ? { "stream-forked-from": streams().path(source) } : {}) };
    const answers = await Promise.all(Array.from({ length: 12 }, () => streams().create(name, { headers })));
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([201, ...Array(11).fill(412)]);
    expect(await textOf(name)).toBe(forks ? "source" : "");
  });

  test("If-Match and Stream-Incarnation of a PUT never create", async () => {
    const name = freshName("absent");
    const source = await streams().fresh("source");
    for (const headers of [{ "if-match": "*" }, { "if-match": quoted(START) }, { "stream-incarnation": "0" }])
      for (const more of [{}, { "stream-forked-from": streams().path(source) }]) {
        const answer = await put(name, { ...headers, ...more });
        expectCode(answer, 412, "PRECONDITION_FAILED");
        expect(answer.next).toBeNull();
      }
    expect((await streams().head(name)).status).toBe(404);
  });

  test("If-Match of a PUT confirms the stream that it names", async () => {
    const name = await streams().fresh("there", { body: "x" });
    const tail = await tailOf(name);
    for (const tag of ["*", quoted(tail)]) expect((await put(name, { "if-match": tag })).status).toBe(200);
    expectFailed(await put(name, { "if-match": quoted(START) }), tail, await lifeOf(name));
    expectCode(await put(name, { "if-match": `${quoted(tail)}, "x"` }), 400, "CONDITION_NOT_SUPPORTED");
  });

  test("a stream is deleted if its tail is the one that If-Match names", async () => {
    const name = await streams().fresh("delete", { body: "x" });
    const old = await tailOf(name);
    await streams().append(name, "y");
    expectFailed(await remove(name, { "if-match": quoted(old) }), await tailOf(name), await lifeOf(name));
    expectCode(await remove(name, { "if-match": '"a", "b"' }), 400, "CONDITION_NOT_SUPPORTED");
    expect(await textOf(name)).toBe("xy");
    expect((await remove(name, { "if-match": quoted(await tailOf(name)) })).status).toBe(204);
    expectCode(await remove(name, { "if-match": "*" }), 404, "STREAM_NOT_FOUND");
    await streams().create(name);
    expect((await remove(name, { "if-match": "*" })).status).toBe(204);
  });

  test.skipIf(!OWNED)("a creation with If-None-Match is not sent twice: the second would find the first one's stream", async () => {
    const name = nameOnShard(fixture.server, 3, "once");
    const shard = fixture.server.child("shard", 3);
    process.kill(shard.pid, "SIGSTOP");
    const answers = [put(name, { "if-none-match": "*" }), put(onShard(3, "twice"), {})];
    await new Promise((resolve) => setTimeout(resolve, 300));
    process.kill(shard.pid, "SIGKILL");
    expectCode(await answers[0], 503, "SHARD_UNAVAILABLE");
    expect((await answers[1]).status).toBe(201);
  });
});

describe("Stream-Incarnation", () => {
  const asked = {
    GET: (name, headers) => streams().read(name, { offset: "-1" }, headers),
    "a long-poll": (name, headers) => streams().read(name, { offset: "-1", live: "long-poll" }, headers),
    HEAD: (name, headers) => call(streams().url(name), "HEAD", { headers }),
    PUT: (name, headers) => put(name, headers),
    POST: (name, headers) => streams().append(name, "more", { headers }),
    close: closing,
    DELETE: remove,
  };

  test.each(Object.keys(asked))("%s is for the stream that is meant", async (method) => {
    const { name, old, tail, life } = await recreated();
    expect(old.life).not.toBe(life);
    const wrong = await asked[method](name, { "stream-incarnation": old.life });
    expect([wrong.status, wrong.next, wrong.headers.get("stream-incarnation")]).toEqual([412, tail, life]);
    if (method !== "HEAD") expectFailed(wrong, tail, life);
    expect([await textOf(name), (await streams().head(name)).headers.get("stream-closed")]).toEqual(["old", null]);
    expect((await asked[method](name, { "stream-incarnation": life })).status).toBeLessThan(300);
    if (method === "HEAD") return;
    expectCode(await asked[method](name, { "stream-incarnation": "x" }), 400, "INVALID_CONDITION");
    const none = await asked[method](freshName("none"), { "stream-incarnation": life });
    expectCode(none, ...(method === "PUT" ? [412, "PRECONDITION_FAILED"] : [404, "STREAM_NOT_FOUND"]));
  });

  test("an event stream's condition counts when it begins", async () => {
    const { name, old, life } = await recreated("x");
    const open = (incarnation) => EventReader.open(streams().url(name), { query: { offset: "-1" }, headers: { "stream-incarnation": incarnation } });
    const [wrong, right] = [open(old.life), open(life)];
    await until("both answers", () => wrong.status && right.events.length >= 2);
    expect([wrong.status, wrong.headers["stream-incarnation"], right.status]).toEqual([412, life, 200]);
    await streams().append(name, "more");
    await until("the event", () => right.events.some(({ data }) => data === "more"));
    right.request.destroy();
  });

  test("a closed stream of another life is another stream", async () => {
    const { name, old } = await recreated();
    await streams().close(name);
    const answer = await streams().append(name, "x", { headers: { "stream-incarnation": old.life } });
    expectCode(answer, 412, "PRECONDITION_FAILED");
    expect(answer.headers.get("stream-closed")).toBe("true");
  });
});

test("HEAD answers If-None-Match", async () => {
  const name = await streams().fresh("head", { body: "x" });
  const head = (tag) => call(streams().url(name), "HEAD", { headers: { "if-none-match": tag } });
  const etag = (await streams().head(name)).headers.get("etag");
  const unchanged = await head(etag);
  expect([unchanged.status, unchanged.next]).toEqual([304, await tailOf(name)]);
  expect((await head('"x"')).status).toBe(200);
  await streams().append(name, "y");
  expect((await head(etag)).status).toBe(200);
});

test("a creation that does not fit the stream says where that is", async () => {
  const name = await streams().fresh("differs", { body: "x" });
  await streams().close(name);
  const answer = await streams().create(name, { type: "text/html" });
  expectCode(answer, 409, "CONTENT_TYPE_MISMATCH");
  const { headers } = answer;
  expect([answer.next, headers.get("stream-closed")]).toEqual([await tailOf(name), "true"]);
  expect(headers.get("stream-incarnation")).toBe(await lifeOf(name));
});

test("an incremental append has its conditions when it begins, and then goes on from its own tail", async () => {
  const name = await streams().fresh("pieces");
  const tail = await tailOf(name);
  const headers = { "stream-append": "incremental", "stream-seq": "1", "stream-incarnation": await lifeOf(name) };
  const body = "0123456789".repeat(20_000); // more than a piece
  const first = await expecting(name, body, tail, headers);
  expect([first.status, first.headers.get("etag")]).toEqual([204, quoted(await tailOf(name))]);
  expectConflict(await expecting(name, body, tail, headers), "EXPECTED_OFFSET_CONFLICT", first.next);
  expectFailed(await matching(name, body, quoted(tail), headers), first.next, headers["stream-incarnation"]);
  const regressed = await expecting(name, body, first.next, headers);
  expectConflict(regressed, "STREAM_SEQ_REGRESSION", first.next);
  expect(regressed.headers.get("stream-seq")).toBe("1");
  expect(await textOf(name)).toBe(body);
});

// Each writer reads the counter and appends the next number on the condition that nobody has come in between.
test("conditional writers who race are one counter: nothing is lost, nothing is counted twice", async () => {
  const COUNT = 6; // of each writer
  const kinds = [
    (offset) => ({ "stream-expected-offset": offset }),
    (offset) => ({ "if-match": quoted(offset) }),
  ];
  const counter = async (name, headersOf) => {
    let refused = 0;
    for (let done = 0; done < COUNT; ) {
      const page = await streams().read(name, { offset: "-1" }, { "cache-control": "no-cache" });
      const last = page.json().at(-1) ?? 0;
      const options = { type: "application/json", headers: headersOf(page.next) };
      const { status } = await streams().append(name, JSON.stringify(last + 1), options);
      if (status === 204) done++;
      else if ([409, 412].includes(status)) refused++;
      else throw new Error(`append: ${status}`);
    }
    return refused;
  };
  const names = Array.from({ length: SHARDS }, (_, shard) => onShard(shard, "counter"));
  for (const name of names) await streams().create(name, { type: "application/json" });
  const writers = names.flatMap((name) => [...kinds, ...kinds].map((headersOf) => counter(name, headersOf)));
  const refused = (await Promise.all(writers)).reduce((sum, one) => sum + one, 0);
  const all = Array.from({ length: 4 * COUNT }, (_, i) => i + 1);
  for (const name of names) expect(JSON.parse(await textOf(name))).toEqual(all);
  expect(refused).toBeGreaterThan(0);
});
