// How the services are: how much they do, how much of it fails, how long it takes, and how that was some time before.

import { ask, Refused, terminal } from "./ask.js";
import { filterFlags, go, kept, to, withParams } from "./address.js";
import { h, put, say, table } from "./dom.js";
import { bars, line } from "./sparkline.js";
import { aligned, parseDuration, stepFor, stepText, windowFlags, windowOf, WEEK } from "./window.js";
import { count, duration, many, named, percent, rate } from "./words.js";

const QUANTILES = "0.5,0.99,0.999";
const STEPS = 40;
const BEFORE = [["7d", "a week before"], ["1d", "a day before"], ["1h", "an hour before"]];
/** Less than this share of change is not worth a colour. */
const NOTABLE = 0.2;

const COLUMNS = [
  { key: "service", label: "Service", value: (row) => named(row.service), text: true },
  { key: "rate", label: "Spans", value: (row) => row.rate, shown: rate },
  { key: "rates", label: "Over time", picture: (row) => row.rates },
  { key: "errors", label: "Errors", value: (row) => row.errors, shown: percent },
  { key: "p50", label: "p50", value: (row) => row.quantiles[0], shown: duration },
  { key: "p99", label: "p99", value: (row) => row.quantiles[1], shown: duration },
  { key: "p99.9", label: "p99.9", value: (row) => row.quantiles[2], shown: duration },
  { key: "tails", label: "p99 over time", picture: (row) => row.tails },
];

function rowOf(group, seconds) {
  const at = (index) => group.quantiles[index]?.valueNano ?? null;
  return { service: group.group.service, count: group.count, rate: group.count / seconds, errors: group.errors / group.count, quantiles: [at(0), at(1), at(2)] };
}

/** The change from then to now, in words and as a class. */
function change(column, row, before, label) {
  if (!before) return null;
  const [now, then] = [column.value(row), column.value(before)];
  if (now === null || then === null) return null;
  const factor = then === 0 ? (now === 0 ? 1 : Infinity) : now / then;
  const worse = column.key !== "rate" && factor > 1 + NOTABLE;
  const better = column.key !== "rate" && factor < 1 - NOTABLE;
  const arrow = factor > 1 + NOTABLE ? "▲ " : factor < 1 - NOTABLE ? "▼ " : "";
  return h("small", { class: `then${worse ? " worse" : better ? " better" : ""}`, title: `${label}: ${column.shown(then)}` },
    h("span", { "aria-hidden": "true" }, arrow), worse ? h("span", { class: "visually-hidden" }, "worse than ") : better ? h("span", { class: "visually-hidden" }, "better than ") : null,
    arrow ? `from ${column.shown(then)}` : column.shown(then));
}

function cell(column, row, label, params) {
  if (column.text) {
    const address = to("heat", withParams(kept(params), { service: row.service }));
    return h("th", { scope: "row" }, row.service === null ? named(null) : h("a", { href: address }, row.service),
      row.before ? null : h("small", { class: "then" }, `not there ${label}`));
  }
  if (column.picture) return h("td", { class: "picture" }, column.picture(row) ?? h("span", { class: "faint" }, "…"));
  const bad = column.key === "errors" && row.errors > 0;
  return h("td", { class: bad ? "figure failed" : "figure" }, column.shown(column.value(row)), change(column, row, row.before, label));
}

function sorted(rows, key, descending) {
  const column = COLUMNS.find((column) => column.key === key && column.value) ?? COLUMNS[1];
  const direction = descending ? -1 : 1;
  const order = (a, b) => {
    const [left, right] = [column.value(a), column.value(b)];
    if (left === right) return named(a.service) < named(b.service) ? -1 : 1;
    // What has no figure comes last, whichever way it is sorted.
    if (left === null || right === null) return left === null ? 1 : -1;
    return (left < right ? -1 : 1) * direction;
  };
  return [...rows].sort(order);
}

function header(column, params, key, descending) {
  if (column.picture) return h("th", { scope: "col" }, column.label);
  const own = column.key === key;
  const sort = () => go(to("health", withParams(params, { sort: own && descending !== Boolean(column.text) ? (column.text ? `-${column.key}` : `+${column.key}`) : column.key })), true);
  const mark = own ? h("span", { "aria-hidden": "true" }, descending ? " ▼" : " ▲") : null;
  return h("th", { scope: "col", class: column.text ? null : "figure", "aria-sort": own ? (descending ? "descending" : "ascending") : null },
    h("button", { type: "button", class: "sort", "data-key": `sort-${column.key}`, click: sort }, column.label, mark));
}

/** The steps of each service, in order, with holes where nothing happened. */
function overTime(lines, frame, step) {
  const steps = Number((frame.until - frame.since) / step);
  const services = new Map();
  for (const point of lines) {
    const name = point.group.service;
    if (!services.has(name)) services.set(name, Array(steps).fill(null));
    const index = Number((point.startUnixNano - frame.since) / step);
    if (index >= 0 && index < steps) services.get(name)[index] = point;
  }
  return services;
}

