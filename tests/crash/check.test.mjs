// The checker itself: a clean history passes, and every wrong that is done to it is found.

import { describe, expect, test } from "vitest";

import { check } from "./check.mjs";
import { History } from "./history.mjs";
import { joinUnits, payload } from "./payload.mjs";

// A server that does everything right, and writes it down.
class Story {
  history = new History();
  content = new Map();
  op = new Map();

  begin(what) {
    return this.history.begin(what);
  }

  create(s, kind = "text") {
    const op = this.begin({ do: "create", s, kind });
    this.content.set(s, kind === "json" ? [] : "");
    this.history.end(op, "ok", { status: 201, next: 0 });
  }

  fork(s, source, base, kind = "text") {
    const op = this.begin({ do: "fork", s, kind, source });
    this.content.set(s, this.content.get(source).slice(0, base));
    this.history.end(op, "ok", { status: 201, next: base });
  }

  take(s, id, parts = 1, kind = "text") {
    this.content.set(s, joinUnits(this.content.get(s), payload(kind, id, 10, parts)));
    return this.content.get(s).length;
  }

  append(s, id, { parts = 1, kind = "text", status = 204, ...more } = {}) {
    const op = this.begin({ do: "append", s, id, parts, ...more });
    const next = this.take(s, id, parts, kind);
    this.op.set(id, op);
    this.history.end(op, "ok", { status, next, closed: more.close });
    return next;
  }

  // The outcome stays unknown; `happens` says what became of it.
  lose(s, id, happens) {
    const op = this.begin({ do: "append", s, id, parts: 1 });
    if (happens) this.take(s, id);
    this.history.end(op, "unknown");
  }

  close(s) {
    const op = this.begin({ do: "close", s });
    this.history.end(op, "ok", { status: 204, next: this.content.get(s).length, closed: true });
  }

  remove(s) {
    const op = this.begin({ do: "delete", s });
    this.history.end(op, "ok", { status: 204 });
  }

  subscribe(s, source, kind = "text") {
    const op = this.begin({ do: "subscribe", s, kind, source });
    if (!this.content.has(s)) this.content.set(s, kind === "json" ? [] : "");
    this.history.end(op, "ok", { status: 200 });
  }

  unsubscribe(s, source) {
    const op = this.begin({ do: "unsubscribe", s, source });
    this.history.end(op, "ok", { status: 200 });
  }

  look(s, changes = {}) {
    const next = this.content.get(s).length;
    this.history.add({ e: "look", s, began: this.history.now, status: 200, next, closed: false, ...changes });
  }

  // A reader that gets everything there is, in pieces that end at `cuts`.
  read(s, r, ...cuts) {
    const content = this.content.get(s);
    let from = 0;
    this.history.add({ e: "open", r, s });
    for (const next of [...cuts, content.length]) {
      this.history.add({ e: "chunk", r, s, from, next, units: content.slice(from, next) });
      from = next;
    }
  }

  final(s, changes = {}) {
    const units = this.content.get(s);
    this.history.add({ e: "final", s, status: 200, next: units.length, closed: false, units, ...changes });
  }

  rules() {
    return [...new Set(check(this.history.events).violations.map(({ rule }) => rule))];
  }
}

const tell = (...steps) => {
  const story = new Story();
  for (const step of steps) step(story);
  return story.rules();
};

// Two appends, the beginning of most stories.
const two = (story) => {
  story.create("s");
  story.append("s", "a.0");
  story.append("s", "b.0");
};

