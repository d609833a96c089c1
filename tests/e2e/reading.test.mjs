// Catch-up reads: headers, entity tags, pages.

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { START, Streams, place } from "../lib/streams.mjs";

const fixture = useServer({ settings: { "limits.read_page": "64K", "limits.read_answer": "16K" } });
const streams = () => new Streams(fixture.server);
const JSON_TYPE = { type: "application/json" };

describe("headers", () => {
  test("a read to the tail", async () => {
    const before = Date.now();
    const name = await streams().fresh("read", { body: "hello" });
    const answer = await streams().read(name, { offset: "-1" });
    expect([answer.status, answer.text, answer.next]).toEqual([200, "hello", place(5)]);
    const headers = Object.fromEntries(answer.headers);
    expect(headers).toMatchObject({
      "cache-control": "public, max-age=60, stale-while-revalidate=300",
      "content-type": "text/plain",
      "stream-up-to-date": "true",
    });
    expect(headers["stream-closed"]).toBeUndefined();
    expect(headers.etag).toMatch(/^"[^"]+"$/);
    expect(Number(headers["stream-write-timestamp"])).toBeGreaterThan(before - 10_000); // the time at which its turn began
    expect(Number(headers["stream-write-timestamp"])).toBeLessThanOrEqual(Date.now() + 1);
  });

  test("a stream with a TTL is cached no longer than it lives", async () => {
    const name = await streams().fresh("read", { headers: { "stream-ttl": "7" }, body: "x" });
    const answer = await streams().read(name, { offset: "-1" });
    const [, age] = /^public, max-age=(\d+)$/.exec(answer.headers.get("cache-control"));
    expect(Number(age)).toBeGreaterThanOrEqual(5);
    expect(Number(age)).toBeLessThanOrEqual(7);
    expect(answer.headers.get("stream-ttl")).toBe("7");
  });

  test("offset=now", async () => {
    for (const [type, body, empty] of [["text/plain", "abc", ""], ["application/json", '["abc"]', "[]"]]) {
      const name = await streams().fresh("now", { type, body });
      const answer = await streams().read(name, { offset: "now" });
      expect([answer.status, answer.text]).toEqual([200, empty]);
      expect(answer.headers.get("cache-control")).toBe("no-store");
      expect(answer.headers.get("etag")).toBeNull();
      expect(answer.headers.get("stream-up-to-date")).toBe("true");
      expect(answer.next).toBe((await streams().head(name)).next);
    }
  });

  test("the end of a closed stream", async () => {
    const name = await streams().fresh("closed", { body: "abc", headers: { "stream-closed": "true" } });
    for (const query of [{ offset: "-1" }, { offset: streams().at(name, 3) }, { offset: "now" }]) {
      const answer = await streams().read(name, query);
      expect([answer.status, answer.headers.get("stream-closed")]).toEqual([200, "true"]);
      expect(answer.headers.get("stream-up-to-date")).toBe("true");
    }
  });

  test("bytes may be read from the middle of a message", async () => {
    const name = await streams().fresh("bytes", { type: "application/octet-stream", body: "0123456789" });
    const answer = await streams().read(name, { offset: streams().at(name, 4) });
    expect(answer.text).toBe("456789");
  });
});

describe("entity tags", () => {
  test("If-None-Match: exact, list, weak, *, and others", async () => {
    const name = await streams().fresh("etag", { body: "hello" });
    const read = (tag) => streams().read(name, { offset: "-1" }, { "if-none-match": tag });
    const { headers } = await streams().read(name, { offset: "-1" });
    const tag = headers.get("etag");
    for (const match of [tag, `"x", ${tag}`, `${tag} , "x"`, `W/${tag}`, `"a,b",W/${tag},"c"`, "*"]) {
      const answer = await read(match);
      expect([match, answer.status, answer.text]).toEqual([match, 304, ""]);
      expect(answer.headers.get("etag")).toBe(tag);
      expect(answer.headers.get("cache-control")).toBe(headers.get("cache-control"));
      expect(answer.next).toBe(headers.get("stream-next-offset"));
    }
    for (const other of ['"x"', `"x", W/"y"`, tag.slice(1, -1), tag.slice(0, -1), `"${tag}"`, "nonsense"])
      expect([other, (await read(other)).status]).toEqual([other, 200]);
  });

  test("changes with data, with closing, and with another life under the same name", async () => {
    const name = await streams().fresh("etag", { body: "hello" });
    const tagOf = async () => (await streams().read(name, { offset: "-1" })).headers.get("etag");
    const tags = [await tagOf()];
    await streams().append(name, "more");
    tags.push(await tagOf());
    await streams().close(name);
    tags.push(await tagOf());
    await streams().remove(name);
    await streams().create(name, { body: "hello" });
    tags.push(await tagOf());
    expect(new Set(tags).size).toBe(4);
  });
});

