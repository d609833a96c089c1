// A reader of server-sent events that shows every event as it came, and when and how the connection ended.

import { request } from "node:http";

import { until } from "./wait.mjs";

export function parseEvent(block) {
  const event = { type: "message", data: "", comment: null };
  const data = [];
  for (const line of block.split("\n")) {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
    if (field === "event") event.type = value;
    else if (field === "data") data.push(value);
    else if (field === "retry") event.retry = Number(value);
    else if (field === "") event.comment = value;
  }
  event.data = data.join("\n");
  if (!data.length && event.comment !== null) event.type = "comment";
  return event;
}

export class EventReader {
  events = []; // { type, data } in order of arrival; a comment is { type: "comment", comment }
  status = 0;
  headers = {};
  ended = null; // "clean" after the end of the body, else the error's code
  #rest = "";

  // onEvent: called with every event; without it they are gathered in `events`. held: nothing of the body is read before
  // response.resume().
  static open(address, { query = {}, headers = {}, onEvent, held } = {}) {
    return new EventReader(`${address}?${new URLSearchParams({ live: "sse", ...query })}`, headers, onEvent, held);
  }

  constructor(url, headers, onEvent = (event) => this.events.push(event), held = false) {
    this.onEvent = onEvent;
    this.held = held;
    this.request = request(url, { agent: false, headers: { accept: "text/event-stream", ...headers } });
    this.request.on("error", (error) => (this.ended ??= error.code ?? error.message));
    this.request.on("response", (response) => this.#listen(response));
    this.request.end();
  }

  #listen(response) {
    this.response = response;
    this.status = response.statusCode;
    this.headers = response.headers;
    response.setEncoding("utf8");
    response.on("data", (text) => this.#take(text));
    if (this.held) response.pause();
    response.on("end", () => (this.ended ??= "clean"));
    response.on("close", () => (this.ended ??= "closed"));
    response.on("error", (error) => (this.ended ??= error.code ?? error.message));
  }

  #take(text) {
    const blocks = (this.#rest + text).split("\n\n");
    this.#rest = blocks.pop();
    for (const block of blocks) this.onEvent(parseEvent(block));
  }

  get data() {
    return this.events.filter(({ type }) => type === "data").map(({ data }) => data);
  }

  get controls() {
    return this.events.filter(({ type }) => type === "control").map(({ data }) => JSON.parse(data));
  }

  // Where to continue: the offset of the last control event.
  get offset() {
    return this.controls.at(-1)?.streamNextOffset;
  }

  // Waits until `probe(reader)` is true.
  async see(what, probe, ms) {
    return until(`${what} (events so far: ${JSON.stringify(this.events).slice(0, 2000)})`, () => probe(this), ms);
  }

  async upToDate() {
    await this.see("an up-to-date control event", () => this.controls.some((control) => control.upToDate));
  }

  async end(ms) {
    await this.see("the end of the event stream", () => this.ended, ms);
    return this.ended;
  }

  close() {
    this.request.destroy();
  }
}
