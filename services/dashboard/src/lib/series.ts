/** From the rows of `trends` to what a chart draws. */
import { lengthSeconds, type Range } from "./range";

/**
 * One value per bucket. `null` is a gap, which is drawn as one; `undefined` lies between two
 * points of a series that comes more seldom than the buckets, and is drawn over.
 */
export type Values = (number | null | undefined)[];

const INTERVALS = { "5m": 300, "15m": 900, "1h": 3600, "6h": 21_600, "1d": 86_400 } as const;
export type Interval = keyof typeof INTERVALS;

const DAY = 86_400;

/** The buckets that keep a line readable and a question small: 70 to 720 of them. */
export function intervalFor(range: Range): Interval {
  const length = lengthSeconds(range);
  if (length <= DAY / 4) return "5m";
  if (length <= 2 * DAY) return "15m";
  if (length <= 31 * DAY) return "1h";
  return "6h";
}

/** The starts of all buckets of a window, in seconds since the epoch. */
export function bucketStarts(start: string, end: string, interval: Interval): number[] {
  const step = INTERVALS[interval];
  const first = Math.floor(Date.parse(start) / 1000 / step);
  const last = Math.ceil(Date.parse(end) / 1000 / step);
  return Array.from({ length: last - first }, (_, index) => (first + index) * step);
}

export function intervalSeconds(interval: Interval): number {
  return INTERVALS[interval];
}

/** The rows' values at the buckets that they belong to. */
export function align<Row extends { bucket_start: string }>(
  rows: Row[],
  times: number[],
  value: (row: Row) => number,
): Values {
  const places = new Map(times.map((time, index) => [time, index]));
  const values: (number | null)[] = times.map(() => null);
  for (const row of rows) {
    const place = places.get(Date.parse(row.bucket_start) / 1000);
    if (place !== undefined) values[place] = value(row);
  }
  return bridge(values);
}

/** Marks the holes that a series has because it comes more seldom than the buckets do. */
function bridge(values: (number | null)[]): Values {
  const filled = values.flatMap((value, index) => (value === null ? [] : [index]));
  const distances = filled.slice(1).map((place, index) => place - (filled[index] ?? 0));
  const usual = distances.toSorted((a, b) => a - b)[Math.floor(distances.length / 2)] ?? 1;
  const bridged: Values = [...values];
  for (const [index, distance] of distances.entries()) {
    const from = filled[index] ?? 0;
    if (usual > 1 && distance <= usual * 1.5) bridged.fill(undefined, from + 1, from + distance);
  }
  return bridged;
}
