// The operator's commands that ask a server: streams, show, tail, doctor.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { Front, PROGRAMS, freePort } from "../lib/front.mjs";
import { BUILD, OWNED, Server, TOKEN } from "../lib/server.mjs";
import { call, freshName, START, Streams } from "../lib/streams.mjs";
import { PATIENCE, SLOW, sleep, until } from "../lib/wait.mjs";

const json = { type: "application/json" };
const started = [];
afterEach(() => started.splice(0).forEach((command) => command.child.kill("SIGKILL")));

// A command that goes on: what it has printed, and how it ended.
function begin(server, ...args) {
  const child = spawn(join(BUILD, "streamd"), ["--set", `server.data_dir=${server.dataDir}`, ...server.sets, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const command = { child, out: Buffer.alloc(0), err: "", status: null };
  child.stdout.on("data", (data) => (command.out = Buffer.concat([command.out, data])));
  child.stderr.on("data", (data) => (command.err += data));
  child.on("close", (code, signal) => (command.status = code ?? signal));
  command.lines = () => command.out.toString().split("\n").slice(0, -1);
  command.ended = () => until("the command to end", () => command.status !== null, 20_000).then(() => command.status);
  started.push(command);
  return command;
}

describe.skipIf(!OWNED)("streams", () => {
  const fixture = useServer({ settings: { "router.listen": "0.0.0.0:0" } });

  test("prints a line a stream, over as many pages as it takes", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    const names = Array.from({ length: 1003 }, (_, i) => `many/${String(i).padStart(4, "0")}`);
    for (let at = 0; at < names.length; at += 100)
      await Promise.all(names.slice(at, at + 100).map((name) => streams.create(name)));
    await streams.create("few/a b", json);
    await streams.append("few/a b", "[1,2]", json);
    await streams.create("few/closed", { headers: { "stream-closed": "true" }, body: "x" });
    await streams.fork("few/fork", "few/closed");
    await call(`${server.url}/v1/stream/alone`, "PUT", { query: { public: "true" } });
    const all = server.command("streams", "--project", "many");
    expect([all.status, all.err]).toEqual([0, ""]);
    expect(all.out.split("\n").map((line) => line.split("\t")[0])).toEqual(names);
    expect(server.command("streams", "--project", "many", "--limit", "1002").out.split("\n").length).toBe(1002);
    expect(server.command("streams", "--project", "many", "--prefix", "100", "--limit", "2").out.split("\n").length).toBe(2);
    expect(server.command("streams", "--project", "few").out.split("\n")).toEqual([
      `few/a%20b\tapplication/json\t${streams.at("few/a b", 2)}\t4`,
      `few/closed\ttext/plain\t${streams.at("few/closed", 1)}\t1\tclosed`,
      `few/fork\ttext/plain\t${streams.at("few/fork", 1)}\t0\tfork`,
    ]);
    expect(server.command("streams", "--project", "few", "--prefix", "a b").out).toMatch(/^few\/a%20b\t/);
    expect(server.command("streams", "--project", "few", "--prefix", "a%20b").out).toMatch(/^few\/a%20b\t/);
    const everything = server.command("streams");
    expect([everything.status, everything.err]).toEqual([0, ""]);
    expect(everything.out.split("\n").map((line) => line.split("\t")[0])).toEqual(
      ["_default/alone", "few/a%20b", "few/closed", "few/fork", ...names],
    );
    expect(everything.out).toMatch(/^_default\/alone\tapplication\/octet-stream\t\S+\t0\tpublic$/m);
    expect(server.command("streams", "--prefix", "few/c").out).toMatch(/^few\/closed\t.*$/);
    expect(server.command("streams", "--limit", "5").out.split("\n").at(-1)).toMatch(/^many\/0000\t/);
    expect(server.command("streams", "--project", "nobody")).toEqual({ status: 0, out: "", err: "streamd: streams: nobody: the project has no streams" });
    expect(server.command("streams", "--project", "few", "--prefix", "x")).toEqual({ status: 0, out: "", err: "" });
    expect(server.command("streams", "--url", `${server.url}`, "--project", "few").out.split("\n").length).toBe(3);
  }, 30_000 * PATIENCE);

  test("says what is wrong with what was given", () => {
    const wrong = (...args) => {
      const { status, out, err } = fixture.server.command(...args);
      expect([status, out]).toEqual([1, ""]);
      return err;
    };
    expect(wrong("streams", "--nonsense")).toMatch(/^streamd: streams: unexpected argument: --nonsense \(see streamd help streams\)$/);
    expect(wrong("streams", "--project")).toMatch(/a value is missing/);
    expect(wrong("streams", "--url")).toMatch(/a value is missing after --url/);
    expect(wrong("streams", "--project", "a.b")).toMatch(/a project's name is/);
    expect(wrong("streams", "--limit", "0")).toMatch(/--limit is a number from 1/);
    expect(wrong("streams", "--url", "http://127.0.0.1:1")).toMatch(/http:\/\/127.0.0.1:1: .*connect/);
    expect(wrong("tail")).toMatch(/expected a stream/);
    expect(wrong("tail", "a.b/c")).toMatch(/a stream is PROJECT\/STREAM/);
    expect(wrong("tail", "p/s", "--from", "0")).toMatch(/--from is start, now, or an offset/);
    expect(wrong("tail", "p/s", "--last", "x")).toMatch(/--last is a number/);
    expect(wrong("tail", "p/s", "and", "more")).toMatch(/unexpected argument: and/);
    expect(wrong("tail", "p/none")).toMatch(/404 STREAM_NOT_FOUND/);
    const { status, err } = fixture.server.command("--set", "server.data_dir=/nonexistent", "streams");
    expect([status, err]).toEqual([1, "streamd: streams: /nonexistent: No such file or directory; --url says where another server is"]);
    const folder = mkdtempSync(join(tmpdir(), "streamd-test-"));
    expect(fixture.server.command("--set", `server.data_dir=${folder}`, "streams").err).toContain(`${folder}: no streamd works on the folder`);
    rmSync(folder, { recursive: true });
  });
});

describe.skipIf(!OWNED)("show", () => {
  const fixture = useServer({ settings: { "shard.flush_idle": "1h" } });

  test("prints a line for each thing there is to say", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    await streams.create("look/a b", { headers: { "stream-ttl": "3600" } });
    await streams.produce("look/a b", "12345", { id: "writer", epoch: 3, seq: 0 });
    const { status, out, err } = server.command("show", "look/a b");
    expect([status, err]).toEqual([0, ""]);
    for (const line of ["name: a%20b", "contentType: text/plain", `nextOffset: ${streams.at("look/a b", 5)}`, "ttl: 3600",
      "log: entries=2 bytes=5", "producers: count=1", "producers: id=writer epoch=3 seq=0", "readers: here=0 routers=0"])
      expect(out.split("\n")).toContain(line);
    expect(JSON.parse(server.command("show", "look/a%20b", "--json").out)).toMatchObject({ name: "a%20b", log: { bytes: 5 } });
    const missing = server.command("show", "look/none");
    expect([missing.status, missing.out, missing.err]).toEqual([1, "", "streamd: show: 404 STREAM_NOT_FOUND: stream not found"]);
    expect(server.command("show").err).toMatch(/expected a stream/);
  });
});

describe.skipIf(!OWNED).each([[], ["--sse"]])("tail %s", (...mode) => {
  const fixture = useServer({
    settings: { "shard.count": 2, "live.long_poll_timeout": "300ms", "live.sse_lifetime": "1s", "shard.flush_idle": "50ms" },
  });
  const fresh = (options) => new Streams(fixture.server).fresh("tail", options);

  test("prints what comes, once each, over deaths of routers and shards, an upgrade and a restart, and ends with the stream", async () => {
    const { server } = fixture;
    const streams = new Streams(server);
    const name = await fresh(json);
    await streams.append(name, '["before 1","before 2","before 3"]', json);
    const now = begin(server, "tail", name, ...mode);
    const last = begin(server, "tail", name, "--last", "2", ...mode);
    const start = begin(server, "tail", name, "--from", "start", ...mode);
    const middle = begin(server, "tail", name, "--from", streams.at(name, 1), ...mode);
    await until("what was there", () => last.lines().length === 2 && start.lines().length === 3 && middle.lines().length === 2);
    await sleep(500 * SLOW); // "now" is when it began
    let seq = 0;
    const wanted = [];
    const append = async () => {
      const message = { seq, text: "ü \n " };
      await until("the append", async () => {
        const { status } = await streams.produce(name, JSON.stringify([message]), { seq, ...json }).catch(() => ({}));
        return status === 200 || status === 204;
      }, 20_000 * PATIENCE);
      wanted.push(message);
      seq++;
    };
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 5; i++) await append();
      if (round === 1) await server.restartChild("router");
      if (round === 3) await server.restartChild("shard", 0);
      if (round === 4) await server.restartChild("shard", 1);
      if (round === 5) {
        server.signal("SIGUSR2");
        await until("an upgrade", () => server.log.includes("has taken over, in "), 30_000);
        expect(server.command("streams", "--project", "test", "--limit", "1").out).toMatch(/^test\//);
      }
      if (round === 6) {
        await server.stop();
        await server.start();
      }
    }
    await streams.close(name);
    const before = ["before 1", "before 2", "before 3"];
    for (const [command, count] of [[now, 0], [last, 2], [start, 3], [middle, 2]]) {
      expect(await command.ended()).toBe(0);
      expect(command.lines().map((line) => JSON.parse(line))).toEqual([...before.slice(3 - count), ...wanted]);
    }
  }, 60_000 * PATIENCE);

  test("prints one JSON message a line, text and bytes as they are", async () => {
    const streams = new Streams(fixture.server);
    const messages = await fresh(json);
    await streams.append(messages, '[{"a":\n  1},\r\n[2, "x\\n"]]', json);
    await streams.close(messages);
    const text = await fresh({ body: "no end of line" });
    await streams.append(text, "\r\nand ü\r\rthe end\n");
    await streams.close(text);
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * i + (i >> 8)) & 255));
    const binary = await fresh({ type: "application/x-thing", body: bytes });
    await streams.close(binary);
    const printed = async (name) => {
      const command = begin(fixture.server, "tail", name, "--from", "start", ...mode);
      expect([await command.ended(), command.err]).toEqual([0, ""]);
      return command.out;
    };
    expect((await printed(messages)).toString()).toBe('{"a":   1}\n[2, "x\\n"]\n');
    expect((await printed(text)).toString()).toBe("no end of line\r\nand ü\r\rthe end\n");
    expect((await printed(binary)).equals(bytes)).toBe(true);
  }, 30_000 * PATIENCE);

  test("--last N begins N messages before the end, on any stream", async () => {
    const streams = new Streams(fixture.server);
    const [texts, items] = [await fresh({ body: "one " }), await fresh({ ...json, body: "[1,2,3,4]" })];
    for (const word of ["two ", "three ", "four "]) await streams.append(texts, word);
    for (const name of [texts, items]) await streams.close(name);
    const out = (name, n) => fixture.server.command("tail", name, "--last", `${n}`, ...mode);
    expect([1, 2, 4, 9].map((n) => out(texts, n).out)).toEqual(
      ["four", "three four", "one two three four", "one two three four"],
    );
    expect([1, 3, 9].map((n) => out(items, n).out)).toEqual(["4", "2\n3\n4", "1\n2\n3\n4"]);
    const many = out(items, 1_000_000);
    expect([many.status, many.err]).toEqual([1, expect.stringContaining("limits.read_back")]);
  }, 60_000 * PATIENCE);

  test("ends with ^C, and when the stream is deleted", async () => {
    const streams = new Streams(fixture.server);
    const name = await fresh({ body: "here" });
    const first = begin(fixture.server, "tail", name, "--from", "start", ...mode);
    const second = begin(fixture.server, "tail", name, "--from", "start", ...mode);
    await until("both", () => first.out.length === 4 && second.out.length === 4);
    first.child.kill("SIGINT");
    expect([await first.ended(), first.err]).toEqual([0, ""]);
    await streams.remove(name);
    expect(await second.ended()).toBe(1);
    expect(second.err).toMatch(/404 STREAM_NOT_FOUND/);
    expect(fixture.server.command("tail", "test/bytes", "--last", "1", ...mode).status).toBe(1);
  }, 30_000 * PATIENCE);
});

