// Every error a client can cause on streams: its status, its code, and the headers that come with it.

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Connection } from "../lib/http.mjs";
import { START, Streams, call, freshName, place } from "../lib/streams.mjs";

const fixture = useServer();
const streams = () => new Streams(fixture.server);
const JSON_TYPE = { type: "application/json" };

function expectError(answer, status, code) {
  const body = answer.json();
  expect({ status: answer.status, code: body.code }).toEqual({ status, code });
  expect(typeof body.error).toBe("string");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
  expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
}

describe("PUT", () => {
  test("says what it made", async () => {
    const name = freshName();
    const answer = await streams().create(name, { type: "Text/Plain; charset=utf-8", headers: { "stream-ttl": "60" } });
    expect([answer.status, answer.text, answer.next]).toEqual([201, "", place(0)]);
    expect(answer.headers.get("location")).toBe(streams().url(name));
    expect(answer.headers.get("content-type")).toBe("Text/Plain; charset=utf-8");
    expect(answer.headers.get("stream-ttl")).toBe("60");
  });

  test("without a type makes application/octet-stream; again is 200, with any body", async () => {
    const name = freshName();
    expect((await streams().create(name, { type: null })).headers.get("content-type")).toBe("application/octet-stream");
    const again = await streams().create(name, { type: null, body: new Uint8Array([1]) });
    expect([again.status, again.next]).toEqual([200, place(0)]);
  });

  test.each([
    ["another type", {}, { type: "text/html" }, "CONTENT_TYPE_MISMATCH"],
    ["closed now", {}, { headers: { "stream-closed": "true" } }, "STREAM_CLOSED_STATUS_MISMATCH"],
    ["open now", { headers: { "stream-closed": "true" } }, {}, "STREAM_CLOSED_STATUS_MISMATCH"],
    ["a TTL now", {}, { headers: { "stream-ttl": "9" } }, "STREAM_TTL_MISMATCH"],
    ["another TTL", { headers: { "stream-ttl": "60" } }, { headers: { "stream-ttl": "61" } }, "STREAM_TTL_MISMATCH"],
  ])("again with %s is a conflict", async (_, first, second, code) => {
    const name = await streams().fresh("put", first);
    expectError(await streams().create(name, second), 409, code);
  });

  test.each([
    ["text/plain; charset=utf-8", "TEXT/plain"],
    ["multipart/mixed; boundary=----=_x y/z", "multipart/mixed"],
    ['Application/JSON; x="y"', "application/json;charset=utf-8"],
  ])("a type comes back as it was given: %s", async (type, same) => {
    const name = await streams().fresh("type", { type, body: "1" });
    const fork = `${name}-fork`;
    const other = `${name}-own`;
    for (const again of [type, same]) expect((await streams().create(name, { type: again })).status).toBe(200);
    expect((await streams().append(name, "2", { type: same })).status).toBe(204);
    expect((await streams().fork(fork, name)).status).toBe(201);
    expect((await streams().fork(other, name, { "content-type": same })).status).toBe(201);
    for (const [one, expected] of [[name, type], [fork, type], [other, same]]) {
      expect((await streams().head(one)).headers.get("content-type")).toBe(expected);
      expect((await streams().read(one)).headers.get("content-type")).toBe(expected);
      expect((await streams().read(one)).text).toBe(/json/i.test(type) ? "[1,2]" : "12");
    }
    expect((await streams().fork(`${name}-x`, name, { "content-type": "text/html" })).json()).toEqual({
      code: "CONTENT_TYPE_MISMATCH",
      error: `the stream is ${type}; this fork of it is text/html`,
    });
    expect((await streams().append(name, "x", { type: "text/html; a=b" })).json()).toEqual({
      code: "CONTENT_TYPE_MISMATCH",
      error: `the stream is ${type}; this append is text/html; a=b`,
    });
  });

  test.each(["json", "text/", "text/plain, text/html", `text/plain; x=${"y".repeat(256)}`])("a type that is none: %s", async (type) => {
    expectError(await streams().create(freshName(), { type }), 400, "INVALID_CONTENT_TYPE");
  });

  test.each(["..", "test/.", "test/a/../b", "test/%2e%2E/x", "test/a/%2E"])("no stream is %s, which no URL keeps", async (name) => {
    const connection = await Connection.open(fixture.server.url); // which keeps it
    for (const more of ["", "Stream-Forked-From: /v1/stream/test/any\r\n"]) {
      connection.send(`PUT /v1/stream/${name} HTTP/1.1\r\nHost: h\r\n${more}Content-Type: text/plain\r\n\r\n`);
      const { status, text } = await connection.answer();
      expect([status, JSON.parse(text).code]).toEqual([400, "INVALID_PATH"]);
    }
    connection.destroy();
  });

  test("a stream that is not there says that a slash at its end belongs to its name", async () => {
    const name = await streams().fresh();
    const { status, text } = await streams().read(`${name}/`);
    expect([status, JSON.parse(text).error]).toEqual([404, expect.stringContaining("'/'")]);
    expect((await streams().read(`${name}x`)).json().error).toBe("stream not found");
  });

  test("an offset beyond the tail is answered with the tail", async () => {
    const name = await streams().fresh("tail", { body: "123" });
    const beyond = streams().at(name, 4);
    const expected = `the offset is beyond the stream's tail, ${streams().at(name, 3)}`;
    expect((await streams().read(name, { offset: beyond })).json()).toEqual({ code: "OFFSET_BEYOND_TAIL", error: expected });
    const fork = await streams().fork(freshName(), name, { "stream-fork-offset": beyond });
    expect(fork.json()).toEqual({ code: "FORK_OFFSET_BEYOND_TAIL", error: expected });
  });

  test("a conflict says what the stream is", async () => {
    const why = async (first, second) =>
      (await streams().create(await streams().fresh("put", first), second)).json().error;
    expect(await why({ type: "text/html" }, {})).toBe("the stream is text/html; this request is text/plain");
    expect(await why({ headers: { "stream-ttl": "60" } }, {})).toBe("the stream has Stream-TTL: 60; this request has neither Stream-TTL nor Stream-Expires-At");
    expect(await why({}, { headers: { "stream-ttl": "60" } })).toBe("the stream has neither Stream-TTL nor Stream-Expires-At; this request has Stream-TTL: 60");
    const at = (year) => ({ headers: { "stream-expires-at": `${year}-01-01T00:00:00Z` } });
    expect(await why(at(2098), at(2099))).toBe("the stream has Stream-Expires-At: 2098-01-01T00:00:00Z; this request has Stream-Expires-At: 2099-01-01T00:00:00Z");
    expect(await why({}, { headers: { "stream-closed": "true" } })).toBe("the stream is open; close it with a POST, or leave Stream-Closed out");
    expect(await why({ headers: { "stream-closed": "true" } }, {})).toBe("the stream is closed; a PUT of a closed stream has Stream-Closed: true");
  });

  const both = { "stream-ttl": "1", "stream-expires-at": "2099-01-01T00:00:00Z" };
  test.each([
    ["TTL and expiry", { headers: both }, "TTL_EXPIRES_MUTUALLY_EXCLUSIVE"],
    ...["01", "+1", "-1", "1.0", "1e3", "", "abc", " 1 2"].map((ttl) => [
      `TTL ${JSON.stringify(ttl)}`,
      { headers: { "stream-ttl": ttl } },
      "INVALID_TTL",
    ]),
    ...["yesterday", "2099-13-01T00:00:00Z", "2099-01-01", "12345", "2099-02-30T00:00:00Z"].map((date) => [
      `expiry ${date}`,
      { headers: { "stream-expires-at": date } },
      "INVALID_EXPIRES_AT",
    ]),
    ["bad JSON", { ...JSON_TYPE, body: "{" }, "INVALID_JSON"],
    ["two JSON values", { ...JSON_TYPE, body: "1 2" }, "INVALID_JSON"],
  ])("%s is refused and makes nothing", async (_, options, code) => {
    const name = freshName();
    expectError(await streams().create(name, options), 400, code);
    expect((await streams().head(name)).status).toBe(404);
  });

  test("a path without a stream", async () => {
    expectError(await call(`${fixture.server.url}/v1/stream/`, "PUT"), 400, "MISSING_PROJECT_OR_STREAM_ID");
  });
});

