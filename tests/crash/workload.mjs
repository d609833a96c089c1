// The clients of one round: who creates, writes, forks, closes and deletes, all of it written into the history.

import { DurableStream, IdempotentProducer } from "@durable-streams/client";

import { Connection } from "../lib/http.mjs";
import { SLOW, sleep } from "../lib/wait.mjs";
import { START, positionOf, resultOf, send } from "./client.mjs";
import { TYPES, fromBody, parseUnits, payload, toBody } from "./payload.mjs";
import { startReader } from "./readers.mjs";

const ESTUARIES = 6;
const IN_FLIGHT = 10; // batches that a producer may have, sent and unsent, before its writer waits
const RETRY = 30; // ms between attempts
const TIMEOUT = 30_000;
const PATIENCE = 120_000 * SLOW; // ms after which a server without an answer counts as broken
const FULL = { text: 200_000, binary: 200_000, json: 4000 }; // units after which writers rest

// A stream as its clients know it.
class Target {
  constructor(name, kind) {
    Object.assign(this, { name, kind, closed: false, gone: false, end: START, writers: 0, readers: [] });
  }

  get tail() {
    return positionOf(this.end);
  }

  // Offsets of one stream sort as text.
  learn({ offset, closed, status }) {
    if (offset && status < 300 && offset > this.end) this.end = offset;
    if (closed) this.closed = true;
    if (status === 404 || status === 410) this.gone = true;
  }
}

export class Workload {
  targets = [];
  estuaries = []; // targets that nobody but the server writes to
  ending = false; // clients finish what they have begun
  finals = null; // name → final event, once they are known
  #tasks = new Set();
  #serial = 0;

  constructor(server, history, random, prefix) {
    Object.assign(this, { server, history, random, prefix });
  }

  path(target) {
    return `/v1/stream/crash/${target.name}`;
  }

  url(target, server = this.server) {
    return server.url + this.path(target);
  }

  // Runs a client beside the others.
  spawn(task) {
    const running = task.finally(() => this.#tasks.delete(running));
    this.#tasks.add(running);
  }

  async start(streams) {
    await Promise.all(Array.from({ length: streams }, () => this.makeStream()));
    for (let i = 0; i < ESTUARIES; i++) this.spawn(this.liveAsEstuary());
    this.spawn(this.manage());
    this.spawn(this.probe());
  }

  // Every writer has its last answer; readers go on until they are told the ends.
  async end() {
    this.ending = true;
    while (this.#tasks.size > 0) await Promise.all(this.#tasks);
  }

  get all() {
    return [...this.targets, ...this.estuaries];
  }

  get readers() {
    return this.all.flatMap((target) => target.readers);
  }

  // Sends one operation until its outcome is known, or as often as `attempts` says, and records it.
  async perform(target, what, method, request, attempts = Infinity) {
    const op = this.history.begin({ s: target.name, ...what });
    const answer = await this.insist(target, method, request, attempts);
    let result = resultOf(answer);
    // A repetition that is refused does not say what became of the first attempt.
    if (result === "refused" && answer.attempts > 1) result = "unknown";
    // The router repeats a producer's append whose shard has died; by then the stream may have been deleted.
    if (what.producer && (answer.status === 404 || answer.status === 410)) result = "unknown";
    target.learn(answer);
    this.history.end(op, result, answer);
    return { ...answer, result };
  }

  async insist(target, method, request, attempts = Infinity) {
    const deadline = Date.now() + PATIENCE;
    for (let n = 1; ; n++) {
      const answer = await send(this.url(target), method, request);
      if (resultOf(answer) !== "unknown" || n >= attempts || Date.now() > deadline) return { ...answer, attempts: n };
      await sleep(RETRY);
    }
  }

  // --- creating ---

  #newTarget(kind) {
    return new Target(`${this.prefix}-${++this.#serial}`, kind);
  }

  async makeStream() {
    const target = this.#newTarget(this.random.pick(Object.keys(TYPES)));
    const request = { headers: { "content-type": TYPES[target.kind] } };
    const { result } = await this.perform(target, { do: "create", kind: target.kind }, "PUT", request);
    if (result === "ok") this.#populate(target);
  }

  async makeFork(source) {
    const target = this.#newTarget(source.kind);
    const headers = { "stream-forked-from": this.path(source) };
    if (source.tail && this.random.chance(0.5))
      headers["stream-fork-offset"] = this.random.chance(0.3) ? START : source.end;
    const op = this.history.begin({ do: "fork", s: target.name, kind: source.kind, source: source.name });
    let answer = await this.insist(target, "PUT", { headers });
    // Without an offset a repeated PUT asks for another fork than the one that the first made.
    if (answer.status === 409 && answer.attempts > 1) answer = await this.insist(target, "HEAD", {});
    this.history.end(op, resultOf(answer), answer);
    if (answer.status === 404 || answer.code === "FORK_SOURCE_GONE") source.gone = true;
    if (resultOf(answer) !== "ok") return;
    target.learn(answer);
    this.#populate(target);
  }

  #populate(target) {
    this.targets.push(target);
    const writers = {
      plain: this.writePlain,
      producer: this.writeAsProducer,
      pipeline: this.writePipelined,
      official: this.writeOfficially,
    };
    for (let i = this.random.int(1, 3); i > 0; i--)
      this.spawn(writers[this.random.weighted({ plain: 3, producer: 4, pipeline: 1, official: 2 })].call(this, target));
    for (let i = this.random.int(1, 3); i > 0; i--) this.addReader(target);
  }

