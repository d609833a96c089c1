// The log: its formats, the lines about requests, their ids, what must never be in it; and Server-Timing.

import { spawn } from "node:child_process";
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, describe, expect, test } from "vitest";

import { exchange } from "../lib/http.mjs";
import { parseLine } from "../lib/logs.mjs";
import { BUILD, OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call, freshName } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const FORMATS = ["text", "logfmt", "json"];
const FIRST_BYTE = { text: /^\d/, logfmt: /^time=/, json: /^\{/ };
const ID = /^[0-9a-f]{16}$/;

const servers = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

function configure(server, settings) {
  server.configFile ??= join(server.folder, "streamd.ini");
  const lines = Object.entries(settings).map(([key, value]) => `[${key.split(".")[0]}]\n${key.split(".")[1]} = ${value}\n`);
  writeFileSync(server.configFile, lines.join(""));
}

async function start(settings, options = {}) {
  const server = new Server(options);
  servers.push(server);
  configure(server, { "shard.count": 2, "router.workers": 1, ...settings });
  await server.start();
  return [server, new Streams(server)];
}

const wholeLines = (server) => server.log.split("\n").slice(0, -1);

// The lines about requests; in text their fields are behind the message.
function requests(server) {
  return wholeLines(server).map(parseLine).flatMap((line) => {
    const [, what, fields] = /^((?:slow )?request(?: failed: \w+)?)(?: (?=\w+=)(.*))?$/.exec(line?.msg ?? "") ?? [];
    return what ? [{ ...line, ...(fields && parseLine(`level=x ${fields}`)), level: line.level, msg: what }] : [];
  });
}

const logged = (server, what, found) => until(`a line about ${what}`, () => requests(server).find(found));

describe.skipIf(!OWNED)("formats", () => {
  test.each(FORMATS)("%s: one line an event, whatever stands in a request", async (format) => {
    const [server, streams] = await start({ "log.format": format, "log.access": "all", "log.level": "debug" });
    const odd = `${freshName()}%0a%0d%1b[2J%22%5c=%20%ff%c2%9b%e2%80%a8%00`;
    await streams.create(odd);
    await call(`${streams.url(odd)}?offset=%0a%0d&live=x%0ay&limit=%22&cursor=`, "GET");
    const raw = Buffer.from('GET /"a\\=b HTTP/1.1\r\nHost: h\r\nX-Request-Id: a\x9b"\xff b\r\nOrigin: \xc2\x9b\r\n\r\n', "latin1");
    expect((await exchange(server.url, raw)).headers["x-request-id"]).toMatch(ID);
    const name = await streams.fresh();
    await streams.append(name, "hello");
    const line = await logged(server, "the append", ({ path, method }) => path === streams.path(name) && method === "POST");
    expect(line).toMatchObject({ level: "info", role: "router", index: 0, route: "stream", status: 204, project: "test" });
    expect(line.pid).toBe(server.child("router").pid);
    expect(line.client).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(line.bytes).toBeGreaterThan(100);
    expect(line.ms).toBeGreaterThan(0);
    await logged(server, "the path as it was sent", ({ path }) => path === '/"a\\=b');
    await logged(server, "the odd stream", ({ path, method }) => path === streams.path(odd) && method === "PUT");
    for (const each of wholeLines(server)) {
      expect(each).toMatch(FIRST_BYTE[format]);
      expect(each).not.toMatch(/[\x00-\x1f\x7f-\x9f\u2028\u2029]/);
      expect(parseLine(each), each).toMatchObject({ level: expect.stringMatching(/^(debug|info|warn|error)$/) });
    }
    const roles = new Set(wholeLines(server).map((each) => parseLine(each).role));
    expect([...roles].sort()).toEqual(["router", "shard", "supervisor"]);
  });

  test.each(FORMATS)("%s for journald: each line with its priority, and all but JSON without the time", async (format) => {
    const folder = mkdtempSync(join(tmpdir(), "streamd-test-"));
    const file = openSync(join(folder, "journal"), "a");
    const { dev, ino } = fstatSync(file, { bigint: true });
    const sets = { "server.data_dir": join(folder, "data"), "router.listen": "127.0.0.1:0", "log.format": format };
    const args = Object.entries({ ...sets, "shard.count": 1, "log.level": "debug" }).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    const env = { ...process.env, JOURNAL_STREAM: `${dev}:${ino}` };
    const child = spawn(join(BUILD, "streamd"), args, { stdio: ["ignore", "pipe", file], env });
    let out = "";
    child.stdout.on("data", (data) => (out += data));
    const exited = new Promise((resolve) => child.on("exit", resolve));
    await until("the ready line", () => out.includes("ready: ") || child.exitCode !== null, 60_000);
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
    closeSync(file);
    const lines = readFileSync(join(folder, "journal"), "utf8").split("\n").slice(0, -1);
    rmSync(folder, { recursive: true });
    const PRIORITY = { error: "3", warn: "4", info: "6", debug: "7" };
    expect(lines.length).toBeGreaterThan(3);
    for (const line of lines) {
      const { priority, level, time } = parseLine(line);
      expect([priority, time !== undefined], line).toEqual([PRIORITY[level], format === "json"]);
    }
    expect(lines.some((line) => line.startsWith("<7>"))).toBe(true);
  });

  test("SIGHUP changes level, format, access and timing", async () => {
    const [server, streams] = await start({});
    const name = await streams.fresh();
    expect((await streams.read(name)).headers.get("server-timing")).toBeNull();
    for (const format of ["json", "logfmt", "text"]) {
      configure(server, { "log.format": format, "log.access": "all", "log.timing": "on" });
      server.signal("SIGHUP");
      await until(`lines in ${format}`, async () => {
        await streams.head(name);
        return FIRST_BYTE[format].test(wholeLines(server).findLast((line) => line.includes("HEAD")) ?? "");
      });
      expect((await streams.read(name)).headers.get("server-timing")).toMatch(/total;dur=/);
    }
    configure(server, { "log.level": "warn", "log.access": "all" });
    server.signal("SIGHUP");
    await until("no lines", async () => {
      const before = requests(server).length;
      await streams.head(name);
      await sleep(50);
      return requests(server).length === before;
    });
  });
});

describe.skipIf(!OWNED)("lines about requests", () => {
  const broken = "GET / HTTP/9.1\r\nHost: h\r\n\r\n";

  test("off: none", async () => {
    const [server, streams] = await start({ "log.level": "debug" });
    await streams.fresh();
    const answer = await exchange(server.url, broken);
    expect([answer.status, answer.headers["x-request-id"]]).toEqual([505, expect.stringMatching(ID)]);
    await server.stop();
    expect(requests(server)).toEqual([]);
  });

  test("errors: 5xx and what could not be read; the many of a kind are counted", async () => {
    const [server, streams] = await start({ "log.access": "errors" });
    const name = await streams.fresh();
    expect((await streams.read("test/none")).status).toBe(404);
    const { headers } = await exchange(server.url, broken);
    const id = headers["x-request-id"];
    expect(await logged(server, "the 505", (line) => line.id === id)).toMatchObject({
      level: "warn",
      msg: "request failed: HTTP_VERSION_NOT_SUPPORTED",
      status: 505,
      reason: "HTTP_VERSION_NOT_SUPPORTED",
    });
    expect((await exchange(server.url, "GET /\x01 HTTP/1.1\r\n\r\n")).status).toBe(400);
    await logged(server, "the 400", (line) => line.status === 400 && line.reason === "BAD_REQUEST" && line.level === "info");
    expect((await streams.append(name, "x".repeat(9 << 20)).catch(() => ({ status: 413 }))).status).toBe(413);
    await logged(server, "the 413", (line) => line.status === 413 && line.path === streams.path(name));

    const many = 300;
    const statuses = await Promise.all(Array.from({ length: many }, async () => (await exchange(server.url, broken)).status));
    expect(new Set(statuses)).toEqual(new Set([505]));
    const failures = () => wholeLines(server).map(parseLine).filter(({ msg }) => msg.startsWith("request failed: HTTP_VERSION"));
    const repeated = () => failures().reduce((sum, { msg }) => sum + Number(/ repeated=(\d+)$/.exec(msg)?.[1] ?? 0), 0);
    const written = () => failures().filter(({ msg }) => !/ repeated=/.test(msg)).length;
    await until("all of them to be told of", () => written() + repeated() === many + 1);
    expect(written()).toBeLessThan(many);
    expect(requests(server).filter(({ status }) => status < 400 || status === 404)).toEqual([]);
  });

  test("slow: what took long, but not for being live", async () => {
    const timeout = { "live.long_poll_timeout": "1500ms", "live.sse_lifetime": "1500ms" };
    const [server, streams] = await start({ "log.access": "slow", "log.slow": "1s", "shard.count": 1, ...timeout });
    const name = await streams.fresh();
    const [poll, events] = [streams.longPoll(name, "now"), EventReader.open(streams.url(name), { query: { offset: "-1" } })];
    expect((await poll).status).toBe(204);
    await until("the end of the event stream", () => events.ended);
    const { pid } = server.child("shard");
    await until("a read that is slow", async () => {
      process.kill(pid, "SIGSTOP");
      const read = streams.read(name);
      await sleep(1300);
      process.kill(pid, "SIGCONT");
      expect((await read).status).toBe(200);
      return requests(server).some(({ method }) => method === "GET");
    });
    const line = await logged(server, "the slow read", ({ msg, method }) => msg === "slow request" && method === "GET");
    expect(line).toMatchObject({ level: "info", method: "GET", path: streams.path(name), status: 200 });
    expect(line.ms).toBeGreaterThan(1000);
    expect(requests(server).filter(({ query }) => query)).toEqual([]);
  });

  test("all: live reads too, with how they began, and clients that have gone", async () => {
    const [server, streams] = await start({ "log.access": "all", "live.long_poll_timeout": "300ms" });
    const name = await streams.fresh();
    expect((await streams.longPoll(name, "now")).status).toBe(204);
    const line = await logged(server, "the long-poll", ({ query }) => query === "offset=now&live=long-poll");
    expect(line).toMatchObject({ method: "GET", status: 204 });
    expect(line.ms).toBeGreaterThanOrEqual(300);
    expect(line.ready_ms).toBeLessThan(line.ms);
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await events.upToDate();
    events.close();
    await logged(server, "the event stream", ({ query, status }) => query === "offset=-1&live=sse" && status === 200);
    configure(server, { "log.access": "all", "live.long_poll_timeout": "10m" });
    server.signal("SIGHUP");
    await until("the reload", () => server.log.includes("configuration reloaded"));
    await until("a client that has gone", async () => {
      const gone = new AbortController();
      const poll = streams.longPoll(name, "now", gone.signal).catch(() => {});
      setTimeout(() => gone.abort(), 100);
      await poll;
      return requests(server).find(({ reason, status }) => reason === "CLIENT_GONE" && status === undefined);
    });
  });
});

describe.skipIf(!OWNED)("an upgrade", () => {
  test("keeps the ids of live readers, and their lines come from the router that they are with", async () => {
    const [server, streams] = await start({ "log.access": "all", "log.format": "json", "live.sse_lifetime": "10m" });
    const name = await streams.fresh();
    const before = server.child("router").pid;
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" }, headers: { "x-request-id": "events" } });
    await events.upToDate();
    expect(events.headers["x-request-id"]).toBe("events");
    const poll = call(`${streams.url(name)}?offset=now&live=long-poll`, "GET", { headers: { "x-request-id": "poll" } });
    server.signal("SIGUSR2");
    await until("the upgrade", () => server.log.includes("has taken over, in"), 30_000);
    await streams.append(name, "hello");
    const { status, headers } = await poll;
    expect([status, headers.get("x-request-id")]).toEqual([200, "poll"]);
    events.close();
    for (const wanted of ["poll", "events"]) {
      const line = await logged(server, wanted, ({ id }) => id === wanted);
      expect(line).toMatchObject({ method: "GET", route: "stream", path: streams.path(name), status: 200, project: "test" });
      expect(line.pid).not.toBe(before);
      expect(requests(server).filter(({ id }) => id === wanted)).toHaveLength(1);
    }
  });
});

describe.skipIf(!OWNED)("ids", () => {
  test("a sane one comes back, in every mode and with every answer; others are replaced", async () => {
    for (const access of ["off", "errors", "all"]) {
      const [server, streams] = await start({ "log.access": access });
      const name = await streams.fresh();
      const ask = async (id, url = `${streams.url(name)}?offset=now`) =>
        (await call(url, "GET", id === undefined ? {} : { headers: { "x-request-id": id } })).headers.get("x-request-id");
      for (const id of ["a", "3f2a:B_c-9.z", "x".repeat(64)]) {
        expect(await ask(id)).toBe(id);
        expect(await ask(id, streams.url("test/none"))).toBe(id);
      }
      for (const id of ["", "x".repeat(65), "a b", "a/b", "é", "eyJhbGciOiJIUzI1NiJ9"]) expect(await ask(id)).toMatch(ID);
      if (access === "all") expect(await ask()).toMatch(ID);
      else expect(await ask()).toBeNull();
      await call(streams.url(name), "POST", { headers: { "x-request-id": "mine", "content-type": "text/plain" }, body: "x" });
      if (access === "all") await logged(server, "mine", ({ id, method }) => id === "mine" && method === "POST");
    }
  });

  test("what caches may give to others has nobody's", async () => {
    const [server, streams] = await start({ "log.access": "all", "log.format": "json", "live.long_poll_timeout": "100ms" });
    const name = await streams.fresh("kept", { body: "x" });
    const headers = { "x-request-id": "of-the-first" };
    const tail = streams.at(name, 1);
    for (const query of [{}, { offset: "-1" }, { offset: "-1", live: "long-poll" }, { offset: tail, live: "long-poll" }]) {
      const answer = await streams.read(name, query, headers);
      expect(answer.headers.get("x-request-id")).toBeNull();
      const etag = answer.headers.get("etag");
      if (etag && !query.live) {
        const again = await streams.read(name, query, { ...headers, "if-none-match": etag });
        expect([again.status, again.headers.get("x-request-id")]).toEqual([304, null]);
      }
    }
    for (const query of [{ offset: "now" }, { offset: "now", live: "long-poll" }])
      expect((await streams.read(name, query, headers)).headers.get("x-request-id")).toBe("of-the-first");
    await logged(server, "the kept answer", ({ id, query }) => id === "of-the-first" && query === "offset=-1");
  });

  test("two requests never have the same", async () => {
    const [, streams] = await start({ "log.access": "all" });
    const answers = await Promise.all(Array.from({ length: 50 }, () => streams.head("test/none")));
    expect(new Set(answers.map(({ headers }) => headers.get("x-request-id"))).size).toBe(50);
  });
});

describe.skipIf(!OWNED)("secrets", () => {
  test("are in no line, in no format, wherever they come", async () => {
    const jwt = { "auth.mode": "jwt", "auth.cookie": "streamd", "log.access": "all", "log.level": "debug" };
    const [server, streams] = await start({ ...jwt, "log.format": "text" });
    const secret = server.command("create-project", "acme").out;
    const token = server.command("token", "--project", "acme", "--scope", "manage", "--ttl", "1h").out;
    expect(token).toMatch(/^eyJ/);
    const bearer = { authorization: `Bearer ${token}` };
    const url = streams.url("acme/secret");
    const made = await call(url, "PUT", { headers: { ...bearer, "content-type": "text/plain" } });
    const key = made.headers.get("stream-reader-key");
    expect([made.status, key]).toEqual([201, expect.stringMatching(/^rk_[0-9a-f]{32}$/)]);
    const half = token.slice(0, 40);
    for (const format of FORMATS) {
      configure(server, { ...jwt, "log.format": format });
      server.signal("SIGHUP");
      await until(`lines in ${format}`, async () => {
        await call(url, "HEAD", { headers: bearer });
        return FIRST_BYTE[format].test(wholeLines(server).findLast((line) => line.includes("HEAD")) ?? "");
      });
      await call(url, "GET", { headers: { cookie: `a=b; streamd=${token}` } });
      await call(`${url}?token=${token}&rk=${key}&offset=-1`);
      await call(`${url}?offset=${token}&live=${token}&cursor=${half}&limit=${secret}`);
      await call(`${url}?offset=${key}&x=${token}&${token}`);
      await call(`${url}/${token}`, "GET", { headers: bearer });
      await call(`${url};token=${token}?token=${secret}`);
      await call(url, "GET", { headers: { "x-request-id": token, authorization: `Basic ${secret}`, cookie: `streamd=${secret}` } });
      await call(url, "GET", { headers: { "x-request-id": half, origin: `https://${key}.example` } });
      await call(`${server.url}/v1/config/acme`, "GET", { headers: bearer });
      await call(`${server.url}/v1/config/acme`, "PUT", { headers: bearer, body: `{"signingSecrets":["${secret}"],"x":"${token}` });
      const malformed = [
        `GET ${streams.path("acme/secret")}?token=${token} HTTP/9.1\r\nHost: h\r\n\r\n`,
        `GET ${streams.path("acme/secret")}?token=${token}#x HTTP/1.1\r\nHost: h\r\n\r\n`,
        `${token} / HTTP/1.1\r\nHost: h\r\n\r\n`,
        `GET /${token} ${secret}\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\x01\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: ${token}/\r\n${token}\r\n\r\n`,
        `GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer ${token}\r\nAuthorization: Bearer ${secret}\r\n\r\n`,
        `POST ${streams.path("acme/secret")}?rk=${key} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ${token}\r\n\r\n`,
      ];
      for (const bytes of malformed) expect((await exchange(server.url, bytes)).status).toBeGreaterThanOrEqual(400);
      await logged(server, "the last", ({ status }) => status === 501);
    }
    await server.stop();
    const parts = [...token.split("."), half, secret, key.slice(3)];
    for (const line of wholeLines(server)) {
      expect(parts.filter((part) => line.includes(part)), line).toEqual([]);
      expect(parseLine(line), line).not.toBeNull();
    }
    expect(server.log).toContain("[token]");
  });
});

describe.skipIf(!OWNED)("Server-Timing", () => {
  const stages = ({ headers }) =>
    Object.fromEntries(
      (headers.get("server-timing") ?? "").split(", ").map((stage) => {
        const [, name, ms] = /^([a-z]+);dur=(\d+\.\d{3})$/.exec(stage) ?? [];
        return [name, Number(ms)];
      }),
    );

  // The stages there are, in their order; together they are no more than the whole.
  function expectStages(answer, ...names) {
    const { total, ...parts } = stages(answer);
    expect(Object.keys(parts)).toEqual(names);
    const sum = Object.values(parts).reduce((all, ms) => all + ms, 0);
    expect(sum).toBeLessThanOrEqual(total + 0.01);
    return { total, ...parts };
  }

  test("names the stages of each kind of request", async () => {
    const [, streams] = await start({ "log.timing": "on", "live.long_poll_timeout": "300ms" });
    const name = freshName();
    expectStages(await streams.create(name), "parse", "auth", "queue", "commit");
    const { total, commit } = expectStages(await streams.append(name, "hello"), "parse", "auth", "queue", "commit");
    expect(commit).toBeGreaterThan(0);
    expect(commit).toBeLessThan(total);
    expectStages(await streams.read(name), "parse", "auth", "queue", "read", "commit");
    const together = await Promise.all(Array.from({ length: 20 }, () => streams.read(name)));
    for (const answer of together) expectStages(answer, "parse", "auth", "queue", "read", "commit");
    expectStages(await streams.head(name), "parse", "auth", "queue", "read", "commit");
    expectStages(await streams.longPoll(name, "-1"), "parse", "auth", "queue", "read", "commit");
    const { wait } = expectStages(await streams.longPoll(name, "now"), "parse", "auth", "queue", "read", "commit", "wait");
    expect(wait).toBeGreaterThanOrEqual(200);
    const events = EventReader.open(streams.url(name), { query: { offset: "-1" } });
    await events.upToDate();
    expect(events.headers["server-timing"]).toMatch(/^parse;.*, read;.*, total;/);
    events.close();
    expectStages(await streams.read("test/none"), "parse", "auth", "queue", "read", "commit");
    expectStages(await streams.read(name, { offset: "x" }), "parse", "auth");
    expectStages(await call(`${streams.server.url}/v1/nothing`), "parse", "auth");
    expectStages(await call(`${streams.server.url}/health`), "parse", "auth");
    expectStages(await streams.remove(name), "parse", "auth", "queue", "commit");
  });

  test("of an append that waits for its subscribers, and of one whose body comes slowly", async () => {
    const [server, streams] = await start({ "log.timing": "on" });
    const name = await streams.fresh();
    const subscription = { headers: { "content-type": "application/json" }, body: '{"estuaryId":"e"}' };
    const subscribed = await call(`${server.url}/v1/estuary/subscribe/${name}`, "POST", subscription);
    expect(subscribed.status).toBeLessThan(300);
    expectStages(subscribed, "parse", "auth", "queue", "commit");
    const appended = await streams.append(name, "hello");
    expect(appended.headers.get("stream-fanout-mode")).toBe("inline");
    expectStages(appended, "parse", "auth", "queue", "fanout", "commit");
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(Buffer.from("a"));
        await sleep(200);
        controller.enqueue(Buffer.from("b"));
        controller.close();
      },
    });
    const options = { method: "POST", headers: { "content-type": "text/plain" }, body, duplex: "half" };
    const slow = await fetch(streams.url(name), options);
    expect(stages(slow).body).toBeGreaterThan(100);
  });

  test("a read that waits for what was stopped says where its time went", async () => {
    const [server, streams] = await start({ "log.timing": "on", "shard.count": 1 });
    const name = await streams.fresh();
    const { pid } = server.child("shard");
    await until("a read that waited", async () => {
      process.kill(pid, "SIGSTOP");
      const read = streams.read(name);
      await sleep(500);
      process.kill(pid, "SIGCONT");
      const { queue, total } = expectStages(await read, "parse", "auth", "queue", "read", "commit");
      expect(queue).toBeLessThanOrEqual(total);
      return queue > 300;
    });
  });
});
