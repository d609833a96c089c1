// Catch-up reads: one request, one page; a long history is walked page by page.

import { fill, fillFile } from "./fill.mjs";
import { load, target, withCost, withServer } from "./measure.mjs";
import { COST, LATENCY, nginxStatic, rust, streamd } from "./systems.mjs";

const MIB = 1 << 20;

const reads = (key, title, main, bytes, { json = false, args, rows }) => ({
  key,
  title: `${title}; higher is better`,
  main,
  columns: [
    main === "mb_per_s" ? ["mb_per_s", "MB/s", 0] : ["requests_per_s", "reads/s", 0],
    main === "mb_per_s" ? ["requests_per_s", "reads/s", 0] : ["mb_per_s", "MB/s", 0],
    ...LATENCY,
    ...COST,
  ],
  rows,
  measure: (row, context) =>
    withServer(row, context, async (server, folder) => {
      const url = `${server.url}0`;
      if (server.api === "static") fillFile(folder, "s0", bytes);
      else await fill(url, bytes, json);
      return withCost(server, () =>
        load(context, ["catchup", ...args, ...target({ ...server, api: "durable", url }, context)]),
      );
    }),
});

const few = ["--connections", "8"];

export default [
  reads("read-1m", "Catch-up of 1 MiB, 8 connections", "mb_per_s", MIB, {
    args: few,
    rows: [streamd, nginxStatic, rust],
  }),
  reads("read-1m-json", "Catch-up of 1 MiB of JSON, 8 connections", "mb_per_s", MIB, {
    json: true,
    args: few,
    rows: [streamd, nginxStatic, rust],
  }),
  reads("read-64m", "Catch-up of 64 MiB, page by page, 8 connections", "mb_per_s", 64 * MIB, {
    args: [...few, "--walk"],
    rows: [streamd, nginxStatic, rust],
  }),
  reads("read-64m-json", "Catch-up of 64 MiB of JSON, page by page, 8 connections", "mb_per_s", 64 * MIB, {
    json: true,
    args: [...few, "--walk"],
    rows: [streamd, nginxStatic, rust],
  }),
  reads("read-1k", "Reads of 1 KiB, 64 connections", "requests_per_s", 1024, {
    args: [],
    rows: [streamd, nginxStatic, rust],
  }),
  reads("read-304", "Conditional reads of 1 MiB that is not modified, 64 connections", "requests_per_s", MIB, {
    args: ["--conditional"],
    rows: [streamd, nginxStatic, rust],
  }),
];
