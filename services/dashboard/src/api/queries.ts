/** Questions that several pages ask. */
import { queryOptions } from "@tanstack/react-query";
import type { Range } from "@/lib/range";
import { api, body } from "./client";

export const customersQuery = queryOptions({
  queryKey: ["customers"],
  queryFn: ({ signal }) => body(api.GET("/api/v2/accounts", { signal })),
  staleTime: 60_000,
});

export function accountsQuery(customer: string) {
  return queryOptions({
    queryKey: ["accounts", customer],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/accounts/{customer_id}", {
          params: { path: { customer_id: customer } },
          signal,
        }),
      ),
  });
}

/** What of the range was collected, and why the rest was not, scope by scope. */
export function coverageQuery(customer: string, provider: string, range: Range) {
  return queryOptions({
    queryKey: ["coverage", customer, provider, range],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/performance/{customer_id}/{provider}/coverage", {
          params: { path: { customer_id: customer, provider }, query: range },
          signal,
        }),
      ),
  });
}

/** Statistics of every metric over the range, with the coverage in numbers. */
export function performanceSummaryQuery(customer: string, provider: string, range: Range) {
  return queryOptions({
    queryKey: ["performance-summary", customer, provider, range],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/performance/{customer_id}/{provider}/summary", {
          params: { path: { customer_id: customer, provider }, query: range },
          signal,
        }),
      ),
  });
}

export function resourceSummaryQuery(customer: string, provider: string) {
  return queryOptions({
    queryKey: ["resource-summary", customer, provider],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/resources/{customer_id}/{provider}/summary", {
          params: { path: { customer_id: customer, provider } },
          signal,
        }),
      ),
  });
}
