// /metrics and `streamd status`: who gets them, what they say, and that nothing they say is lost with a process.

import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";

import { SignJWT } from "jose";
import { beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Connection } from "../lib/http.mjs";
import { nameOnShard, shardOf } from "../lib/layout.mjs";
import { scrape, valueOf } from "../lib/metrics.mjs";
import { alive } from "../lib/processes.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call } from "../lib/streams.mjs";
import { PATIENCE, until, within } from "../lib/wait.mjs";

const HAS_PROMTOOL = spawnSync("promtool", ["--version"]).status === 0;

// What its page says sooner or later.
const shows = (server, what, name, labels, right) =>
  until(what, async () => right(valueOf(await scrape(server.url), name, labels)), 20_000);

const metricsUrl = (server) => /metrics: (http:\/\/\S+)\/metrics/.exec(server.log)?.[1];

describe.skipIf(!OWNED)("/metrics", () => {
  const fixture = useServer({ settings: { "router.workers": 2, "shard.flush_idle": "50ms", "segment.max_messages": 10 } });
  let streams;
  beforeAll(() => (streams = new Streams(fixture.server)));

  test.skipIf(!HAS_PROMTOOL)("is what Prometheus' own tool accepts", async () => {
    await streams.fresh("checked", { body: "text" });
    const { text, headers } = await call(`${fixture.server.url}/metrics`);
    expect(headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(headers.get("access-control-allow-origin")).toBe(null);
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], { input: text, encoding: "utf8" });
    expect([status, stdout, stderr]).toEqual([0, "", ""]);
  });

  test("counts requests by route, method and status, and errors by code, over all routers", async () => {
    const before = await scrape(fixture.server.url);
    const name = await streams.fresh("counted");
    for (let i = 0; i < 5; i++) expect((await streams.append(name, "x")).status).toBe(204);
    for (let i = 0; i < 3; i++) expect((await streams.read("test/not-there")).status).toBe(404);
    const after = await scrape(fixture.server.url);
    const grown = (metric, labels) => valueOf(after, metric, labels) - valueOf(before, metric, labels);
    expect(grown("requests_total", { route: "stream", method: "PUT", status: "201" })).toBe(1);
    expect(grown("requests_total", { route: "stream", method: "POST", status: "204" })).toBe(5);
    expect(grown("requests_total", { route: "stream", method: "GET", status: "404" })).toBe(3);
    expect(grown("requests_total", { route: "metrics", method: "GET", status: "200" })).toBe(1);
    expect(grown("errors_total", { code: "STREAM_NOT_FOUND" })).toBe(3);
    expect(grown("request_duration_seconds_count", { operation: "append" })).toBe(5);
    expect(grown("request_duration_seconds_sum", { operation: "append" })).toBeGreaterThan(0);
    expect(grown("appends_total", {})).toBe(6); // the creation is one, too
    expect(grown("fsync_seconds_count", {})).toBeGreaterThan(0);
    expect(grown("commit_seconds_count", {})).toBeGreaterThan(0);
    expect(grown("commit_appends_sum", {})).toBe(6);
  });

  test("a request whose client left before its answer is counted without a status", async () => {
    const name = await streams.fresh("left");
    const socket = await Connection.open(fixture.server.url);
    socket.send(`GET ${streams.path(name)}?offset=now&live=long-poll HTTP/1.1\r\nHost: h\r\n\r\n`);
    await shows(fixture.server, "the long-poll", "live_readers", { kind: "long_poll" }, (value) => value === 1);
    socket.destroy();
    await shows(fixture.server, "its end", "requests_total", { method: "GET", status: "none" }, (value) => value === 1);
    await shows(fixture.server, "no reader", "live_readers", {}, (value) => value === 0);
  });

  test("shows live readers by kind, and what they were given", async () => {
    const name = await streams.fresh("live");
    const reader = EventReader.open(streams.url(name), { query: { offset: "now" } });
    const poll = streams.longPoll(name, "now");
    await shows(fixture.server, "a long-poll", "live_readers", { kind: "long_poll" }, (value) => value === 1);
    await shows(fixture.server, "an event stream", "live_readers", { kind: "sse" }, (value) => value === 1);
    await shows(fixture.server, "a watched stream", "watched_streams", {}, (value) => value >= 1);
    await streams.append(name, "hello");
    expect((await poll).text).toBe("hello");
    await shows(fixture.server, "a delivery", "deliveries_total", { kind: "sse" }, (value) => value >= 1);
    await shows(fixture.server, "a delivery", "deliveries_total", { kind: "long_poll" }, (value) => value >= 1);
    await shows(fixture.server, "how long that took", "delivery_seconds_count", {}, (value) => value >= 1);
    reader.close();
    await shows(fixture.server, "no reader", "live_readers", {}, (value) => value === 0);
  });

  test("tells the tiers apart: where bytes are, and where they were read", async () => {
    const name = await streams.fresh("tiers");
    for (let i = 0; i < 10; i++) await streams.append(name, "0123456789".repeat(10));
    await streams.readAll(name);
    await shows(fixture.server, "segments", "stored_bytes", { tier: "segments" }, (value) => value >= 1000);
    await shows(fixture.server, "no more in the journal", "stored_bytes", { tier: "journal" }, (value) => value === 0);
    await streams.readAll(name);
    const page = await scrape(fixture.server.url);
    expect(valueOf(page, "segments")).toBeGreaterThanOrEqual(1);
    expect(valueOf(page, "segments_put_total")).toBeGreaterThanOrEqual(1);
    expect(valueOf(page, "read_bytes_total", { tier: "segment" })).toBeGreaterThanOrEqual(1000);
    expect(valueOf(page, "read_seconds_count", { tier: "segment" })).toBeGreaterThanOrEqual(1);
    expect(valueOf(page, "database_bytes")).toBeGreaterThan(0);
  });

  test("keeps what it has counted when processes die, and says how often they did", async () => {
    const name = await streams.fresh("survivor");
    const owner = shardOf(fixture.server, name);
    for (let i = 0; i < 4; i++) await streams.append(name, "x");
    const labels = { process: `shard/${owner}` };
    const before = await scrape(fixture.server.url);
    await fixture.server.restartChild("shard", owner);
    await fixture.server.restartChild("router", 1);
    await shows(fixture.server, "both to be up", "process_up", {}, (value) => value === 1 + 4 + 2);
    const after = await scrape(fixture.server.url);
    for (const counter of ["appends_total", "commit_seconds_count"])
      expect(valueOf(after, counter, labels)).toBeGreaterThanOrEqual(valueOf(before, counter, labels));
    const posts = { method: "POST", status: "204" };
    expect(valueOf(after, "requests_total", posts)).toBeGreaterThanOrEqual(valueOf(before, "requests_total", posts));
    expect(valueOf(after, "process_restarts_total", labels)).toBe(1);
    expect(valueOf(after, "process_restarts_total", { process: "router/1" })).toBe(1);
    expect(valueOf(after, "process_restarts_total", {})).toBe(2);
  });

  test("answers while a shard hangs", async () => {
    const { pid } = fixture.server.child("shard", 2);
    process.kill(pid, "SIGSTOP");
    try {
      const page = await within("the page", scrape(fixture.server.url));
      expect(page.some(({ labels }) => labels.process === "shard/2")).toBe(true);
    } finally {
      if (alive(pid)) process.kill(pid, "SIGCONT");
    }
  });

  test("counts reads that shared another's", async () => {
    const name = await streams.fresh("collapsed", { body: "x" });
    const before = valueOf(await scrape(fixture.server.url), "reads_collapsed_total");
    const { pid } = fixture.server.child("shard", shardOf(fixture.server, name));
    process.kill(pid, "SIGSTOP");
    const reads = Array.from({ length: 50 }, () => streams.read(name, { offset: "-1" }));
    try {
      const grown = (value) => value >= before + 30; // of each router's the first few are not
      await shows(fixture.server, "most to be shared", "reads_collapsed_total", {}, grown);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    for (const { status, text } of await Promise.all(reads)) expect([status, text]).toEqual([200, "x"]);
  });

  test("stays small: a name of a stream or of a client is no label", async () => {
    for (let i = 0; i < 20; i++) await call(`${fixture.server.url}/v1/nonsense/${i}`, "PATCH");
    const { text } = await call(`${fixture.server.url}/metrics`);
    expect(text).not.toContain("test/");
    expect(text).not.toContain("nonsense");
    expect(text).toMatch(/streamd_requests_total\{route="other",method="other",status="40[45]"\} 20/);
    expect(text.split("\n").length).toBeLessThan(2000);
  });
});

