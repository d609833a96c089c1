// What a server must hold: streams and their lives, and which cursors name a place in them. Knows nothing of how the
// server tells lives apart: a cursor is good if what was read up to it is still how its stream begins.
//
// Content is handled in units, as in crash/payload.mjs.

import { emptyUnits, joinUnits, sameUnits } from "../crash/payload.mjs";

let serial = 0;

// One life of a name.
export class Life {
  closed = false;

  messages = 0;

  // A fork begins with units of another life. If it has none, it is a stream like any other.
  constructor(name, kind, units = emptyUnits(kind), source = null) {
    Object.assign(this, { name, kind, units, source: units.length ? source : null, base: units.length, serial: ++serial });
  }

  descendsFrom(life) {
    return this === life || Boolean(this.source?.descendsFrom(life));
  }

  get length() {
    return this.units.length;
  }

  // A message that no other life has, and this one not twice. `count` of them at once on a JSON stream.
  write(count = 1) {
    const one = () => {
      const text = `${this.name.replace(/[{}/]/g, "")}.${this.serial}.${++this.messages}`;
      return this.kind === "json" ? JSON.stringify(text) : `${text};`;
    };
    return this.kind === "json" ? Array.from({ length: count }, one) : one();
  }

  take(units) {
    this.units = joinUnits(this.units, units);
  }
}

// A place that some answer has named.
export class Cursor {
  constructor(life, offset, position, incarnation) {
    Object.assign(this, { life, offset, position, incarnation, prefix: life.units.slice(0, position) });
  }
}

export class Model {
  lives = new Map(); // name → the life that it has now
  everyone = []; // lives, also those that are over

  add(life) {
    this.lives.set(life.name, life);
    this.everyone.push(life);
    return life;
  }

  end(name) {
    this.lives.delete(name);
  }

  // The cursor names a place in what the name has now: of that very life, or of one that it is forked from.
  good(name, { life, prefix }) {
    const now = this.lives.get(name);
    return Boolean(now?.descendsFrom(life)) && sameUnits(now.units.slice(0, prefix.length), prefix);
  }

  // What a backup keeps. What is written after it gets other texts, since `messages` is not set back.
  copy() {
    return [...this.lives.values()].map((life) => ({ life, units: life.units, closed: life.closed }));
  }

  restore(copy) {
    this.lives.clear();
    for (const { life, units, closed } of copy) this.lives.set(life.name, Object.assign(life, { units, closed }));
  }
}
