// The clients of one round: who creates, writes, forks, closes and deletes, all of it written into the history.

import { DurableStream, IdempotentProducer } from "@durable-streams/client";

import { Connection } from "../lib/http.mjs";
import { SLOW, sleep } from "../lib/wait.mjs";
import { START, isGone, positionOf, resultOf, send, sendPieces } from "./client.mjs";
import { TYPES, fromBody, parseUnits, payload, toBody } from "./payload.mjs";
import { startReader } from "./readers.mjs";

const ESTUARIES = 6;
const IN_FLIGHT = 10; // batches that a producer may have, sent and unsent, before its writer waits
const RETRY = 30; // ms between attempts
const TIMEOUT = 30_000;
const PATIENCE = 120_000 * SLOW; // ms after which a server without an answer counts as broken
const FULL = { text: 200_000, binary: 200_000, json: 4000 }; // units after which writers rest

// One life of a stream, as its clients know it. Several targets may have one path, each after the other; their clients do
// not know that, and each has to find its own life or none.
class Target {
  constructor(name, kind, path, again) {
    Object.assign(this, { name, kind, path, again, closed: false, gone: false, end: START, writers: 0, readers: [] });
    this.life = null; // as its first answer says
    this.asking = 0; // requests under way that name its path and cannot say which life they mean
  }

  // Where a reader of this life begins, whatever has its path by then.
  get start() {
    return this.again ? `${this.life.padStart(16, "0")}_${"0".repeat(16)}` : START;
  }

  // For requests that have no offset.
  get condition() {
    return this.again ? { "stream-incarnation": this.life } : {};
  }

  get tail() {
    return positionOf(this.end);
  }

  // Offsets of one stream sort as text.
  learn({ offset, closed, status, life }) {
    const here = status < 300 || status === 409; // a 412 tells about another life
    if (offset && here && offset > this.end) this.end = offset;
    if (closed && here) this.closed = true;
    if (life && status < 300) this.life ??= life;
    if (isGone(status)) this.gone = true;
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
    return `/v1/stream/crash/${target.path}`;
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
    if (what.producer && isGone(answer.status)) result = "unknown";
    target.learn(answer);
    this.history.end(op, result, answer);
    return { ...answer, result };
  }

  async insist(target, method, { headers, body } = {}, attempts = Infinity) {
    const request = { headers: { ...(method !== "PUT" && target.condition), ...headers }, body };
    const deadline = Date.now() + PATIENCE;
    for (let n = 1; ; n++) {
      const answer = await send(this.url(target), method, request);
      if (resultOf(answer) !== "unknown" || n >= attempts || Date.now() > deadline) return { ...answer, attempts: n };
      await sleep(RETRY);
    }
  }

  // --- creating ---

