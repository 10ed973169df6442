// Durations over time. A box that is drawn on the picture lists the traces of exactly its spans, and what these have more
// often than the others.

import { ask, terminal } from "./ask.js";
import { filterFlags, go, to, withParams } from "./address.js";
import { h, put, say } from "./dom.js";
import { boxText, Grid, parseBox } from "./heat_grid.js";
import { HeatCanvas, ROWS_MAX, wordsOf } from "./heat_canvas.js";
import { overRepresented } from "./over.js";
import { traceList } from "./trace_list.js";
import { aligned, durationText, parseDuration, stepFor, stepText, timeText, windowFlags, windowOf } from "./window.js";
import { count, many } from "./words.js";

const COLUMNS = 130;
/** The last picture: a box on it needs no new answer. */
let drawn = { asked: null, answer: null };

/** The flags of the spans in a box: the filters, with bounds that are both inclusive, as the command line's are. */
function boxFlags(filters, box) {
  const bound = (name) => filters.filter(([own]) => own === name).map(([, value]) => parseDuration(value)).find((value) => value !== null);
  const [least, most] = [bound("min-duration"), bound("max-duration")];
  const [min, max] = [BigInt(box.min), BigInt(box.max) - 1n];
  return [
    ...filters.filter(([name]) => name !== "min-duration" && name !== "max-duration"),
    ["min-duration", `${least !== undefined && least > min ? least : min}ns`],
    ["max-duration", `${most !== undefined && most < max ? most : max}ns`],
    ...windowFlags(box),
  ];
}

function explained(flags) {
  return h("details", { class: "help" }, h("summary", null, "How to choose"),
    h("p", { id: "heat-keys" }, "Drag a box with the pointer. With the keys: arrows move, Shift and arrows draw a box, Page Up and Page Down move ten rows, Enter lists what is in it, Escape gives it up."),
    h("p", { class: "terminal" }, "The same in a terminal: ", h("code", null, terminal("heatmap", flags))));
}

function legend(grid) {
  const stop = (index) => h("span", { class: `swatch heat-${index}` });
  return h("p", { class: "legend" }, "1 span ", [0, 1, 2, 3, 4].map(stop), ` ${many(grid.most, "span")}`,
    h("span", { class: "faint" }, ` · a column is ${stepText(grid.step)} wide, colours are logarithmic`));
}

/** Fields for a box, for those who would rather write it. */
function boxForm(grid, taken) {
  const place = (name, label, value) => h("p", { class: "field" }, h("label", { for: `box-${name}` }, label), h("input", { id: `box-${name}`, name, value, size: 12, required: true }));
  const submit = (event) => {
    event.preventDefault();
    const [min, max] = ["min", "max"].map((name) => parseDuration(event.target[name].value));
    const wrong = min === null ? "min" : max === null || max <= min ? "max" : null;
    for (const name of ["min", "max"]) event.target[name].setCustomValidity(name === wrong ? "A duration such as 250ms; the upper one is longer" : "");
    const box = wrong === null && grid.boxOf({ since: grid.since, until: grid.until, min: Number(min), max: Number(max) });
    if (box) taken(box);
    else event.target.reportValidity();
  };
  return h("form", { class: "fields box-form", submit, novalidate: true, "aria-label": "A band of durations" },
    place("min", "Everything from", durationText(grid.durationOf(0))), place("max", "to", durationText(grid.durationOf(grid.rows))), h("p", { class: "actions" }, h("button", null, "List this band")));
}

async function chosenPart(grid, box, filters, params, signal) {
  const flags = boxFlags(filters, box);
  const all = [...filters, ...windowFlags(grid)];
  const clear = h("a", { class: "button", href: to("heat", withParams(params, { box: null })) }, "Clear the box");
  const headline = (traces, more) => `${many(box.count, "span")} in ${more ? "more than " : ""}${many(traces.length, "trace")}`;
  const [list, over] = await Promise.all([traceList([...flags, ["order", "slowest"]], headline, signal), overRepresented(flags, all, params, signal)]);
  return h("section", { class: "chosen", "aria-label": "The box" }, h("div", { class: "heading" }, h("h2", { id: "chosen" }, `In the box: ${wordsOf(box)}`), clear),
    h("div", { class: "beside" }, over, list),
    h("p", { class: "terminal" }, "The same in a terminal: ", h("code", null, terminal("find", flags))));
}

/** Draws the view. */
export async function heat(place, { params, signal }) {
  const step = stepFor(windowOf(params), COLUMNS);
  const frame = aligned(windowOf(params), step);
  const filters = filterFlags(params);
  const flags = [...filters, ["step", stepText(step)], ...windowFlags(frame)];
  const asked = terminal("heatmap", flags);
  // A box on the picture that is there needs no new one; a new question needs new cells.
  const fresh = drawn.asked !== asked || !params.has("box");
  if (fresh) drawn = { asked, answer: await ask("heatmap", flags, signal) };
  const { lines, summary } = drawn.answer;
  const grid = new Grid(lines, frame, step, ROWS_MAX);
  const given = parseBox(params.get("box"));
  const box = given && lines.length > 0 ? grid.boxOf(given) : null;
  const taken = (box) => go(to("heat", withParams(params, { since: timeText(grid.since), until: timeText(grid.until), box: boxText(box) })));
  const title = h("div", { class: "heading" }, h("h1", null, "Heat map"), h("p", { class: "faint" }, `${many(lines.reduce((sum, line) => sum + line.count, 0), "span")} with a duration`));
  if (lines.length === 0) {
    say("No spans");
    put(place, title, h("div", { class: "notice" }, h("h2", null, "No spans here"), h("p", null, "Nothing that meets the filters started in this time. Choose a longer time, or take filters away."),
      h("p", null, h("a", { href: to("heat", new URLSearchParams()) }, "Show the newest spans there are"))));
    return;
  }
  const picture = new HeatCanvas(grid, box, taken);
  const warning = summary.complete ? null : h("p", { class: "notice bad" }, `Not everything was counted: ${summary.reason}`);
  const below = h("div", { class: "below" }, box ? h("p", { class: "faint" }, "Looking for the traces …") : boxForm(grid, taken));
  put(place, title, warning, picture.element, legend(grid), below, explained(flags));
  if (!box) {
    say(`Heat map of ${count(lines.reduce((sum, line) => sum + line.count, 0))} spans. Drag a box, or focus it and use the arrows.`);
    return;
  }
  put(below, await chosenPart(grid, box, filters, params, signal));
}
