// auth.mode = jwt: projects, tokens of another library, public streams, origins, configuration routes.

import { statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

import { DurableStream } from "@durable-streams/client";
import { EventSource } from "eventsource";
import { SignJWT, UnsecuredJWT, exportJWK, exportSPKI, generateKeyPair } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { routes, source } from "../lib/openapi.mjs";
import { OWNED, Server } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { call, freshName } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const now = () => Math.floor(Date.now() / 1000);
const key = (secret) => new TextEncoder().encode(secret);

function sign(secret, claims = {}, algorithm = "HS256") {
  const all = { sub: "acme", scope: "write", exp: now() + 60, ...claims };
  for (const name of Object.keys(all)) if (all[name] === undefined) delete all[name];
  return new SignJWT(all).setProtectedHeader({ alg: algorithm, typ: "JWT" }).sign(key(secret));
}

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const text = { "content-type": "text/plain" };

describe.skipIf(!OWNED)("tokens", () => {
  const fixture = useServer({
    settings: { "auth.mode": "jwt", "auth.cookie": "streamd", "router.workers": 2, "live.sse_lifetime": "30s" },
  });
  const url = (name) => `${fixture.server.url}/v1/stream/${name}`;
  let secret, other;

  test("create-project prints a secret, once", () => {
    const made = fixture.server.command("create-project", "acme");
    expect([made.status, made.err]).toEqual([0, ""]);
    expect(made.out).toMatch(/^[0-9a-f]{64}$/);
    secret = made.out;
    other = fixture.server.command("create-project", "other").out;
    expect(fixture.server.command("create-project", "acme").status).toBe(1);
    expect(fixture.server.command("create-project", "a/b").err).toMatch(/a project's name is/);
    expect(fixture.server.command("list-projects").out).toBe(
      "acme keys=1 origins=0 public=false\nother keys=1 origins=0 public=false",
    );
    expect(statSync(join(fixture.server.dataDir, "registry.db")).mode & 0o777).toBe(0o600);
  });

  const ask = async (method, name, claims, options = {}) =>
    call(url(name), method, { ...options, headers: { ...text, ...bearer(await sign(secret, claims)), ...options.headers } });

  test("a token of another library creates, appends and reads", async () => {
    expect((await ask("PUT", "acme/first")).status).toBe(201);
    expect((await ask("POST", "acme/first", {}, { body: "hello" })).status).toBe(204);
    const answer = await ask("GET", "acme/first", { scope: "read" });
    expect([answer.status, answer.text]).toEqual([200, "hello"]);
    expect(answer.headers.get("cache-control")).toMatch(/^private/);
    expect(answer.headers.get("vary")).toBe("Authorization, Cookie");
  });

  test("every scope and every method", async () => {
    const methods = { GET: 1, HEAD: 1, POST: 2, PUT: 2, DELETE: 3 };
    for (const [level, scope] of ["read", "write", "manage"].entries())
      for (const [method, needed] of Object.entries(methods)) {
        const name = `acme/${freshName("scope")}`;
        await ask("PUT", name);
        const body = method === "POST" ? "x" : undefined;
        const { status } = await ask(method, name, { scope }, { body });
        expect([scope, method, status === 403 || status < 300, status === 403]).toEqual([scope, method, true, level + 1 < needed]);
      }
  });

  test("what is no valid token is 401, whether the stream exists or not", async () => {
    const { privateKey } = await generateKeyPair("RS256");
    const bad = {
      "another project's key": await sign(other),
      expired: await sign(secret, { exp: now() - 1 }),
      "expires now": await sign(secret, { exp: now() }),
      "no exp": await sign(secret, { exp: undefined }),
      "exp a text": await sign(secret, { exp: `${now() + 60}` }),
      "no scope": await sign(secret, { scope: undefined }),
      "another scope": await sign(secret, { scope: "root" }),
      "scope a list": await sign(secret, { scope: ["write"] }),
      "no sub": await sign(secret, { sub: undefined }),
      "stream_id a number": await sign(secret, { stream_id: 7 }),
      HS512: await sign(secret.repeat(2).slice(0, 64), {}, "HS512"),
      none: new UnsecuredJWT({ sub: "acme", scope: "write", exp: now() + 60 }).encode(),
      RS256: await new SignJWT({ sub: "acme", scope: "write", exp: now() + 60 }).setProtectedHeader({ alg: "RS256" }).sign(privateKey),
      "cut off": (await sign(secret)).slice(0, -3),
      "a flipped bit": (await sign(secret)).replace(/\.(.)/, (_, c) => `.${c === "f" ? "e" : "f"}`),
      "no token": "x",
      empty: "",
      long: "a".repeat(5000),
      dots: "...",
    };
    for (const [what, token] of Object.entries(bad))
      for (const name of ["acme/first", "acme/missing", "nobody/first"]) {
        const answer = await call(url(name), "GET", { headers: bearer(token) });
        expect([what, name, answer.status, answer.json().code]).toEqual([what, name, 401, "UNAUTHORIZED"]);
        expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer/);
        if (token.length > 5) expect(answer.text).not.toContain(token);
      }
    for (const name of ["acme/first", "acme/missing", "nobody/first", "first"])
      for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE"]) {
        const { status } = await call(url(name), method, { headers: text, body: method === "POST" ? "x" : undefined });
        expect([name, method, status]).toEqual([name, method, 401]);
      }
    const basic = await call(url("acme/first"), "GET", { headers: { authorization: "Basic YTpi" } });
    expect(basic.status).toBe(401);
  });

  test("a token of the project with another subject is 403", async () => {
    expect((await ask("GET", "acme/first", { sub: "other" })).status).toBe(403);
  });

  test("stream_id is one stream, or a prefix", async () => {
    for (const name of ["acme/one", "acme/one/two", "acme/on"]) await ask("PUT", name);
    const allowed = async (stream_id, method = "GET") =>
      Promise.all(
        ["one", "one/two", "on"].map(async (name) => {
          const { status } = await ask(method, `acme/${name}`, { stream_id }, { body: method === "POST" ? "x" : undefined });
          return status < 300;
        }),
      );
    expect(await allowed("one")).toEqual([true, false, false]);
    expect(await allowed("one*", "POST")).toEqual([true, true, false]);
    expect(await allowed("one/*")).toEqual([false, true, false]);
    expect(await allowed("*")).toEqual([true, true, true]);
    expect(await allowed("")).toEqual([false, false, false]);
  });

  test("a fork shows only what its token may read", async () => {
    const foreign = `other/${freshName("secret")}`;
    await call(url(foreign), "PUT", { headers: { ...text, ...bearer(await sign(other, { sub: "other" })) }, body: "s" });
    const fork = (source, claims) =>
      ask("PUT", `acme/${freshName("fork")}`, claims, { headers: { "stream-forked-from": `/v1/stream/${source}` } });
    const byUrl = (source, claims) =>
      ask("PUT", `acme/${freshName("fork")}`, claims, { headers: { "stream-forked-from": url(source) } });
    expect((await byUrl("acme/first")).status).toBe(201);
    expect((await byUrl(foreign)).status).toBe(403);
    expect((await byUrl("acme/first", { stream_id: "test*" })).status).toBe(403);
    expect((await fork("acme/first")).status).toBe(201);
    expect((await fork(foreign)).status).toBe(403);
    expect((await fork("acme/first", { stream_id: "test*" })).status).toBe(403);
  });

  test("whatever a request names, its token has to be good for", async () => {
    const estuary = async (method, path, claims, body) => {
      const headers = { ...text, ...bearer(await sign(secret, claims)) };
      return (await call(`${fixture.server.url}/v1/estuary/${path}`, method, { headers, body })).status;
    };
    const subscribe = (method, path, body, claims) => estuary(method, `subscribe/${path}`, claims, JSON.stringify(body));
    for (const name of ["mine", "mine2", "theirs"]) await ask("PUT", `acme/${name}`);
    const narrow = { stream_id: "mine*" };
    expect(await subscribe("POST", "acme/mine", { estuaryId: "mine-all" }, narrow)).toBe(200);
    expect(await subscribe("POST", "acme/mine", { estuaryId: "theirs" }, narrow)).toBe(403);
    expect(await subscribe("POST", "acme/theirs", { estuaryId: "mine-all" }, narrow)).toBe(403);
    expect(await subscribe("DELETE", "acme/mine", { estuaryId: "theirs" }, narrow)).toBe(403);
    expect(await subscribe("DELETE", "acme/theirs", { estuaryId: "mine-all" }, narrow)).toBe(403);
    expect(await subscribe("POST", "acme", { estuaryId: "mine-all", streams: ["mine", "mine2"] }, narrow)).toBe(200);
    expect(await subscribe("POST", "acme", { estuaryId: "mine-all", streams: ["mine", "theirs"] }, narrow)).toBe(403);
    expect(await subscribe("POST", "acme", { estuaryId: "theirs", streams: ["mine"] }, narrow)).toBe(403);
    expect(await subscribe("POST", "acme/mine", { estuaryId: "mine-all" }, { scope: "read" })).toBe(403);
    for (const [method, path, status] of [["GET", "theirs", 403], ["POST", "theirs/touch", 403], ["DELETE", "theirs", 403], ["GET", "mine-all", 200], ["POST", "mine-all/touch", 200], ["DELETE", "mine-all", 200]])
      expect([path, await estuary(method, `acme/${path}`, narrow)]).toEqual([path, status]);
  });

  test("a token in the query and in a cookie", async () => {
    const token = await sign(secret, { scope: "read" });
    expect((await call(url("acme/first"), "GET", { query: { offset: "-1", token } })).text).toBe("hello");
    expect((await call(url("acme/first"), "GET", { headers: { cookie: `a=b; streamd=${token}` } })).text).toBe("hello");
    expect((await call(url("acme/first"), "GET", { headers: { cookie: `other=${token}` } })).status).toBe(401);
  });

  test("the official client with a token", async () => {
    const headers = bearer(await sign(secret, { scope: "write" }));
    const stream = await DurableStream.create({ url: url(`acme/${freshName("client")}`), headers, contentType: "application/json" });
    await stream.append(JSON.stringify({ n: 1 }));
    const answer = await stream.stream({ offset: "-1", live: false });
    expect(await answer.json()).toEqual([{ n: 1 }]);
  });

  test("an event stream ends when its token expires, with a last control event", async () => {
    const token = await sign(secret, { scope: "read", exp: now() + 3 });
    const began = Date.now();
    const answer = await fetch(`${url("acme/first")}?offset=now&live=sse&token=${token}`);
    expect(answer.status).toBe(200);
    const body = await answer.text();
    expect(Date.now() - began).toBeGreaterThan(1500);
    expect(Date.now() - began).toBeLessThan(30_000); // live.sse_lifetime is a day
    expect(body.split("event: control").length).toBe(3);
  });

  test("keys are added and removed while the server runs; a removed one ends its readers", async () => {
    const old = secret;
    const source = new EventSource(`${url("acme/first")}?offset=now&live=sse&token=${await sign(old, { scope: "read" })}`);
    let errors = 0;
    source.addEventListener("error", () => errors++);
    await until("the reader", () => source.readyState === 1);
    const added = fixture.server.command("add-key", "acme");
    expect(added.status).toBe(0);
    expect((await call(url("acme/first"), "HEAD", { headers: bearer(await sign(added.out)) })).status).toBe(200);
    expect((await call(url("acme/first"), "HEAD", { headers: bearer(await sign(old)) })).status).toBe(200);
    expect(errors).toBe(0);
    expect(fixture.server.command("remove-key", "acme", old.slice(0, 3)).status).toBe(1);
    expect(fixture.server.command("remove-key", "acme", old.slice(0, 12)).status).toBe(0);
    expect((await call(url("acme/first"), "HEAD", { headers: bearer(await sign(old)) })).status).toBe(401);
    await until("the reader to be ended", () => errors > 0);
    source.close();
    expect(fixture.server.command("remove-key", "acme", added.out).err).toMatch(/the last key stays/);
    secret = added.out;
  });

  test("the token command", async () => {
    const made = fixture.server.command("token", "--project", "acme", "--scope", "read", "--stream", "fir*", "--ttl", "1m");
    expect(made.out.split(".").length).toBe(3);
    expect((await call(url("acme/first"), "GET", { headers: bearer(made.out) })).status).toBe(200);
    expect((await call(url("acme/one"), "GET", { headers: bearer(made.out) })).status).toBe(403);
    for (const wrong of [["--scope", "read"], ["--project", "acme", "--scope", "all", "--ttl", "1m"], ["--project", "acme", "--scope", "read", "--ttl", "soon"], ["--project", "nobody", "--scope", "read", "--ttl", "1m"]])
      expect(fixture.server.command("token", ...wrong).status).toBe(1);
  });

  test("public streams are read without a token, and written with one", async () => {
    const name = `acme/${freshName("public")}`;
    const made = await ask("PUT", name, {}, { query: { public: "true" }, body: "all" });
    expect([made.status, made.headers.get("stream-reader-key")]).toEqual([201, null]);
    const answer = await call(url(name));
    expect([answer.status, answer.text]).toEqual([200, "all"]);
    expect(answer.headers.get("cache-control")).toMatch(/^public/);
    expect((await call(url(name), "HEAD")).status).toBe(200);
    expect((await call(url(name), "POST", { headers: text, body: "x" })).status).toBe(401);
    expect((await ask("PUT", name, {}, { query: { public: "true" } })).status).toBe(200);
    expect((await ask("PUT", name)).status).toBe(409);
    await fixture.server.restartChild("shard", 0);
    expect((await call(url(name))).status).toBe(200);
    const poll = await call(url(name), "GET", { query: { offset: "-1", live: "long-poll" } });
    expect([poll.status, poll.headers.get("cache-control")]).toEqual([200, expect.stringMatching(/^public/)]);
  });

  test("a reader key makes answers cacheable for all who know it, and gives no access", async () => {
    const name = `acme/${freshName("keyed")}`;
    const made = await ask("PUT", name, {}, { body: "x" });
    const rk = made.headers.get("stream-reader-key");
    expect(rk).toMatch(/^rk_[0-9a-f]{32}$/);
    expect((await ask("HEAD", name)).headers.get("stream-reader-key")).toBe(rk);
    const caching = async (query) => (await ask("GET", name, { scope: "read" }, { query })).headers.get("cache-control");
    expect(await caching({ rk })).toMatch(/^public/);
    const encoded = await call(`${url(name)}?rk=${rk.replace("_", "%5F")}`, "GET", { headers: bearer(await sign(secret)) });
    expect(encoded.headers.get("cache-control")).toMatch(/^public/);
    expect(await caching({ rk: `rk_${"0".repeat(32)}` })).toMatch(/^private/);
    expect(await caching({})).toMatch(/^private/);
    expect((await call(url(name), "GET", { query: { rk } })).status).toBe(401);
  });

  test("configuration routes", async () => {
    const address = (project) => `${fixture.server.url}/v1/config/${project}`;
    const manage = bearer(await sign(secret, { scope: "manage" }));
    const get = await call(address("acme"), "GET", { headers: manage });
    expect(get.json()).toEqual({ signingSecrets: [secret], corsOrigins: [], isPublic: false });
    expect(get.headers.get("cache-control")).toBe("no-store");
    expect((await call(address("acme"), "GET", { headers: bearer(await sign(secret)) })).status).toBe(403);
    expect((await call(address("acme"))).status).toBe(401);
    expect((await call(address("other"), "GET", { headers: manage })).status).toBe(401);
    expect((await call(address("acme"), "GET", { headers: bearer(await sign(secret, { scope: "manage", stream_id: "*" })) })).status).toBe(403);
    expect((await call(address("acme"), "DELETE", { headers: manage })).status).toBe(405);
    const put = (body) => call(address("acme"), "PUT", { headers: manage, body: typeof body === "string" ? body : JSON.stringify(body) });
    for (const [body, field] of [
      ["{", "the body must be"],
      ["[]", "the body must be"],
      [{ signingSecrets: [secret], color: "red" }, "unknown field 'color'"],
      [{ quotas: { stream: 1 } }, "quotas has an unknown field 'stream'"],
      [{}, "signingSecrets is missing"],
      [{ signingSecrets: [] }, "signingSecrets"],
      [{ signingSecrets: ["short"] }, "signingSecrets"],
      [{ signingSecrets: [secret, secret] }, "signingSecrets"],
      [{ signingSecrets: [secret], corsOrigins: ["example.com"] }, "corsOrigins"],
      [{ signingSecrets: [secret], corsOrigins: "*" }, "corsOrigins"],
      [{ signingSecrets: [secret], corsOrigins: ["https://App.example"] }, "corsOrigins"],
      [{ signingSecrets: [secret], corsOrigins: ["https://app.example:443"] }, "corsOrigins"],
      [{ signingSecrets: [secret], corsOrigins: ["*", "https://app.example"] }, "corsOrigins"],
      [{ signingSecrets: [secret], isPublic: 1 }, "isPublic"],
    ]) {
      const answer = await put(body);
      expect([answer.status, answer.json().code, answer.json().error]).toEqual([400, "INVALID_CONFIG", expect.stringMatching(new RegExp(`^${field}`))]);
    }
    expect((await put({ signingSecrets: [secret], corsOrigins: ["https://app.example"], isPublic: true })).json()).toEqual({ ok: true });
    for (let i = 0; i < 6; i++) expect((await call(url("acme/first"))).text).toBe("hello"); // both routers know
    expect((await put({ signingSecrets: [secret] })).status).toBe(200);
    for (let i = 0; i < 6; i++) expect((await call(url("acme/first"))).status).toBe(401);
  });

  test("a configuration is replaced only if it is the one that If-Match names", async () => {
    const address = `${fixture.server.url}/v1/config/acme`;
    const manage = bearer(await sign(secret, { scope: "manage" }));
    const get = (headers) => call(address, "GET", { headers: { ...manage, ...headers } });
    const put = (headers, more) => call(address, "PUT", { headers: { ...manage, ...headers }, body: JSON.stringify({ signingSecrets: [secret], ...more }) });
    const expectFailed = (answer, etag) => expect([answer.status, answer.json().code, answer.headers.get("etag")]).toEqual([412, "PRECONDITION_FAILED", etag]);
    const first = (await get()).headers.get("etag");
    expect((await get({ "if-none-match": first })).status).toBe(304);
    expect((await get({ "if-match": first })).status).toBe(200);
    expectFailed(await get({ "if-match": '"other"' }), first);

    const changed = await put({ "if-match": first }, { isPublic: true });
    const second = changed.headers.get("etag");
    expect([changed.status, (await get()).headers.get("etag")]).toEqual([200, second]);
    expect(second).not.toBe(first);
    for (const headers of [{ "if-match": first }, { "if-match": `W/${second}` }, { "if-match": "x" }, { "if-match": "" }, { "if-none-match": "*" }, { "if-match": second, "if-none-match": "*" }])
      expectFailed(await put(headers), second);
    expect((await put({ "if-none-match": second })).json().code).toBe("CONDITION_NOT_SUPPORTED");
    expect((await put({ "if-unmodified-since": "x" })).json().code).toBe("CONDITION_NOT_SUPPORTED");
    expect((await get()).json().isPublic).toBe(true);

    expect((await put({ "if-match": `"other", ${second}` }, { isPublic: true })).status).toBe(200); // the same as before
    expect((await put({ "if-match": "*" })).headers.get("etag")).toBe(first);
  });

  test("of many who change a configuration with If-Match at once, and of commands beside them, none undoes another", async () => {
    const address = `${fixture.server.url}/v1/config/acme`;
    const manage = bearer(await sign(secret, { scope: "manage" }));
    const add = async (origin) => {
      for (;;) {
        const got = await call(address, "GET", { headers: manage });
        const body = got.json();
        body.corsOrigins = [...body.corsOrigins, origin];
        const headers = { ...manage, "if-match": got.headers.get("etag") };
        const { status } = await call(address, "PUT", { headers, body: JSON.stringify(body) });
        if (status === 200) return;
        if (![412, 503].includes(status)) throw new Error(`PUT: ${status}`);
      }
    };
    const mine = Array.from({ length: 8 }, (_, i) => `https://put-${i}.example`);
    const theirs = Array.from({ length: 4 }, (_, i) => `https://command-${i}.example`);
    const all = mine.map(add);
    for (const origin of theirs) fixture.server.command("add-origin", "acme", origin);
    await Promise.all(all);
    const { corsOrigins } = (await call(address, "GET", { headers: manage })).json();
    expect(corsOrigins.sort()).toEqual([...mine, ...theirs].sort());
    expect((await call(address, "PUT", { headers: manage, body: JSON.stringify({ signingSecrets: [secret] }) })).status).toBe(200);
  });

  test("readers whose right was the project's end with it: it is not public any more", async () => {
    const address = `${fixture.server.url}/v1/config/acme`;
    const manage = bearer(await sign(secret, { scope: "manage" }));
    const publish = async (isPublic) => {
      const answer = await call(address, "PUT", { headers: manage, body: JSON.stringify({ signingSecrets: [secret], isPublic }) });
      expect(answer.status).toBe(200);
    };
    const open = `acme/${freshName("open")}`, name = `acme/${freshName("shared")}`, token = await sign(secret, { scope: "read" });
    await ask("PUT", open, {}, { query: { public: "true" }, body: "x" });
    await ask("PUT", name, {}, { body: "x" });
    await publish(true);
    // Both routers have some: four of each kind.
    const four = (make) => Array.from({ length: 4 }, make);
    const query = { offset: "-1" };
    const anonymous = four(() => EventReader.open(url(name), { query }));
    const granted = four(() => EventReader.open(url(name), { query: { ...query, token } }));
    const lasting = four(() => EventReader.open(url(open), { query }));
    for (const reader of [...anonymous, ...granted, ...lasting]) await reader.upToDate();
    const tails = { [name]: (await call(url(name))).next, [open]: (await call(url(open))).next };
    const poll = (who, more = {}) => call(url(who), "GET", { query: { offset: tails[who], live: "long-poll", ...more } });
    const polls = four(() => poll(name)), tokened = four(() => poll(name, { token })), opened = four(() => poll(open));
    await sleep(300); // they wait now
    await publish(false);
    for (const reader of anonymous) {
      expect(await reader.end()).toBe("clean");
      expect([reader.data, reader.events.at(-1).type]).toEqual([["x"], "control"]);
    }
    for (const answer of await Promise.all(polls)) expect([answer.status, answer.json().code]).toEqual([401, "UNAUTHORIZED"]);
    for (const stream of [name, open]) expect((await ask("POST", stream, {}, { body: "y" })).status).toBe(204);
    for (const answer of await Promise.all(tokened)) expect([answer.text, answer.headers.get("cache-control")]).toEqual(["y", expect.stringMatching(/^private/)]);
    for (const answer of await Promise.all(opened)) expect([answer.text, answer.headers.get("cache-control")]).toEqual(["y", expect.stringMatching(/^public/)]);
    for (const reader of [...granted, ...lasting]) {
      await reader.see("what is new", () => reader.data.length === 2);
      expect(reader.ended).toBe(null);
      reader.close();
    }
  });

  test("readers whose right was the project's end with it: it is deleted", async () => {
    const own = fixture.server.command("create-project", "brief").out;
    const manage = { sub: "brief", scope: "manage" };
    const headers = { ...text, ...bearer(await sign(own, manage)) };
    await call(`${fixture.server.url}/v1/config/brief`, "PUT", { headers, body: JSON.stringify({ signingSecrets: [own], isPublic: true }) });
    await call(url("brief/s"), "PUT", { headers, body: "x" });
    const readers = [{}, { token: await sign(own, { sub: "brief", scope: "read" }) }].map((more) => EventReader.open(url("brief/s"), { query: { offset: "-1", ...more } }));
    for (const reader of readers) await reader.upToDate();
    expect(fixture.server.command("delete-project", "brief").status).toBe(0);
    for (const reader of readers) expect(await reader.end()).toBe("clean");
  });

  test("public keys of others verify RS256, ES256 and EdDSA, each its own algorithm only", async () => {
    const rsa = await generateKeyPair("RS256", { extractable: true });
    const ec = await generateKeyPair("ES256", { extractable: true });
    const ed = await generateKeyPair("EdDSA", { extractable: true });
    const pairs = { RS256: rsa, ES256: ec, EdDSA: ed };
    const jwks = { keys: [{ ...(await exportJWK(rsa.publicKey)), kid: "a" }, await exportJWK(ec.publicKey), await exportJWK(ed.publicKey)] };
    const address = `${fixture.server.url}/v1/config/acme`;
    const manage = bearer(await sign(secret, { scope: "manage" }));
    const put = async (keys) => call(address, "PUT", { headers: manage, body: JSON.stringify({ signingSecrets: [secret], jwks: keys }) });
    expect((await put(jwks)).json()).toEqual({ ok: true });
    expect((await call(address, "GET", { headers: manage })).json().jwks).toEqual(jwks);
    const claims = { sub: "acme", scope: "read", exp: now() + 60 };
    const signed = (alg, privateKey) => new SignJWT(claims).setProtectedHeader({ alg }).sign(privateKey);
    const status = async (token) => (await call(url("acme/first"), "GET", { headers: bearer(token) })).status;
    for (const [alg, { privateKey }] of Object.entries(pairs)) {
      const good = await signed(alg, privateKey);
      expect([alg, await status(good)]).toEqual([alg, 200]);
      const [head, , signature] = good.split(".");
      const payload = Buffer.from(JSON.stringify({ ...claims, scope: "manage" })).toString("base64url");
      expect([alg, await status(`${head}.${payload}.${signature}`)]).toEqual([alg, 401]);
      expect([alg, await status(await signed(alg, (await generateKeyPair(alg)).privateKey))]).toEqual([alg, 401]);
      const critical = new SignJWT(claims).setProtectedHeader({ alg, crit: ["x"], x: 1 });
      expect([alg, await status(await critical.sign(privateKey, { crit: { x: true } }))]).toEqual([alg, 401]);
    }
    for (const pem of [await exportSPKI(rsa.publicKey), (await exportSPKI(rsa.publicKey)) + "\n", (await exportSPKI(ec.publicKey)) + "\n"])
      for (const alg of ["HS256", "HS384"]) expect(await status(await sign(pem, { scope: "read" }, alg))).toBe(401);
    const weak = { kty: "RSA", n: "AQAB".repeat(30), e: "AQAB" };
    for (const bad of [{}, [], { keys: [weak] }, { keys: [{ kty: "oct", k: "AAAA" }] }, { keys: [await exportJWK(rsa.privateKey)] }, { keys: [{ ...jwks.keys[1], x: "AAAA" }] }, { keys: [{ ...jwks.keys[1], y: jwks.keys[1].x }] }, { keys: [{ ...jwks.keys[2], x: "AAAA" }] }, { keys: [{ ...jwks.keys[2], crv: "Ed448" }] }, { keys: [{ ...jwks.keys[1], use: "enc" }] }, { keys: [{ ...jwks.keys[0], alg: "PS256" }] }, { keys: [{ ...jwks.keys[1], key_ops: ["deriveKey"] }] }]) {
      const answer = await put(bad);
      expect([answer.status, answer.json().error]).toEqual([400, expect.stringMatching(/^jwks must be/)]);
    }
    expect((await put(undefined)).status).toBe(200);
    expect(await status(await signed("RS256", rsa.privateKey))).toBe(401);
  });

  test("origins of a project", async () => {
    const asked = async (origin, method = "GET") => {
      const headers = { ...(origin ? { origin } : {}), ...(method === "OPTIONS" ? {} : bearer(await sign(secret))) };
      const answer = await call(url("acme/first"), method, { headers });
      const vary = answer.headers.get("vary") ?? "";
      return [answer.headers.get("access-control-allow-origin"), /\bOrigin\b/.test(vary) ? "Origin" : null];
    };
    expect(await asked("https://a.example")).toEqual(["*", null]);
    expect(fixture.server.command("add-origin", "acme", "https://a.example").status).toBe(0);
    expect(fixture.server.command("add-origin", "acme", "a.example").status).toBe(1);
    for (const method of ["GET", "OPTIONS"]) {
      expect(await asked("https://a.example", method)).toEqual(["https://a.example", "Origin"]);
      expect(await asked("https://a.example.evil", method)).toEqual([null, "Origin"]);
      expect(await asked("null", method)).toEqual([null, "Origin"]);
    }
    expect(await asked(undefined)).toEqual([null, "Origin"]);
    expect(fixture.server.command("remove-origin", "acme", "https://a.example").status).toBe(0);
    expect(await asked("https://b.example")).toEqual(["*", null]);
  });

  test("a deleted project's tokens are worth nothing; its streams stay", async () => {
    const token = bearer(await sign(other, { sub: "other" }));
    await call(url("other/kept"), "PUT", { headers: { ...text, ...token }, body: "kept" });
    expect(fixture.server.command("delete-project", "other").status).toBe(0);
    expect((await call(url("other/kept"), "GET", { headers: token })).status).toBe(401);
    const again = fixture.server.command("create-project", "other").out;
    expect((await call(url("other/kept"), "GET", { headers: bearer(await sign(again, { sub: "other" })) })).text).toBe("kept");
  });

  test("no secret is in the log", () => {
    for (const word of [secret, other]) expect(fixture.server.log).not.toContain(word);
    expect(fixture.server.log).not.toMatch(/eyJ/);
  });
});