describe.skipIf(!OWNED)("help and versions", () => {
  const run = (...args) => {
    const { status, stdout, stderr } = spawnSync(join(BUILD, "streamd"), args, { encoding: "utf8" });
    return { status, out: stdout, err: stderr };
  };
  const all = run("help");
  const names = [...all.out.matchAll(/^ {2}([a-z][a-z-]*) +\S/gm)].map(([, name]) => name);

  test("-h and --help, -V and --version", () => {
    expect(names).toContain("create-project");
    expect([run("-h"), run("--help")]).toEqual([all, all]);
    expect([run("-V"), run("--version")]).toEqual([run("version"), run("version")]);
    expect(run("version").out).toMatch(/^streamd \d+\.\d+\.\d+\n$/);
  });

  test.each(names)("help %s", (name) => {
    const help = run("help", name);
    expect([help.status, help.err]).toEqual([0, ""]);
    expect(help.out).toMatch(new RegExp(`^usage: streamd .* ${name}( .*)?\n\n[A-Z].*\\.\n`));
    if (name === "help") return;
    expect([run(name, "-h"), run(name, "any", "--help")]).toEqual([help, help]);
  });

  test("nothing that nobody knows", () => {
    for (const [words, says] of [
      [["help", "nothing"], "unknown command: nothing; without a command streamd serves (see streamd help)"],
      [["help", "check", "more"], "help: unexpected argument: more (see streamd help help)"],
      [["serve"], "unknown command: serve; without a command streamd serves (see streamd help)"],
      [["stats"], "unknown command: stats; did you mean status? (see streamd help)"],
      [["-x"], "unknown option: -x (see streamd help)"],
      [["--nothing=x"], "unknown option: --nothing=x (see streamd help)"],
      [["version", "more"], "version: unexpected argument: more (see streamd help version)"],
      [["--config", "a", "--config", "b", "check"], "given twice: --config (see streamd help)"],
      [["--config=a", "check", "--config", "b"], "given twice: --config (see streamd help)"],
      [["check", "--config"], "a value is missing after: --config (see streamd help)"],
      [["check", "--set"], "a value is missing after: --set (see streamd help)"],
      [["--config"], "a value is missing after: --config (see streamd help)"],
      [["status", "--url", "http://a"], "status: only streams, show, tail and doctor take it: --url (see streamd help status)"],
      [["check", "--token=x"], "check: only streams, show, tail and doctor take it: --token (see streamd help check)"],
    ])
      expect(run(...words)).toEqual({ status: 1, out: "", err: `streamd: ${says}\n` });
  });

  test("options stand anywhere, in both forms", () => {
    const folder = mkdtempSync(join(tmpdir(), "streamd-test-"));
    const file = join(folder, "a.ini");
    writeFileSync(file, "[shard]\ncount = 3\n");
    const right = run("--config", file, "--set", "log.level=warn", "--set", "s3.prefix=a=b", "check");
    expect([right.status, right.out]).toEqual([1, ""]); // no prefix has a =
    expect(right.err).toMatch(/\[s3\] prefix: .*got "a=b"/);
    const before = run("--config", file, "--set", "log.level=warn", "check");
    expect(before.out).toMatch(/^count = 3$/m);
    expect(before.out).toMatch(/^level = warn$/m);
    expect(run("check", "--config", file, "--set", "log.level=warn")).toEqual(before);
    expect(run("check", `--config=${file}`, "--set=log.level=warn")).toEqual(before);
    expect(run(`--config=${file}`, "check", "--set", "log.level=warn")).toEqual(before);
    expect(run("status", "--set", `server.data_dir=${folder}`).err).toMatch(new RegExp(`^streamd: ${folder}: no streamd works`));
    expect(run("streams", "--url=http://127.0.0.1:1", "--limit=1").err).toMatch(/^streamd: streams: http:\/\/127\.0\.0\.1:1: /);
    rmSync(folder, { recursive: true });
  });

  test("--help is about what the command does", () => {
    expect(all.out).toMatch(/--url URL/);
    expect(all.out).toMatch(/STREAMD_TOKEN/);
    expect(run("help", "tail").out).toMatch(/--last N .*JSON/s);
    for (const name of ["doctor", "segment"]) expect(run("help", name).out).not.toMatch(/server\.data_dir/);
    expect(run("help", "status").out).toMatch(/server\.data_dir/);
    const page = spawnSync(join(import.meta.dirname, "../../scripts/man-page.sh"), [join(BUILD, "streamd"), "/opt/x"], { encoding: "utf8" });
    expect(page.status).toBe(0);
    for (const word of ["\\-\\-url", "STREAMD_TOKEN", "\\-\\-ca\\-file", "/opt/x/share/doc/streamd/README.md"]) expect(page.stdout).toContain(word);
    expect(page.stdout).not.toMatch(/@|README\.md\.gz|\/usr\/share/);
  });

  test("a folder that nobody named is said, and one that was made", () => {
    const folder = mkdtempSync(join(tmpdir(), "streamd-test-"));
    const here = (...words) => spawnSync(join(BUILD, "streamd"), words, { cwd: folder, encoding: "utf8" });
    if (existsSync("/etc/streamd/streamd.ini")) return;
    for (const words of [["status"], ["streams"], ["list-projects"], ["verify"]]) {
      const { status, stderr } = here(...words);
      expect([words, status, stderr]).toEqual([words, 1, expect.stringMatching(/\.\/data: No such file.*\n.*--config FILE or --set server\.data_dir=FOLDER names another\n$/)]);
    }
    expect(existsSync(join(folder, "data"))).toBe(false);
    expect(here("create-project", "p").stderr).toBe("streamd: made the folder ./data; no server works on it yet\n");
    expect(here("create-project", "q").stderr).toBe("");
    rmSync(folder, { recursive: true });
  });

  test("only create-project makes a registry", () => {
    const folder = mkdtempSync(join(tmpdir(), "streamd-test-"));
    const set = ["--set", `server.data_dir=${folder}`];
    for (const words of [["delete-project", "p"], ["add-key", "p"], ["remove-key", "p", "0123456"], ["add-origin", "p", "*"], ["token", "--project", "p", "--scope", "read", "--ttl", "1m"]])
      expect(run(...set, ...words)).toEqual({ status: 1, out: "", err: `streamd: ${folder}: there is no such project, nor any other\n` });
    expect(run(...set, "list-projects")).toEqual({ status: 0, out: "", err: "" });
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
    expect(run(...set, "list-projects")).toMatchObject({ status: 1, err: expect.stringContaining(`streamd: ${folder}: No such file`) });
    expect(existsSync(folder)).toBe(false);
  });

  test("what cannot be printed is no success", () => {
    const script = '"$0" "$@" >/dev/full';
    for (const words of [["help"], ["version"], ["check"], ["example-config"]]) {
      const { status, stderr } = spawnSync("sh", ["-c", script, join(BUILD, "streamd"), ...words], { encoding: "utf8" });
      expect([words, status, stderr]).toEqual([words, 1, expect.stringContaining("No space left on device")]);
    }
  });
});

