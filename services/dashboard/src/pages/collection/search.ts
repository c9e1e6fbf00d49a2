import { oneOf, single } from "@/lib/search";

export const KINDS = ["performance", "resources"] as const;

/** What the collection page shows, as its URL has it. */
export interface CollectionSearch {
  kind?: (typeof KINDS)[number] | undefined;
  /** The run whose scopes are shown. */
  run?: string | undefined;
}

export function collectionSearch(search: Record<string, unknown>): CollectionSearch {
  return { kind: oneOf(search.kind, KINDS), run: single(search.run) };
}