describe("what would be done wrongly is not done", () => {
  const asked = {
    GET: (name, headers) => streams().read(name, { offset: "-1" }, headers),
    HEAD: (name, headers) => call(streams().url(name), "HEAD", { headers }),
    PUT: (name, headers) => streams().create(name, { headers }),
    POST: (name, headers) => streams().append(name, "more", { headers }),
    close: (name, headers) => call(streams().url(name), "POST", { headers: { "stream-closed": "true", ...headers } }),
    DELETE: (name, headers) => call(streams().url(name), "DELETE", { headers }),
  };
  const conditions = {
    "if-match": ["GET", "HEAD"],
    "if-none-match": ["POST", "close", "DELETE"],
    "if-unmodified-since": ["GET", "HEAD", "PUT", "POST", "close", "DELETE"],
    if: ["GET", "POST"],
    "stream-expected-offset": ["GET", "PUT", "DELETE"],
  };
  const cases = Object.entries(conditions).flatMap(([header, methods]) => methods.map((method) => [method, header]));

  test.each(cases)("%s with %s is 400", async (method, header) => {
    const name = await streams().fresh("condition", { body: "first" });
    const answer = await asked[method](name, { [header]: "*" });
    expect(answer.status).toBe(400);
    if (method !== "HEAD") {
      expectError(answer, 400, "CONDITION_NOT_SUPPORTED");
      expect(answer.json().error.toLowerCase()).toContain(`header '${header}' is a condition that is not supported here (supported: `);
    }
    expect((await streams().readAll(name)).bytes.toString()).toBe("first");
    expect((await streams().head(name)).headers.get("stream-closed")).toBeNull();
  });

  test("other routes know none of these conditions", async () => {
    const { url } = fixture.server;
    for (const header of ["if-match", "stream-incarnation", "stream-expected-offset"])
      expectError(await call(`${url}/v1/streams/test`, "GET", { headers: { [header]: "1" } }), 400, "CONDITION_NOT_SUPPORTED");
  });

  test("what changes nothing may be asked when it was modified", async () => {
    const name = await streams().fresh("condition", { body: "first" });
    const headers = { "if-modified-since": "Sat, 29 Oct 2094 19:43:31 GMT", "if-range": '"x"' };
    const answer = await call(streams().url(name), "GET", { headers });
    expect([answer.status, answer.text]).toEqual([200, "first"]);
  });

  test.each(["gzip", "BR", "identity, gzip", "aes128gcm"])("a body coded with %s is 415", async (coding) => {
    const headers = { "content-encoding": coding };
    const name = await streams().fresh("coded", { body: "first" });
    for (const answer of [await streams().append(name, "x", { headers }), await streams().create(`${name}-2`, { body: "x", headers })]) {
      expectError(answer, 415, "UNSUPPORTED_CONTENT_ENCODING");
      expect(answer.headers.get("accept-encoding")).toBe("identity");
    }
    expect((await streams().readAll(name)).bytes.toString()).toBe("first");
    expect((await streams().head(`${name}-2`)).status).toBe(404);
  });

  test.each(["identity", "Identity , IDENTITY", ""])("a body with the coding %j is as it is", async (coding) => {
    const name = await streams().fresh("coded");
    expect((await streams().append(name, "x", { headers: { "content-encoding": coding } })).status).toBe(204);
    expect((await streams().readAll(name)).bytes.toString()).toBe("x");
  });
});

