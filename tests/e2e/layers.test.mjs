// The check of the layers finds what breaks the law: each test compiles a tree of a few files with one fault planted.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, expect, test } from "vitest";

const CHECK = join(import.meta.dirname, "../../scripts/check-layers.mjs");
const LAYERS = "# roof first\nrouter  the roof\nrouter/conn  below\nshard  another process\ncommon  below all\n";
let tree;

afterEach(() => rmSync(tree, { recursive: true, force: true }));

// files: path without ".c" -> its text.
function check(files) {
  tree = mkdtempSync(join(tmpdir(), "streamd-layers-"));
  for (const [file, text] of Object.entries({ "scripts/layers.txt": LAYERS, ...files })) {
    const path = join(tree, file.endsWith(".txt") ? file : `${file}.c`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    if (file.endsWith(".txt")) continue;
    mkdirSync(join(tree, "build/obj", dirname(file)), { recursive: true });
    execFileSync("cc", ["-c", "-o", join(tree, "build/obj", `${file}.o`), path]);
  }
  const { status, stderr } = spawnSync("node", [CHECK], { cwd: tree, encoding: "utf8" });
  return { status, complaints: stderr.split("\n").filter(Boolean) };
}

const calls = (own, ...others) =>
  `${others.map((other) => `void ${other}(void);\n`).join("")}void ${own}(void){${others.map((other) => `${other}();`).join("")}}\n`;

const SOUND = {
  "router/router": calls("router_turn", "conn_read", "log_line"),
  "router/conn/conn": calls("conn_read", "log_line"),
  "shard/shard": calls("shard_turn", "log_line"),
  "common/log": calls("log_line"),
};

test("arrows that go down are right", () => {
  expect(check(SOUND)).toEqual({ status: 0, complaints: [] });
});

test("a call upwards is named, with both files and the symbol", () => {
  const { status, complaints } = check({ ...SOUND, "router/conn/conn": calls("conn_read", "router_turn") });
  expect(status).toBe(1);
  expect(complaints).toEqual(["router/conn/conn.c uses router_turn of router/router.c, which lies above it"]);
});

test("a call from common is upwards, whatever it calls", () => {
  const { complaints } = check({ ...SOUND, "common/log": calls("log_line", "shard_turn") });
  expect(complaints).toEqual(["common/log.c uses shard_turn of shard/shard.c, which lies above it"]);
});

test("two files may know each other, three may not", () => {
  const two = {
    ...SOUND,
    "router/conn/conn": calls("conn_read", "output_add"),
    "router/conn/output": calls("output_add", "conn_read"),
  };
  expect(check(two).status).toBe(0);
  rmSync(tree, { recursive: true, force: true });
  const three = {
    ...two,
    "router/conn/output": calls("output_add", "deadline_set"),
    "router/conn/deadline": calls("deadline_set", "conn_read"),
  };
  expect(check(three).complaints).toEqual([
    "a cycle of 3 files: router/conn/conn router/conn/deadline router/conn/output",
  ]);
});

test("a name that is global twice is named, also in two programs", () => {
  const { complaints } = check({ ...SOUND, "router/conn/output": calls("shard_turn") });
  expect(complaints).toContain("shard_turn is global twice: router/conn/output.c, shard/shard.c");
});

test("a folder that the list does not have is named", () => {
  const { complaints } = check({ ...SOUND, "router/tls/tls": calls("tls_read") });
  expect(complaints).toContain("router/tls: this folder is missing in scripts/layers.txt");
});
