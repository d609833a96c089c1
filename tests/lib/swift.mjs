// A real S3 server for one test file: OpenStack Swift with its s3api, on loopback, in a folder of its own.

import { execFileSync, spawn } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, request as httpRequest } from "node:http";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

import { until } from "./wait.mjs";

const KINDS = ["object", "container", "account"];
const PARTITION_POWER = 4;

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export class Swift {
  static ACCESS_KEY = "test:tester"; // an account and a user, so there is a colon in it
  static SECRET_KEY = "testing";
  static REGION = "us-east-1";

  #children = [];

  constructor(folder = mkdtempSync(join(tmpdir(), "streamd-swift-"))) {
    this.folder = folder;
    this.log = "";
  }

  static async start() {
    const swift = new Swift();
    await swift.#configure();
    await swift.resume();
    return swift;
  }

  async #configure() {
    const { folder } = this;
    this.ports = Object.fromEntries(
      await Promise.all([...KINDS, "proxy", "memcached"].map(async (name) => [name, await freePort()])),
    );
    mkdirSync(join(folder, "disks", "d"), { recursive: true });
    const common = (port) =>
      `[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = ${port}\nswift_dir = ${folder}\nworkers = 0\n` +
      `user = ${userInfo().username}\nlog_level = WARNING\n`;
    writeFileSync(
      join(folder, "swift.conf"),
      "[swift-hash]\nswift_hash_path_prefix = streamd\nswift_hash_path_suffix = streamd\n" +
        "[storage-policy:0]\nname = one\ndefault = yes\n",
    );
    for (const kind of KINDS) {
      writeFileSync(
        join(folder, `${kind}.conf`),
        `${common(this.ports[kind])}devices = ${join(folder, "disks")}\nmount_check = false\n` +
          `[pipeline:main]\npipeline = ${kind}-server\n[app:${kind}-server]\nuse = egg:swift#${kind}\n`,
      );
      const ring = (...words) =>
        execFileSync("swift-ring-builder", [join(folder, `${kind}.builder`), ...words.map(String)], { cwd: folder });
      ring("create", PARTITION_POWER, 1, 0);
      ring("add", `r1z1-127.0.0.1:${this.ports[kind]}/d`, 1);
      ring("rebalance");
    }
    writeFileSync(
      join(folder, "proxy.conf"),
      `${common(this.ports.proxy)}[pipeline:main]\n` +
        "pipeline = catch_errors cache s3api tempauth copy dlo slo proxy-server\n" +
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\nerror_suppression_interval = 0\n" +
        "[filter:catch_errors]\nuse = egg:swift#catch_errors\n" +
        `[filter:cache]\nuse = egg:swift#memcache\nmemcache_servers = 127.0.0.1:${this.ports.memcached}\n` +
        `[filter:s3api]\nuse = egg:swift#s3api\nlocation = ${Swift.REGION}\nstorage_domain = localhost\n` +
        `[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = ${Swift.SECRET_KEY} .admin\n` +
        "[filter:copy]\nuse = egg:swift#copy\n[filter:dlo]\nuse = egg:swift#dlo\n[filter:slo]\nuse = egg:swift#slo\n",
    );
    this.url = `http://127.0.0.1:${this.ports.proxy}`;
  }

  #spawn(program, ...words) {
    const child = spawn(program, words, { cwd: this.folder, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data) => (this.log = (this.log + data).slice(-100_000)));
    this.#children.push(child);
  }

  // Starts what suspend() has stopped; what was put is still there.
  async resume() {
    const { folder, ports } = this;
    this.#spawn("memcached", "-l", "127.0.0.1", "-p", `${ports.memcached}`, "-u", userInfo().username);
    for (const kind of KINDS) this.#spawn(`swift-${kind}-server`, join(folder, `${kind}.conf`), "-v");
    this.#spawn("swift-proxy-server", join(folder, "proxy.conf"), "-v");
    const works = async (path, body) => [200, 409].includes((await this.request("PUT", path, { body })).status);
    const answers = async () => (await works("/ready")) && (await works("/ready/now", "yes"));
    await until("Swift", () => answers().catch(() => false), 30_000).catch(async (error) => {
      await this.suspend();
      throw new Error(`${error.message}:\n${this.log}`);
    });
  }

  async suspend() {
    const ended = this.#children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of this.#children) child.kill("SIGKILL");
    await Promise.all(ended);
    this.#children = [];
  }

  // SIGSTOP and SIGCONT for the server that clients talk to.
  freeze() {
    this.#children.at(-1).kill("SIGSTOP");
  }

  thaw() {
    this.#children.at(-1).kill("SIGCONT");
  }

  async close() {
    await this.suspend();
    rmSync(this.folder, { recursive: true, force: true });
  }

  // One signed request: fetch's answer. What is signed is as AWS describes it (Signature Version 4).
  async request(method, path, { query = {}, body = "" } = {}) {
    const hash = (data) => createHash("sha256").update(data).digest("hex");
    const hmac = (key, data) => createHmac("sha256", key).update(data).digest();
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
    const scope = [time.slice(0, 8), Swift.REGION, "s3", "aws4_request"];
    const search = new URLSearchParams(Object.entries(query).sort()).toString();
    const headers = { host: new URL(this.url).host, "x-amz-content-sha256": hash(body), "x-amz-date": time };
    const names = Object.keys(headers).sort();
    const canonical = [method, path, search, ...names.map((name) => `${name}:${headers[name]}`), "", names.join(";")];
    const toSign = ["AWS4-HMAC-SHA256", time, scope.join("/"), hash([...canonical, hash(body)].join("\n"))].join("\n");
    const key = scope.reduce(hmac, `AWS4${Swift.SECRET_KEY}`);
    const authorization =
      `AWS4-HMAC-SHA256 Credential=${Swift.ACCESS_KEY}/${scope.join("/")}, ` +
      `SignedHeaders=${names.join(";")}, Signature=${hmac(key, toSign).toString("hex")}`;
    return fetch(this.url + path + (search && `?${search}`), {
      method,
      headers: { ...headers, authorization },
      body: body || undefined,
    });
  }

  // The names of all objects in a bucket. Its listing may still tell of one that is gone.
  async list(bucket) {
    const answer = await this.request("GET", `/${bucket}`, { query: { "list-type": "2", "max-keys": "1000" } });
    if (answer.status !== 200) throw new Error(`list: ${answer.status} ${await answer.text()}`);
    const names = [...(await answer.text()).matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, name]) => name);
    const there = [];
    for (const name of names) if ((await this.request("HEAD", `/${bucket}/${name}`)).status === 200) there.push(name);
    return there;
  }
}

