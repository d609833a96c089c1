// scripts/openapi.yaml is valid, has what the server's tables have, and describes what a running server answers: every
// described status of every operation is provoked, but those that are listed here, and nothing else is answered.

import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

import { SignJWT } from "jose";
import { describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Connection } from "../lib/http.mjs";
import { Description, ask, requestBytes, routes, source, targetOf, validate } from "../lib/openapi.mjs";
import { OWNED } from "../lib/server.mjs";
import { START } from "../lib/streams.mjs";
import { sleep, until } from "../lib/wait.mjs";

const api = new Description();

// "operation status": why it is not provoked here.
const UNPROVOKED = {
  "putConfig 500": "needs a registry that cannot be written",
  ...Object.fromEntries(
    ["deleteStream", "deleteStreamOfDefault", "unsubscribe", "deleteEstuary", "touchEstuary"].map((id) => [
      `${id} 507`,
      "needs a disk that takes nothing at all",
    ]),
  ),
};

describe("the description", () => {
  test("is valid OpenAPI", async () => {
    expect(await validate()).toEqual([]);
  });

  test("has schemas that can be used", () => {
    expect(() => api.compile()).not.toThrow();
  });

  test("has examples that are as their schemas say", () => {
    const wrong = [];
    const look = (pointer, node) => {
      if (typeof node !== "object" || node === null) return;
      const examples = Object.values(node.examples ?? {}).map((one) => one.value ?? one);
      if (node.schema)
        for (const value of "example" in node ? [node.example] : examples) {
          const why = api.mismatch(`${pointer}/schema`, value);
          if (why) wrong.push(`${pointer}: ${why}`);
        }
      for (const [key, value] of Object.entries(node))
        look(`${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`, value);
    };
    look("#", api.document);
    expect(wrong).toEqual([]);
  });

  test("has the rows of common/routes.def, with paths, scopes and ids, and no others", () => {
    const table = routes().flatMap(({ id, paths, methods }) =>
      paths.flatMap((path, i) =>
        methods.map(({ method, scope, ids }) => `${path} ${id} ${method} ${scope} ${ids[i]} of ${ids.length}`),
      ),
    );
    const counts = Object.fromEntries(routes().map(({ id, paths }) => [id, paths.length]));
    const described = api.operations.map(
      ({ path, route, method, scope, id }) => `${path} ${route} ${method} ${scope} ${id} of ${counts[route]}`,
    );
    expect(described.sort()).toEqual(table.sort());
  });

  test("asks for tokens where the table does", () => {
    for (const { pointer, route, scope } of api.operations) {
      const security = api.node(`${pointer}/security`) ?? api.document.security;
      const open = scope === "NONE" || (route === "STREAM" && scope === "READ");
      expect([pointer, security.length === 0 || security.some((one) => !Object.keys(one).length)]).toEqual([
        pointer,
        open,
      ]);
    }
  });

  test("has the codes of common/errors.def, with their statuses, and no others", () => {
    const table = [...source("common/errors.def").matchAll(/^X\((\w+), (\d+), /gm)]
      .filter(([, code]) => code !== "NONE")
      .map(([, code, status]) => `${status} ${code}`);
    const schemas = Object.entries(api.document.components.schemas).filter(([name]) => /^Error\d+$/.test(name));
    const described = schemas.flatMap(([name, schema]) =>
      schema.properties.code.enum.map((code) => `${name.slice("Error".length)} ${code}`),
    );
    expect(described.sort()).toEqual(table.sort());
    const used = api.operations.flatMap((operation) =>
      operation.statuses
        .filter((status) => status >= 400)
        .flatMap((status) => api.codes(operation, status).map((code) => `${status} ${code}`)),
    );
    expect([...new Set([...used, "405 METHOD_NOT_ALLOWED"])].sort()).toEqual(described);
  });
});

const TYPE = { "Content-Type": "text/plain" };
const JSON_TYPE = { "Content-Type": "application/json" };
const provoked = new Set();

const projectOf = ({ path }) => (path.includes("{project}") ? "demo" : "_default");

// Requests to one server. Every answer is held against the description.
class Walk {
  #serial = 0;

  constructor(server, tokens) {
    Object.assign(this, { server, tokens });
  }

  fresh(about = "s") {
    return `${about}-${++this.#serial}`;
  }

  // Headers of a request to a project. token: another one than that for everything.
  #headers(project, { token = this.tokens?.[project], headers }) {
    return { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...headers };
  }

  // One request of an operation, whose answer must be as described and of this status, if one is given.
  async ask(id, values = {}, options = {}, expected) {
    const operation = api.operation(id);
    const target = targetOf(operation, values, options.query);
    const headers = this.#headers(projectOf(operation), options);
    const answer = await ask(this.server.url, operation.method, target, { ...options, headers });
    const { status, reason, text } = answer;
    const seen = { request: `${id} ${target}`, status, reason, complaints: api.complaints(operation, answer), text };
    const right = { status: expected ?? status, reason: expect.stringMatching(/^[A-Z]/), complaints: [] };
    expect(seen).toEqual({ ...seen, ...right });
    provoked.add(`${id} ${status}`);
    return answer;
  }

  // The same about a stream of a project; of _default without naming it, if that is "".
  stream(id, project, stream, options, expected) {
    return project
      ? this.ask(id, { project, stream }, options, expected)
      : this.ask(`${id}OfDefault`, { stream }, options, expected);
  }

  // A subscription of an estuary.
  subscribe(stream, body, expected) {
    return this.ask("subscribe", { project: "demo", stream }, { body }, expected);
  }
}

