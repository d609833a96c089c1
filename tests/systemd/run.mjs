// The Debian package on a Debian with a real systemd: installed, started, reloaded, killed, hung, upgraded under a
// reader, stopped, removed. Wants root.
//
//     make deb && node tests/systemd/run.mjs

import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { sleep, until } from "../lib/wait.mjs";
import { Container } from "./container.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEB = readdirSync(join(ROOT, "build/deb")).find((name) => /^streamd_.*\.deb$/.test(name));
const URL_INSIDE = "http://127.0.0.1:4437";
const STREAM = `${URL_INSIDE}/v1/stream/demo/s`;
const REFUSED = "7"; // as curl tells it
const WATCHDOG = "4s"; // instead of the unit's, which is longer than a test likes to wait

const packagesOf = (deb) =>
  execFileSync("dpkg-deb", ["--field", deb, "Depends"], { encoding: "utf8" })
    .split(",")
    .map((word) => word.trim().split(/[ |]/)[0]);

function expect(what, good) {
  if (!good) throw new Error(`not so: ${what}`);
  console.log(`ok: ${what}`);
}

class Trial {
  constructor(machine) {
    this.machine = machine;
  }

  show(property) {
    return this.machine.must("systemctl", "show", "--value", "--property", property, "streamd");
  }

  get pid() {
    return Number(this.show("MainPID"));
  }

  active = () => this.machine.run("systemctl", "is-active", "streamd").out === "active";
  journal = () => this.machine.must("journalctl", "--no-pager", "-u", "streamd", "-o", "cat");
  curl = (...words) => this.machine.run("curl", "-sS", "--max-time", "10", ...words).out;
  append = (text) => this.curl("-o", "/dev/null", "-w", "%{http_code}", "-d", text, "-H", "Content-Type: text/plain", STREAM);
  content = () => this.curl(`${STREAM}?offset=-1`);

  // After something has happened to it.
  async back(what, before) {
    const another = () => ![0, before].includes(this.pid);
    const serves = () => another() && this.active() && this.curl(`${URL_INSIDE}/health`) === "ok";
    await until(what, serves, 60_000);
    expect(`${what}, and answers`, serves());
  }

  install() {
    this.machine.must("dpkg", "--install", `/run/${DEB}`);
    expect("installing starts it, and it has said that it is ready", this.active());
    expect("it is enabled", this.machine.run("systemctl", "is-enabled", "streamd").out === "enabled");
    expect(`status: ${this.show("StatusText")}`, /^serving on /.test(this.show("StatusText")));
    expect("it answers", this.curl(`${URL_INSIDE}/health`) === "ok");
    const mode = (path) => this.machine.must("stat", "-c", "%U:%G %a", path);
    expect("its configuration is for root and its group", mode("/etc/streamd/streamd.ini") === "root:streamd 640");
    expect("its data is its own", mode("/var/lib/streamd") === "streamd:streamd 700");
    const users = this.machine.must("ps", "-o", "user=", "-C", "streamd,streamd-router,streamd-shard").split("\n");
    expect(`its ${users.length} processes are streamd's`, users.length >= 3 && users.every((user) => user.trim() === "streamd"));
    const [, score] = / streamd.service: ([\d.]+)/.exec(this.machine.must("systemd-analyze", "security", "streamd")) ?? [];
    expect(`systemd-analyze security: ${score}`, Number(score) < 2);
    expect("commands find it", /shard/.test(this.machine.must("streamd", "status")));
    expect("and make its projects, as root", /^[0-9a-f]{64}$/.test(this.machine.must("streamd", "create-project", "acme")));
    expect("which belong to it", mode("/var/lib/streamd/registry.db") === "streamd:streamd 600");
    expect("the manual is there", this.machine.run("test", "-e", "/usr/share/man/man1/streamd.1.gz").status === 0);
  }

  write() {
    this.curl("-X", "PUT", "-H", "Content-Type: text/plain", STREAM);
    expect("an append is taken", this.append("one") === "204");
  }

  async reload() {
    const before = this.pid;
    this.machine.must("sh", "-c", "echo '[limits]\nread_page = 2M' >> /etc/streamd/streamd.ini");
    this.machine.must("systemctl", "reload", "streamd");
    await until("the reload to be told of", () => /limits\W+read_page/.test(this.journal()));
    expect("a reload takes the configuration, and it stays", this.active() && this.pid === before);
  }

  async kill() {
    const before = this.pid;
    this.machine.must("kill", "-9", `${before}`);
    await this.back("killed, it is there again", before);
    expect("what was acknowledged is there", this.content() === "one");
  }

