import { expect, test } from "vitest";
import type { Gap, ScopeCoverage } from "@/api/types";
import { coverageTotals, explain, gapsOf } from "./gaps";

function gap(start: string, end: string, more: Partial<Gap> = {}): Gap {
  const whole = { resource_id: null, metric_name: null, detail: null };
  return {
    start: `2026-11-20T${start}:00Z`,
    end: `2026-11-20T${end}:00Z`,
    reason: "throttled",
    ...whole,
    ...more,
  };
}

function scope(name: string, gaps: Gap[], more: Partial<ScopeCoverage> = {}): ScopeCoverage {
  return {
    provider: "aws",
    account_id: "prod",
    scope: name,
    collected_until: "2026-11-20T12:00:00Z",
    windows_collected: 4,
    ratio: 1,
    gaps,
    ...more,
  };
}

function at(time: string): number {
  return Date.parse(`2026-11-20T${time}:00Z`) / 1000;
}

const CPU = { metric: "cpu_utilization", resourceId: "i-1", provider: "aws" };

test("a gap explains what lies in it and nothing beside it", () => {
  const gaps = gapsOf([scope("aws/prod/eu", [gap("09:00", "10:00")])]);
  expect(explain(gaps, CPU, at("09:55"), at("10:00"))).toHaveLength(1);
  expect(explain(gaps, CPU, at("10:00"), at("10:05"))).toEqual([]);
  expect(explain(gaps, { ...CPU, provider: "gcp" }, at("09:55"), at("10:00"))).toEqual([]);
});

test("the resource's own reason counts more than its scope's, another's not at all", () => {
  const gaps = gapsOf([
    scope("aws/prod/eu", [
      gap("09:00", "10:00"),
      gap("09:00", "10:00", { reason: "stopped", resource_id: "i-1" }),
      gap("09:00", "10:00", { reason: "no_agent", resource_id: "i-2" }),
      gap("09:00", "10:00", { reason: "denied", resource_id: "i-1", metric_name: "uptime" }),
    ]),
  ]);
  const reasons = (subject: typeof CPU) =>
    explain(gaps, subject, at("09:00"), at("09:05")).map((one) => one.reason);
  expect(reasons(CPU)).toEqual(["stopped"]);
  expect(reasons({ ...CPU, resourceId: "i-3" })).toEqual(["throttled"]);
});

test("totals are the mean share, the earliest end and all gaps", () => {
  const one = scope("a", [gap("09:00", "10:00")], { ratio: 0.5 });
  const two = scope("b", [], { collected_until: "2026-11-20T11:00:00Z" });
  expect(coverageTotals([one, two])).toEqual({
    ratio: 0.75,
    until: "2026-11-20T11:00:00Z",
    never: 0,
    gaps: 1,
  });
  const never = scope("c", [], { collected_until: null });
  expect(coverageTotals([one, never])).toMatchObject({ until: one.collected_until, never: 1 });
  expect(coverageTotals([never])?.until).toBeNull();
  expect(coverageTotals([])).toBeNull();
});
