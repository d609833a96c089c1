// Prometheus itself scrapes a server with traffic of every kind: each query of the dashboard finds something, and each
// alert can be told.

import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { useServer } from "../lib/fixture.mjs";
import { nameOnShard } from "../lib/layout.mjs";
import { scrape } from "../lib/metrics.mjs";
import { OWNED } from "../lib/server.mjs";
import { EventReader } from "../lib/sse.mjs";
import { Streams, call } from "../lib/streams.mjs";
import { PATIENCE, sleep, until } from "../lib/wait.mjs";

const HAS_PROMETHEUS = spawnSync("prometheus", ["--version"]).status === 0;
const SCRIPTS = join(import.meta.dirname, "../../scripts");
const RULES = join(SCRIPTS, "prometheus/streamd.rules.yml");
const DASHBOARD = join(SCRIPTS, "grafana/streamd.json");

const panels = JSON.parse(readFileSync(DASHBOARD, "utf8")).panels;
const queries = panels.flatMap(({ title, targets }) => (targets ?? []).map(({ expr }) => ({ title, expr })));

// What only a store of segments and backups would give numbers to.
const NEEDS_S3 = /streamd_s3_|streamd_backup_/;

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const configuration = (target) => `
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${RULES}]
scrape_configs:
  - job_name: streamd
    static_configs: [{ targets: ["${target}"] }]
`;

// Appends, reads of every tier, live readers, estuaries in another shard, errors, until it is told to stop.
async function traffic(server, state) {
  const streams = new Streams(server);
  const json = { "content-type": "application/json" };
  const source = nameOnShard(server, 0, "source");
  const [project, id] = source.split("/");
  await streams.create(source, { type: "application/json" });
  const estuary = nameOnShard(server, 1, "estuary").split("/")[1];
  await call(`${server.url}/v1/estuary/subscribe/${project}/${id}`, "POST", {
    headers: json,
    body: JSON.stringify({ estuaryId: estuary }),
  });
  const name = nameOnShard(server, 1, "tiers");
  await streams.create(name);
  const reader = EventReader.open(streams.url(name), { query: { offset: "now" } });
  while (!state.over) {
    const poll = streams.longPoll(name, "now");
    await sleep(50);
    await Promise.all([
      poll,
      ...Array.from({ length: 5 }, () => streams.append(name, "0123456789".repeat(20))),
      streams.append(source, '{"a":1}', { type: "application/json" }),
      streams.fresh("more"),
      streams.read("test/not-there"),
    ]);
    const { next } = await streams.head(name);
    await Promise.all([streams.readAll(name), streams.read(name, { offset: next })]);
    await call(streams.url(await streams.fresh("gone")), "DELETE");
  }
  reader.close();
}

describe.skipIf(!OWNED || !HAS_PROMETHEUS)("Prometheus", () => {
  const fixture = useServer({
    settings: { "shard.count": 2, "segment.max_messages": 50, "shard.flush_idle": "100ms", "shard.flush_appends": 64 },
  });
  const state = { over: false };
  let prometheus, url, busy, log = "";

  const ask = async (path, parameters) => {
    const { status, text } = await call(`${url}/api/v1/${path}`, "GET", { query: parameters });
    if (status !== 200) throw new Error(`${path} ${JSON.stringify(parameters)}: ${text}`);
    return JSON.parse(text).data;
  };

  beforeAll(async () => {
    const folder = join(fixture.server.folder, "prometheus");
    const port = await freePort();
    mkdirSync(folder);
    writeFileSync(join(folder, "prometheus.yml"), configuration(fixture.server.url.replace("http://", "")));
    url = `http://127.0.0.1:${port}`;
    prometheus = spawn("prometheus", [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ]);
    prometheus.stderr.on("data", (data) => (log += data));
    busy = traffic(fixture.server, state);
    const ready = () => call(`${url}/-/ready`).then(({ status }) => status === 200, () => false);
    await until("Prometheus", ready, 30_000);
  }, 60_000 * PATIENCE);

  afterAll(async () => {
    state.over = true;
    await busy;
    prometheus?.kill();
  }, 60_000 * PATIENCE);

  test("finds data for every query of the dashboard", async () => {
    const left = new Map(queries.map((query) => [query.expr, query.title]));
    const found = async (expr) => {
      const filled = expr.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "10s");
      const { result } = await ask("query", { query: filled });
      return NEEDS_S3.test(expr) || result.some(({ value }) => value[1] !== "NaN");
    };
    await until(
      "data",
      async () => {
        for (const expr of left.keys()) if (await found(expr)) left.delete(expr);
        if (left.size) await sleep(200);
        return left.size === 0;
      },
      30_000,
    ).catch((error) => {
      throw new Error(`${error.message}: ${[...left].map(([expr, title]) => `${title}: ${expr}`).join("\n")}\n${log}`);
    });
    expect(queries.length).toBeGreaterThan(40);
  }, 60_000 * PATIENCE);

  test("can tell every alert, and has nothing to tell of a healthy server", async () => {
    const rules = await until("the rules to be evaluated", async () => {
      const { groups } = await ask("rules");
      const all = groups.flatMap(({ rules }) => rules);
      return all.length && all.every(({ lastEvaluation }) => !lastEvaluation.startsWith("0001")) && all;
    });
    expect(rules.length).toBe(readFileSync(RULES, "utf8").match(/- alert:/g).length);
    expect(rules.filter(({ health }) => health !== "ok")).toEqual([]);
    const { alerts } = await ask("alerts");
    expect(alerts.filter(({ state }) => state === "firing")).toEqual([]);
  });

  test("is asked for nothing that is not on the page", async () => {
    const names = new Set((await scrape(fixture.server.url)).map(({ name }) => name));
    const said = readFileSync(RULES, "utf8").replaceAll(/^ +(summary|description):.*$/gm, "") + JSON.stringify(queries);
    const asked = new Set(said.match(/streamd_\w+/g));
    expect([...asked].filter((name) => !names.has(name))).toEqual([]);
  });

  test("the alerts are those that are wanted", () => {
    const file = join(import.meta.dirname, "../prometheus/rules.test.yml");
    for (const words of [["check", "rules", RULES], ["test", "rules", file]]) {
      const { status, stdout, stderr } = spawnSync("promtool", words, { encoding: "utf8" });
      expect([status, stdout + stderr]).toEqual([0, expect.stringContaining("SUCCESS")]);
    }
  });
});
