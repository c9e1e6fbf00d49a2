/** Whose average moved most from one time range to the next. Pure, for its tests. */
import type { ResourceStatistics } from "@/api/types";

export interface Mover {
  customer: string;
  row: ResourceStatistics;
  before: number;
  /** In the metric's unit. */
  change: number;
}

/** The resources of a customer that are in both rankings, the largest change first. */
export function moversOf(
  customer: string,
  now: ResourceStatistics[],
  before: ResourceStatistics[],
): Mover[] {
  const averages = new Map(before.map((row) => [keyOf(row), row.avg]));
  return now
    .flatMap((row) => {
      const earlier = averages.get(keyOf(row));
      return earlier === undefined
        ? []
        : [{ customer, row, before: earlier, change: row.avg - earlier }];
    })
    .toSorted(byChange);
}

export function byChange(a: Mover, b: Mover): number {
  return Math.abs(b.change) - Math.abs(a.change);
}

function keyOf({ provider, resource_id, metric_type }: ResourceStatistics): string {
  return [provider, metric_type, resource_id].join(" ");
}
