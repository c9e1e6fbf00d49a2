import type { Account } from "@/api/types";

export interface Bill {
  calls: number;
  throttles: number;
  /** In US dollars, estimated. */
  price: number;
}

/** What accounts asked of their providers, all kinds together. */
export function bill(accounts: Account[]): { thisMonth: Bill; lastMonth: Bill } {
  return { thisMonth: total(accounts, "this_month"), lastMonth: total(accounts, "last_month") };
}

function total(accounts: Account[], month: "this_month" | "last_month"): Bill {
  const sum = { calls: 0, throttles: 0, price: 0 };
  for (const usage of accounts.flatMap((account) => Object.values(account.usage))) {
    sum.calls += usage[month].api_calls;
    sum.throttles += usage[month].throttles;
    sum.price += usage[month].estimated_price_usd;
  }
  return sum;
}