// Something that each path can be filled with.
const VALUES = { project: "demo", stream: "there", estuary: "estuary" };

const SETTINGS = {
  "limits.body_timeout": "1s",
  "limits.max_header": "2K",
  "limits.max_body": "2M",
  "router.body_memory": "1M",
  "live.long_poll_timeout": "100ms",
};

// What HTTP refuses of any operation.
const REFUSED = {
  400: { host: "" },
  408: { lines: ["Content-Length: 5"] },
  413: { lines: ["Content-Length: 3000000"] },
  417: { lines: ["Expect: wonders"] },
  431: { lines: [`X: ${"x".repeat(3000)}`] },
  501: { lines: ["Transfer-Encoding: gzip"] },
  505: { version: "HTTP/2.0" },
};

function everyOperation(walk, operations = api.operations) {
  test("what HTTP refuses", async () => {
    for (const [status, request] of Object.entries(REFUSED))
      await Promise.all(operations.map(({ id }) => walk().ask(id, VALUES, request, Number(status))));
  });

  test("bodies with a coding, and conditions", async () => {
    for (const { id, method } of operations) {
      const changes = ["POST", "PUT", "DELETE"].includes(method);
      if (changes) await walk().ask(id, VALUES, { headers: { "Content-Encoding": "gzip" }, body: "x" }, 415);
      const answer = await walk().ask(id, VALUES, { headers: { "If-Unmodified-Since": "x" } }, 400);
      if (method !== "HEAD") expect(answer.json().code).toBe("CONDITION_NOT_SUPPORTED");
    }
  });

  // Of other operations nothing looks at the body.
  test("bodies that there is no memory for", async () => {
    for (const { id, scope } of operations)
      if (["WRITE", "MANAGE"].includes(scope)) await walk().ask(id, VALUES, { body: "x".repeat(1_500_000) }, 503);
  });

  test("methods that a path does not have", async () => {
    for (const path of Object.keys(api.document.paths)) {
      const answer = await ask(walk().server.url, "PATCH", targetOf({ path }, VALUES));
      const allowed = api.operations.filter((one) => one.path === path).map(({ method }) => method);
      expect(api.judge("#/x-other-methods/405", answer)).toEqual([]);
      expect(answer.headers.allow.split(", ").sort()).toEqual([...allowed, "OPTIONS"].sort());
    }
  });
}

