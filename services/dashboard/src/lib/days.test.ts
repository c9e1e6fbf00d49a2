import { expect, test } from "vitest";
import { byDay, dayName } from "./days";

function at(day: number, hour: number): { timestamp: string } {
  return { timestamp: new Date(2026, 9, day, hour).toISOString() };
}

test("rows stand under the day that the viewer has", () => {
  const rows = [at(26, 23), at(26, 0), at(25, 23), at(24, 12)];
  expect(byDay(rows).map((day) => [day.start.getDate(), day.rows.length])).toEqual([
    [26, 2],
    [25, 1],
    [24, 1],
  ]);
  expect(byDay([])).toEqual([]);
});

test("the last two days have names, also over a change of the clocks", () => {
  const now = new Date(2026, 9, 26, 8);
  expect(dayName(new Date(2026, 9, 26), now)).toBe("Today");
  expect(dayName(new Date(2026, 9, 25), now)).toBe("Yesterday");
  expect(dayName(new Date(2026, 9, 24), now)).toContain("2026");
});