  async hang() {
    this.machine.must("mkdir", "-p", "/etc/systemd/system/streamd.service.d");
    const dropIn = "/etc/systemd/system/streamd.service.d/test.conf";
    this.machine.must("sh", "-c", `printf '[Service]\\nWatchdogSec=${WATCHDOG}\\n' > ${dropIn}`);
    this.machine.must("systemctl", "daemon-reload");
    this.machine.must("systemctl", "restart", "streamd");
    const before = this.pid;
    await sleep(6000);
    expect("while it works, the watchdog is content", this.active() && this.pid === before);
    this.machine.must("kill", "-STOP", `${before}`);
    await this.back("hung, it is ended and there again", before);
    expect("it was the watchdog", /[Ww]atchdog/.test(this.journal()));
  }

  // The same package once more: as good as a newer one.
  async upgrade() {
    const before = this.pid;
    const reader = this.machine.start("curl", "-sN", `${STREAM}?offset=-1&live=sse`);
    let heard = "";
    let ended = false;
    reader.stdout.on("data", (data) => (heard += data));
    reader.on("exit", () => (ended = true));
    await until("the reader to be at the tail", () => /upToDate/.test(heard));
    const others = () => this.machine.must("pgrep", "streamd-").split("\n");
    const old = others();
    this.machine.must("dpkg", "--install", `/run/${DEB}`);
    await until("the new programs to have taken over", () => / has taken over/.test(this.journal()), 30_000);
    expect("upgraded: every process is another", !others().some((pid) => old.includes(pid)) && this.pid === before);
    await until("an append", () => this.append("two") === "204", 30_000);
    await until("the reader to hear of it", () => /two/.test(heard), 30_000);
    expect("and its reader has noticed nothing", !ended && this.active());
    reader.kill();
  }

  // Systemd has the listening socket meanwhile.
  async restart() {
    const before = this.pid;
    const ask = `while [ ! -e /tmp/enough ]; do curl -s --max-time 20 -o /dev/null ${URL_INSIDE}/health; echo $?; done`;
    const client = this.machine.start("sh", "-c", ask);
    let statuses = "";
    client.stdout.on("data", (data) => (statuses += data));
    await until("the first answers", () => statuses.length > 20);
    this.machine.must("systemctl", "restart", "streamd");
    await this.back("restarted, it is there again", before);
    const ended = new Promise((resolve) => client.on("exit", resolve));
    this.machine.must("touch", "/tmp/enough");
    await ended;
    const all = statuses.trim().split("\n");
    const lost = all.filter((status) => status !== "0"); // a request may be on its way when the old one ends
    expect(`of ${all.length} connections meanwhile none is refused`, !all.includes(REFUSED) && lost.length <= 1);
  }

  activate() {
    this.machine.must("systemctl", "stop", "streamd");
    this.machine.must("systemctl", "start", "streamd.socket");
    expect("with its socket unit it is started by the first connection", !this.active() && this.content().startsWith("one"));
    expect("by systemd's socket", this.active() && this.machine.must("ss", "-ltn").includes(":4437"));
    this.machine.must("systemctl", "stop", "streamd.socket", "streamd");
    this.machine.must("systemctl", "start", "streamd");
  }

  verify() {
    const { status, out } = this.machine.run("streamd", "verify");
    expect(out.split("\n").at(-1), status === 0);
    const owners = this.machine.must("sh", "-c", "stat -c %U /var/lib/streamd/* | sort -u");
    expect("and left every file to its owner", owners === "streamd");
  }

  async stop() {
    this.machine.must("systemctl", "stop", "streamd");
    expect("it stops in order", this.show("Result") === "success" && !this.machine.run("pgrep", "streamd").out);
    this.verify();
    this.machine.must("systemctl", "start", "streamd");
    expect("and starts with all it had", /^one(two)+$/.test(this.content()));
  }

  remove() {
    this.machine.must("dpkg", "--purge", "streamd");
    expect("removed, nothing runs", !this.machine.run("pgrep", "streamd").out);
    expect("no program is left", this.machine.run("sh", "-c", "ls /usr/lib/streamd /usr/bin/streamd").status !== 0);
    expect("its data is", this.machine.must("ls", "/var/lib/streamd").includes("shard-0.db"));
  }
}

const deb = join(ROOT, "build/deb", DEB);
const machine = await Container.boot({
  folder: join(ROOT, "build/systemd"),
  packages: packagesOf(deb),
  files: { [`/run/${DEB}`]: deb },
});
console.log(`ok: ${machine.must("systemctl", "--version").split("\n")[0]} is up`);
let failed = false;
try {
  const trial = new Trial(machine);
  trial.install();
  trial.write();
  await trial.reload();
  await trial.kill();
  await trial.hang();
  trial.verify();
  await trial.upgrade();
  await trial.restart();
  await trial.stop();
  trial.activate();
  trial.remove();
} catch (error) {
  failed = true;
  console.log(`FAILED: ${error.message}`);
  console.log(machine.run("journalctl", "--no-pager", "-u", "streamd", "-n", "60").out);
} finally {
  await machine.close();
}
process.exit(failed ? 1 : 0);
