import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { accountsQuery } from "@/api/queries";
import { everyMinute } from "@/app/queryClient";
import { useScope } from "@/app/scope";
import { PageHeader } from "@/kit/Card";
import { Stat, Stats } from "@/kit/Stat";
import { Loading, ProblemPanel } from "@/kit/states";
import { count, dollars } from "@/lib/units";
import { AccountTable } from "./AccountTable";
import { bill } from "@/lib/bill";
import { CollectNow } from "./CollectNow";
import { RunPanel } from "./RunPanel";
import { RunTable } from "./RunTable";
import type { CollectionSearch } from "./search";

/** What was asked of the providers, what came of it and what it costs; and: ask now. */
export function CollectionPage() {
  const { customer, provider, range } = useScope();
  const { run, kind }: CollectionSearch = useSearch({ strict: false });
  const { data, error, isPending, refetch } = useQuery({
    ...accountsQuery(customer),
    refetchInterval: everyMinute,
  });
  const accounts = data?.data.filter((one) => provider === "all" || one.provider === provider);

  return (
    <>
      <PageHeader title="Collection" hint="What was asked of the providers, and what came of it" />
      {error && !data ? (
        <ProblemPanel error={error} retry={() => void refetch()} />
      ) : isPending || !accounts ? (
        <Loading label="Loading accounts" />
      ) : (
        <>
          <Bills accounts={accounts} />
          <div className="flex flex-col gap-4">
            <CollectNow
              key={customer}
              customer={customer}
              provider={provider}
              accounts={accounts}
            />
            {run && <RunPanel runId={run} />}
            <AccountTable accounts={accounts} />
          </div>
        </>
      )}
      <div className="mt-4">
        <RunTable customer={customer} provider={provider} range={range} kind={kind} />
      </div>
    </>
  );
}

function Bills({ accounts }: { accounts: Parameters<typeof bill>[0] }) {
  const { thisMonth, lastMonth } = bill(accounts);
  return (
    <Stats>
      <Stat label="Accounts" value={count(accounts.length)} />
      <Stat
        label="API calls this month"
        value={count(thisMonth.calls)}
        hint={`${count(lastMonth.calls)} last month`}
      />
      <Stat
        label="Their price, estimated"
        value={dollars(thisMonth.price)}
        hint={`${dollars(lastMonth.price)} last month`}
      />
      <Stat
        label="Throttled this month"
        value={count(thisMonth.throttles)}
        hint="answers that asked to slow down"
      />
    </Stats>
  );
}
