// The judge: goes over a history and says what a durable stream server must never have done.
//
//     node crash/check.mjs HISTORY.jsonl

import { pathToFileURL } from "node:url";

import { loadHistory } from "./history.mjs";
import { emptyUnits, joinUnits, parseUnits, sameUnits } from "./payload.mjs";

const GONE = new Set([404, 410, 412]);

// Everything about one stream, gathered from the events.
class Stream {
  kind = "text";
  base = 0; // where a fork's own units begin
  source = null;
  made = null; // the operation that made it
  appends = new Map(); // id → operation
  closes = [];
  deletes = [];
  looks = []; // { began, ended, status, next, closed }: whoever learned the tail
  refusals = []; // { began, ended, status }
  readers = new Map(); // reader → chunks
  ends = []; // eof events
  final = null;
  units = null; // what is known of its content, from its start on
  places = new Map(); // id → { start, end, parts }, once parsed
  parsed = true; // false: something in it is so wrong that what follows is not in places
  subscriptions = []; // of an estuary: operations, one after the other

  constructor(name) {
    this.name = name;
  }

  // All of it was read in the end.
  get complete() {
    return this.final?.units !== undefined;
  }

  get deletedAt() {
    return Math.min(...this.deletes.filter(({ result }) => result === "ok").map(({ ended }) => ended), Infinity);
  }

  get deleteBegan() {
    return Math.min(...this.deletes.map(({ began }) => began), Infinity);
  }
}

class Judge {
  streams = new Map();
  violations = [];
  counts = { appends: 0, chunks: 0, streams: 0, deliveries: 0, again: 0, conditional: 0 };
  owners = new Map(); // id of an append → the stream it was sent to

  stream(name) {
    if (!this.streams.has(name)) this.streams.set(name, new Stream(name));
    return this.streams.get(name);
  }

  blame(stream, rule, text) {
    this.violations.push({ stream: stream.name, rule, text });
  }

  judge(events) {
    gather(this, events);
    this.counts.streams = this.streams.size;
    for (const stream of this.streams.values()) learn(this, stream);
    for (const stream of this.streams.values()) for (const id of stream.appends.keys()) this.owners.set(id, stream);
    for (const stream of this.streams.values()) {
      checkFork(this, stream);
      checkContent(this, stream);
      checkAppends(this, stream);
      checkOrder(this, stream);
      checkLines(this, stream);
      checkPieces(this, stream);
      checkConditions(this, stream);
      checkLife(this, stream);
      checkProducers(this, stream);
      checkTails(this, stream);
      checkClosed(this, stream);
      checkExistence(this, stream);
    }
    for (const stream of this.streams.values()) if (stream.subscriptions.length) checkEstuary(this, stream);
    checkLives(this);
    return { violations: this.violations, counts: this.counts };
  }
}

export const check = (events) => new Judge().judge(events);

// --- gathering ---

const takers = {
  create: (stream, op) => Object.assign(stream, { kind: op.kind, made: op }),
  fork: (stream, op) => Object.assign(stream, { kind: op.kind, made: op, source: op.source, base: op.next ?? 0 }),
  append: (stream, op) => stream.appends.set(op.id, op),
  close: (stream, op) => stream.closes.push(op),
  delete: (stream, op) => stream.deletes.push(op),
  subscribe: (stream, op) => {
    stream.kind = op.kind;
    if (op.result === "ok") stream.made ??= op;
    stream.subscriptions.push(op);
  },
  unsubscribe: (stream, op) => stream.subscriptions.push(op),
};

function gather(judge, events) {
  const open = new Map();
  for (const event of events) {
    const stream = event.s ? judge.stream(event.s) : null;
    if (event.e === "begin") open.set(event.op, { ...event, began: event.t, ended: Infinity, result: "unknown" });
    else if (event.e === "end") Object.assign(open.get(event.op), { ...event, e: "op", ended: event.t });
    else if (event.e === "look") stream.looks.push({ ...event, ended: event.t });
    else if (event.e === "open") stream.readers.set(event.r, []);
    else if (event.e === "chunk") stream.readers.get(event.r).push(event);
    else if (event.e === "eof") stream.ends.push(event);
    else if (event.e === "final") stream.final = event;
  }
  for (const op of open.values()) takeOperation(judge, judge.stream(op.s), op);
}

