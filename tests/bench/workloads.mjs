// What is measured. A workload: { key, title, main, columns, rows, measure(row, context): figures of one round }.
// main: the figure that is compared; columns: [figure, heading, digits].

import append from "./workloads_append.mjs";
import fanout from "./workloads_fanout.mjs";
import large from "./workloads_large.mjs";
import live from "./workloads_live.mjs";
import read from "./workloads_read.mjs";
import segments from "./workloads_segments.mjs";
import size from "./workloads_size.mjs";
import state from "./workloads_state.mjs";

export const workloads = [...append, ...large, ...live, ...read, ...fanout, ...segments, ...state, ...size];
