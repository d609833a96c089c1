// Catch-up reads that come together share READs and pages in the router. How many READs those are is counted in
// tests/unit/router/test_collapse.c; here, that nobody can tell.

import { Agent, get as httpGet } from "node:http";

import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Connection } from "../lib/http.mjs";
import { nameOnShard } from "../lib/layout.mjs";
import { holdsConnection } from "../lib/processes.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { Streams, freshName } from "../lib/streams.mjs";
import { PATIENCE, until, within } from "../lib/wait.mjs";

const START = "0000000000000000_0000000000000000";

// Each on a connection of its own, all at once: [{ status, headers, text }].
function together(count, url, headersOf = () => ({})) {
  const agent = new Agent({ maxSockets: Infinity });
  const one = (i) =>
    new Promise((resolve, reject) => {
      const request = httpGet(url, { agent, headers: headersOf(i) }, (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("end", () =>
          resolve({ status: response.statusCode, headers: response.headers, text: Buffer.concat(parts).toString() }),
        );
        response.on("error", reject);
      });
      request.on("error", reject);
    });
  return Promise.all(Array.from({ length: count }, (_, i) => one(i)));
}

describe("many read the same", () => {
  const fixture = useServer({ settings: { "shard.count": 2, "cors.origins": "https://a.example" } });
  const streams = () => new Streams(fixture.server);

  test.each([
    ["a word", "text/plain", "hello"],
    ["a page in memory", "text/plain", "x".repeat(40_000)],
    ["a page in a file", "text/plain", "y".repeat(900_000)],
    ["JSON in memory", "application/json", JSON.stringify({ text: "z".repeat(3_000) })],
    ["JSON in a file", "application/json", JSON.stringify({ text: "z".repeat(200_000) })],
  ])("%s, whole, each", async (_, type, body) => {
    const name = await streams().fresh("same", { type, body });
    const answers = await together(200, `${streams().url(name)}?offset=-1`);
    const expected = type === "application/json" ? `[${body}]` : body;
    expect(answers.filter(({ status, text }) => status !== 200 || text !== expected)).toEqual([]);
    expect(new Set(answers.map(({ headers }) => headers.etag)).size).toBe(1);
  });

  test("each is answered as it asked: If-None-Match, Origin, HTTP/1.0", async () => {
    const name = await streams().fresh("each", { body: "content" });
    const url = `${streams().url(name)}?offset=-1`;
    const { etag } = (await together(1, url))[0].headers;
    const answers = await together(
      300,
      url,
      (i) => [{}, { "if-none-match": etag }, { origin: "https://a.example" }][i % 3],
    );
    answers.forEach(({ status, text, headers }, i) => {
      expect([status, text]).toEqual(i % 3 === 1 ? [304, ""] : [200, "content"]);
      expect(headers["access-control-allow-origin"]).toBe(i % 3 === 2 ? "https://a.example" : undefined);
    });
    const old = await Connection.open(fixture.server.url);
    old.send(`GET ${streams().path(name)}?offset=-1 HTTP/1.0\r\n\r\n`);
    expect((await old.answer()).text).toBe("content");
    await old.end();
    old.destroy();
  });

  test(
    "an append that was acknowledged is in every answer to a later request",
    { timeout: 60_000 * PATIENCE },
    async () => {
      const name = await streams().fresh("own", { type: "application/json" });
      const url = `${streams().url(name)}?offset=-1`;
      let over = false;
      const crowd = Array.from({ length: 8 }, async () => {
        while (!over) await together(8, url);
      });
      const writer = async (who) => {
        for (let n = 0; n < 40; n++) {
          const at = await streams().append(name, JSON.stringify(`${who}.${n}`), { type: "application/json" });
          expect(at.status).toBe(204);
          const [{ text, headers }] = await together(1, url);
          expect(JSON.parse(text)).toContain(`${who}.${n}`);
          expect(headers["stream-next-offset"] >= at.next).toBe(true);
          const [tail] = await together(1, `${streams().url(name)}?offset=now`);
          expect(tail.headers["stream-next-offset"] >= at.next).toBe(true);
        }
      };
      await Promise.all([1, 2, 3, 4].map(writer));
      over = true;
      await Promise.all(crowd);
    },
  );

  test("those who leave are not missed", async () => {
    const name = await streams().fresh("leave", { body: "x".repeat(500_000) });
    const leavers = await Promise.all(Array.from({ length: 100 }, () => Connection.open(fixture.server.url)));
    for (const leaver of leavers) leaver.send(`GET ${streams().path(name)}?offset=-1 HTTP/1.1\r\nhost: x\r\n\r\n`);
    const stay = together(100, `${streams().url(name)}?offset=-1`);
    for (const leaver of leavers) leaver.socket.resetAndDestroy();
    expect((await stay).every(({ text }) => text.length === 500_000)).toBe(true);
  });
});