describe("forks", () => {
  test.each([
    ["a missing source", {}, 404, "FORK_SOURCE_NOT_FOUND", "test/nobody"],
    ["an offset of another stream", { "stream-fork-offset": `${START.slice(0, 32)}9` }, 410, "STREAM_RECREATED"],
    ["an offset that is none", { "stream-fork-offset": "x" }, 400, "INVALID_FORK_OFFSET"],
    ["a sub-offset that is none", { "stream-fork-offset": START, "stream-fork-sub-offset": "-1" }, 400, "INVALID_FORK_SUB_OFFSET"],
    ["a sub-offset too far", { "stream-fork-offset": START, "stream-fork-sub-offset": "6" }, 400, "INVALID_FORK_SUB_OFFSET"],
    ["another type", { "content-type": "text/html" }, 409, "CONTENT_TYPE_MISMATCH"],
  ])("%s", async (_, headers, status, code, source) => {
    const from = source ?? (await streams().fresh("source", { body: "12345" }));
    const name = freshName("fork");
    expectError(await streams().fork(name, from, headers), status, code);
    expect((await streams().head(name)).status).toBe(404);
  });

  test("a source may be a URL of this server, such as a Location", async () => {
    const source = freshName("source");
    const location = (await streams().create(source, { body: "12345" })).headers.get("location");
    const fork = freshName("fork");
    expect(location).toMatch(/^http:/);
    expect((await streams().create(fork, { headers: { "stream-forked-from": location } })).status).toBe(201);
    expect((await streams().read(fork)).text).toBe("12345");
    expect((await streams().fork(freshName("fork"), "test/nobody")).json().error).toBe("the fork's source 'test/nobody' does not exist");
  });

  test("a source that is no path of a stream", async () => {
    const answer = await streams().create(freshName(), { headers: { "stream-forked-from": "http://elsewhere/x" } });
    expectError(answer, 400, "INVALID_FORK_SOURCE");
  });

  test("the same fork again is 200, another one 409", async () => {
    const source = await streams().fresh("source", { body: "12345" });
    const name = freshName("fork");
    expect((await streams().fork(name, source)).status).toBe(201);
    expect((await streams().fork(name, source)).status).toBe(200);
    expectError(await streams().fork(name, source, { "stream-fork-offset": START }), 409, "STREAM_FORK_MISMATCH");
    expect((await streams().create(name)).status).toBe(409);
  });
});