describe("pages", () => {
  test("hold whole messages, follow each other without gaps, and end up to date", async () => {
    const name = await streams().fresh("pages", JSON_TYPE);
    const items = Array.from({ length: 300 }, (_, n) => ({ n, pad: "p".repeat(n) }));
    for (let i = 0; i < items.length; i += 50) {
      await streams().append(name, JSON.stringify(items.slice(i, i + 50)), JSON_TYPE);
    }
    const { pages } = await streams().readAll(name);
    expect(pages.length).toBeGreaterThan(2);
    for (const page of pages) expect(page.length).toBeLessThanOrEqual(16 * 1024 + 2);
    expect(pages.flatMap((page) => JSON.parse(page))).toEqual(items);
    const first = await streams().read(name, { offset: "-1" });
    expect(first.headers.get("stream-up-to-date")).toBeNull();
  });

  test("one larger message comes whole", async () => {
    const large = JSON.stringify({ large: "x".repeat(100_000) });
    const name = await streams().fresh("pages", { ...JSON_TYPE, body: `[1,${large},2]` });
    const { pages } = await streams().readAll(name);
    expect(pages.flatMap((page) => JSON.parse(page))).toEqual([1, JSON.parse(large), 2]);
    const text = await streams().fresh("pages", { body: "x".repeat(100_000) });
    expect((await streams().read(text, { offset: "-1" })).bytes.length).toBe(100_000);
  });

  test("limit=N: at most N messages", async () => {
    const name = await streams().fresh("limit", { ...JSON_TYPE, body: "[1,2,3,4,5]" });
    const first = await streams().read(name, { offset: "-1", limit: "2" });
    expect([first.status, first.json()]).toEqual([200, [1, 2]]);
    expect(first.headers.get("stream-up-to-date")).toBeNull();
    const second = await streams().read(name, { offset: first.next, limit: "3" });
    expect(second.json()).toEqual([3, 4, 5]);
    expect(second.headers.get("stream-up-to-date")).toBe("true");
    for (const limit of ["0", "-1", "x", "", "1.5"]) {
      const answer = await streams().read(name, { offset: "-1", limit });
      expect([limit, answer.status]).toEqual([limit, 400]);
    }
  });

  test("limit=N on bytes counts appends", async () => {
    const name = await streams().fresh("limit");
    for (const body of ["one,", "two,", "three"]) await streams().append(name, body);
    expect((await streams().read(name, { offset: "-1", limit: "2" })).text).toBe("one,two,");
  });

  test("every offset handed out names the same place for ever", async () => {
    const name = await streams().fresh("offsets");
    const offsets = [START];
    for (let i = 0; i < 200; i++) offsets.push((await streams().append(name, `${i};`)).next);
    expect([...offsets].sort()).toEqual(offsets);
    const all = (await streams().readAll(name)).bytes.toString();
    for (const offset of offsets.filter((_, i) => i % 17 === 0)) {
      const rest = (await streams().readAll(name, offset)).bytes.toString();
      expect(rest).toBe(all.slice(Number(offset.slice(17))));
    }
  });
});

describe("large pages", () => {
  const large = useServer({ settings: { "shard.count": "2", "shard.read_cache": "1M", "limits.read_answer": "1M" } });
  const there = () => new Streams(large.server);
  const text = (n, size) => Array.from({ length: n }, (_, i) => `${i}:`.padEnd(size, "abcdefg"));

  async function readAll(name, query = {}) {
    const pages = [];
    for (let offset = "-1"; ; ) {
      const answer = await there().read(name, { offset, ...query });
      expect(answer.status).toBe(200);
      pages.push(answer.text);
      if (answer.headers.get("stream-up-to-date")) return pages;
      offset = answer.next;
    }
  }

  test("are the same the first time and again, and after an append", async () => {
    const name = await there().fresh("large");
    const messages = text(30, 100_000);
    for (const message of messages) await there().append(name, message);
    for (let i = 0; i < 3; i++) expect((await readAll(name)).join("")).toBe(messages.join(""));
    await there().append(name, "and more");
    const pages = await readAll(name);
    expect(pages.length).toBeGreaterThan(2);
    expect(pages.join("")).toBe(`${messages.join("")}and more`);
  });

  test("of JSON are arrays", async () => {
    const name = await there().fresh("large", JSON_TYPE);
    const messages = text(30, 90_000);
    for (const message of messages) await there().append(name, JSON.stringify(message), JSON_TYPE);
    for (let i = 0; i < 2; i++) {
      const pages = await readAll(name);
      expect(pages.length).toBeGreaterThan(1);
      expect(pages.flatMap((page) => JSON.parse(page))).toEqual(messages);
    }
    expect((await readAll(name, { limit: "7" })).map((page) => JSON.parse(page).length)).toEqual([7, 7, 7, 7, 2]);
  });

  test("of many readers at once, slow ones among them", async () => {
    const name = await there().fresh("large");
    const messages = text(20, 150_000);
    for (const message of messages) await there().append(name, message);
    const all = await Promise.all(Array.from({ length: 24 }, () => readAll(name)));
    for (const pages of all) expect(pages.join("")).toBe(messages.join(""));
  });

  test("are not modified, and a recreated name's are", async () => {
    const name = await there().fresh("large", { body: "x".repeat(300_000) });
    const { headers } = await there().read(name, { offset: "-1" });
    const again = () => there().read(name, { offset: "-1" }, { "if-none-match": headers.get("etag") });
    expect((await again()).status).toBe(304);
    await there().remove(name);
    await there().create(name, { body: "y".repeat(300_000) });
    const answer = await again();
    expect([answer.status, answer.text]).toEqual([200, "y".repeat(300_000)]);
  });

  test("of a fork begin with its source's bytes", async () => {
    const name = await there().fresh("large");
    const messages = text(6, 80_000);
    for (const message of messages) await there().append(name, message);
    for (let i = 0; i < 4; i++) {
      const fork = `${name}-fork-${i}`;
      await there().fork(fork, name);
      await there().append(fork, "own");
      for (let again = 0; again < 2; again++)
        expect((await readAll(fork)).join("")).toBe(`${messages.join("")}own`);
    }
  });
});

