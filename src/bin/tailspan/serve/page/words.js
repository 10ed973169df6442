// Figures and times as people read them.

const UNITS = [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]];

function significant(value) {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A duration in nanoseconds, to three digits. */
export function duration(nano) {
  if (nano === null || nano === undefined) return "–";
  if (nano < 1000) return `${nano} ns`;
  if (nano >= 120e9) {
    const seconds = Math.round(nano / 1e9);
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
    const hours = seconds / 3600;
    return hours < 48 ? `${significant(hours)} h` : `${significant(hours / 24)} d`;
  }
  // 999.9 ms are 1.00 s rather than 1000 ms.
  const [unit, size] = UNITS.filter(([, size]) => nano >= size * 0.9995).at(-1);
  return `${significant(nano / size)} ${unit}`;
}

/** A whole number with its thousands apart. */
export function count(number) {
  return Number(number).toLocaleString("en-US");
}

/** How often a second something happens. */
export function rate(perSecond) {
  if (perSecond === 0) return "0/s";
  if (perSecond >= 1000) return `${significant(perSecond / 1000)}k/s`;
  if (perSecond >= 1) return `${significant(perSecond)}/s`;
  return perSecond * 60 >= 0.1 ? `${significant(perSecond * 60)}/min` : `${significant(perSecond * 3600)}/h`;
}

/** A share from 0 to 1. A share that is not nothing is never shown as 0. */
export function percent(share) {
  if (share === 0) return "0 %";
  if (share < 0.0001) return "<0.01 %";
  return `${share < 0.01 ? (share * 100).toFixed(2) : share < 0.1 ? (share * 100).toFixed(1) : (share * 100).toFixed(0)} %`;
}

/** One thing or several: `many(2, "span")`. */
export function many(number, word) {
  return `${count(number)} ${word}${Number(number) === 1 ? "" : "s"}`;
}

/** A service or name that may be absent. */
export function named(text) {
  return text === null || text === undefined || text === "" ? "(none)" : text;
}

let zone = "local";

/** Chooses the zone that times are shown in: "UTC", or that of this computer. */
export function showTimesIn(chosen) {
  zone = chosen === "UTC" ? "UTC" : "local";
}

/** The zone of this computer. */
export function localZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

const two = (number) => String(number).padStart(2, "0");

function parts(milliseconds) {
  const date = new Date(milliseconds);
  const get = (field) => (zone === "UTC" ? date[`getUTC${field}`]() : date[`get${field}`]());
  const offset = zone === "UTC" ? 0 : -date.getTimezoneOffset();
  const sign = offset < 0 ? "-" : "+";
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
  return {
    day: `${get("FullYear")}-${two(get("Month") + 1)}-${two(get("Date"))}`,
    clock: `${two(get("Hours"))}:${two(get("Minutes"))}`,
    seconds: `${two(get("Seconds"))}.${String(get("Milliseconds")).padStart(3, "0")}`,
    zone: zone === "UTC" || offset === 0 ? "UTC" : `${sign}${two(hours)}:${two(minutes)}`,
  };
}

/** A time in nanoseconds (BigInt) with its day and zone. */
export function time(nano) {
  const { day, clock, seconds, zone: shown } = parts(Number(nano / 1_000_000n));
  return `${day} ${clock}:${seconds} ${shown}`;
}

/** A time of day, without seconds where they are 0. */
export function clock(nano) {
  const { clock: shown, seconds } = parts(Number(nano / 1_000_000n));
  return seconds === "00.000" ? shown : `${shown}:${seconds.replace(/\.000$/, "")}`;
}

/** A stretch of time: `2026-01-15 10:00 to 11:00 UTC`. */
export function stretch(since, until) {
  const [from, to] = [parts(Number(since / 1_000_000n)), parts(Number(until / 1_000_000n))];
  const last = from.day === to.day ? clock(until) : `${to.day} ${clock(until)}`;
  return `${from.day} ${clock(since)} to ${last} ${to.zone}`;
}

/** The day and clock of a time, as in an axis that spans days. */
export function dayAndClock(nano) {
  const { day, clock: shown } = parts(Number(nano / 1_000_000n));
  return `${day.slice(5)} ${shown}`;
}
