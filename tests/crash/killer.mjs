// Kills what it finds: children at random, children at ordered points, the supervisor, sometimes with another
// shard.count at the next start. And upgrades, among all that.

import { sleep } from "../lib/wait.mjs";
import { MOVE_FAULTS, UPGRADE_FAULTS } from "./faults.mjs";

const WEIGHTS = { fault: 50, shard: 20, router: 10, allShards: 3, hang: 2, restart: 3, crash: 6, upgrade: 12 };

// SIGKILL to a process that may be gone by now.
function strike(pid, signal = "SIGKILL") {
  try {
    process.kill(pid, signal);
    return 1;
  } catch {
    return 0;
  }
}

export class Killer {
  kills = { shard: 0, router: 0, supervisor: 0, hang: 0, stop: 0, moved: 0, upgrade: 0 };
  #stopped = false;
  #running = null;

  // points: where shards can be ordered to die.
  constructor(server, faults, points, random) {
    this.server = server;
    this.faults = faults;
    this.points = points;
    this.random = random;
    this.count = server.shards;
  }

  get total() {
    const { shard, router, supervisor, hang } = this.kills;
    return shard + router + supervisor + hang + this.faults.total;
  }

  start() {
    this.#stopped = false;
    this.#running = this.#run();
  }

  // Leaves a running server with nothing ordered.
  async stop() {
    this.#stopped = true;
    await this.#running;
    this.faults.disarm();
  }

  async #run() {
    while (!this.#stopped) {
      await sleep(this.random.int(20, 400));
      await this[this.random.weighted(WEIGHTS)]();
    }
  }

  fault() {
    this.faults.arm(this.random.pick(this.points));
  }

  #strikeOne(role, signal) {
    const children = this.server.children(role);
    return children.length ? strike(this.random.pick(children).pid, signal) : 0;
  }

  shard() {
    this.kills.shard += this.#strikeOne("shard");
  }

  router() {
    this.kills.router += this.#strikeOne("router");
  }

  allShards() {
    for (const { pid } of this.server.children("shard")) this.kills.shard += strike(pid);
  }

  // The supervisor finds out and kills it.
  hang() {
    this.kills.hang += this.#strikeOne(this.random.pick(["shard", "router"]), "SIGSTOP");
  }

  upgrade() {
    if (this.random.chance(0.3)) this.faults.arm(this.random.pick(UPGRADE_FAULTS));
    this.server.signal("SIGUSR2");
    this.kills.upgrade++;
  }

  async restart() {
    this.kills.stop++;
    await this.server.stop();
    await this.#startAgain();
  }

  async crash() {
    this.kills.supervisor++;
    await this.server.kill();
    await this.#startAgain();
  }

  #chooseCount() {
    if (this.random.chance(0.5)) return;
    const count = this.random.int(1, 5);
    if (count !== this.count) this.kills.moved++;
    this.count = count;
    this.server.configure({ "shard.count": count });
    if (this.random.chance(0.6)) this.faults.arm(this.random.pick(MOVE_FAULTS));
  }

  // Starts may be killed too, in the middle of a move for one.
  async #startAgain() {
    for (this.#chooseCount(); this.random.chance(0.25); this.#chooseCount()) {
      this.server.launch();
      await sleep(this.random.int(0, 300));
      this.kills.supervisor++;
      await this.server.kill();
    }
    await this.#startUntilReady();
  }

  // A move of streams that dies takes the server with it; the next start goes on with it.
  async #startUntilReady() {
    for (;;) {
      this.server.launch();
      try {
        return await this.server.ready();
      } catch (error) {
        const before = this.faults.total;
        this.faults.collect();
        if (this.faults.total === before) throw error;
      }
    }
  }
}
