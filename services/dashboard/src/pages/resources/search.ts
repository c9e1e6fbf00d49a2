import { several, single } from "@/lib/search";

/** What the table shows, as its URL and the API have it. */
export interface ResourcesSearch {
  q?: string | undefined;
  resource_type?: string[] | undefined;
  status?: string[] | undefined;
  region?: string[] | undefined;
  /** `key:value`; a resource must have every one. */
  tag?: string[] | undefined;
  /** A moment of the past, RFC 3339. */
  as_of?: string | undefined;
  include_deleted?: "true" | undefined;
}

export const NO_FILTERS = {
  q: undefined,
  resource_type: undefined,
  status: undefined,
  region: undefined,
  tag: undefined,
  as_of: undefined,
  include_deleted: undefined,
} satisfies ResourcesSearch;

export function resourcesSearch(search: Record<string, unknown>): ResourcesSearch {
  const as_of = single(search.as_of);
  // What is gone has no place in a moment of the past: the API refuses both together.
  const gone = as_of === undefined && single(search.include_deleted) === "true";
  return {
    q: single(search.q),
    resource_type: several(search.resource_type),
    status: several(search.status),
    region: several(search.region),
    tag: several(search.tag),
    as_of,
    include_deleted: gone ? "true" : undefined,
  };
}

/** Of one resource: the moment. */
export function resourceSearch(search: Record<string, unknown>): Pick<ResourcesSearch, "as_of"> {
  return { as_of: single(search.as_of) };
}