function streams(walk, project) {
  const on = (id, stream, options, expected) => walk().stream(id, project, stream, options, expected);
  const fresh = async (about, options = { headers: TYPE }) => {
    const name = walk().fresh(about);
    await on("createStream", name, options, 201);
    return name;
  };
  const path = (name) => `/v1/stream/${project ? `${project}/` : ""}${name}`;
  const fork = (name, headers) => ({ headers: { "Stream-Forked-From": path(name), ...headers } });

  test("the server itself", async () => {
    const { routes } = (await walk().ask("root", {}, {}, 200)).json();
    expect([...routes, "/"].sort()).toEqual(Object.keys(api.document.paths).sort());
    await walk().ask("rootHead", {}, {}, 200);
    await walk().ask("health", {}, {}, 200);
    await walk().ask("healthHead", {}, {}, 200);
    await walk().ask("metrics", {}, {}, 200);
    await walk().ask("metricsHead", {}, {}, 200);
  });

  test("create", async () => {
    const limits = { "Stream-TTL": "60", "Stream-Retention-Seconds": "60", "Stream-Retention-Bytes": "1000" };
    const name = await fresh("create", { headers: { ...TYPE, ...limits }, body: "first" });
    await on("createStream", name, { headers: { ...TYPE, ...limits } }, 200);
    await on("createStream", name, { headers: JSON_TYPE }, 409);
    const expires = { headers: { ...JSON_TYPE, "Stream-Expires-At": "2099-01-01T00:00:00Z", "Stream-Closed": "true" } };
    await fresh("expires", expires);
    await fresh("public", { query: { public: "true" } });
    for (const [header, value] of [
      ["Stream-TTL", "01"],
      ["Stream-Expires-At", "soon"],
      ["Stream-Retention-Bytes", "0"],
      ["Stream-Fork-Offset", "0"],
    ])
      await on("createStream", walk().fresh(), { headers: { [header]: value } }, 400);
    await on("createStream", walk().fresh(), { headers: JSON_TYPE, body: "{" }, 400);
    await on("createStream", walk().fresh("fork"), fork(name), 201);
    await on("createStream", walk().fresh("fork"), fork("nobody"), 404);
    await on("createStream", "a/b c%", { headers: TYPE }, 201);
    await on("createStream", "a\u0001", { headers: TYPE }, 400);
  });

  test("append", async () => {
    const name = await fresh("append");
    const headers = (epoch, seq) => ({ ...TYPE, "Producer-Id": "p", "Producer-Epoch": epoch, "Producer-Seq": seq });
    await on("append", name, { headers: { ...TYPE, "Stream-Seq": "b" }, body: "one" }, 204);
    await on("append", name, { headers: { ...TYPE, "Stream-Seq": "a" }, body: "two" }, 409);
    await on("append", name, { headers: headers(1, 0), body: "two" }, 200);
    await on("append", name, { headers: headers(1, 0), body: "two" }, 204);
    await on("append", name, { headers: headers(1, 5), body: "two" }, 409);
    await on("append", name, { headers: headers(0, 0), body: "two" }, 403);
    await on("append", name, { headers: headers(2, 1), body: "two" }, 400);
    await on("append", name, { headers: { ...TYPE, "Producer-Id": "p" }, body: "two" }, 400);
    await on("append", name, { headers: TYPE }, 400);
    await on("append", name, { body: "two" }, 400);
    await on("append", name, { headers: JSON_TYPE, body: "{}" }, 409);
    await on("append", name, { headers: { "Stream-Closed": "true" } }, 204);
    await on("append", name, { headers: TYPE, body: "late" }, 409);
    await on("append", "nobody", { headers: TYPE, body: "x" }, 404);
    const json = await fresh("json", { headers: JSON_TYPE });
    await on("append", json, { headers: JSON_TYPE, body: "[]" }, 400);
    await on("append", json, { headers: JSON_TYPE, body: [{ say: "hello" }, 2] }, 204);
    const incremental = { ...JSON_TYPE, "Stream-Append": "incremental" };
    await on("append", json, { headers: incremental, body: "1\n2" }, 204);
    await on("append", json, { headers: incremental, body: "3\nx" }, 400);
    await on("append", json, { headers: { ...incremental, "Producer-Id": "p" }, body: "1" }, 400);
    await on("append", name, { headers: incremental, body: "1" }, 409);
  });

  test("read", async () => {
    const bodies = { "text/plain": "hello", "application/json": ["hello"], "image/png": "\u0000" };
    for (const [type, body] of Object.entries(bodies)) {
      const name = await fresh("read", { headers: { "Content-Type": type, "Stream-TTL": "60" }, body });
      const page = await on("read", name, { query: { offset: "-1", limit: "1" } }, 200);
      await on("read", name, { headers: { "If-None-Match": page.headers.etag } }, 304);
      await on("read", name, { query: { offset: "now" } }, 200);
      await on("read", name, { query: { offset: "-1", live: "long-poll", cursor: "3" } }, 200);
      await on("read", name, { query: { offset: "now", live: "long-poll" } }, 204);
      await on("append", name, { headers: { "Stream-Closed": "true" } }, 204);
      await on("read", name, { query: { offset: "now", live: "long-poll" } }, 204);
      await on("read", name, { query: { offset: "-1", live: "sse" } }, 200);
      await on("read", name, {}, 200);
      const last = await on("read", name, { query: { tail: "1" } }, 200);
      const before = { query: { before: last.headers["stream-next-offset"], n: "1" } };
      const { etag } = (await on("read", name, before, 200)).headers;
      await on("read", name, { ...before, headers: { "If-None-Match": etag } }, 304);
      await on("read", name, { query: { since: "2020-01-01T00:00:00Z", live: "sse" } }, 200);
      await on("read", name, { query: { since: "4000000000000", live: "long-poll" } }, 204);
    }
    for (const query of [{ offset: "x" }, { offset: "" }, { live: "sse" }, { offset: "-1", live: "x" }, { limit: "0" }, { tail: "-1" }, { before: "0", n: "1" }, { since: "x" }, { tail: "1", since: "1" }])
      await on("read", "there", { query }, 400);
    await on("read", "nobody", {}, 404);
  });

  test("head", async () => {
    const name = await fresh("head", { headers: { ...JSON_TYPE, "Stream-TTL": "60" }, body: [1] });
    await on("describeStream", name, {}, 200);
    await on("describeStream", "nobody", {}, 404);
  });

  test("conditions", async () => {
    const name = await fresh("condition");
    const old = { "Stream-Incarnation": "1" };
    const tail = (await on("describeStream", name, {}, 200)).headers["stream-next-offset"];
    const append = (headers, expected) => on("append", name, { headers: { ...TYPE, ...headers }, body: "x" }, expected);
    for (const id of ["createStream", "append", "read", "describeStream", "deleteStream"]) {
      await on(id, name, { headers: { ...TYPE, ...old }, body: id === "append" ? "x" : undefined }, 412);
      await on(id, name, { headers: { "Stream-Incarnation": "x" } }, 400);
    }
    await on("createStream", walk().fresh(), { headers: { ...TYPE, "If-Match": "*" } }, 412);
    await on("createStream", name, { headers: { ...TYPE, "If-None-Match": "*" } }, 412);
    await on("createStream", name, { headers: { ...TYPE, "If-Match": `"${tail}"` } }, 200);
    await on("describeStream", name, { headers: { "If-None-Match": `"${tail}"` } }, 304);
    await append({ "Stream-Expected-Offset": tail }, 204);
    await append({ "Stream-Expected-Offset": tail }, 409);
    await append({ "Stream-Expected-Offset": "now" }, 400);
    await append({ "If-Match": `"${tail}"` }, 412);
    await append({ "If-Match": "*" }, 400);
    await on("deleteStream", name, { headers: { "If-Match": `"${tail}"` } }, 412);
    await on("deleteStream", name, { headers: { "If-Match": "*" } }, 204);
  });

  test("delete, and what only forks still hold", async () => {
    const name = await fresh("delete");
    await on("createStream", walk().fresh("fork"), fork(name), 201);
    await on("deleteStream", name, {}, 204);
    for (const id of ["read", "describeStream", "deleteStream"]) await on(id, name, {}, 410);
    await on("append", name, { headers: TYPE, body: "x" }, 410);
    await on("createStream", name, { headers: TYPE }, 409);
    await on("createStream", walk().fresh("fork"), fork(name), 409);
    await on("deleteStream", "nobody", {}, 404);
  });
}

