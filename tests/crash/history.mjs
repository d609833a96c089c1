// What happened, in the order in which it was seen: kept in memory for the checker and in a file for people.
//
// One object a line; t counts events. The kinds:
//   { e: "begin", op, do: "create" | "fork" | "append" | "close" | "delete", s, … }   an operation on stream s starts;
//       create and fork: kind; fork: source; append: id, parts, and producer, seq if it has one; close: true if it closes;
//       create and fork: path, which several streams may have one after the other, each in a life of its own;
//       append: expected, the tail at which it was to be done; line: of appends that keep their order on a connection;
//       incremental: a line's appends are the pieces of one request, of which a part may be done;
//       of several in one request: batch, of and rest: which and of how many, and how many units are behind it there
//   { e: "end", op, result: "ok" | "refused" | "unknown", status, next?, closed?, code?, life? }  … and ends
//   { e: "look", s, began, status, next?, closed?, life? }      a HEAD or a read to the tail that began at event `began`
//   { e: "open", r, s }                                   reader r starts on stream s
//   { e: "chunk", r, s, from, next, units }               and is given these units
//   { e: "eof", r, s, next }                              and is told that the stream ends there
//   { e: "final", s, status, next?, closed?, units? }     what the stream is at the end

import { createWriteStream, readFileSync } from "node:fs";

export class History {
  events = [];
  #file;
  #ops = 0;

  constructor(path) {
    if (path) this.#file = createWriteStream(path);
  }

  get now() {
    return this.events.length;
  }

  add(event) {
    event.t = this.events.length;
    this.events.push(event);
    this.#file?.write(`${JSON.stringify(event)}\n`);
    return event.t;
  }

  begin(what) {
    const op = ++this.#ops;
    this.add({ e: "begin", op, ...what });
    return op;
  }

  end(op, result, answer = {}) {
    const { status = 0, next, closed, code, life } = answer;
    this.add({ e: "end", op, result, status, next, closed, code, life });
  }

  // What is added after this is not written any more.
  async close() {
    const file = this.#file;
    this.#file = null;
    if (file) await new Promise((resolve) => file.end(resolve));
  }
}

export function loadHistory(path) {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
