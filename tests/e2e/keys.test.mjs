// Public keys that a project has elsewhere: jwksUrl, against a small HTTP server that rotates, dawdles, lies and dies.

import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { SignJWT, exportJWK, generateKeyPair } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { Connection } from "../lib/http.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call } from "../lib/streams.mjs";
import { PATIENCE, sleep, until } from "../lib/wait.mjs";

const now = () => Math.floor(Date.now() / 1000);
const bearer = (token) => ({ authorization: `Bearer ${token}` });
const text = { "content-type": "text/plain" };

// Publishes `keys`, or `body` if there is one, after `delay`.
class Publisher {
  keys = [];
  body = null;
  status = 200;
  delay = 0;
  fetched = 0;
  answered = 0;

  async start(port = 0) {
    this.server = createServer(async (request, response) => {
      this.fetched++;
      await sleep(this.delay);
      this.answered++;
      response.writeHead(this.status, { location: "/elsewhere" }).end(this.body ?? JSON.stringify({ keys: this.keys }));
    });
    await new Promise((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    this.port = this.server.address().port;
    return this;
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }
}

async function keyPair(alg) {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const sign = (claims = {}) =>
    new SignJWT({ sub: "acme", scope: "manage", exp: now() + 60, ...claims })
      .setProtectedHeader({ alg })
      .sign(privateKey);
  return { sign, jwk: { ...(await exportJWK(publicKey)), use: "sig" } };
}

describe.skipIf(!OWNED)("keys that are fetched", () => {
  const publisher = new Publisher();
  const pairs = {};
  let server, secret;
  const url = (name) => `${server.url}/v1/stream/${name}`;
  const status = async (token, name = "acme/s") => (await call(url(name), "HEAD", { headers: bearer(token) })).status;
  const jwksUrl = () => `http://127.0.0.1:${publisher.port}/keys?of=acme`;
  const configure = async (config, project = "acme", key = secret) => {
    const manage = await new SignJWT({ sub: project, scope: "manage", exp: now() + 60 })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(key));
    const body = JSON.stringify({ signingSecrets: [key], ...config });
    return call(`${server.url}/v1/config/${project}`, "PUT", { headers: bearer(manage), body });
  };

  beforeAll(async () => {
    for (const alg of ["RS256", "ES256", "EdDSA"]) pairs[alg] = await keyPair(alg);
    pairs.later = await keyPair("ES256");
    pairs.stranger = await keyPair("ES256");
    await publisher.start();
    server = await Server.start({
      settings: {
        "auth.mode": "jwt",
        "auth.jwks_hosts": "* 127.0.0.1",
        "auth.jwks_retry": "300ms",
        "auth.jwks_timeout": "4s",
        "auth.failures": 0,
      },
    });
    secret = server.command("create-project", "acme").out;
  });
  afterAll(async () => {
    await server.close();
    await publisher.stop();
  });

  test("the URL has rules", async () => {
    for (const bad of [
      1,
      "",
      "ftp://a/b",
      "https://a b",
      `https://a/${"x".repeat(1100)}`,
      "http://example.org/keys",
      "http://127.0.0.1@example.org/",
      "http://localhost/",
      "http://127.0.0.1.example.org/",
    ]) {
      const answer = await configure({ jwksUrl: bad });
      expect([bad, answer.status, answer.json().error]).toEqual([bad, 400, expect.stringMatching(/^jwksUrl must be/)]);
    }
    expect((await configure({ jwksUrl: "https://example.org/keys" })).status).toBe(200);
  });

  test("the first token that needs them waits for them, and they are fetched once for many", async () => {
    const encryption = { ...pairs.stranger.jwk, use: "enc" };
    publisher.keys = [{ kty: "oct", k: "AAAA" }, encryption, pairs.RS256.jwk, pairs.ES256.jwk, pairs.EdDSA.jwk];
    publisher.delay = 200;
    expect((await configure({ jwksUrl: jwksUrl() })).status).toBe(200);
    const tokens = await Promise.all(
      Array.from({ length: 30 }, (_, i) => pairs[["RS256", "ES256", "EdDSA"][i % 3]].sign({ jti: `${i}` })),
    );
    const body = "x".repeat(300_000);
    const create = (token, i) => call(url(`acme/s${i}`), "PUT", { headers: { ...text, ...bearer(token) }, body });
    const answers = await Promise.all(tokens.map(create));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([201]));
    expect((await call(url("acme/s7"), "GET", { headers: bearer(tokens[0]) })).text).toBe(body);
    expect(publisher.fetched).toBe(1);
    publisher.delay = 0;
    expect(await status(await pairs.stranger.sign())).toBe(401);
    expect((await configure({ jwksUrl: jwksUrl() })).status).toBe(200); // the secrets go on verifying
  });

  test("a key that is new there is found by its first token, but not by more fetches than auth.jwks_retry allows", async () => {
    await sleep(350);
    publisher.keys = [pairs.later.jwk, ...publisher.keys];
    const before = publisher.fetched;
    const began = Date.now();
    expect(await status(await pairs.later.sign({ jti: "1" }))).toBe(404);
    expect(publisher.fetched).toBe(before + 1);
    for (let i = 0; i < 20; i++) expect(await status(await pairs.stranger.sign({ jti: `${i}` }))).toBe(401);
    expect(publisher.fetched).toBeLessThanOrEqual(before + 1 + (Date.now() - began) / 300);
    expect(await status("e30.e30.e30")).toBe(401);
  });

  test("while they are fetched, a body is not asked for, and takes no memory", async () => {
    publisher.delay = 500; // auth.jwks_timeout is longer
    await sleep(350);
    const token = await pairs.stranger.sign();
    const before = publisher.answered;
    const connection = await Connection.open(server.url);
    const head = `POST /v1/stream/acme/s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n`;
    connection.send(`${head}Content-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n`);
    expect((await connection.answer("POST")).status).toBe(401);
    expect(publisher.answered).toBeGreaterThan(before);
    connection.destroy();
    publisher.delay = 0;
  });

  test("a key that is gone there verifies nothing, and ends the readers it let in", async () => {
    const token = await pairs.later.sign();
    await call(url("acme/live"), "PUT", { headers: { ...text, ...bearer(token) } });
    const reader = new EventReader(`${url("acme/live")}?live=sse&offset=now&token=${token}`);
    await until("the reader to be up to date", () => reader.events.length);
    publisher.keys = [pairs.ES256.jwk];
    await sleep(350);
    expect(await status(await pairs.stranger.sign())).toBe(401);
    await until("the reader to be ended", () => reader.ended);
    expect(reader.ended).toBe("clean");
    expect(await status(token, "acme/live")).toBe(401);
    expect(await status(await pairs.ES256.sign(), "acme/live")).toBe(200);
  });

  test.each([
    ["garbage", { body: "{", status: 200 }],
    ["no set", { body: "[]", status: 200 }],
    ["too large", { body: " ".repeat(1_100_000), status: 200 }],
    ["an error", { body: null, status: 500 }],
    ["a redirect", { body: null, status: 302 }],
    ["silence", { body: null, status: 200, delay: 12_000 }],
  ])("while it answers with %s, the keys that are known go on", async (_, answer) => {
    await sleep(350);
    Object.assign(publisher, answer);
    expect(await status(await pairs.stranger.sign())).toBe(401);
    expect(await status(await pairs.ES256.sign(), "acme/live")).toBe(200);
    Object.assign(publisher, { body: null, status: 200, delay: 0 });
  });

  test("a set of a thousand bytes too many is told of, and so are keys that there is no room for", async () => {
    await sleep(350);
    publisher.body = " ".repeat(1_100_000);
    expect(await status(await pairs.stranger.sign())).toBe(401);
    await until("the size to be told", () => /jwksUrl .*: it is larger than auth\.jwks_size/.test(server.log));
    publisher.body = null;
    publisher.keys = [...Array(120).fill(pairs.RS256.jwk), pairs.EdDSA.jwk, pairs.ES256.jwk, ...Array(40).fill({ ...pairs.RS256.jwk, use: "enc" })];
    await until("the set", async () => (await status(await pairs.RS256.sign(), "acme/live")) === 200);
    await until("the number to be told", () => /jwksUrl .* has 122 keys; only the first 100 are used \(auth\.jwks_keys\)/.test(server.log));
    expect(await status(await pairs.EdDSA.sign())).toBe(401);
    await sleep(350);
    publisher.keys = [...Array(80).fill({ ...pairs.RS256.jwk, x5c: ["A".repeat(3000)] }), pairs.EdDSA.jwk, pairs.ES256.jwk];
    await until("the last of many keys", async () => (await status(await pairs.EdDSA.sign({ jti: `${Math.random()}` }))) === 404);
    expect(await status(await pairs.ES256.sign(), "acme/live")).toBe(200);
  });

  test("a key that is for something else verifies nothing", async () => {
    const es256 = async () => status(await pairs.ES256.sign({ jti: `${Math.random()}` }));
    const plain = { ...pairs.ES256.jwk, use: undefined };
    for (const other of [{ alg: "ECDH-ES" }, { use: "enc" }, { key_ops: ["deriveKey"] }, { alg: "ES384" }]) {
      publisher.keys = [{ ...plain, ...other }, pairs.RS256.jwk];
      await until("the key to be gone", async () => {
        await status(await pairs.stranger.sign({ jti: `${Math.random()}` })); // has the set fetched
        return (await es256()) === 401;
      });
      publisher.keys = [{ ...plain, alg: "ES256", key_ops: ["verify"] }];
      await until("the key to be back", async () => (await es256()) === 404);
    }
  });

  test("keys that were never had: nobody can say, and a secret's tokens are not concerned", async () => {
    const other = server.command("create-project", "other").out;
    const { port } = publisher;
    await publisher.stop();
    expect((await configure({ jwksUrl: `http://127.0.0.1:${port}/other` }, "other", other)).status).toBe(200);
    expect(await status(await pairs.ES256.sign({ sub: "other" }), "other/s")).toBe(503);
    await publisher.start(port);
    await sleep(350);
    expect(await status(await pairs.ES256.sign({ sub: "other" }), "other/s")).toBe(404);
  });
});