describe.skipIf(!OWNED)("tokens as identity providers make them", () => {
  const settings = { "auth.mode": "jwt", "auth.failures": 0, "auth.audience": "streams other", "auth.issuer": "https://id.example/" };
  const fixture = useServer({ settings });
  const url = (name) => `${fixture.server.url}/v1/stream/${name}`;
  const named = { aud: ["x", "streams"], iss: "https://id.example/" };
  let secret, pair;

  beforeAll(async () => {
    secret = fixture.server.command("create-project", "acme").out;
    pair = await generateKeyPair("ES256", { extractable: true });
    const body = JSON.stringify({ signingSecrets: [secret], jwks: { keys: [await exportJWK(pair.publicKey)] } });
    const headers = bearer(await sign(secret, { scope: "manage" }));
    expect((await call(`${fixture.server.url}/v1/config/acme`, "PUT", { headers, body })).status).toBe(200);
    expect((await call(url("acme/s"), "PUT", { headers: { ...text, ...bearer(await sign(secret)) } })).status).toBe(201);
  });

  const foreign = (claims, head = {}) =>
    new SignJWT({ sub: "acme", scope: "read", exp: now() + 60, ...claims }).setProtectedHeader({ alg: "ES256", ...head }).sign(pair.privateKey);
  const get = (token) => call(url("acme/s"), "GET", { headers: bearer(token) });

  test("are taken", async () => {
    const tokens = [
      await sign(secret),
      await sign(secret, named),
      await foreign(named),
      await foreign({ ...named, exp: now() + 60.5, nbf: now() - 0.25, iat: now() - 0.125 }),
      await foreign(named, { typ: "at+jwt", kid: "unknown" }),
      await foreign({ ...named, scope: "openid profile read offline_access" }),
      await foreign({ ...named, groups: Array(110).fill("g".repeat(30)) }),
    ];
    for (const [i, token] of tokens.entries()) expect([i, (await get(token)).status]).toEqual([i, 200]);
    const encoded = tokens[0].replaceAll(".", "%2E");
    const basic = { authorization: "Basic dTpw" };
    expect((await call(`${url("acme/s")}?token=${encoded}`, "GET", { headers: basic })).status).toBe(200);
    expect((await call(url("acme/s"), "GET", { headers: { authorization: `bearer   ${tokens[0]}` } })).status).toBe(200);
  });

  test("a refusal says why, in its text and in WWW-Authenticate", async () => {
    const stranger = "s".repeat(32);
    const cases = [
      ["x", /malformed/],
      [await sign(stranger), /no key of this project verifies/],
      [await sign(stranger, { sub: "other" }), /for another project/],
      [await sign(secret, { exp: now() - 1 }), /has expired/],
      [await sign(secret, { exp: "soon" }), /seconds since 1970/],
      [await sign(secret, { nbf: now() + 1800 }), /not valid yet/],
      [await sign(secret, { aud: "billing" }), /aud .*auth\.audience/],
      [await sign(secret, { iss: "https://elsewhere.example/" }), /iss .*auth\.issuer/],
      [await sign(secret, { scope: "root" }), /read, write or manage/],
      [await foreign({ iss: named.iss }), /aud/],
      [await foreign({ aud: named.aud }), /iss/],
      [await foreign(named, { typ: "dpop+jwt" }), /typ/],
      [new UnsecuredJWT({ sub: "acme" }).encode(), /alg/],
    ];
    for (const [token, why] of cases)
      for (const name of ["acme/s", "acme/none"]) {
        const answer = await call(url(name), "GET", { headers: bearer(token) });
        const challenge = answer.headers.get("www-authenticate");
        expect([answer.status, answer.json().code, answer.json().error]).toEqual([401, "UNAUTHORIZED", expect.stringMatching(why)]);
        expect(challenge).toBe(`Bearer realm="streamd", error="invalid_token", error_description="${answer.json().error}"`);
      }
    const missing = await call(url("acme/s"));
    expect([missing.status, missing.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="streamd"']);
    expect(missing.json().error).toMatch(/no token came/);
    for (const authorization of ["Basic dTpw", await sign(secret)]) {
      const other = await call(url("acme/s"), "GET", { headers: { authorization } });
      expect([other.status, other.headers.get("www-authenticate"), other.json().error]).toEqual([401, 'Bearer realm="streamd"', "Authorization came, but not as Bearer and a token: send Authorization: Bearer TOKEN"]);
    }
    const all = await call(`${fixture.server.url}/v1/streams`, "GET", { headers: bearer(await sign(secret, { scope: "manage" })) });
    expect([all.status, all.headers.get("www-authenticate"), all.json().error]).toEqual([403, null, expect.stringMatching(/no token opens it.*\/v1\/streams\/\{project\}$/)]);
    expect((await call(`${fixture.server.url}/v1/streams`)).status).toBe(401);
    const weak = await call(url("acme/s"), "DELETE", { headers: bearer(await sign(secret)) });
    expect([weak.status, weak.json().error]).toEqual([403, "the token's scope is not enough; this needs manage"]);
    expect(weak.headers.get("www-authenticate")).toMatch(/error="insufficient_scope".*scope="manage"$/);
  });

  test("nobody learns from a refusal which projects there are", async () => {
    for (const token of [await sign("s".repeat(32), { sub: "nobody" }), await sign(secret, { sub: "nobody" }), "x"]) {
      const answers = [];
      for (const name of ["acme/s", "nobody/s"]) answers.push(await call(url(name), "POST", { headers: { ...text, ...bearer(token) }, body: "x" }));
      expect(answers[1].status).toBe(401);
      expect(answers[1].json().error).toMatch(/no key of this project|malformed/);
    }
  });
});

describe.skipIf(!OWNED)("a configuration that is read again", () => {
  const settings = { "auth.mode": "jwt", "auth.cookie": "session", "live.sse_lifetime": "1h" };
  let server, secret;
  const configure = (text) => writeFileSync(server.configFile, text);
  const reload = async (text) => {
    const before = server.log.length;
    configure(text);
    server.signal("SIGHUP");
    await until("the reload", () => /config/.test(server.log.slice(before)));
  };
  const url = () => `${server.url}/v1/stream/acme/s`;
  async function follow(headers) {
    const reader = new EventReader(`${url()}?offset=now&live=sse`, headers);
    await until("the reader to be up to date", () => reader.events.length);
    return reader;
  }

  beforeAll(async () => {
    server = new Server({ settings });
    server.configFile = join(server.folder, "streamd.ini");
    configure("[auth]\naudience = streams\n[cors]\norigins = https://app.example\n");
    await server.start();
    secret = server.command("create-project", "acme").out;
    const headers = { ...text, ...bearer(await sign(secret)) };
    expect((await call(url(), "PUT", { headers, query: {} })).status).toBe(201);
  });
  afterAll(() => server?.close());

  test("ends the readers whose tokens are for another audience, and refuses those", async () => {
    const token = bearer(await sign(secret, { aud: "streams" }));
    const reader = await follow(token);
    await reload("[auth]\naudience = others\n[cors]\norigins = https://app.example\n");
    await until("the reader to be ended", () => reader.ended);
    expect(reader.ended).toBe("clean");
    expect((await call(url(), "GET", { headers: token })).status).toBe(401);
    await reload("[auth]\naudience = streams\n[cors]\norigins = https://app.example\n");
    expect((await call(url(), "GET", { headers: token })).status).toBe(200);
  });

  test("ends the readers of pages that are listed no more, and their cookies do not count", async () => {
    const headers = { cookie: `session=${await sign(secret)}`, origin: "https://app.example" };
    const [page, other] = [await follow(headers), await follow(bearer(await sign(secret)))];
    await reload("[auth]\naudience = streams\n[cors]\norigins = https://other.example\n");
    await until("the reader to be ended", () => page.ended);
    expect((await call(url(), "GET", { headers })).status).toBe(403);
    server.command("add-origin", "acme", "https://app.example");
    const again = await follow(headers);
    server.command("remove-origin", "acme", "https://app.example");
    await until("the reader to be ended", () => again.ended);
    expect(other.ended).toBe(null);
    other.close();
  });
});

describe.skipIf(!OWNED)("public streams", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt", "auth.cookie": "session", "auth.failures": 100 } });
  const url = (name) => `${fixture.server.url}/v1/stream/${name}`;

  test("stay public, whatever stale credential comes along", async () => {
    const secret = fixture.server.command("create-project", "acme").out;
    const other = fixture.server.command("create-project", "other").out;
    const headers = { ...text, ...bearer(await sign(secret)) };
    for (const [name, query] of [["open", { public: "true" }], ["closed", {}]])
      expect((await call(url(`acme/${name}`), "PUT", { headers, query, body: "x" })).status).toBe(201);
    const stale = {
      expired: [await sign(secret, { exp: now() - 1 }), 401],
      "not yet valid": [await sign(secret, { nbf: now() + 600 }), 401],
      "another project's": [await sign(other, { sub: "other" }), 401],
      "for another stream": [await sign(secret, { stream_id: "mine" }), 403],
      garbage: ["x", 401],
      empty: ["", 401],
    };
    for (const [what, [token, refusal]] of Object.entries(stale))
      for (const way of [{ headers: { cookie: `session=${token}` } }, { query: { token } }, { headers: bearer(token) }]) {
        const ask = async (method, name, query = {}) =>
          (await call(url(name), method, { ...way, query: { ...way.query, ...query } })).status;
        expect([what, await ask("GET", "acme/open")]).toEqual([what, 200]);
        expect([what, await ask("HEAD", "acme/open")]).toEqual([what, 200]);
        expect([what, await ask("GET", "acme/open", { offset: "-1", live: "long-poll" })]).toEqual([what, 200]);
        expect([what, await ask("GET", "acme/closed")]).toEqual([what, refusal]);
        expect([what, await ask("HEAD", "acme/none")]).toEqual([what, refusal]);
        expect([what, await ask("DELETE", "acme/open")]).toEqual([what, refusal]);
      }
    const reader = new EventReader(`${url("acme/open")}?offset=-1&live=sse&token=${stale.expired[0]}`);
    await until("the event", () => reader.data.length);
    reader.close();
    fixture.server.command("add-origin", "acme", "https://app.example");
    const page = { origin: "https://evil.example", cookie: `session=${await sign(secret)}` };
    expect((await call(url("acme/open"), "GET", { headers: page })).status).toBe(200);
    expect((await call(url("acme/closed"), "GET", { headers: page })).status).toBe(403);
  });

  test("are read by whoever has sent too many wrong tokens", async () => {
    let limited = 0;
    for (let i = 0; i < 150; i++) {
      expect((await call(url("acme/open"), "GET", { headers: bearer(`a.b.${i}`) })).status).toBe(200);
      limited += (await call(url("acme/closed"), "GET", { headers: bearer(`c.d.${i}`) })).status === 429;
    }
    expect(limited).toBeGreaterThan(0);
  });

  test("the same wrong token again counts once", async () => {
    const server = await Server.start({ settings: { "auth.mode": "jwt", "auth.failures": 5 } });
    const secret = server.command("create-project", "acme").out;
    const get = async (token) => (await call(`${server.url}/v1/stream/acme/s`, "GET", { headers: bearer(token) })).status;
    const early = await sign(secret, { nbf: now() + 1800 }), soon = await sign(secret, { nbf: now() + 3 });
    for (const token of ["a.b.c", early, soon]) for (let i = 0; i < 20; i++) expect([token, await get(token)]).not.toEqual([token, 429]);
    expect([await get("a.b.c"), await get(early)]).toEqual([401, 401]);
    expect(await get(await sign(secret))).toBe(404);
    await until("the token's nbf", async () => (await get(soon)) === 404);
    await server.close();
  });
});

describe.skipIf(!OWNED)("cookies", () => {
  const settings = { "auth.mode": "jwt", "auth.cookie": "session", "cors.origins": "https://app.example" };
  const fixture = useServer({ settings });
  const open = useServer({ settings: { ...settings, "cors.origins": "*" } });
  const made = new Map();

  // What a page of this origin may have its visitor's browser do.
  async function ask(server, headers, method = "POST", path = "/v1/stream/acme/notes", body = undefined) {
    if (!made.has(server)) {
      const secret = server.command("create-project", "acme").out;
      made.set(server, await sign(secret, { scope: "manage" }));
      for (const name of ["notes", "source"])
        await call(`${server.url}/v1/stream/acme/${name}`, "PUT", { headers: { ...text, ...bearer(made.get(server)) } });
      await call(`${server.url}/v1/estuary/subscribe/acme/source`, "POST", { headers: bearer(made.get(server)), body: '{"estuaryId":"there"}' });
    }
    const all = { ...text, cookie: `session=${made.get(server)}`, ...headers };
    return call(server.url + path, method, { headers: all, body: body ?? (method === "POST" ? "x" : undefined) });
  }

  const evil = { origin: "https://evil.example", "sec-fetch-site": "cross-site" };

  test("count for pages of listed origins and of the server itself, and where no browser is", async () => {
    const own = fixture.server.url;
    const good = [{ origin: "https://app.example", "sec-fetch-site": "cross-site" }, { origin: "https://app.example" }, { origin: own, "sec-fetch-site": "same-origin" }, { origin: own }, { "sec-fetch-site": "same-origin" }, { "sec-fetch-site": "none" }, {}];
    for (const headers of good) expect([headers, (await ask(fixture.server, headers)).status]).toEqual([headers, 204]);
    const bad = [evil, { origin: "https://evil.example" }, { origin: "null" }, { origin: "" }, { "sec-fetch-site": "cross-site" }, { "sec-fetch-site": "same-site" }, { origin: own.replace(/\d+$/, "1") }, { origin: own, "sec-fetch-site": "same-site" }, { origin: "https://app.example:8443" }, { origin: "https://APP.example" }];
    for (const headers of bad) {
      const answer = await ask(fixture.server, headers);
      expect([headers, answer.status, answer.json().error]).toEqual([headers, 403, expect.stringMatching(/a cookie does not count/)]);
    }
  });

  test("* lists no origin", async () => {
    expect((await ask(open.server, evil)).status).toBe(403);
    expect((await ask(open.server, {})).status).toBe(204);
    const read = await ask(open.server, { origin: "https://app.example" }, "GET");
    expect([read.status, read.headers.get("access-control-allow-credentials")]).toEqual([403, null]);
    const preflight = await ask(open.server, { origin: "https://app.example" }, "OPTIONS");
    expect(preflight.headers.get("access-control-allow-credentials")).toBe(null);
  });

  test("of other pages change nothing, whatever the route and the type of the body", async () => {
    const requests = [
      ["PUT", "/v1/stream/acme/made"],
      ["POST", "/v1/stream/acme/notes", "x"],
      ["DELETE", "/v1/stream/acme/notes"],
      ["POST", "/v1/estuary/subscribe/acme/source", '{"estuaryId":"mine"}'],
      ["DELETE", "/v1/estuary/subscribe/acme/source", '{"estuaryId":"there"}'],
      ["POST", "/v1/estuary/subscribe/acme", '{"estuaryId":"mine","streams":["source"]}'],
      ["POST", "/v1/estuary/acme/there/touch"],
      ["DELETE", "/v1/estuary/acme/there"],
      ["PUT", "/v1/config/acme", "{}"],
    ];
    for (const [method, path, body] of requests)
      expect([method, path, (await ask(fixture.server, evil, method, path, body)).status]).toEqual([method, path, 403]);
    for (const path of ["/v1/config/acme", "/v1/streams/acme", "/v1/stream/acme/notes", "/v1/estuary/acme/there"])
      expect([path, (await ask(fixture.server, evil, "GET", path)).status]).toEqual([path, 403]);
    const token = bearer(made.get(fixture.server));
    expect((await ask(fixture.server, { ...evil, ...token })).status).toBe(204); // it knows a token: nothing to forge
  });

  test("a page of a listed origin may send them and see the answer", async () => {
    const headers = { origin: "https://app.example" };
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const answer = await ask(fixture.server, headers, method);
      const names = ["access-control-allow-origin", "access-control-allow-credentials", "vary"];
      expect(names.map((name) => answer.headers.get(name))).toEqual(["https://app.example", "true", expect.stringMatching(/Origin/)]);
    }
  });
});