describe("answers joined from pages", () => {
  const settings = {
    "shard.count": "2",
    "limits.read_page": "100K",
    "limits.read_answer": "1M",
    "segment.max_bytes": "150K",
    "shard.flush_idle": "50ms",
  };
  const joined = useServer({ settings });
  const there = () => new Streams(joined.server);
  const MESSAGES = Array.from({ length: 60 }, (_, i) => `${i}:`.padEnd(9_000, "abcdefg"));

  async function filled(about, options = {}) {
    const name = await there().fresh(about, options);
    for (const message of MESSAGES) await there().append(name, options.type ? JSON.stringify(message) : message, options);
    return name;
  }

  test("have all there is, as one page has", async () => {
    const name = await filled("joined");
    for (let i = 0; i < 2; i++) {
      const answer = await there().read(name, { offset: "-1" });
      expect(answer.text).toBe(MESSAGES.join(""));
      expect(answer.headers.get("content-length")).toBe(`${60 * 9_000}`);
      expect(answer.headers.get("stream-up-to-date")).toBe("true");
      expect(answer.next).toBe((await there().head(name)).next);
      const again = await there().read(name, { offset: "-1" }, { "if-none-match": answer.headers.get("etag") });
      expect([again.status, again.text, again.next]).toEqual([304, "", answer.next]);
    }
    await there().close(name);
    const closed = await there().read(name, { offset: "-1" });
    expect([closed.text.length, closed.headers.get("stream-closed")]).toEqual([60 * 9_000, "true"]);
  });

  test("of JSON are one array", async () => {
    const name = await filled("joined", JSON_TYPE);
    const answer = await there().read(name, { offset: "-1" });
    expect(answer.json()).toEqual(MESSAGES);
    const rest = await there().read(name, { offset: there().at(name, 17) });
    expect(rest.json()).toEqual(MESSAGES.slice(17));
    expect((await there().read(name, { offset: "-1", limit: "40" })).json().length).toBeLessThan(40); // one page
  });

  test("are whole for each of many at once", async () => {
    const name = await filled("joined", JSON_TYPE);
    const answers = await Promise.all(Array.from({ length: 40 }, () => there().read(name, { offset: "-1" })));
    for (const answer of answers) expect(answer.json()).toEqual(MESSAGES);
  });

  test("go from a source into its fork, in another shard too", async () => {
    const name = await filled("joined");
    for (let i = 0; i < 4; i++) {
      await there().fork(`${name}-fork-${i}`, name);
      await there().append(`${name}-fork-${i}`, "own");
      const answer = await there().read(`${name}-fork-${i}`, { offset: "-1" });
      expect(answer.text).toBe(`${MESSAGES.join("")}own`);
    }
  });

  test("past limits.read_answer go on in another one", async () => {
    const name = await filled("joined");
    for (const message of MESSAGES) await there().append(name, message);
    const first = await there().read(name, { offset: "-1" });
    expect(first.headers.get("stream-up-to-date")).toBeNull();
    expect(first.bytes.length).toBeGreaterThan(800 * 1024);
    expect(first.bytes.length).toBeLessThanOrEqual(1024 * 1024);
    expect((await there().readAll(name)).bytes.toString()).toBe(MESSAGES.join("").repeat(2));
  });
});
