// nginx as a cache in front of streamd: what it keeps must never reach someone without a token.

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED } from "../lib/server.mjs";
import { call, freshName } from "../lib/streams.mjs";
import { PATIENCE, until } from "../lib/wait.mjs";

const NGINX = ["/usr/sbin/nginx", "/usr/bin/nginx"].find(existsSync);

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const configuration = (folder, port, origin) => `
daemon off; pid ${folder}/pid; error_log stderr warn; worker_processes 1;
${process.getuid() === 0 ? "user root;" : ""}
events { worker_connections 100; }
http {
  access_log off;
  proxy_cache_path ${folder}/cache keys_zone=streams:1m;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass ${origin};
      proxy_http_version 1.1;
      proxy_cache streams;
      add_header X-Cache $upstream_cache_status always;
    }
  }
}`;

describe.skipIf(!OWNED || !NGINX)("a shared cache", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt" } });
  const headers = {};
  let proxy, url;

  beforeAll(async () => {
    const folder = join(fixture.server.folder, "nginx");
    const port = await freePort();
    mkdirSync(folder);
    writeFileSync(join(folder, "nginx.conf"), configuration(folder, port, fixture.server.url));
    proxy = spawn(NGINX, ["-e", "stderr", "-c", join(folder, "nginx.conf")], { stdio: "inherit" });
    url = `http://127.0.0.1:${port}`;
    await until("nginx", () => call(`${url}/health`).then(({ status }) => status === 200, () => false));
    fixture.server.command("create-project", "acme");
    const token = fixture.server.command("token", "--project", "acme", "--scope", "write", "--ttl", "1h").out;
    Object.assign(headers, { authorization: `Bearer ${token}`, "content-type": "text/plain" });
  }, 60_000 * PATIENCE);

  afterAll(() => proxy?.kill());

  const make = async (query) => {
    const path = `/v1/stream/acme/${freshName("proxy")}`;
    const made = await call(fixture.server.url + path, "PUT", { headers, query, body: "content" });
    expect(made.status).toBe(201);
    return { path, rk: made.headers.get("stream-reader-key") };
  };
  const read = async (path, withToken, query) => {
    const answer = await call(url + path, "GET", { headers: withToken ? headers : {}, query });
    return [answer.status, answer.headers.get("x-cache")];
  };

  test("keeps public streams for everybody", async () => {
    const { path } = await make({ public: "true" });
    expect(await read(path, false)).toEqual([200, "MISS"]);
    expect(await read(path, false)).toEqual([200, "HIT"]);
  });

  test("keeps nothing of a private stream that is read with a token only", async () => {
    const { path } = await make();
    expect(await read(path, true)).toEqual([200, "MISS"]);
    expect(await read(path, true)).toEqual([200, "MISS"]);
    expect(await read(path, false)).toEqual([401, "MISS"]);
    expect(await read(path, true, { offset: "now" })).toEqual([200, "MISS"]);
    expect(await read(path, false, { offset: "now" })).toEqual([401, "MISS"]);
  });

  test("shares a private stream among those who know its reader key, and a refusal is not kept", async () => {
    const { path, rk } = await make();
    expect(await read(path, false, { rk })).toEqual([401, "MISS"]);
    expect(await read(path, true, { rk })).toEqual([200, "MISS"]);
    expect(await read(path, true, { rk })).toEqual([200, "HIT"]);
    expect(await read(path, false)).toEqual([401, "MISS"]);
    expect(await read(path, false, { rk: `rk_${"0".repeat(32)}` })).toEqual([401, "MISS"]);
  });
});
