// Windows of time: what `since` and `until` mean, and steps that fit.

const UNITS = { ns: 1n, us: 1_000n, "µs": 1_000n, ms: 1_000_000n, s: 1_000_000_000n, m: 60_000_000_000n, h: 3_600_000_000_000n, d: 86_400_000_000_000n };
const SECOND = UNITS.s;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map((seconds) => BigInt(seconds) * SECOND);

export const HOUR = UNITS.h;
export const WEEK = 7n * UNITS.d;

/** The time now, in nanoseconds. */
export function now() {
  return BigInt(Date.now()) * 1_000_000n;
}

/** A duration such as `1h` or `1.5s` in nanoseconds, or null. */
export function parseDuration(text) {
  const match = /^(\d+)(?:\.(\d{1,18}))?(ns|us|µs|ms|s|m|h|d)$/.exec(text.trim());
  if (!match) return null;
  const [, whole, part = "", unit] = match;
  return (BigInt(whole + part) * UNITS[unit]) / 10n ** BigInt(part.length);
}

/** A duration in nanoseconds as a flag has it, exactly: 16.777216ms. */
export function durationText(nano) {
  const exact = BigInt(nano);
  const unit = ["s", "ms", "us"].find((unit) => exact >= UNITS[unit]) ?? "ns";
  const part = String(exact % UNITS[unit]).padStart(String(UNITS[unit]).length - 1, "0").replace(/0+$/, "");
  return `${exact / UNITS[unit]}${part ? `.${part}` : ""}${unit}`;
}

/** A time as the command line reads it: RFC 3339, a number, `now`, or `-1h`. Null if it is none. */
export function parseTime(text, at = now()) {
  const given = text.trim();
  if (given === "now") return at;
  if (given.startsWith("-")) {
    const ago = parseDuration(given.slice(1));
    return ago === null ? null : at - ago;
  }
  if (/^\d{1,20}$/.test(given)) {
    const zeros = given.length <= 11 ? 9 : given.length <= 14 ? 6 : given.length <= 17 ? 3 : 0;
    return BigInt(given) * 10n ** BigInt(zeros);
  }
  const match = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)$/i.exec(given);
  if (!match) return null;
  const [, day, clock, seconds = "00", part = "", zone] = match;
  const whole = Date.parse(`${day}T${clock}:${seconds}${zone.toUpperCase()}`);
  return Number.isNaN(whole) ? null : BigInt(whole) * 1_000_000n + BigInt(part.padEnd(9, "0"));
}

/** A time as the address has it: RFC 3339 in UTC, with as many decimals as it needs. */
export function timeText(nano) {
  const whole = new Date(Number(nano / 1_000_000n)).toISOString().slice(0, 19);
  const part = String(nano % SECOND).padStart(9, "0").replace(/0+$/, "");
  return `${whole}${part ? `.${part}` : ""}Z`;
}

/** The window of an address. Throws what to do if a time is none. */
export function windowOf(params) {
  const at = now();
  const [since, until] = [params.get("since") ?? "-1h", params.get("until") ?? "now"].map((text) => {
    const parsed = parseTime(text, at);
    if (parsed === null) throw new Error(`'${text}' is no time. Write -1h, now, or 2026-01-15T10:00:00Z with a zone.`);
    return parsed;
  });
  if (since >= until) throw new Error("The window ends before it begins. Choose a later end.");
  return { since, until };
}

/** The flags of a window. */
export function windowFlags({ since, until }) {
  return [["since", timeText(since)], ["until", timeText(until)]];
}

/** The step that cuts a window into at most so many pieces. */
export function stepFor({ since, until }, pieces) {
  return STEPS.find((step) => (until - since) / step < BigInt(pieces)) ?? STEPS.at(-1) * ((until - since) / (STEPS.at(-1) * BigInt(pieces)) + 1n);
}

/** Round times in a window, at most so many. */
export function roundTimes({ since, until }, most) {
  const step = stepFor({ since, until }, most);
  const first = since + ((step - (since % step)) % step);
  return Array.from({ length: Number((until - first) / step) + 1 }, (_, index) => first + BigInt(index) * step);
}

/** The window widened to whole steps, which are counted from the epoch. */
export function aligned({ since, until }, step) {
  return { since: since - (since % step), until: until + ((step - (until % step)) % step) };
}

/** A step as a flag: 30s, 5m, 1h. */
export function stepText(step) {
  const unit = ["d", "h", "m"].find((unit) => step % UNITS[unit] === 0n) ?? "s";
  return `${step / UNITS[unit]}${unit}`;
}
