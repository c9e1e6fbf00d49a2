import { useQuery } from "@tanstack/react-query";
import { X } from "lucide-react";
import type { ScopeOutcome } from "@/api/types";
import { useSetSearch } from "@/app/scope";
import { StatusBadge } from "@/kit/Badge";
import { IconButton } from "@/kit/Button";
import { Card } from "@/kit/Card";
import { Loading, ProblemPanel } from "@/kit/states";
import { Table } from "@/kit/Table";
import { Time } from "@/kit/Time";
import { count, dollars, words } from "@/lib/units";
import { isGoing, runQuery } from "./queries";
import { RunStatusBadge } from "./RunStatusBadge";

/** One run, scope by scope, as far as it has come. */
export function RunPanel({ runId }: { runId: string }) {
  const setSearch = useSetSearch();
  const { data: run, error, isPending, refetch } = useQuery(runQuery(runId));
  const close = (
    <IconButton
      label="Close this run"
      onClick={() => {
        setSearch({ run: undefined });
      }}
    >
      <X className="size-4" />
    </IconButton>
  );

  if (error && !run) {
    return (
      <Card title="Run" aside={close}>
        <ProblemPanel error={error} retry={() => void refetch()} />
      </Card>
    );
  }
  if (isPending) return <Loading label="Loading the run" />;
  return (
    <Card
      flush
      aside={close}
      title={
        <span className="flex flex-wrap items-center gap-2">
          {words(run.kind)} of {run.provider}/{run.account_id}
          <RunStatusBadge status={run.status} />
        </span>
      }
    >
      <p className="px-4 pb-2 text-muted">
        {count(run.rows)} rows with {count(run.api_calls)} calls for{" "}
        {dollars(run.estimated_price_usd)}
        {run.window && (
          <>
            , from <Time at={run.window.start} /> to <Time at={run.window.end} />
          </>
        )}
      </p>
      {run.error && <p className="px-4 pb-2 text-bad">{run.error}</p>}
      {run.scopes.length > 0 ? (
        <Scopes scopes={run.scopes} />
      ) : (
        <p className="px-4 pb-4 text-muted">
          {isGoing(run.status) ? "Waiting for the first scope." : "No scope has an outcome."}
        </p>
      )}
    </Card>
  );
}

function Scopes({ scopes }: { scopes: ScopeOutcome[] }) {
  return (
    <Table
      label="Scopes of the run"
      rows={scopes}
      rowKey={(scope) => `${scope.scope} ${scope.window.start}`}
      columns={[
        { heading: "Scope", cell: (scope) => <code className="text-xs">{scope.scope}</code> },
        { heading: "Status", cell: (scope) => <StatusBadge status={scope.status} /> },
        { heading: "Rows", cell: (scope) => count(scope.rows), numeric: true },
        {
          heading: "Refused values",
          cell: (scope) => tally(scope.dropped),
          wide: true,
        },
        { heading: "Calls", cell: (scope) => tally(scope.api_calls), wide: true },
        {
          heading: "Price",
          cell: (scope) => dollars(scope.estimated_price_usd),
          numeric: true,
          wide: true,
        },
        {
          heading: "Error",
          cell: (scope) => <span className="break-words text-bad">{scope.error}</span>,
        },
      ]}
    />
  );
}

/** Like `3 duplicate, 1 future`. */
function tally(counts: Record<string, number>): string {
  return (
    Object.entries(counts)
      .map(([name, number]) => `${count(number)} ${name.replaceAll("_", " ")}`)
      .join(", ") || "—"
  );
}
