// Incremental appends: a body that is stored as it arrives. Readers see each piece while the request goes on; what ends
// the append keeps what is stored, and says where the stream ends.

import { DurableStream } from "@durable-streams/client";
import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Connection } from "../lib/http.mjs";
import { OWNED } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call, freshName } from "../lib/streams.mjs";
import { sleep, until, within } from "../lib/wait.mjs";

const JSON_TYPE = "application/json";

// One append over a bare socket whose body is written piece by piece.
class Append {
  static async open(streams, name, { type = "text/plain", headers = {}, lines = [] } = {}) {
    const append = new Append();
    append.connection = await Connection.open(streams.server.url);
    const all = { "Stream-Append": "incremental", ...headers };
    append.connection.send(
      [
        `POST ${streams.path(name)} HTTP/1.1`,
        "Host: x",
        `Content-Type: ${type}`,
        "Transfer-Encoding: chunked",
        ...Object.entries(all)
          .filter(([, value]) => value !== null)
          .map(([key, value]) => `${key}: ${value}`),
        ...lines,
        "",
        "",
      ].join("\r\n"),
    );
    return append;
  }

  write(text) {
    const bytes = Buffer.from(text);
    this.connection.send(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]));
    return this;
  }

  end() {
    this.connection.send("0\r\n\r\n");
    return this;
  }

  answer() {
    return this.connection.answer("POST");
  }

  get answered() {
    return this.connection.received.length > 0 || this.connection.closed;
  }

  // The answer that comes before the body's end; the connection ends behind it.
  async early(status) {
    const answer = await this.answer();
    expect([answer.status, answer.text]).toEqual([status, expect.any(String)]);
    expect(answer.headers.connection).toBe("close");
    await this.connection.end();
    return answer;
  }

  close() {
    this.connection.destroy();
  }
}

const text = async (streams, name) => (await streams.readAll(name)).bytes.toString();
const json = async (streams, name) => (await streams.read(name, { offset: "-1" })).json();
const stored = (streams, name, expected) =>
  until(`${JSON.stringify(expected)} to be stored`, async () => (await text(streams, name)) === expected);

