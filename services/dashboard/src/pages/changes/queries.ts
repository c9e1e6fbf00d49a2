import { infiniteQueryOptions, keepPreviousData } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { ResourceChange, ResourceType } from "@/api/types";
import type { Range } from "@/lib/range";
import type { ChangesSearch } from "./search";

const PAGE_ROWS = 100;

/** The parameters of `changes`; a value that the API does not know is its to refuse. */
export function changeParameters(search: ChangesSearch, range: Range) {
  return {
    ...range,
    change: (search.change ?? []) as ResourceChange["change"][],
    resource_type: (search.resource_type ?? []) as ResourceType[],
    resource_id: search.resource_id ? [search.resource_id] : [],
  };
}

/** What changed within the range, the newest first, in pages. */
export function changesQuery(
  customer: string,
  provider: string,
  range: Range,
  search: ChangesSearch,
) {
  return infiniteQueryOptions({
    queryKey: ["changes", customer, provider, range, search],
    queryFn: ({ signal, pageParam }) =>
      body(
        api.GET("/api/v2/resources/{customer_id}/{provider}/changes", {
          params: {
            path: { customer_id: customer, provider },
            query: { ...changeParameters(search, range), limit: PAGE_ROWS, cursor: pageParam },
          },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: keepPreviousData,
    // All pages would be asked for again, in a row.
    refetchOnWindowFocus: false,
  });
}
