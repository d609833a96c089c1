// The processes of a running streamd, as /proc shows them.

import { readFileSync, readdirSync, readlinkSync } from "node:fs";

const read = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
};

// { pid, parent, group, state, name } of a process, or null if there is none.
export function processInfo(pid) {
  const stat = read(`/proc/${pid}/stat`);
  const end = stat.lastIndexOf(")");
  if (end < 0) return null;
  const [state, parent, group] = stat.slice(end + 2).split(" ");
  return { pid, parent: Number(parent), group: Number(group), state, name: stat.slice(stat.indexOf("(") + 1, end) };
}

// The first thread of a process may have ended while another is still in a call, and keeps its files and locks.
function hasEnded({ pid, state }) {
  if (state !== "Z") return false;
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => /\) [ZX] /.test(read(`/proc/${pid}/task/${thread}/stat`) || ") X "));
  } catch {
    return true;
  }
}

export function alive(pid) {
  const info = processInfo(pid);
  return info !== null && !hasEnded(info);
}

function living() {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => processInfo(Number(entry)))
    .filter((info) => info && !hasEnded(info));
}

// Whether a group has a process.
export function groupAlive(group) {
  return living().some((info) => info.group === group);
}

// The pids of a supervisor's children, by their programs: [{ pid, role: "router" | "shard" }].
export function childrenOf(supervisor) {
  return living()
    .filter((info) => info.parent === supervisor && /^streamd-/.test(info.name))
    .map(({ pid, name }) => ({ pid, role: name.replace("streamd-", "") }));
}

// Resident memory of a process in bytes.
export function memoryOf(pid) {
  const match = /VmRSS:\s+(\d+) kB/.exec(read(`/proc/${pid}/status`));
  return match ? Number(match[1]) * 1024 : 0;
}

// Has the process got the other end of our TCP connection from that local port?
export function holdsConnection(pid, port) {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const rows = read(`/proc/net/tcp`).split("\n").map((line) => line.trim().split(/\s+/));
  // Connections to other servers may be from the same port.
  const inodes = rows.filter(([, , remote]) => remote?.endsWith(`:${hex}`)).map((row) => row[9]);
  const links = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return inodes.some((inode) => links.includes(`socket:[${inode}]`));
}
