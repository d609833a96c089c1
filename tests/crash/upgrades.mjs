// Upgrades under load: writers, event streams and long-polls at work while the programs are replaced again and again: by
// themselves, and by others whose processes speak frames of another version. Nothing may be lost, refused, or
// disconnected.
//
//     node crash/upgrades.mjs [upgrades] [event streams] [long-polls] [writers]
//
// With STREAMD_FROM=FOLDER the server begins with the programs there, of an earlier streamd, and its first upgrade is to ours.

import { EventReader } from "../lib/sse.mjs";
import { Connection } from "../lib/http.mjs";
import { Programs, buildAnother } from "../lib/programs.mjs";
import { BUILD, Server } from "../lib/server.mjs";
import { sleep, until } from "../lib/wait.mjs";
import { START, disconnect, positionOf, send } from "./client.mjs";

const [UPGRADES, EVENT_STREAMS, LONG_POLLS, WRITERS] = [10, 500, 100, 64].map((usual, i) =>
  Number(process.argv[2 + i] ?? usual),
);
const STREAMS = 32;
const IDLE = 20; // connections that say something now and then
const PAUSE = 15; // ms between two appends of a writer
const BETWEEN = 500; // ms between two upgrades
const SHOWN = 20;

const violations = [];
const blame = (text) => violations.push(text);

class Stream {
  acknowledged = 0; // messages
  readers = [];

  constructor(server, number) {
    this.url = `${server.url}/v1/stream/upgrades/s${number}`;
  }

  async create() {
    const { status } = await send(this.url, "PUT", { headers: { "content-type": "application/json" } });
    if (status !== 201) throw new Error(`PUT ${this.url}: ${status}`);
  }
}

// Every message says who wrote it and which of theirs it is: what a reader sees of one writer has to be 0, 1, 2...
class Witness {
  seen = new Map();
  position = 0;
  offset = START;

  constructor(name) {
    this.name = name;
  }

  take(messages, offset) {
    this.position += messages.length;
    this.offset = offset;
    if (positionOf(offset) !== this.position) blame(`${this.name}: ${this.position} messages at offset ${offset}`);
    for (const { w, n } of messages) {
      const expected = this.seen.get(w) ?? 0;
      if (n !== expected) blame(`${this.name}: ${n} of writer ${w}, not ${expected}`);
      this.seen.set(w, n + 1);
    }
  }
}

class EventStream extends Witness {
  constructor(stream, number) {
    super(`event stream ${number}`);
    this.stream = stream;
    let data = [];
    const onEvent = ({ type, data: text }) => {
      if (type === "data") data = JSON.parse(text);
      if (type !== "control") return;
      this.take(data, JSON.parse(text).streamNextOffset);
      data = [];
    };
    this.events = EventReader.open(stream.url, { query: { offset: "-1" }, onEvent });
  }

  check() {
    if (this.events.ended || this.events.status !== 200)
      blame(`${this.name} was ended: ${this.events.ended} (${this.events.status})`);
  }
}

class LongPoll extends Witness {
  ending = false;

  constructor(stream, number) {
    super(`long-poll ${number}`);
    this.stream = stream;
    this.done = this.#run();
  }

  async #run() {
    while (!this.ending || this.position < this.stream.acknowledged) {
      const answer = await send(`${this.stream.url}?live=long-poll&offset=${this.offset}`, "GET");
      if (answer.status === 200) this.take(JSON.parse(answer.body), answer.offset);
      else if (answer.status !== 204) return blame(`${this.name}: ${answer.status} ${answer.error ?? answer.body}`);
    }
  }
}

class Writer {
  ending = false;
  slowest = 0;
  appends = 0;

  constructor(stream, number) {
    Object.assign(this, { stream, number });
    this.done = this.#run();
  }

  async #run() {
    for (; !this.ending; this.appends++) {
      const body = Buffer.from(JSON.stringify({ w: this.number, n: this.appends }));
      const began = performance.now();
      const answer = await send(this.stream.url, "POST", { headers: { "content-type": "application/json" }, body });
      if (answer.status !== 204)
        return blame(`append ${this.appends} of ${this.number}: ${answer.status} ${answer.error ?? answer.body}`);
      this.stream.acknowledged++;
      this.slowest = Math.max(this.slowest, performance.now() - began);
      await sleep(PAUSE);
    }
  }
}

async function ask(connection, stream, n) {
  connection.send(`GET ${new URL(stream.url).pathname}?offset=now HTTP/1.1\r\nHost: x\r\n\r\n`);
  const { status } = await connection.answer();
  if (status !== 200) blame(`connection ${n}: ${status}`);
}

async function upgrade(server, n) {
  const before = new Set(server.children().map(({ pid }) => pid));
  const took = (log) => [...log.matchAll(/has taken over, in (\d+) ms/g)];
  const known = took(server.log).length;
  programs.install(n % 3 ? BUILD : another);
  server.signal("SIGHUP");
  await until(`upgrade ${n}`, () => took(server.log).length > known, 60_000);
  const left = server.children().filter(({ pid }) => before.has(pid));
  if (left.length) blame(`upgrade ${n} has left ${left.map(({ role, index }) => `${role} ${index}`)}`);
  return Number(took(server.log).at(-1)[1]);
}

const another = buildAnother();
const programs = new Programs(process.env.STREAMD_FROM);
const server = await Server.start({
  programs: programs.folder,
  settings: { "shard.count": 4, "router.workers": 2, "live.sse_lifetime": "1h", "live.long_poll_timeout": "2s" },
});
const streams = Array.from({ length: STREAMS }, (_, n) => new Stream(server, n));
const pick = (n) => streams[n % STREAMS];
await Promise.all(streams.map((stream) => stream.create()));
const readers = Array.from({ length: EVENT_STREAMS }, (_, n) => new EventStream(pick(n), n));
await until("the event streams", () => readers.every(({ events }) => events.status), 30_000);
const polls = Array.from({ length: LONG_POLLS }, (_, n) => new LongPoll(pick(n), n));
const idle = await Promise.all(Array.from({ length: IDLE }, () => Connection.open(server.url)));
const writers = Array.from({ length: WRITERS }, (_, n) => new Writer(pick(n), n));
const times = [];
try {
  for (let n = 1; n <= UPGRADES; n++) {
    await sleep(BETWEEN);
    times.push(await upgrade(server, n));
    await Promise.all(idle.map((connection, i) => ask(connection, pick(i), i)));
  }
  for (const writer of writers) writer.ending = true;
  await Promise.all(writers.map(({ done }) => done));
  for (const poll of polls) poll.ending = true;
  await until("the readers", () => readers.every(({ position, stream }) => position >= stream.acknowledged), 30_000);
  await Promise.all(polls.map(({ done }) => done));
} catch (error) {
  blame(error.stack);
}
for (const reader of readers) reader.check();
const appends = writers.reduce((sum, writer) => sum + writer.appends, 0);
const slowest = Math.max(...writers.map((writer) => writer.slowest));
for (const reader of readers) reader.events.close();
for (const connection of idle) connection.destroy();
disconnect();
await server.close().catch((error) => blame(error.message));
programs.remove();
for (const text of violations.slice(0, SHOWN)) console.log(`VIOLATION ${text}`);
console.log(
  `upgrades: ${times.length} (${times.join(", ")} ms), ${readers.length} event streams, ${polls.length} long-polls, ` +
    `${appends} appends of ${writers.length} writers, slowest ${slowest.toFixed(0)} ms, ${violations.length} violations`,
);
process.exit(violations.length ? 1 : 0);
