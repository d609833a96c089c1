// The checks of the READMEs find what is wrong in them: each test makes a tree of two folders with one fault planted.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterEach, expect, test } from "vitest";

const CHECK = join(import.meta.dirname, "../../scripts/check-tour.sh");
const SOUND = {
  "scripts/layers.txt": "# roof first\nrouter  the roof\ncommon  below all\n",
  "README.md": "# x\n\n[router](router/README.md), [common](common/README.md), [keys](common/README.md#adding-a-key): see `router/main.c`.\n",
  "router/README.md": "# router\n\nA router routes.\n\n| `main.c` | Starts, with `common/log.c`. |\n",
  "common/README.md": "# common\n\nWhat all use.\n\n| `log.c`, `keys.def` | Logs. |\n\n## Adding a key\n",
  "router/main.c": "",
  "common/log.c": "",
  "common/keys.def": "",
};
let tree;

afterEach(() => rmSync(tree, { recursive: true, force: true }));

function check(faults) {
  tree = mkdtempSync(join(tmpdir(), "streamd-readmes-"));
  for (const [file, text] of Object.entries({ ...SOUND, ...faults })) {
    if (text === null) continue;
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), text);
  }
  const { status, stderr } = spawnSync(CHECK, [tree], { encoding: "utf8" });
  return { status, complaints: stderr.split("\n").filter(Boolean) };
}

test("READMEs that name their files are right", () => {
  expect(check({})).toEqual({ status: 0, complaints: [] });
});

test.each([
  ["a folder without a README", { "router/README.md": null, "README.md": "[router](router/), [common](common/README.md)\n" }, /router\/README\.md: missing/],
  ["a file that no README names", { "router/new.c": "" }, /router\/README\.md: new\.c is not named/],
  ["a file that is gone", { "router/main.c": null, "router/other.c": "" }, /main\.c is named, and is not in the folder/],
  ["a path that is gone", { "README.md": `${SOUND["README.md"]}\`router/gone.c\`\n` }, /README\.md: router\/gone\.c does not exist/],
  ["another first line", { "router/README.md": SOUND["router/README.md"].replace("# router", "# Router") }, /the first line must be "# router"/],
  ["no sentence at the door", { "router/README.md": SOUND["router/README.md"].replace("routes.", "routes") }, /one sentence must say what the folder is/],
  ["a folder that the tour leaves out", { "README.md": "[router](router/README.md)\n" }, /the tour has no link to common/],
  ["a link to nothing", { "common/README.md": `${SOUND["common/README.md"]}[x](gone.txt)\n` }, /common\/README\.md: gone\.txt does not exist/],
  ["an anchor of no heading", { "common/README.md": SOUND["common/README.md"].replace("## Adding a key", "## Keys") }, /README\.md: common\/README\.md#adding-a-key has no such heading/],
])("%s is found", (_, faults, complaint) => {
  const { status, complaints } = check(faults);
  expect(status).toBe(1);
  expect(complaints.join("\n")).toMatch(complaint);
});
