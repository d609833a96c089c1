// Requests of the workload: an answer is always an object; status 0 means that none came.

import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const TIMEOUT = 30_000;

export const positionOf = (offset) => (offset ? Number(offset.slice(17)) : undefined);
export const START = "0000000000000000_0000000000000000"; // of any stream

function toAnswer(response, parts) {
  const { statusCode: status, headers } = response;
  const body = Buffer.concat(parts);
  const offset = headers["stream-next-offset"];
  const answer = { status, headers, body, offset, next: positionOf(offset) };
  answer.closed = headers["stream-closed"] === "true";
  answer.upToDate = headers["stream-up-to-date"] === "true";
  if (status >= 400 && headers["content-type"]?.startsWith("application/json") && body.length)
    answer.code = JSON.parse(body).code;
  return answer;
}

export function send(url, method, { headers = {}, body } = {}) {
  return new Promise((resolve) => {
    const nothing = (error) => resolve({ status: 0, headers: {}, error });
    const length = body ? { "content-length": body.length } : {};
    const outgoing = request(
      url,
      { method, agent, timeout: TIMEOUT, headers: { ...headers, ...length } },
      (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("error", nothing);
        response.on("end", () => resolve(toAnswer(response, parts)));
        response.on("close", () => nothing(new Error("cut off")));
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("timeout")));
    outgoing.on("error", nothing);
    outgoing.end(body);
  });
}

// What an answer says about the operation: done, not done, or nobody knows.
export function resultOf({ status }) {
  if (status >= 200 && status < 300) return "ok";
  return status >= 400 && status < 500 && status !== 408 && status !== 429 ? "refused" : "unknown";
}

export function disconnect() {
  agent.destroy();
}