function takeOperation(judge, stream, op) {
  takers[op.do](stream, op);
  if (op.do === "append" && op.close) stream.closes.push(op);
  if (op.do === "append" && op.result === "ok") judge.counts.appends++;
  if (op.expected !== undefined && op.result === "ok") judge.counts.conditional++;
  if (op.path && op.path !== op.s && op.result === "ok") judge.counts.again++;
  if (op.do === "subscribe" && GONE.has(op.status)) judge.stream(op.source).refusals.push(op);
  else if (op.result === "refused" || GONE.has(op.status)) stream.refusals.push(op);
  else if (op.result === "ok" && op.next !== undefined) stream.looks.push(op);
}

// --- content: the final read is the truth; of a deleted stream, what its readers and its forks were given ---

function learn(judge, stream) {
  if (stream.units) return;
  stream.units = stream.final?.units ?? emptyUnits(stream.kind);
  if (stream.complete) return;
  const pieces = [...stream.readers.values()].flat();
  for (const fork of judge.streams.values()) {
    if (fork.source !== stream.name || fork.made.result !== "ok") continue;
    learn(judge, fork);
    pieces.push({ from: 0, units: fork.units.slice(0, fork.base) });
  }
  for (let grew = true; grew;) {
    grew = false;
    for (const { from, units } of pieces) {
      const end = from + units.length;
      if (from > stream.units.length || end <= stream.units.length) continue;
      stream.units = joinUnits(stream.units, units.slice(stream.units.length - from));
      grew = true;
    }
  }
}

function checkContent(judge, stream) {
  if (stream.complete && stream.final.next !== stream.units.length)
    judge.blame(
      stream,
      "offset",
      `${stream.units.length} units were read, the tail is said to be ${stream.final.next}`,
    );
  for (const [reader, chunks] of stream.readers) checkReader(judge, stream, reader, chunks);
  try {
    for (const place of parseUnits(stream.kind, stream.units.slice(stream.base), stream.base))
      checkPlace(judge, stream, place);
  } catch (error) {
    // Of a deleted stream a reader may have seen the first part of a message only.
    if (!stream.complete && error.cut) return;
    stream.parsed = false;
    judge.blame(stream, "foreign", error.message);
  }
}

function checkReader(judge, stream, reader, chunks) {
  let at = chunks[0]?.from;
  for (const { from, next, units } of chunks) {
    judge.counts.chunks++;
    const where = `reader ${reader}, ${from} to ${next}`;
    if (from !== at) judge.blame(stream, "reader gap", `${where}: the previous piece ended at ${at}`);
    if (next - from !== units.length) judge.blame(stream, "reader offset", `${where}: ${units.length} units came`);
    const known = stream.units.slice(from, from + units.length);
    if (!sameUnits(known, units.slice(0, known.length)) || (stream.complete && known.length < units.length))
      judge.blame(stream, "reader content", `${where}: not what the stream holds there`);
    at = next;
  }
}

function checkPlace(judge, stream, place) {
  const owner = stream.subscriptions.length ? judge.owners.get(place.id) : stream;
  const op = owner?.appends.get(place.id);
  const where = `${place.id} at ${place.start}`;
  if (!op) return judge.blame(stream, "foreign", `${where} was never sent to this stream`);
  if (stream.places.has(place.id))
    return judge.blame(stream, "doubled", `${where}, and before at ${stream.places.get(place.id).start}`);
  stream.places.set(place.id, place);
  if (op.result === "refused") judge.blame(stream, "refused yet there", `${where} was answered ${op.status}`);
  if (op.parts !== place.parts && stream.complete)
    judge.blame(stream, "torn", `${where} has ${place.parts} of ${op.parts} messages`);
}

// --- appends ---

