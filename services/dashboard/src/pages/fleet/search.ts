import { oneOf } from "@/lib/search";

/** By which metric the movers are told. */
export const MOVER_METRICS = [
  "cpu_utilization",
  "memory_utilization",
  "network_out_bytes_per_sec",
  "disk_write_bytes_per_sec",
] as const;
export type MoverMetric = (typeof MOVER_METRICS)[number];

/** What the fleet page shows, as its URL has it. */
export interface FleetSearch {
  movers?: MoverMetric | undefined;
}

export function fleetSearch(search: Record<string, unknown>): FleetSearch {
  return { movers: oneOf(search.movers, MOVER_METRICS) };
}
