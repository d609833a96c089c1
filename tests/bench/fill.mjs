// Streams with a history.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MESSAGE = 100; // bytes
const REQUEST = 64 * 1024; // bytes, about

const messages = (count, json) =>
  Array.from({ length: count }, (_, i) => {
    const text = String(i)
      .padStart(10, "0")
      .padEnd(json ? MESSAGE - 8 : MESSAGE, "streamd ");
    return json ? JSON.stringify({ d: text }) : text;
  });

async function send(method, url, type, body) {
  const answer = await fetch(url, { method, headers: { "Content-Type": type }, body });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status}`);
}

// Creates the stream and appends to it until it holds at least `bytes`.
export async function fill(url, bytes, json = false) {
  const type = json ? "application/json" : "application/octet-stream";
  const few = messages(Math.ceil(Math.min(bytes, REQUEST) / MESSAGE), json);
  const body = json ? `[${few.join(",")}]` : few.join("");
  await send("PUT", url, type);
  for (let sent = 0; sent < bytes; sent += few.length * MESSAGE) await send("POST", url, type, body);
}

// The same as a file for a server of files.
export function fillFile(folder, name, bytes) {
  mkdirSync(join(folder, "static"), { recursive: true });
  writeFileSync(join(folder, "static", name), Buffer.alloc(bytes, messages(1000, false).join("")));
}
