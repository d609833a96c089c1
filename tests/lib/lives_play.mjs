// One random history: every step is one request or a few, and is held against the model at once. A step throws where the
// server does something else than the model.

import { emptyUnits, fromBody, joinUnits, sameUnits, toBody, TYPES } from "../crash/payload.mjs";
import { Random } from "../crash/random.mjs";
import { Cursor, Life, Model } from "./lives_model.mjs";
import { LivesReader } from "./lives_reader.mjs";
import { call, positionOf } from "./streams.mjs";
import { sleep, until } from "./wait.mjs";

const GROUP = ["{g}/0", "{g}/1", "{g}/2", "{g}/3"];
const NAMES = [...GROUP, "a", "b", "c", "d"];
const KINDS = Object.fromEntries(NAMES.map((name, i) => [name, i % 2 ? "text" : "json"]));
const isString = (units) => typeof units === "string";
const READERS_MAX = 8;
const CURSORS_MAX = 400;
const EXPIRY_MS = 250;
const GONE = [404, 410];

const STEPS = {
  create: 8,
  append: 14,
  batch: 8,
  fork: 6,
  remove: 4,
  recreate: 6,
  expire: 0.7,
  close: 1,
  probe: 22,
  page: 5,
  revalidate: 5,
  expect: 12,
  match: 5,
  incarnation: 6,
  follow: 8,
  crash: 0.4,
};

export class Play {
  cursors = [];
  tags = []; // { life, etag, units }: reads from the start that may be asked for again
  readers = [];
  story = []; // what was done, for people

  constructor(server, random, model) {
    Object.assign(this, { server, random, model });
  }

  async run(steps) {
    for (let i = 0; i < steps; i++) await this.step(this.random.weighted(STEPS));
  }

  async step(what) {
    this.story.push(what);
    await this[what]();
    for (const reader of this.readers) this.#checkReader(reader);
    this.readers = this.readers.filter(({ told }) => !told);
  }

  // --- requests ---

  path(name) {
    return `/v1/stream/test/${encodeURIComponent(name)}`;
  }

  url(name) {
    return this.server.url + this.path(name);
  }

  tell(text) {
    this.story[this.story.length - 1] += ` ${text}`;
  }

  wrong(text) {
    throw new Error(`${text}; the last steps:\n${this.story.slice(-40).join("\n")}`);
  }

  async ask(name, method, { query, headers, body } = {}) {
    const answer = await call(this.url(name), method, { query, headers, body });
    const about = Object.entries({ ...query, ...headers }).map(([key, value]) => `${key}=${value}`);
    this.tell(`[${method} ${name} ${about.join(" ")}: ${answer.status}]`);
    return answer;
  }

  demand(answer, ...statuses) {
    if (!statuses.includes(answer.status)) this.wrong(`answered ${answer.status} ${answer.text}, not ${statuses}`);
    return answer;
  }

  // An answer of the life, which has all that the model has: remembers the place that the answer names.
  learn(life, answer, position = life.length) {
    const incarnation = answer.headers.get("stream-incarnation");
    if (incarnation !== (life.incarnation ??= incarnation)) this.wrong(`incarnation ${incarnation}, not ${life.incarnation}`);
    if (positionOf(answer.next) !== position) this.wrong(`at ${answer.next}, not ${position}`);
    this.cursors.push(new Cursor(life, answer.next, position, incarnation));
    if (this.cursors.length > CURSORS_MAX) this.cursors.splice(this.random.int(0, CURSORS_MAX - 1), 1);
  }

  get names() {
    return [...this.model.lives.keys()];
  }

  // A life that is there and open, if there is one.
  some(test = ({ closed }) => !closed) {
    const lives = [...this.model.lives.values()].filter(test);
    return lives.length ? this.random.pick(lives) : null;
  }

  free(names = NAMES) {
    const free = names.filter((name) => !this.model.lives.has(name));
    return free.length ? this.random.pick(free) : null;
  }

  // --- steps that change something ---

  async create(name = this.free(), headers = {}) {
    if (!name) return null;
    const life = new Life(name, KINDS[name]);
    const units = this.random.chance(0.3) ? life.write() : emptyUnits(life.kind);
    const body = units.length ? toBody(life.kind, units) : undefined;
    const answer = await this.ask(name, "PUT", { headers: { "content-type": TYPES[life.kind], ...headers }, body });
    this.demand(answer, 201, 409); // 409: a deleted stream whose forks are there keeps its name
    if (answer.status !== 201) return null;
    life.take(units);
    this.learn(this.model.add(life), answer);
    return life;
  }