describe.skipIf(!OWNED)("projects of a server that checks no tokens", () => {
  const fixture = useServer();

  test("have no configuration, and every route for it says why", async () => {
    fixture.server.command("create-project", "acme");
    const body = JSON.stringify({ signingSecrets: ["x".repeat(32)] });
    for (const [method, path] of [["GET", "config"], ["PUT", "config"], ["GET", "usage"]]) {
      const answer = await call(`${fixture.server.url}/v1/${path}/acme`, method, method === "PUT" ? { body } : {});
      const { code, error } = answer.json();
      expect([path, answer.status, code, error]).toEqual([path, 404, "PROJECT_NOT_FOUND", expect.stringMatching(/jwt only; this server has auth.mode = none$/)]);
    }
  });
});

describe.skipIf(!OWNED)("preflights", () => {
  const fixture = useServer();
  const allowed = async (names) => {
    const headers = { origin: "https://app.example", "access-control-request-method": "GET", ...(names ? { "access-control-request-headers": names } : {}) };
    const answer = await call(`${fixture.server.url}/v1/stream/p/s`, "OPTIONS", { headers });
    expect(answer.status).toBe(204);
    return answer.headers.get("access-control-allow-headers").toLowerCase().split(/\s*,\s*/);
  };

  test("allow whatever header a page has", async () => {
    expect(await allowed("baggage,traceparent,x-my-own")).toEqual(expect.arrayContaining(["baggage", "traceparent", "x-my-own", "authorization", "producer-id"]));
    expect(await allowed("a, b")).toEqual(expect.arrayContaining(["a", "b"]));
    expect(await allowed()).toContain("content-type");
    expect(await allowed('"quoted"')).not.toContain('"quoted"');
  });
});

