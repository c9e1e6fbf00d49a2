/** Rows by the viewer's days. */

export interface Day<Row> {
  /** The day's first moment in the viewer's zone. */
  start: Date;
  rows: Row[];
}

/** The rows by day, in the order that they come in; those of a day stand together already. */
export function byDay<Row extends { timestamp: string }>(rows: Row[]): Day<Row>[] {
  const days: Day<Row>[] = [];
  for (const row of rows) {
    const start = startOfDay(new Date(row.timestamp));
    const last = days.at(-1);
    if (last?.start.getTime() === start.getTime()) last.rows.push(row);
    else days.push({ start, rows: [row] });
  }
  return days;
}

function startOfDay(at: Date): Date {
  return new Date(at.getFullYear(), at.getMonth(), at.getDate());
}

const NAME = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

/** Like `Today`, or the date. */
export function dayName(start: Date, now: Date): string {
  const days = Math.round((startOfDay(now).getTime() - start.getTime()) / 86_400_000);
  if (days === 0) return "Today";
  return days === 1 ? "Yesterday" : NAME.format(start);
}
