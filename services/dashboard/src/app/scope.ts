/**
 * Whose data the page shows, and of when. All of it stands in the URL, so that a link shows the
 * same to whoever opens it.
 */
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { customersQuery } from "@/api/queries";
import { type Range, rangeOf } from "@/lib/range";
import { single } from "@/lib/search";

export const ALL_PROVIDERS = "all";

/** The URL parameters that every page has. */
export interface ScopeSearch {
  customer?: string | undefined;
  provider?: string | undefined;
  timeframe?: string | undefined;
  start?: string | undefined;
  end?: string | undefined;
}

export const SCOPE_PARAMETERS = ["customer", "provider", "timeframe", "start", "end"] as const;

export function scopeSearch(search: Record<string, unknown>): ScopeSearch {
  return {
    customer: single(search.customer),
    provider: single(search.provider),
    timeframe: single(search.timeframe),
    start: single(search.start),
    end: single(search.end),
  };
}

export interface Scope {
  /** The first customer there is where the URL names none. */
  customer: string;
  /** A provider of the customer, or `all`. */
  provider: string;
  range: Range;
}

export function useScope(): Scope {
  const search: ScopeSearch = useSearch({ strict: false });
  const { data: customers } = useQuery(customersQuery);
  return useMemo(
    () => ({
      customer: search.customer ?? customers?.data[0]?.customer_id ?? "",
      provider: search.provider ?? ALL_PROVIDERS,
      range: rangeOf({ ...search }),
    }),
    [search, customers],
  );
}

type Change = Record<string, string | string[] | boolean | undefined>;

/**
 * Changes parameters of this page's URL; undefined removes one. A pick is a step that Back
 * undoes; what is typed is not (`replace`).
 */
export function useSetSearch(): (change: Change, options?: { replace: boolean }) => void {
  const navigate = useNavigate();
  return (change, { replace } = { replace: false }) => {
    const search = (before: Change) => ({ ...before, ...change });
    void navigate({ to: ".", search, replace } as never);
  };
}

/** The parameters of a range, for `useSetSearch`. */
export function rangeSearch(range: Range): Change {
  return { timeframe: undefined, start: undefined, end: undefined, ...range };
}