  addReader(target) {
    const mode = this.random.pick(["sse", "long-poll"]);
    const from = this.random.weighted({ start: 5, now: 2, tail: 1 });
    target.readers.push(
      startReader(this, target, mode, { start: "-1", now: "now", tail: target.end }[from]),
    );
  }

  // --- writing ---

  #writing(target) {
    return !this.ending && !target.gone && !target.closed && target.tail < FULL[target.kind];
  }

  #message(target, writer, n, most = 7) {
    const id = `${writer}.${n}`;
    const size = Number(this.random.weighted({ 20: 60, 150: 30, 3000: 9, 60000: 0.3 }));
    const parts = target.kind === "json" && most > 1 ? this.random.weighted({ 1: 6, 2: 2, 7: 1 }) : 1;
    const units = payload(target.kind, id, size, Number(parts));
    return { id, parts: Number(parts), body: toBody(target.kind, units) };
  }

  #writer(target) {
    return `${target.name}-${++target.writers}`;
  }

  pause() {
    return sleep(this.random.chance(0.1) ? this.random.int(50, 200) : this.random.int(0, 10));
  }

  async writePlain(target) {
    const writer = this.#writer(target);
    for (let n = 0; this.#writing(target); n++) {
      const { id, parts, body } = this.#message(target, writer, n);
      const close = this.random.chance(0.001);
      const headers = { "content-type": TYPES[target.kind], ...(close && { "stream-closed": "true" }) };
      await this.perform(target, { do: "append", id, parts, close }, "POST", { headers, body }, 1);
      await this.pause();
    }
  }

  async writeAsProducer(target) {
    const writer = this.#writer(target);
    for (let seq = 0; this.#writing(target); seq++) {
      const { id, parts, body } = this.#message(target, writer, seq);
      const close = this.random.chance(0.001);
      const headers = {
        "content-type": TYPES[target.kind],
        "producer-id": writer,
        "producer-epoch": "0",
        "producer-seq": `${seq}`,
        ...(close && { "stream-closed": "true" }),
      };
      const what = { do: "append", id, parts, close, producer: writer, seq };
      const { result } = await this.perform(target, what, "POST", { headers, body });
      if (result !== "ok") return;
      await this.pause();
    }
  }

  // The official client's producer at its defaults: batches of what is said within some milliseconds, five in flight.
  async writeOfficially(target) {
    const writer = this.#writer(target);
    const handle = new DurableStream({ url: this.url(target), contentType: TYPES[target.kind] });
    const batches = new Batches(this, target, writer);
    let failed = false;
    const producer = new IdempotentProducer(handle, writer, {
      fetch: (_, request) => batches.send(request),
      onError: () => (failed = true),
    });
    for (let n = 0; this.#writing(target) && !failed;) {
      for (let burst = this.random.int(1, 8); burst > 0; burst--)
        producer.append(this.#message(target, writer, n++, 1).body);
      await this.pause();
      while (producer.inFlightCount > IN_FLIGHT && !failed) await sleep(5);
    }
    await producer.detach();
  }

  // Several appends on one connection without waiting: they must keep their order.
  async writePipelined(target) {
    const writer = this.#writer(target);
    for (let n = 0; this.#writing(target);) {
      const connection = await Connection.open(this.server.url).catch(() => null);
      if (!connection) {
        await sleep(RETRY);
        continue;
      }
      const batch = Array.from({ length: this.random.int(2, 12) }, () => this.#message(target, writer, n++));
      await this.#sendBatch(target, `${writer}.${n}`, connection, batch);
      connection.destroy();
      await this.pause();
    }
  }

  async #sendBatch(target, line, connection, batch) {
    const ops = batch.map(({ id, parts }) => this.history.begin({ do: "append", s: target.name, id, parts, line }));
    const head = `POST ${this.path(target)} HTTP/1.1\r\nHost: h\r\nContent-Type: ${TYPES[target.kind]}\r\n`;
    for (const { body } of batch) connection.send(`${head}Content-Length: ${body.length}\r\n\r\n`).send(body);
    for (const op of ops) {
      const answer = await connection.answer("POST", 20_000).then(simplify, () => ({ status: 0 }));
      target.learn(answer);
      this.history.end(op, resultOf(answer), answer);
    }
  }

  // --- the rest of a stream's life ---

  async manage() {
    while (!this.ending) {
      await sleep(this.random.int(50, 500));
      const target = this.random.pick(this.targets);
      if (this.ending || target.gone) continue;
      const action = this.random.weighted({ make: 2, fork: 6, close: 2, delete: 3, reader: 2 });
      if (action === "make") await this.makeStream();
      else if (action === "fork") this.spawn(this.makeFork(target));
      else if (action === "close") this.spawn(this.close(target));
      else if (action === "delete") this.spawn(this.remove(target));
      else this.addReader(target);
    }
  }

  async close(target) {
    await this.perform(target, { do: "close" }, "POST", { headers: { "stream-closed": "true" } });
  }

  async remove(target) {
    const op = this.history.begin({ do: "delete", s: target.name });
    const answer = await this.insist(target, "DELETE", {});
    // Gone is gone, whichever attempt did it.
    const gone = resultOf(answer) === "ok" || answer.status === 404 || answer.status === 410;
    target.gone ||= gone;
    this.history.end(op, gone ? "ok" : "unknown", { status: answer.status });
    return answer.status;
  }

  // Asks where streams end, while everything goes on.
  async probe() {
    while (!this.ending) {
      await sleep(this.random.int(5, 50));
      const target = this.random.pick(this.all);
      const began = this.history.now;
      const answer = await send(this.url(target), "HEAD");
      if (resultOf(answer) === "unknown") continue;
      const { status, next, closed } = answer;
      this.history.add({ e: "look", s: target.name, began, status, next, closed });
    }
  }

  // --- estuaries: each comes and goes with its sources, one step after the other ---

  async liveAsEstuary() {
    let target = null;
    let sources = new Set();
    while (!this.ending) {
      const source = this.random.pick(
        this.targets.filter(({ kind, gone }) => !gone && kind === (target?.kind ?? kind)),
      );
      if (source && !target) {
        target = this.#newTarget(source.kind);
        sources = new Set();
        if (!(await this.subscribe(target, source, sources))) target = null;
        else this.estuaries.push(target);
        if (target) this.addReader(target);
      } else if (source) {
        const action = this.random.weighted({ subscribe: 6, unsubscribe: 4, delete: 0.5 });
        const leaves = this.random.pick([...sources]);
        if (action === "subscribe") await this.subscribe(target, source, sources);
        else if (action === "unsubscribe" && leaves) await this.unsubscribe(target, leaves, sources);
        else if (action === "delete") target = (await this.remove(target), null);
      }
      await sleep(this.random.int(20, 400));
    }
  }

  async ask(what, target, source, method) {
    const op = this.history.begin({ do: what, s: target.name, kind: target.kind, source: source.name });
    const body = Buffer.from(JSON.stringify({ estuaryId: target.name }));
    const url = `${this.server.url}/v1/estuary/subscribe/crash/${source.name}`;
    const deadline = Date.now() + PATIENCE;
    let answer;
    let attempts = 0;
    do {
      answer = await send(url, method, { headers: { "content-type": "application/json" }, body });
      attempts++;
      if (resultOf(answer) === "unknown") await sleep(RETRY);
    } while (resultOf(answer) === "unknown" && Date.now() < deadline);
    // As above: an earlier attempt, by us or by the router, may have done it before the source was deleted.
    const unsure = attempts > 1 || answer.status === 404 || answer.status === 410;
    const result = resultOf(answer) === "refused" && unsure ? "unknown" : resultOf(answer);
    this.history.end(op, result, { status: answer.status });
    return resultOf(answer) === "ok";
  }

  async subscribe(target, source, sources) {
    const done = await this.ask("subscribe", target, source, "POST");
    if (done) sources.add(source);
    return done;
  }

  async unsubscribe(target, source, sources) {
    if (await this.ask("unsubscribe", target, source, "DELETE")) sources.delete(source);
  }

  // Until nothing more comes into the estuaries.
  async drain() {
    const deadline = Date.now() + PATIENCE;
    let before = "";
    for (let quiet = 0; quiet < 8 && Date.now() < deadline; quiet++) {
      const tails = await Promise.all(
        this.estuaries.map(async (target) => (await send(this.url(target), "HEAD")).next),
      );
      if (tails.join() !== before) quiet = 0;
      before = tails.join();
      await sleep(150);
    }
  }

  // --- the end ---

  async readFinal(target, deadline = Date.now() + PATIENCE, server = this.server) {
    let units = fromBody(target.kind, Buffer.alloc(0));
    for (let at = START; ;) {
      const answer = await send(`${this.url(target, server)}?offset=${at}`, "GET");
      const result = resultOf(answer);
      if (result === "refused" || Date.now() > deadline) return { status: answer.status };
      if (result === "unknown") {
        await sleep(RETRY);
        continue;
      }
      units = units.concat(fromBody(target.kind, answer.body));
      at = answer.offset;
      if (answer.upToDate) return { status: answer.status, next: answer.next, closed: answer.closed, units };
    }
  }

  async readFinals() {
    const deadline = Date.now() + PATIENCE;
    this.finals = new Map();
    for (const target of this.all) {
      const final = { e: "final", s: target.name, ...(await this.readFinal(target, deadline)) };
      this.history.add(final);
      this.finals.set(target.name, final);
    }
  }
}

