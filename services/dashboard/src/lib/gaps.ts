/** Why something is missing, from the coverage. */
import type { Gap, ScopeCoverage } from "@/api/types";

export interface ScopeGap extends Gap {
  provider: string;
  scope: string;
}

/** Every gap with the scope it is of, the newest first. */
export function gapsOf(coverage: ScopeCoverage[]): ScopeGap[] {
  return coverage
    .flatMap(({ provider, scope, gaps }) => gaps.map((gap) => ({ ...gap, provider, scope })))
    .toSorted((a, b) => b.end.localeCompare(a.end));
}

/** What a line of a chart is of; a resource is null where the line is of several. */
export interface Subject {
  metric: string;
  resourceId: string | null;
  provider: string | null;
}

/** The gaps that may explain why `subject` has nothing in `[from, to)`, seconds since the epoch. */
export function explain(gaps: ScopeGap[], subject: Subject, from: number, to: number): ScopeGap[] {
  const found = gaps.filter(
    (gap) =>
      Date.parse(gap.start) / 1000 < to &&
      Date.parse(gap.end) / 1000 > from &&
      (gap.metric_name === null || gap.metric_name === subject.metric) &&
      (gap.resource_id === null || gap.resource_id === subject.resourceId) &&
      (subject.provider === null || gap.provider === subject.provider),
  );
  const own = found.filter((gap) => gap.resource_id !== null);
  return own.length ? own : found;
}

export interface CoverageTotals {
  /** Mean over the scopes of the share that is collected. */
  ratio: number;
  /** Every scope that was ever collected is so up to here; null where none was. */
  until: string | null;
  /** Scopes that were never collected. */
  never: number;
  gaps: number;
}

/** All scopes in one; null where there are none. */
export function coverageTotals(coverage: ScopeCoverage[]): CoverageTotals | null {
  if (coverage.length === 0) return null;
  const untils = coverage.flatMap((scope) => scope.collected_until ?? []);
  return {
    ratio: coverage.reduce((sum, scope) => sum + scope.ratio, 0) / coverage.length,
    until: untils.toSorted()[0] ?? null,
    never: coverage.length - untils.length,
    gaps: coverage.reduce((sum, scope) => sum + scope.gaps.length, 0),
  };
}
