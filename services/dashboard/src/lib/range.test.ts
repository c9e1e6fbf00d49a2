import { expect, test } from "vitest";
import { before, lengthSeconds, rangeOf } from "./range";

test("start and end win over a timeframe, whole seconds of UTC as the API wants them", () => {
  const search = { start: "2026-11-20T10:00:00.500+01:00", end: "2026-11-20T12:00:00Z" };
  expect(rangeOf({ ...search, timeframe: "7d" })).toEqual({
    start: "2026-11-20T09:00:00Z",
    end: "2026-11-20T12:00:00Z",
  });
});

test.each([
  {},
  { timeframe: "1y" },
  { start: "yesterday", end: "today" },
  { start: "2026-11-20T12:00:00Z" },
  { start: "2026-11-20T12:00:00Z", end: "2026-11-20T12:00:00Z" },
])("%o is the default", (search) => {
  expect(rangeOf(search)).toEqual({ timeframe: "24h" });
});

test("the range before ends where this one starts", () => {
  const now = new Date("2026-11-20T12:00:00Z");
  expect(before({ timeframe: "6h" }, now)).toEqual({
    start: "2026-11-20T00:00:00Z",
    end: "2026-11-20T06:00:00Z",
  });
  const own = { start: "2026-11-20T10:00:00Z", end: "2026-11-20T11:00:00Z" };
  expect(before(own, now)).toEqual({ start: "2026-11-20T09:00:00Z", end: own.start });
  expect(lengthSeconds(own)).toBe(3600);
});
