// HTTP/1.1 spoken over a bare socket, for what a well-behaved client cannot send and does not show.

import { connect } from "node:net";

import { sleep, until } from "./wait.mjs";

const NO_BODY = new Set([204, 304]);

// Takes one answer off the front of `bytes`: { answer, used }, or null if it is not whole.
// answer: { status, reason, version, headers: { name: value }, body: Buffer, text, json() }.
function parseAnswer(bytes, method, closed) {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [first, ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  const [, version, status, reason] = /^HTTP\/(\d\.\d) (\d{3}) ?(.*)$/.exec(first) ?? [];
  if (!status) throw new Error(`not an HTTP answer: ${first}`);
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).toLowerCase();
    if (name in headers) throw new Error(`header ${name} came twice`);
    headers[name] = line.slice(colon + 1).trim();
  }
  const body = parseBody(bytes, end + 4, Number(status), headers, method, closed);
  if (!body) return null;
  const text = body.data.toString("utf8");
  const answer = {
    status: Number(status),
    reason,
    version,
    headers,
    body: body.data,
    text,
    json: () => JSON.parse(text),
  };
  return { answer, used: body.end };
}

function parseBody(bytes, start, status, headers, method, closed) {
  if (method === "HEAD" || status < 200 || NO_BODY.has(status)) return { data: Buffer.alloc(0), end: start };
  if (headers["transfer-encoding"] === "chunked") return parseChunks(bytes, start);
  if ("content-length" in headers) {
    const end = start + Number(headers["content-length"]);
    return bytes.length < end ? null : { data: bytes.subarray(start, end), end };
  }
  return closed ? { data: bytes.subarray(start), end: bytes.length } : null;
}

function parseChunks(bytes, start) {
  const parts = [];
  for (let at = start; ;) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return null;
    const size = parseInt(bytes.toString("latin1", at, line), 16);
    const data = line + 2;
    if (bytes.length < data + size + 2) return null;
    if (size === 0) return { data: Buffer.concat(parts), end: data + 2 };
    parts.push(bytes.subarray(data, data + size));
    at = data + size + 2;
  }
}

export class Connection {
  received = Buffer.alloc(0);
  closed = false;

  // Opens a connection to the server at `url`.
  static async open(url) {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true });
    const connection = new Connection(socket);
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return connection;
  }

  constructor(socket) {
    this.socket = socket;
    socket.on("data", (data) => (this.received = Buffer.concat([this.received, data])));
    socket.on("end", () => (this.closed = true));
    socket.on("close", () => (this.closed = true));
    socket.on("error", () => (this.closed = true));
  }

  send(bytes) {
    this.socket.write(bytes);
    return this;
  }

  // The next answer; `method` is that of its request.
  async answer(method = "GET", ms = 10_000) {
    const parsed = await until(
      "an answer",
      () => {
        const found = parseAnswer(this.received, method, this.closed);
        if (!found && this.closed)
          throw new Error(`closed in the middle: ${JSON.stringify(this.received.toString("latin1"))}`);
        return found;
      },
      ms,
    );
    this.received = this.received.subarray(parsed.used);
    return parsed.answer;
  }

  // Waits for the server to close the connection.
  async end(ms = 10_000) {
    await until("the server to close the connection", () => this.closed, ms);
  }

  destroy() {
    this.socket.destroy();
  }
}

// Sends `bytes` on a fresh connection and returns its first answer, with `closed`: whether the server then closed it.
export async function exchange(url, bytes, method = "GET") {
  const connection = await Connection.open(url);
  try {
    connection.send(bytes);
    const answer = await connection.answer(method);
    if (answer.headers.connection === "close") await connection.end();
    else await sleep(300); // long enough for a server that closes without having said so
    return { ...answer, closed: connection.closed };
  } finally {
    connection.destroy();
  }
}
