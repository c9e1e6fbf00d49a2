import { expect, test } from "vitest";
import { relativeTime, utcTime } from "./time";

const NOW = new Date("2026-11-20T12:00:00Z");

test.each([
  ["2026-11-20T11:59:30Z", "just now"],
  ["2026-11-20T12:03:00Z", "just now"],
  ["2026-11-20T11:55:00Z", "5 min. ago"],
  ["2026-11-20T09:00:00Z", "3 hr. ago"],
  ["2026-11-18T12:00:00Z", "2 days ago"],
])("%s is %s", (at, text) => {
  expect(relativeTime(new Date(at), NOW)).toBe(text);
});

test("UTC says that it is", () => {
  expect(utcTime(NOW)).toBe("20 Nov 2026, 12:00:00 UTC");
});