  async append(life = this.some()) {
    if (!life) return;
    const units = life.write(this.random.int(1, 4));
    const headers = { "content-type": TYPES[life.kind] };
    this.demand(await this.ask(life.name, "POST", { headers, body: toBody(life.kind, units) }).then((answer) => {
      life.take(units);
      if (answer.status === 204) this.learn(life, answer);
      return answer;
    }), 204);
  }

  // Appends to several streams, of which some may not be there, or closed.
  async batch() {
    const names = GROUP.filter(() => this.random.chance(0.5));
    if (!names.length) return;
    const lives = names.map((name) => this.model.lives.get(name));
    const written = names.map((name, i) => (lives[i] ?? new Life(name, KINDS[name])).write());
    const appends = names.map((stream, i) => ({ stream, data: isString(written[i]) ? written[i] : JSON.parse(written[i][0]) }));
    const answer = await call(`${this.server.url}/v1/batch/test`, "POST", { body: JSON.stringify({ appends }) });
    this.tell(`[batch ${names}: ${answer.status}]`);
    if (lives.every((life) => life && !life.closed)) {
      this.demand(answer, 200);
      lives.forEach((life, i) => life.take(written[i]));
    } else this.demand(answer, 404, 409, 410);
    for (const life of lives) if (life) await this.look(life);
  }

  // A fork at a cursor that may be of a life that is over.
  async fork() {
    const cursor = this.someCursor();
    const name = cursor && this.free();
    if (!name) return;
    const headers = { "stream-forked-from": this.path(cursor.life.name), "stream-fork-offset": cursor.offset };
    const answer = await this.ask(name, "PUT", { headers });
    const source = cursor.life.name;
    if (!this.model.good(source, cursor)) return this.demand(answer, 404, 409, 410);
    this.demand(answer, 201, 409);
    if (answer.status !== 201) return;
    const { kind } = cursor.life;
    this.learn(this.model.add(new Life(name, kind, cursor.prefix, this.model.lives.get(source))), answer);
  }

  async remove(life = this.some(() => true)) {
    if (!life) return null;
    this.demand(await this.ask(life.name, "DELETE"), 204);
    this.model.end(life.name);
    return life.name;
  }

  async recreate() {
    const name = await this.remove();
    const life = name && (await this.create(name));
    for (let n = this.random.int(0, 4); life && n > 0; n--) await this.append(life);
  }

  // A life that ends by itself. On a slow machine, sooner than anything could be appended.
  async expire() {
    const name = this.free();
    if (!name) return;
    const end = Date.now() + EXPIRY_MS;
    const life = await this.create(name, { "stream-expires-at": new Date(end).toISOString() });
    if (!life) return;
    const reader = this.startReader(this.cursors.at(-1));
    const units = life.write();
    const answer = await this.ask(name, "POST", { headers: { "content-type": TYPES[life.kind] }, body: toBody(life.kind, units) });
    if (answer.status === 204) life.take(units), this.learn(life, answer);
    await sleep(end - Date.now());
    await until("the life to expire", async () => GONE.includes((await this.ask(name, "HEAD")).status));
    this.model.end(name);
    await this.create(name);
    if (reader) await this.#atEnd(reader);
  }

  async close() {
    const life = this.random.chance(0.5) && this.some();
    if (!life) return;
    this.learn(life, this.demand(await this.ask(life.name, "POST", { headers: { "stream-closed": "true" } }), 204));
    life.closed = true;
  }

  async crash() {
    const before = this.server.children("shard").map(({ pid }) => pid);
    this.server.killChildren("shard");
    await until("other shards", () => {
      const now = this.server.children("shard").map(({ pid }) => pid);
      return now.length === before.length && now.every((pid) => !before.includes(pid));
    });
    for (const life of this.model.lives.values()) {
      await until("its shard", async () => (await this.ask(life.name, "HEAD")).status === 200);
      await this.look(life);
    }
  }

  // --- steps that only look ---

  someCursor() {
    if (!this.cursors.length) return null;
    return this.random.chance(0.3) ? this.random.pick(this.cursors.slice(-10)) : this.random.pick(this.cursors);
  }

  async look(life) {
    this.learn(life, this.demand(await this.ask(life.name, "HEAD"), 200));
  }

  // A cursor that names nothing now.
  demandGone(name, answer) {
    if (!this.model.lives.has(name)) return this.demand(answer, ...GONE);
    this.demand(answer, 410);
    const { code } = answer.json();
    if (code !== "STREAM_RECREATED") this.wrong(`code ${code}`);
    if (!answer.headers.get("stream-earliest-offset")) this.wrong("without Stream-Earliest-Offset");
    return answer;
  }

