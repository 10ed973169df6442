// One trace: what it is, what it waited for, what failed, and all its spans as a waterfall.

import { ask, path, terminal, text } from "./ask.js";
import { to } from "./address.js";
import { colourOf } from "./colours.js";
import { copyButton, h, put, say, table } from "./dom.js";
import { logsLink } from "./span_details.js";
import { Tree } from "./trace_tree.js";
import { Waterfall } from "./waterfall.js";
import { count, duration, many, named, percent, time } from "./words.js";

const OPERATIONS = 6;
const CAUSES = 5;

/** The operations on the critical path, by the time that is theirs. */
function operations(pieces) {
  const sums = new Map();
  for (const piece of pieces.filter((piece) => !piece.late)) {
    const key = JSON.stringify([piece.service, piece.name]);
    const sum = sums.get(key) ?? { service: piece.service, name: piece.name, nano: 0, share: 0 };
    sum.nano += Number(piece.endUnixNano - piece.startUnixNano);
    sum.share += piece.share;
    sums.set(key, sum);
  }
  return [...sums.values()].sort((a, b) => b.nano - a.nano);
}

function waitedFor(pieces) {
  const all = operations(pieces);
  if (all.length === 0) return h("p", { class: "notice" }, "Its root has no duration, so there is no critical path.");
  const row = ({ service, name, nano, share }) => {
    const bar = h("span", { class: `bar ${colourOf(service)}` });
    bar.style.width = `${share * 100}%`;
    return h("tr", null, h("th", { scope: "row" }, h("span", { class: `service ${colourOf(service)}` }, named(service)), " ", named(name)), h("td", { class: "figure" }, duration(nano)),
      h("td", { class: "figure" }, percent(share), h("span", { class: "bar-place", "aria-hidden": "true" }, bar)));
  };
  const rest = all.length - OPERATIONS;
  const headers = [h("th", { scope: "col" }, "Operation"), h("th", { scope: "col", class: "figure" }, "Own time"), h("th", { scope: "col", class: "figure" }, "Share")];
  return [table("What the trace waited for (critical path)", headers, all.slice(0, OPERATIONS).map(row)), rest > 0 ? h("p", { class: "faint" }, `and ${many(rest, "operation")} with less`) : null];
}

function whatFailed(tree, reveal) {
  const causes = tree.causes();
  if (causes.length === 0) return null;
  const one = (span) => h("li", null, h("button", { type: "button", class: "link", click: () => reveal(span) }, `${named(span.service)}: ${named(span.name)}`), span.message ? `: ${span.message}` : "");
  return h("section", { "aria-label": "What failed" }, h("h2", null, "What failed"), h("p", { class: "faint" }, `${many(tree.errors.length, "span")} failed; below these nothing did:`),
    h("ul", null, causes.slice(0, CAUSES).map(one)), causes.length > CAUSES ? h("p", { class: "faint" }, `and ${count(causes.length - CAUSES)} more`) : null);
}

function head(tree, id) {
  const { root } = tree;
  const services = [...tree.services].sort((a, b) => b[1] - a[1]);
  return [
    h("div", { class: "heading" }, h("h1", null, `${named(root?.service)}: ${named(root?.name)}`),
      h("p", null, h("strong", null, duration(tree.duration)), ` · ${many(tree.spans.length, "span")} · ${many(services.length, "service")} · `, h("span", { class: tree.errors.length > 0 ? "failed" : null }, many(tree.errors.length, "error")))),
    h("p", { class: "ids" }, "Trace ", h("code", null, id), " ", copyButton(id, "trace id"), ` started ${time(tree.start)} `),
    h("p", { class: "logs" }, "Its logs carry ", h("code", null, `trace_id=${id}`), " ", copyButton(`trace_id=${id}`, "what to look for in logs"), " ",
      logsLink("Open its logs", { traceId: id, start: tree.start, end: tree.end }), " ", h("button", { type: "button", class: "small", click: () => save(id) }, "Save as OTLP JSON")),
    h("p", { class: "service-list" }, services.map(([service, spans]) => h("span", { class: `service ${colourOf(service)}` }, `${named(service)} ${count(spans)}`))),
  ];
}

async function save(id) {
  const address = URL.createObjectURL(new Blob([await text(path("trace", [["id", id]]))], { type: "application/json" }));
  h("a", { href: address, download: `trace-${id}.json` }).click();
  URL.revokeObjectURL(address);
}

function tools(waterfall) {
  const onlyPath = ({ target }) => {
    waterfall.onlyPath = target.checked;
    waterfall.draw();
  };
  const find = ({ target }) => {
    waterfall.text = target.value.trim();
    waterfall.draw();
    say(many(waterfall.rows().length, "span"));
  };
  return h("p", { class: "tools" }, h("label", null, h("input", { type: "checkbox", change: onlyPath }), " Only the critical path"), " ",
    h("label", { for: "find-span" }, "Find in the trace "), h("input", { id: "find-span", type: "search", input: find, size: 22, placeholder: "name, attribute, id" }),
    h("span", { class: "key-to-bars", "aria-hidden": "true" }, h("span", { class: "sample-bar" }), " span ", h("span", { class: "sample-path" }), " critical path ", h("span", { class: "sample-event" }), " event"));
}

/** Draws the view. */
export async function trace(place, { id, params, signal }) {
  const flags = [["id", id]];
  const [{ lines: [document] }, { lines: pieces }] = await Promise.all([ask("trace", flags, signal), ask("critical-path", flags, signal)]);
  const tree = new Tree(document);
  tree.take(pieces);
  const chosen = tree.byId.get(params.get("span"))?.[0];
  const full = tree.spans.length > 0 ? document.resourceSpans[0].scopeSpans[0].spans[0].traceId : id;
  const waterfall = new Waterfall(tree, full, chosen);
  const reveal = (span) => {
    waterfall.closed.clear();
    waterfall.open.delete(span);
    waterfall.room = Math.max(waterfall.room, tree.walk().indexOf(span) + 50);
    waterfall.toggle(span);
    show(span);
  };
  const show = (span) => {
    const name = waterfall.element.querySelector(`[data-key="s${span.index}"]`);
    name?.focus({ preventScroll: true });
    name?.scrollIntoView({ block: "center" });
  };
  put(place, head(tree, full), h("div", { class: "beside" }, h("section", { "aria-label": "Critical path" }, waitedFor(pieces)), whatFailed(tree, reveal)), tools(waterfall), waterfall.element,
    h("p", { class: "terminal" }, "The same in a terminal: ", h("code", null, terminal("trace", [["id", full]])), " and ", h("code", null, terminal("critical-path", [["id", full]])), ". ",
      h("a", { href: to("search", new URLSearchParams(tree.root?.service ? { service: tree.root.service, name: tree.root.name } : {})) }, "Traces like this")));
  say(`Trace of ${many(tree.spans.length, "span")}, ${duration(tree.duration)}`);
  if (chosen) show(chosen);
}