describe("what may happen", () => {
  test("a whole life", () => {
    const story = new Story();
    two(story);
    story.read("s", "r1", 3, 20);
    story.append("s", "p.0", { producer: "p", seq: 0, status: 200 });
    story.append("s", "p.1", { producer: "p", seq: 1, status: 204 });
    story.look("s");
    story.fork("f", "s", 15);
    story.append("f", "c.0");
    story.close("s");
    story.look("s", { closed: true });
    story.final("s", { closed: true });
    story.remove("f");
    story.final("f", { status: 404, next: undefined, units: undefined });
    expect(story.rules()).toEqual([]);
  });

  test("JSON with several messages an append", () => {
    const story = new Story();
    story.create("j", "json");
    story.append("j", "a.0", { parts: 3, kind: "json" });
    story.append("j", "a.1", { parts: 1, kind: "json" });
    story.read("j", "r", 2);
    story.final("j");
    expect(story.rules()).toEqual([]);
  });

  test("an append without an answer is there or not", () => {
    for (const happens of [true, false]) {
      const steps = [two, (s) => s.lose("s", "a.1", happens), (s) => s.append("s", "a.2"), (s) => s.final("s")];
      expect(tell(...steps)).toEqual([]);
    }
  });

  test("a reader of a deleted stream may have stopped in the middle of a message", () => {
    const story = new Story();
    two(story);
    story.history.add({ e: "open", r: "r", s: "s" });
    const next = story.content.get("s").length - 3;
    story.history.add({ e: "chunk", r: "r", s: "s", from: 0, next, units: story.content.get("s").slice(0, next) });
    story.remove("s");
    story.final("s", { status: 404, next: undefined, units: undefined });
    expect(story.rules()).toEqual([]);
  });

  test("or of an append, whose end is where it was said to be", () => {
    const readerOfOne = (next) => {
      const story = new Story();
      story.create("s", "json");
      const op = story.begin({ do: "append", s: "s", id: "a.0", parts: 3 });
      story.take("s", "a.0", 3, "json");
      story.history.end(op, "ok", { status: 204, next });
      story.history.add({ e: "open", r: "r", s: "s" });
      story.history.add({ e: "chunk", r: "r", s: "s", from: 0, next: 1, units: story.content.get("s").slice(0, 1) });
      story.remove("s");
      story.final("s", { status: 404, next: undefined, units: undefined });
      return story.rules();
    };
    expect(readerOfOne(3)).toEqual([]);
    expect(readerOfOne(4)).toEqual(["offset"]);
  });
});

// Two sources and an estuary that has what it must have, except for what a change does to it.
const estuary = (change = () => {}) => {
  const story = new Story();
  for (const source of ["s", "t"]) story.create(source);
  story.append("s", "a.0");
  for (const source of ["s", "t"]) story.subscribe("e", source);
  for (const [source, id] of [
    ["s", "a.1"],
    ["t", "b.0"],
    ["s", "a.2"],
  ]) {
    story.append(source, id);
    story.take("e", id);
  }
  story.unsubscribe("e", "s");
  story.append("s", "a.3");
  change(story);
  for (const s of ["s", "t", "e"]) story.final(s);
  return story.rules();
};

test("an estuary has what was appended while it was subscribed, in any order of its sources", () => {
  expect(estuary()).toEqual([]);
  const ids =
    (...all) =>
    (story) =>
      story.content.set("e", all.map((id) => payload("text", id, 10, 1)).join(""));
  expect(estuary(ids("a.1", "a.2", "b.0"))).toEqual([]);
  expect(estuary(ids("a.1", "b.0"))).toEqual(["not delivered"]);
  expect(estuary(ids("a.1", "b.0", "a.2", "b.0"))).toContain("doubled");
  expect(estuary(ids("a.2", "b.0", "a.1"))).toEqual(["order"]);
  expect(estuary(ids("a.0", "a.1", "b.0", "a.2"))).toEqual(["not subscribed"]);
  expect(estuary(ids("a.1", "b.0", "a.2", "a.3"))).toEqual(["not subscribed"]);
  expect(estuary(ids("a.1", "b.0", "a.2", "z.1"))).toEqual(["foreign"]);
});

test("an estuary has an append in one piece; where it has not, nobody says what follows is missing", () => {
  const arrives = (...pieces) => {
    const story = new Story();
    for (const source of ["s", "t"]) {
      story.create(source, "json");
      story.subscribe("e", source, "json");
    }
    const sent = { "a.0": 3, "b.0": 1, "a.1": 1 };
    for (const [id, parts] of Object.entries(sent))
      story.append(id.startsWith("a") ? "s" : "t", id, { parts, kind: "json" });
    const units = ([id, from, to]) => payload("json", id, 10, sent[id]).slice(from, to);
    story.content.set("e", pieces.flatMap(units));
    for (const s of ["s", "t", "e"]) story.final(s);
    return story.rules();
  };
  expect(arrives(["b.0"], ["a.0"], ["a.1"])).toEqual([]);
  expect(arrives(["a.0", 0, 2], ["b.0"], ["a.0", 2], ["a.1"])).toEqual(["torn", "foreign"]);
  expect(arrives(["a.0", 0, 2], ["b.0"], ["a.1"])).toEqual(["torn"]);
  expect(arrives(["b.0"], ["a.1"])).toEqual(["not delivered"]);
});

