import { oneOf, several, single } from "@/lib/search";

/** Which of a bucket's statistics is drawn where several resources are laid over each other. */
export const STATISTICS = ["avg", "p95", "max"] as const;
export type Statistic = (typeof STATISTICS)[number];

/** What the performance page shows, as its URL has it. */
export interface PerformanceSearch {
  metric?: string | undefined;
  /** The type of the resources that the metric is of. */
  type?: string | undefined;
  /** Repeatable; without one, all resources together. */
  resource?: string[] | undefined;
  statistic?: Statistic | undefined;
}

export function performanceSearch(search: Record<string, unknown>): PerformanceSearch {
  return {
    metric: single(search.metric),
    type: single(search.type),
    resource: several(search.resource),
    statistic: oneOf(search.statistic, STATISTICS),
  };
}
