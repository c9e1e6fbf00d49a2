import { infiniteQueryOptions, keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { ResourceStatus, ResourceType } from "@/api/types";
import type { Range } from "@/lib/range";
import { type ResourcesSearch } from "./search";

export interface Owner {
  customer: string;
  provider: string;
}

const PAGE_ROWS = 500;
const MOST_CHANGES = 200;
const MOST_ATTACHED = 100;
/** 15 metrics of 90 days of days, or of a day of quarters of an hour. */
const MOST_BUCKETS = 10_000;

/** The parameters of `list` and `summary`; a value that the API does not know is its to refuse. */
export function selection(search: ResourcesSearch) {
  const { q, region = [], tag = [], as_of, include_deleted } = search;
  return {
    resource_type: (search.resource_type ?? []) as ResourceType[],
    status: (search.status ?? []) as ResourceStatus[],
    region,
    tag,
    ...(q ? { q } : {}),
    ...(as_of ? { as_of } : {}),
    ...(include_deleted ? { include_deleted: true } : {}),
  };
}

/** The inventory in pages, by id. */
export function resourcesQuery({ customer, provider }: Owner, search: ResourcesSearch) {
  return infiniteQueryOptions({
    queryKey: ["resources", customer, provider, search],
    queryFn: ({ signal, pageParam }) =>
      body(
        api.GET("/api/v2/resources/{customer_id}/{provider}/list", {
          params: {
            path: { customer_id: customer, provider },
            query: { ...selection(search), limit: PAGE_ROWS, cursor: pageParam },
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

/** How many resources the filters leave, by type, status and region. */
export function countsQuery({ customer, provider }: Owner, search: ResourcesSearch) {
  return queryOptions({
    queryKey: ["resource-counts", customer, provider, search],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/resources/{customer_id}/{provider}/summary", {
          params: { path: { customer_id: customer, provider }, query: selection(search) },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

export function resourceQuery({ customer, provider }: Owner, id: string, asOf?: string) {
  return queryOptions({
    queryKey: ["resource", customer, provider, id, asOf],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/resources/{customer_id}/{provider}/{resource_id}", {
          params: {
            path: { customer_id: customer, provider, resource_id: id },
            query: asOf ? { as_of: asOf } : {},
          },
          signal,
        }),
      ),
  });
}

/** What hangs on a resource: a machine's volumes, say. */
export function attachedQuery({ customer, provider }: Owner, id: string, asOf?: string) {
  return queryOptions({
    queryKey: ["attached", customer, provider, id, asOf],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/resources/{customer_id}/{provider}/list", {
          params: {
            path: { customer_id: customer, provider },
            query: {
              attached_to: [id],
              limit: MOST_ATTACHED,
              ...(asOf ? { as_of: asOf } : {}),
            },
          },
          signal,
        }),
      ),
  });
}

/** The newest changes of a resource within the range. */
export function resourceChangesQuery({ customer, provider }: Owner, id: string, range: Range) {
  return queryOptions({
    queryKey: ["resource-changes", customer, provider, id, range],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/resources/{customer_id}/{provider}/changes", {
          params: {
            path: { customer_id: customer, provider },
            query: { ...range, resource_id: [id], limit: MOST_CHANGES },
          },
          signal,
        }),
      ),
  });
}

/** Every metric of a resource over the range, in buckets that a small chart can show. */
export function resourceTrendsQuery({ customer, provider }: Owner, id: string, range: Range) {
  return queryOptions({
    queryKey: ["resource-trends", customer, provider, id, range],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/performance/{customer_id}/{provider}/trends", {
          params: {
            path: { customer_id: customer, provider },
            query: { ...range, resource_id: [id], group_by: "resource", limit: MOST_BUCKETS },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
}