describe.skipIf(!OWNED)("who gets /metrics", () => {
  const fixture = useServer({ settings: { "metrics.serve": "off", "metrics.listen": "127.0.0.1:0", "shard.count": 1 } });
  const status = (url, path, method) => call(url + path, method).then((answer) => answer.status);

  test("is configured; a listener of its own answers nothing else, and outlives its router", async () => {
    const { server } = fixture;
    const own = metricsUrl(server);
    expect(await status(server.url, "/metrics")).toBe(404);
    expect(await status(own, "/metrics")).toBe(200);
    expect(await status(own, "/metrics", "HEAD")).toBe(200);
    expect(await status(own, "/metrics", "POST")).toBe(405);
    expect(await status(own, "/health")).toBe(200);
    expect(await status(own, "/v1/stream/p/s", "PUT")).toBe(404);
    expect(await status(own, "/v1/stream/p/s", "OPTIONS")).toBe(404);
    expect(await status(own, "/metrics", "OPTIONS")).toBe(405);
    await server.restartChild("router", 0);
    expect(await status(own, "/metrics")).toBe(200);
  });

  test("has connections of its own, and takes none of the others", async () => {
    const settings = { "metrics.serve": "off", "metrics.listen": "127.0.0.1:0", "shard.count": 1, "limits.max_connections": 20 };
    const server = await Server.start({ settings });
    const open = (url) => Array.from({ length: 100 }, () => connect(new URL(url).port, "127.0.0.1").on("error", () => {}).resume());
    const closed = (sockets) => sockets.filter(({ destroyed }) => destroyed).length;
    try {
      const scrapers = open(metricsUrl(server));
      await until("most of them to be let in", () => closed(scrapers) === 36);
      expect(await status(server.url, "/health")).toBe(200);
      scrapers.forEach((socket) => socket.destroy());
      const others = open(server.url);
      await until("most of them to be refused", () => closed(others) >= 79);
      expect(await status(metricsUrl(server), "/metrics")).toBe(200);
      others.forEach((socket) => socket.destroy());
    } finally {
      await server.stop();
    }
  }, 30_000 * PATIENCE);

  test("may change while the server runs", async () => {
    const { server } = fixture;
    await server.stop();
    await server.start({ "metrics.serve": "local", "router.listen": `0.0.0.0:${server.port}` });
    const there = Object.values(networkInterfaces())
      .flat()
      .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
    expect(await status(`http://127.0.0.1:${server.port}`, "/metrics")).toBe(200);
    if (there) expect(await status(`http://${there}:${server.port}`, "/metrics")).toBe(404);
    await server.stop();
    await server.start({ "metrics.serve": "all", "router.listen": `0.0.0.0:${server.port}` });
    if (there) expect(await status(`http://${there}:${server.port}`, "/metrics")).toBe(200);
  });
});

