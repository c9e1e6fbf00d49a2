import { several, single } from "@/lib/search";

/** What the feed shows, as its URL and the API have it. */
export interface ChangesSearch {
  change?: string[] | undefined;
  resource_type?: string[] | undefined;
  /** The provider's own id. */
  resource_id?: string | undefined;
}

export const CHANGES = ["created", "deleted", "status_changed", "config_changed"] as const;

export const RESOURCE_TYPES = [
  ...(["compute_instance", "storage_volume", "database", "load_balancer"] as const),
  ...(["network", "kubernetes_cluster", "host"] as const),
];

export function changesSearch(search: Record<string, unknown>): ChangesSearch {
  return {
    change: several(search.change),
    resource_type: several(search.resource_type),
    resource_id: single(search.resource_id),
  };
}
