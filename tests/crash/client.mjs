// Requests of the workload: an answer is always an object; status 0 means that none came.

import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const TIMEOUT = 30_000;

export const positionOf = (offset) => (offset ? Number(offset.slice(17)) : undefined);
export const START = "0000000000000000_0000000000000000"; // of any stream

function codeOf(headers, body) {
  return headers["content-type"]?.startsWith("application/json") && body.length ? JSON.parse(body).code : undefined;
}

function toAnswer(response, parts) {
  const { statusCode: status, headers } = response;
  const body = Buffer.concat(parts);
  const offset = headers["stream-next-offset"];
  const answer = { status, headers, body, offset, next: positionOf(offset) };
  answer.life = headers["stream-incarnation"];
  answer.closed = headers["stream-closed"] === "true";
  answer.upToDate = headers["stream-up-to-date"] === "true";
  if (status >= 400) answer.code = headers["stream-error-code"] ?? codeOf(headers, body);
  return answer;
}

// Sends a request whose body `write(outgoing)` sends and ends.
function ask(url, method, headers, write) {
  return new Promise((resolve) => {
    const nothing = (error) => resolve({ status: 0, headers: {}, error });
    const outgoing = request(url, { method, agent, timeout: TIMEOUT, headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("error", nothing);
      response.on("end", () => resolve(toAnswer(response, parts)));
      response.on("close", () => nothing(new Error("cut off")));
    });
    outgoing.on("timeout", () => outgoing.destroy(new Error("timeout")));
    outgoing.on("error", nothing);
    write(outgoing);
  });
}

export function send(url, method, { headers = {}, body } = {}) {
  const length = body ? { "content-length": body.length } : {};
  return ask(url, method, { ...headers, ...length }, (outgoing) => outgoing.end(body));
}

// A POST with a body in pieces, and a pause behind each.
export function sendPieces(url, headers, pieces, pause) {
  return ask(url, "POST", headers, async (outgoing) => {
    for (const piece of pieces) {
      if (outgoing.destroyed || outgoing.res) break;
      outgoing.write(piece);
      await pause();
    }
    outgoing.end();
  });
}

// What an answer says about the operation: done, not done, or nobody knows.
export function resultOf({ status }) {
  if (status >= 200 && status < 300) return "ok";
  return status >= 400 && status < 500 && status !== 408 && status !== 429 ? "refused" : "unknown";
}

// There is no such stream, or its name has another life: 410 to an offset, 412 to Stream-Incarnation.
export const isGone = (status) => status === 404 || status === 410 || status === 412;

export function disconnect() {
  agent.destroy();
}
