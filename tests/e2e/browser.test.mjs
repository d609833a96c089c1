// A page of another origin in headless Chromium: the browser's own EventSource and fetch against streamd.

import { createServer } from "node:http";

import { chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Streams, freshName } from "../lib/streams.mjs";
import { SLOW } from "../lib/wait.mjs";

const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const fixture = useServer();
let pages, browser;

beforeAll(async () => {
  pages = createServer((request, response) => {
    response.setHeader("content-type", "text/html");
    response.end("<!doctype html><title>reader</title>");
  });
  await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    chromiumSandbox: false,
    args: FLAGS,
  });
}, 60_000 * SLOW);

afterAll(async () => {
  await browser?.close();
  pages?.close();
});

async function openPage() {
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${pages.address().port}/`);
  return page;
}

test("EventSource follows a stream from another origin", async () => {
  const streams = new Streams(fixture.server);
  const name = await streams.fresh("browser", { type: "application/json", body: '[{"n":1},{"n":2}]' });
  const page = await openPage();
  await page.evaluate((url) => {
    window.items = [];
    window.controls = [];
    const source = new EventSource(url);
    source.addEventListener("data", (event) => window.items.push(...JSON.parse(event.data)));
    source.addEventListener("control", (event) => window.controls.push(JSON.parse(event.data)));
  }, `${streams.url(name)}?offset=-1&live=sse`);
  await page.waitForFunction(() => window.items.length === 2);
  await streams.append(name, '{"n":"ü €"}', { type: "application/json" });
  await page.waitForFunction(() => window.items.length === 3);
  expect(await page.evaluate(() => window.items)).toEqual([{ n: 1 }, { n: 2 }, { n: "ü €" }]);
  expect((await page.evaluate(() => window.controls)).at(-1)).toMatchObject({ upToDate: true });
  await page.close();
});

test("a page may create, append, read and see the headers it needs", async () => {
  const page = await openPage();
  const url = new Streams(fixture.server).url(freshName("browser"));
  const seen = await page.evaluate(async (address) => {
    const headers = { "content-type": "text/plain", "stream-ttl": "60" };
    const created = await fetch(address, { method: "PUT", headers });
    const producer = { "producer-id": "page", "producer-epoch": "0", "producer-seq": "0" };
    const appended = await fetch(address, {
      method: "POST",
      headers: { "content-type": "text/plain", ...producer },
      body: "hello",
    });
    const read = await fetch(`${address}?offset=-1`);
    const again = await fetch(`${address}?offset=-1`, { headers: { "if-none-match": read.headers.get("etag") } });
    const removed = await fetch(address, { method: "DELETE" });
    return {
      statuses: [created, appended, read, again, removed].map(({ status }) => status),
      location: created.headers.get("location"),
      seq: appended.headers.get("producer-seq"),
      next: read.headers.get("stream-next-offset"),
      upToDate: read.headers.get("stream-up-to-date"),
      text: await read.text(),
    };
  }, url);
  expect(seen.statuses.slice(0, 3)).toEqual([201, 200, 200]);
  // The browser may answer the second read from its own cache.
  expect([200, 304]).toContain(seen.statuses[3]);
  expect(seen.statuses[4]).toBe(204);
  expect(seen).toMatchObject({ location: url, seq: "0", upToDate: "true", text: "hello" });
  expect(seen.next).toMatch(/^\d{16}_\d{16}$/);
  await page.close();
});
