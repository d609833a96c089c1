// A workload as a picture: one bar a system, the range of its rounds as a line. SVG, readable on light and dark pages.

import { median } from "./table.mjs";

const WIDTH = 820;
const LABEL = 300;
const BAR = 22;
const GAP = 10;
const TOP = 44;
const COLORS = { ours: "#2f81f7", limit: "#8b949e", peer: "#b08500" };

const escape = (text) => text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

const colorOf = ({ name }) =>
  name.startsWith("streamd") ? COLORS.ours : name.startsWith("limit") ? COLORS.limit : COLORS.peer;

function bar(row, figure, y, scale) {
  const values = row.rounds.map((round) => round[figure]);
  const value = median(values);
  const middle = y + BAR / 2;
  const number = value.toLocaleString("en-US", { maximumFractionDigits: value < 100 ? 1 : 0 });
  const end = LABEL + Math.max(...values) * scale;
  return [
    `<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${escape(row.name)}</text>`,
    `<rect x="${LABEL}" y="${y}" width="${(value * scale).toFixed(1)}" height="${BAR}" fill="${colorOf(row)}"/>`,
    `<line x1="${(LABEL + Math.min(...values) * scale).toFixed(1)}" x2="${end.toFixed(1)}" y1="${middle}" y2="${middle}"/>`,
    `<text x="${(end + 6).toFixed(1)}" y="${middle}">${number}</text>`,
  ].join("\n");
}

// The text of the SVG, or null when nothing was measured.
export function plot(workload) {
  const rows = workload.rows.filter(({ rounds }) => rounds.length);
  if (!rows.length) return null;
  const largest = Math.max(...rows.flatMap(({ rounds }) => rounds.map((round) => round[workload.main])));
  const scale = (WIDTH - LABEL - 90) / largest;
  const height = TOP + rows.length * (BAR + GAP);
  const bars = rows.map((row, i) => bar(row, workload.main, TOP + i * (BAR + GAP), scale));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escape(workload.title)}</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f; dominant-baseline: middle }
line { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } line { stroke: #e6edf3 } }
</style>
<text x="8" y="18" font-weight="bold">${escape(workload.title)} (${workload.unit})</text>
${bars.join("\n")}
</svg>
`;
}
