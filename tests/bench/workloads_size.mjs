// What a machine needs for a given load: the processor time of all processes, at rates far below the limit.

import { load, target, withServer } from "./measure.mjs";
import { cpuOf, familyOf } from "./process_groups.mjs";
import { streamd } from "./systems.mjs";

// sse with a rate: publishers that do not wait for readers.
const paced = (name, readers, publishers, streams, rate) => ({
  ...streamd,
  name,
  args: ["sse", "--readers", readers, "--publishers", publishers, "--streams", streams, "--rate", rate].map(String),
});

// In percent of one core.
const measure = (row, context) =>
  withServer(row, context, async (server) => {
    const before = cpuOf(familyOf(server.pid));
    const began = performance.now();
    const figures = await load(context, [...row.args, ...target(server, context)]);
    const seconds = (performance.now() - began) / 1000;
    return { ...figures, cpu_percent: (100 * (cpuOf(familyOf(server.pid)) - before)) / seconds };
  });

export default [
  {
    key: "size",
    title: "Processor time at a steady load, in percent of one core; lower is better",
    main: "cpu_percent",
    columns: [
      ["cpu_percent", "% of a core", 1],
      ["deliveries_per_s", "deliveries/s", 0],
      ["p99_us", "p99 µs", 0],
      ["lost", "lost", 0],
    ],
    rows: [
      paced("1,000 appends/s by 100 writers", 1, 100, 100, 10),
      paced("4,000 appends/s by 100 writers", 1, 100, 100, 40),
      paced("1,000 SSE readers of one stream, 1 message/s", 1000, 1, 1, 1),
      paced("1,000 SSE readers of one stream, 10 messages/s", 1000, 1, 1, 10),
      paced("1,000 SSE readers of 1,000 streams, 1 message/s each", 1000, 1000, 1000, 1),
    ],
    measure,
  },
];
