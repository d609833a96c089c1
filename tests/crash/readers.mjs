// Live readers: each follows one stream across reconnects and writes down every piece it is given, until it has seen the
// end that the final read found.

import { EventReader } from "../lib/sse.mjs";
import { sleep } from "../lib/wait.mjs";
import { isGone, positionOf, resultOf, send } from "./client.mjs";
import { fromBody, fromEvent } from "./payload.mjs";

const RETRY = 30;
let readers = 0;

class Reader {
  constructor(workload, target, mode, start) {
    Object.assign(this, { workload, target, mode });
    this.name = `${mode}-${++readers}`;
    this.offset = start; // -1, now, or an offset
    this.over = false; // it was told that there is no more
    workload.history.add({ e: "open", r: this.name, s: target.name });
    this.done = this.#run().catch((error) => (this.error = error));
  }

  get position() {
    return /_/.test(this.offset) ? positionOf(this.offset) : null;
  }

  // It has everything, or there is nothing more to have.
  get finished() {
    if (this.over || this.error || this.workload.abandoned) return true;
    const final = this.workload.finals?.get(this.target.name);
    return (
      final !== undefined && (final.status !== 200 || (this.position ?? -1) >= final.next || this.offset === "now")
    );
  }

  async #run() {
    while (!this.finished) {
      if (this.mode === "sse") await this.#followEvents();
      else await this.#poll();
    }
  }

  take(offset, units) {
    const next = positionOf(offset);
    const from = this.position ?? (this.offset === "now" ? next - units.length : 0);
    if (units.length) this.workload.history.add({ e: "chunk", r: this.name, s: this.target.name, from, next, units });
    this.offset = offset;
  }

  look(began, { status, next, closed, upToDate }) {
    if (status < 300 && !upToDate) return;
    this.workload.history.add({ e: "look", s: this.target.name, began, status, next, closed: Boolean(closed) });
  }

  eof(next) {
    this.over = true;
    this.workload.history.add({ e: "eof", r: this.name, s: this.target.name, next });
  }

  refused(began, status) {
    this.look(began, { status });
    this.over = isGone(status);
    if (!this.over) throw new Error(`reader ${this.name} at ${this.offset} was answered ${status}`);
  }

  async #poll() {
    const began = this.workload.history.now;
    const url = `${this.workload.url(this.target)}?live=long-poll&offset=${this.offset}`;
    const answer = await send(url, "GET");
    const result = resultOf(answer);
    if (result === "refused") return this.refused(began, answer.status);
    if (result === "unknown") return sleep(RETRY);
    this.look(began, answer);
    this.take(
      answer.offset,
      answer.status === 200 ? fromBody(this.target.kind, answer.body) : fromBody(this.target.kind, Buffer.alloc(0)),
    );
    if (answer.closed) this.eof(answer.next);
  }

  async #followEvents() {
    const began = this.workload.history.now;
    let data = null;
    const onEvent = (event) => {
      if (event.type === "data") data = fromEvent(this.target.kind, event.data);
      if (event.type !== "control") return;
      const { streamNextOffset, streamClosed, upToDate } = JSON.parse(event.data);
      const next = positionOf(streamNextOffset);
      this.take(streamNextOffset, data ?? fromBody(this.target.kind, Buffer.alloc(0)));
      data = null;
      if (upToDate || streamClosed) this.look(began, { status: 200, next, closed: streamClosed, upToDate: true });
      if (streamClosed) this.eof(next);
    };
    const events = EventReader.open(this.workload.url(this.target), { query: { offset: this.offset }, onEvent });
    while (!events.ended && !this.finished) await sleep(20);
    events.close();
    if (events.status >= 400 && events.status < 500) this.refused(began, events.status);
    else if (events.status !== 200) await sleep(RETRY);
  }
}

export function startReader(workload, target, mode, start) {
  return new Reader(workload, target, mode, start);
}
