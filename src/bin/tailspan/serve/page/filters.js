// The bar above the views: which spans, and when. Each field has the name of its flag; submitting it changes the address.

import { ask } from "./ask.js";
import { go, to, withParams } from "./address.js";
import { h, put, say } from "./dom.js";
import { stretch } from "./words.js";
import { parseDuration, parseTime, windowOf } from "./window.js";

const WINDOWS = [["-15m", "Last 15 minutes"], ["-1h", "Last hour"], ["-6h", "Last 6 hours"], ["-24h", "Last 24 hours"], ["-7d", "Last 7 days"], ["-30d", "Last 30 days"]];
const KINDS = [["", "any kind"], ["server", "server"], ["client", "client"], ["producer", "producer"], ["consumer", "consumer"], ["internal", "internal"]];
const OUTCOMES = [["", "any outcome"], ["error", "errors only"], ["ok", "ok"], ["unset", "unset"]];
const MORE = [
  ["remote-service", "Remote service", "payments-db"],
  ["annotation-query", "Zipkin annotation query", "error and http.method=GET"],
  ["min-trace-duration", "Trace at least", "1s"],
  ["max-trace-duration", "Trace at most", "10s"],
];
/** Fields of each view; the others have nothing to choose there. */
const FIELDS = {
  health: ["name", "kind", "status", "tag"],
  heat: ["service", "name", "kind", "status", "durations", "tag", "where", "more"],
  search: ["service", "name", "kind", "status", "durations", "tag", "where", "more", "find"],
  map: ["service"],
};

const known = { services: null, operations: new Map() };

function field(name, label, control) {
  control.id = `filter-${name}`;
  control.name = name;
  return h("p", { class: `field field-${name}` }, h("label", { for: control.id }, label), control);
}

function input(params, name, attributes) {
  return h("input", { autocomplete: "off", spellcheck: "false", value: params.get(name) ?? "", ...attributes });
}

function choice(options, chosen) {
  const all = options.some(([value]) => value === chosen) ? options : [...options, [chosen, chosen]];
  return h("select", null, all.map(([value, label]) => h("option", { value, selected: value === chosen }, label)));
}

function outcomeOf(params) {
  return params.has("error") ? "error" : params.get("status") ?? "";
}

/** What the window is called: one of the usual ones, or `other`. */
function windowName(params) {
  const since = params.get("since");
  return !params.has("until") && WINDOWS.some(([value]) => value === since) ? since : "other";
}

/** A field for a duration: says what is wrong with it. */
function durationInput(params, name) {
  const check = ({ target }) => {
    const bad = target.value.trim() !== "" && parseDuration(target.value) === null;
    target.setCustomValidity(bad ? "A number and a unit, as in 250ms or 1.5s" : "");
  };
  return input(params, name, { input: check, size: 7, placeholder: "250ms" });
}

function timeInput(params, name) {
  const check = ({ target }) => {
    const bad = target.value.trim() !== "" && parseTime(target.value) === null;
    target.setCustomValidity(bad ? "-1h, now, or a time with a zone, as in 2026-01-15T10:00:00Z" : "");
  };
  return input(params, name, { input: check, size: 21, placeholder: name === "since" ? "-1h" : "now" });
}

function windowFields(params) {
  const other = h("span", { class: "window-other" }, field("since", "From", timeInput(params, "since")), field("until", "Until", timeInput(params, "until")));
  const chosen = choice([...WINDOWS, ["other", "From … until …"]], windowName(params));
  chosen.addEventListener("change", () => {
    other.hidden = chosen.value !== "other";
    // One that is chosen from the list needs no second step.
    if (other.hidden) chosen.form.requestSubmit();
  });
  other.hidden = chosen.value !== "other";
  return [field("window", "When", chosen), other];
}

function chips(params, view) {
  const tags = params.getAll("tag");
  const without = (index) => to(view, withParams(params, { tag: tags.filter((_, at) => at !== index) }));
  return tags.length === 0 ? null : h("ul", { class: "chips", "aria-label": "Attributes that must hold" },
    tags.map((tag, index) => h("li", null, h("code", null, tag), h("a", { href: without(index), "aria-label": `Remove ${tag}` }, "×"))));
}