function checkAppends(judge, stream) {
  for (const op of stream.appends.values()) {
    if (op.result !== "ok") continue;
    const place = stream.places.get(op.id);
    const exact = !op.incremental && (op.producer === undefined || op.status === 200);
    const rest = op.rest ?? 0;
    if (!place) {
      const covered = stream.parsed && (stream.complete || (exact && op.next - rest <= stream.units.length));
      if (covered) judge.blame(stream, "lost", `${op.id} was acknowledged up to ${op.next} and is not there`);
      continue;
    }
    // Of a deleted stream the first messages of its last append may be all that is known.
    const unseen = !stream.complete && place.end === stream.units.length ? op.parts - place.parts : 0;
    const end = place.end + unseen + rest;
    if (exact ? end !== op.next : end > op.next)
      judge.blame(stream, "offset", `${op.id} ends at ${end} and was acknowledged up to ${op.next}`);
  }
}

// What ended before something else began is in front of it.
function checkOrder(judge, stream) {
  if (stream.subscriptions.length) return; // each of its sources has an order of its own
  const placed = [...stream.places.values()].sort((a, b) => a.start - b.start);
  let earliest = { ended: Infinity };
  for (const place of placed.reverse()) {
    const op = stream.appends.get(place.id);
    if (earliest.ended < op.began)
      judge.blame(stream, "order", `${op.id} is before ${earliest.id}, which was acknowledged before it was sent`);
    if (op.result === "ok" && op.ended < earliest.ended) earliest = op;
  }
}

// Appends sent one after the other on one connection keep their order.
function checkLines(judge, stream) {
  const last = new Map();
  for (const op of stream.appends.values()) {
    const place = op.line && op.result === "ok" ? stream.places.get(op.id) : undefined;
    if (!place) continue;
    const before = last.get(op.line);
    if (before && before.start > place.start)
      judge.blame(stream, "order", `${op.id} is before ${before.id}, sent earlier on its connection`);
    last.set(op.line, place);
  }
}

// Of the pieces of one request the first are there, up to any of them.
function checkPieces(judge, stream) {
  const missing = new Map();
  for (const op of stream.appends.values()) {
    if (!op.incremental || !stream.complete || !stream.parsed) continue;
    if (!stream.places.has(op.id)) missing.set(op.line, op.id);
    else if (missing.has(op.line)) judge.blame(stream, "torn", `${op.id} is there without ${missing.get(op.line)}`);
  }
}

// A conditional append is where it was expected to be, or nowhere.
function checkConditions(judge, stream) {
  for (const op of stream.appends.values()) {
    if (op.expected === undefined) continue;
    const place = stream.places.get(op.id);
    if (place && place.start !== op.expected)
      judge.blame(stream, "condition", `${op.id} is at ${place.start}, and was to be at ${op.expected} or not at all`);
    if (op.code === "EXPECTED_OFFSET_CONFLICT" && op.result === "refused" && op.next === op.expected)
      judge.blame(stream, "condition", `${op.id} was refused at ${op.expected}, the tail that it expected`);
  }
}

// All answers of a stream are of one life.
function checkLife(judge, stream) {
  for (const { life, began, status } of [...stream.looks, ...stream.appends.values()])
    if (life && status < 400 && life !== (stream.life ??= life))
      judge.blame(stream, "another life", `event ${began} was answered in life ${life}, not ${stream.life}`);
}

// No path has a life twice.
function checkLives(judge) {
  const owners = new Map();
  for (const stream of judge.streams.values()) {
    const key = stream.life && stream.made?.path && `${stream.made.path} ${stream.life}`;
    if (key && owners.has(key)) judge.blame(stream, "life twice", `${key} was that of ${owners.get(key)}`);
    if (key) owners.set(key, stream.name);
  }
}

const FORGOTTEN = new Set(["PRODUCER_SEQUENCE_GAP", "STALE_PRODUCER_EPOCH", "PRODUCER_SEQ_MUST_START_AT_ZERO"]);