describe.skipIf(!OWNED)("with two routers", () => {
  const fixture = useServer({ settings: { "shard.count": 1, "router.workers": 2 } });

  // A connection to that router: the kernel picks one for each.
  const connectionTo = async (index) => {
    for (;;) {
      const connection = await Connection.open(fixture.server.url);
      connection.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
      await connection.answer();
      if (holdsConnection(fixture.server.child("router", index).pid, connection.socket.localPort)) return connection;
      connection.destroy();
    }
  };
  const ask = (connection, path) => connection.send(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);

  test("what another router has acknowledged is in the answer, though an older one is on its way", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    const name = await streams.fresh("older", { body: "old" });
    const path = `${streams.path(name)}?offset=-1`;
    const [early, late, flushed] = await Promise.all([0, 0, 0].map(connectionTo));
    const writer = await connectionTo(1);
    const [router, shard] = [server.child("router", 0).pid, server.child("shard", 0).pid];

    // The READ of `early` is with the shard, and its answer waits at a router that stands still.
    process.kill(shard, "SIGSTOP");
    ask(early, path);
    ask(flushed, "/health");
    await flushed.answer();
    process.kill(router, "SIGSTOP");
    process.kill(shard, "SIGCONT");
    const headers = "host: x\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n";
    ask(writer, path);
    expect((await writer.answer()).text).toBe("old");
    writer.send(`POST ${streams.path(name)} HTTP/1.1\r\n${headers}\r\n-new`);
    expect((await writer.answer()).status).toBe(204);
    ask(late, path);
    process.kill(router, "SIGCONT");
    expect((await early.answer()).text).toBe("old");
    expect((await late.answer()).text).toBe("old-new");
    for (const connection of [early, late, flushed, writer]) connection.destroy();
  });
});

describe.skipIf(!OWNED)("while the shard is away", () => {
  const settings = { "shard.count": 2, "server.restart_delay": "50ms" };

  test("its successor answers all who wait", { timeout: 60_000 * PATIENCE }, async () => {
    await using(settings, async (server) => {
      const streams = new Streams(server);
      const name = nameOnShard(server, 1, "killed");
      expect((await streams.create(name, { body: "content" })).status).toBe(201);
      process.kill(server.child("shard", 1).pid, "SIGSTOP");
      const waiting = [];
      for (let i = 0; i < 10; i++) waiting.push(together(50, `${streams.url(name)}?offset=-1`));
      const gone = await Connection.open(server.url);
      gone.send(`GET ${streams.path(name)}?offset=-1 HTTP/1.1\r\nhost: x\r\n\r\n`);
      expect((await together(1, `${server.url}/health`))[0].text).toBe("ok");
      gone.socket.resetAndDestroy();
      await server.restartChild("shard", 1);
      const answers = (await within("all answers", Promise.all(waiting), 20_000)).flat();
      expect(answers.filter(({ status, text }) => status !== 200 || text !== "content")).toEqual([]);
    });
  });

  test("all who wait too long are told so, and it is over then", { timeout: 60_000 * PATIENCE }, async () => {
    await using({ ...settings, "server.restart_delay": "4s", "router.shard_wait": "300ms" }, async (server) => {
      const streams = new Streams(server);
      const name = nameOnShard(server, 1, "away");
      expect((await streams.create(name, { body: "content" })).status).toBe(201);
      // Killed until it is not started again at once.
      await until("it to stay away", async () => {
        const child = server.child("shard", 1);
        if (child) process.kill(child.pid, "SIGKILL");
        return (await streams.read(name, { offset: "-1" })).status === 503;
      });
      const answers = await together(300, `${streams.url(name)}?offset=-1`);
      const told = answers.filter(({ status, headers }) => status === 503 && headers["retry-after"] === "1");
      const had = answers.filter(({ status }) => status === 200);
      expect(told.length).toBeGreaterThan(0);
      expect(told.length + had.length).toBe(300);
      await until("it to be back", async () => (await streams.read(name, { offset: "-1" })).text === "content", 20_000);
      expect((await together(50, `${streams.url(name)}?offset=${START}`)).every(({ text }) => text === "content")).toBe(
        true,
      );
    });
  });
});

describe.skipIf(!OWNED)("with tokens", () => {
  const fixture = useServer({ settings: { "shard.count": 2, "auth.mode": "jwt", "auth.failures": 0 } });

  test("each is let in by its own", async () => {
    const { server } = fixture;
    server.command("create-project", "acme");
    const token = (...more) => server.command("token", "--project", "acme", "--ttl", "1h", ...more).out;
    const good = { authorization: `Bearer ${token("--scope", "write")}` };
    const other = { authorization: `Bearer ${token("--scope", "read", "--stream", "other")}` };
    const streams = new Streams(server);
    const name = `acme/${freshName("tokens")}`;
    const made = await streams.create(name, { body: "secret", headers: good });
    const rk = made.headers.get("stream-reader-key");
    const kinds = [
      [good, 200, "secret"],
      [{}, 401],
      [other, 403],
      [{ authorization: "Bearer wrong" }, 401],
    ];
    const answers = await together(400, `${streams.url(name)}?offset=-1`, (i) => kinds[i % 4][0]);
    answers.forEach(({ status, text, headers }, i) => {
      const [, expected, body] = kinds[i % 4];
      expect(status).toBe(expected);
      expect(text.includes("secret")).toBe(body !== undefined);
      expect(headers["cache-control"]).toMatch(body ? /^private/ : /no-store/);
    });
    // The reader key is a matter of caching only: its readers share READs with the others.
    const [plain, keyed] = await Promise.all(
      ["", `&rk=${rk}`].map((more) => together(100, `${streams.url(name)}?offset=-1${more}`, () => good)),
    );
    expect(plain.every(({ headers }) => /^private/.test(headers["cache-control"]))).toBe(true);
    expect(keyed.every(({ headers }) => /^public/.test(headers["cache-control"]))).toBe(true);
  });
});

async function using(settings, run) {
  const server = await Server.start({ settings });
  try {
    await run(server);
  } finally {
    await server.close();
  }
}
