// Traces by what their spans are.

import { terminal } from "./ask.js";
import { filterFlags, to, withParams } from "./address.js";
import { h, put } from "./dom.js";
import { traceList } from "./trace_list.js";
import { windowFlags, windowOf } from "./window.js";
import { many } from "./words.js";

const OWN = ["scope", "order"];

/** Draws the view. */
export async function search(place, { params, signal }) {
  const own = OWN.filter((name) => params.get(name)).map((name) => [name, params.get(name)]);
  const flags = [...filterFlags(params), ...own, ...windowFlags(windowOf(params))];
  const none = "No trace meets all of this. Choose a longer time, take a filter away, or let the filters be met by several spans of a trace.";
  const headline = (traces, more) => (traces.length === 0 ? none : `${more ? "The first " : ""}${many(traces.length, "trace")}, ${params.get("order") === "slowest" ? "slowest" : "newest"} first`);
  const list = await traceList(flags, headline, signal);
  put(place, h("div", { class: "heading" }, h("h1", null, "Search"), h("a", { href: to("heat", withParams(params, { scope: null, order: null })) }, "The same as a heat map")), list,
    h("p", { class: "terminal" }, "The same in a terminal: ", h("code", null, terminal("find", flags))));
}
