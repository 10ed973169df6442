// The arithmetic of the page, without a browser: grids of heat maps, windows of time, places on the map.

import assert from "node:assert/strict";
import { test } from "node:test";
import { boxText, bucketOf, edgeOf, Grid, parseBox } from "./page/heat_grid.js";
import { layout, NODE } from "./page/map_layout.js";
import { aligned, durationText, parseDuration, parseTime, roundTimes, stepFor, timeText } from "./page/window.js";
import { Tree } from "./page/trace_tree.js";
import { duration } from "./page/words.js";

const STEP = 30_000_000_000n;

function gridOf(rowsMax) {
  const since = STEP * 1000n;
  const cells = [];
  for (let index = 0; index < 400; index += 1) {
    const bucket = 20 + ((index * 37) % 500);
    cells.push({ startUnixNano: since + STEP * BigInt(index % 40), minNano: edgeOf(bucket), maxNano: edgeOf(bucket + 1), count: 1 + (index % 5) });
  }
  return { cells, grid: new Grid(cells, { since, until: since + STEP * 40n }, STEP, rowsMax) };
}

test("buckets follow each other and a value is in the bucket that begins at or before it", () => {
  for (let bucket = 0; bucket < 900; bucket += 1) {
    assert.ok(edgeOf(bucket) < edgeOf(bucket + 1));
    assert.equal(bucketOf(edgeOf(bucket)), bucket);
  }
  for (const nano of [0, 15, 16, 17, 1000, 1023, 1024, 2 ** 40 - 1, 2 ** 40, 5e9]) {
    const bucket = bucketOf(nano);
    assert.ok(edgeOf(bucket) <= nano && nano < edgeOf(bucket + 1), `${nano}`);
  }
});

test("a box counts the spans of its bounds whatever a row holds", () => {
  for (const rowsMax of [8, 64, 1000]) {
    const { cells, grid } = gridOf(rowsMax);
    assert.ok(grid.rows <= rowsMax);
    const box = grid.box({ column: 31, row: grid.rows - 2 }, { column: 3, row: 1 });
    const inside = cells.filter((cell) => cell.startUnixNano >= box.since && cell.startUnixNano < box.until && cell.minNano >= box.min && cell.maxNano <= box.max);
    assert.equal(box.count, inside.reduce((sum, cell) => sum + cell.count, 0));
    // None lies across the edge of the box.
    assert.ok(cells.every((cell) => cell.maxNano <= box.min || cell.minNano >= box.min));
    assert.deepEqual(grid.boxOf(parseBox(boxText(box))), box);
  }
});

test("a box outside the picture is none", () => {
  const { grid } = gridOf(64);
  assert.equal(grid.boxOf({ since: 0n, until: 1n, min: 1, max: 2 }), null);
  assert.equal(parseBox("1~2~3"), null);
  assert.equal(parseBox("1~2~3~x"), null);
  assert.equal(parseBox(null), null);
});

test("times and durations mean what they mean on the command line", () => {
  assert.equal(parseTime("2026-01-15T10:00:00Z"), 1_768_471_200_000_000_000n);
  assert.equal(parseTime("2026-01-15T11:00:00.000000001+01:00"), 1_768_471_200_000_000_001n);
  assert.equal(parseTime("1768471200"), 1_768_471_200_000_000_000n);
  assert.equal(parseTime("-1h", 7_200_000_000_000n), 3_600_000_000_000n);
  for (const wrong of ["", "yesterday", "2026-01-15", "2026-01-15T10:00:00", "-1", "1h"]) assert.equal(parseTime(wrong), null, wrong);
  assert.equal(parseDuration("1.5s"), 1_500_000_000n);
  assert.equal(parseDuration("1.5"), null);
  for (const nano of [1, 999, 1000, 16_777_216, 2_684_354_560]) assert.equal(parseDuration(durationText(nano)), BigInt(nano));
  for (const nano of [1_768_471_200_000_000_000n, 1_768_471_200_000_000_001n]) assert.equal(parseTime(timeText(nano)), nano);
});

test("a step cuts a window into no more pieces than asked for, from the epoch on", () => {
  for (const seconds of [1n, 59n, 3600n, 90_000n, 40n * 86_400n, 4_000n * 86_400n]) {
    const window = { since: 1_768_471_234_567_890_123n, until: 1_768_471_234_567_890_123n + seconds * 1_000_000_000n };
    const step = stepFor(window, 100);
    const whole = aligned(window, step);
    assert.ok(whole.since <= window.since && whole.until >= window.until);
    assert.equal(whole.since % step, 0n);
    assert.ok((whole.until - whole.since) / step <= 101n);
    assert.ok(roundTimes(window, 8).every((at) => at >= window.since && at <= window.until));
  }
});

test("durations are shown to three digits and never in the wrong unit", () => {
  const shown = [[0, "0 ns"], [999, "999 ns"], [999_400, "999 µs"], [999_600, "1.00 ms"], [12_345_678, "12.3 ms"], [999_999_999, "1.00 s"], [125e9, "2 min 5 s"], [null, "–"]];
  for (const [nano, text] of shown) assert.equal(duration(nano), text);
});

test("on the map callers stand left of whom they call and nothing overlaps, circles or not", () => {
  const edges = [["a", "b"], ["b", "c"], ["c", "a"], ["a", "c"], ["b", "b"], ["d", "e"], ["c", "f"], ["b", "f"], ["x", "x"]].map(([from, to]) => ({ from, to }));
  const names = [...new Set(edges.flatMap(({ from, to }) => [from, to]))];
  const placed = layout(names, edges);
  const nodes = names.map((name) => placed.nodes.get(name));
  nodes.forEach((one, index) => nodes.slice(index + 1).forEach((other) => {
    assert.ok(Math.abs(one.x - other.x) >= NODE.width || Math.abs(one.y - other.y) >= NODE.height, `${one.name} ${other.name}`);
  }));
  for (const { from, to } of [edges[0], edges[1], edges[3], edges[5]]) assert.ok(placed.nodes.get(from).x < placed.nodes.get(to).x);
  for (const edge of edges.filter(({ from, to }) => from !== to)) assert.ok(placed.ways.get(edge).length >= 2);
});

test("spans hang below their parents, and circles and orphans are shown", () => {
  const span = (spanId, parentSpanId, more) => ({ traceId: "t", spanId, parentSpanId, name: spanId, startTimeUnixNano: "1000", endTimeUnixNano: "2000", ...more });
  const spans = [span("a"), span("b", "a"), span("c", "missing"), span("x", "y"), span("y", "x"), span("b", "a", { kind: 2 }), span("b", "a", { kind: 3 }), span("d", "b", { status: { code: 2 } })];
  const tree = new Tree({ resourceSpans: [{ resource: {}, scopeSpans: [{ spans }] }] });
  assert.equal(tree.walk().length, spans.length);
  assert.equal(tree.spans.find(({ id }) => id === "c").orphan, true);
  const [server, client] = [2, 3].map((kind) => tree.spans.find(({ id, kind: word }) => id === "b" && word === ["server", "client"][kind - 2]));
  assert.equal(server.parent, client);
  assert.deepEqual(tree.causes().map(({ id }) => id), ["d"]);
});
