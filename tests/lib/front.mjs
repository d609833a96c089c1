// The shipped configurations of nginx and HAProxy, run as they are but for ports, paths and certificates.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { h2fetch, Http2 } from "./http2.mjs";
import { until } from "./wait.mjs";

const SHIPPED = fileURLToPath(new URL("../../scripts/front", import.meta.url));
const find = (name) => [`/usr/sbin/${name}`, `/usr/bin/${name}`].find(existsSync);

export const PROGRAMS = { nginx: find("nginx"), haproxy: find("haproxy") };

export const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

// A certificate of its own for 127.0.0.1: { key, cert, both }, files.
function certify(folder) {
  const files = { key: join(folder, "key.pem"), cert: join(folder, "cert.pem"), both: join(folder, "both.pem") };
  const words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const { status, stderr } = spawnSync("openssl", [...words, ...names, "-keyout", files.key, "-out", files.cert]);
  if (status !== 0) throw new Error(`openssl: ${stderr}`);
  writeFileSync(files.both, readFileSync(files.cert, "utf8") + readFileSync(files.key, "utf8"));
  return files;
}

// Every piece must be there, or the test would not be of what is shipped.
function replaceAll(text, pieces) {
  for (const [from, to] of pieces) {
    if (!text.includes(from)) throw new Error(`the configuration has no ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

const ROOT = process.getuid() === 0;

const KINDS = {
  nginx: {
    file: "nginx.conf",
    pieces: (folder, tls, { port, plain, origin }) => [
      ["user www-data;\n", ROOT ? "user root;\n" : ""],
      ["/run/nginx.pid;", `${folder}/pid; daemon off;`],
      ["/var/log/nginx/", `${folder}/`],
      ["/var/cache/nginx/streamd", `${folder}/cache`],
      ["worker_rlimit_nofile 65536;\n", ""],
      ["server 127.0.0.1:4437;", `server ${origin};`],
      ["listen 443 ssl http2;", `listen 127.0.0.1:${port} ssl http2;`],
      ["listen 80;", `listen 127.0.0.1:${plain};`],
      ["/etc/ssl/streamd/fullchain.pem", tls.cert],
      ["/etc/ssl/streamd/key.pem", tls.key],
      [
        "http {\n",
        "http {\n" +
          ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map((name) => `    ${name}_temp_path ${folder}/${name};\n`)
            .join(""),
      ],
    ],
    words: (file) => ["-e", "stderr", "-c", file],
  },
  haproxy: {
    file: "haproxy.cfg",
    pieces: (folder, tls, { port, plain, origin }) => [
      ["    user haproxy\n    group haproxy\n", ""],
      ["log /dev/log local0", "log stdout format raw local0"],
      ["maxconn 40000", "maxconn 4000"],
      ["bind :80\n", `bind 127.0.0.1:${plain}\n`],
      ["bind :443 ssl crt /etc/haproxy/streamd.pem", `bind 127.0.0.1:${port} ssl crt ${tls.both}`],
      ["server streamd 127.0.0.1:4437", `server streamd ${origin}`],
    ],
    words: (file) => ["-f", file],
  },
};

export class Front {
  #output = "";

  // Starts one before `origin`, "host:port"; its files go into `folder`.
  static async start(kind, folder, origin) {
    const front = new Front();
    const { file, pieces, words } = KINDS[kind];
    mkdirSync(folder, { recursive: true });
    const tls = certify(folder);
    const [port, plain] = [await freePort(), await freePort()];
    const path = join(folder, file);
    writeFileSync(
      path,
      replaceAll(readFileSync(join(SHIPPED, file), "utf8"), pieces(folder, tls, { port, plain, origin })),
    );
    front.folder = folder;
    front.kind = kind;
    front.ca = readFileSync(tls.cert);
    front.url = `https://127.0.0.1:${port}`;
    front.plain = `http://127.0.0.1:${plain}`;
    front.child = spawn(PROGRAMS[kind], words(path), { stdio: ["ignore", "pipe", "pipe"] });
    for (const from of [front.child.stdout, front.child.stderr]) from.on("data", (data) => (front.#output += data));
    front.http2 = new Http2(front.url, front.ca);
    front.fetch = h2fetch(front.http2);
    const up = () => fetch(`${front.plain}/health`, { redirect: "manual" }).then(({ status }) => status === 308);
    await until(kind, () => {
      if (front.child.exitCode !== null) throw new Error(`${kind} did not start: ${front.#output}`);
      return up().catch(() => false);
    });
    return front;
  }

  // Whatever it has logged, wherever.
  log() {
    const files = ["access.log", "error.log", "streamd.log"].map((name) => join(this.folder, name)).filter(existsSync);
    return [this.#output, ...files.map((name) => readFileSync(name, "utf8"))].join("\n");
  }

  async stop() {
    this.http2?.close();
    if (!this.child || this.child.exitCode !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGTERM");
    await gone;
  }
}

// Passes bytes on between a front and streamd, and notes the first line of every request.
export class Relay {
  requests = []; // "GET /path?query"

  static async start(port) {
    const relay = new Relay();
    const halves = { allowHalfOpen: true };
    relay.server = createServer(halves, (socket) => {
      const onward = connect({ port, host: "127.0.0.1", ...halves });
      for (const [from, to] of [
        [socket, onward],
        [onward, socket],
      ]) {
        from.on("data", (data) => to.write(data));
        from.on("end", () => to.end());
        from.on("error", () => to.destroy());
      }
      socket.on("data", (data) => relay.#note(data.toString("latin1")));
    });
    await new Promise((resolve) => relay.server.listen(0, "127.0.0.1", resolve));
    relay.origin = `127.0.0.1:${relay.server.address().port}`;
    return relay;
  }

  #note(text) {
    for (const [, method, target] of text.matchAll(/^([A-Z]+) (\S+) HTTP\/1\.1\r$/gm))
      this.requests.push(`${method} ${target}`);
  }

  // How many of the requests have all the words.
  count(...words) {
    return this.requests.filter((line) => words.every((word) => line.includes(word))).length;
  }

  stop() {
    this.server.close();
  }
}
