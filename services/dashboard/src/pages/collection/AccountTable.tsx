import { Link } from "@tanstack/react-router";
import type { Account, Run } from "@/api/types";
import { Card } from "@/kit/Card";
import { Empty } from "@/kit/states";
import { Table } from "@/kit/Table";
import { Time } from "@/kit/Time";
import { count, dollars, providerName } from "@/lib/units";
import { bill } from "@/lib/bill";
import { RunStatusBadge } from "./RunStatusBadge";

/** The configured accounts, and how each kind went last. */
export function AccountTable({ accounts }: { accounts: Account[] }) {
  return (
    <Card title="Accounts" flush>
      {accounts.length === 0 ? (
        <Empty title="No account of this provider is configured">
          Its data stays readable. To collect it again, add the account to{" "}
          <code>accounts.yaml</code>.
        </Empty>
      ) : (
        <Table
          label="Accounts"
          rows={accounts}
          rowKey={(account) => `${account.provider}/${account.account_id}`}
          columns={[
            { heading: "Account", cell: (account) => account.account_id },
            { heading: "Provider", cell: (account) => providerName(account.provider) },
            {
              heading: "Performance",
              cell: (account) => <LastRun run={account.last_runs.performance} />,
            },
            {
              heading: "Resources",
              cell: (account) => <LastRun run={account.last_runs.resources} />,
            },
            {
              heading: "Calls this month",
              cell: (account) => count(bill([account]).thisMonth.calls),
              numeric: true,
              wide: true,
            },
            {
              heading: "Price",
              cell: (account) => dollars(bill([account]).thisMonth.price),
              numeric: true,
            },
          ]}
        />
      )}
    </Card>
  );
}

function LastRun({ run }: { run: Run | undefined }) {
  if (!run) return <span className="text-muted">never finished</span>;
  return (
    <div className="flex flex-wrap items-center gap-x-2 gap-y-1">
      <Link
        to="."
        search={(before: object) => ({ ...before, run: run.run_id })}
        className="rounded underline-offset-2 hover:underline"
      >
        <RunStatusBadge status={run.status} />
      </Link>
      <span className="text-muted">
        <Time at={run.finished_at} relative />
      </span>
    </div>
  );
}
