// The frame: reads the address, draws the view it names, and says what is wrong if that cannot be done.

import { ask, keepToken, Refused, token } from "./ask.js";
import { go, kept, read, to, withParams } from "./address.js";
import { h, put, say } from "./dom.js";
import { drawFilters, forgetNames } from "./filters.js";
import { health } from "./health.js";
import { heat } from "./heat.js";
import { map } from "./map.js";
import { search } from "./search.js";
import { trace } from "./trace.js";
import { HOUR, now, timeText } from "./window.js";
import { localZone, showTimesIn } from "./words.js";

const VIEWS = { health: ["Services", health], heat: ["Heat map", heat], search: ["Search", search], map: ["Service map", map] };
const MINUTE = 60_000_000_000n;
const content = document.getElementById("content");
let under = null;
let last = null;

function drawNavigation(view, params) {
  const link = ([name, [label]]) => h("a", { href: to(name, kept(params)), "aria-current": name === view ? "page" : null }, label);
  put(document.getElementById("views"), Object.entries(VIEWS).map(link));
}

/** What stands in place of a view that failed. */
function problem(error) {
  const retry = h("button", { type: "button", click: show }, "Ask again");
  const settings = error.status === 401 ? h("button", { type: "button", class: "primary", click: openSettings }, "Give a token") : null;
  say(error.message);
  return h("div", { class: "notice bad", role: "alert" }, h("h1", null, error.status === 401 ? "This server wants a token" : "That did not work"),
    h("p", null, error.message), h("p", null, error.advice ?? "Correct it above, or go back."), h("p", { class: "actions" }, settings, " ", retry));
}

/** A window for an address that names none: the last hour, or the last one with spans in it. */
async function someWindow(params, signal) {
  const { lines } = await ask("find", [["limit", "1"]], signal);
  const newest = lines[0]?.startUnixNano;
  if (newest === undefined || newest > now() - HOUR) return withParams(params, { since: "-1h" });
  const until = newest - (newest % MINUTE) + MINUTE;
  return withParams(params, { since: timeText(until - HOUR), until: timeText(until) });
}

/** Leaves the keyboard where it was, or at the top of a view that is another one. */
function arrive(view, key) {
  const other = last !== null && last !== view;
  last = view;
  if (content.contains(document.activeElement) && document.activeElement !== content) return;
  const same = key && content.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (same) same.focus();
  else if (other) content.focus();
}

/** The view as the address has it. */
async function show() {
  const key = document.activeElement?.dataset?.key;
  under?.abort();
  under = new AbortController();
  const { signal } = under;
  const { view, id, params } = read();
  const draw = view === "trace" ? trace : VIEWS[view]?.[1];
  drawNavigation(view, params);
  try {
    if (!draw) throw new Refused(404, `There is no view called '${view}'.`, "Choose one above.");
    if (view !== "trace" && !params.has("since")) {
      const chosen = await someWindow(params, signal);
      if (!signal.aborted) go(to(view, chosen), true);
      return;
    }
    drawFilters(document.getElementById("filters"), view, params);
    document.title = view === "trace" ? `Trace ${id.slice(0, 8)} · tailspan` : `${VIEWS[view][0]} · tailspan`;
    content.setAttribute("aria-busy", "true");
    await draw(content, { view, id, params, signal });
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Refused)) console.error(error);
    put(content, problem(error));
  } finally {
    if (!signal.aborted) content.removeAttribute("aria-busy");
  }
  arrive(`${view}/${id}`, key);
}

const settings = document.getElementById("settings");
const LOCAL = { zone: "tailspan-zone", logs: "tailspan-logs" };

function openSettings() {
  const form = document.getElementById("settings-form");
  const zone = localStorage.getItem(LOCAL.zone) ?? "local";
  const options = [["local", `the zone of this computer (${localZone()})`], ["UTC", "UTC"]];
  put(form.zone, options.map(([value, label]) => h("option", { value, selected: value === zone }, label)));
  form.token.value = token();
  form.logs.value = localStorage.getItem(LOCAL.logs) ?? "";
  settings.returnValue = "";
  settings.showModal();
}

settings.addEventListener("close", () => {
  if (settings.returnValue !== "save") return;
  const form = document.getElementById("settings-form");
  if (form.token.value !== token()) forgetNames();
  keepToken(form.token.value.trim());
  localStorage.setItem(LOCAL.zone, form.zone.value);
  localStorage.setItem(LOCAL.logs, form.logs.value.trim());
  showTimesIn(form.zone.value);
  show();
});

document.getElementById("settings-open").addEventListener("click", openSettings);
document.getElementById("skip").addEventListener("click", (event) => {
  // The address names the view, so it cannot name the content too.
  event.preventDefault();
  content.focus();
});
document.getElementById("open").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = event.target.id.value.trim().toLowerCase();
  if (id) go(to("trace", null, id));
});
window.addEventListener("hashchange", show);
showTimesIn(localStorage.getItem(LOCAL.zone) ?? "local");
show();