// The requests of one official producer, each a batch that it may send several times, and their outcome.
class Batches {
  #ops = new Map(); // seq → operations: one for each message of the batch
  #unsure = new Set(); // seqs of which an attempt had no answer
  #taken = -1; // the highest seq that was acknowledged

  constructor(workload, target, writer) {
    Object.assign(this, { workload, target, writer });
  }

  #begin(seq, body) {
    if (this.#ops.has(seq)) return;
    const { kind, name } = this.target;
    const units = fromBody(kind, Buffer.from(body));
    const places = [...parseUnits(kind, units, 0)];
    const ops = places.map(({ id, end }, batch) =>
      this.workload.history.begin({
        do: "append",
        s: name,
        id,
        parts: 1,
        producer: this.writer,
        seq,
        batch,
        of: places.length,
        rest: units.length - end,
      }),
    );
    this.#ops.set(seq, ops);
  }

  #end(seq, answer) {
    let result = resultOf(answer);
    // As of the other producers (perform()).
    if (result === "refused" && (this.#unsure.has(seq) || answer.status === 404 || answer.status === 410))
      result = "unknown";
    if (result === "ok") this.#taken = Math.max(this.#taken, seq);
    this.target.learn(answer);
    for (const op of this.#ops.get(seq)) this.workload.history.end(op, result, answer);
  }

  // Stands for fetch, and leaves to the client what only it can do: a batch that came before an earlier one.
  async send({ method, headers, body }) {
    const seq = Number(headers["Producer-Seq"]);
    const deadline = Date.now() + PATIENCE;
    this.#begin(seq, body);
    for (;;) {
      const taken = this.#taken;
      const signal = AbortSignal.timeout(TIMEOUT);
      const response = await fetch(this.workload.url(this.target), { method, headers, body, signal }).catch(() => null);
      const answer = response ? await answerOf(response) : { status: 0 };
      if (resultOf(answer) === "unknown" && Date.now() < deadline) {
        this.#unsure.add(seq);
        await sleep(RETRY);
        continue;
      }
      const early = answer.code === "PRODUCER_SEQUENCE_GAP" && answer.expected > taken && answer.expected < seq;
      if (!early) this.#end(seq, answer);
      if (!response || (answer.code === "PRODUCER_SEQUENCE_GAP" && !early)) throw new Error(`no good answer to ${seq}`);
      return response;
    }
  }
}

async function answerOf(response) {
  const { status, headers } = response;
  const text = await response.clone().text().catch(() => null);
  if (text === null) return { status: 0 };
  const expected = headers.has("producer-expected-seq") ? Number(headers.get("producer-expected-seq")) : undefined;
  const [offset, closed] = [headers.get("stream-next-offset"), headers.get("stream-closed") === "true"];
  return { status, offset, next: positionOf(offset), closed, expected, code: status >= 400 && text ? JSON.parse(text).code : undefined };
}

function simplify({ status, headers, text }) {
  const code = status >= 400 && text ? JSON.parse(text).code : undefined;
  const offset = headers["stream-next-offset"];
  return { status, code, offset, next: positionOf(offset), closed: headers["stream-closed"] === "true" };
}