  // All that is behind a cursor, of the stream itself or of a fork.
  async probe(cursor = this.someCursor()) {
    if (!cursor) return;
    const forks = [...this.model.lives.values()].filter((life) => life.source && life.descendsFrom(cursor.life));
    const fork = forks.length > 0 && this.random.chance(0.3);
    const { name } = fork ? this.random.pick(forks) : cursor.life;
    const query = this.random.chance(0.3) ? { limit: this.random.int(1, 3) } : {};
    if (!this.model.good(name, cursor)) return this.demandGone(name, await this.ask(name, "GET", { query: { ...query, offset: cursor.offset } }));
    await this.readOn(this.model.lives.get(name), cursor, query);
  }

  async readOn(life, { offset, position }, query = {}) {
    let units = emptyUnits(life.kind);
    for (let at = offset; ;) {
      const answer = this.demand(await this.ask(life.name, "GET", { query: { ...query, offset: at } }), 200);
      units = joinUnits(units, fromBody(life.kind, answer.bytes));
      at = answer.next;
      if (!sameUnits(units, life.units.slice(position, position + units.length)))
        this.wrong(`${life.name} has ${life.units.slice(position)}; read from ${offset}: ${units}`);
      this.learn(life, answer, position + units.length);
      if (answer.headers.get("stream-up-to-date") === "true") break;
    }
    if (position + units.length !== life.length) this.wrong(`${life.name} ends at ${life.length}, not ${position + units.length}`);
  }

  // The page in front of a cursor.
  async page() {
    const cursor = this.someCursor();
    if (!cursor) return;
    const { name } = cursor.life;
    const n = this.random.int(1, 5);
    const answer = await this.ask(name, "GET", { query: { before: cursor.offset, n } });
    if (!this.model.good(name, cursor)) return this.demandGone(name, answer);
    const units = fromBody(cursor.life.kind, this.demand(answer, 200).bytes);
    const expected = cursor.prefix.slice(cursor.position - units.length);
    if (!sameUnits(units, expected) || (cursor.position > 0 && !units.length))
      this.wrong(`${n} before ${cursor.offset}: ${units}, not ${expected}`);
  }

  // A copy in a cache is good as long as the same would be answered.
  async revalidate() {
    const tag = this.tags.length && this.random.chance(0.7) ? this.random.pick(this.tags) : null;
    const life = tag ? tag.life : this.some(() => true);
    if (!life) return;
    const headers = tag ? { "if-none-match": tag.etag } : {};
    const answer = await this.ask(life.name, "GET", { query: { offset: "-1" }, headers });
    const now = this.model.lives.get(life.name);
    if (!now) return this.demand(answer, ...GONE);
    if (answer.status === 304) {
      if (!tag || now !== life || !sameUnits(tag.units, now.units)) this.wrong("304 though the content is another");
      return;
    }
    const units = fromBody(now.kind, this.demand(answer, 200).bytes);
    if (!sameUnits(units, now.units)) this.wrong(`${life.name} has ${now.units}, not ${units}`);
    this.tags.push({ life: now, etag: answer.headers.get("etag"), units });
  }

  // --- conditions ---

  // An append that is done only at the tail that the cursor names.
  async conditional(cursor, headers, refusal) {
    const { life } = cursor;
    const now = this.model.lives.get(life.name);
    const units = (now ?? life).write();
    const { kind } = now ?? life;
    const answer = await this.ask(life.name, "POST", {
      headers: { "content-type": TYPES[kind], ...headers },
      body: toBody(kind, units),
    });
    if (!now) return this.demand(answer, ...GONE);
    if (now.closed) return this.demand(answer, 409, refusal);
    if (!this.model.good(life.name, cursor) || (cursor.position !== now.length && refusal)) {
      this.demand(answer, refusal);
      if (positionOf(answer.next) !== now.length) this.wrong(`the tail is said to be ${answer.next}`);
      return this.learn(now, answer);
    }
    this.demand(answer, 204);
    now.take(units);
    this.learn(now, answer);
  }

  // Half of the time at the tail, as far as anybody knows.
  atTail() {
    const life = this.some();
    const cursor = life && this.cursors.findLast((each) => each.life === life);
    return cursor && this.random.chance(0.5) ? cursor : this.someCursor();
  }

  async expect() {
    const cursor = this.atTail();
    if (cursor) await this.conditional(cursor, { "stream-expected-offset": cursor.offset }, 409);
  }

