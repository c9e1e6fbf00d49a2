/** Moments as the viewer reads them. The API speaks UTC; the page shows the viewer's zone. */

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const UTC = new Intl.DateTimeFormat("en-GB", {
  dateStyle: "medium",
  timeStyle: "medium",
  timeZone: "UTC",
});
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

export function localTime(at: Date): string {
  return LOCAL.format(at);
}

export function utcTime(at: Date): string {
  return `${UTC.format(at)} UTC`;
}

/** Like `5 min. ago`; what clocks that differ put into the future is now. */
export function relativeTime(at: Date, now: Date): string {
  const seconds = Math.min((at.getTime() - now.getTime()) / 1000, 0);
  for (const [unit, length] of STEPS) {
    if (-seconds >= length) return RELATIVE.format(Math.round(seconds / length), unit);
  }
  return "just now";
}
