// What `make install` puts where: its server and its commands find each other by the configuration that comes with it. It
// runs where /etc and /var are the installed ones, which takes root.

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { folderOf, IS_ROOT, SOMEBODY, strangersIn } from "../lib/owners.mjs";
import { BUILD, OWNED } from "../lib/server.mjs";
import { call } from "../lib/streams.mjs";
import { PATIENCE, until } from "../lib/wait.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MOUNTED = 'mount --make-rprivate / && mount --bind "$0/etc" /etc && mount --bind "$0/var" /var && cd "$1" && shift && exec "$@"';
const CAN_MOUNT = IS_ROOT && spawnSync("unshare", ["--mount", "true"]).status === 0;
const INI = "/etc/streamd/streamd.ini";

describe.skipIf(!OWNED || !CAN_MOUNT)("an installed streamd", () => {
  const tree = mkdtempSync(join(tmpdir(), "streamd-test-"));
  const data = join(tree, "var/lib/streamd");
  const program = join(tree, "usr/lib/streamd/streamd");
  const elsewhere = join(tree, "elsewhere");
  let server, url;

  const inside = (folder, ...words) => ["--mount", "sh", "-c", MOUNTED, tree, folder, program, ...words];
  const run = (folder, ...words) => {
    const { status, stdout, stderr } = spawnSync("unshare", inside(folder, ...words), { encoding: "utf8" });
    return { status, out: stdout.trim(), err: stderr.trim() };
  };
  const start = async (...words) => {
    server = spawn("unshare", inside("/", "--config", INI, ...words), { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const out of [server.stdout, server.stderr]) out.on("data", (text) => (said += text));
    await until("the ready line", () => /^ready: /m.test(said) || server.exitCode !== null, 20_000);
    expect(said).toMatch(/^ready: /m);
    [, url] = /^ready: (\S+)/m.exec(said);
  };
  const stop = async () => {
    server.kill("SIGTERM");
    await until("it to stop", () => server.exitCode !== null || server.signalCode !== null, 20_000);
  };

  beforeAll(async () => {
    execFileSync("make", ["-s", "install", `BUILD=${BUILD}`, `DESTDIR=${tree}`, "PREFIX=/usr"], { cwd: ROOT });
    for (const folder of [join(tree, "var/lib"), elsewhere]) mkdirSync(folder, { recursive: true });
    folderOf(SOMEBODY, data);
    appendFileSync(join(tree, INI), "[router]\nlisten = 127.0.0.1:0\nworkers = 1\n");
  }, 60_000 * PATIENCE);
  afterAll(async () => {
    if (server?.exitCode === null) await stop();
    rmSync(tree, { recursive: true, force: true });
  });

  test("has its configuration, its texts and what goes before it", () => {
    for (const name of ["streamd/openapi.yaml", "streamd/front/nginx.conf", "streamd/front/haproxy.cfg", "doc/streamd/README.md"])
      expect([name, existsSync(join(tree, "usr/share", name))]).toEqual([name, true]);
    expect(readFileSync(join(tree, INI), "utf8")).toMatch(/^data_dir = \/var\/lib\/streamd$/m);
    expect(statSync(join(tree, INI)).mode & 0o777).toBe(0o640);
    expect(readFileSync(join(tree, "usr/lib/systemd/system/streamd.service"), "utf8")).toMatch(
      /^ExecStart=\/usr\/lib\/streamd\/streamd --config \/etc\/streamd\/streamd.ini$/m,
    );
    expect(readFileSync(join(tree, "usr/lib/tmpfiles.d/streamd.conf"), "utf8")).toContain("d /var/lib/streamd 0700 streamd streamd");
  });

  test("has its documentation, with links that work there", () => {
    execFileSync("node", ["scripts/check-links.mjs", join(tree, "usr/share/doc/streamd")], { cwd: ROOT });
  });

  test("is found by its commands, and says so when it matters", async () => {
    expect(run("/", "status")).toEqual({
      status: 1,
      out: "",
      err: `streamd: /var/lib/streamd: no streamd works on the folder\nstreamd: without --config the command used the server of ${INI}`,
    });
    await start();
    expect(run("/", "status")).toMatchObject({ status: 0, err: "" });
    await call(`${url}/v1/stream/demo/s`, "PUT", { headers: { "content-type": "text/plain" }, body: "x" });
    expect(run(elsewhere, "streams")).toMatchObject({ status: 0, out: expect.stringMatching(/^demo\/s\t/), err: "" });
    expect(run("/", "show", "demo/s").status).toBe(0);
    const made = run("/", "create-project", "acme");
    expect(made).toMatchObject({ status: 0, out: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(made.err.split("\n")).toEqual([
      "streamd: the server that runs on /var/lib/streamd has auth.mode = none; only auth.mode = jwt uses projects' keys, tokens and origins",
      `streamd: without --config the command used the server of ${INI}`,
    ]);
    expect(run("/", "verify")).toMatchObject({ status: 0, err: "" });
    expect(statSync(join(data, "registry.db")).uid).toBe(SOMEBODY);
    expect(strangersIn(data, SOMEBODY)).toEqual([]);
    await stop();
  });

  test("whose auth.mode its commands know", async () => {
    await start("--set", "auth.mode=jwt");
    expect(run("/", "streams")).toEqual({ status: 0, out: "", err: "" });
    const token = run("/", "token", "--project", "acme", "--scope", "write", "--ttl", "1m");
    expect(token).toMatchObject({ status: 0, err: "" });
    const headers = { "content-type": "text/plain", authorization: `Bearer ${token.out}` };
    expect((await call(`${url}/v1/stream/acme/s`, "PUT", { headers })).status).toBe(201);
    expect(run("/", "streams").out).toMatch(/^acme\/s\t/);
    await stop();
  });

  test("is not meant where a folder is named, or ./data holds data", () => {
    expect(run(elsewhere, "--set", "server.data_dir=mine", "create-project", "acme")).toMatchObject({ status: 0, err: "streamd: made the folder mine; no server works on it yet" });
    expect(existsSync(join(elsewhere, "mine/registry.db"))).toBe(true);
    expect(run(elsewhere, "--set", "server.data_dir=data", "create-project", "here")).toMatchObject({ status: 0, err: "streamd: made the folder data; no server works on it yet" });
    expect(run(elsewhere, "list-projects").out).toBe("here keys=1 origins=0 public=false");
    expect(run("/", "list-projects").out).toBe("acme keys=1 origins=0 public=false");
    const checked = run("/", "check");
    expect(checked.status).toBe(0);
    expect(checked.out).toMatch(/^data_dir = \.\/data$/m);
    expect(checked.err).toBe(`streamd: check: without --config the built-in defaults are checked, and not ${INI}`);
    expect(run("/", "--config", INI, "check")).toMatchObject({ status: 0, out: expect.stringMatching(/^data_dir = \/var\/lib\/streamd$/m), err: "" });
    writeFileSync(join(tree, "var/broken.ini"), "[server]\ndata_dir = /var/broken.ini/data\n");
    expect(run("/", "--config", "/var/broken.ini")).toMatchObject({ status: 78, err: expect.stringContaining("cannot make the folder") });
  });
});