describe("what must be found", () => {
  const doctored = (change) => {
    const story = new Story();
    two(story);
    change(story);
    return story.rules();
  };
  const withContent = (change) => (story) => {
    story.content.set("s", change(story.content.get("s")));
    story.final("s");
  };
  const LENGTH = payload("text", "a.0", 10, 1).length;

  test("a lost append", () => expect(doctored(withContent((all) => all.slice(LENGTH)))).toContain("lost"));
  test("the last append lost", () => expect(doctored(withContent((all) => all.slice(0, LENGTH)))).toContain("lost"));
  test("everything lost", () => expect(doctored(withContent(() => ""))).toContain("lost"));
  test("a doubled append", () =>
    expect(doctored(withContent((all) => all + all.slice(0, LENGTH)))).toContain("doubled"));
  test("a doubled append of unknown outcome", () =>
    expect(
      doctored((s) => {
        s.lose("s", "a.1", true);
        s.take("s", "a.1");
        s.final("s");
      }),
    ).toEqual(["doubled"]));
  test("a doubled idempotent append", () =>
    expect(
      doctored((s) => {
        s.append("s", "p.0", { producer: "p", seq: 0, status: 200 });
        s.take("s", "p.0");
        s.final("s");
      }),
    ).toContain("doubled"));
  test("bytes that nobody wrote", () => expect(doctored(withContent((all) => `${all}x`))).toContain("foreign"));
  test("a changed byte", () => expect(doctored(withContent((all) => all.slice(0, -1) + "~"))).toContain("foreign"));
  test("an append of another stream", () =>
    expect(doctored(withContent((all) => all + payload("text", "z.9", 10, 1)))).toEqual(["foreign"]));
  test("half an append", () =>
    expect(doctored(withContent((all) => all.slice(0, -3)))).toEqual(expect.arrayContaining(["foreign"])));
  test("some of an append's messages", () => {
    const story = new Story();
    story.create("j", "json");
    story.append("j", "a.0", { parts: 3, kind: "json" });
    story.content.set("j", story.content.get("j").slice(0, 2));
    story.final("j");
    expect(story.rules()).toContain("torn");
  });
  test("a refused append that is there", () =>
    expect(
      doctored((s) => {
        const op = s.begin({ do: "append", s: "s", id: "a.1", parts: 1 });
        s.take("s", "a.1");
        s.history.end(op, "refused", { status: 400 });
        s.final("s");
      }),
    ).toEqual(["refused yet there"]));
  test("an acknowledged offset that is not where the append ends", () =>
    expect(
      doctored((s) => {
        s.history.events.find(({ e, next }) => e === "end" && next === LENGTH).next = LENGTH - 1;
        s.final("s");
      }),
    ).toEqual(["offset"]));
  test("appends in the wrong order", () =>
    expect(doctored(withContent((all) => all.slice(LENGTH) + all.slice(0, LENGTH)))).toContain("order"));
  test("pipelined appends in the wrong order", () => {
    const story = new Story();
    story.create("s");
    const ops = ["a.0", "a.1"].map((id) => story.begin({ do: "append", s: "s", id, parts: 1, line: "a" }));
    const ends = ["a.1", "a.0"].map((id) => story.take("s", id));
    story.history.end(ops[0], "ok", { status: 204, next: ends[1] });
    story.history.end(ops[1], "ok", { status: 204, next: ends[0] });
    story.final("s");
    expect(story.rules()).toEqual(["order"]);
  });
  test("a hole in a producer's sequence", () =>
    expect(
      doctored((s) => {
        s.append("s", "p.0", { producer: "p", seq: 0, status: 200 });
        s.append("s", "p.2", { producer: "p", seq: 2, status: 200 });
        s.final("s");
      }),
    ).toEqual(["producer order"]));
  // Batches of two in one request each; `change` makes a wrong of what the server did.
  const batches = (change = (stored) => stored) =>
    doctored((s) => {
      const start = s.content.get("s").length;
      s.lose("s", "c.0", false);
      const stored = change([["q.0", "q.1"], ["q.2", "q.3"]]).flat();
      for (const [seq, ids] of [["q.0", "q.1"], ["q.2", "q.3"]].entries()) {
        const about = (batch) => ({ do: "append", s: "s", parts: 1, producer: "q", seq, batch, of: 2, rest: batch ? 0 : LENGTH });
        const ops = ids.map((id, batch) => s.begin({ id, ...about(batch) }));
        for (const op of ops) s.history.end(op, "ok", { status: 200, next: start + (seq + 1) * 2 * LENGTH });
      }
      for (const id of stored) s.take("s", id);
      s.final("s");
    });
  test("batches of a producer", () => expect(batches()).toEqual([]));
  test("batches in the wrong order", () => expect(batches(([a, b]) => [b, a])).toContain("producer order"));
  test("messages of a batch in the wrong order", () =>
    expect(batches(([[a, b], c]) => [[b, a], c])).toContain("producer order"));
  test("a batch cut short", () => expect(batches(([a, [c]]) => [a, [c]])).toEqual(expect.arrayContaining(["lost", "torn"])));
  test("a batch with something within", () =>
    expect(batches(([[a, b], c]) => [[a, "c.0", b], c])).toContain("torn"));
  test("a batch within another", () =>
    expect(batches(([[a, b], [c, d]]) => [[a], [c, d], [b]])).toContain("producer order"));
  test("a batch that is lost", () => expect(batches(([a]) => [a])).toContain("lost"));

  test("an append that was done at another tail than it expected", () => {
    const expects = (expected) => doctored((s) => (s.append("s", "c.0", { expected }), s.final("s")));
    expect(expects(2 * LENGTH)).toEqual([]);
    expect(expects(LENGTH)).toEqual(["condition"]);
  });
  test("an append that was refused at the tail that it expected", () => {
    const refused = (next) =>
      doctored((s) => {
        const op = s.begin({ do: "append", s: "s", id: "c.0", parts: 1, expected: LENGTH });
        s.history.end(op, "refused", { status: 409, next, code: "EXPECTED_OFFSET_CONFLICT" });
        s.final("s");
      });
    expect(refused(2 * LENGTH)).toEqual([]);
    expect(refused(LENGTH)).toContain("condition");
  });
  test("a piece of a request without those before it", () => {
    const stored = (...ids) =>
      doctored((s) => {
        const about = { do: "append", s: "s", parts: 1, line: "i.1", incremental: true };
        const ops = ["i.0", "i.1", "i.2"].map((id) => s.begin({ id, ...about }));
        for (const id of ids) s.take("s", id);
        for (const op of ops) s.history.end(op, "unknown");
        s.final("s");
      });
    expect(stored()).toEqual([]);
    expect(stored("i.0", "i.1")).toEqual([]);
    expect(stored("i.0", "i.2")).toEqual(["torn"]);
    expect(stored("i.1")).toEqual(["torn"]);
  });

  // A stream that is made again as `t`, in the given life.
  const again = (life, change = () => {}) => {
    const story = new Story();
    const make = (s, life) => {
      story.content.set(s, "");
      const op = story.begin({ do: "create", s, kind: "text", path: "p" });
      story.history.end(op, "ok", { status: 201, next: 0, life });
    };
    make("s", "1");
    story.append("s", "a.0");
    story.read("s", "r");
    story.remove("s");
    make("t", life);
    story.append("t", "b.0");
    change(story);
    story.final("s", { status: 410, next: undefined, units: undefined });
    story.final("t");
    return story.rules();
  };
  test("a life that comes twice", () => {
    expect(again("2")).toEqual([]);
    expect(again("1")).toEqual(["life twice"]);
  });
  test("an answer in another life", () => expect(again("2", (s) => s.look("s", { life: "2" }))).toContain("another life"));
  test("bytes of another life", () => {
    const units = payload("text", "b.0", 10, 1);
    const sees = (from) => (s) =>
      s.history.add({ e: "chunk", r: "r", s: "s", from, next: from + units.length, units });
    expect(again("2", sees(LENGTH))).toContain("foreign");
    expect(again("2", sees(0))).toContain("reader content");
  });
  test("a writer of the last life in the next one", () =>
    expect(again("2", (s) => (s.append("s", "a.1"), s.take("t", "a.1")))).toContain("foreign"));

  test("a forgotten producer", () =>
    expect(
      doctored((s) => {
        const op = s.begin({ do: "append", s: "s", id: "p.0", parts: 1, producer: "p", seq: 0 });
        s.history.end(op, "refused", { status: 409, code: "PRODUCER_SEQUENCE_GAP" });
        s.final("s");
      }),
    ).toEqual(["producer forgotten"]));

  const readerChanged = (change) =>
    doctored((s) => {
      s.read("s", "r", 5, 12);
      change(
        s.history.events.filter(({ e }) => e === "chunk"),
        s.history.events,
      );
      s.final("s");
    });
  test("a gap in what a reader got", () =>
    expect(readerChanged((chunks, events) => events.splice(events.indexOf(chunks[1]), 1))).toEqual(["reader gap"]));
  test("a doubled piece for a reader", () =>
    expect(readerChanged((chunks, events) => events.splice(events.indexOf(chunks[1]), 0, { ...chunks[0] }))).toContain(
      "reader gap",
    ));
  test("wrong bytes for a reader", () =>
    expect(readerChanged((chunks) => (chunks[1].units = chunks[1].units.replace(/./, "~")))).toEqual([
      "reader content",
    ]));
  test("fewer bytes than the offsets say", () =>
    expect(readerChanged((chunks) => (chunks[2].units = chunks[2].units.slice(0, -1)))).toEqual(["reader offset"]));
  test("bytes that a crash took back", () =>
    expect(
      doctored((s) => {
        s.lose("s", "a.1", true);
        s.read("s", "r");
        s.content.set("s", s.content.get("s").slice(0, 2 * LENGTH));
        s.final("s");
      }),
    ).toEqual(["reader content"]));
  test("a reader of a deleted stream that got bytes nobody wrote", () =>
    expect(
      doctored((s) => {
        s.content.set("s", `${s.content.get("s")}?!`);
        s.read("s", "r");
        s.remove("s");
        s.final("s", { status: 404, next: undefined, units: undefined });
      }),
    ).toEqual(["foreign"]));
  test("a reader of a deleted stream that got something else than another", () =>
    expect(
      doctored((s) => {
        s.read("s", "r1", 5);
        s.read("s", "r2", 8);
        const chunk = s.history.events.findLast(({ e }) => e === "chunk");
        chunk.units = chunk.units.replace(/.$/, "~");
        s.remove("s");
        s.final("s", { status: 404, next: undefined, units: undefined });
      }),
    ).toEqual(["reader content"]));

  test("a tail that goes back", () =>
    expect(
      doctored((s) => {
        s.look("s");
        s.look("s", { next: LENGTH });
        s.final("s");
      }),
    ).toEqual(["tail went back"]));
  test("a closed stream that is open in the end", () =>
    expect(
      doctored((s) => {
        s.close("s");
        s.final("s");
      }),
    ).toEqual(["reopened"]));
  test("a closed stream that is seen open", () =>
    expect(
      doctored((s) => {
        s.close("s");
        s.look("s");
        s.final("s", { closed: true });
      }),
    ).toEqual(["reopened"]));
  test("a closed stream that takes another append", () =>
    expect(
      doctored((s) => {
        s.close("s");
        s.append("s", "a.1");
        s.final("s", { closed: true });
      }),
    ).toContain("reopened"));
  test("an end told to a reader that was none", () =>
    expect(
      doctored((s) => {
        s.history.add({ e: "eof", r: "r", s: "s", next: LENGTH });
        s.final("s");
      }),
    ).toContain("reopened"));
  test("a delete undone", () => {
    const back = (s) => {
      s.remove("s");
      s.final("s");
    };
    expect(doctored(back)).toEqual(["delete undone"]);
    const seen = (s) => {
      s.remove("s");
      s.look("s");
      s.final("s", { status: 404, next: undefined, units: undefined });
    };
    expect(doctored(seen)).toEqual(["delete undone"]);
  });
  test("a stream that vanishes", () => {
    const vanished = { status: 404, next: undefined, units: undefined };
    expect(doctored((s) => s.final("s", vanished))).toContain("vanished");
    expect(
      doctored((s) => {
        s.look("s", { status: 404, next: undefined });
        s.final("s");
      }),
    ).toEqual(["vanished"]);
  });
  test("a stream that cannot be read in the end", () =>
    expect(doctored((s) => s.final("s", { status: 500, next: undefined, units: undefined }))).toEqual(["unreadable"]));
  test("a fork that is not its source", () =>
    expect(
      doctored((s) => {
        s.fork("f", "s", LENGTH);
        s.content.set("f", s.content.get("s").slice(LENGTH, 2 * LENGTH));
        s.final("s");
        s.final("f");
      }),
    ).toEqual(["fork"]));
  test("a fork that lost what it inherited", () =>
    expect(
      doctored((s) => {
        s.fork("f", "s", LENGTH);
        s.content.set("f", "");
        s.final("s");
        s.final("f");
      }),
    ).toContain("fork"));
  test("an append that a deleted source lost, seen through its fork", () =>
    expect(
      doctored((s) => {
        s.content.set("s", s.content.get("s").slice(LENGTH) + payload("text", "c.0", 10, 1));
        s.begin({ do: "append", s: "s", id: "c.0", parts: 1 });
        s.fork("f", "s", 2 * LENGTH);
        s.remove("s");
        s.final("s", { status: 410, next: undefined, units: undefined });
        s.final("f");
      }),
    ).toContain("lost"));
});
