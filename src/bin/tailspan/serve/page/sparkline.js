// Small pictures of a figure over time, one a table row.

import { svg } from "./dom.js";

const WIDTH = 120;
const HEIGHT = 28;

/** Bars, of which `bad` (of the same length) is the part that failed. `label` says it in words. */
export function bars(values, bad, label) {
  const most = Math.max(...values, 1e-12);
  const wide = WIDTH / values.length;
  const bar = (value, index, kind) => value > 0 && svg("rect", {
    class: kind, x: (index * wide).toFixed(2), width: Math.max(wide - 0.5, 0.5).toFixed(2),
    y: (HEIGHT - Math.max((value / most) * HEIGHT, 1)).toFixed(2), height: Math.max((value / most) * HEIGHT, 1).toFixed(2),
  });
  return picture(label, values.map((value, index) => bar(value, index, "spark-all")), bad.map((value, index) => bar(value, index, "spark-bad")));
}

/** A line through the values that are there, on a logarithmic scale: tails span orders of magnitude. */
export function line(values, label) {
  const there = values.filter((value) => value !== null && value > 0).map(Math.log);
  const [low, high] = [Math.min(...there), Math.max(...there)];
  const x = (index) => (values.length === 1 ? WIDTH / 2 : (index / (values.length - 1)) * (WIDTH - 4) + 2);
  const y = (value) => (high === low ? HEIGHT / 2 : HEIGHT - 3 - ((Math.log(value) - low) / (high - low)) * (HEIGHT - 6));
  const runs = [];
  values.forEach((value, index) => {
    if (value === null || value <= 0) return;
    const point = [x(index), y(value)];
    if (index > 0 && values[index - 1] > 0) runs.at(-1).push(point);
    else runs.push([point]);
  });
  const path = (run) => (run.length === 1
    ? svg("circle", { class: "spark-dot", cx: run[0][0].toFixed(2), cy: run[0][1].toFixed(2), r: 1.4 })
    : svg("polyline", { class: "spark-line", points: run.map((point) => point.map((at) => at.toFixed(2)).join(",")).join(" ") }));
  return picture(label, runs.map(path));
}

function picture(label, ...parts) {
  return svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": label }, parts);
}
