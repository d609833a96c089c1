// Kills what it finds: children at random, children at ordered points, the supervisor, sometimes with another
// shard.count at the next start. And upgrades, among all that. With a Power also the power fails, and calls to the disk.

import { sleep, until } from "../lib/wait.mjs";
import { send } from "./client.mjs";
import { MOVE_FAULTS, UPGRADE_FAULTS } from "./faults.mjs";
import { some } from "./power.mjs";

const WEIGHTS = { fault: 50, shard: 20, router: 10, allShards: 3, hang: 2, restart: 3, crash: 6, upgrade: 12 };
const PATHS = 64; // so many that every shard has one
const WEIGHTS_OF_POWER = { fault: 10, shard: 10, router: 3, restart: 3, crash: 3, upgrade: 3, powerFailure: 15, disorder: 60 };

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
  kills = { shard: 0, router: 0, supervisor: 0, hang: 0, stop: 0, moved: 0, upgrade: 0, power: 0 };
  #stopped = false;
  #taken = 0; // orders, at the last look
  #running = null;

  // points: where shards can be ordered to die. power: null, or the server's Power.
  constructor(server, faults, points, random, power = null) {
    Object.assign(this, { server, faults, points, random, power });
    this.count = server.shards;
  }

  get total() {
    const { shard, router, supervisor, hang, power } = this.kills;
    return shard + router + supervisor + hang + power + this.faults.total;
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
    this.power?.disarm();
    if (this.power) await until("a server at rest", () => this.#answers(), 60_000);
  }

  // Whether every shard has started. One that was given an error at its start ends the server.
  async #answers() {
    await this.#recover();
    const url = (n) => `${this.server.url}/v1/stream/nobody/${n}`;
    const answers = await Promise.all(Array.from({ length: PATHS }, (_, n) => send(url(n), "HEAD")));
    return answers.every(({ status }) => status === 404);
  }

  async #run() {
    while (!this.#stopped) {
      await sleep(this.random.int(20, 400));
      await this.#recover();
      await this[this.random.weighted(this.power ? WEIGHTS_OF_POWER : WEIGHTS)]();
    }
  }

  // An order has switched the power off, or ended the supervisor.
  async #recover() {
    if (!this.power) return;
    if (this.power.isOff) return this.powerFailure();
    if (this.server.running) return;
    if (this.#ordersTaken() === 0) throw new Error(`the server has ended without an order:\n${this.server.log.slice(-2000)}`);
    await this.#startAgain();
  }

  // How many orders were taken since the last look.
  #ordersTaken() {
    const before = this.#taken;
    this.faults.collect();
    this.power?.collect();
    this.#taken = this.faults.total + (this.power?.total ?? 0);
    return this.#taken - before;
  }

  disorder() {
    this.power.orderAny(this.random);
  }

  async #fail() {
    this.kills.power++;
    await this.power.fail(this.server, some(this.random));
  }

  async powerFailure() {
    await this.#fail();
    await this.#startAgain();
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
    let over = false;
    const stopped = this.server.stop().finally(() => (over = true));
    await Promise.race([stopped, until("the end", () => over || this.power?.isOff, 30_000)]);
    if (this.power?.isOff) await this.#fail();
    await stopped;
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

  // A move of streams that dies takes the server with it; the next start goes on with it. An order may end any start.
  async #startUntilReady() {
    for (;;) {
      this.#ordersTaken();
      this.server.launch();
      try {
        return await this.server.ready(() => this.power?.isOff);
      } catch (error) {
        if (this.power?.isOff) await this.#fail();
        else if (this.#ordersTaken() === 0) throw error;
      }
    }
  }
}