function batches(walk) {
  test("batches", async () => {
    const on = (id, stream, options, expected) => walk().stream(id, "demo", stream, options, expected);
    const [text, json, closed, held] = ["text", "json", "closed", "held"].map((name) => walk().fresh(`{batch}/${name}`));
    for (const name of [text, closed, held]) await on("createStream", name, { headers: TYPE }, 201);
    await on("createStream", json, { headers: JSON_TYPE }, 201);
    await on("append", closed, { headers: { "Stream-Closed": "true" } }, 204);
    await on("createStream", walk().fresh("fork"), { headers: { "Stream-Forked-From": `/v1/stream/demo/${held}` } }, 201);
    await on("deleteStream", held, {}, 204);
    await walk().subscribe(json, { estuaryId: walk().fresh("estuary") }, 200);
    const send = (appends, expected) => walk().ask("appendBatch", { project: "demo" }, { body: { appends } }, expected);
    const producer = (seq, epoch = 1) => ({ id: "p", epoch, seq });
    const both = [
      { stream: text, data: "x", contentType: "text/plain", producer: producer(0) },
      { stream: json, data: [{ say: "hello" }, 2] },
    ];
    for (let i = 0; i < 2; i++) await send(both, 200);
    await send([{ stream: json, dataBase64: "WzFd", close: true }], 200);
    await send([], 400);
    await send([{ stream: text, data: 1 }], 400);
    await send([{ stream: text, data: "x", producer: producer(0, 0) }], 403);
    await send([{ stream: text, data: "x" }, { stream: "{batch}/nobody", data: "x" }], 404);
    await send([{ stream: text, data: "x", producer: producer(5) }], 409);
    await send([{ stream: closed, data: "x" }], 409);
    await send([{ stream: held, data: "x" }], 410);
  });
}

