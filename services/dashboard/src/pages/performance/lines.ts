/** What the chart of a selection draws. Pure, for its tests. */
import type { Theme } from "@/app/theme";
import { lineColor, lineDash } from "@/kit/chart/colors";
import type { Band, Line, Shade } from "@/kit/chart/TimeChart";
import type { ScopeGap, Subject } from "@/lib/gaps";
import { groupBy } from "@/lib/groups";
import type { Range } from "@/lib/range";
import { align, bucketStarts, intervalFor, intervalSeconds } from "@/lib/series";
import type { Trends } from "./queries";
import type { Statistic } from "./search";

export interface Drawing {
  times: number[];
  /** Seconds that a bucket is wide. */
  step: number;
  lines: Line[];
  /** What each line is of. */
  subjects: Subject[];
  bands: Band[];
}

/** One resource, or all together, with avg, p95 and max as bands; several as a line each. */
export function drawingOf(
  { rows, start, end }: Trends,
  range: Range,
  metric: string,
  resources: string[],
  statistic: Statistic,
  theme: Theme,
): Drawing {
  const interval = intervalFor(range);
  const times = bucketStarts(start, end, interval);
  const step = intervalSeconds(interval);
  const byResource = groupBy(rows, (row) => row.resource_id ?? null);

  if (resources.length > 1) {
    const named = resources.map((id) => ({ id, own: byResource.get(id) ?? [] }));
    return {
      times,
      step,
      bands: [],
      subjects: named.map(({ id, own }) => ({
        metric,
        resourceId: id,
        provider: own[0]?.provider ?? null,
      })),
      lines: named.map(({ id, own }, index) => ({
        label: own[0]?.resource_name ?? id,
        color: lineColor(theme, index),
        dash: lineDash(index),
        values: align(own, times, (row) => row[statistic]),
      })),
    };
  }

  const color = lineColor(theme, 0);
  const subject = {
    metric,
    resourceId: resources[0] ?? null,
    provider: rows[0]?.provider ?? null,
  };
  return {
    times,
    step,
    subjects: [subject, subject, subject],
    bands: [
      { upper: 1, lower: 0, opacity: 0.22 },
      { upper: 2, lower: 1, opacity: 0.08 },
    ],
    lines: [
      { label: "average", color, width: 2, values: align(rows, times, (row) => row.avg) },
      { label: "p95", color, dash: [6, 3], width: 1, values: align(rows, times, (row) => row.p95) },
      {
        label: "maximum",
        color,
        dash: [2, 3],
        width: 1,
        values: align(rows, times, (row) => row.max),
      },
    ],
  };
}

/** What stands out behind the lines: gaps of whole scopes, and what is not settled yet. */
export function shadesOf(gaps: ScopeGap[], provisionalFrom: number | null, end: number): Shade[] {
  const whole = gaps.filter((gap) => gap.resource_id === null && gap.metric_name === null);
  const shades = merged(
    whole.map((gap) => ({
      start: Date.parse(gap.start) / 1000,
      end: Date.parse(gap.end) / 1000,
      color: gap.reason === "not_yet_published" ? "info" : "bad",
      hatched: true,
    })),
  );
  if (provisionalFrom === null) return shades;
  return [...shades, { start: provisionalFrom, end, color: "info", hatched: false }];
}

/** Gaps of several scopes at one time stand out once. */
function merged(shades: Shade[]): Shade[] {
  const joined: Shade[] = [];
  for (const shade of shades.toSorted((a, b) => a.start - b.start)) {
    const open = joined.find((one) => one.color === shade.color && one.end >= shade.start);
    if (open) open.end = Math.max(open.end, shade.end);
    else joined.push(shade);
  }
  return joined;
}
