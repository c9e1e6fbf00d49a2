import { expect, test } from "vitest";
import type { Account } from "@/api/types";
import { bill } from "./bill";

function month(api_calls: number, estimated_price_usd: number) {
  return { month: "2026-11", api_calls, throttles: 1, estimated_price_usd };
}

test("a bill is the sum of every kind of every account", () => {
  const accounts = [
    { usage: { performance: { this_month: month(3, 0.5), last_month: month(1, 0.25) } } },
    { usage: { resources: { this_month: month(4, 0.25), last_month: month(0, 0) } } },
  ] as unknown as Account[];
  expect(bill(accounts)).toEqual({
    thisMonth: { calls: 7, throttles: 2, price: 0.75 },
    lastMonth: { calls: 1, throttles: 2, price: 0.25 },
  });
});
