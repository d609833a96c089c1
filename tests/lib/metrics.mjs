// The page of metrics, read.

import { call } from "./streams.mjs";
import { until } from "./wait.mjs";

const LINE = /^(\w+)(?:\{(.*)\})? (\S+)$/;

// [{ name, labels: { name: value }, value }] of the page at `url`.
export async function scrape(url) {
  const { status, text } = await call(`${url}/metrics`);
  if (status !== 200) throw new Error(`/metrics: ${status}`);
  return text
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => {
      const [, name, labels, value] = LINE.exec(line) ?? [];
      if (!name) throw new Error(`not a line of metrics: ${line}`);
      const pairs = [...(labels ?? "").matchAll(/(\w+)="([^"]*)"/g)].map(([, key, text]) => [key, text]);
      return { name, labels: Object.fromEntries(pairs), value: Number(value) };
    });
}

// The sum of a metric's values that have these labels.
export function valueOf(page, name, labels = {}) {
  const found = page.filter(
    (line) => line.name === `streamd_${name}` && Object.entries(labels).every(([key, text]) => line.labels[key] === text),
  );
  return found.reduce((sum, { value }) => sum + value, 0);
}

// Waits until so many long-polls, or event streams (kind: "sse"), are at the server's routers.
export const readersWait = (server, count, kind = "long_poll") =>
  until(`${count} live readers`, async () => valueOf(await scrape(server.url), "live_readers", { kind }) >= count);