function appends(settings) {
  const fixture = useServer({ settings });
  const streams = () => (fixture.streams ??= new Streams(fixture.server));
  const open = (name, options) => Append.open(streams(), name, options);

  test("a reader sees each piece while the append goes on", async () => {
    const name = await streams().fresh("pieces");
    const reader = EventReader.open(streams().url(name), { query: { offset: "-1" } });
    await reader.upToDate();
    const append = await open(name);
    for (const piece of ["one ", "two ", "three "]) {
      append.write(piece);
      await reader.see(piece, ({ data }) => data.includes(piece));
    }
    expect(append.answered).toBe(false);
    append.end();
    const answer = await append.answer();
    expect([answer.status, answer.headers["stream-next-offset"]]).toEqual([204, (await streams().head(name)).next]);
    expect(answer.headers["stream-closed"]).toBeUndefined();
    expect(await text(streams(), name)).toBe("one two three ");
    // the connection goes on
    append.connection.send(`HEAD ${streams().path(name)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect((await append.connection.answer("HEAD")).status).toBe(200);
    append.close();
    reader.close();
  });

  test("lines of a JSON stream are messages, wherever chunks end", async () => {
    const name = await streams().fresh("lines", { type: JSON_TYPE });
    const append = await open(name, { type: JSON_TYPE });
    append.write('{"n":1}\n\r\n  \n{"n"');
    await until("the first line", async () => (await json(streams(), name)).length === 1);
    append.write(":2}").write("\n[3,4]\n[[5]]\n");
    await until("the next lines", async () => (await json(streams(), name)).length === 5);
    append.write('"six"').end();
    expect((await append.answer()).status).toBe(204);
    expect(await json(streams(), name)).toEqual([{ n: 1 }, { n: 2 }, 3, 4, [5], "six"]);
    append.close();
  });

  test("a wrong line ends the append behind the lines before it", async () => {
    const name = await streams().fresh("wrong", { type: JSON_TYPE });
    for (const [lines, code, what] of [
      ['1\n\n{"a":}\n2\n', "INVALID_JSON", "line 3"],
      ["2\n3 4\n", "INVALID_JSON", "line 2"],
      ["[]\n", "EMPTY_JSON_ARRAY", "line 1"],
    ]) {
      const append = await open(name, { type: JSON_TYPE });
      append.write(lines);
      const answer = await append.early(400);
      expect(answer.json()).toEqual({ code, error: expect.stringContaining(what) });
      if (what !== "line 1") expect(answer.headers["stream-next-offset"]).toBe((await streams().head(name)).next);
    }
    const cut = await open(name, { type: JSON_TYPE });
    cut.write('3\n{"a"').end();
    const answer = await cut.answer();
    expect([answer.status, answer.json().error]).toEqual([400, expect.stringContaining("line 2")]);
    expect(await json(streams(), name)).toEqual([1, 2, 3]);
    cut.close();
  });

  test("a client that is gone leaves what is stored", async () => {
    const name = await streams().fresh("gone");
    const append = await open(name);
    append.write("kept");
    await stored(streams(), name, "kept");
    append.close();
    expect((await streams().append(name, " and more")).status).toBe(204);
    expect(await text(streams(), name)).toBe("kept and more");
  });

  test("a close by someone else ends it while its client is silent", async () => {
    const name = await streams().fresh("closed");
    const silent = await open(name);
    const busy = await open(name);
    busy.write("some");
    await stored(streams(), name, "some");
    expect((await streams().close(name)).status).toBe(204);
    for (const append of [silent, busy]) {
      const answer = await append.early(409);
      expect(answer.json().code).toBe("STREAM_CLOSED");
      expect(answer.headers["stream-closed"]).toBe("true");
      expect(answer.headers["stream-next-offset"]).toBe((await streams().head(name)).next);
    }
    const late = await open(name);
    expect((await late.early(409)).headers["stream-closed"]).toBe("true");
    expect(await text(streams(), name)).toBe("some");
  });

  test("a delete by someone else ends it, also if the name is used again", async () => {
    const name = await streams().fresh("deleted");
    const append = await open(name);
    append.write("some");
    await stored(streams(), name, "some");
    await streams().remove(name);
    await streams().create(name);
    expect((await append.early(404)).json().code).toBe("STREAM_NOT_FOUND");
    expect(await text(streams(), name)).toBe("");
    const nobody = await open(freshName());
    await nobody.early(404);
  });

  test("Stream-Closed closes the stream with the last piece", async () => {
    for (const pieces of [["a", "b"], []]) {
      const name = await streams().fresh("closes");
      const append = await open(name, { headers: { "Stream-Closed": "true" } });
      let sofar = "";
      for (const piece of pieces) {
        append.write(piece);
        await stored(streams(), name, (sofar += piece));
        expect((await streams().head(name)).headers.get("stream-closed")).toBeNull();
      }
      append.end();
      const answer = await append.answer();
      expect([answer.status, answer.headers["stream-closed"]]).toEqual([204, "true"]);
      expect((await streams().head(name)).headers.get("stream-closed")).toBe("true");
      expect(await text(streams(), name)).toBe(pieces.join(""));
      append.close();
    }
  });

  test("Stream-Seq is checked and kept with the first piece", async () => {
    const name = await streams().fresh("seq");
    const append = await open(name, { headers: { "Stream-Seq": "b" } });
    append.write("1");
    await stored(streams(), name, "1");
    append.write("2");
    await stored(streams(), name, "12");
    append.end();
    expect((await append.answer()).status).toBe(204);
    const again = await open(name, { headers: { "Stream-Seq": "b" } });
    again.write("3");
    expect((await again.early(409)).text).toBe("Sequence conflict");
    append.close();
  });

  test("what cannot be incremental is refused", async () => {
    const name = await streams().fresh("refused");
    const producer = { "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "0" };
    for (const [options, status, code] of [
      [{ headers: producer }, 400, "INVALID_STREAM_APPEND"],
      [{ headers: { "Stream-Append": "slowly" } }, 400, "INVALID_STREAM_APPEND"],
      [{ type: "" }, 400, "CONTENT_TYPE_REQUIRED"],
    ])
      expect((await (await open(name, options)).early(status)).json().code).toBe(code);
    const other = await open(name, { type: JSON_TYPE });
    other.write("1\n");
    expect((await other.early(409)).json().code).toBe("CONTENT_TYPE_MISMATCH");
    const empty = await open(name);
    expect((await empty.end().answer()).json().code).toBe("EMPTY_BODY");
    expect(await text(streams(), name)).toBe("");
    empty.close();
  });

  test("a body of known length, whole or in pieces, and Expect", async () => {
    const name = await streams().fresh("length");
    const incremental = { headers: { "Stream-Append": "incremental" } };
    expect((await streams().append(name, "whole", incremental)).status).toBe(204);
    const lines = await streams().fresh("length", { type: JSON_TYPE });
    expect((await streams().append(lines, "1\n2", { ...incremental, type: JSON_TYPE })).status).toBe(204);
    expect(await json(streams(), lines)).toEqual([1, 2]);
    const connection = await Connection.open(fixture.server.url);
    const head = `POST ${streams().path(name)} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nStream-Append: incremental\r\n`;
    connection.send(`${head}Expect: 100-continue\r\nContent-Length: 6\r\n\r\n`);
    expect((await connection.answer("POST")).status).toBe(100);
    connection.send("ab");
    await stored(streams(), name, "wholeab");
    // and a second request behind its last byte
    connection.send(`cdef${head}Content-Length: 1\r\n\r\ng`);
    for (const body of ["wholeabcdef", "wholeabcdefg"])
      expect([(await connection.answer("POST")).status, body]).toEqual([204, body]);
    expect(await text(streams(), name)).toBe("wholeabcdefg");
    const none = await call(streams().url(name), "POST", { headers: { "content-type": "text/plain", ...incremental.headers } });
    expect([none.status, none.json().code]).toEqual([400, "EMPTY_BODY"]);
    connection.send(`${head.replace("1.1", "1.0")}Content-Length: 1\r\n\r\nh`);
    expect((await connection.answer("POST")).status).toBe(204);
    await connection.end();
    expect(await text(streams(), name)).toBe("wholeabcdefgh");
  });

  test("large bodies arrive as they were sent, in order", async () => {
    const name = await streams().fresh("large");
    const append = await open(name);
    const piece = (i) => `${i} `.repeat(20_000);
    for (let i = 0; i < 100; i++) append.write(piece(i));
    append.end();
    expect((await append.answer()).status).toBe(204);
    expect(await text(streams(), name)).toBe(Array.from({ length: 100 }, (_, i) => piece(i)).join(""));
    append.close();
  });

  test("the official client: appendStream() with the header, and a stop by close", async () => {
    const name = freshName("client");
    const url = streams().url(name);
    const handle = await DurableStream.create({ url, contentType: "text/plain" });
    const writer = new DurableStream({ url, contentType: "text/plain", headers: { "Stream-Append": "incremental" } });
    const reader = EventReader.open(url, { query: { offset: "-1" } });
    await reader.upToDate();
    let open = false;
    async function* generate() {
      open = true;
      for (const piece of ["a ", "b ", "c "]) {
        yield piece;
        await reader.see(piece, ({ data }) => data.includes(piece));
        expect(open).toBe(true);
      }
    }
    await writer.appendStream(generate());
    open = false;
    async function* endless() {
      for (let i = 0; ; i++) {
        yield "x";
        await sleep(20);
      }
    }
    const endlessly = writer.appendStream(endless()).then(
      () => "done",
      (error) => error,
    );
    await reader.see("an x", ({ data }) => data.some((one) => one.includes("x")));
    await handle.close();
    expect((await within("the generator to be stopped", endlessly)).status).toBe(409);
    reader.close();
  });

  return { fixture, streams, open };
}

describe.skipIf(!OWNED)("4 shards, 2 routers", () => {
  appends({ "shard.count": 4, "router.workers": 2 });
});

describe.skipIf(!OWNED)("1 shard, 1 router", () => {
  const { fixture, streams, open } = appends({ "shard.count": 1 });

  test("goes on with the next process of its shard, or says where it ends", async () => {
    const name = await streams().fresh("killed");
    const append = await open(name);
    append.write("before ");
    await stored(streams(), name, "before ");
    await fixture.server.restartChild("shard", 0);
    append.write("after ");
    await stored(streams(), name, "before after ");
    expect((await streams().close(name)).status).toBe(204);
    expect((await append.early(409)).headers["stream-closed"]).toBe("true");
  });

  test("a shard that dies in the middle", async () => {
    const name = await streams().fresh("middle");
    const append = await open(name);
    let sent = "";
    const write = () => {
      const piece = `${sent.length};`;
      sent += piece;
      append.write(piece);
    };
    for (let i = 0; i < 20; i++) {
      write();
      await sleep(5);
    }
    const { pid } = fixture.server.child("shard", 0);
    process.kill(pid, "SIGKILL");
    for (let i = 0; i < 100 && !append.answered; i++) {
      write();
      await sleep(10);
    }
    await until("another shard", async () => (await streams().head(name)).status === 200);
    if (!append.answered) append.end();
    const answer = await append.answer();
    const now = await text(streams(), name);
    expect([204, 503]).toContain(answer.status);
    expect(sent.startsWith(now)).toBe(true);
    const { next } = await streams().readAll(name);
    if (answer.status === 204) expect([now, answer.headers["stream-next-offset"]]).toEqual([sent, next]);
    else expect(answer.headers["stream-next-offset"] <= next).toBe(true);
    append.close();
  });

  test("a fast client and a slow shard: little is held", async () => {
    const name = await streams().fresh("slow");
    const append = await open(name);
    append.write("x");
    await stored(streams(), name, "x");
    const before = fixture.server.routerMemory();
    const { pid } = fixture.server.child("shard", 0);
    process.kill(pid, "SIGSTOP");
    const block = "y".repeat(1 << 20);
    for (let i = 0; i < 64; i++) append.write(block);
    append.end();
    await sleep(1000);
    const held = fixture.server.routerMemory() - before;
    process.kill(pid, "SIGCONT");
    expect((await append.answer()).status).toBe(204);
    expect(held).toBeLessThan(4 << 20);
    expect((await streams().readAll(name)).bytes.length).toBe(1 + (64 << 20));
    append.close();
  });
});

describe.skipIf(!OWNED)("append.chunked = incremental", () => {
  const fixture = useServer({ settings: { "append.chunked": "incremental" } });
  const streams = () => new Streams(fixture.server);
  const open = (name, { headers } = {}) =>
    Append.open(streams(), name, { headers: { "Stream-Append": null, ...headers } });

  test("a chunked body is incremental by default, unless it is a producer's or says whole", async () => {
    const name = await streams().fresh("default");
    const append = await open(name);
    append.write("a");
    await stored(streams(), name, "a");
    const producer = await open(name, { headers: { "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "0" } });
    const whole = await open(name, { headers: { "Stream-Append": "whole" } });
    for (const one of [producer, whole]) one.write("w");
    append.write("b");
    await stored(streams(), name, "ab");
    expect((await producer.end().answer()).status).toBe(200);
    expect((await whole.end().answer()).status).toBe(204);
    expect(await text(streams(), name)).toBe("abww");
    for (const one of [append, producer, whole]) one.close();
  });

  test("the official client's appendStream() and writable() show a reader each piece", async () => {
    const url = streams().url(freshName("client"));
    const handle = await DurableStream.create({ url, contentType: "text/plain" });
    const reader = EventReader.open(url, { query: { offset: "-1" } });
    await reader.upToDate();
    const seen = (piece) => reader.see(piece, ({ data }) => data.some((one) => one.includes(piece)));
    await handle.appendStream(
      (async function* () {
        for (const piece of ["one ", "two "]) {
          yield piece;
          await seen(piece);
        }
      })(),
    );
    const writer = handle.writable().getWriter();
    for (const piece of ["three ", "four "]) {
      await writer.write(piece);
      await seen(piece);
    }
    await writer.close();
    expect((await streams().readAll(url.split("/v1/stream/")[1])).bytes.toString()).toBe("one two three four ");
    reader.close();
  });

});

describe.skipIf(!OWNED)("limits", () => {
  const settings = {
    "append.silence": "4s",
    "append.piece_delay": "200ms",
    "append.piece_bytes": "1K",
    "limits.body_timeout": "200ms",
    "limits.max_body": "4K",
  };
  const fixture = useServer({ settings });
  const streams = () => new Streams(fixture.server);
  const open = (name, options) => Append.open(streams(), name, options);

  test("silence may last longer than limits.body_timeout, and ends with append.silence", async () => {
    const name = await streams().fresh("silence");
    const append = await open(name);
    append.write("a");
    await sleep(600);
    append.write("b");
    await stored(streams(), name, "ab");
    const answer = await append.early(408);
    expect(answer.json().error).toContain("append.silence");
    expect(answer.headers["stream-next-offset"]).toBe((await streams().head(name)).next);
  });

  test("append.piece_bytes leave without append.piece_delay; a whole body has no limit, a line has", async () => {
    const name = await streams().fresh("bytes");
    const append = await open(name);
    for (let i = 0; i < 10; i++) append.write("x".repeat(1024));
    await stored(streams(), name, "x".repeat(10_240));
    append.end();
    expect((await append.answer()).status).toBe(204);
    append.close();
    const lines = await streams().fresh("bytes", { type: JSON_TYPE });
    const long = await open(lines, { type: JSON_TYPE });
    long.write('1\n"');
    await until("the first line", async () => (await json(streams(), lines)).length === 1);
    for (let i = 0; i < 5; i++) long.write("x".repeat(1024));
    const answer = await long.early(413);
    expect(answer.headers["stream-next-offset"]).toBe((await streams().head(lines)).next);
  });
});

describe.skipIf(!OWNED)("the end of the process", () => {
  const fixture = useServer({ settings: { "server.stop_timeout": "30s" } });

  test("the append is answered with the tail", async () => {
    const streams = new Streams(fixture.server);
    const name = await streams.fresh("stop");
    const append = await Append.open(streams, name);
    append.write("kept");
    await stored(streams, name, "kept");
    const { next } = await streams.head(name);
    await fixture.server.stop();
    const answer = await append.early(503);
    expect([answer.json().code, answer.headers["stream-next-offset"]]).toEqual(["APPEND_INTERRUPTED", next]);
    await fixture.server.start();
    expect(await text(streams, name)).toBe("kept");
  });
});

describe.skipIf(!OWNED)("tokens and quotas", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt", "auth.leeway": "0ms" } });

  const project = (quotas) => {
    const name = `p${freshName().slice(-8)}`;
    const secret = fixture.server.command("create-project", name).out;
    const token = (ttl, scope = "manage") =>
      new SignJWT({ sub: name, scope })
        .setProtectedHeader({ alg: "HS256" })
        .setExpirationTime(Math.floor(Date.now() / 1000) + ttl)
        .sign(Buffer.from(secret));
    return { name, secret, token };
  };

  const begin = async ({ name, token }, ttl = 3600) => {
    const streams = new Streams(fixture.server);
    const path = `${name}/s`;
    const bearer = { authorization: `Bearer ${await token(3600)}` };
    await streams.create(path, { headers: bearer });
    const append = await Append.open(streams, path, { headers: { Authorization: `Bearer ${await token(ttl)}` } });
    const kept = (expected) =>
      until(`${expected} to be stored`, async () => (await streams.read(path, { offset: "-1" }, bearer)).text === expected);
    return { append, kept, bearer, streams, path };
  };

  test("the token's end ends it", async () => {
    const { append, kept } = await begin(project(), 2);
    append.write("a");
    await kept("a");
    const answer = await append.early(401);
    expect(answer.headers["stream-next-offset"]).toBeDefined();
  });

  test("a key that is removed ends it", async () => {
    const one = project();
    const { append, kept } = await begin(one);
    append.write("a");
    await kept("a");
    expect(fixture.server.command("add-key", one.name).status).toBe(0);
    const { status, err } = fixture.server.command("remove-key", one.name, one.secret);
    expect([status, err]).toEqual([0, expect.any(String)]);
    await append.early(401);
  });

  test("the quota of bytes ends it; that of appends a second slows it", async () => {
    const one = project();
    const { append, kept, bearer, streams, path } = await begin(one);
    const config = `${fixture.server.url}/v1/config/${one.name}`;
    const limit = async (quotas) => {
      const now = (await call(config, "GET", { headers: bearer })).json();
      const body = JSON.stringify({ ...now, quotas });
      expect((await call(config, "PUT", { headers: bearer, body })).status).toBeLessThan(300);
    };
    await limit({ appendsPerSecond: 5, bytes: 1000 });
    let sent = "";
    for (let i = 0; i < 40; i++) {
      append.write(`${i % 10}`);
      sent += i % 10;
      await sleep(25);
    }
    await kept(sent);
    append.write("x".repeat(2000));
    const answer = await append.early(507);
    expect(answer.json().code).toBe("QUOTA_EXCEEDED");
    expect(answer.headers["stream-next-offset"]).toBe((await call(streams.url(path), "HEAD", { headers: bearer })).next);
  });
});