describe.skipIf(!OWNED)("the server's own auth.mode", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt" } });

  test("counts for commands, whatever configuration they read", async () => {
    const { server } = fixture;
    const bare = (...args) => {
      const set = ["--set", `server.data_dir=${server.dataDir}`];
      const { status, stdout, stderr } = spawnSync(join(BUILD, "streamd"), [...set, ...args], { encoding: "utf8" });
      return { status, out: stdout.trim(), err: stderr.trim() };
    };
    expect(bare("create-project", "one")).toMatchObject({ status: 0, err: "" });
    const token = bare("token", "--project", "one", "--scope", "write", "--ttl", "1m");
    expect(token).toMatchObject({ status: 0, err: "" });
    bare("create-project", "two");
    for (const project of ["one", "two"]) {
      const { out } = bare("token", "--project", project, "--scope", "write", "--ttl", "1m");
      const headers = { authorization: `Bearer ${out}`, "content-type": "text/plain" };
      expect((await call(`${server.url}/v1/stream/${project}/s`, "PUT", { headers })).status).toBe(201);
    }
    const names = ({ out }) => out.split("\n").map((line) => line.split("\t")[0]);
    expect(names(bare("streams"))).toEqual(["one/s", "two/s"]);
    expect(names(bare("streams", "--prefix", "tw"))).toEqual(["two/s"]);
    expect(names(bare("streams", "--prefix", "one/s"))).toEqual(["one/s"]);
    expect(names(bare("streams", "--prefix", "one/t"))).toEqual([""]);
    expect(bare("show", "one/s").status).toBe(0);
    expect(bare("streams", "--token", token.out).err).toMatch(/403 .*\n.*--project names it$/);
  });

  test("none: projects are changed and tokens are made, and it is said that nobody uses them", async () => {
    const server = await Server.start();
    const says = `streamd: the server that runs on ${server.dataDir} has auth.mode = none; only auth.mode = jwt uses projects' keys, tokens and origins`;
    const secret = server.command("create-project", "p").out;
    for (const words of [["create-project", "q"], ["add-key", "p"], ["token", "--project", "p", "--scope", "read", "--ttl", "1m"], ["add-origin", "p", "https://a.example"], ["remove-origin", "p", "https://a.example"], ["remove-key", "p", secret.slice(0, 12)], ["delete-project", "p"]])
      expect([words, server.command(...words)]).toEqual([words, { status: 0, out: expect.any(String), err: says }]);
    await server.close();
  });

  test("keys beside each other are all good, and a whole key is removed although another begins with it", async () => {
    const { server } = fixture;
    server.command("create-project", "busy");
    const made = await Promise.all(Array.from({ length: 8 }, () => server.commandLater("add-key", "busy")));
    expect(made.map(({ status }) => status)).toEqual(made.map(() => 0));
    expect(new Set(made.map(({ out }) => out)).size).toBe(8);
    const removed = await Promise.all(made.flatMap(({ out }, i) => [
      server.commandLater("remove-key", "busy", out),
      server.commandLater("add-origin", "busy", `https://${i}.example`),
    ]));
    expect(removed.map(({ status }) => status)).toEqual(removed.map(() => 0));
    expect(server.command("list-projects").out).toContain("busy keys=1 origins=8");
    const secret = server.command("add-key", "busy").out;
    const headers = { authorization: `Bearer ${server.command("token", "--project", "busy", "--scope", "manage", "--ttl", "1m").out}` };
    const body = JSON.stringify({ signingSecrets: [secret, `${secret}more`] });
    expect((await call(`${server.url}/v1/config/busy`, "PUT", { headers, body })).status).toBe(200);
    expect(server.command("remove-key", "busy", "12345").err).toBe("streamd: busy: at least the first 6 characters of the key are wanted");
    expect(server.command("remove-key", "busy", "nosuch").err).toBe("streamd: busy: no key of the project begins so");
    expect(server.command("remove-key", "busy", secret.slice(0, 20)).err).toMatch(/more than one key begins so/);
    expect(server.command("remove-key", "busy", secret)).toEqual({ status: 0, out: "", err: "" });
    expect((await call(`${server.url}/v1/config/busy`, "GET", { headers })).status).toBe(401);
  });
});