describe.skipIf(!OWNED)("clocks that differ", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt", "auth.leeway": "10s" } });

  test("a token counts for auth.leeway after its exp, and no longer", async () => {
    const secret = fixture.server.command("create-project", "acme").out;
    const put = async (exp) => {
      const headers = { ...text, ...bearer(await sign(secret, { exp })) };
      return (await call(`${fixture.server.url}/v1/stream/acme/s`, "PUT", { headers })).status;
    };
    expect(await put(now() - 5)).toBe(201);
    expect(await put(now() - 10)).toBe(401);
    expect(await put(now() - 60)).toBe(401);
  });
});

describe.skipIf(!OWNED)("wrong tokens", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt", "auth.failures": 20 } });

  test("of one address are limited; those that are right and known go on", async () => {
    const secret = fixture.server.command("create-project", "acme").out;
    const url = `${fixture.server.url}/v1/stream/acme/s`;
    const good = bearer(await sign(secret));
    expect((await call(url, "PUT", { headers: { ...text, ...good } })).status).toBe(201);
    await sleep(1500); // whatever was known before the new project is heard of is forgotten then
    expect((await call(url, "GET", { headers: good })).status).toBe(200);
    const statuses = [];
    const minute = () => Math.floor(Date.now() / 60_000);
    for (let began; began !== minute(); ) {
      began = minute();
      for (let i = 0; i < 30; i++) statuses.push((await call(url, "GET", { headers: bearer(`a.b.${statuses.length}`) })).status);
    }
    expect(statuses.slice(0, 20)).toEqual(Array(20).fill(401));
    expect(statuses.slice(-10)).toEqual(Array(10).fill(429));
    expect((await call(url, "GET", { headers: good })).status).toBe(200);
    expect((await call(url)).status).toBe(401);
  });

  test("a large body without a token is refused before it has arrived", async () => {
    const socket = connect(fixture.server.port, "127.0.0.1");
    socket.write("POST /v1/stream/acme/s HTTP/1.1\r\nHost: h\r\nContent-Type: text/plain\r\nContent-Length: 5000000\r\n\r\n");
    const answer = await new Promise((resolve) => socket.once("data", (data) => resolve(data.toString())));
    expect(answer).toMatch(/^HTTP\/1.1 401 /);
    socket.destroy();
  });
});