function estuaries(walk) {
  const at = (estuary) => ({ project: "demo", estuary });
  const demo = (stream) => ({ project: "demo", stream });

  test("estuaries", async () => {
    const source = walk().fresh("source");
    const gone = walk().fresh("gone");
    const plain = walk().fresh("plain");
    const lone = walk().fresh("lone");
    const types = { [source]: JSON_TYPE, [gone]: JSON_TYPE, [plain]: TYPE, [lone]: TYPE };
    for (const [name, headers] of Object.entries(types)) await walk().ask("createStream", demo(name), { headers }, 201);
    const forked = { headers: { "Stream-Forked-From": `/v1/stream/demo/${gone}` } };
    await walk().ask("createStream", demo(walk().fresh("fork")), forked, 201);
    await walk().ask("deleteStream", demo(gone), {}, 204);

    await walk().subscribe(source, { estuaryId: "alice" }, 200);
    await walk().subscribe(source, { estuaryId: "alice", envelope: true }, 200);
    await walk().subscribe(source, {}, 400);
    await walk().subscribe("nobody", { estuaryId: "alice" }, 404);
    await walk().subscribe(plain, { estuaryId: "alice" }, 409);
    await walk().subscribe(gone, { estuaryId: "alice" }, 410);
    await walk().subscribe("alice", { estuaryId: source }, 409);
    await walk().ask("append", demo(source), { headers: JSON_TYPE, body: [1] }, 204);

    const many = (body, expected) => walk().ask("subscribeMany", { project: "demo" }, { body }, expected);
    await many({ estuaryId: "bob", streams: [source, plain, "nobody"] }, 200);
    await many({ estuaryId: "bob", streams: [] }, 400);
    await many({ estuaryId: plain, streams: [source], contentType: "application/json" }, 409);

    for (const id of ["lookAtEstuary", "touchEstuary"]) {
      await walk().ask(id, at("alice"), {}, 200);
      await walk().ask(id, at("nobody"), {}, 404);
      await walk().ask(id, at("a\x01b"), {}, 400);
    }
    const end = (stream, body, expected) => walk().ask("unsubscribe", demo(stream), { body }, expected);
    await end(source, { estuaryId: "alice" }, 200);
    await end(source, [], 400);
    await end(source, { estuaryId: "nobody" }, 200);
    await walk().ask("unsubscribe", { project: "__ds", stream: source }, { body: {} }, 404);
    await walk().ask("deleteEstuary", at(lone), {}, 404);
    await walk().ask("deleteEstuary", at("bob"), {}, 200);
    await walk().ask("deleteEstuary", at("nobody"), {}, 200);
  });
}