describe.skipIf(!OWNED)("keys that are old", () => {
  test("are fetched again while they go on verifying", async () => {
    const publisher = await new Publisher().start();
    const pair = await keyPair("EdDSA");
    publisher.keys = [pair.jwk];
    const server = await Server.start({
      settings: {
        "auth.mode": "jwt",
        "auth.jwks_hosts": "127.0.0.1",
        "auth.jwks_cache": "1s",
        "auth.jwks_retry": "10ms",
      },
    });
    const secret = server.command("create-project", "acme").out;
    const manage = await new SignJWT({ sub: "acme", scope: "manage", exp: now() + 60 })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secret));
    const body = JSON.stringify({ signingSecrets: [secret], jwksUrl: `http://127.0.0.1:${publisher.port}/` });
    expect((await call(`${server.url}/v1/config/acme`, "PUT", { headers: bearer(manage), body })).status).toBe(200);
    const status = async () =>
      (
        await call(`${server.url}/v1/stream/acme/s`, "HEAD", {
          headers: bearer(await pair.sign({ jti: `${Math.random()}` })),
        })
      ).status;
    expect(await status()).toBe(404);
    await sleep(1100);
    publisher.delay = 3000;
    expect(await status()).toBe(404);
    expect(publisher.answered).toBe(1); // the old keys verify while the new ones are on their way
    publisher.keys = [];
    await until("the keys to be fetched", () => publisher.answered === 2);
    publisher.delay = 0;
    await until("the key to be forgotten", async () => (await status()) === 401);
    await server.close();
    await publisher.stop();
  });
});

