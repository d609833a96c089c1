// Stream requests in one line each.

import { randomUUID } from "node:crypto";

import { expect } from "vitest";

import { TOKEN } from "./server.mjs";
import { until } from "./wait.mjs";

// A name nobody has used. `about` makes it readable in logs.
export const freshName = (about = "s") => `test/${about}-${randomUUID().slice(0, 13)}`;

export const START = "0000000000000000_0000000000000000";

const digits = (number) => `${number}`.padStart(16, "0");

// An offset with this position, in whatever life: for expect().
export const place = (position) => expect.stringMatching(new RegExp(`^\\d{16}_${digits(position)}$`));

export const positionOf = (offset) => Number(offset.slice(17));

const lives = new Map(); // address of a stream, and its name -> its newest life, as the last answer said
const learn = (address, life) => [address, address.split("/v1/stream/")[1]].forEach((key) => lives.set(key, life));

// The offset of a position in a stream of a fresh name, on whichever server.
export function offsetIn(name, position) {
  if (!lives.has(name)) throw new Error(`no answer has said the life of ${name}`);
  return `${digits(lives.get(name))}_${digits(position)}`;
}

// One request: { status, headers (fetch's), text, bytes, json(), next } where next is Stream-Next-Offset.
// query is appended to the address, a { key: value }.
export async function call(address, method = "GET", { query, headers, body, signal } = {}) {
  const url = query ? `${address}?${new URLSearchParams(query)}` : address;
  const response = await fetch(url, { method, headers, body, signal, redirect: "manual" });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = bytes.toString("utf8");
  const next = response.headers.get("stream-next-offset");
  if (response.headers.has("stream-incarnation")) learn(address, response.headers.get("stream-incarnation"));
  if (response.status >= 400 && TOKEN.test(text)) throw new Error(`a token is in an error: ${text}`);
  return { status: response.status, headers: response.headers, bytes, text, next, json: () => JSON.parse(text) };
}

// The streams of one server.
export class Streams {
  constructor(server) {
    this.server = server;
  }

  path(name) {
    return `/v1/stream/${name}`;
  }

  url(name) {
    return this.server.url + this.path(name);
  }

  create(name, { type = "text/plain", headers, body } = {}) {
    const contentType = type ? { "content-type": type } : {};
    return call(this.url(name), "PUT", { headers: { ...contentType, ...headers }, body });
  }

  // Creates a stream and returns its name; throws unless it was new.
  async fresh(about, options) {
    const name = freshName(about);
    const { status, text } = await this.create(name, options);
    if (status !== 201) throw new Error(`PUT ${name}: ${status} ${text}`);
    return name;
  }

  // at: a position of the source, instead of an offset in headers.
  fork(name, source, { at, ...headers } = {}) {
    if (at !== undefined) headers["stream-fork-offset"] = this.at(source, at);
    return this.create(name, { type: null, headers: { "stream-forked-from": this.path(source), ...headers } });
  }

  append(name, body, { type = "text/plain", headers } = {}) {
    return call(this.url(name), "POST", { headers: { "content-type": type, ...headers }, body });
  }

  // An append of an idempotent producer.
  produce(name, body, { id = "p", epoch = 0, seq, type, headers } = {}) {
    const producer = { "producer-id": id, "producer-epoch": `${epoch}`, "producer-seq": `${seq}` };
    return this.append(name, body, { type, headers: { ...producer, ...headers } });
  }

  close(name) {
    return call(this.url(name), "POST", { headers: { "stream-closed": "true" } });
  }

  read(name, query, headers) {
    return call(this.url(name), "GET", { query, headers });
  }

  // Everything in a stream, over as many pages as it takes.
  async readAll(name, offset = "-1") {
    const parts = [];
    for (let at = offset; ;) {
      const page = await this.read(name, { offset: at });
      if (page.status !== 200) throw new Error(`GET ${name}: ${page.status} ${page.text}`);
      parts.push(page.bytes);
      at = page.next;
      if (page.headers.get("stream-up-to-date") === "true")
        return { bytes: Buffer.concat(parts), pages: parts, next: at };
    }
  }

  longPoll(name, offset, signal) {
    return call(this.url(name), "GET", { query: { live: "long-poll", offset }, signal });
  }

  // The offset of a position in a stream that was asked for before.
  at(name, position) {
    return offsetIn(this.url(name), position);
  }

  head(name) {
    return call(this.url(name), "HEAD");
  }

  // Waits until all of a stream is in segments, and the database has forgotten it.
  inSegments(name) {
    return until(`${name} to be in segments only`, async () => {
      const { log, chunks } = (await call(`${this.server.url}/v1/streams/${name}`)).json();
      return log.entries === 0 && chunks.messages === 0;
    });
  }

  remove(name) {
    return call(this.url(name), "DELETE");
  }
}