function checkProducers(judge, stream) {
  for (const { id, code } of stream.appends.values())
    if (FORGOTTEN.has(code)) judge.blame(stream, "producer forgotten", `${id} was answered ${code}`);
  const last = new Map();
  if (stream.subscriptions.length) return;
  for (const { id, start, end } of [...stream.places.values()].sort((a, b) => a.start - b.start)) {
    const { producer, seq, batch = 0, of = 1 } = stream.appends.get(id);
    if (producer === undefined) continue;
    const before = last.get(producer) ?? { seq: -1, batch: 0, of: 1 };
    const within = before.batch + 1 < before.of;
    const expected = within ? [before.seq, before.batch + 1] : [before.seq + 1, 0];
    if (seq !== expected[0] || batch !== expected[1])
      judge.blame(stream, "producer order", `${id} is ${batch} of seq ${seq}, expected ${expected[1]} of ${expected[0]}`);
    if (batch > 0 && start !== before.end)
      judge.blame(stream, "torn", `${id} is at ${start}, what is before it in its batch ends at ${before.end}`);
    last.set(producer, { seq, batch, of, end, id });
  }
  for (const { batch, of, id } of last.values())
    if (batch + 1 < of && stream.complete) judge.blame(stream, "torn", `${id} is the last of its batch of ${of}`);
}

// --- tails, ends, existence ---

// A tail never goes back: who asks after somebody was told N is told N or more.
function checkTails(judge, stream) {
  const looks = stream.looks.filter(({ next, status }) => next !== undefined && status < 400);
  if (stream.final?.next !== undefined) looks.push({ began: Infinity, ended: Infinity, next: stream.final.next });
  const told = [...looks].sort((a, b) => a.ended - b.ended);
  let highest = 0;
  let i = 0;
  for (const look of looks.sort((a, b) => a.began - b.began)) {
    for (; i < told.length && told[i].ended < look.began; i++) highest = Math.max(highest, told[i].next);
    if (look.next < highest)
      judge.blame(stream, "tail went back", `to ${look.next} (event ${look.began}) after ${highest}`);
  }
}

function checkClosed(judge, stream) {
  const closed = stream.closes.filter(({ result }) => result === "ok").sort((a, b) => a.ended - b.ended);
  const ends = [...closed, ...stream.ends.map(({ t, next }) => ({ ended: t, next }))];
  for (const { ended, next } of ends) {
    for (const op of stream.appends.values())
      if (op.began > ended && op.result === "ok" && !(op.producer !== undefined && op.status === 204))
        judge.blame(stream, "reopened", `${op.id} was taken after the stream had been closed at ${next}`);
    for (const look of stream.looks)
      if (look.e === "look" && look.began > ended && look.status === 200 && !look.closed)
        judge.blame(stream, "reopened", `event ${look.began} saw it open after it had been closed at ${next}`);
    if (stream.final?.status === 200 && !(stream.final.closed && stream.final.next === next))
      judge.blame(
        stream,
        "reopened",
        `closed at ${next}, in the end ${stream.final.closed ? "closed" : "open"} at ${stream.final.next}`,
      );
  }
  if (stream.final?.closed && !stream.closes.length) judge.blame(stream, "closed by nobody", `at ${stream.final.next}`);
}

function checkExistence(judge, stream) {
  const { deletedAt, deleteBegan } = stream;
  const born = stream.made?.result === "ok" ? stream.made.ended : Infinity;
  for (const op of [...stream.refusals, ...stream.looks])
    if (GONE.has(op.status) && op.began > born && op.ended < deleteBegan)
      judge.blame(stream, "vanished", `event ${op.began} was answered ${op.status} before anybody deleted it`);
  for (const look of stream.looks)
    if (look.began > deletedAt && look.do !== "delete" && look.status < 400)
      judge.blame(stream, "delete undone", `event ${look.began} was answered ${look.status} after the delete`);
  if (deletedAt < Infinity && stream.final?.status === 200)
    judge.blame(stream, "delete undone", "it is there in the end");
  if (born < Infinity && deleteBegan === Infinity && stream.final && stream.final.status !== 200)
    judge.blame(
      stream,
      GONE.has(stream.final.status) ? "vanished" : "unreadable",
      `answered ${stream.final.status} in the end`,
    );
}