describe.skipIf(!OWNED)("keys that a router has never fetched, because it took over from another", () => {
  test("end no reader before they are here, and then those that they do not verify", async () => {
    const publisher = await new Publisher().start();
    const pair = await keyPair("EdDSA");
    publisher.keys = [pair.jwk];
    const server = await Server.start({
      settings: {
        "auth.mode": "jwt",
        "auth.jwks_hosts": "127.0.0.1",
        "auth.jwks_retry": "10ms",
        "router.workers": 1,
      },
    });
    const secret = server.command("create-project", "acme").out;
    const manage = await new SignJWT({ sub: "acme", scope: "manage", exp: now() + 60 })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secret));
    const body = JSON.stringify({ signingSecrets: [secret], jwksUrl: `http://127.0.0.1:${publisher.port}/` });
    expect((await call(`${server.url}/v1/config/acme`, "PUT", { headers: bearer(manage), body })).status).toBe(200);
    const url = `${server.url}/v1/stream/acme/s`;
    const token = await pair.sign();
    const append = (body) => call(url, "POST", { headers: { ...text, ...bearer(token) }, body });
    expect((await call(url, "PUT", { headers: { ...text, ...bearer(token) } })).status).toBe(201);
    const reader = new EventReader(`${url}?live=sse&offset=now&token=${token}`);
    await until("the reader to be up to date", () => reader.events.length);
    const upgrade = async () => {
      const before = [...server.log.matchAll(/has taken over/g)].length;
      server.signal("SIGUSR2");
      await until("the upgrade", () => [...server.log.matchAll(/has taken over/g)].length > before, 30_000);
    };
    await upgrade();
    server.command("create-project", "other"); // all readers are looked at
    await sleep(300);
    expect((await append("still there")).status).toBe(204);
    await until("its event", () => reader.data.length === 1);
    expect(reader.ended).toBe(null);
    publisher.keys = [];
    await upgrade();
    await until("the reader to be ended", () => reader.ended);
    expect(reader.ended).toBe("clean");
    await server.close();
    await publisher.stop();
  });
});

