// Traces as a table, page by page.

import { ask } from "./ask.js";
import { to } from "./address.js";
import { h, put, say, table } from "./dom.js";
import { colourOf } from "./colours.js";
import { count, duration, many, named, time } from "./words.js";

const PAGE = 50;
const SERVICES_SHOWN = 4;

function services(trace) {
  const sorted = Object.entries(trace.services).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const shown = sorted.slice(0, SERVICES_SHOWN).map(([name, spans]) => h("span", { class: `service ${colourOf(name)}` }, `${name} ${count(spans)}`));
  const more = sorted.length - SERVICES_SHOWN;
  return [shown, more > 0 ? h("span", { class: "faint" }, `and ${more} more`) : null];
}

function row(trace, longest) {
  const params = trace.matchedSpanIds.length > 0 && trace.matchedCount < trace.spanCount ? new URLSearchParams({ span: trace.matchedSpanIds[0] }) : null;
  const bar = h("span", { class: "bar" });
  bar.style.width = `${Math.max((trace.durationNano / longest) * 100, 0.5)}%`;
  return h("tr", null,
    h("th", { scope: "row" }, h("a", { href: to("trace", params, trace.traceId) }, `${named(trace.rootService)}: ${named(trace.rootName)}`),
      h("code", { class: "faint id" }, trace.traceId.slice(0, 8)), trace.match === "unknown" ? h("span", { class: "tag" }, "open: a span is missing") : null),
    h("td", { class: "when" }, time(trace.startUnixNano)),
    h("td", { class: "figure" }, duration(trace.durationNano), h("span", { class: "bar-place", "aria-hidden": "true" }, bar)),
    h("td", { class: "figure" }, count(trace.spanCount)),
    h("td", { class: trace.errorCount > 0 ? "figure failed" : "figure" }, count(trace.errorCount)),
    h("td", { class: "figure" }, count(trace.matchedCount)),
    h("td", { class: "services-of" }, services(trace)));
}

/** The traces that the flags find, with a button for more of them. `headline(traces, more)` says what they are. */
export async function traceList(flags, headline, signal) {
  const place = h("div", { class: "traces" });
  const found = [];
  const more = async (token) => {
    const { lines, summary } = await ask("find", [...flags, ["limit", String(PAGE)], ...(token ? [["page-token", token]] : [])], signal);
    found.push(...lines);
    draw(summary);
  };
  const next = (token) => async ({ currentTarget: button }) => {
    button.disabled = true;
    const at = found.length;
    try {
      await more(token);
      // The keyboard goes on where the new ones begin.
      place.querySelectorAll("tbody a")[at]?.focus();
    } catch (error) {
      button.disabled = false;
      button.after(h("span", { role: "alert" }, ` ${error.message}`));
    }
  };
  const draw = (summary) => {
    const token = summary.nextPageToken;
    const longest = found.reduce((most, trace) => Math.max(most, trace.durationNano), 1);
    const title = headline(found, Boolean(token));
    const headers = ["Trace", "Start", "Duration", "Spans", "Errors", "Matching", "Services"].map((text, index) => h("th", { scope: "col", class: index >= 2 && index <= 5 ? "figure" : null }, text));
    put(place,
      summary.complete ? null : h("p", { class: "notice bad" }, `Not everything was found: ${summary.reason}`),
      found.length > 0 ? table(title, headers, found.map((trace) => row(trace, longest))) : h("p", { class: "notice" }, title),
      token ? h("p", { class: "actions" }, h("button", { type: "button", click: next(token) }, `Show ${PAGE} more`)) : null);
    say(found.length === 0 ? "No traces" : `${many(found.length, "trace")}${token ? ", and more" : ""}`);
  };
  await more(null);
  return place;
}
