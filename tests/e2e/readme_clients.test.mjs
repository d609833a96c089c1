// The snippets of the chapter "Clients" in router/README.md, as they are printed there. Those in Python and Go need packages that the
// tests do not install.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, onTestFinished, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { OWNED } from "../lib/server.mjs";
import { Streams } from "../lib/streams.mjs";
import { PATIENCE, until } from "../lib/wait.mjs";

const TESTS = new URL("..", import.meta.url).pathname;
const JSON_TYPE = { type: "application/json" };

// Answers are short, and event streams end every second: what a client does wrong shows.
const short = { "limits.read_page": "1K", "limits.read_answer": "4K" };
const fixture = useServer({ settings: { ...short, "live.sse_lifetime": "1s", "live.sse_retry": "20ms" } });
const streams = () => new Streams(fixture.server);

const chapter = /\n## Clients\n(.*?)\n## /s.exec(readFileSync(join(TESTS, "../router/README.md"), "utf8"))[1];

// The chapter's snippets in a language, with a server's address.
function snippets(language, { server } = fixture) {
  const found = [...chapter.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "gs"))];
  return found.map(([, text]) => text.replaceAll("http://127.0.0.1:4437", server.url));
}

// A program that runs until it ends or the test does: { output, ended: its status }.
function run(program, args, cwd) {
  const child = spawn(program, args, { cwd, stdio: ["ignore", "pipe", "inherit"] });
  const running = { output: "", ended: null };
  child.stdout.on("data", (data) => (running.output += data));
  child.on("exit", (code) => (running.ended = code));
  onTestFinished(() => child.kill("SIGKILL"));
  return running;
}

const node = (text) => run("node", ["--input-type=module", "-e", text], TESTS);

test("TypeScript: writes, reads everything, follows until the end", { timeout: 60_000 * PATIENCE }, async () => {
  const running = node(snippets("js")[0]);
  const count = async () => {
    const { status, next } = await streams().head("demo/events");
    return status === 200 ? Number(next.slice(17)) : 0;
  };
  await until("what it writes", async () => (await count()) === 1000);
  if (OWNED) await fixture.server.restartChild("router");
  for (let i = 0; i < 5; i++) {
    await streams().append("demo/events", JSON.stringify({ late: i }), JSON_TYPE);
    await new Promise((resolve) => setTimeout(resolve, 500)); // over ends of event streams
  }
  await streams().close("demo/events");
  await until("its end", () => running.ended !== null);
  expect([running.ended, running.output]).toEqual([0, "1005\n"]);
});

test("EventSource: over ends of event streams, until the end", { timeout: 60_000 * PATIENCE }, async () => {
  await streams().create("demo/chat", { ...JSON_TYPE, body: '[{"n":0},{"n":1}]' });
  const [, snippet] = snippets("js");
  const running = node(`import { EventSource } from "eventsource"\n${snippet}`);
  for (let n = 2; n < 6; n++) {
    await until(`message ${n - 1}`, () => running.output.includes(`n: ${n - 1} `));
    await new Promise((resolve) => setTimeout(resolve, 600));
    await streams().append("demo/chat", JSON.stringify({ n }), JSON_TYPE);
  }
  await streams().close("demo/chat");
  await until("its end", () => running.ended !== null);
  const numbers = [...running.output.matchAll(/n: (\d)/g)].map(([, n]) => Number(n));
  expect([running.ended, numbers]).toEqual([0, [0, 1, 2, 3, 4, 5]]);
});

// Passes connections on; the first answer breaks off inside its body. { url, broken: how many did }
async function cuttingProxy(target) {
  const proxy = { url: "", broken: 0 };
  const server = createServer((client) => {
    const upstream = connect(Number(new URL(target).port), new URL(target).hostname);
    let asked = "";
    client.on("data", (data) => upstream.write(data) && (asked += data));
    upstream.on("data", (data) => {
      const cut = asked.startsWith("GET") && proxy.broken === 0;
      client.write(cut ? data.subarray(0, data.indexOf("\r\n\r\n") + 100) : data);
      if (cut) proxy.broken++, client.end(), upstream.destroy();
    });
    for (const [one, other] of [[client, upstream], [upstream, client]])
      one.on("error", () => other.destroy()).on("close", () => other.end());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => server.close());
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  return proxy;
}

describe("curl, which does not reconnect", () => {
  const patient = useServer({ settings: short });

  test("copies everything and follows", { timeout: 60_000 * PATIENCE }, async () => {
    const there = new Streams(patient.server);
    const folder = mkdtempSync(join(tmpdir(), "streamd-readme-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const lines = Array.from({ length: 500 }, (_, i) => `line ${i} of a log\n`);
    await there.create("demo/log");
    for (let i = 0; i < 500; i += 50) await there.append("demo/log", lines.slice(i, i + 50).join(""));
    writeFileSync(join(folder, "head"), "Stream-Up-To-Date: true\r\n"); // of another run
    writeFileSync(join(folder, "copy"), "old");
    const proxy = await cuttingProxy(patient.server.url);
    const snippet = snippets("sh", patient).find((each) => each.includes("copy"));
    const running = run("bash", ["-c", snippet.replaceAll(patient.server.url, proxy.url)], folder);
    await until("the events", () => running.output.includes("upToDate"));
    expect([readFileSync(join(folder, "copy"), "utf8"), proxy.broken]).toEqual([lines.join(""), 1]);
    await there.append("demo/log", "one more\n");
    await there.close("demo/log");
    await until("its end", () => running.ended !== null);
    expect([running.ended, running.output.includes("data:one more")]).toEqual([0, true]);
  });
});