// --- estuaries ---

// When the estuary was subscribed to a source: surely, and at most.
function intervals(stream, source) {
  const all = [];
  for (const op of stream.subscriptions.filter((s) => s.source === source.name)) {
    const last = all.at(-1);
    if (op.do === "subscribe" && op.result !== "refused") {
      // Until an unsubscription that was asked for is known to have happened, both may be so.
      if (!last || last.mayEnd < Infinity)
        all.push({
          mayBegin: op.began,
          begins: op.result === "ok" ? op.ended : Infinity,
          ends: Infinity,
          mayEnd: Infinity,
        });
      else if (op.result === "ok" && last.ends < Infinity)
        all.push({ mayBegin: op.began, begins: op.ended, ends: Infinity, mayEnd: Infinity });
      else if (op.result === "ok") last.begins = Math.min(last.begins, op.ended);
    } else if (op.do === "unsubscribe" && last) {
      last.ends = Math.min(last.ends, op.began);
      if (op.result === "ok") for (const each of all) each.mayEnd = Math.min(each.mayEnd, op.ended);
    }
  }
  return all.map((each) => ({ ...each, ends: Math.min(each.ends, source.deleteBegan) }));
}

// Exactly what was appended to a source while the estuary was subscribed to it, once, and in the source's order.
function checkEstuary(judge, stream) {
  const sources = new Set(stream.subscriptions.map(({ source }) => judge.stream(source)));
  for (const source of sources) {
    const during = intervals(stream, source);
    const places = [...stream.places.values()]
      .filter(({ id }) => judge.owners.get(id) === source)
      .sort((a, b) => a.start - b.start);
    judge.counts.deliveries += places.length;
    let before = null;
    for (const { id } of places) {
      const op = source.appends.get(id);
      const there = source.places.get(id);
      if (!during.some(({ mayBegin, mayEnd }) => op.ended > mayBegin && op.began < mayEnd))
        judge.blame(
          stream,
          "not subscribed",
          `${id} is there, sent in ${op.began} to ${op.ended}; subscribed in ${JSON.stringify(during)}`,
        );
      if (source.complete && !there) judge.blame(stream, "never in its source", id);
      if (there && before && before.start > there.start)
        judge.blame(stream, "order", `${id} comes after ${before.id}, not so in ${source.name}`);
      before = there ?? before;
    }
    if (!stream.complete || !stream.parsed) continue;
    for (const op of source.appends.values()) {
      const due = op.result === "ok" && during.some(({ begins, ends }) => op.began > begins && op.ended < ends);
      if (due && !stream.places.has(op.id))
        judge.blame(
          stream,
          "not delivered",
          `${op.id} of ${source.name}, sent in ${op.began} to ${op.ended}; subscribed in ${JSON.stringify(during)}`,
        );
    }
  }
  for (const { id } of stream.places.values())
    if (!sources.has(judge.owners.get(id))) judge.blame(stream, "foreign", `${id} is of no source of it`);
}

function checkFork(judge, stream) {
  if (!stream.source || stream.made.result !== "ok") return;
  const source = judge.streams.get(stream.source);
  const inherited = stream.units.slice(0, stream.base);
  const known = Math.min(inherited.length, source.units.length);
  if (!sameUnits(inherited.slice(0, known), source.units.slice(0, known)))
    judge.blame(stream, "fork", `its first ${known} units are not those of ${stream.source}`);
  if (stream.complete && inherited.length < stream.base)
    judge.blame(stream, "fork", `${inherited.length} of ${stream.base} inherited units are there`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { violations, counts } = check(loadHistory(process.argv[2]));
  for (const { stream, rule, text } of violations) console.log(`${rule}: ${stream}: ${text}`);
  console.log(
    `${violations.length} violations in ${counts.streams} streams, ${counts.appends} appends, ${counts.chunks} pieces read`,
  );
  process.exitCode = violations.length ? 1 : 0;
}