function listings(walk, all) {
  test("listings", async () => {
    const demo = (stream) => ({ project: "demo", stream });
    const list = (query, expected = 200) => walk().ask("listStreams", { project: "demo" }, { query }, expected);
    const show = (stream, expected) => walk().ask("showStream", demo(stream), {}, expected);
    const limits = { "Stream-TTL": "60", "Stream-Retention-Seconds": "60" };
    const name = walk().fresh("listed");
    const forked = { "Stream-Forked-From": `/v1/stream/demo/${name}` };
    const producer = { "Producer-Id": "p", "Producer-Epoch": "0", "Producer-Seq": "0" };
    const expires = { ...TYPE, "Stream-Expires-At": "2099-01-01T00:00:00Z", "Stream-Closed": "true" };
    await walk().ask("createStream", demo(name), { headers: { ...JSON_TYPE, ...limits } }, 201);
    await walk().ask("append", demo(name), { headers: { ...JSON_TYPE, ...producer }, body: [1, 2] }, 200);
    await walk().ask("createStream", demo(`${name}-fork`), { headers: forked }, 201);
    await walk().ask("createStream", demo(`${name} expires`), { headers: expires }, 201);
    await walk().subscribe(name, { estuaryId: `${name}-estuary` }, 200);
    await list();
    const { streams, next } = (await list({ prefix: name, limit: "3" })).json();
    expect([streams.length, next]).toEqual([3, `${name}-estuary`]);
    await list({ after: next });
    for (const query of [{ limit: "0" }, { after: "\u0000" }]) await list(query, 400);
    await walk().ask("listStreams", { project: "a b" }, {}, 400);
    for (const stream of [name, `${name}-fork`, `${name} expires`, `${name}-estuary`]) await show(stream, 200);
    await show("nobody", 404);
    await walk().ask("showStream", { project: "a b", stream: name }, {}, 400);
    if (all) {
      const { streams } = (await walk().ask("listAllStreams", {}, { query: { prefix: `demo/${name}`, limit: "2" } }, 200)).json();
      expect(streams.map((stream) => stream.name)).toEqual([`demo/${name}`, `demo/${name}%20expires`]);
      await walk().ask("listAllStreams", {}, { query: { limit: "0" } }, 400);
    }
    await walk().ask("deleteStream", demo(name), {}, 204);
    await show(name, 410);
  });
}

describe.skipIf(!OWNED)("a server without tokens", () => {
  const fixture = useServer({ settings: SETTINGS });
  let walked;
  const walk = () => (walked ??= new Walk(fixture.server));

  everyOperation(walk);
  describe("streams", () => streams(walk, "demo"));
  describe("streams of _default", () => streams(walk, ""));
  batches(walk);
  estuaries(walk);
  listings(walk, true);

  test("has no projects", async () => {
    for (const id of ["getConfig", "putConfig", "getUsage"])
      await walk().ask(id, { project: "demo" }, { body: {} }, 404);
  });

  test("tells scripts of what is described", async () => {
    const { headers } = await walk().ask("health");
    const list = (text) => text.split(", ").map((name) => name.toLowerCase());
    const exposed = list(headers["access-control-expose-headers"]);
    const described = [...api.headers].map((name) => name.toLowerCase());
    const unexposed = ["allow", "x-accel-buffering", "x-accel-expires"];
    expect(described.filter((name) => !exposed.includes(name)).sort()).toEqual(unexposed);
    const common = Object.keys(api.document["x-common-headers"]).map((name) => name.toLowerCase());
    expect(exposed.filter((name) => !described.includes(name) && !common.includes(name))).toEqual([]);

    const preflight = await ask(walk().server.url, "OPTIONS", "/v1/stream/demo/chat");
    const parameters = api.operations.flatMap((one) => one.parameters).filter((one) => one.in === "header");
    const asked = [...parameters.map(({ name }) => name), "Content-Type", "Authorization", "X-Request-Id"];
    expect(preflight.status).toBe(204);
    expect(list(preflight.headers["access-control-allow-headers"]).sort()).toEqual(
      [...new Set(asked.map((name) => name.toLowerCase()))].sort(),
    );
  });
});