  // Half of the paths are used again, once nothing is under way that would take the next life for the last.
  #newTarget(kind) {
    const name = `${this.prefix}-${++this.#serial}`;
    const free = this.targets.filter(({ again, removed, asking }) => again === true && removed && !asking);
    const last = this.random.chance(0.8) && this.random.pick(free);
    if (!last) return new Target(name, kind, name, this.random.chance(0.5));
    last.again = "used";
    return new Target(name, kind, last.path, true);
  }

  // Estuaries have paths of their own: subscribing may find a stream there.
  #newAlone(kind) {
    const name = `${this.prefix}-${++this.#serial}`;
    return new Target(name, kind, name, false);
  }

  // A path whose stream could not be made may be tried by the next.
  #release(target, result) {
    const last = this.targets.find(({ again, path }) => again === "used" && path === target.path);
    if (last && result === "refused") last.again = true;
  }

  async makeStream() {
    const target = this.#newTarget(this.random.pick(Object.keys(TYPES)));
    const request = { headers: { "content-type": TYPES[target.kind] } };
    const { result } = await this.perform(target, { do: "create", kind: target.kind, path: target.path }, "PUT", request);
    if (result === "ok") this.#populate(target);
    else this.#release(target, result);
  }

  async makeFork(source) {
    const target = this.#newTarget(source.kind);
    const headers = { "stream-forked-from": this.path(source) };
    if (source.again || (source.tail && this.random.chance(0.5)))
      headers["stream-fork-offset"] = this.random.chance(0.3) ? source.start : source.end;
    const op = this.history.begin({ do: "fork", s: target.name, kind: source.kind, source: source.name });
    let answer = await this.insist(target, "PUT", { headers });
    const { attempts } = answer;
    // Without an offset a repeated PUT asks for another fork than the one that the first made.
    if (answer.status === 409 && answer.attempts > 1) answer = await this.insist(target, "HEAD", {});
    this.history.end(op, resultOf(answer), answer);
    if (isGone(answer.status) || answer.code === "FORK_SOURCE_GONE") source.gone = true;
    if (resultOf(answer) !== "ok") {
      // An earlier attempt may have made it, before the source was deleted. Nobody else uses the path.
      if (attempts > 1) await this.insist({ path: target.path, condition: {} }, "DELETE");
      return;
    }
    target.learn(answer);
    this.#populate(target);
  }

  // Deletes a stream and creates the next one in its place, while clients of both go on.
  async makeAgain() {
    const target = this.random.pick(this.targets.filter(({ again, gone }) => again === true && !gone));
    if (target) await this.remove(target);
    await this.makeStream();
  }

  #populate(target) {
    this.targets.push(target);
    const writers = {
      plain: this.writePlain,
      producer: this.writeAsProducer,
      pipeline: this.writePipelined,
      official: this.writeOfficially,
      conditional: this.writeConditionally,
      incremental: target.kind === "json" ? this.writeIncrementally : this.writePlain,
    };
    for (let i = this.random.int(1, 3); i > 0; i--)
      this.spawn(writers[this.random.weighted({ plain: 3, producer: 4, pipeline: 1, official: 2, conditional: 3, incremental: 1 })].call(this, target));
    for (let i = this.random.int(1, 3); i > 0; i--) this.addReader(target);
  }

  // A reader of a path that is used again has an offset of its life from the beginning.
  #offsets({ again, start, end }) {
    return again ? { start, now: end === START ? start : end, tail: end === START ? start : end } : { start: "-1", now: "now", tail: end };
  }

  addReader(target) {
    const mode = this.random.pick(["sse", "long-poll"]);
    const from = this.random.weighted({ start: 5, now: 2, tail: 1 });
    target.readers.push(
      startReader(this, target, mode, this.#offsets(target)[from]),
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

  // Appends only at the tail that it knows, which others move. Half of the writers are producers; a conflict has not taken
  // their number.
  async writeConditionally(target) {
    const writer = this.#writer(target);
    const producer = this.random.chance(0.5);
    for (let n = 0, seq = 0; this.#writing(target); n++) {
      const { id, parts, body } = this.#message(target, writer, n);
      const expected = target.end === START ? target.start : target.end;
      const headers = {
        "content-type": TYPES[target.kind],
        "stream-expected-offset": expected,
        ...(producer && { "producer-id": writer, "producer-epoch": "0", "producer-seq": `${seq}` }),
      };
      const what = { do: "append", id, parts, expected: positionOf(expected), ...(producer && { producer: writer, seq }) };
      const answer = await this.perform(target, what, "POST", { headers, body }, producer ? Infinity : 1);
      const conflict = answer.code === "EXPECTED_OFFSET_CONFLICT";
      if (producer && answer.result !== "ok" && !conflict) return;
      if (answer.result === "ok") seq++;
      await this.pause();
    }
  }

  // Lines of one request, which are stored as they arrive. When it breaks, the first of them are there.
  async writeIncrementally(target) {
    const writer = this.#writer(target);
    for (let n = 0; this.#writing(target);) {
      const lines = Array.from({ length: this.random.int(2, 12) }, () => this.#message(target, writer, n++, 1));
      const line = `${writer}.${n}`;
      const ops = lines.map(({ id }) =>
        this.history.begin({ do: "append", s: target.name, id, parts: 1, line, incremental: true }),
      );
      const headers = { "content-type": TYPES.json, "stream-append": "incremental", ...target.condition };
      const answer = await sendPieces(this.url(target), headers, lines.map(({ body }) => `${body}\n`), () => this.pause());
      target.learn(answer);
      // An error does not say how many of them are stored.
      for (const op of ops) this.history.end(op, resultOf(answer) === "ok" ? "ok" : "unknown", answer);
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
    const headers = Object.entries({ host: "h", "content-type": TYPES[target.kind], ...target.condition });
    const head = `POST ${this.path(target)} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}`;
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
      const action = this.random.weighted({ make: 2, again: 8, fork: 6, close: 2, delete: 3, reader: 2 });
      if (action === "make") await this.makeStream();
      else if (action === "again") this.spawn(this.makeAgain());
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
    const gone = resultOf(answer) === "ok" || isGone(answer.status);
    target.gone ||= gone;
    target.removed ||= gone;
    this.history.end(op, gone ? "ok" : "unknown", { status: answer.status });
    return answer.status;
  }

  // Asks where streams end, while everything goes on.
  async probe() {
    while (!this.ending) {
      await sleep(this.random.int(5, 50));
      const target = this.random.pick(this.all);
      const began = this.history.now;
      const answer = await send(this.url(target), "HEAD", { headers: target.condition });
      if (resultOf(answer) === "unknown") continue;
      const { status, next, closed, life } = answer;
      this.history.add({ e: "look", s: target.name, began, status, next, closed, life });
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
        target = this.#newAlone(source.kind);
        sources = new Set();
        if (!(await this.subscribe(target, source, sources))) target = null;
        else this.estuaries.push(target);
        if (target) this.addReader(target);
      } else if (source) {
        const action = this.random.weighted({ subscribe: 6, unsubscribe: 4, delete: 0.5 });
        const leaves = this.random.pick([...sources]);
        if (action === "subscribe") await this.subscribe(target, source, sources);
        else if (action === "unsubscribe" && leaves?.removed) sources.delete(leaves); // the path may have another life
        else if (action === "unsubscribe" && leaves) await this.unsubscribe(target, leaves, sources);
        else if (action === "delete") target = (await this.remove(target), null);
      }
      await sleep(this.random.int(20, 400));
    }
  }

  // A subscription is asked for by path, so the source's path has no other life meanwhile.
  async ask(what, target, source, method) {
    source.asking++;
    source.subscribed = true;
    try {
      return await this.#ask(what, target, source, method);
    } finally {
      source.asking--;
    }
  }

  async #ask(what, target, source, method) {
    const op = this.history.begin({ do: what, s: target.name, kind: target.kind, source: source.name });
    const body = Buffer.from(JSON.stringify({ estuaryId: target.path }));
    const url = `${this.server.url}/v1/estuary/subscribe/crash/${source.path}`;
    const deadline = Date.now() + PATIENCE;
    let answer;
    let attempts = 0;
    do {
      answer = await send(url, method, { headers: { "content-type": "application/json" }, body });
      attempts++;
      if (resultOf(answer) === "unknown") await sleep(RETRY);
    } while (resultOf(answer) === "unknown" && Date.now() < deadline);
    // As above: an earlier attempt, by us or by the router, may have done it before the source was deleted.
    const unsure = attempts > 1 || isGone(answer.status);
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
    for (let at = target.start; ;) {
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
    if (result === "refused" && (this.#unsure.has(seq) || isGone(answer.status)))
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
      const all = { ...headers, ...this.target.condition };
      const response = await fetch(this.workload.url(this.target), { method, headers: all, body, signal }).catch(() => null);
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
