// Figures as people read them.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const number = (value, digits) =>
  value === undefined || Number.isNaN(value)
    ? "-"
    : value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

const figuresOf = (row, figure) => row.rounds.map((round) => round[figure]).filter((value) => value !== undefined);

const medianOf = (row, figure) => {
  const values = figuresOf(row, figure);
  return values.length ? median(values) : undefined;
};

function cells(workload, row, first) {
  if (row.skipped) return [row.name, `skipped: ${row.skipped}`];
  if (!row.rounds.length) return [row.name, `failed: ${row.failures[0]}`];
  const values = figuresOf(row, workload.main);
  const digits = workload.columns.find(([figure]) => figure === workload.main)[2];
  const range = `${number(Math.min(...values), digits)}–${number(Math.max(...values), digits)}`;
  const [main, ...others] = workload.columns.map(([figure, , places]) => number(medianOf(row, figure), places));
  const ratio = first === row ? "" : number(medianOf(first, workload.main) / medianOf(row, workload.main), 2);
  const failed = row.failures.length ? [`${row.failures.length} rounds failed: ${row.failures[0]}`] : [];
  return [row.name, main, range, ...others, ratio, ...failed];
}

// One workload's rows: medians, the range of the main figure, and the first row's main figure divided by the row's own.
export function table(workload, rows) {
  const headings = workload.columns.map(([, heading]) => heading);
  headings.splice(1, 0, "min–max");
  const lines = [["", ...headings, "first/this"], ...rows.map((row) => cells(workload, row, rows[0]))];
  const aligned = lines.filter((line) => line.length > 2);
  const widths = lines[0].map((_, i) => Math.max(...aligned.map((line) => (line[i] ?? "").length)));
  widths[0] = Math.max(...lines.map((line) => line[0].length));
  const text = lines.map((line) =>
    line.map((cell, i) => (i && line.length > 2 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i]))).join("  "),
  );
  return `${workload.key}. ${workload.title}\n${text.map((line) => `  ${line.trimEnd()}`).join("\n")}\n`;
}
