import { expect, test } from "vitest";
import type { Account, Gap, Run, ScopeCoverage } from "@/api/types";
import { freshnessOf } from "./freshness";

const START = "2026-11-19T12:00:00Z";
const NOW = new Date("2026-11-20T12:00:00Z");

function scope(until: string | null, gaps: Partial<Gap>[] = []): ScopeCoverage {
  return {
    provider: "aws",
    account_id: "prod",
    scope: "aws/prod/eu",
    collected_until: until,
    windows_collected: 1,
    ratio: 0.9,
    gaps: gaps.map((gap) => ({
      start: "2026-11-20T09:00:00Z",
      end: "2026-11-20T10:00:00Z",
      reason: "denied",
      resource_id: null,
      metric_name: null,
      detail: null,
      ...gap,
    })),
  };
}

function answer(...data: ScopeCoverage[]) {
  return { data, start: START };
}

function account(run: Partial<Run>): Account {
  const whole = { kind: "performance", account_id: "prod", error: null, ...run } as Run;
  return { last_runs: { performance: whole } } as unknown as Account;
}

test.each([
  ["2026-11-20T11:45:00Z", "Fresh", "good"],
  ["2026-11-20T10:45:00Z", "Late", "warn"],
  ["2026-11-20T07:00:00Z", "Stale", "bad"],
  [null, "Never", "bad"],
])("collected until %s is %s", (until, word, tone) => {
  expect(freshnessOf(answer(scope(until)), [], NOW)).toMatchObject({ word, tone, until });
});

test("the scope that lags behind is what counts", () => {
  const scopes = [scope("2026-11-20T11:45:00Z"), scope("2026-11-20T07:00:00Z")];
  expect(freshnessOf(answer(...scopes), [], NOW).word).toBe("Stale");
});

test("a scope that was never collected leaves the rest partial", () => {
  const scopes = [scope("2026-11-20T11:45:00Z"), scope(null)];
  expect(freshnessOf(answer(...scopes), [], NOW)).toMatchObject({ word: "Partial", tone: "warn" });
});

test("it says what keeps the data back: the run's error, else the scope's gap", () => {
  const denied = scope("2026-11-20T11:45:00Z", [{ detail: "grant monitoring.read" }]);
  expect(freshnessOf(answer(denied), [], NOW).why).toBe("aws/prod/eu: grant monitoring.read");
  const failed = account({ status: "failed", error: "the key has expired" });
  expect(freshnessOf(answer(denied), [failed], NOW).why).toBe("the key has expired");
  const partial = account({ status: "partial" });
  expect(freshnessOf(answer(), [partial], NOW).why).toBe(
    "the last performance run of prod is partial",
  );
});

test("what is not published yet, and what one resource lacks, is no fault", () => {
  const well = scope("2026-11-20T11:45:00Z", [
    { reason: "not_yet_published" },
    { reason: "no_agent", resource_id: "i-1" },
  ]);
  expect(freshnessOf(answer(well), [account({ status: "succeeded" })], NOW).why).toBeNull();
});

test("the time before the first collection is no fault, and told apart", () => {
  const young = scope("2026-11-20T11:45:00Z", [{ reason: "not_collected", start: START }]);
  const { since, why } = freshnessOf(answer(young), [], NOW);
  expect(since).toBe("2026-11-20T10:00:00Z");
  expect(why).toBeNull();
  const lost = scope("2026-11-20T11:45:00Z", [{ reason: "not_collected" }]);
  expect(freshnessOf(answer(lost), [], NOW)).toMatchObject({
    since: null,
    why: "aws/prod/eu: not collected",
  });
});