describe.skipIf(!OWNED)("a server with tokens", () => {
  const fixture = useServer({ settings: { ...SETTINGS, "auth.mode": "jwt", "auth.failures": "3" } });
  const secrets = {};
  let walked;
  const walk = () => walked;

  const sign = (project, claims) =>
    new SignJWT({ sub: project, scope: "manage", exp: Math.floor(Date.now() / 1000) + 600, ...claims })
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secrets[project]));
  const scoped = api.operations.filter(({ scope }) => scope !== "NONE");
  const configure = (project, more) => {
    const options = { body: { signingSecrets: [secrets[project]], ...more }, token: walk().tokens[project] };
    return walk().ask("putConfig", { project }, options, 200);
  };

  test("projects", async () => {
    const tokens = {};
    for (const project of ["demo", "_default"]) {
      secrets[project] = fixture.server.command("create-project", project).out;
      tokens[project] = await sign(project);
    }
    walked = new Walk(fixture.server, tokens);
    await configure("demo", {
      corsOrigins: [],
      isPublic: false,
      quotas: { streams: 1000 },
      retention: { seconds: 60 },
    });
    for (const id of ["getConfig", "getUsage"]) await walk().ask(id, { project: "demo" }, {}, 200);
    const { etag } = (await walk().ask("getConfig", { project: "demo" })).headers;
    await walk().ask("getConfig", { project: "demo" }, { headers: { "If-None-Match": etag } }, 304);
    for (const id of ["getConfig", "putConfig"])
      await walk().ask(id, { project: "demo" }, { headers: { "If-Match": '"x"' }, body: { signingSecrets: ["s".repeat(32)] } }, 412);
    await configure("demo");
    await walk().ask("putConfig", { project: "demo" }, { body: { signingSecrets: [] } }, 400);
    for (const id of ["getConfig", "getUsage"]) await walk().ask(id, { project: "a b" }, {}, 400);
  });

  everyOperation(walk, api.operations.filter(({ id }) => id !== "listAllStreams")); // which no token allows
  describe("streams", () => streams(walk, "demo"));
  describe("streams of _default", () => streams(walk, ""));
  batches(walk);
  estuaries(walk);
  listings(walk, false);

  test("no token, and one that does not allow it", async () => {
    for (const operation of scoped) {
      const token = await sign(projectOf(operation), { sub: "another" });
      await walk().ask(operation.id, VALUES, { token: "", body: {} }, 401);
      await walk().ask(operation.id, VALUES, { token, body: {} }, 403);
    }
  });

  test("a reader's key", async () => {
    const made = await walk().ask(
      "createStream",
      { project: "demo", stream: "key" },
      { headers: TYPE, body: "x" },
      201,
    );
    const query = { rk: made.headers["stream-reader-key"] };
    const answer = await walk().ask("read", { project: "demo", stream: "key" }, { query }, 200);
    expect(answer.headers["cache-control"]).toMatch(/^public/);
  });

  test("quotas", async () => {
    await walk().stream("createStream", "", "key", { headers: TYPE }, 201);
    for (const project of ["demo", "_default"])
      await configure(project, { quotas: { streams: 1, bytes: 100_000, appendsPerSecond: 1, liveReaders: 1 } });
    await walk().subscribe("key", { estuaryId: "more" }, 507);
    await walk().ask("subscribeMany", { project: "demo" }, { body: { estuaryId: "more", streams: ["key"] } }, 507);
    const batch = (data, expected) =>
      walk().ask("appendBatch", { project: "demo" }, { body: { appends: [{ stream: "key", data }] } }, expected);
    await batch("x".repeat(200_000), 507);
    await until("too many batches", async () => (await batch("x")).status === 429);
    for (const project of ["demo", ""]) {
      const on = (id, stream, options, expected) => walk().stream(id, project, stream, options, expected);
      await on("createStream", "more", {}, 507);
      await on("append", "key", { headers: TYPE, body: "x".repeat(200_000) }, 507);
      const append = { headers: TYPE, body: "x" };
      await until("too many appends", async () => (await on("append", "key", append)).status === 429);

      const query = { offset: "now", live: "sse" };
      const target = targetOf(api.operation("read"), { project: project || "_default", stream: "key" }, query);
      const headers = { Authorization: `Bearer ${walk().tokens[project || "_default"]}` };
      const reader = await Connection.open(walk().server.url);
      reader.send(requestBytes("GET", target, { headers }));
      await until("a live reader", () => reader.received.includes("event: control"));
      await on("read", "key", { query }, 429);
      reader.destroy();
    }
  });

  test("too many wrong tokens", async () => {
    let wrong = 0; // the same one again is known, and counts once
    for (const { id } of scoped)
      await until("too many of them", async () => {
        const { status, text } = await walk().ask(id, VALUES, { token: `wrong ${wrong++}`, body: {} });
        expect([401, 429]).toContain(status);
        return status === 429 && (!text || JSON.parse(text).code === "RATE_LIMITED");
      });
  });
});

