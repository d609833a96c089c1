// `streamd verify`: nothing to complain of while the server works, when it was stopped and when it was killed; and each
// kind of damage is named.

import { spawnSync } from "node:child_process";
import { cpSync, lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { nameOnShard, shardOf, slotOf } from "../lib/layout.mjs";
import { BUILD, OWNED, Server } from "../lib/server.mjs";
import { Streams, call } from "../lib/streams.mjs";
import { SLOW, sleep, until } from "../lib/wait.mjs";

const JSON_TYPE = "application/json";
const SETTINGS = {
  "shard.count": 2,
  "shard.flush_idle": "20ms",
  "segment.max_messages": 10,
  "segment.max_bytes": "16K",
};
const CLEAN = /^verified: 3 databases, (\d+) streams, (\d+) segments, 0 problems$/m;
const PAD = "x".repeat(200);

// Runs SQL on a database as somebody would who should not: the rows of the last statement.
const EDIT = `
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
rows = []
for statement in sys.argv[2:]:
    rows = db.execute(statement).fetchall()
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.close()
print(json.dumps(rows, default=lambda blob: blob.decode("latin1")))
`;

function edit(folder, shard, ...statements) {
  const file = join(folder, typeof shard === "string" ? shard : `shard-${shard}.db`);
  const { status, stdout, stderr } = spawnSync("python3", ["-c", EDIT, file, ...statements], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

// One number of a database, beside whoever works on it.
function number(folder, shard, query) {
  const script = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1], uri=True).execute(sys.argv[2]).fetchone()[0])";
  const uri = `file:${join(folder, `shard-${shard}.db`)}?mode=ro`;
  const { status, stdout, stderr } = spawnSync("python3", ["-c", script, uri, query], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return Number(stdout);
}

function fnv(text) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = ((hash ^ BigInt(byte)) * 0x100000001b3n) & ((1n << 64n) - 1n);
  return hash.toString(16).padStart(16, "0");
}

