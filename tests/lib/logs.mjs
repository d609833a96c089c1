// Lines of the log, in each of its formats.

// "… shard/2[1234] info: message name=value …"; for journald without the time, behind "<6>".
const TEXT = /^(?:<(?<priority>[0-7])>|(?<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) )(?<role>\w+)(?:\/(?<index>\d+))?\[(?<pid>\d+)\] (?<level>\w+): (?<msg>.*)$/;
const NUMBERS = new Set(["index", "pid", "status", "bytes", "ms", "ready_ms", "repeated"]);

const numbers = (fields) =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, NUMBERS.has(name) ? Number(value) : value]));

// name=value name="value" …, and nothing else: { name: value }; throws where that is not so.
export function parseLogfmt(text) {
  const fields = {};
  const pair = /([A-Za-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"=\\]+))(?: |$)/y;
  while (pair.lastIndex < text.length) {
    const at = pair.lastIndex;
    const found = pair.exec(text);
    if (!found) throw new Error(`not logfmt at ${at}: ${text}`);
    const [, name, quoted, bare] = found;
    if (name in fields) throw new Error(`${name} comes twice: ${text}`);
    fields[name] = bare ?? JSON.parse(`"${quoted}"`);
  }
  return numbers(fields);
}

// { level, role, index, pid, msg, … } of a line in any format, or null.
export function parseLine(line) {
  const [, priority, rest] = /^(?:<([0-7])>)?(.*)$/s.exec(line);
  if (rest.startsWith("{")) return { ...(priority && { priority }), ...JSON.parse(rest) };
  if (/^(time|level)=/.test(rest)) return { ...(priority && { priority }), ...parseLogfmt(rest) };
  const found = TEXT.exec(line);
  if (!found) return null;
  return numbers(Object.fromEntries(Object.entries(found.groups).filter(([, value]) => value !== undefined)));
}
