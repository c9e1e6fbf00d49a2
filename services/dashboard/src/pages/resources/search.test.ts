import { expect, test } from "vitest";
import { resourcesSearch } from "./search";

test("what is gone is not asked for beside a moment", () => {
  expect(resourcesSearch({ include_deleted: "true" }).include_deleted).toBe("true");
  const then = { as_of: "2026-11-01T00:00:00Z", include_deleted: "true" };
  expect(resourcesSearch(then).include_deleted).toBeUndefined();
});

test("one value and several are lists alike", () => {
  expect(resourcesSearch({ status: "running", tag: ["a:b", "c:d"] })).toMatchObject({
    status: ["running"],
    tag: ["a:b", "c:d"],
  });
});