describe.skipIf(!OWNED)("with tokens", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt", "live.long_poll_timeout": "300ms" } });

  test("commands sign their own, or take the one that is given, and none shows up anywhere", async () => {
    const { server } = fixture;
    const secret = server.command("create-project", "acme").out;
    const token = (scope) => server.command("token", "--project", "acme", "--scope", scope, "--ttl", "1h").out;
    const name = freshName("token").replace("test/", "acme/");
    const headers = { authorization: `Bearer ${token("write")}`, "content-type": "text/plain" };
    await call(`${server.url}/v1/stream/${name}`, "PUT", { headers, body: "secret" });
    expect(server.command("streams", "--project", "acme").out).toContain(name);
    const missing = server.command("streams", "--project", "other");
    expect([missing.status, missing.err]).toEqual([
      1,
      "streamd: streams: other: there is no such project, or it has no secret to sign with",
    ]);
    const refused = server.command("streams", "--project", "acme", "--token", token("read"));
    expect([refused.status, refused.err]).toEqual([1, "streamd: streams: 403 FORBIDDEN: the token's scope is not enough; this needs manage"]);
    expect(server.command("streams", "--project", "acme", "--url", server.url).err).toMatch(/401 UNAUTHORIZED/);
    const tail = begin(server, "tail", name, "--from", "start", "--token", token("read"));
    await until("the text", () => tail.out.toString() === "secret");
    expect(readFileSync(`/proc/${tail.child.pid}/cmdline`, "utf8")).not.toMatch(TOKEN);
    expect(readFileSync(`/proc/${tail.child.pid}/cmdline`, "utf8")).not.toContain(secret);
    tail.child.kill("SIGTERM");
    expect([await tail.ended(), tail.err]).toEqual([0, ""]);
    const wrong = server.command("tail", name, "--token", "nonsense");
    expect([wrong.status, wrong.err]).toEqual([1, expect.stringMatching(/^streamd: tail: 401 UNAUTHORIZED: the token is malformed/)]);
  }, 30_000 * PATIENCE);
});

