// HTTP/2 over TLS: one connection, and a fetch over it for those who take one.

import { connect } from "node:http2";
import { Readable } from "node:stream";

export class Http2 {
  #session = null;

  constructor(url, ca) {
    this.url = url;
    this.ca = ca;
  }

  // A connection that is open, a new one in place of one that has ended.
  get session() {
    if (!this.#session || this.#session.closed || this.#session.destroyed) {
      this.#session = connect(this.url, { ca: this.ca });
      this.#session.on("error", () => {});
    }
    return this.#session;
  }

  // A stream on which a request has been sent.
  request(path, { method = "GET", headers = {}, body } = {}) {
    const stream = this.open(path, { method, headers }, body === undefined);
    if (body !== undefined) stream.end(body);
    return stream;
  }

  // The same, with a body that the caller writes and ends.
  open(path, { method = "GET", headers = {} } = {}, endStream = false) {
    return this.session.request({ ":path": path, ":method": method, ...headers }, { endStream });
  }

  close() {
    this.#session?.destroy();
  }
}

const BODILESS = new Set([204, 304]);

const withoutPseudo = (headers) =>
  new Headers(Object.entries(headers).filter(([name]) => typeof name === "string" && !name.startsWith(":")));

// What fetch() does, over the connection.
export function h2fetch(http2) {
  return async (input, init) => {
    const request = new Request(input, { ...init, ...(init?.body ? { duplex: "half" } : {}) });
    const url = new URL(request.url);
    const headers = Object.fromEntries(request.headers);
    const body = request.body ? Buffer.from(await request.arrayBuffer()) : undefined;
    if (request.signal.aborted) throw request.signal.reason;
    const stream = http2.request(url.pathname + url.search, { method: request.method, headers, body });
    return new Promise((resolve, reject) => {
      request.signal.addEventListener("abort", () => (reject(request.signal.reason), stream.destroy()));
      stream.on("error", reject);
      stream.on("response", (answer) => {
        const status = answer[":status"];
        const empty = BODILESS.has(status) || request.method === "HEAD";
        if (empty) stream.resume();
        resolve(new Response(empty ? null : Readable.toWeb(stream), { status, headers: withoutPseudo(answer) }));
      });
    });
  };
}
