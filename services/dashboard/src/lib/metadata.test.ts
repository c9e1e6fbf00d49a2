import { expect, test } from "vitest";
import { described, factsOf, linksOf, sizeOf, tagsOf } from "./metadata";

test.each([
  ["storage_bytes", 2 ** 40, "1 TiB"],
  ["iops", 3000, (3000).toLocaleString()],
  ["encrypted", false, "no"],
  ["zones", ["a", "b"], "a, b"],
  ["zone", "", "—"],
  ["zone", null, "—"],
  ["zone", "us-east-1a", "us-east-1a"],
  ["rules", [{ port: 80 }], '[\n {\n  "port": 80\n }\n]'],
])("%s of %j is %s", (name, value, text) => {
  expect(described(name, value)).toBe(text);
});

test("tags are as the filter takes them", () => {
  expect(tagsOf({ tags: { env: "prod", "aws:stack": "x" } })).toEqual(["env:prod", "aws:stack:x"]);
  expect(tagsOf({})).toEqual([]);
  expect(tagsOf({ tags: null })).toEqual([]);
});

test("a size says what is known of it", () => {
  expect(sizeOf({ vcpus: 4, memory_bytes: 2 ** 34 })).toBe("4 vCPU · 16 GiB");
  expect(sizeOf({ memory_bytes: 2 ** 30 })).toBe("1 GiB");
  expect(sizeOf({})).toBe("");
});

test("links name each resource once, one or several", () => {
  const shared = { attached_to: "i-1", attached_to_all: ["i-1", "i-2"], network: "vpc-1" };
  expect(linksOf(shared).map((link) => link.resourceId)).toEqual(["i-1", "i-2", "vpc-1"]);
  expect(linksOf({ attached_to: "", replica_of: null })).toEqual([]);
});

test("facts are neither tags nor links, and what matters comes first", () => {
  const metadata = { arch: "arm64", vcpus: 2, tags: {}, attached_to: "i-1", zone: "a" };
  expect(factsOf(metadata).map(([name]) => name)).toEqual(["vcpus", "zone", "arch"]);
});
