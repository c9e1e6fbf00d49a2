import { useInfiniteQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Run } from "@/api/types";
import { useSetSearch } from "@/app/scope";
import { Button } from "@/kit/Button";
import { Card } from "@/kit/Card";
import { Segmented } from "@/kit/Segmented";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import { Table } from "@/kit/Table";
import { Time } from "@/kit/Time";
import type { Range } from "@/lib/range";
import { count, dollars, duration, words } from "@/lib/units";
import { runsQuery } from "./queries";
import { RunStatusBadge } from "./RunStatusBadge";
import { type CollectionSearch, KINDS } from "./search";

/** Runs of the time range, newest first. */
export function RunTable({
  customer,
  provider,
  range,
  kind,
}: {
  customer: string;
  provider: string;
  range: Range;
  kind: CollectionSearch["kind"];
}) {
  const setSearch = useSetSearch();
  const { data, error, isPending, refetch, hasNextPage, fetchNextPage, isFetchingNextPage } =
    useInfiniteQuery(runsQuery(customer, provider, range, kind));
  const runs = data?.pages.flatMap((page) => page.data) ?? [];

  return (
    <Card
      title="Runs"
      flush
      aside={
        <Segmented
          label="Kind"
          value={kind ?? "all"}
          options={["all" as const, ...KINDS].map((one) => ({ value: one, label: words(one) }))}
          onChange={(chosen) => {
            setSearch({ kind: chosen === "all" ? undefined : chosen });
          }}
        />
      }
    >
      {error && !data ? (
        <div className="p-4">
          <ProblemPanel error={error} retry={() => void refetch()} />
        </div>
      ) : isPending ? (
        <Loading label="Loading runs" />
      ) : runs.length === 0 ? (
        <Empty title="Nothing was collected in this time">
          Choose a longer time range above, or collect now.
        </Empty>
      ) : (
        <Table
          label="Runs"
          rows={runs}
          rowKey={(run) => run.run_id}
          columns={[
            {
              heading: "Queued",
              cell: (run) => (
                <Link
                  to="."
                  search={(before: object) => ({ ...before, run: run.run_id })}
                  className="rounded text-accent underline underline-offset-2"
                >
                  <Time at={run.queued_at} />
                </Link>
              ),
            },
            { heading: "Account", cell: (run) => `${run.provider}/${run.account_id}` },
            { heading: "Kind", cell: (run) => words(run.kind) },
            { heading: "Status", cell: (run) => <RunStatusBadge status={run.status} /> },
            { heading: "Started by", cell: (run) => run.trigger, wide: true },
            { heading: "Took", cell: (run) => took(run), numeric: true, wide: true },
            { heading: "Rows", cell: (run) => count(run.rows), numeric: true },
            { heading: "Calls", cell: (run) => count(run.api_calls), numeric: true, wide: true },
            {
              heading: "Price",
              cell: (run) => dollars(run.estimated_price_usd),
              numeric: true,
              wide: true,
            },
            {
              heading: "Error",
              cell: (run) => <span className="line-clamp-2 text-bad">{run.error}</span>,
              wide: true,
            },
          ]}
        />
      )}
      {hasNextPage && (
        <div className="flex justify-center p-3">
          <Button disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
            Show older runs
          </Button>
        </div>
      )}
    </Card>
  );
}

function took(run: Run): string {
  if (!run.started_at || !run.finished_at) return "—";
  return duration((Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000);
}
