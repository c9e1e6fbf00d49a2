import { several, single } from "@/lib/search";

/** What the performance page shows, as its URL has it. */
export interface PerformanceSearch {
  metric?: string | undefined;
  /** Repeatable; without one, all resources together. */
  resource?: string[] | undefined;
}

export function performanceSearch(search: Record<string, unknown>): PerformanceSearch {
  return { metric: single(search.metric), resource: several(search.resource) };
}