const NGINX = PROGRAMS.nginx;

// What a proxy is told, by what is wrong with it. ORIGIN is streamd.
const right = `proxy_pass ORIGIN; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
  proxy_buffering off; client_max_body_size 16m; proxy_read_timeout 120s;`;
const PROXIES = {
  right,
  cached: `${right.replace("buffering off", "buffering on")} proxy_cache streams; proxy_cache_convert_head off;
    proxy_cache_key $request_method$request_uri; add_header X-Cache $upstream_cache_status always;`,
  untold: "proxy_pass ORIGIN;",
  nameless: "proxy_pass ORIGIN; proxy_redirect off; client_max_body_size 16m;",
  buffered: `${right.replace("http_version 1.1", "http_version 1.0").replace("buffering off", "buffering on")} proxy_ignore_headers X-Accel-Buffering;`,
  zipped: `${right} gzip on; gzip_types text/event-stream; gzip_proxied any; gzip_min_length 0;`,
  impatient: right.replace("120s", "1s"),
  decoding: right.replace("ORIGIN", "ORIGIN/"),
  converting: `${right.replace("buffering off", "buffering on")} proxy_cache streams;`,
  stale: `${right.replace("buffering off", "buffering on")} proxy_cache streams; proxy_cache_valid any 1m;
    proxy_ignore_headers Cache-Control Expires;`,
  silent: `${right} proxy_set_header Producer-Id "";`,
  deaf: `${right} proxy_hide_header Stream-Next-Offset;`,
  careless: `${right} proxy_set_header If-Match "";`,
  strict: `if ($request_method = PUT) { return 405; } ${right}`,
};