function fields(view, params) {
  const has = (name) => FIELDS[view].includes(name);
  return [
    has("service") && field("service", view === "map" ? "Around service" : "Service", input(params, "service", { list: "services", size: 18, placeholder: "any" })),
    has("name") && field("name", "Operation", input(params, "name", { list: "operations", size: 22, placeholder: "any" })),
    has("kind") && field("kind", "Kind", choice(KINDS, params.get("kind") ?? "")),
    has("status") && field("status", "Outcome", choice(OUTCOMES, outcomeOf(params))),
    has("durations") && field("min-duration", "At least", durationInput(params, "min-duration")),
    has("durations") && field("max-duration", "At most", durationInput(params, "max-duration")),
    has("tag") && field("tag", "Attribute", h("input", { list: "keys", size: 24, autocomplete: "off", spellcheck: "false", placeholder: "http.status_code>=500" })),
    has("where") && field("where", "Where (structure)", input(params, "where", { size: 60, placeholder: '{ resource.service.name = "checkout" } >> { status = error }' })),
    has("find") && field("scope", "Met by", choice([["", "one span"], ["service", "spans of the service"], ["trace", "spans of the trace"]], params.get("scope") ?? "")),
    has("find") && field("order", "First", choice([["", "the newest"], ["slowest", "the slowest"]], params.get("order") ?? "")),
    windowFields(params),
    h("p", { class: "actions" }, h("button", { class: "primary" }, view === "search" ? "Search" : "Show"), " ",
      h("a", { href: to(view, withParams(new URLSearchParams(), { since: params.get("since"), until: params.get("until") })) }, "Clear")),
    has("more") && h("details", { class: "more", open: MORE.some(([name]) => params.has(name)) }, h("summary", null, "More filters"),
      h("div", { class: "fields" }, MORE.map(([name, label, placeholder]) => field(name, label, input(params, name, { size: 22, placeholder }))))),
  ];
}

/** The parameters that the form says. */
function said(form, params) {
  const given = new FormData(form);
  const changes = Object.fromEntries([...given].map(([name, value]) => [name, value.trim()]));
  const chosen = changes.window;
  delete changes.window;
  if (chosen !== "other") Object.assign(changes, { since: chosen, until: null });
  if (given.has("status")) Object.assign(changes, changes.status === "error" ? { error: "1", status: null } : { error: null });
  if (changes.tag) changes.tag = [...params.getAll("tag"), changes.tag];
  else delete changes.tag;
  // What was chosen in the old picture says nothing about a new one.
  return withParams(params, { ...changes, box: null, "page-token": null });
}

async function suggest(params) {
  try {
    known.services ??= (await ask("services", [])).lines.map((line) => line.service).filter(Boolean);
    options("services", known.services);
    const service = params.get("service") ?? "";
    if (!known.operations.has(service)) {
      const { lines } = await ask("operations", service ? [["service", service]] : []);
      known.operations.set(service, [...new Set(lines.map((line) => line.name).filter(Boolean))]);
    }
    options("operations", known.operations.get(service));
    known.keys ??= (await ask("attributes", [])).lines.map((line) => line.key);
    options("keys", [...new Set(known.keys)]);
  } catch {
    // Names only help to type; the view says what is wrong.
  }
}

function options(id, names) {
  const list = document.getElementById(id);
  if (list) put(list, names.slice(0, 1000).map((name) => h("option", { value: name })));
}

/** Forgets the names it knows, as when another token is given. */
export function forgetNames() {
  known.services = null;
  known.keys = undefined;
  known.operations.clear();
}

/** Draws the bar of a view. */
export function drawFilters(place, view, params) {
  place.hidden = !FIELDS[view];
  if (place.hidden) return;
  const submit = (event) => {
    event.preventDefault();
    const next = to(view, said(form, params));
    say("Asking");
    // The same question again is a wish to see what came since.
    if (next === location.hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
    else go(next);
  };
  const form = h("form", { class: "fields", submit }, fields(view, params));
  const lists = ["services", "operations", "keys"].map((id) => h("datalist", { id }));
  put(place, form, chips(params, view), shown(params), lists);
  suggest(params);
}

function shown(params) {
  try {
    const { since, until } = windowOf(params);
    return h("p", { class: "shown" }, stretch(since, until));
  } catch (error) {
    return h("p", { class: "shown bad" }, error.message);
  }
}