describe("POST", () => {
  test("plain", async () => {
    const name = await streams().fresh();
    const answer = await streams().append(name, "hello");
    expect([answer.status, answer.next]).toEqual([204, place(5)]);
  });

  test("to a missing stream", async () => {
    expectError(await streams().append(freshName(), "x"), 404, "STREAM_NOT_FOUND");
  });

  test.each([
    ["no body", "", {}, 400, "EMPTY_BODY"],
    ["another type", "x", { type: "text/html" }, 409, "CONTENT_TYPE_MISMATCH"],
    ["a type that is none", "x", { type: "nonsense" }, 400, "INVALID_CONTENT_TYPE"],
  ])("%s", async (_, body, options, status, code) => {
    expectError(await streams().append(await streams().fresh(), body, options), status, code);
  });

  test("no type", async () => {
    const name = await streams().fresh();
    const answer = await call(streams().url(name), "POST", { body: new Uint8Array([1]) });
    expectError(answer, 400, "CONTENT_TYPE_REQUIRED");
  });

  test.each([
    ["[]", "EMPTY_JSON_ARRAY"],
    ["{", "INVALID_JSON"],
    ["[1,]", "INVALID_JSON"],
    ["01", "INVALID_JSON"],
    ['"\x01"', "INVALID_JSON"],
    ["[1] x", "INVALID_JSON"],
    ["nul", "INVALID_JSON"],
  ])("JSON %j", async (body, code) => {
    const name = await streams().fresh("json", JSON_TYPE);
    expectError(await streams().append(name, body, JSON_TYPE), 400, code);
    expect((await streams().read(name)).text).toBe("[]");
  });

  test("Stream-Seq must grow", async () => {
    const name = await streams().fresh();
    const append = (seq) => streams().append(name, "x", { headers: { "stream-seq": seq } });
    expect((await append("b")).status).toBe(204);
    for (const seq of ["b", "a", "a9"]) {
      const { status, text, headers } = await append(seq);
      expect([status, text, headers.get("stream-error-code")]).toEqual([409, "Sequence conflict", "STREAM_SEQ_REGRESSION"]);
      expect(headers.get("stream-seq")).toBe("b");
    }
    expect((await append("b0")).status).toBe(204);
    expectError(await append(""), 400, "INVALID_STREAM_SEQ");
  });

  test("closing, closing again, appending after that", async () => {
    const name = await streams().fresh("closed", { body: "end" });
    for (let i = 0; i < 2; i++) {
      const answer = await streams().close(name);
      expect([answer.status, answer.headers.get("stream-closed"), answer.next]).toEqual([204, "true", place(3)]);
    }
    for (const options of [{}, { type: "text/html" }, { headers: { "stream-closed": "true" } }]) {
      const answer = await streams().append(name, "late", options);
      expectError(answer, 409, "STREAM_CLOSED");
      expect([answer.headers.get("stream-closed"), answer.next]).toEqual(["true", place(3)]);
    }
  });

  test("append and close at once", async () => {
    const name = await streams().fresh();
    const answer = await streams().append(name, "bye", { headers: { "stream-closed": "TRUE" } });
    expect([answer.status, answer.headers.get("stream-closed")]).toEqual([204, "true"]);
    expect((await streams().head(name)).headers.get("stream-closed")).toBe("true");
    expectError(await streams().append(name, "late"), 409, "STREAM_CLOSED");
  });

  test("Stream-Closed with any other value is as if absent", async () => {
    const name = await streams().fresh();
    expect((await streams().append(name, "x", { headers: { "stream-closed": "1" } })).status).toBe(204);
    expect((await streams().append(name, "y")).status).toBe(204);
  });
});

