import { expect, test } from "vitest";
import { align, bucketStarts, intervalFor } from "./series";

const START = "2026-11-20T09:00:00Z";
const END = "2026-11-20T10:00:00Z";

function rows(...minutes: number[]) {
  return minutes.map((minute) => ({
    bucket_start: `2026-11-20T09:${String(minute).padStart(2, "0")}:00Z`,
    avg: minute,
  }));
}

function aligned(...minutes: number[]) {
  return align(rows(...minutes), bucketStarts(START, END, "5m"), (row) => row.avg);
}

test("buckets cover the window, whose bounds need not lie on one", () => {
  const times = bucketStarts("2026-11-20T09:07:00Z", "2026-11-20T09:21:00Z", "5m");
  expect(times.map((time) => new Date(time * 1000).toISOString().slice(11, 16))).toEqual([
    "09:05",
    "09:10",
    "09:15",
    "09:20",
  ]);
});

test("what is missing is a gap and never zero", () => {
  expect(aligned(0, 5, 10, 30, 35)).toEqual([
    ...[0, 5, 10, null, null, null, 30, 35],
    ...[null, null, null, null],
  ]);
});

test("a series that comes every quarter of an hour has no gap between its points", () => {
  const at = aligned(0, 15, 30, 45);
  expect(at.slice(0, 4)).toEqual([0, undefined, undefined, 15]);
  expect(at.slice(9)).toEqual([45, null, null]);
});

test("a quarter that is missing is a gap of such a series", () => {
  expect(aligned(0, 10, 20, 50).slice(4, 10)).toEqual([20, null, null, null, null, null]);
});

test("no rows are all gap", () => {
  expect(new Set(aligned())).toEqual(new Set([null]));
});

test("a month has hours, a day quarters", () => {
  expect(intervalFor({ timeframe: "1h" })).toBe("5m");
  expect(intervalFor({ timeframe: "24h" })).toBe("15m");
  expect(intervalFor({ timeframe: "30d" })).toBe("1h");
  expect(intervalFor({ timeframe: "90d" })).toBe("6h");
});
