import { expect, test } from "vitest";
import type { ResourceStatistics } from "@/api/types";
import { moversOf } from "./movers";

function row(id: string, avg: number, type = "compute_instance") {
  return { provider: "aws", resource_id: id, metric_type: type, avg } as ResourceStatistics;
}

test("the largest change comes first, up or down", () => {
  const now = [row("a", 50), row("b", 10), row("c", 31)];
  const before = [row("a", 45), row("b", 60), row("c", 30)];
  expect(moversOf("acme", now, before).map((one) => [one.row.resource_id, one.change])).toEqual([
    ["b", -50],
    ["a", 5],
    ["c", 1],
  ]);
});

test("what was not there before has not moved", () => {
  expect(moversOf("acme", [row("new", 90)], [row("old", 10)])).toEqual([]);
  expect(moversOf("acme", [row("a", 90)], [row("a", 10, "database")])).toEqual([]);
});