describe("producers", () => {
  const echo = ({ headers }) => [headers.get("producer-epoch"), headers.get("producer-seq")];

  test("new, again, gap, stale, new epoch", async () => {
    const name = await streams().fresh();
    const first = await streams().produce(name, "a", { epoch: 1, seq: 0 });
    expect([first.status, ...echo(first)]).toEqual([200, "1", "0"]);
    const again = await streams().produce(name, "a", { epoch: 1, seq: 0 });
    expect([again.status, ...echo(again)]).toEqual([204, "1", "0"]);
    const gap = await streams().produce(name, "c", { epoch: 1, seq: 2 });
    expectError(gap, 409, "PRODUCER_SEQUENCE_GAP");
    expect([gap.headers.get("producer-expected-seq"), gap.headers.get("producer-received-seq")]).toEqual(["1", "2"]);
    const stale = await streams().produce(name, "z", { epoch: 0, seq: 1 });
    expectError(stale, 403, "STALE_PRODUCER_EPOCH");
    expect(stale.headers.get("producer-epoch")).toBe("1");
    expectError(await streams().produce(name, "z", { epoch: 2, seq: 1 }), 400, "PRODUCER_SEQ_MUST_START_AT_ZERO");
    expect((await streams().produce(name, "b", { epoch: 2, seq: 0 })).status).toBe(200);
    expect((await streams().readAll(name)).bytes.toString()).toBe("ab");
  });

  test.each([0, 3])("a new producer's later batch may come first: epoch %i", async (epoch) => {
    const name = await streams().fresh();
    for (const seq of [2, 1]) {
      const early = await streams().produce(name, `${seq}`, { epoch, seq });
      expectError(early, 409, "PRODUCER_SEQUENCE_GAP");
      const [expected, received] = ["expected", "received"].map((which) => early.headers.get(`producer-${which}-seq`));
      expect([expected, received]).toEqual(["0", `${seq}`]);
    }
    for (const seq of [0, 1, 2])
      expect((await streams().produce(name, `${seq}`, { epoch, seq })).status).toBe(200);
    expect((await streams().readAll(name)).bytes.toString()).toBe("012");
  });

  test.each([
    ["only the id", { "producer-id": "p" }, "PRODUCER_HEADERS_INCOMPLETE"],
    ["no seq", { "producer-id": "p", "producer-epoch": "0" }, "PRODUCER_HEADERS_INCOMPLETE"],
    ["no id", { "producer-epoch": "0", "producer-seq": "0" }, "PRODUCER_HEADERS_INCOMPLETE"],
    ["an empty id", { "producer-id": "", "producer-epoch": "0", "producer-seq": "0" }, "PRODUCER_ID_INVALID"],
    ["a long id", { "producer-id": "a".repeat(1025), "producer-epoch": "0", "producer-seq": "0" }, "PRODUCER_ID_INVALID"],
    ["a word for a number", { "producer-id": "p", "producer-epoch": "x", "producer-seq": "0" }, "PRODUCER_EPOCH_SEQ_NOT_INTEGERS"],
    ["a negative", { "producer-id": "p", "producer-epoch": "0", "producer-seq": "-1" }, "PRODUCER_EPOCH_SEQ_NOT_INTEGERS"],
    ["a fraction", { "producer-id": "p", "producer-epoch": "0", "producer-seq": "1.5" }, "PRODUCER_EPOCH_SEQ_NOT_INTEGERS"],
    ["2^53", { "producer-id": "p", "producer-epoch": "9007199254740992", "producer-seq": "0" }, "PRODUCER_EPOCH_SEQ_OVERFLOW"],
    ["beyond 64 bits", { "producer-id": "p", "producer-epoch": "0", "producer-seq": "99999999999999999999999" }, "PRODUCER_EPOCH_SEQ_OVERFLOW"],
  ])("%s", async (_, headers, code) => {
    const name = await streams().fresh();
    expectError(await streams().append(name, "x", { headers }), 400, code);
    expect((await streams().readAll(name)).bytes.length).toBe(0);
  });

  test("every conflict of a producer says what is next", async () => {
    const name = await streams().fresh();
    const next = async (body, options) => {
      const answer = await streams().produce(name, body, options);
      return [answer.headers.get("stream-error-code") ?? answer.json().code, answer.headers.get("producer-expected-seq"), answer.headers.get("producer-received-seq")];
    };
    expect(await next("x", { seq: 3, type: "text/html" })).toEqual(["CONTENT_TYPE_MISMATCH", "0", "3"]);
    await streams().produce(name, "a", { seq: 0, headers: { "stream-seq": "b" } });
    expect(await next("x", { seq: 1, type: "text/html" })).toEqual(["CONTENT_TYPE_MISMATCH", "1", "1"]);
    expect(await next("x", { seq: 1, headers: { "stream-seq": "a" } })).toEqual(["STREAM_SEQ_REGRESSION", "1", "1"]);
    expect(await next("x", { seq: 5 })).toEqual(["PRODUCER_SEQUENCE_GAP", "1", "5"]);
    await streams().close(name);
    expect(await next("x", { seq: 1 })).toEqual(["STREAM_CLOSED", "1", "1"]);
    expect(await next("x", { epoch: 1, seq: 0 })).toEqual(["STREAM_CLOSED", "0", "0"]);
    expect((await streams().append(name, "x")).headers.get("producer-expected-seq")).toBeNull();
  });

  test("closing is deduplicated like an append", async () => {
    const name = await streams().fresh();
    const options = { seq: 0, headers: { "stream-closed": "true" } };
    expect((await streams().produce(name, "end", options)).status).toBe(200);
    const again = await streams().produce(name, "end", options);
    expect([again.status, again.headers.get("stream-closed")]).toEqual([204, "true"]);
    const more = await streams().produce(name, "more", { seq: 1 });
    expectError(more, 409, "STREAM_CLOSED");
    expect(["expected", "received"].map((which) => more.headers.get(`producer-${which}-seq`))).toEqual(["1", "1"]);
    expectError(await streams().produce(name, "end", { ...options, id: "other" }), 409, "STREAM_CLOSED");
    expect((await streams().readAll(name)).bytes.toString()).toBe("end");
  });
});