// Stands between a client and Swift, counts requests and may do harm: harm(request) says what to one: "refuse" (500),
// "hang", "cut" (half of the answer's body), "wrong" (a changed byte), an answer of its own ({ status, headers, body }),
// a promise that is waited for, or nothing.
export class Meddler {
  counts = {}; // method → requests
  harm = () => undefined;

  static async start(swift) {
    const meddler = new Meddler();
    const { hostname, port } = new URL(swift.url);
    meddler.server = createHttpServer(async (request, response) => {
      meddler.counts[request.method] = (meddler.counts[request.method] ?? 0) + 1;
      const harm = await meddler.harm(request);
      if (harm === "hang") return;
      const instead = harm === "refuse" ? { status: 500 } : harm;
      if (instead?.status) {
        request.resume();
        response.writeHead(instead.status, instead.headers).end(instead.body);
        return;
      }
      const onward = httpRequest({
        hostname,
        port,
        method: request.method,
        path: request.url,
        headers: request.headers,
      });
      onward.on("error", () => response.destroy());
      onward.on("response", (answer) => meddler.#pass(answer, response, harm));
      request.pipe(onward);
    });
    await new Promise((resolve) => meddler.server.listen(0, "127.0.0.1", resolve));
    meddler.url = `http://127.0.0.1:${meddler.server.address().port}`;
    return meddler;
  }

  #pass(answer, response, harm) {
    const parts = [];
    answer.on("data", (part) => parts.push(part));
    answer.on("end", () => {
      const body = Buffer.concat(parts);
      response.writeHead(answer.statusCode, answer.headers);
      if (harm === "wrong" && body.length) body[body.length >> 1] ^= 1;
      if (harm !== "cut" || !body.length) return response.end(body);
      response.write(body.subarray(0, body.length >> 1));
      setTimeout(() => response.destroy(), 20);
    });
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
