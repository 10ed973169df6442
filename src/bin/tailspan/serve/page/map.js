// Who calls whom: a drawing, and the same as a table.

import { ask, terminal } from "./ask.js";
import { to, withParams } from "./address.js";
import { h, put, say, svg, table } from "./dom.js";
import { layout, NODE } from "./map_layout.js";
import { windowFlags, windowOf } from "./window.js";
import { count, duration, many, named, percent, rate } from "./words.js";

const MARGIN = 12;
/** Letters of a name that fit a node. */
const NAME_MAX = 22;
/** So many edges may all have their figures on them. */
const LABELS_MAX = 40;
const BAD = 0.05;
/** From the edge of a node to the middle of a label. */
const LABEL = 54;

function severity(errors, calls) {
  if (errors === 0) return "fine";
  return errors / calls >= BAD ? "bad" : "some";
}

/** One edge for each pair of services, whatever the kinds of its links. */
function edgesOf(lines, seconds) {
  return lines.map((line) => ({
    from: line.parent, to: line.child, kind: line.kind, calls: line.callCount, errors: line.errorCount, perSecond: line.callCount / seconds,
    p99: line.quantiles.find(({ q }) => q === 0.99)?.valueNano ?? null, worst: line.quantiles.at(-1)?.traceId ?? null,
  }));
}

/** The edges around a service: those of its own, or all. */
function around(edges, service) {
  return service ? edges.filter(({ from, to: called }) => from === service || called === service) : edges;
}

function words(edge) {
  return `${named(edge.from)} to ${named(edge.to)} (${edge.kind}): ${rate(edge.perSecond)}, ${percent(edge.errors / edge.calls)} errors, p99 ${duration(edge.p99)}`;
}

