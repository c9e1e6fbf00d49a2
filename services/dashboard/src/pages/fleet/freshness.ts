/** How late the data of a provider is, and why. Pure, for its tests. */
import type { Account, Gap, ScopeCoverage } from "@/api/types";
import type { Tone } from "@/kit/Badge";
import { coverageTotals, gapsOf } from "@/lib/gaps";

export interface Freshness {
  tone: Tone;
  /** In one word. */
  word: string;
  /** Every scope that was ever collected is so up to here; null where none was. */
  until: string | null;
  /** Of the time, from 0 to 1; null where nothing was ever collected. */
  ratio: number | null;
  /** Collected for the first time within the range, from here on; null where earlier. */
  since: string | null;
  /** What keeps it back; null where nothing does. */
  why: string | null;
}

/** Three intervals and the longest delay of a provider that publishes as it should. */
const LATE_MS = 60 * 60_000;
const STALE_MS = 4 * LATE_MS;
/** Reasons of a whole scope that are nobody's fault and pass. */
const PASSING = new Set(["not_yet_published"]);

export function freshnessOf(
  /** As the API answered, from `start` on. */
  { data: coverage, start }: { data: ScopeCoverage[]; start: string },
  accounts: Account[],
  now: Date,
): Freshness {
  const totals = coverageTotals(coverage);
  const why = faultOf(coverage, accounts, start);
  const since = beginning(coverage, start);
  if (!totals?.until) {
    return { tone: "bad", word: "Never", until: null, ratio: totals?.ratio ?? null, since, why };
  }
  const age = now.getTime() - Date.parse(totals.until);
  const shared = { until: totals.until, ratio: totals.ratio, since };
  if (age > STALE_MS) return { ...shared, tone: "bad", word: "Stale", why };
  if (age > LATE_MS) return { ...shared, tone: "warn", word: "Late", why };
  if (totals.never > 0) return { ...shared, tone: "warn", word: "Partial", why };
  return { ...shared, tone: "good", word: "Fresh", why };
}

/** The error of a newest run, or else the newest gap of a whole scope. */
function faultOf(coverage: ScopeCoverage[], accounts: Account[], start: string): string | null {
  const failed = accounts
    .flatMap((account) => Object.values(account.last_runs))
    .find((run) => run.status === "failed" || run.status === "partial");
  const gap = gapsOf(coverage).find(
    (one) =>
      one.resource_id === null &&
      one.metric_name === null &&
      !PASSING.has(one.reason) &&
      !isBeginning(one, start),
  );
  if (failed?.error) return failed.error;
  if (gap) return `${gap.scope}: ${gap.detail ?? gap.reason.replaceAll("_", " ")}`;
  return failed ? `the last ${failed.kind} run of ${failed.account_id} is ${failed.status}` : null;
}

/** When the youngest scope began; null where every scope is older than the range. */
function beginning(coverage: ScopeCoverage[], start: string): string | null {
  const ends = coverage.flatMap(({ gaps }) =>
    gaps.filter((gap) => isBeginning(gap, start)).map((gap) => gap.end),
  );
  return ends.toSorted().at(-1) ?? null;
}

/** Whether a gap is the time before a scope was collected at all. */
function isBeginning(gap: Gap, start: string): boolean {
  return gap.reason === "not_collected" && gap.start <= start;
}