describe.skipIf(!OWNED).each([["demo"], [""]])("history of a stream of project %j", (project) => {
  const fixture = useServer({
    settings: { "shard.count": 1, "segment.max_messages": 10, "segment.max_bytes": "64K", "shard.flush_idle": "20ms" },
    expected: [/segment \S+: /, /has no bytes/],
  });
  let walked;
  const on = (id, stream, options, expected) =>
    (walked ??= new Walk(fixture.server)).stream(id, project, stream, options, expected);
  const fork = (name, headers) => ({
    headers: { "Stream-Forked-From": `/v1/stream/${project || "_default"}/${name}`, ...headers },
  });

  test("has gone", async () => {
    await on("createStream", "gone", { headers: { ...JSON_TYPE, "Stream-Retention-Bytes": "1000" } }, 201);
    for (let i = 0; i < 60; i++) await on("append", "gone", { headers: JSON_TYPE, body: ["x".repeat(500)] }, 204);
    await until("something to go", async () => {
      const { headers } = await on("describeStream", "gone", {}, 200);
      return headers["stream-earliest-offset"] > START;
    });
    const gone = await on("read", "gone", { query: { offset: START } }, 410);
    expect(gone.headers["stream-earliest-offset"] > START).toBe(true);
    await on("createStream", "fork", fork("gone", { "Stream-Fork-Offset": START }), 410);
    await on("deleteStream", "gone", {}, 204);
  });

  // A segment that was opened before its file was removed can still be read: then another stream is tried.
  test("is broken", async () => {
    const folder = join(fixture.server.dataDir, "segments");
    const segments = () => readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".seg"));
    await until("the other test's segments to go", () => !segments().length, 20_000);
    let serial = 0;
    await until("a broken stream", async () => {
      const name = `broken-${++serial}`;
      await on("createStream", name, { headers: { ...JSON_TYPE, "Stream-Closed": "true" }, body: [1, 2, 3] }, 201);
      await until("its segment", () => segments().length);
      await sleep(200); // until the database has forgotten what is in it
      for (const file of segments()) rmSync(join(folder, file));
      const { status } = await on("read", name);
      if (status === 200) return false;
      expect(status).toBe(500);
      return on(
        "createStream",
        "fork",
        fork(name, { "Stream-Fork-Offset": START, "Stream-Fork-Sub-Offset": "1" }),
        500,
      );
    });
  });
});

describe.skipIf(!OWNED)("a shard that is away", () => {
  const fixture = useServer({
    settings: { "shard.count": 1, "router.shard_wait": "100ms", "server.restart_delay": "1m" },
  });

  test("is 503 for those who ask for its streams", async () => {
    const walk = new Walk(fixture.server);
    const ids = ["read", "readOfDefault", "describeStream", "describeStreamOfDefault", "lookAtEstuary", "touchEstuary"];
    process.kill(fixture.server.child("shard", 0).pid, "SIGKILL"); // the next one takes a minute
    await until("the shard to be away", () => !fixture.server.child("shard", 0));
    for (const id of ids) await walk.ask(id, VALUES, {}, 503);
  });
});

describe.skipIf(!OWNED)("metrics", () => {
  const fixture = useServer({ settings: { "metrics.serve": "off" } });

  test("may be for nobody", async () => {
    const walk = new Walk(fixture.server);
    for (const id of ["metrics", "metricsHead"]) await walk.ask(id, {}, {}, 404);
  });
});

describe.skipIf(!OWNED)("all together", () => {
  test("every described status of every operation was provoked, but those that are listed", () => {
    const described = api.operations.flatMap(({ id, statuses }) => statuses.map((status) => `${id} ${status}`));
    const left = described.filter((pair) => !provoked.has(pair));
    console.log(`${described.length - left.length} of ${described.length} described answers were provoked`);
    expect(left.sort()).toEqual(Object.keys(UNPROVOKED).sort());
  });
});