function pathOf(way) {
  const side = NODE.width / 2;
  const leftward = way[0].x > way.at(-1).x;
  const points = way.map((node, index) => {
    if (node.stop) return [[node.x - side, node.y], [node.x + side, node.y]];
    const out = index === 0 ? side : -side;
    return [[node.x + (leftward ? -out : out), node.y]];
  });
  const flat = points.map((pair) => (leftward ? [...pair].reverse() : pair)).flat();
  let path = `M ${flat[0].join(" ")}`;
  for (let at = 1; at < flat.length; at += 1) {
    const [[x1, y1], [x2, y2]] = [flat[at - 1], flat[at]];
    const bend = (x2 - x1) / 2;
    path += y1 === y2 ? ` L ${x2} ${y2}` : ` C ${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  }
  // Where edges fan out, their ends are apart; where they come together, their beginnings are.
  const [first, last] = [way[0], way.at(-1)];
  const beginnings = last.near.left.length > first.near.right.length;
  const [x, y] = beginnings ? flat[0] : flat.at(-1);
  return { path, middle: [x + (beginnings === leftward ? -LABEL : LABEL), y] };
}

/** A service that calls itself: a loop above it. */
function loopOf({ x, y }) {
  const top = y - NODE.height / 2;
  return { path: `M ${x - 20} ${top} C ${x - 30} ${top - 22} ${x + 30} ${top - 22} ${x + 20} ${top}`, middle: [x, top - 18] };
}

function edgeShape(edge, placed, most, labelled) {
  const way = placed.ways.get(edge);
  const { path, middle } = way ? pathOf(way) : loopOf(placed.nodes.get(edge.from));
  const width = 1 + 4 * (Math.log(edge.calls + 1) / Math.log(most + 1));
  const label = labelled ? svg("text", { class: "edge-label", x: middle[0], y: middle[1] - 4 }, `${rate(edge.perSecond)}${edge.errors > 0 ? ` · ${percent(edge.errors / edge.calls)}` : ""}`, svg("tspan", { x: middle[0], dy: 13 }, edge.p99 === null ? "" : `p99 ${duration(edge.p99)}`)) : null;
  return svg("g", { class: `edge ${severity(edge.errors, edge.calls)} kind-${edge.kind}`, "data-from": named(edge.from), "data-to": named(edge.to) },
    svg("title", null, words(edge)), svg("path", { class: "reach", d: path }), svg("path", { class: "line", d: path, "stroke-width": width.toFixed(1), "marker-end": "url(#arrow)" }), label);
}

function nodeShape(name, { x, y }, edges, params) {
  const into = edges.filter((edge) => edge.to === name);
  const calls = into.reduce((sum, edge) => sum + edge.calls, 0);
  const errors = into.reduce((sum, edge) => sum + edge.errors, 0);
  const perSecond = into.reduce((sum, edge) => sum + edge.perSecond, 0);
  const shown = named(name).length > NAME_MAX ? `${named(name).slice(0, NAME_MAX - 1)}…` : named(name);
  const figures = calls > 0 ? `${rate(perSecond)}${errors > 0 ? ` · ${percent(errors / calls)} errors` : ""}` : "calls only";
  const address = to("map", withParams(params, { service: params.get("service") === name ? null : name }));
  return svg("a", { class: `node ${severity(errors, calls)}${params.get("service") === name ? " chosen" : ""}`, href: address, "aria-label": `${named(name)}: ${figures}`, "data-name": named(name), transform: `translate(${x - NODE.width / 2} ${y - NODE.height / 2})` },
    svg("title", null, named(name)), svg("rect", { width: NODE.width, height: NODE.height, rx: 6 }),
    svg("text", { x: 10, y: 19, class: "node-name" }, shown), svg("text", { x: 10, y: 36, class: "node-figures" }, figures));
}

/** Edges of the service under the pointer or the keyboard stand out. */
function highlight(drawing) {
  const mark = (name) => {
    drawing.classList.toggle("some-marked", name !== null);
    for (const edge of drawing.querySelectorAll(".edge")) edge.classList.toggle("marked", edge.dataset.from === name || edge.dataset.to === name);
  };
  for (const node of drawing.querySelectorAll(".node")) {
    for (const event of ["pointerenter", "focus"]) node.addEventListener(event, () => mark(node.dataset.name));
    for (const event of ["pointerleave", "blur"]) node.addEventListener(event, () => mark(null));
  }
}

function drawingOf(edges, params) {
  const names = [...new Set(edges.flatMap(({ from, to: called }) => [from, called]))];
  const placed = layout(names, edges);
  const most = edges.reduce((most, edge) => Math.max(most, edge.calls), 1);
  const [width, height] = [placed.width + 2 * MARGIN, placed.height + 2 * MARGIN + 16];
  const drawing = svg("svg", { class: "map", width, height, viewBox: `${-MARGIN} ${-MARGIN - 16} ${width} ${height}`, role: "group", "aria-label": "Services and their calls; the table below has the same" },
    svg("defs", null, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" }, svg("path", { d: "M 0 0 L 8 4 L 0 8 z", class: "arrow" }))),
    edges.map((edge) => edgeShape(edge, placed, most, edges.length <= LABELS_MAX)), names.map((name) => nodeShape(name, placed.nodes.get(name), edges, params)));
  highlight(drawing);
  return h("div", { class: "scroll map-place", role: "region", "aria-label": "Service map", tabindex: "0" }, drawing);
}

function row(edge, params) {
  const service = (name) => h("a", { href: to("map", withParams(params, { service: name })) }, named(name));
  return h("tr", null, h("th", { scope: "row" }, service(edge.from)), h("th", { scope: "row" }, service(edge.to)), h("td", null, edge.kind), h("td", { class: "figure" }, rate(edge.perSecond)),
    h("td", { class: "figure" }, count(edge.calls)), h("td", { class: edge.errors > 0 ? "figure failed" : "figure" }, percent(edge.errors / edge.calls)), h("td", { class: "figure" }, duration(edge.p99)),
    h("td", null, edge.worst ? h("a", { href: to("trace", null, edge.worst) }, "one at the tail") : "–"));
}

/** Draws the view. */
export async function map(place, { params, signal }) {
  const frame = windowOf(params);
  const flags = [["quantiles", "0.99,0.999"], ...windowFlags(frame)];
  const { lines, summary } = await ask("links", flags, signal);
  const service = params.get("service");
  const all = edgesOf(lines, Number(frame.until - frame.since) / 1e9);
  const edges = around(all, service);
  const whole = service ? h("a", { href: to("map", withParams(params, { service: null })) }, "Show all services") : null;
  const health = service ? h("a", { href: to("heat", params) }, `Heat map of ${service}`) : null;
  const title = h("div", { class: "heading" }, h("h1", null, service ? `Calls around ${service}` : "Service map"), h("p", null, whole, " ", health));
  if (edges.length === 0) {
    say("No calls");
    put(place, title, h("div", { class: "notice" }, h("h2", null, "No calls here"), h("p", null, service && all.length > 0 ? `No service called '${service}' calls or is called in this time. Its name is compared exactly.` : "No service called another in this time. Choose a longer one."),
      h("p", null, h("a", { href: to("map") }, "Show the newest calls there are"))));
    return;
  }
  const headers = ["Caller", "Called", "Kind", "Rate", "Calls", "Errors", "p99", "Trace"].map((text, index) => h("th", { scope: "col", class: index >= 3 && index <= 6 ? "figure" : null }, text));
  const sorted = [...edges].sort((a, b) => b.calls - a.calls);
  put(place, title, summary.complete ? null : h("p", { class: "notice bad" }, `Not everything was counted: ${summary.reason}`),
    drawingOf(edges, params),
    h("p", { class: "legend" }, h("span", { class: "line-sample fine" }), " no errors ", h("span", { class: "line-sample some" }), " some ", h("span", { class: "line-sample bad" }), ` ${percent(BAD)} or more. Wider lines are more calls, dashed ones messages and links. Choose a service to see it alone.`),
    table("All calls", headers, sorted.map((edge) => row(edge, params))), h("p", { class: "terminal" }, "The same in a terminal: ", h("code", null, terminal("links", flags))));
  say(many(edges.length, "connection"));
}
