import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { Kind, RunStatus } from "@/api/types";
import type { Range } from "@/lib/range";

const PAGE_RUNS = 50;
const FOLLOW_MS = 1000;

export function isGoing(status: RunStatus): boolean {
  return status === "queued" || status === "running";
}

/** Runs of a customer, newest first; asked for again often while one of them is going. */
export function runsQuery(
  customer: string,
  provider: string,
  range: Range,
  kind: Kind | undefined,
) {
  return infiniteQueryOptions({
    queryKey: ["runs", customer, provider, range, kind],
    queryFn: ({ signal, pageParam }) =>
      body(
        api.GET("/api/v2/collections", {
          params: {
            query: {
              ...range,
              customer_id: customer,
              provider,
              limit: PAGE_RUNS,
              cursor: pageParam,
              kind: kind ?? null,
            },
          },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    refetchInterval: ({ state }) => {
      const going = state.data?.pages.some((page) => page.data.some((run) => isGoing(run.status)));
      return going ? 2 * FOLLOW_MS : 15 * FOLLOW_MS;
    },
  });
}

/** One run with its scopes, followed to its end. */
export function runQuery(runId: string) {
  return queryOptions({
    queryKey: ["run", runId],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/collections/{run_id}", { params: { path: { run_id: runId } }, signal }),
      ),
    refetchInterval: ({ state }) => (state.data && !isGoing(state.data.status) ? false : FOLLOW_MS),
  });
}