describe.skipIf(!OWNED)("streamd verify", () => {
  let server, streams, whole;
  const names = {};
  const copies = mkdtempSync(join(tmpdir(), "streamd-verify-"));

  const url = (path) => `${server.url}/v1/${path}`;
  const post = (path, body) =>
    call(url(path), "POST", { headers: { "content-type": JSON_TYPE }, body: JSON.stringify(body) });
  const must = ({ status, text }) => {
    if (status >= 300) throw new Error(`${status} ${text}`);
  };
  const messages = (name, from, to) => `[${Array.from({ length: to - from }, (_, i) => `{"n":${from + i},"in":"${name}"}`)}]`;
  const fill = async (name, type, count) => {
    for (let n = 0; n < count; n++)
      must(
        type === JSON_TYPE
          ? await streams.append(name, messages(name, n * 3, n * 3 + 3), { type })
          : await streams.produce(name, `${name} ${n}\n`, { seq: n, type }),
      );
  };

  // Of every kind, in both shards and all tiers.
  async function populate() {
    for (const shard of [0, 1])
      for (const [about, type] of [["json", JSON_TYPE], ["text", "text/plain"]]) {
        const name = (names[`${about}${shard}`] = nameOnShard(server, shard, about));
        must(await streams.create(name, { type, headers: { "stream-ttl": "100000" } }));
        await fill(name, type, 25);
      }
    for (const [about, headers] of [
      ["retained", { "stream-retention-bytes": "2000" }],
      ["closed", {}],
      ["deleted", {}],
      ["held", {}],
    ]) {
      names[about] = await streams.fresh(about, { type: "text/plain", headers });
      await fill(names[about], "text/plain", 60);
    }
    must(await streams.close(names.closed));
    for (const shard of [0, 1]) {
      const name = (names[`fork${shard}`] = nameOnShard(server, shard, "fork"));
      const anchor = { at: 12 };
      must(await streams.fork(name, names.json0, shard ? anchor : {}));
      await fill(name, JSON_TYPE, 15);
      must(await streams.fork((names[`again${shard}`] = `${name}-again`), name));
      await fill(`${name}-again`, JSON_TYPE, 2);
    }
    must(await streams.fork((names.holder = "test/holder"), names.held));
    must(await streams.remove(names.held));
    must(await streams.remove(names.deleted));
    names.doomed = nameOnShard(server, 0, "doomed");
    must(await streams.create(names.doomed, { type: "text/plain" }));
    await fill(names.doomed, "text/plain", 3);
    for (const [id, envelope] of [["a", false], ["b", false], ["c", false], ["d", true]])
      must(await post("estuary/subscribe/test/" + names.json1.slice(5), { estuaryId: id, envelope }));
    for (let n = 0; n < 8; n++)
      must(await streams.append(names.json1, JSON.stringify({ n, pad: PAD }), { type: JSON_TYPE }));
    await until("the estuaries", async () => /_0{15}8$/.test((await streams.head("test/d")).next));
  }

  const verify = (folder, ...more) => {
    const words = ["--set", `server.data_dir=${folder}`, "verify", ...more];
    const { status, stdout, stderr } = spawnSync(join(BUILD, "streamd"), words, { encoding: "utf8" });
    expect(stderr).not.toMatch(/Sanitizer|runtime error/);
    return { status, out: stdout, lines: stdout.trim().split("\n") };
  };

  beforeAll(async () => {
    server = await Server.start({ settings: SETTINGS });
    expect(server.command("create-project", "test").status).toBe(0);
    streams = new Streams(server);
    await populate();
  });
  afterAll(async () => {
    await server.close();
    rmSync(copies, { recursive: true });
  });

  test("while it runs, under writes", async () => {
    let writing = true;
    const write = async (i) => {
      for (let n = 0; writing; n++) {
        const name = await streams.fresh(`busy${i}`, { type: JSON_TYPE, headers: { "stream-retention-bytes": "3000" } });
        await fill(name, JSON_TYPE, 30);
        must(await streams.append(names.json1, JSON.stringify({ i, n, pad: PAD }), { type: JSON_TYPE }));
        must(await streams.fork(`${name}-fork`, name));
        must(await streams.remove(name));
        must(await streams.remove(`${name}-fork`));
      }
    };
    const writers = [0, 1, 2, 3].map(write);
    try {
      for (const words of [[], ["--quick"], [], [], [], []]) {
        const { status, out, err } = await server.commandLater("verify", ...words);
        expect({ status, out, err }).toEqual({ status: 0, out: expect.stringMatching(CLEAN), err: "" });
      }
    } finally {
      writing = false;
      await Promise.all(writers);
    }
  });

  // What is damaged below has to be where it belongs: in chunks and segments, not in the journal.
  const settled = () =>
    until(
      "the journals to be nearly empty, and history to be in segments",
      () =>
        server.command("verify", "--quick").out.match(/, [0-2] batches in the journal$/gm)?.length === 2 &&
        [0, 1].every((shard) => number(server.dataDir, shard, "SELECT count(*) FROM stream WHERE due") === 0),
      15_000,
    );

  test("after it was stopped", async () => {
    await settled();
    expect(await server.stop()).toEqual({ code: 0, signal: null });
    const { status, lines } = verify(server.dataDir);
    expect(lines.at(-1)).toMatch(CLEAN);
    const [, count, segments] = CLEAN.exec(lines.at(-1));
    expect(Number(count)).toBeGreaterThan(15);
    expect(Number(segments)).toBeGreaterThan(30);
    expect(status).toBe(0);
    expect(lines).toContain("registry.db: 1 projects");
    expect(lines).toContain("layout: 2 shards");
  });

  test("after it was killed, with appends in the journal only", async () => {
    await server.start({ "shard.flush_idle": "1m" });
    for (const name of [names.json0, names.json1, names.fork0, names.fork1]) await fill(name, JSON_TYPE, 3);
    for (const name of [names.text0, names.text1])
      for (let seq = 25; seq < 30; seq++) must(await streams.produce(name, `more\n`, { seq }));
    names.born = await streams.fresh("born", { type: JSON_TYPE });
    await fill(names.born, JSON_TYPE, 2);
    must(await streams.remove(names.doomed)); // its row changes, so this entry of the journal is a row too
    await server.kill();
    const { status, lines } = verify(server.dataDir);
    expect(lines.at(-1)).toMatch(CLEAN);
    expect(lines.filter((line) => /^shard-\d\.db: .* [1-9]\d* batches in the journal$/.test(line))).toHaveLength(2);
    expect(status).toBe(0);
    whole = server.dataDir;
  });

  // ---- damage ----

  // What verify says of a copy that `damage` has been at.
  function damaged(damage, ...more) {
    const folder = mkdtempSync(join(copies, "data-"));
    cpSync(whole, folder, { recursive: true, filter: (path) => !lstatSync(path).isSocket() });
    damage(folder);
    const result = verify(folder, ...more);
    rmSync(folder, { recursive: true });
    return result;
  }

  const uidOf = (folder, name) => {
    const shard = shardOf(server, name);
    const [[uid]] = edit(folder, shard, `SELECT CAST(uid AS TEXT) FROM stream WHERE name = CAST('${name}' AS BLOB)`);
    return { shard, uid };
  };
  const alter = (name, sql) => (folder) => {
    const { shard, uid } = uidOf(folder, names[name]);
    edit(folder, shard, sql.replaceAll("$uid", uid));
  };
  const segmentOf = (folder, name) => {
    const { uid } = uidOf(folder, names[name]);
    const digits = BigInt(uid).toString(16).padStart(16, "0");
    const slot = join(folder, "segments", digits.slice(2, 5));
    const file = readdirSync(slot).find((entry) => entry.startsWith(digits));
    return join(slot, file);
  };
  const flip = (file, at) => {
    const bytes = readFileSync(file);
    bytes[at < 0 ? bytes.length + at : at] ^= 0x5a;
    writeFileSync(file, bytes);
  };
  const pageOf = (folder, shard, table) => {
    const [[page]] = edit(folder, shard, `SELECT rootpage FROM sqlite_schema WHERE name = '${table}'`);
    const file = join(folder, `shard-${shard}.db`);
    const size = readFileSync(file).readUInt16BE(16);
    return { file, at: (page - 1) * size, size };
  };
  // A text in the chunks of a stream, changed where it lies in the file.
  const scribble = (folder, name, from, to) => {
    const { shard } = uidOf(folder, names[name]);
    const { file } = pageOf(folder, shard, "chunk");
    const bytes = readFileSync(file);
    const text = Buffer.from(from);
    let count = 0;
    for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1), count++) bytes.write(to, at);
    expect(count).toBeGreaterThan(0);
    writeFileSync(file, bytes);
  };

  const KINDS = {
    "a page's beginning": [
      (folder) => {
        const { file, at } = pageOf(folder, 0, "chunk_start");
        for (let i = 0; i < 12; i++) flip(file, at + i);
      },
      /^shard-0\.db: .*(Tree|malformed|page|cell)/m,
    ],
    "a whole page": [
      (folder) => {
        const { file, at, size } = pageOf(folder, 1, "stream");
        for (let i = 0; i < size; i++) flip(file, at + i);
      },
      /^shard-1\.db: (stream .*: )?it cannot be read: .*malformed/m,
    ],
    "the database's first page": [
      (folder) => {
        edit(folder, 0);
        writeFileSync(join(folder, "shard-0.db"), Buffer.alloc(8192, 7));
      },
      /^shard-0\.db: .*not a database/m,
    ],
    "a database cut in two": [
      (folder) => {
        const { file } = pageOf(folder, 0, "chunk");
        truncateSync(file, Math.floor(readFileSync(file).length / 8192) * 4096);
      },
      /^shard-0\.db: /m,
    ],
    "a database that is gone": [(folder) => rmSync(join(folder, "shard-1.db")), /^shard-1\.db: it is missing$/m],
    "another schema": [
      (folder) => edit(folder, 0, "PRAGMA user_version = 999"),
      /^shard-0\.db: its schema version is 999; this streamd knows \d+$/m,
    ],
    "letters of JSON in a chunk": [
      (folder) => scribble(folder, "again0", '{"n":1,"in"', '{"n":1;"in"'),
      /^shard-\d\.db: stream test\/fork-.*-again: chunk at \d+: a message is not JSON$/m,
    ],
    "a chunk's row": [
      alter("text0", "DELETE FROM chunk WHERE id = (SELECT max(id) FROM chunk WHERE uid = $uid)"),
      /^shard-0\.db: stream test\/text-\S+: its chunks end at \d+, \d+ was expected$/m,
    ],
    "a chunk's place": [
      alter("text0", "UPDATE chunk SET start = start + 1000 WHERE uid = $uid"),
      /^shard-0\.db: stream test\/text-\S+: its chunks begin at \d+, \d+ was expected$/m,
    ],
    "a chunk's marks": [
      alter("again0", "UPDATE chunk SET marks = x'0304' WHERE uid = $uid"),
      /^shard-\d\.db: stream test\/fork-\S+: chunk at \d+: (its boundaries|a message|it does not)/m,
    ],
    "a chunk's count": [
      alter("again0", "UPDATE chunk SET count = count + 1 WHERE uid = $uid"),
      /chunk at \d+: it does not hold as many positions as it says$/m,
    ],
    "where a stream is settled": [
      alter("json0", "UPDATE stream SET settled = settled + 5 WHERE uid = $uid"),
      /^shard-0\.db: stream test\/json-\S+: its chunks end at \d+, \d+ was expected$/m,
    ],
    "where a stream is cold": [
      alter("json0", "UPDATE stream SET cold = cold - 1 WHERE uid = $uid"),
      /^shard-0\.db: stream test\/json-\S+: its segments end at \d+, \d+ was expected$/m,
    ],
    "a stream's bytes": [
      alter("closed", "UPDATE stream SET bytes = bytes + 3 WHERE uid = $uid"),
      /^shard-\d\.db: stream test\/closed-\S+: it counts \d+ bytes; its segments have \d+, its chunks \d+$/m,
    ],
    "a stream's name": [
      alter("closed", "UPDATE stream SET name = name || x'41' WHERE uid = $uid"),
      /^shard-\d\.db: stream test\/closed-\S+A: its number is not of its name's slot$/m,
    ],
    "a fork's lineage": [
      alter("fork0", "UPDATE stream SET lineage = substr(lineage, 1, 15) WHERE uid = $uid"),
      /^shard-0\.db: stream test\/fork-\S+: its lineage is damaged$/m,
    ],
    "a commit in the middle of a file of the journal": [
      (folder) => {
        const file = join(folder, "shard-0.db.journal-0");
        const bytes = readFileSync(file);
        bytes[2 * 512 + 60] ^= 1;
        writeFileSync(file, bytes);
      },
      /^shard-0\.db: a file of the journal is damaged, or cannot be read$/m,
      /^shard-0\.db: batch \d+ of the journal is missing$/m,
    ],
    "a batch of the journal": [
      (folder) => edit(folder, 0, "UPDATE log SET heads = substr(heads, 1, length(heads) - 1)"),
      /^shard-0\.db: batch \d+ of the journal is damaged$/m,
    ],
    "a stream's row": [
      alter("json1", "DELETE FROM stream WHERE uid = $uid"),
      /^shard-1\.db: segments of stream [0-9a-f]{16}, which is not there$/m,
      /^shard-1\.db: the journal has appends to stream [0-9a-f]{16}, which is not there$/m,
      /^shard-1\.db: a feed of stream [0-9a-f]{16}, which is not there$/m,
    ],
    "a producer's stream": [
      alter("text1", "DELETE FROM stream WHERE uid = $uid"),
      /^shard-1\.db: producers of stream [0-9a-f]{16}, which is not there$/m,
    ],
    "what a project has": [
      (folder) => edit(folder, 0, "UPDATE usage SET bytes = bytes + 1"),
      /^shard-0\.db: project test has \d+ streams and \d+ bytes, \d+ and \d+ are counted$/m,
    ],
    "how often shared bytes are referred to": [
      (folder) => [0, 1].forEach((shard) => edit(folder, shard, "UPDATE shared SET refs = refs + 1")),
      /^shard-\d\.db: shared bytes [0-9a-f]{16} count \d+ references, there are \d+$/m,
    ],
    "shared bytes": [
      (folder) => [0, 1].forEach((shard) => edit(folder, shard, "DELETE FROM shared")),
      /^shard-\d\.db: stream test\/[abc]: chunk at \d+: it refers to shared bytes that are not there$/m,
    ],
    "a subscription source": [
      (folder) => [0, 1].forEach((shard) => edit(folder, shard, "DELETE FROM inflow")),
      /^shard-\d\.db: a subscription to stream [0-9a-f]{16} without its subscription source$/m,
    ],
    "a feed": [
      (folder) => [0, 1].forEach((shard) => edit(folder, shard, "DELETE FROM feed")),
      /^shard-\d\.db: stream test\/a: its source, [0-9a-f]{16}, has no feed for it$/m,
    ],
    "an estuary": [
      (folder) => [0, 1].forEach((shard) => edit(folder, shard, "DELETE FROM stream WHERE kind & 1")),
      /^shard-\d\.db: a subscription of stream [0-9a-f]{16}, which is no estuary that is there$/m,
    ],
    "a fork's pin": [
      (folder) => [0, 1].forEach((shard) => edit(folder, shard, "DELETE FROM pin")),
      /^shard-1\.db: stream test\/fork-\S+: its source, [0-9a-f]{16}, is not pinned for it$/m,
    ],
    "a pin's stream": [
      (folder) => edit(folder, 0, "UPDATE pin SET source_uid = source_uid + 1"),
      /^shard-0\.db: a pin of stream [0-9a-f]{16}, which is not there$/m,
    ],
    "a slot's numbers": [
      (folder) => edit(folder, 0, "UPDATE slot SET next_serial = 0"),
      /^shard-0\.db: slot \d+ gives numbers again: stream [0-9a-f]{16} has one$/m,
    ],
    "an orphan that is a segment": [
      (folder) => edit(folder, 0, "INSERT INTO orphan SELECT uid, start, object, 0 FROM segment LIMIT 1"),
      /^shard-0\.db: the segment of stream [0-9a-f]{16} at \d+ is an orphan, too$/m,
    ],
    "a segment's row": [
      alter("json0", "DELETE FROM segment WHERE uid = $uid AND start = (SELECT min(start) FROM segment WHERE uid = $uid)"),
      /^shard-0\.db: stream test\/json-\S+: a segment begins at \d+, 0 was expected$/m,
    ],
    "a segment's end": [
      alter("text1", "UPDATE segment SET until = until + 1 WHERE uid = $uid"),
      /^shard-1\.db: stream test\/text-\S+: the segment at 0: it does not hold as many positions as it says$/m,
    ],
    "a segment's file, gone": [
      (folder) => rmSync(segmentOf(folder, "json0")),
      /^shard-0\.db: stream test\/json-\S+: the segment at \d+, \S+\.seg: its file is missing$/m,
    ],
    "a segment's file, cut short": [
      (folder) => truncateSync(segmentOf(folder, "json0"), 100),
      /^shard-0\.db: stream test\/json-\S+: the segment at \d+, \S+\.seg: its file has another size$/m,
    ],
    "a segment's first bytes": [
      (folder) => flip(segmentOf(folder, "json0"), 40),
      /the segment at \d+, \S+\.seg: its file is no segment, or its beginning is damaged$/m,
    ],
    "a segment's last byte": [
      (folder) => flip(segmentOf(folder, "text1"), -1),
      /^shard-1\.db: stream test\/text-\S+: the segment at \d+, \S+\.seg: its file is damaged$/m,
    ],
    "a segment's checksum": [
      alter("closed", "UPDATE segment SET checksum = checksum + 1 WHERE uid = $uid"),
      /the segment at \d+, \S+\.seg: its file has another checksum$/m,
    ],
    "a project": [
      (folder) => edit(folder, "registry.db", "UPDATE project SET config = '{'"),
      /^registry\.db: project test cannot be read$/m,
    ],
    "the registry": [
      (folder) => writeFileSync(join(folder, "registry.db"), Buffer.alloc(8192, 7)),
      /^registry\.db: it cannot be read: /m,
    ],
    "the layout's checksum": [(folder) => flip(join(folder, "layout"), 40), /^layout: /m],
    "the layout": [(folder) => rmSync(join(folder, "layout")), /^layout: it is missing$/m],
    "an owner in the layout": [
      (folder) => {
        const file = join(folder, "layout");
        const lines = readFileSync(file, "utf8").split("\n");
        const slot = slotOf(names.json0);
        const owners = lines[2 + (slot >> 5)].split(" ");
        owners[slot & 31] = "1";
        lines[2 + (slot >> 5)] = owners.join(" ");
        const body = `${lines.slice(0, lines.findIndex((line) => line.startsWith("checksum "))).join("\n")}\n`;
        writeFileSync(file, `${body}checksum ${fnv(body)}\n`);
      },
      /^shard-0\.db: it has streams of slot \d+, which is shard 1's by the layout$/m,
    ],
    "a restore that did not end": [
      (folder) => writeFileSync(join(folder, "restore"), ""),
      /^restore: a restore has begun and not ended$/m,
    ],
  };

  test.each(Object.entries(KINDS))("it names %s", (_, [damage, ...expected]) => {
    const { status, out, lines } = damaged(damage);
    for (const pattern of expected) expect(out).toMatch(pattern);
    expect(lines.at(-1)).toMatch(/^verified: \d+ databases, \d+ streams, \d+ segments, [1-9]\d* problems$/);
    expect(status).toBe(1);
  });

  test("a quick look does not read files, and misses them only if they are of another size", () => {
    expect(damaged((folder) => flip(segmentOf(folder, "text1"), -1), "--quick").status).toBe(0);
    expect(damaged((folder) => truncateSync(segmentOf(folder, "text1"), 100), "--quick").status).toBe(1);
    expect(damaged((folder) => rmSync(segmentOf(folder, "text1")), "--quick").status).toBe(1);
  });

  test("of many problems the first hundred are printed", () => {
    const { lines, status } = damaged((folder) =>
      edit(
        folder,
        0,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)" +
          " INSERT INTO producer SELECT i, 'p', 0, 0 FROM n",
      ),
    );
    expect(lines.filter((line) => /^shard-0\.db: producers of /.test(line))).toHaveLength(100);
    expect(lines).toContain("and 50 more problems");
    expect(lines.at(-1)).toMatch(/, 150 problems$/);
    expect(status).toBe(1);
  });

  test("what it cannot do is said", () => {
    expect(verify(whole, "--slow").status).toBe(1);
    expect(verify(join(copies, "nowhere")).status).toBe(1);
  });

  test("and what was looked at still serves", async () => {
    await server.start({ "shard.flush_idle": "20ms" });
    const { bytes } = await streams.readAll(names.born);
    expect(JSON.parse(bytes.toString())).toHaveLength(6);
    await until("the log to be settled", async () => {
      const { out } = await server.commandLater("verify");
      expect(out).toMatch(CLEAN);
      await sleep(50 * SLOW);
      return !/ [1-9]\d* batches/.test(out);
    });
  });
});
