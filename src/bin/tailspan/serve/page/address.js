// The address after `#` holds everything a view shows, so that a copied address shows it again:
//
//   #/heat?service=payment&since=2026-01-15T10:00:00Z&until=2026-01-15T11:00:00Z&box=...
//
// Filters have the names of the command line's flags.

/** Filters that every view heeds. A value of true is a flag without a value. */
export const FILTERS = [
  "service", "name", "kind", "status", "error", "tag", "min-duration", "max-duration", "where", "remote-service",
  "annotation-query", "min-trace-duration", "max-trace-duration",
];
/** What stays when one goes to another view. */
const KEPT = [...FILTERS, "since", "until"];

/** The view, what comes after its name, and the parameters. */
export function read(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [view, ...rest] = path.split("/");
  return { view: view || "health", id: decodeURIComponent(rest.join("/")), params: new URLSearchParams(query) };
}

/** The address of a view. */
export function to(view, params, id) {
  const query = String(params ?? "");
  return `#/${view}${id ? `/${encodeURIComponent(id)}` : ""}${query ? `?${query}` : ""}`;
}

/** Goes there; with `replace`, without a step in the history. */
export function go(address, replace) {
  if (replace) {
    history.replaceState(null, "", address);
    window.dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = address;
  }
}

/** The parameters that other views heed too. */
export function kept(params) {
  return new URLSearchParams([...params].filter(([name]) => KEPT.includes(name)));
}

/** The parameters with some set anew; null takes one away, a list repeats it. */
export function withParams(params, changes) {
  const changed = new URLSearchParams(params);
  for (const [name, value] of Object.entries(changes)) {
    changed.delete(name);
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") changed.append(name, one);
  }
  return changed;
}

/** The filters as flags of a command. */
export function filterFlags(params, without = []) {
  const chosen = [...params].filter(([name, value]) => FILTERS.includes(name) && !without.includes(name) && value !== "");
  return chosen.map(([name, value]) => [name, name === "error" ? true : value]);
}
