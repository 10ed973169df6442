// The spans of a trace under each other, each with a bar where it lies in time. What the trace waited for is drawn over the
// bars: the critical path.

import { h, put } from "./dom.js";
import { colourOf } from "./colours.js";
import { spanDetails } from "./span_details.js";
import { count, duration, many, named, percent } from "./words.js";

const ROWS = 500;
const INDENT = 14;
const DEPTH_SHOWN = 18;
const TICKS = 4;

export class Waterfall {
  constructor(tree, traceId, opened) {
    Object.assign(this, { tree, traceId, closed: new Set(), open: new Set(), onlyPath: false, text: "", room: ROWS });
    if (opened) {
      this.open.add(opened);
      // One far below is shown with all above it.
      this.room = Math.max(ROWS, tree.walk().indexOf(opened) + 50);
    }
    this.element = h("div", { class: "waterfall" });
    this.draw();
  }

  /** Where a time lies, as a share of the whole. */
  share(time) {
    return this.tree.duration === 0 ? 0 : (Number(time - this.tree.start) / this.tree.duration) * 100;
  }

  rows() {
    const needle = this.text.toLowerCase();
    const meets = (span) => [span.service ?? "", span.name, span.id, span.message, ...span.attributes.flatMap(({ key, value }) => [key, value])].some((text) => text.toLowerCase().includes(needle));
    const rows = needle || this.onlyPath ? this.tree.walk() : this.tree.walk(this.closed);
    return rows.filter((span) => (!this.onlyPath || span.pieces.length > 0) && (!needle || meets(span)));
  }

  /** Draws what is to be seen, and leaves the keyboard where it was. */
  draw() {
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const rows = this.rows();
    const shown = rows.slice(0, this.room);
    const more = rows.length - shown.length;
    const caption = `Spans of the trace${this.onlyPath ? " on its critical path" : ""}`;
    put(this.element,
      h("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
        h("table", { class: "spans" }, h("caption", { class: "visually-hidden" }, caption), this.header(), h("tbody", null, shown.map((span) => this.row(span))))),
      rows.length === 0 ? h("p", { class: "notice" }, "No span has this text. Write another one above.") : null,
      more > 0 ? h("p", { class: "actions" }, h("button", { type: "button", "data-key": "more", click: () => this.showMore() }, `Show ${count(Math.min(more, ROWS))} of ${count(more)} more spans`)) : null);
    if (focused) this.element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  showMore() {
    this.room += ROWS;
    this.draw();
  }

  header() {
    const ticks = Array.from({ length: TICKS }, (_, index) => {
      const tick = h("span", { class: "tick" }, index === 0 ? "0" : duration(Math.round((this.tree.duration * index) / TICKS)));
      tick.style.left = `${(index / TICKS) * 100}%`;
      return tick;
    });
    return h("thead", null, h("tr", null, h("th", { scope: "col" }, "Service and operation"), h("th", { scope: "col", class: "figure" }, "Start"), h("th", { scope: "col", class: "figure" }, "Duration"),
      h("th", { scope: "col", class: "lane" }, h("span", { class: "visually-hidden" }, "In time"), h("span", { class: "ticks", "aria-hidden": "true" }, ticks))));
  }

  row(span) {
    const key = `${span.index}`;
    const open = this.open.has(span);
    const name = h("button", { type: "button", class: "span-name", "aria-expanded": String(open), "data-key": `s${key}`, click: () => this.toggle(span) },
      span.error ? h("span", { class: "failed" }, h("span", { "aria-hidden": "true" }, "✗ "), h("span", { class: "visually-hidden" }, "error, ")) : null,
      h("span", { class: `service ${colourOf(span.service)}` }, named(span.service)), " ", named(span.name), span.remote ? h("span", { class: "faint" }, ` → ${span.remote}`) : null, span.orphan ? h("span", { class: "tag" }, "its parent is missing") : null);
    const place = h("div", { class: "name-place" }, this.folder(span, key), name);
    place.style.paddingInlineStart = `${Math.min(span.depth, DEPTH_SHOWN) * INDENT}px`;
    const row = h("tr", { class: open ? "open" : null },
      h("th", { scope: "row" }, place),
      h("td", { class: "figure faint" }, span.start > 0n ? span.start === this.tree.start ? "0" : `+${duration(Number(span.start - this.tree.start))}` : "–"),
      h("td", { class: "figure" }, duration(span.duration)),
      h("td", { class: "lane" }, this.lane(span)));
    return open ? [row, h("tr", { class: "details-row" }, h("td", { colspan: "4" }, spanDetails(span, this.tree, this.traceId)))] : row;
  }

  folder(span, key) {
    if (span.children.length === 0 || this.onlyPath || this.text) return h("span", { class: "no-folder" });
    const closed = this.closed.has(span);
    const fold = () => {
      if (closed) this.closed.delete(span);
      else this.closed.add(span);
      this.draw();
    };
    return h("button", { type: "button", class: "folder", "data-key": `f${key}`, "aria-expanded": String(!closed), click: fold,
      "aria-label": `${many(span.children.length, "call")} below ${named(span.name)}` }, h("span", { "aria-hidden": "true" }, closed ? "▸" : "▾"));
  }

  toggle(span) {
    if (this.open.has(span)) this.open.delete(span);
    else {
      this.open.add(span);
      // The address shows this span again; it is no step of its own in the history.
      history.replaceState(null, "", location.hash.replace(/\?.*/, "") + `?span=${span.id}`);
    }
    this.draw();
  }

  lane(span) {
    if (span.start === 0n) return h("span", { class: "faint" }, "no start");
    const at = (kind, from, to, least) => {
      const part = h("span", { class: kind });
      part.style.left = `${Math.min(this.share(from), 99.8)}%`;
      part.style.width = `max(${this.share(to) - this.share(from)}%, ${least}px)`;
      return part;
    };
    const path = span.pieces.filter((piece) => !piece.late);
    const share = path.reduce((sum, piece) => sum + piece.share, 0);
    const events = span.events.filter((event) => event.time >= this.tree.start && event.time <= this.tree.end).map((event) => {
      const mark = h("span", { class: event.name === "exception" ? "event failed" : "event", title: event.name });
      mark.style.left = `${Math.min(this.share(event.time), 99.8)}%`;
      return mark;
    });
    const words = [path.length > 0 ? `${percent(share)} of the critical path` : null, span.events.length > 0 ? many(span.events.length, "event") : null].filter(Boolean).join(", ");
    return h("span", { class: `lane-place ${colourOf(span.service)}` },
      at(span.error ? "bar failed" : "bar", span.start, span.end, 2), path.map((piece) => at("path", piece.startUnixNano, piece.endUnixNano, 1)), events,
      h("span", { class: "visually-hidden" }, words));
  }
}