describe.skipIf(!OWNED)("auth.jwks_hosts", () => {
  const publisher = new Publisher();
  let server, pair;
  const configure = (hosts) => {
    server.configFile = join(server.folder, "streamd.ini");
    writeFileSync(server.configFile, `[auth]\nmode = jwt\njwks_hosts = ${hosts}\n[live]\nsse_lifetime = 1h\n`);
  };
  beforeAll(async () => {
    pair = await keyPair("ES256");
    publisher.keys = [pair.jwk];
    await publisher.start();
    server = new Server({ settings: { "router.workers": 1, "shard.count": 1 } });
    configure("127.0.0.1 *");
    await server.start();
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    await server?.close();
    await publisher.stop();
  });

  test("a host that is no longer among them has keys that verify nothing, and its readers end", async () => {
    const secret = server.command("--set", "auth.mode=jwt", "create-project", "acme").out;
    const manage = await new SignJWT({ sub: "acme", scope: "manage", exp: now() + 60 })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secret));
    const body = JSON.stringify({ signingSecrets: [secret], jwksUrl: `http://127.0.0.1:${publisher.port}/` });
    expect((await call(`${server.url}/v1/config/acme`, "PUT", { headers: bearer(manage), body })).status).toBe(200);
    const address = `${server.url}/v1/stream/acme/s`, token = await pair.sign();
    expect((await call(address, "PUT", { headers: { ...text, ...bearer(token) } })).status).toBe(201);
    const readers = [token, manage].map((one) => EventReader.open(address, { query: { offset: "-1", token: one } }));
    for (const reader of readers) await reader.upToDate();
    configure("*");
    server.signal("SIGHUP");
    expect(await readers[0].end()).toBe("clean");
    expect((await call(address, "HEAD", { headers: bearer(token) })).status).toBe(401);
    expect((await call(address, "HEAD", { headers: bearer(manage) })).status).toBe(200);
    expect(readers[1].ended).toBe(null);
    readers[1].close();
  });
});