describe.skipIf(!OWNED)("tokens and projects", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt", "metrics.projects": 2, "shard.count": 2 } });

  test("refusals are counted by their reason, projects are shown if they are wanted, and not more than that", async () => {
    const { server } = fixture;
    const [secret] = ["a", "b", "c"].map((name) => server.command("create-project", name).out);
    const bearer = (...more) => ({
      authorization: `Bearer ${server.command("token", "--project", "a", "--ttl", "1h", ...more).out}`,
    });
    const write = { ...bearer("--scope", "write"), "content-type": "text/plain" };
    const url = `${server.url}/v1/stream/a/s`;
    expect((await call(url, "PUT", { headers: write, body: "12345" })).status).toBe(201);
    expect((await call(url, "PUT")).status).toBe(401);
    expect((await call(url, "PUT", { headers: { authorization: "Bearer a.b.c" } })).status).toBe(401);
    expect((await call(url, "POST", { headers: bearer("--scope", "read") })).status).toBe(403);
    const past = Math.floor(Date.now() / 1000) - 60;
    const expired = await new SignJWT({ sub: "a", scope: "write", exp: past })
      .setProtectedHeader({ alg: "HS256", typ: "JWT" })
      .sign(new TextEncoder().encode(secret));
    expect((await call(url, "PUT", { headers: { authorization: `Bearer ${expired}` } })).status).toBe(401);
    const page = await scrape(server.url);
    for (const reason of ["missing", "invalid", "expired", "forbidden"])
      expect([reason, valueOf(page, "tokens_refused_total", { reason })]).toEqual([reason, 1]);
    await shows(server, "the project", "project_bytes", { project: "a" }, (value) => value === 5);
    const projects = new Set((await scrape(server.url)).map(({ labels }) => labels.project).filter(Boolean));
    expect([...projects]).toEqual(["a", "b"]);
  });
});

describe.skipIf(!OWNED)("streamd status", () => {
  const fixture = useServer({ settings: { "shard.count": 2, "router.workers": 1 } });

  test("shows every process and shard, and finds nothing wrong where nothing is", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    await streams.create(nameOnShard(server, 1, "status"), { body: "x" });
    const { status, out } = await until("the stream", async () => {
      const said = await server.commandLater("status");
      return /^shard\/1 +1 /m.test(said.out) && said;
    });
    expect(status).toBe(0);
    for (const name of ["supervisor", "router/0", "shard/0", "shard/1"])
      expect(out).toMatch(new RegExp(`^${name} +up +\\d+ +\\d+s +0 `, "m"));
    // The disk of a busy machine may be slow indeed.
    expect(out.replace(/\n.*: commits take .*/g, "")).toMatch(/What is slow, and why \(the last \d+s\):(\n  nothing)?$/);
    expect(Math.max(...out.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  test("names what died, and what hangs", async () => {
    const { server } = fixture;
    await server.restartChild("shard", 1);
    await until("the death", async () =>
      /shard\/1: died and was restarted/.test((await server.commandLater("status")).out),
    );
    const { pid } = server.child("shard", 0);
    process.kill(pid, "SIGSTOP");
    try {
      const { status, out } = await within("the status", server.commandLater("status"));
      expect([status, /^shard\/0 /m.test(out)]).toEqual([0, true]);
    } finally {
      process.kill(pid, "SIGCONT");
    }
  });

  test("says so where no server is, with another status", async () => {
    const server = new Server();
    const { status, err } = server.command("status");
    expect([status, err]).toEqual([1, expect.stringMatching(/no streamd works on the folder|No such file/)]);
  });
});
