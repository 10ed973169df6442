// Everything a span says.

import { to } from "./address.js";
import { copyButton, h } from "./dom.js";
import { duration, many, named, percent, time } from "./words.js";

const LOGS = "tailspan-logs";

/** The link to the logs of a span or a trace, if someone has said where logs are. */
export function logsLink(label, { traceId, spanId = "", start, end }) {
  const template = localStorage.getItem(LOGS);
  if (!template) return null;
  const values = { traceId, spanId, start: String(start / 1_000_000n), end: String(end / 1_000_000n) };
  const address = template.replace(/\{(traceId|spanId|start|end)\}/g, (_, name) => encodeURIComponent(values[name]));
  // Whoever wrote the template wrote an address of a page, not of a script.
  return /^https?:\/\//i.test(address) ? h("a", { href: address, target: "_blank", rel: "noreferrer noopener" }, label) : null;
}

function attributes(title, list, filter) {
  if (list.length === 0) return null;
  const name = (key, value) => (filter ? h("a", { href: filter(key, value), title: "Find traces with this" }, key) : key);
  const text = (value) => (value.includes("\n") || value.length > 200 ? h("pre", { tabindex: "0" }, value) : h("code", null, value === "" ? "“”" : value));
  return h("section", null, h("h4", null, title), h("table", { class: "attributes" }, h("tbody", null,
    list.map(({ key, value }) => h("tr", null, h("th", { scope: "row" }, name(key, value)), h("td", null, text(value)))))));
}

function events(span, tree) {
  if (span.events.length === 0) return null;
  const one = (event) => h("li", null,
    h("strong", null, event.name || "(no name)"), " ", h("span", { class: "faint", title: time(event.time) }, event.time >= tree.start ? `at ${duration(Number(event.time - tree.start))}` : time(event.time)),
    attributes("", event.attributes));
  return h("section", null, h("h4", null, many(span.events.length, "event")), h("ol", { class: "events" }, span.events.map(one)));
}

function links(span) {
  if (span.links.length === 0) return null;
  const one = (link) => h("li", null, h("a", { href: to("trace", new URLSearchParams({ span: link.spanId }), link.traceId) }, h("code", null, link.traceId), " span ", h("code", null, link.spanId)), attributes("", link.attributes));
  return h("section", null, h("h4", null, many(span.links.length, "link"), " to other spans"), h("ul", null, span.links.map(one)));
}

/** The line that logs of a span carry. */
function logs(span, tree, traceId) {
  const words = `trace_id=${traceId} span_id=${span.id}`;
  return h("p", { class: "logs" }, "In logs: ", h("code", null, words), " ", copyButton(words, "trace id and span id"), " ",
    logsLink("Open its logs", { traceId, spanId: span.id, start: span.start || tree.start, end: span.end || tree.end }));
}

function facts(span, tree) {
  const path = span.pieces.filter((piece) => !piece.late).reduce((sum, piece) => sum + piece.share, 0);
  const all = [
    ["Service", named(span.service)], ["Kind", span.kind], ["Start", span.start > 0n ? `${time(span.start)} (${duration(Number(span.start - tree.start))} after the trace)` : "none"],
    ["Duration", span.duration === null ? "none" : `${duration(span.duration)} (${span.duration.toLocaleString("en-US")} ns)`],
    ["On the critical path", span.pieces.some((piece) => piece.late) ? "late: nobody waited for it" : path > 0 ? percent(path) : "no"],
    ["Status", span.error ? `error${span.message ? `: ${span.message}` : ""}` : span.message || "no error"],
    ["Parent", span.parentId === null ? "none" : span.orphan ? `${span.parentId}, which is missing` : span.parentId],
    ["Trace state", span.traceState],
  ];
  return h("dl", { class: "facts" }, all.filter(([, value]) => value !== "").map(([name, value]) => h("div", null, h("dt", null, name), h("dd", { class: name === "Status" && span.error ? "failed" : null }, value))));
}

/** The details of a span. */
export function spanDetails(span, tree, traceId) {
  const filter = (key, value) => to("search", new URLSearchParams([["tag", `${key}=${value}`], ...(span.service ? [["service", span.service]] : [])]));
  const heat = span.service ? h("a", { href: to("heat", new URLSearchParams({ service: span.service, name: span.name })) }, "All spans of this operation") : null;
  const scope = span.scope.name ? [{ key: "name", value: span.scope.name }, { key: "version", value: span.scope.version }, ...span.scope.attributes] : span.scope.attributes;
  return h("div", { class: "details" }, facts(span, tree), logs(span, tree, traceId), h("p", null, heat),
    h("div", { class: "columns" }, attributes("Attributes", span.attributes, filter), events(span, tree), links(span), attributes("Resource", span.resource, filter), attributes("Scope", scope)));
}
