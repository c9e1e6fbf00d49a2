import { expect, test } from "vitest";
import type { TrendBucket } from "@/api/types";
import { drawingOf, shadesOf } from "./lines";

const RANGE = { start: "2026-11-20T09:00:00Z", end: "2026-11-20T10:00:00Z" };

function bucket(minute: number, id: string | null, avg: number): TrendBucket {
  return {
    bucket_start: `2026-11-20T09:${String(minute).padStart(2, "0")}:00Z`,
    resource_id: id,
    resource_name: id && `name of ${id}`,
    provider: id && "aws",
    ...{ avg, p95: avg + 1, max: avg + 2, min: 0, p50: avg, p99: avg, count: 1 },
    ...{ metric_name: "cpu_utilization", metric_type: "compute_instance", unit: "%" },
  };
}

function draw(rows: TrendBucket[], resources: string[]) {
  const trends = { rows, ...RANGE, whole: true };
  return drawingOf(trends, RANGE, "cpu_utilization", resources, "p95", "light");
}

test("all together, or one alone, are average, p95 and maximum with the area between", () => {
  const { lines, bands, times, step } = draw([bucket(0, null, 5), bucket(5, null, 6)], []);
  expect(lines.map((line) => [line.label, ...line.values.slice(0, 3)])).toEqual([
    ["average", 5, 6, null],
    ["p95", 6, 7, null],
    ["maximum", 7, 8, null],
  ]);
  expect(bands.map(({ upper, lower }) => [upper, lower])).toEqual([
    [1, 0],
    [2, 1],
  ]);
  expect([times.length, step]).toEqual([12, 300]);
});

test("several are a line each by the chosen statistic, in the order of the choice", () => {
  const { lines, subjects } = draw([bucket(0, "a", 1), bucket(0, "b", 2)], ["b", "a", "gone"]);
  expect(lines.map((line) => [line.label, line.values[0]])).toEqual([
    ["name of b", 3],
    ["name of a", 2],
    ["gone", null],
  ]);
  expect(subjects[2]).toEqual({ metric: "cpu_utilization", resourceId: "gone", provider: null });
});

test("only gaps of whole scopes stand out, and what is provisional", () => {
  const gap = {
    ...{ provider: "aws", scope: "aws/prod", start: RANGE.start, end: RANGE.end },
    ...{ reason: "throttled" as const, resource_id: null, metric_name: null, detail: null },
  };
  const other = { ...gap, scope: "aws/test" };
  const shades = shadesOf([gap, other, { ...gap, resource_id: "i-1" }], 100, 200);
  expect(shades.map(({ hatched, color }) => [hatched, color])).toEqual([
    [true, "bad"],
    [false, "info"],
  ]);
  expect(shadesOf([], null, 200)).toEqual([]);
});
