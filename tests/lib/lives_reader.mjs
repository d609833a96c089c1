// A live reader that starts at a cursor and goes on over every reconnect until it is told that there is nothing to go on
// from. Gathers the units that it was given.

import { fromBody, fromEvent, emptyUnits, joinUnits } from "../crash/payload.mjs";
import { EventReader } from "./sse.mjs";
import { call, positionOf } from "./streams.mjs";
import { sleep } from "./wait.mjs";

const RETRY = 20;

export class LivesReader {
  told = null; // { status, code }: why there is no more
  wrong = null; // what an answer said that cannot be
  closed = false; // the reader was told the stream's end
  #stopped = false;

  constructor(url, cursor, mode) {
    Object.assign(this, { url, cursor, mode, offset: cursor.offset, units: emptyUnits(cursor.life.kind) });
    this.abort = new AbortController();
    this.done = this.#run();
  }

  get position() {
    return this.cursor.position + this.units.length;
  }

  get over() {
    return Boolean(this.told || this.closed || this.wrong || this.#stopped);
  }

  async stop() {
    this.#stopped = true;
    this.abort.abort();
    await this.done;
  }

  async #run() {
    while (!this.over) {
      try {
        await (this.mode === "sse" ? this.#followEvents() : this.#poll());
      } catch (error) {
        if (!this.#stopped) await sleep(RETRY); // no connection
      }
    }
  }

  #take(units, offset) {
    this.units = joinUnits(this.units, units);
    this.offset = offset;
    if (positionOf(offset) !== this.position) this.wrong ??= `${offset} after ${this.position} units`;
  }

  #refused(status, text) {
    const code = text ? JSON.parse(text).code : undefined;
    if (status === 404 || status === 410) this.told = { status, code };
    else this.wrong ??= `answered ${status} ${text}`;
  }

  async #poll() {
    const { kind } = this.cursor.life;
    const query = { live: "long-poll", offset: this.offset };
    const answer = await call(this.url, "GET", { query, signal: this.abort.signal });
    if (answer.status === 503) return sleep(RETRY);
    if (answer.status >= 400) return this.#refused(answer.status, answer.text);
    this.#take(answer.status === 200 ? fromBody(kind, answer.bytes) : emptyUnits(kind), answer.next);
    this.closed = answer.headers.get("stream-closed") === "true";
  }

  async #followEvents() {
    const { kind } = this.cursor.life;
    let data = emptyUnits(kind);
    const onEvent = (event) => {
      if (event.type === "data") data = joinUnits(data, fromEvent(kind, event.data));
      if (event.type !== "control") return;
      const { streamNextOffset, streamClosed } = JSON.parse(event.data);
      this.#take(data, streamNextOffset);
      data = emptyUnits(kind);
      this.closed ||= Boolean(streamClosed);
    };
    const events = EventReader.open(this.url, { query: { offset: this.offset }, onEvent });
    while (!events.ended && !this.over) await sleep(5);
    events.close();
    if (data.length) this.wrong ??= `${data.length} units without a control event`; // they must not come again
    // The body of a refusal is no event.
    if (events.status >= 400 && events.status < 500) await this.#ask();
    else if (events.status !== 200) await sleep(RETRY);
  }

  async #ask() {
    const { status, text } = await call(this.url, "GET", { query: { offset: this.offset } });
    if (status >= 400) this.#refused(status, text);
  }
}
