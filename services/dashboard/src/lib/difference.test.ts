import { expect, test } from "vitest";
import { differences } from "./difference";

test("only what differs is told, tag by tag", () => {
  const before = { instance_type: "m5.large", tags: { env: "prod", team: "a" } };
  const after = { instance_type: "m5.xlarge", tags: { env: "prod", owner: "b" } };
  expect(differences(before, after)).toEqual([
    { path: "instance_type", before: "m5.large", after: "m5.xlarge" },
    { path: "tags.owner", before: undefined, after: "b" },
    { path: "tags.team", before: "a", after: undefined },
  ]);
});

test("a whole state tells its metadata like a change does", () => {
  const state = { status: "running", metadata: { vcpus: 2, zone: null, zones: ["a"] } };
  expect(differences(null, state)).toEqual([
    { path: "status", before: undefined, after: "running" },
    { path: "vcpus", before: undefined, after: 2 },
    { path: "zones", before: undefined, after: ["a"] },
  ]);
  expect(differences(state, null).map(({ before, after }) => [before, after])).toEqual([
    ["running", undefined],
    [2, undefined],
    [["a"], undefined],
  ]);
});

test("what is the same on both sides is no difference", () => {
  expect(differences({ zones: ["a", "b"] }, { zones: ["a", "b"] })).toEqual([]);
  expect(differences(null, null)).toEqual([]);
});
