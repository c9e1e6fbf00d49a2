/** The time range of a question: a timeframe back from now, or start and end. */
import { oneOf, single } from "./search";

export const TIMEFRAMES = ["1h", "6h", "24h", "7d", "30d", "90d"] as const;
export type Timeframe = (typeof TIMEFRAMES)[number];
export const DEFAULT_TIMEFRAME: Timeframe = "24h";

const HOUR = 3600;
const SECONDS: Record<Timeframe, number> = {
  "1h": HOUR,
  "6h": 6 * HOUR,
  "24h": 24 * HOUR,
  "7d": 168 * HOUR,
  "30d": 720 * HOUR,
  "90d": 2160 * HOUR,
};

export type Range = { timeframe: Timeframe } | { start: string; end: string };

/** The range that URL parameters name; the default where they name none that can be. */
export function rangeOf(search: Record<string, unknown>): Range {
  const start = moment(search.start);
  const end = moment(search.end);
  if (start && end && start < end) return { start: rfc3339(start), end: rfc3339(end) };
  return { timeframe: oneOf(search.timeframe, TIMEFRAMES) ?? DEFAULT_TIMEFRAME };
}

export function lengthSeconds(range: Range): number {
  return "timeframe" in range
    ? SECONDS[range.timeframe]
    : (Date.parse(range.end) - Date.parse(range.start)) / 1000;
}

/** The range of the same length just before. */
export function before(range: Range, now: Date): { start: string; end: string } {
  const length = lengthSeconds(range) * 1000;
  const start = "timeframe" in range ? now.getTime() - length : Date.parse(range.start);
  return { start: rfc3339(new Date(start - length)), end: rfc3339(new Date(start)) };
}

/** RFC 3339 in UTC and whole seconds, as the API writes it. */
export function rfc3339(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, "Z");
}

function moment(value: unknown): Date | undefined {
  const at = new Date(single(value) ?? "");
  return Number.isNaN(at.getTime()) ? undefined : at;
}