function pictures(rows, services, steps) {
  for (const row of rows) {
    const points = services.get(row.service) ?? Array(steps).fill(null);
    const counts = points.map((point) => point?.count ?? 0);
    const tails = points.map((point) => point?.quantiles[0]?.valueNano ?? null);
    const there = tails.filter((value) => value !== null);
    row.rates = bars(counts, points.map((point) => point?.errors ?? 0), `${named(row.service)}: at most ${count(Math.max(...counts))} spans a step, ${many(points.reduce((sum, point) => sum + (point?.errors ?? 0), 0), "error")}`);
    row.tails = there.length > 0 ? line(tails, `${named(row.service)}: p99 from ${duration(Math.min(...there))} to ${duration(Math.max(...there))}`) : "–";
  }
}

/** The choice of what the small figures are. */
function comparison(params, versus) {
  const choose = ({ target }) => go(to("health", withParams(params, { versus: target.value === "7d" ? null : target.value })), true);
  return h("p", { class: "compared" }, h("label", { for: "versus" }, "Below each figure: that of "),
    h("select", { id: "versus", "data-key": "versus", change: choose }, BEFORE.map(([value, words]) => h("option", { value, selected: value === versus }, words))));
}

/** The table, in the order of the address: `sort=+p99`, `sort=-p99`. */
function body(rows, params, versus) {
  const given = params.get("sort") ?? "rate";
  const key = given.replace(/^[+-]/, "");
  const descending = given.startsWith("-") || (!given.startsWith("+") && key !== "service");
  const label = BEFORE.find(([value]) => value === versus)?.[1] ?? `${versus} before`;
  const lines = sorted(rows, key, descending).map((row) => h("tr", null, COLUMNS.map((column) => cell(column, row, label, params))));
  return table(`Services by ${COLUMNS.find((column) => column.key === key)?.label ?? "spans"}`, COLUMNS.map((column) => header(column, params, key, descending)), lines, { class: "services" });
}

/** Asks for what the pictures show, and draws them. */
async function drawOverTime(rows, frame, filters, signal) {
  const step = stepFor(frame, STEPS);
  const whole = aligned(frame, step);
  const series = await ask("series", [...filters, ["by", "service"], ["quantiles", "0.99"], ["step", stepText(step)], ...windowFlags(frame)], signal);
  pictures(rows, overTime(series.lines, whole, step), Number((whole.until - whole.since) / step));
}

function empty(params) {
  return h("div", { class: "notice" }, h("h2", null, "No spans here"),
    h("p", null, "Nothing that meets the filters started in this time. Choose a longer time above, or clear the filters."),
    h("p", null, "To send spans, point an exporter at this server: OTLP to port 4317 (gRPC) or 4318 (HTTP), Zipkin to port 9411."),
    h("p", null, h("a", { href: to("health") }, "Show the newest spans there are"), params.has("tag") ? h("a", { href: to("health", withParams(params, { tag: null })) }, " without attributes") : null));
}

/** Draws the view. */
export async function health(place, { params, signal }) {
  const frame = windowOf(params);
  const seconds = Number(frame.until - frame.since) / 1e9;
  const filters = filterFlags(params, ["service"]);
  const versus = params.get("versus") ?? "7d";
  const ago = parseDuration(versus) ?? WEEK;
  const then = { since: frame.since - ago, until: frame.until - ago };
  const question = (window) => [...filters, ["by", "service"], ["quantiles", QUANTILES], ...windowFlags(window)];
  const [now, before] = await Promise.all([ask("latency", question(frame), signal), ask("latency", question(then), signal)]);
  const old = new Map(before.lines.map((group) => [group.group.service, rowOf(group, seconds)]));
  const rows = now.lines.map((group) => ({ ...rowOf(group, seconds), before: old.get(group.group.service) }));

  const title = h("div", { class: "heading" }, h("h1", null, "Services"), comparison(params, versus));
  const asked = h("p", { class: "terminal" }, "The same in a terminal: ", h("code", null, terminal("latency", question(frame))));
  const warning = now.summary.complete ? null : h("p", { class: "notice bad" }, `Not everything was counted: ${now.summary.reason}`);
  if (rows.length === 0) {
    say("No spans");
    put(place, title, empty(params));
    return;
  }
  put(place, title, warning, body(rows, params, versus), asked);
  say(many(rows.length, "service"));
  try {
    await drawOverTime(rows, frame, filters, signal);
    put(place, title, warning, body(rows, params, versus), asked);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    // The figures are there; the pictures alone are not.
    put(place, title, warning, h("p", { class: "notice bad" }, `No pictures over time: ${error.message} ${error.advice}`), body(rows, params, versus), asked);
  }
}
