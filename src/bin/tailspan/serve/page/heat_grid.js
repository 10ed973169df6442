// The arithmetic of a heat map: the store's cells as a grid of columns (steps of time) and rows (buckets of duration).
//
// Buckets are the store's: below 16 ns each value, above it `[(16+k) * 2^e, (17+k) * 2^e)`. A row is one bucket or 2, 4,
// 8 ... that follow each other, so a box of grid cells has bounds between which lie exactly the spans of its cells.

/** The place of a bucket among all, by the duration it begins at. */
export function bucketOf(nano) {
  if (nano < 16) return Math.floor(nano);
  let power = Math.floor(Math.log2(nano));
  // Logarithms are rounded; powers of two are not.
  if (2 ** power > nano) power -= 1;
  if (2 ** (power + 1) <= nano) power += 1;
  return 16 + (power - 4) * 16 + (Math.floor(nano / 2 ** (power - 4)) - 16);
}

/** The duration at which a bucket begins. */
export function edgeOf(bucket) {
  if (bucket < 16) return bucket;
  return (16 + ((bucket - 16) % 16)) * 2 ** Math.floor((bucket - 16) / 16);
}

/** Where a duration lies among the buckets, between two of them as well. */
function positionOf(nano) {
  if (nano < 16) return nano;
  const bucket = bucketOf(nano);
  const [from, to] = [edgeOf(bucket), edgeOf(bucket + 1)];
  return bucket + (nano - from) / (to - from);
}

export class Grid {
  /** `cells` are lines of the heat map, which all lie between `since` and `until`, multiples of `step`. */
  constructor(cells, { since, until }, step, rowsMax) {
    Object.assign(this, { since, until, step });
    this.columns = Math.max(Number((until - since) / step), 1);
    const buckets = cells.map((cell) => bucketOf(cell.minNano));
    const low = buckets.reduce((least, bucket) => Math.min(least, bucket), Infinity);
    const high = buckets.reduce((most, bucket) => Math.max(most, bucket), 0);
    this.merge = 1;
    while (Math.floor(high / this.merge) - Math.floor(low / this.merge) + 1 > rowsMax) this.merge *= 2;
    this.low = cells.length === 0 ? 0 : Math.floor(low / this.merge);
    this.rows = cells.length === 0 ? 1 : Math.floor(high / this.merge) - this.low + 1;
    this.counts = new Float64Array(this.columns * this.rows);
    cells.forEach((cell, index) => {
      const column = Number((cell.startUnixNano - since) / step);
      this.counts[this.place(column, Math.floor(buckets[index] / this.merge) - this.low)] += cell.count;
    });
    this.most = this.counts.reduce((most, count) => Math.max(most, count), 0);
  }

  place(column, row) {
    return column * this.rows + row;
  }

  count(column, row) {
    return this.counts[this.place(column, row)];
  }

  /** The time at which a column begins. */
  timeOf(column) {
    return this.since + BigInt(column) * this.step;
  }

  /** The duration at which a row begins. */
  durationOf(row) {
    return edgeOf((this.low + row) * this.merge);
  }

  /** Round durations (1, 2, 5, 10 ...) and the rows they lie at, at least so many rows apart. */
  rounds(apart) {
    const shown = [];
    for (let power = 0; power < 20; power += 1) {
      for (const digit of [1, 2, 5]) {
        const row = positionOf(digit * 10 ** power) / this.merge - this.low;
        // 1 and 10 rather than 2 and 5, where there is room for one of them alone.
        const next = positionOf(10 ** (power + 1)) / this.merge - this.low;
        if (row < 0 || row > this.rows || (digit > 1 && next - row < apart) || row - (shown.at(-1)?.row ?? -Infinity) < apart) continue;
        shown.push({ row, nano: digit * 10 ** power });
      }
    }
    return shown;
  }

  /** The box of two corners: its bounds, half-open, and how many spans are in it. */
  box(one, other) {
    const [left, right] = [Math.min(one.column, other.column), Math.max(one.column, other.column)];
    const [bottom, top] = [Math.min(one.row, other.row), Math.max(one.row, other.row)];
    let count = 0;
    for (let column = left; column <= right; column += 1) for (let row = bottom; row <= top; row += 1) count += this.count(column, row);
    return { left, right, bottom, top, count, since: this.timeOf(left), until: this.timeOf(right + 1), min: this.durationOf(bottom), max: this.durationOf(top + 1) };
  }

  /** The box of an address, as far as it is in the picture; null if it is not. */
  boxOf({ since, until, min, max }) {
    if (until <= this.since || since >= this.until || since >= until || min >= max) return null;
    const column = (at) => Math.min(Math.max(Number((at - this.since) / this.step), 0), this.columns - 1);
    // The last value inside, by its bucket: bounds lie between buckets.
    const row = (bucket) => Math.min(Math.max(Math.floor(bucket / this.merge) - this.low, 0), this.rows - 1);
    return this.box({ column: column(since), row: row(bucketOf(min)) }, { column: column(until - 1n), row: row(bucketOf(max) - 1) });
  }
}

/** A box as the address has it. */
export function boxText({ since, until, min, max }) {
  return [since, until, min, max].join("~");
}

/** The box of an address, or null. */
export function parseBox(text) {
  const [since, until, min, max] = (text ?? "").split("~");
  if (![since, until, min, max].every((part) => /^\d{1,20}$/.test(part ?? ""))) return null;
  return { since: BigInt(since), until: BigInt(until), min: Number(min), max: Number(max) };
}
