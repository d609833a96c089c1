// The rows of the tables, and the columns that many have in common.

export const streamd = { name: "streamd", peer: "streamd" };
export const streamdShards = (count) => ({
  name: `streamd, shard.count=${count}`,
  peer: "streamd",
  settings: { "shard.count": count },
});
export const streamdJwt = {
  name: "streamd, auth.mode=jwt",
  peer: "streamd",
  settings: { "auth.mode": "jwt" },
  project: "bench",
};
export const rust = { name: "Rust server, wal", peer: "rust" };
export const redis = { name: "Redis XADD, appendfsync always", peer: "redis" };
export const node = { name: "Node reference, files and fsync", peer: "referenceFile" };
export const nodeMemory = { name: "Node reference, memory (not durable)", peer: "referenceMemory" };
export const nchan = { name: "Nchan (memory)", peer: "nchan" };
export const nginxEmpty = { name: "limit: nginx, empty 204", peer: "nginxEmpty" };
export const nginxStatic = { name: "nginx, a static file", peer: "nginxStatic" };
export const machine = { name: "limit: SQLite without a server", peer: "machine" };

export const bareDisk = (how, batch) => ({ name: `limit: ${how}, no server`, peer: "machine", batch });

export const LATENCY = [
  ["p50_us", "p50 µs", 0],
  ["p99_us", "p99 µs", 0],
];
export const COST = [
  ["server_cpu_us", "server cpu µs", 1],
  ["generator_cpu", "load cpu", 2],
  ["errors", "errors", 0],
];
