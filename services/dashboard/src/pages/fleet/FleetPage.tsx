import { useQueries, useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { accountsQuery, customersQuery, resourceSummaryQuery } from "@/api/queries";
import { everyMinute } from "@/app/queryClient";
import { ALL_PROVIDERS, useScope } from "@/app/scope";
import { PageHeader } from "@/kit/Card";
import { Stat, Stats } from "@/kit/Stat";
import { bytes, count, dollars } from "@/lib/units";
import { bill } from "@/lib/bill";
import { FleetTable } from "./FleetTable";
import { MoverTable } from "./MoverTable";
import type { FleetSearch } from "./search";

/** Totals and movers are asked of so many customers; the table below shows every one. */
const MOST_CUSTOMERS = 20;

/** Every customer at a glance: whose data is late and why, how much there is, what moved. */
export function FleetPage() {
  const { range } = useScope();
  const { movers }: FleetSearch = useSearch({ strict: false });
  const customers = useQuery(customersQuery).data?.data ?? [];
  const first = customers.slice(0, MOST_CUSTOMERS);

  return (
    <>
      <PageHeader title="Fleet" hint="Whose data is late and why, how much there is, what moved" />
      <Totals customers={first.map((one) => one.customer_id)} all={customers.length} />
      <div className="flex flex-col gap-4">
        <FleetTable customers={customers} range={range} />
        <MoverTable
          customers={first.map((one) => one.customer_id)}
          range={range}
          metric={movers ?? "cpu_utilization"}
        />
      </div>
    </>
  );
}

function Totals({ customers, all }: { customers: string[]; all: number }) {
  const resources = useQueries({
    queries: customers.map((customer) => ({
      ...resourceSummaryQuery(customer, ALL_PROVIDERS),
      refetchInterval: everyMinute,
    })),
  }).flatMap(({ data }) => (data ? [data] : []));
  const accounts = useQueries({ queries: customers.map(accountsQuery) }).flatMap(
    ({ data }) => data?.data ?? [],
  );
  const { thisMonth, lastMonth } = bill(accounts);
  const sum = (of: (one: (typeof resources)[number]) => number | null) =>
    resources.reduce((total, one) => total + (of(one) ?? 0), 0);
  const part = all > customers.length ? `of the first ${customers.length} customers` : undefined;

  return (
    <Stats>
      <Stat label="Customers" value={count(all)} hint={`${count(accounts.length)} accounts`} />
      <Stat
        label="Resources"
        value={count(sum((one) => one.resources))}
        hint={part ?? `${count(sum((one) => one.totals.vcpus))} vCPUs`}
      />
      <Stat
        label="Storage"
        value={bytes(sum((one) => one.totals.storage_bytes))}
        hint={part ?? `${bytes(sum((one) => one.totals.memory_bytes))} memory`}
      />
      <Stat
        label="API price this month"
        value={dollars(thisMonth.price)}
        hint={part ?? `${dollars(lastMonth.price)} last month`}
      />
    </Stats>
  );
}