describe("GET", () => {
  test.each([
    ["offset=", "EMPTY_QUERY_PARAM"],
    ["offset=-1&live=long-poll&cursor=", "EMPTY_QUERY_PARAM"],
    ["offset=x", "INVALID_OFFSET"],
    ["offset=-2", "INVALID_OFFSET"],
    [`offset=${START}0`, "INVALID_OFFSET"],
    [`offset=${START.replace("_", "-")}`, "INVALID_OFFSET"],
    ["live=long-poll", "OFFSET_REQUIRED"],
    ["live=sse", "OFFSET_REQUIRED"],
    ["offset=-1&live=websocket", "INVALID_LIVE_MODE"],
    ["offset=-1&offset=-1", "INVALID_QUERY_PARAM"],
  ])("?%s", async (query, code) => {
    const name = await streams().fresh("get", { body: "12345" });
    expectError(await call(`${streams().url(name)}?${query}`), 400, code);
  });

  test("a missing stream, in every way", async () => {
    const name = freshName();
    for (const query of [{}, { offset: "-1", live: "sse" }, { offset: "-1", live: "long-poll" }, { offset: "now" }])
      expectError(await streams().read(name, query), 404, "STREAM_NOT_FOUND");
    expectError(await streams().remove(name), 404, "STREAM_NOT_FOUND");
  });
});

describe("DELETE", () => {
  test("is 204, then 404, and the name is free again", async () => {
    const name = await streams().fresh("gone", { body: "old" });
    expect((await streams().remove(name)).status).toBe(204);
    expectError(await streams().remove(name), 404, "STREAM_NOT_FOUND");
    expectError(await streams().read(name), 404, "STREAM_NOT_FOUND");
    expectError(await streams().append(name, "x"), 404, "STREAM_NOT_FOUND");
    expect((await streams().create(name, { body: "new" })).status).toBe(201);
    expect((await streams().readAll(name)).bytes.toString()).toBe("new");
  });
});