describe.skipIf(!OWNED || !NGINX)("doctor", () => {
  const fixture = useServer({ settings: { "live.heartbeat": "500ms", "live.long_poll_timeout": "20s" } });
  const ports = {};
  let nginx;

  beforeAll(async () => {
    const folder = join(fixture.server.folder, "nginx");
    for (const name of Object.keys(PROXIES)) ports[name] = await freePort();
    const servers = Object.entries(PROXIES).map(
      ([name, told]) =>
        `server { listen 127.0.0.1:${ports[name]}; location / { ${told.replace("ORIGIN", fixture.server.url)} } }`,
    );
    mkdirSync(folder);
    writeFileSync(
      join(folder, "nginx.conf"),
      `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1;
      ${process.getuid() === 0 ? "user root;" : ""}
      events { worker_connections 1000; }
      http {
        access_log off; proxy_cache_path ${folder}/cache keys_zone=streams:1m;
        client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
        uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
        ${servers.join("\n")}
      }`,
    );
    nginx = spawn(NGINX, ["-e", "stderr", "-c", join(folder, "nginx.conf")], { stdio: "inherit" });
    await until("nginx", () => call(`http://127.0.0.1:${ports.right}/health`).then(({ status }) => status === 200, () => false));
  }, 60_000 * PATIENCE);

  afterAll(() => nginx?.kill());

  // { status, bad: what it says is bad, warned, lines }
  async function examine(url, ...args) {
    const command = begin(fixture.server, "doctor", url, "--idle", "3", ...args);
    const status = await command.ended();
    expect(command.err).toBe("");
    const lines = command.lines();
    const of = (mark) => [...new Set(lines.filter((line) => line.startsWith(mark)).map((line) => line.split(/ +/)[1]))];
    return { status, bad: of("bad "), warned: of("warn "), good: of("ok "), lines };
  }

  const ALL = ["health", "PUT", "path", "headers", "HEAD", "body", "bytes", "ETag", "conditions", "no-store", "tail", "cache",
    "keep-alive", "events", "long-poll", "silence", "DELETE"];

  test("finds nothing wrong straight, and behind a proxy that was told what it needs", async () => {
    const { server } = fixture;
    const [straight, proxied, cached, nameless] = await Promise.all(
      [server.url, `http://127.0.0.1:${ports.right}/`, `http://127.0.0.1:${ports.cached}`, `http://127.0.0.1:${ports.nameless}`].map((url) => examine(url)),
    );
    expect(nameless).toMatchObject({ status: 0, bad: [], warned: ["path"] });
    for (const result of [straight, proxied, cached]) {
      expect(result).toMatchObject({ status: 0, bad: [], warned: [], good: ALL });
      expect(result.lines.at(-1)).toBe("18 checked, 0 bad");
      expect(result.lines.join("\n")).toMatch(/an event stream lives for [2-9].. s, with [1-9] heartbeats/);
    }
    expect(cached.lines.join("\n")).toMatch(/the same read twice: x-cache: HIT/);
    expect(straight.lines.join("\n")).toMatch(/no sign of a cache/);
    expect(server.command("streams").out).toBe(""); // it has cleaned up
  }, 60_000 * PATIENCE);

  test("says what is wrong with each that was not", async () => {
    const results = Object.fromEntries(
      await Promise.all(
        ["untold", "buffered", "zipped", "impatient", "decoding", "converting", "stale", "silent", "deaf", "strict", "careless"].map(async (name) => [
          name,
          await examine(`http://127.0.0.1:${ports[name]}`),
        ]),
      ),
    );
    expect(Object.entries(results).filter(([, { status }]) => status !== 1)).toEqual([]);
    const text = (name) => results[name].lines.join("\n");
    expect(results.untold).toMatchObject({ bad: ["body"], warned: [] });
    expect(text("untold")).toMatch(/status 413\n +nginx: client_max_body_size/);
    expect(results.buffered.bad).toEqual(["events"]);
    expect(text("buffered")).toMatch(/no event of an event stream after 5 s\n.*proxy_buffering off/);
    expect(results.zipped.bad).toEqual(["events"]);
    expect(text("zipped")).toMatch(/a proxy compresses event streams\n.*no gzip/);
    expect(results.impatient.bad).toEqual(["silence"]);
    expect(text("impatient")).toMatch(/a long-poll was cut after \d+\.\d s: status 504\n.*proxy_read_timeout/);
    expect(results.decoding.bad).toEqual(["path"]);
    expect(results.converting.bad).toEqual(["no-store", "DELETE"]);
    expect(text("converting")).toMatch(/proxy_cache_convert_head off/);
    expect(results.stale.bad).toContain("no-store");
    expect(results.silent.bad).toEqual(["headers"]);
    expect(results.deaf.bad).toContain("HEAD");
    expect(results.careless.bad).toEqual(["conditions"]);
    expect(text("careless")).toMatch(/an append with If-Match of another tail: status 204, not 412\n +pass the headers/);
    expect(results.strict.bad).toEqual(["PUT"]);
    expect(text("strict")).toMatch(/status 405\n +let the methods/);
    expect(fixture.server.command("streams").out).toBe("");
  }, 60_000 * PATIENCE);

  test("finds a proxy that cuts event streams between two heartbeats", async () => {
    const { server } = fixture;
    server.configure({ "live.heartbeat": "10s" });
    await server.stop();
    await server.start();
    const { bad, lines } = await examine(`http://127.0.0.1:${ports.impatient}`);
    expect(bad).toEqual(["silence"]);
    expect(lines.join("\n")).toMatch(/an event stream was cut after \d+\.\d s, not ended/);
  }, 60_000 * PATIENCE);

  test("says what is wrong with what was given", () => {
    const wrong = (...args) => {
      const { status, out, err } = fixture.server.command("doctor", ...args);
      return [status, out, err.replace(/ \(see.*/, "")];
    };
    expect(wrong()).toEqual([1, "", "streamd: doctor: expected a URL: http://HOST[:PORT] or https://HOST[:PORT]"]);
    expect(wrong("localhost")[2]).toMatch(/expected a URL/);
    expect(wrong("http://x", "--idle", "x")[2]).toMatch(/--idle is a number of seconds/);
    expect(wrong("http://x", "--project", "a.b")[2]).toMatch(/a project's name is/);
    expect(wrong("--url", "http://x")[2]).toMatch(/the URL is an argument/);
    const nobody = fixture.server.command("doctor", "http://127.0.0.1:1");
    expect([nobody.status, nobody.out]).toEqual([1, expect.stringMatching(/^bad +health .*connect/)]);
  });
});

const fronts = Object.keys(PROGRAMS).filter((kind) => PROGRAMS[kind]);

describe.skipIf(!OWNED || !fronts.length).each(fronts)("behind %s as it is shipped", (kind) => {
  const fixture = useServer({ settings: { "live.heartbeat": "500ms" } });
  let front;
  beforeAll(async () => {
    front = await Front.start(kind, join(fixture.server.folder, kind), `127.0.0.1:${fixture.server.port}`);
  }, 60_000 * PATIENCE);
  afterAll(() => front?.stop());

  test("doctor finds nothing wrong, and the other commands work", async () => {
    const { server } = fixture;
    const tls = ["--ca-file", join(front.folder, "cert.pem")];
    const doctor = begin(server, "doctor", front.url, "--idle", "2", ...tls);
    expect([await doctor.ended(), doctor.lines().filter((line) => !line.startsWith("ok "))]).toEqual([
      0,
      ["", "18 checked, 0 bad"],
    ]);
    await new Streams(server).create("front/a b/c%2Fd", { body: "here\n" });
    const there = ["--url", front.url, ...tls];
    expect(server.command("streams", "--project", "front", ...there).out).toMatch(/^front\/a%20b\/c\/d\t/);
    expect(server.command("show", "front/a b/c/d", ...there).out).toMatch(/^name: a%20b\/c\/d$/m);
    const tail = begin(server, "tail", "front/a b/c/d", "--from", "start", "--sse", ...there);
    await until("the text", () => tail.out.toString() === "here\n");
    expect(server.command("streams", "--url", front.url).err).toMatch(/certificate/);
  }, 60_000 * PATIENCE);
});

describe.skipIf(!OWNED)("doctor with tokens", () => {
  const fixture = useServer({ settings: { "auth.mode": "jwt" } });

  test("needs one that may write, and better manage", async () => {
    const { server } = fixture;
    server.command("create-project", "acme");
    const token = (scope) => server.command("token", "--project", "acme", "--scope", scope, "--ttl", "1h").out;
    const examine = (...args) => server.command("doctor", server.url, "--project", "acme", "--idle", "0", ...args);
    expect(examine().out).toMatch(/^bad +PUT +status 401 UNAUTHORIZED\n +give --token/m);
    expect(examine("--token", token("read")).out).toMatch(/^bad +PUT +status 403 FORBIDDEN/m);
    const writer = examine("--token", token("write"));
    expect([writer.status, writer.out]).toEqual([0, expect.stringMatching(/^warn +DELETE +status 403 FORBIDDEN; the stream expires/m)]);
    const manager = examine("--token", token("manage"));
    expect([manager.status, manager.out]).toEqual([0, expect.stringMatching(/^ok +DELETE/m)]);
    expect(`${writer.out}${manager.out}`).not.toMatch(TOKEN);
  }, 30_000 * PATIENCE);
});

// Whoever writes to a stream, or answers instead of streamd, would have the operator's terminal otherwise.
describe.skipIf(!OWNED)("a terminal", () => {
  const fixture = useServer();
  const EVIL = "\x1b[2J\x9b31m\x07\x7f\u202e";
  const CONTROL = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/; // but tab and line feed
  let liar, url, answer;

  beforeAll(async () => {
    liar = createServer((request, response) => {
      const { status = 200, body = "", headers = {} } = answer(request.url);
      response.writeHead(status, headers);
      response.end(body);
    });
    await new Promise((resolve) => liar.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${liar.address().port}`;
  });
  afterAll(() => liar?.close());

  async function printed(...args) {
    const command = begin(fixture.server, ...args);
    await command.ended();
    const all = command.out.toString() + command.err;
    expect(all).not.toMatch(CONTROL);
    return all;
  }

  test("gets nothing but text from a server's answers", async () => {
    const stream = { name: EVIL, contentType: EVIL, nextOffset: `a\n${EVIL}`, bytes: 1, [EVIL]: { [EVIL]: EVIL }, list: { of: [{ [EVIL]: EVIL }] } };
    answer = () => ({ body: JSON.stringify({ streams: [stream], next: null }) });
    expect(await printed("streams", "--url", url)).toMatch(/^\\u001b\[2J\\u009b31m.*\t.*\ta\\n\\u001b.*\n$/);
    answer = () => ({ body: JSON.stringify(stream) });
    expect(await printed("show", "p/s", "--url", url)).toMatch(/^name: \\u001b\[2J/);
    expect(JSON.parse(await printed("show", "p/s", "--json", "--url", url))).toEqual(stream);
    answer = () => ({ status: 418, body: JSON.stringify({ code: EVIL, error: EVIL }) });
    expect(await printed("show", "p/s", "--url", url)).toMatch(/418 \\u001b/);
    expect(await printed("tail", "p/s", "--url", url)).toMatch(/418 \\u001b/);
    answer = (path) => (path === "/health" ? { body: "ok" } : { status: 201, headers: { location: "/\x9b31m" } });
    expect(await printed("doctor", url)).toMatch(/percent-encoding was removed/);
  }, 30_000 * PATIENCE);

  test.each(["", "more"])("and doctor comes to an end with a stream that has none: %j", async (body) => {
    let next = 0;
    answer = (path) => {
      if (path.includes("?")) next++;
      const headers = { "stream-next-offset": `0000000000000000_${String(next).padStart(16, "0")}` };
      return path === "/health" ? { body: "ok" } : { status: path.includes("?") ? 200 : 201, headers, body: path.includes("?") ? body : "" };
    };
    expect(await printed("doctor", url, "--idle", "0")).toMatch(/^bad +bytes/m);
  }, 60_000 * PATIENCE);

  test.each([
    ["200 without end", 200, {}],
    ["204 at once", 204, {}],
    ["410 for ever", 410, { "stream-earliest-offset": START }],
    ["events that end at once", 200, { "content-type": "text/event-stream" }, "--sse"],
  ])("and the server is not asked again and again: %s", async (_, status, headers, ...mode) => {
    const asked = [];
    const body = mode.length ? `event: control\ndata: {"streamNextOffset":"${START}"}\n\n` : "";
    const type = mode.length ? "application/json" : "text/plain";
    answer = (path) => {
      if (path.endsWith("?offset=now")) return { headers: { "content-type": type, "stream-next-offset": START } };
      asked.push(performance.now());
      return { status, headers: { "stream-next-offset": START, ...headers }, body };
    };
    const tail = begin(fixture.server, "tail", "p/s", "--url", url, ...mode);
    await until("six requests", () => asked.length >= 6, 30_000);
    tail.child.kill("SIGKILL");
    expect(asked[5] - asked[0]).toBeGreaterThan(300);
  }, 40_000 * PATIENCE);

  test.each([[], ["--sse"]])("gets nothing but text from a stream's messages: tail %s", async (...mode) => {
    const streams = new Streams(fixture.server);
    const onTerminal = ["-c", "import pty, sys; pty.spawn(sys.argv[1:])", join(BUILD, "streamd")];
    for (const [options, body, wanted] of [
      [{}, `one\ttwo\r\n${EVIL}end\n`, "one\ttwo\n\\u001b[2J\\u009b31m\\u0007\\u007f\u202eend\n"],
      [json, JSON.stringify([`${EVIL}\n`]), '"\\u001b[2J\\u009b31m\\u0007\\u007f\u202e\\n"\n'],
      [{ type: "application/x-thing" }, Buffer.from([0x1b, 0x5b, 0xff, 0x0a]), "\\u001b[\ufffd\n"],
    ]) {
      const name = await streams.fresh("terminal", { ...options, headers: { "stream-closed": "true" }, body });
      const { stdout } = spawnSync(
        "python3",
        [...onTerminal, "--set", `server.data_dir=${fixture.server.dataDir}`, "tail", name, "--from", "start", ...mode],
        { stdio: ["ignore", "pipe", "inherit"], timeout: 20_000 * PATIENCE },
      );
      expect(stdout.toString().replace(/\r+\n/g, "\n")).toBe(wanted);
    }
  }, 60_000 * PATIENCE);
});
