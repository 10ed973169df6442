// What a selection of spans has more often than the spans it was selected from.

import { ask, terminal } from "./ask.js";
import { to, withParams } from "./address.js";
import { h, table } from "./dom.js";
import { count, duration, percent } from "./words.js";

const TOP = 15;

/** Flags as one argument, quoted as for a shell. */
function quoted(flags) {
  const word = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  return flags.map(([name, value]) => (value === true ? `--${name}` : word(`--${name}=${value}`))).join(" ");
}

function share(part, whole, kind) {
  const bar = h("span", { class: `bar ${kind}` });
  bar.style.width = `${whole === 0 ? 0 : (part / whole) * 100}%`;
  return h("td", { class: "figure" }, percent(whole === 0 ? 0 : part / whole), h("span", { class: "bar-place", "aria-hidden": "true" }, bar));
}

/** The table of what is over-represented in the selection, of which each row is a filter to go on with. */
export async function overRepresented(selection, baseline, params, signal) {
  const flags = [...selection, ["against", quoted(baseline)], ["top", String(TOP)], ["quantiles", "0.5,0.99"]];
  const { lines } = await ask("compare", flags, signal);
  const quantiles = lines.find((line) => line.quantiles)?.quantiles ?? [];
  const values = lines.filter((line) => line.key !== undefined);
  const row = (line) => h("tr", null,
    h("th", { scope: "row" }, h("a", { href: to("heat", withParams(params, { tag: [...params.getAll("tag"), `${line.key}=${line.value}`], box: null })), title: "Only spans with this" },
      h("span", { class: "key" }, line.key), h("span", { class: "value" }, line.value))),
    share(line.inSelection, line.selectionTotal, "of-box"), share(line.inBaseline, line.baselineTotal, "of-all"),
    h("td", { class: "figure" }, count(line.inSelection)));
  const headers = ["Attribute", "In the box", "In all", "Spans"].map((text, index) => h("th", { scope: "col", class: index > 0 ? "figure" : null }, text));
  const body = values.length > 0
    ? table("What is over-represented in the box", headers, values.map(row))
    : h("p", { class: "notice" }, "Nothing is over-represented in the box: its spans have what all have.");
  const figures = quantiles.map(({ q, selectionNano, baselineNano }) => `p${Number((q * 100).toFixed(4))} ${duration(selectionNano)} against ${duration(baselineNano)}`);
  return h("div", { class: "over" }, body, figures.length > 0 ? h("p", { class: "faint" }, figures.join(", ")) : null,
    h("p", { class: "terminal" }, h("code", null, terminal("compare", flags))));
}
