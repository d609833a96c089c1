// What writers write: every message says which append it belongs to and can be checked from its name alone.
//
// A stream's content is handled as "units", one for each step of its offsets: a string of one-byte characters for byte
// streams, an array of messages (their text) for JSON. Both have length and slice().

export const TYPES = { text: "text/plain", binary: "application/octet-stream", json: "application/json" };

const binaryFill = (id, size) => {
  let x = [...id].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) >>> 0, 7);
  let out = "";
  for (let i = 0; i < size; i++) {
    x = (x * 1664525 + 1013904223) >>> 0;
    out += String.fromCharCode(x >>> 24);
  }
  return out;
};

const textFill = (id, size) =>
  `${id} zwölf Boxkämpfer\n`
    .replace(/[^\x20-\x7e\n]/g, "?")
    .repeat(size / id.length + 1)
    .slice(0, size);

const byteMessage = (kind, id, size) => `${id}:${size};${(kind === "binary" ? binaryFill : textFill)(id, size)}`;
const jsonMessage = (id, part, size) => JSON.stringify({ id, part, pad: textFill(id, size) });

// The units of append `id` with `count` messages (byte streams have always one) of `size` bytes beside their name.
export function payload(kind, id, size, count) {
  if (kind !== "json") return byteMessage(kind, id, size);
  return Array.from({ length: count }, (_, part) => jsonMessage(id, part, size));
}

export const emptyUnits = (kind) => (kind === "json" ? [] : "");
export const joinUnits = (a, b) => a.concat(b);
export const sameUnits = (a, b) =>
  a.length === b.length && (typeof a === "string" ? a === b : a.every((x, i) => x === b[i]));

// Units to a request's body, and an answer's body back to units.
export function toBody(kind, units) {
  if (kind !== "json") return Buffer.from(units, "latin1");
  return Buffer.from(units.length === 1 ? units[0] : `[${units.join(",")}]`);
}

export function fromBody(kind, body) {
  if (kind !== "json") return body.toString("latin1");
  return body.length ? JSON.parse(body.toString()).map((item) => JSON.stringify(item)) : [];
}

export function fromEvent(kind, data) {
  if (kind === "json") return JSON.parse(data).map((item) => JSON.stringify(item));
  return kind === "binary" ? Buffer.from(data.replaceAll("\n", ""), "base64").toString("latin1") : data;
}

// Takes units apart, from position `base` on: { id, start, end, parts } one after the other; throws where something does
// not belong, with `cut` if that may be the first part of a message.
export function parseUnits(kind, units, base) {
  return kind === "json" ? parseMessages(units, base) : parseBytes(kind, units, base);
}

function* parseBytes(kind, units, base) {
  const name = /([a-z0-9.-]+):(\d+);/y;
  for (let at = 0; at < units.length;) {
    name.lastIndex = at;
    const [head, id, size] = name.exec(units) ?? [];
    const end = head ? at + head.length + Number(size) : at;
    const message = head && byteMessage(kind, id, Number(size));
    if (!head || units.slice(at, end) !== message) {
      const cut = head ? message.startsWith(units.slice(at)) : /^[a-z0-9.-]*(:\d*)?$/.test(units.slice(at));
      const text = `bytes that nobody wrote at ${base + at}: ${JSON.stringify(units.slice(at, at + 60))}`;
      throw Object.assign(new Error(text), { cut });
    }
    yield { id, start: base + at, end: base + end, parts: 1 };
    at = end;
  }
}

function* parseMessages(units, base) {
  let last;
  for (const [i, text] of units.entries()) {
    const { id, part, pad } = JSON.parse(text);
    if (text !== jsonMessage(id, part, pad.length))
      throw new Error(`a message that nobody wrote at ${base + i}: ${text.slice(0, 60)}`);
    if (part === 0) {
      if (last) yield last;
      last = { id, start: base + i, end: base + i + 1, parts: 1 };
    } else if (last?.id === id && last.parts === part) Object.assign(last, { end: base + i + 1, parts: part + 1 });
    else throw new Error(`part ${part} of ${id} is out of place at ${base + i}`);
  }
  if (last) yield last;
}
