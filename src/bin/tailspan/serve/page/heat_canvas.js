// The picture of a heat map, on a canvas, and how a box is drawn on it: with a pointer, or with the keys.
//
// Keys: arrows move the cursor, with Shift they draw a box, Page Up and Down move ten rows, Home and End go to the first
// and last column, Enter takes the box or the cell, Escape gives it up.

import { h } from "./dom.js";
import { roundTimes } from "./window.js";
import { clock, dayAndClock, duration, many, stretch } from "./words.js";

const HEIGHT = 380;
const LEFT = 64;
const BOTTOM = 26;
const TOP = 6;
const STOPS = 5;
const DAY = 86_400_000_000_000n;

/** What a box holds, in words. */
export function wordsOf(box) {
  return `${stretch(box.since, box.until)}, ${duration(box.min)} to ${duration(box.max)}: ${many(box.count, "span")}`;
}

/** The rows there is room for. */
export const ROWS_MAX = 72;

export class HeatCanvas {
  /** `taken` is called with a box when one is chosen. */
  constructor(grid, chosen, taken) {
    Object.assign(this, { grid, chosen, taken, cursor: null, anchor: null, drawn: null });
    this.canvas = h("canvas", {
      class: "heat", tabindex: "0", role: "application", "aria-roledescription": "heat map", "aria-describedby": "heat-keys",
      "aria-label": "Spans by start and duration", pointerdown: (event) => this.press(event), pointermove: (event) => this.move(event),
      pointerup: (event) => this.release(event), pointercancel: () => this.giveUp(), pointerleave: () => this.leave(),
      keydown: (event) => this.key(event), focus: () => this.paint(), blur: () => this.paint(),
    });
    this.words = h("p", { class: "under", "aria-live": "polite" }, chosen ? wordsOf(chosen) : "Drag a box over the spans you want to see.");
    this.element = h("div", { class: "heat-place" }, this.canvas, this.words);
    this.watcher = new ResizeObserver(() => this.paint());
    this.watcher.observe(this.element);
    // Colours are those of the style sheet, which follow the system's light and dark.
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", () => this.paint());
  }

  get wide() {
    return (this.size - LEFT - 8) / this.grid.columns;
  }

  get high() {
    return (HEIGHT - BOTTOM - TOP) / this.grid.rows;
  }

  x(column) {
    return LEFT + column * this.wide;
  }

  /** Where a row ends, from above: long durations are high up. */
  y(row) {
    return HEIGHT - BOTTOM - row * this.high;
  }

  cellAt(event) {
    const frame = this.canvas.getBoundingClientRect();
    const clamp = (value, most) => Math.min(Math.max(Math.floor(value), 0), most - 1);
    const column = clamp((event.clientX - frame.left - LEFT) / this.wide, this.grid.columns);
    return { column, row: clamp((HEIGHT - BOTTOM - (event.clientY - frame.top)) / this.high, this.grid.rows) };
  }

  press(event) {
    if (event.button !== 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.anchor = this.cursor = this.cellAt(event);
    this.tell();
  }

  move(event) {
    this.cursor = this.cellAt(event);
    this.tell();
  }

  release(event) {
    if (!this.anchor || !this.canvas.hasPointerCapture(event.pointerId)) return;
    this.cursor = this.cellAt(event);
    this.take();
  }

  leave() {
    if (this.anchor) return;
    this.cursor = null;
    this.words.textContent = this.chosen ? wordsOf(this.chosen) : "Drag a box over the spans you want to see.";
    this.paint();
  }

  giveUp() {
    this.anchor = null;
    this.tell();
  }

  take() {
    const box = this.grid.box(this.anchor ?? this.cursor, this.cursor);
    this.anchor = null;
    this.chosen = box;
    this.paint();
    this.taken(box);
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], PageUp: [0, 10], PageDown: [0, -10], Home: [-Infinity, 0], End: [Infinity, 0] };
    const step = steps[event.key];
    if (!step && event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    this.cursor ??= this.brightest();
    if (event.key === "Escape") this.giveUp();
    else if (event.key === "Enter") this.take();
    else {
      if (event.shiftKey) this.anchor ??= this.cursor;
      else this.anchor = null;
      const clamp = (value, most) => Math.min(Math.max(value, 0), most - 1);
      this.cursor = { column: clamp(this.cursor.column + step[0], this.grid.columns), row: clamp(this.cursor.row + step[1], this.grid.rows) };
      this.tell();
    }
  }