describe.skipIf(!OWNED)("every route", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt" } });

  test("has a row that says what it needs, and needs it", async () => {
    const rows = routes().flatMap(({ paths, methods }) =>
      paths.flatMap((path) => methods.map(({ method, scope }) => [path, method, scope])),
    );
    expect(routes().flatMap(({ methods }) => methods).length).toBe(source("common/routes.def").match(/^ +ON\(/gm).length);
    for (const [path, method, scope] of rows) {
      const url = fixture.server.url + path.replace("{project}", "p").replace(/{\w+}/, "s");
      const { status } = await call(url, method, { headers: text });
      expect([path, method, status]).toEqual([path, method, scope === "NONE" ? 200 : 401]);
    }
  });

  test("_default is a project like any other", async () => {
    const secret = fixture.server.command("create-project", "_default").out;
    const headers = { ...text, ...bearer(await sign(secret, { sub: "_default" })) };
    expect((await call(`${fixture.server.url}/v1/stream/plain`, "PUT", { headers })).status).toBe(201);
    expect((await call(`${fixture.server.url}/v1/stream/plain`)).status).toBe(401);
  });
});

describe.skipIf(!OWNED)("origins of the server", () => {
  const fixture = useServer({ settings: { "cors.origins": "https://a.example https://b.example" } });

  test("are all that may read", async () => {
    const asked = async (origin, path = "/v1/stream/p/s") =>
      (await call(fixture.server.url + path, "GET", { headers: { origin } })).headers.get("access-control-allow-origin");
    expect(await asked("https://b.example")).toBe("https://b.example");
    expect(await asked("https://c.example")).toBe(null);
    expect(await asked("https://a.example", "/health")).toBe("https://a.example");
    expect(await asked("https://c.example", "/nothing")).toBe(null);
    await sleep(0);
  });

  test("the commands work on a data folder that is not there yet", () => {
    const made = fixture.server.command("--set", `server.data_dir=${fixture.server.folder}/fresh`, "create-project", "p");
    expect(made.out).toMatch(/^[0-9a-f]{64}$/);
  });
});