  async match() {
    const cursor = this.atTail();
    if (cursor) await this.conditional(cursor, { "if-match": `"${cursor.offset}"` }, 412);
  }

  // Requests for one life, which may be over.
  async incarnation() {
    const cursor = this.someCursor();
    if (!cursor) return;
    const { life } = cursor;
    const now = this.model.lives.get(life.name);
    const headers = { "stream-incarnation": cursor.incarnation };
    const same = now !== undefined && now.incarnation === cursor.incarnation;
    if (same && now !== life) this.wrong("two lives have one incarnation");
    const method = this.random.pick(["GET", "HEAD", "POST", "DELETE"]);
    const append = method === "POST";
    const units = (now ?? life).write();
    const body = append ? toBody((now ?? life).kind, units) : undefined;
    if (append) headers["content-type"] = TYPES[(now ?? life).kind];
    const answer = await this.ask(life.name, method, { headers, body });
    if (!now) return this.demand(answer, ...GONE);
    if (!same) return this.demand(answer, 412);
    if (append && now.closed) return this.demand(answer, 409);
    this.demand(answer, 200, 204);
    if (append) now.take(units);
    if (append) this.learn(now, answer);
    if (method === "DELETE") this.model.end(now.name);
  }

  // --- live readers ---

  startReader(cursor = this.someCursor()) {
    if (!cursor) return null;
    const { name } = cursor.life;
    const reader = new LivesReader(this.url(name), cursor, this.random.pick(["sse", "long-poll"]));
    this.readers.push(reader);
    return reader;
  }

  async follow() {
    if (this.readers.length >= READERS_MAX) {
      const [reader] = this.readers.splice(this.random.int(0, READERS_MAX - 1), 1);
      await reader.stop();
      this.#checkReader(reader);
    }
    this.startReader();
  }

  // A reader has been given what its life has behind its cursor, and nothing else.
  #checkReader({ cursor, units, told, wrong, closed, mode }) {
    const { life, offset, position } = cursor;
    const who = `the ${mode} reader of ${life.name} from ${offset}`;
    if (wrong) this.wrong(`${who}: ${wrong}`);
    if (closed && !life.closed) this.wrong(`${who} was told its end, but nobody closed it`);
    const there = life.units.slice(position, position + units.length);
    const known = units.length === 0 || (sameUnits(life.units.slice(0, position), cursor.prefix) && sameUnits(there, units));
    if (!known) this.wrong(`${who} was given ${units}, not ${there}`);
    if (told && this.model.good(life.name, cursor)) this.wrong(`${who} was told ${told.status} ${told.code}, but the life goes on`);
  }

  // Every reader has all of its life, or was told that it is over.
  async settle() {
    this.story.push("settle");
    for (const reader of this.readers) await this.#atEnd(reader);
    for (const reader of this.readers) this.#checkReader(reader);
    await this.stopReaders();
  }

  async #atEnd(reader) {
    const { life } = reader.cursor;
    const arrived = () => reader.position === life.length && (reader.closed || this.model.good(life.name, reader.cursor));
    await until("a reader's end", () => reader.told || reader.wrong || arrived(), 5000).catch(() => {
      this.wrong(`the ${reader.mode} reader of ${life.name} from ${reader.cursor.offset} stays at ${reader.offset}`);
    });
  }

  async stopReaders() {
    await Promise.all(this.readers.map((reader) => reader.stop()));
    for (const reader of this.readers) this.#checkReader(reader);
    this.readers = [];
  }

  // The server was restored from a backup of which `copy` is. What was done since is lost, and some who had seen it come
  // to the restored server.
  async restored(server, copy) {
    this.story.push("restored");
    this.server = server;
    this.model.restore(copy);
    for (const life of this.model.lives.values()) {
      if (!life.closed) life.incarnation = undefined; // another one from the restored tail on
      await this.look(life);
    }
    for (let n = 0; n < READERS_MAX; n++) this.startReader();
  }

  // Every place that was ever named, and every stream as a whole.
  async probeAll() {
    this.story.push("probe all");
    for (const cursor of [...this.cursors]) await this.probe(cursor);
    for (const life of this.model.lives.values()) await this.readOn(life, { offset: "-1", position: 0 });
  }
}

// Runs `tell(play)` with chance of a seed that SEED can set; what it throws names the seed.
export async function seeded(server, tell) {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  try {
    await tell(new Play(server, new Random(seed), new Model()));
  } catch (error) {
    error.message = `SEED=${seed}: ${error.message}`;
    throw error;
  }
}
