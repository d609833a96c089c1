// A page of another origin in headless Chromium: the browser's own EventSource and fetch against streamd.

import { createServer } from "node:http";

import { chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED } from "../lib/server.mjs";
import { Streams, freshName } from "../lib/streams.mjs";
import { PATIENCE } from "../lib/wait.mjs";

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
}, 60_000 * PATIENCE);

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

describe.skipIf(!OWNED)("with tokens", () => {
  const guarded = useServer({ settings: { "auth.mode": "jwt" } });
  const tokens = {};

  beforeAll(() => {
    guarded.server.command("create-project", "acme");
    for (const scope of ["read", "write"])
      tokens[scope] = guarded.server.command("token", "--project", "acme", "--scope", scope, "--ttl", "10m").out;
  });

  // What a page can do: append with a header, read with one, follow with the token in the address.
  const tryAll = (page, name) =>
    page.evaluate(
      async ({ url, write, read }) => {
        const attempt = (promise) => promise.then((answer) => answer.status, () => "refused by the browser");
        const bearer = (token) => ({ authorization: `Bearer ${token}` });
        const headers = { "content-type": "text/plain", ...bearer(write) };
        const created = await attempt(fetch(url, { method: "PUT", headers }));
        const appended = await attempt(fetch(url, { method: "POST", headers, body: "hello" }));
        const fetched = await attempt(fetch(url, { headers: bearer(read) }));
        const bare = await attempt(fetch(url));
        const followed = await new Promise((resolve) => {
          const source = new EventSource(`${url}?offset=-1&live=sse&token=${read}`);
          source.addEventListener("data", (event) => resolve(event.data) ?? source.close());
          source.addEventListener("error", () => resolve("error") ?? source.close());
        });
        return { created, appended, fetched, bare, followed };
      },
      { url: new Streams(guarded.server).url(name), ...tokens },
    );

  test("a page creates, appends, reads and follows", async () => {
    const page = await openPage();
    expect(await tryAll(page, `acme/${freshName("page")}`)).toEqual({
      created: 201,
      appended: 204,
      fetched: 200,
      bare: 401,
      followed: "hello",
    });
    await page.close();
  });

  test("origins that are not the project's are refused by the browser", async () => {
    const page = await openPage();
    const origin = `http://127.0.0.1:${pages.address().port}`;
    guarded.server.command("add-origin", "acme", "https://elsewhere.example");
    const refused = await tryAll(page, `acme/${freshName("page")}`);
    expect(new Set(Object.values(refused))).toEqual(new Set(["refused by the browser", "error"]));
    guarded.server.command("add-origin", "acme", origin);
    // The browser remembers what a preflight said, also that it said nothing.
    const fresh = await openPage();
    expect(await tryAll(fresh, `acme/${freshName("page")}`)).toMatchObject({ created: 201, fetched: 200, followed: "hello" });
    await page.close();
    await fresh.close();
  });
});

describe.skipIf(!OWNED)("with a cookie", () => {
  const guarded = useServer({ settings: { "auth.mode": "jwt", "auth.cookie": "session" } });

  // A login page would set it; localhost and 127.0.0.1 are two sites, and only the second has it.
  async function visit() {
    const context = await browser.newContext();
    const token = guarded.server.command("token", "--project", "acme", "--scope", "write", "--ttl", "10m").out;
    await context.addCookies([{ name: "session", value: token, url: guarded.server.url, httpOnly: true, sameSite: "Lax" }]);
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${pages.address().port}/`);
    return page;
  }

  const tryAll = (page, name) =>
    page.evaluate(
      async (url) => {
        const attempt = (promise) => promise.then((answer) => answer.status, () => "refused by the browser");
        const include = { credentials: "include" };
        const headers = { "content-type": "text/plain", traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
        const created = await attempt(fetch(url, { method: "PUT", headers, ...include }));
        const forged = await attempt(fetch(url, { method: "POST", mode: "no-cors", body: "forged ", ...include }));
        const appended = await attempt(fetch(url, { method: "POST", headers, body: "hello", ...include }));
        const fetched = await attempt(fetch(url, include));
        const followed = await new Promise((resolve) => {
          const source = new EventSource(`${url}?offset=-1&live=sse`, { withCredentials: true });
          source.addEventListener("data", (event) => resolve(event.data) ?? source.close());
          source.addEventListener("error", () => resolve("error") ?? source.close());
        });
        return { created, forged, appended, fetched, followed };
      },
      new Streams(guarded.server).url(name),
    );

  test("a page of another origin can do nothing, and one of a listed origin everything", async () => {
    guarded.server.command("create-project", "acme");
    const name = `acme/${freshName("cookie")}`;
    const token = guarded.server.command("token", "--project", "acme", "--scope", "write", "--ttl", "10m").out;
    const headers = { "content-type": "text/plain", authorization: `Bearer ${token}` };
    const url = new Streams(guarded.server).url(name);
    expect((await fetch(url, { method: "PUT", headers })).status).toBe(201);
    const page = await visit();
    const refused = await tryAll(page, name);
    expect(refused).toMatchObject({ created: "refused by the browser", appended: "refused by the browser", fetched: "refused by the browser", followed: "error" });
    expect(await (await fetch(url, { headers })).text()).toBe(""); // nothing was forged either
    guarded.server.command("add-origin", "acme", `http://127.0.0.1:${pages.address().port}`);
    const listed = await visit();
    expect(await tryAll(listed, name)).toMatchObject({ created: 200, appended: 204, fetched: 200, followed: "forged hello" });
    await page.context().close();
    await listed.context().close();
  });
});
