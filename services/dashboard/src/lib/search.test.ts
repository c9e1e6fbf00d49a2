import { expect, test } from "vitest";
import { oneOf, parseSearch, several, single, stringifySearch, toggled } from "./search";

test("parameters come back as they were written, repeated ones as lists", () => {
  const search = { customer: "acme", resource: ["arn:aws:x/1", "ünï&=?#"], tag: "env:prod" };
  expect(parseSearch(stringifySearch(search))).toEqual(search);
  expect(stringifySearch({ a: undefined, b: null, c: true, d: false, e: 3 })).toBe("?c=true&e=3");
  expect(stringifySearch({})).toBe("");
});

test("a number stays text: a customer may be called 123", () => {
  expect(parseSearch("?customer=123")).toEqual({ customer: "123" });
});

test("what the page does not know is dropped", () => {
  expect(single(["a", "b"])).toBe("a");
  expect(single("")).toBeUndefined();
  expect(several("a")).toEqual(["a"]);
  expect(several([3, "", "b"])).toEqual(["b"]);
  expect(several(undefined)).toBeUndefined();
  expect(oneOf("7d", ["24h", "7d"])).toBe("7d");
  expect(oneOf("8d", ["24h", "7d"])).toBeUndefined();
});

test("a second pick takes the first one back", () => {
  expect(toggled(undefined, "a")).toEqual(["a"]);
  expect(toggled(["a"], "b")).toEqual(["a", "b"]);
  expect(toggled(["a", "b"], "a")).toEqual(["b"]);
  expect(toggled(["a"], "a")).toBeUndefined();
});
