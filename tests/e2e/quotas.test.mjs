// Quotas of projects, over several shards and routers, and what a project uses.

import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Connection } from "../lib/http.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call } from "../lib/streams.mjs";
import { PATIENCE, sleep, until } from "../lib/wait.mjs";

const now = () => Math.floor(Date.now() / 1000);
const text = { "content-type": "text/plain" };

const sign = (project, secret, scope = "manage") =>
  new SignJWT({ sub: project, scope, exp: now() + 600 })
    .setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(secret));

describe.skipIf(!OWNED)("quotas", () => {
  let server;
  const projects = {};

  // A new project with these quotas: { call(method, name, options), usage(), configure(quotas) }.
  async function fresh(quotas) {
    const name = `p${Object.keys(projects).length}`;
    const secret = server.command("create-project", name).out;
    const authorization = `Bearer ${await sign(name, secret)}`;
    const project = {
      token: await sign(name, secret, "read"),
      url: (id) => `${server.url}/v1/stream/${name}/${id}`,
      call: (method, id, options = {}) =>
        call(project.url(id), method, { ...options, headers: { ...text, authorization, ...options.headers } }),
      configure: async (all) => {
        const body = JSON.stringify({ signingSecrets: [secret], quotas: all });
        return call(`${server.url}/v1/config/${name}`, "PUT", { headers: { authorization }, body });
      },
      usage: async () => (await call(`${server.url}/v1/usage/${name}`, "GET", { headers: { authorization } })).json(),
      // Waits until both routers know this of the usage: which of them answers, its connection decides.
      known: (wanted) =>
        until(`both routers to know ${JSON.stringify(wanted)}`, async () => {
          for (let i = 0; i < 16; i++) { // all with one router, which would be no proof: once in 32,768
            const connection = await Connection.open(server.url);
            connection.send(`GET /v1/usage/${name} HTTP/1.1\r\nHost: h\r\nAuthorization: ${authorization}\r\n\r\n`);
            const usage = (await connection.answer()).json();
            connection.destroy();
            if (Object.entries(wanted).some(([key, value]) => usage[key] !== value)) return false;
          }
          return true;
        }),
    };
    projects[name] = project;
    if (quotas) expect((await project.configure(quotas)).status).toBe(200);
    return project;
  }

  beforeAll(async () => {
    server = await Server.start({
      settings: { "auth.mode": "jwt", "router.workers": 2, "shard.count": 4, "shard.flush_idle": "100ms" },
    });
  });
  afterAll(async () => {
    await server.close();
  });

  test("their configuration has rules", async () => {
    const project = await fresh();
    for (const bad of [
      1,
      [],
      { bytes: 0 },
      { bytes: -1 },
      { bytes: 1.5 },
      { bytes: "1" },
      { bytes: 1e30 },
      { messages: 1 },
      { bytes: null },
    ]) {
      const answer = await project.configure(bad);
      expect([answer.status, answer.json().error]).toEqual([400, expect.stringMatching(/^quotas/)]);
    }
    expect((await project.usage()).quotas).toEqual({});
  });

  test("streams: no more than so many, over all shards; what is there is there", async () => {
    const project = await fresh({ streams: 10 });
    for (let i = 0; i < 10; i++) expect((await project.call("PUT", `s${i}`)).status).toBe(201);
    await project.known({ streams: 10 });
    for (let i = 10; i < 20; i++) {
      const answer = await project.call("PUT", `s${i}`);
      expect([answer.status, answer.json().code]).toEqual([507, "QUOTA_EXCEEDED"]);
      expect(answer.headers.get("retry-after")).toBe("60");
      expect(answer.headers.get("ratelimit-policy")).toBe('"streams";q=10');
      expect(answer.headers.get("ratelimit")).toBe('"streams";r=0');
      expect(answer.json().error).toBe("the project's quota of 10 streams is used up");
    }
    expect((await project.call("PUT", "s3")).status).toBe(200);
    const fork = { headers: { "stream-forked-from": "/v1/stream/p1/s3" } };
    expect((await project.call("PUT", "fork", fork)).status).toBe(507);
    expect((await project.call("POST", "s3", { body: "x" })).status).toBe(204);
    expect((await project.call("DELETE", "s4")).status).toBe(204);
    await project.known({ streams: 9 });
    expect((await project.call("PUT", "fork", fork)).status).toBe(201);
    await project.known({ streams: 10 });
    expect((await project.call("PUT", "s10")).status).toBe(507);
    expect((await project.call("DELETE", "s3")).status).toBe(204); // its fork holds its bytes, but it is none any more
    await project.known({ streams: 9 });
    expect((await project.call("PUT", "s10")).status).toBe(201);
    await until("ten streams", async () => (await project.usage()).streams === 10);
  });

  test("bytes: what is stored, in appends and new streams, until something is deleted", async () => {
    const project = await fresh({ bytes: 1000 });
    expect((await project.call("PUT", "a", { body: "x".repeat(400) })).status).toBe(201);
    expect((await project.call("POST", "a", { body: "x".repeat(500) })).status).toBe(204);
    await project.known({ streams: 1, bytes: 900 });
    expect(await project.usage()).toEqual({ streams: 1, bytes: 900, liveReaders: 0, quotas: { bytes: 1000 } });
    const refused = await project.call("POST", "a", { body: "x".repeat(101) });
    expect([refused.status, refused.json().code]).toEqual([507, "QUOTA_EXCEEDED"]);
    expect(refused.headers.get("ratelimit")).toBe('"bytes";r=100');
    expect(refused.json().error).toBe("the project's quota of 1000 bytes is used up");
    expect((await project.call("PUT", "b", { body: "x".repeat(101) })).status).toBe(507);
    expect((await project.call("PUT", "b", { body: "x".repeat(100) })).status).toBe(201);
    await project.known({ bytes: 1000 });
    expect((await project.call("POST", "a", { body: "x" })).status).toBe(507);
    expect((await project.call("POST", "a", { headers: { "stream-closed": "true" } })).status).toBe(204);
    expect((await project.call("GET", "a")).text.length).toBe(900);
    expect((await project.call("DELETE", "a")).status).toBe(204);
    await project.known({ bytes: 100 });
    expect((await project.call("POST", "b", { body: "x".repeat(900) })).status).toBe(204);
  });

  test("appends a second: a second's worth at once, then as they become due", async () => {
    const project = await fresh({ appendsPerSecond: 20 });
    expect((await project.call("PUT", "a")).status).toBe(201);
    await project.known({ streams: 1 }); // a router that meets the project later would give a second's worth of its own
    const statuses = { 204: 0, 429: 0 };
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    // What one router gave before the other's appends were known to it is given less later.
    const tooMany = () => statuses[204] > 20 + Math.ceil(seconds() * 20) + 8;
    let refused;
    while (seconds() < 2 || statuses[429] <= 50 || (tooMany() && seconds() < 5 * PATIENCE))
      await Promise.all(
        Array.from({ length: 4 }, async () => {
          const answer = await project.call("POST", "a", { body: "x" });
          statuses[answer.status]++;
          if (answer.status === 429) refused = answer;
        }),
      );
    expect(tooMany()).toBe(false);
    expect(statuses[204]).toBeGreaterThanOrEqual(21);
    expect(statuses[429]).toBeGreaterThan(50);
    expect(refused.json().code).toBe("QUOTA_RATE_EXCEEDED");
    expect(refused.json().error).toBe("the project's quota of 20 appends a second is used up");
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.headers.get("ratelimit-policy")).toBe('"appends";q=20;w=1');
    expect(refused.headers.get("ratelimit")).toBe('"appends";r=0;t=1');
    await until("the next one", async () => (await project.call("POST", "a", { body: "x" })).status === 204);
  });

  test("live readers: at all routers together, and a reader that leaves makes room", async () => {
    const project = await fresh({ liveReaders: 6 });
    await project.call("PUT", "a");
    const readers = [];
    const open = async () => {
      const reader = new EventReader(`${project.url("a")}?live=sse&offset=now&token=${project.token}`);
      await until("an answer", () => reader.status || reader.ended);
      return reader;
    };
    for (let i = 0; i < 6; i++) {
      readers.push(await open());
      expect(readers[i].status).toBe(200);
      await project.known({ liveReaders: i + 1 });
    }
    for (let i = 0; i < 6; i++) {
      const seventh = await open();
      expect([seventh.status, seventh.headers["retry-after"]]).toEqual([429, "5"]);
    }
    expect((await project.call("GET", "a", { query: { live: "long-poll", offset: "now" } })).status).toBe(429);
    expect((await project.call("GET", "a")).status).toBe(200);
    readers.pop().close();
    await project.known({ liveReaders: 5 });
    readers.push(await open());
    expect(readers.at(-1).status).toBe(200);
    await server.restartChild("router", 1);
    await until(
      "its readers to be gone",
      async () => (await project.usage()).liveReaders === readers.filter((r) => !r.ended).length,
    );
    for (const reader of readers) reader.close();
  });

  test("what is used survives settling, restarts and other shard counts, and is what there is", async () => {
    const project = await fresh();
    let bytes = 0;
    const write = async (id, body) => {
      expect((await project.call("POST", id, { body })).status).toBe(204);
      bytes += body.length;
    };
    for (let i = 0; i < 20; i++) {
      expect((await project.call("PUT", `s${i}`, { body: "first" })).status).toBe(201);
      bytes += 5;
    }
    const same = async () => {
      await until("the usage to be told", async () => (await project.usage()).bytes === bytes);
      expect(await project.usage()).toMatchObject({ streams: 18, bytes });
    };
    for (let i = 0; i < 20; i++) await write(`s${i}`, "y".repeat(i * 10 + 1));
    await sleep(300); // settled
    for (let i = 0; i < 20; i++) await write(`s${i}`, "z".repeat(100));
    for (const i of [3, 4]) {
      expect((await project.call("DELETE", `s${i}`)).status).toBe(204);
      bytes -= 5 + i * 10 + 1 + 100;
    }
    await same();
    for (let i = 0; i < 4; i++) await server.restartChild("shard", i);
    await write("s7", "after");
    await same();
    for (const count of [1, 3]) {
      await server.stop();
      await server.start({ "shard.count": count });
      await same();
      await write("s8", "more");
      await same();
    }
    for (let i = 0; i < 20; i++) await project.call("DELETE", `s${i}`);
    await until("all of it to be gone", async () => (await project.usage()).bytes === 0);
    expect(await project.usage()).toMatchObject({ streams: 0, bytes: 0 });
  });

  test("the usage is for manage only, of projects there are", async () => {
    const project = await fresh();
    const of = (name, token) =>
      call(`${server.url}/v1/usage/${name}`, "GET", { headers: { authorization: `Bearer ${token}` } });
    const [name] = Object.entries(projects).find(([, p]) => p === project);
    expect((await of(name, project.token)).status).toBe(403);
    expect((await call(`${server.url}/v1/usage/${name}`)).status).toBe(401);
    expect((await of("nobody", project.token)).status).toBe(401);
  });
});
