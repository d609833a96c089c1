// Writers of batches. Each has a group of streams to which it appends the same pieces, so that a batch of which only a part
// was done shows: the streams are equal, or something is wrong.

import { resultOf, send } from "./client.mjs";
import { sleep } from "../lib/wait.mjs";

const STREAMS = 3;
const RETRY = 30; // ms between attempts
const KINDS = ["all", "one", "none"]; // which appends of a batch have a producer

class Group {
  sent = []; // [{ piece, result }] in order

  constructor(server, name) {
    Object.assign(this, { server, name });
    this.ids = Array.from({ length: STREAMS }, (_, i) => `{${name}}/${i}`);
  }

  url(id) {
    return `${this.server.url}/v1/stream/crash/${encodeURIComponent(id)}`;
  }

  async insist(address, method, request, attempts = Infinity) {
    for (let n = 1; ; n++) {
      const answer = await send(address(), method, request);
      if (resultOf(answer) !== "unknown" || n >= attempts) return answer;
      await sleep(RETRY);
    }
  }

  async create() {
    for (const id of this.ids)
      await this.insist(() => this.url(id), "PUT", { headers: { "content-type": "text/plain" } });
  }

  // A batch without a producer is sent once, for nobody knows what became of an attempt without an answer.
  async append(kind) {
    const piece = `${this.sent.length};`;
    const producer = { id: kind, epoch: 0, seq: this.sent.filter((one) => one.kind === kind).length };
    const appends = this.ids.map((stream, i) => ({
      stream,
      data: piece,
      ...(kind === "all" || (kind === "one" && i === 1) ? { producer } : {}),
    }));
    const body = Buffer.from(JSON.stringify({ appends }));
    const attempts = kind === "none" ? 1 : Infinity;
    const answer = await this.insist(() => `${this.server.url}/v1/batch/crash`, "POST", { body }, attempts);
    this.sent.push({ kind, piece, result: resultOf(answer), status: answer.status, code: answer.code });
    return answer;
  }

  async text(id) {
    const parts = [];
    for (let offset = "-1"; ;) {
      const answer = await this.insist(() => `${this.url(id)}?offset=${offset}`, "GET", {});
      if (answer.status !== 200) return `${answer.status} ${answer.body}`;
      parts.push(answer.body);
      offset = answer.headers["stream-next-offset"];
      if (answer.upToDate) return Buffer.concat(parts).toString();
    }
  }

  // What is wrong with the streams: [] if nothing is.
  async complaints() {
    const texts = await Promise.all(this.ids.map((id) => this.text(id)));
    const all = [];
    if (new Set(texts).size > 1) all.push(`${this.name}: its streams differ: ${texts.map((text) => text.slice(-200)).join(" | ")}`);
    const got = texts[0].split(";").slice(0, -1).map((piece) => `${piece};`);
    const expected = this.sent.filter(({ piece, result }) => result === "ok" || (result === "unknown" && got.includes(piece)));
    if (got.join("") !== expected.map(({ piece }) => piece).join(""))
      all.push(`${this.name}: not every batch is there once, and in order: ${got.join("").slice(-200)}`);
    for (const { piece, result, status, code } of this.sent)
      if (result === "refused") all.push(`${this.name}: batch ${piece} was refused: ${status} ${code}`);
    return all;
  }

  async remove() {
    for (const id of this.ids) await this.insist(() => this.url(id), "DELETE", {});
  }
}

export class BatchWriters {
  #ending = false;

  constructor(server, random, prefix, count) {
    this.random = random;
    this.groups = Array.from({ length: count }, (_, i) => new Group(server, `${prefix}-batch-${i}`));
  }

  start() {
    this.done = Promise.all(this.groups.map((group) => this.#write(group)));
  }

  async #write(group) {
    await group.create();
    while (!this.#ending) {
      await group.append(this.random.pick(KINDS));
      await sleep(this.random.int(0, 20));
    }
  }

  // Every batch has its last answer.
  end() {
    this.#ending = true;
    return this.done;
  }

  get count() {
    return this.groups.reduce((sum, { sent }) => sum + sent.filter(({ result }) => result === "ok").length, 0);
  }

  async complaints() {
    return (await Promise.all(this.groups.map((group) => group.complaints()))).flat();
  }

  async remove() {
    await Promise.all(this.groups.map((group) => group.remove()));
  }
}

export { Group };
