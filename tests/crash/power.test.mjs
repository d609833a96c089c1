// The test of power failures is tested: it must notice a server whose fsync does nothing. And one failure after the other,
// at a chosen call, behind which everything that was not synced is gone.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { BUILD, Server } from "../lib/server.mjs";
import { PATIENCE, until } from "../lib/wait.mjs";
import { check } from "./check.mjs";
import { disconnect, positionOf, resultOf, send } from "./client.mjs";
import { History } from "./history.mjs";
import { TYPES, fromBody, payload, toBody } from "./payload.mjs";
import { ALL, NOTHING, Power, buildLibrary } from "./power.mjs";
import { powerOff } from "./power/power_off.mjs";
import { Random } from "./random.mjs";

const SETTINGS = {
  "shard.count": 1,
  "shard.flush_idle": "30ms",
  "segment.max_messages": 5,
  "server.restart_delay": "20ms",
  "router.shard_wait": "5s",
};
const SOME = 12; // appends
const PATIENT = { timeout: 60_000 * PATIENCE };

// One server, and streams of which everything that is acknowledged is written down.
class Scene {
  history = new History();
  streams = new Map(); // name → appends that were sent

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "streamd-power-"));
    this.power = new Power(this.folder);
    const { through } = this.power;
    this.server = new Server({ settings: SETTINGS, folder: this.folder, keep: true, expected: [/./], through });
  }

  url(name) {
    return `${this.server.url}/v1/stream/power/${name}`;
  }

  async #perform(what, method, request) {
    const op = this.history.begin(what);
    const answer = await send(this.url(what.s), method, { headers: { "content-type": TYPES.json }, ...request });
    this.history.end(op, resultOf(answer), answer);
    return resultOf(answer) === "ok";
  }

  create(name) {
    this.streams.set(name, 0);
    return this.#perform({ do: "create", s: name, kind: "json", path: name }, "PUT");
  }

  remove(name) {
    return this.#perform({ do: "delete", s: name }, "DELETE");
  }

  // True: it was acknowledged.
  append(name) {
    const id = `${name}.${this.streams.get(name)}`;
    this.streams.set(name, this.streams.get(name) + 1);
    return this.#perform({ do: "append", s: name, id, parts: 1 }, "POST", { body: toBody("json", payload("json", id, 300, 1)) });
  }

  async appendSome(name) {
    for (let n = 0; n < SOME; n++) await this.append(name);
  }

  // Until the journal is empty, and there is a segment.
  async offloaded() {
    await until("a segment", () => /, [1-9]\d* segments, .*, 0 batches/.test(this.server.command("verify", "--quick").out));
  }

  // What is wrong after a failure of the power that leaves nothing but what was synced.
  async complaintsAfterFailure() {
    await this.power.fail(this.server, ALL);
    this.power.disarm();
    const failed = await this.server.start().then(() => null, (error) => error);
    if (failed) return [failed.message];
    const wrong = [];
    for (const name of this.streams.keys()) {
      const answer = await send(`${this.url(name)}?offset=-1`, "GET");
      if (answer.status >= 500) wrong.push(`${name}: ${answer.status} ${answer.code}`);
      const units = answer.status === 200 ? fromBody("json", answer.body) : undefined;
      this.history.add({ e: "final", s: name, status: answer.status, next: positionOf(answer.offset), closed: false, units });
    }
    const { status, out, err } = this.server.command("verify");
    if (status !== 0) wrong.push(`${out}\n${err}`);
    return [...wrong, ...check(this.history.events).violations.map(({ rule, stream, text }) => `${rule}: ${stream}: ${text}`)];
  }

  async close() {
    await this.server.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

afterAll(disconnect);

// What the programs and their libraries could change files with, and the library does not see.
const CHANGES = /^(creat|p?writev2?|pwrite|write|truncate|ftruncate|p?fallocate|posix_fallocate|copy_file_range|splice|rename(at2?)?|unlink(at)?|remove|mkdir(at)?|rmdir|link(at)?|symlink(at)?|mknod(at)?|open(at)?|__open(at)?_2|mkstemps?|mkostemps?|fsync|fdatasync|syncfs|sync_file_range)(64)?$/;

test("no program changes files by a call that the library does not see", () => {
  const run = (...words) => execFileSync(words[0], words.slice(1), { encoding: "utf8" });
  const names = (which, path) => run("nm", "-D", which, path).split("\n").map((line) => line.split(" ").at(-1).split("@")[0]);
  const seen = new Set(names("--defined-only", buildLibrary()));
  const programs = ["streamd", "streamd-router", "streamd-shard"].map((name) => join(BUILD, name));
  const libraries = programs.flatMap((path) => run("ldd", path).match(/\/\S*lib(sqlite3|nanomsg|event)\S*/g));
  for (const path of new Set([...programs, ...libraries]))
    expect(names("--undefined-only", path).filter((name) => CHANGES.test(name) && !seen.has(name)), path).toEqual([]);
});

// A program changes the files of a folder: what is there after a failure.
describe("of what was not synced", () => {
  const A = "a".repeat(2048);
  const B = "b".repeat(1300);
  const SCRIPT = `
    const { closeSync, fsyncSync, ftruncateSync, mkdirSync, openSync, renameSync, unlinkSync, writeFileSync, writeSync } = require("node:fs");
    const sync = (path) => { const fd = openSync(path, "r"); fsyncSync(fd); closeSync(fd); };
    const make = (path, text) => { const fd = openSync(path, "w+"); writeSync(fd, text); fsyncSync(fd); return fd; };
    const [written, cut, , , lost, again] = ["written", "cut", "unlinked", "replaced", "lost", "again"].map((path) => make(path, "${A}"));
    sync(".");
    writeSync(written, "${B}", 300);
    writeSync(written, "${B}", 1500);
    ftruncateSync(cut, 100);
    writeSync(cut, "${B}", 600);
    unlinkSync("unlinked");
    make("replacement", "${B}");
    renameSync("replacement", "replaced");
    make("made", "${B}");
    mkdirSync("folder");
    make("folder/file", "${B}");
    sync("folder");
    writeSync(lost, "${B}", 0);
    writeFileSync(process.env.STREAMD_POWER + "/orders/sync", "EIO */lost");
    try { fsyncSync(lost); } catch { fsyncSync(lost); }
    writeSync(again, "${B}", 2048);
    writeFileSync(process.env.STREAMD_POWER + "/orders/sync", "EIO */again");
    try { fsyncSync(again); } catch { writeSync(again, "${B}", 2048); }
    fsyncSync(again);`;
  const put = (text, at, more) => text.slice(0, at).padEnd(at, "\0") + more + text.slice(at + more.length);
  const synced = { written: A, cut: A, unlinked: A, replaced: A, lost: A, again: A + B };
  const once = put(A, 300, B);
  const all = {
    written: put(once, 1500, B),
    cut: put(A.slice(0, 100), 600, B),
    replaced: B,
    made: B,
    file: B,
    lost: put(A, 0, B),
    again: A + B,
  };

  function leave(chanceOf) {
    const folder = mkdtempSync(join(tmpdir(), "streamd-power-"));
    mkdirSync(join(folder, "data"));
    const power = new Power(folder);
    const [program, ...words] = power.through;
    execFileSync(program, [...words, process.execPath, "-e", SCRIPT], { cwd: power.root });
    powerOff(power.folder, power.root, chanceOf);
    const files = readdirSync(power.root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const content = files.map(({ name, parentPath }) => [name, readFileSync(join(parentPath, name), "latin1")]);
    rmSync(folder, { recursive: true, force: true });
    return Object.fromEntries(content);
  }

  const sectors = (text, length) => text.slice(0, length).padEnd(length, "\0").match(/[^]{1,512}/g);

  test("nothing is left", () => expect(leave(ALL)).toEqual(synced));

  test("everything is left", () => expect(leave(NOTHING)).toEqual(all));

  test("a part is left, by sectors and names", PATIENT, () => {
    let torn = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const random = new Random(seed);
      const { written, cut, lost, ...whole } = leave(() => () => random.chance(0.5));
      expect([A.length, all.written.length]).toContain(written.length);
      for (const [i, sector] of sectors(written, written.length).entries())
        expect([A, once, all.written].map((text) => sectors(text, written.length)[i])).toContain(sector);
      torn += ![A, once, all.written].includes(written);
      expect([A.length, 100, all.cut.length]).toContain(cut.length);
      expect(lost.length).toBe(A.length);
      for (const [name, text] of Object.entries(whole)) expect([synced[name], all[name], B]).toContain(text);
    }
    expect(torn).toBeGreaterThan(0);
  });
});

// What is synced in vain, a pattern of its path, and what is noticed.
describe.for([
  ["nothing", null, /^$/],
  ["the journal", "*.journal-*", /batch \d+ of the journal is missing/],
  ["the WAL", "*-wal", /^delete undone: |batch \d+ of the journal is missing/m],
  ["the database", "*.db", /^vanished: /m],
  ["segments", "*.seg", /SEGMENT_TRUNCATED/],
  ["the folders of slots", "*/segments/???", /SEGMENT_MISSING/],
  ["the folder of segments", "*/segments", /SEGMENT_UNAVAILABLE/],
  ["the data folder", "*/data", /^vanished: /m],
  ["the folder that has the data folder", dirname, /^vanished: /m],
])("a server that syncs %s in vain", ([, lie, expected]) => {
  test(lie ? "loses what it has acknowledged, which is noticed" : "loses nothing", PATIENT, async () => {
    const scene = new Scene();
    if (lie) scene.power.order("sync", "lie", lie === dirname ? dirname(scene.power.root) : lie);
    await scene.server.start();
    for (const name of ["s", "deleted"]) {
      await scene.create(name);
      await scene.appendSome(name);
    }
    await scene.offloaded();
    await scene.server.stop();
    await scene.server.start();
    await scene.appendSome("s");
    await scene.remove("deleted");
    expect((await scene.complaintsAfterFailure()).join("\n")).toMatch(expected);
    await scene.close();
  });
});

describe("one call", () => {
  let scene;
  beforeAll(async () => {
    scene = new Scene();
    await scene.server.start();
  }, 60_000 * PATIENCE);
  afterAll(() => scene.close());

  // Appends until the order is taken. A shard that starts again checkpoints; it has longer each time, to make segments. One
  // whose call waits for the end of all may not answer.
  async function provoke(name) {
    const { power, server } = scene;
    const before = power.total;
    for (let n = 1, kill = SOME; power.collect(), power.total === before; n++) {
      let answered = false;
      scene.append(name).then(() => (answered = true));
      await until("an answer, or no power", () => answered || power.isOff || !server.running);
      if (!server.running) throw new Error(`the server has ended:\n${server.log.slice(-2000)}`);
      if (n < kill || power.isOff) continue;
      scene.server.killChildren("shard");
      kill += 2 * n;
    }
  }

  let streams = 0;
  test.for([
    ["write", "EIO", "*-wal"],
    ["write", "ENOSPC", "*-wal"],
    ["write", "short", "*-wal"],
    ["write", "EIO", "*.journal-*"],
    ["write", "ENOSPC", "*.journal-*"],
    ["write", "short", "*.journal-*"],
    ["write", "EIO", "*.db"],
    ["write", "EIO", "*.seg"],
    ["write", "short", "*.seg"],
    ["sync", "EIO", "*-wal"],
    ["sync", "EIO", "*.journal-*"],
    ["sync", "EIO", "*.db"],
    ["sync", "EIO", "*.seg"],
    ["sync", "EIO", "*/segments/???"],
    ["sync", "EIO", "*/segments"],
    ["open", "EIO", "*.seg"],
    ["open", "ENOSPC", "*-wal"],
    ["mkdir", "EIO", "*/segments/???"],
    ["allocate", "ENOSPC", "*-wal"],
    ["write", "off", "*-wal"],
    ["write", "off", "*.journal-*"],
    ["write", "off", "*.db"],
    ["write", "off", "*.seg"],
    ["sync", "off", "*-wal"],
    ["sync", "off", "*.journal-*"],
    ["sync", "off", "*.db"],
    ["sync", "off", "*.seg"],
    ["sync", "off", "*/segments/???"],
    ["sync", "off", "*/segments"],
    ["mkdir", "off", "*/segments/???"],
  ])("%s %s %s: nothing that was acknowledged is lost", PATIENT, async ([kind, action, pattern]) => {
    const name = `s${++streams}`;
    await scene.create(name);
    scene.power.order(kind, action, pattern);
    await provoke(name);
    if (action !== "off") await until("an append", () => scene.append(name));
    expect(await scene.complaintsAfterFailure()).toEqual([]);
  });

  // The start that follows writes the journal anew, and fails at it, too; so the next one has to.
  test("the fsync of a commit, and then that of the start that follows", PATIENT, async () => {
    const { power, server } = scene;
    await scene.create("twice");
    await scene.append("twice");
    const before = power.total;
    const taken = (count) => until("a failure", () => (power.collect(), power.total === before + count));
    power.order("sync", "EIO", "*.journal-*");
    server.signal("SIGSTOP");
    const first = scene.append("twice");
    await taken(1);
    power.order("sync", "EIO", "*.journal-*");
    server.signal("SIGCONT");
    await taken(2);
    await first;
    await until("an append", () => scene.append("twice"));
    expect(await scene.complaintsAfterFailure()).toEqual([]);
  });
});