  /** Where the keys begin: the cell with the most spans. */
  brightest() {
    const at = this.grid.counts.indexOf(this.grid.most);
    return { column: Math.floor(at / this.grid.rows), row: at % this.grid.rows };
  }

  tell() {
    if (this.cursor) this.words.textContent = wordsOf(this.grid.box(this.anchor ?? this.cursor, this.cursor));
    this.paint();
  }

  paint() {
    this.size = this.element.clientWidth;
    if (this.size === 0) return;
    const scale = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(this.size * scale)) {
      Object.assign(this.canvas, { width: Math.round(this.size * scale), height: Math.round(HEIGHT * scale) });
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, this.size, HEIGHT);
    const style = getComputedStyle(this.canvas);
    this.axes(pen, style);
    this.cells(pen, style);
    if (this.chosen) this.frame(pen, this.chosen, style.getPropertyValue("--box"), 2);
    if (this.cursor) this.frame(pen, this.grid.box(this.anchor ?? this.cursor, this.cursor), style.getPropertyValue("--text"), 1.5);
  }

  cells(pen, style) {
    const stops = Array.from({ length: STOPS }, (_, index) => style.getPropertyValue(`--heat-${index}`).trim());
    const gap = this.wide > 4 && this.high > 3 ? 1 : 0;
    // Where no cell has more than one span, one is few.
    const most = Math.log(Math.max(this.grid.most, 2));
    for (let column = 0; column < this.grid.columns; column += 1) {
      for (let row = 0; row < this.grid.rows; row += 1) {
        const count = this.grid.count(column, row);
        if (count === 0) continue;
        pen.fillStyle = stops[Math.min(Math.floor((Math.log(count) / most) * STOPS), STOPS - 1)];
        pen.fillRect(this.x(column), this.y(row + 1), Math.max(this.wide - gap, 1), Math.max(this.high - gap, 1));
      }
    }
  }

  axes(pen, style) {
    Object.assign(pen, { font: `12px ${style.fontFamily}`, fillStyle: style.getPropertyValue("--faint"), strokeStyle: style.getPropertyValue("--line"), lineWidth: 1 });
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const { row, nano } of this.grid.rounds(24 / this.high)) {
      const y = Math.round(this.y(row)) + 0.5;
      pen.fillText(duration(nano).replace(/\.0+ /, " "), LEFT - 8, y);
      this.stroke(pen, LEFT, y, this.size - 8, y);
    }
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    const days = this.grid.until - this.grid.since > DAY;
    for (const at of roundTimes(this.grid, Math.floor((this.size - LEFT) / (days ? 100 : 70)))) {
      const x = Math.round(this.x(Number(at - this.grid.since) / Number(this.grid.step))) + 0.5;
      if (x < this.size - 20) pen.fillText(days ? dayAndClock(at) : clock(at), Math.max(x, LEFT + 12), HEIGHT - 8);
      this.stroke(pen, x, TOP, x, HEIGHT - BOTTOM);
    }
  }

  stroke(pen, x1, y1, x2, y2) {
    pen.beginPath();
    pen.moveTo(x1, y1);
    pen.lineTo(x2, y2);
    pen.stroke();
  }

  frame(pen, box, colour, width) {
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    const [x, y] = [this.x(box.left), this.y(box.top + 1)];
    pen.strokeRect(x, y, Math.max(this.x(box.right + 1) - x, 3), Math.max(this.y(box.bottom) - y, 3));
  }
}
