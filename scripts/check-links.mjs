// Holds the links of READMEs against the tree that they are in: each relative link names a file or folder that exists, and
// each anchor a heading.
//
//     node scripts/check-links.mjs [ROOT]     exit status 1: a link does not work

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";

const root = process.argv[2] ?? ".";

// The folders of a build and of packages have READMEs that are not ours.
function* readmes(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !/^(\.|node_modules$|build)/.test(entry.name)) yield* readmes(path);
    else if (entry.name === "README.md") yield path;
  }
}

const proseOf = (path) => readFileSync(path, "utf8").replace(/^```.*?^```/gms, "");

// As GitHub makes them: lower case, no punctuation, a dash for each space, and a number where one came before.
function anchorsOf(path) {
  const anchors = new Set();
  for (const [, title] of proseOf(path).matchAll(/^#+ (.*)$/gm)) {
    const slug = title.toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, "").replaceAll(" ", "-");
    let anchor = slug;
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`;
    anchors.add(anchor);
  }
  return anchors;
}

function faultOf(from, link) {
  const [path, anchor] = link.split("#");
  const target = path ? normalize(join(dirname(from), path)) : from;
  if (relative(root, target).startsWith("..")) return "leaves the tree";
  if (!existsSync(target)) return "does not exist";
  if (anchor === undefined) return null;
  if (statSync(target).isDirectory() || !target.endsWith(".md")) return "has an anchor, and is no README";
  return anchorsOf(target).has(anchor) ? null : "has no such heading";
}

let links = 0;
let faults = 0;
for (const from of readmes(root))
  for (const [, link] of proseOf(from).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(link)) continue;
    links++;
    const fault = faultOf(from, link);
    if (!fault) continue;
    faults++;
    console.error(`${relative(root, from)}: ${link} ${fault}`);
  }
if (faults) process.exit(1);
console.log(`READMEs: ${links} links, each works`);
