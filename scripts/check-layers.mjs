// Holds the objects of a build to the law in scripts/layers.txt: a symbol that one file defines and another uses is an
// arrow. Each must stay in its folder or go down the list, inside one process or to `common`; no cycle may have more than
// two files; no name is global twice, also not in two programs: a debugger and a reader look names up.
//
//     node scripts/check-layers.mjs [BUILD]     in the root of the tree, after `make`; exit status 1: the law is broken

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";

const build = process.argv[2] ?? "build";
const layers = "scripts/layers.txt";
const folders = readFileSync(layers, "utf8").match(/^[a-z][a-z_/]*/gm);
const processOf = (file) => file.split("/")[0];
const inOneProgram = (a, b) => [processOf(a), "common"].includes(processOf(b)) || processOf(a) === "common";

// { defines: symbol -> files, uses: file -> symbols }
function readObjects() {
  const root = join(build, "obj");
  const objects = readdirSync(root, { recursive: true }).filter(
    (path) => /^(supervisor|router|shard|common)\/.*\.o$/.test(path) && existsSync(path.replace(/o$/, "c")),
  );
  const text = execFileSync("nm", ["-A", ...objects], { cwd: root, encoding: "utf8", maxBuffer: 1 << 28 });
  const defines = new Map();
  const uses = new Map();
  for (const [, file, kind, symbol] of text.matchAll(/^(.+)\.o:[0-9a-f ]+ ([A-Z]) (\S+)$/gm)) {
    if (kind === "U") uses.set(file, [...(uses.get(file) ?? []), symbol]);
    else if (symbol !== "main") defines.set(symbol, [...(defines.get(symbol) ?? []), file]);
  }
  return { defines, uses };
}

const { defines, uses } = readObjects();
const complaints = [];

const arrows = [...uses].flatMap(([from, symbols]) =>
  symbols.flatMap((symbol) =>
    (defines.get(symbol) ?? []).filter((to) => to !== from && inOneProgram(from, to)).map((to) => ({ from, to, symbol })),
  ),
);

for (const folder of new Set([...defines.values()].flat().map(dirname)))
  if (!folders.includes(folder)) complaints.push(`${folder}: this folder is missing in ${layers}`);

for (const { from, to, symbol } of arrows)
  if (folders.indexOf(dirname(to)) < folders.indexOf(dirname(from)))
    complaints.push(`${from}.c uses ${symbol} of ${to}.c, which lies above it`);

for (const [symbol, files] of defines)
  if (files.length > 1) complaints.push(`${symbol} is global twice: ${files.sort().map((file) => `${file}.c`).join(", ")}`);

// Files that reach each other (Tarjan's strongly connected components).
function components(graph) {
  const found = [];
  const index = new Map();
  const low = new Map();
  const stack = [];
  const visit = (file) => {
    index.set(file, index.size);
    low.set(file, index.get(file));
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(file, Math.min(low.get(file), low.get(next)));
    }
    if (low.get(file) === index.get(file)) found.push(stack.splice(stack.indexOf(file)));
  };
  for (const file of graph.keys()) if (!index.has(file)) visit(file);
  return found;
}

const graph = new Map();
for (const { from, to } of arrows) graph.set(from, (graph.get(from) ?? new Set()).add(to));
const cycles = components(graph).filter((files) => files.length > 1);
for (const files of cycles)
  if (files.length > 2) complaints.push(`a cycle of ${files.length} files: ${files.sort().join(" ")}`);

for (const complaint of [...new Set(complaints)].sort()) console.error(complaint);
const pairs = cycles.filter((files) => files.length === 2).map((files) => files.sort().join(" <-> "));
console.log(
  `layers: ${folders.length} folders, ${uses.size} files, ${arrows.length} arrows, ${complaints.length} complaints; ` +
    `pairs that know each other: ${pairs.join(", ") || "none"}`,
);
process.exitCode = complaints.length ? 1 : 0;
