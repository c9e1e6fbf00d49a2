import { queryOptions, useQueries } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { ArrowDown, ArrowUp } from "lucide-react";
import { api, body } from "@/api/client";
import { ProblemError } from "@/api/problem";
import { ALL_PROVIDERS, useSetSearch } from "@/app/scope";
import { Card } from "@/kit/Card";
import { rangeName } from "@/kit/RangePicker";
import { Select } from "@/kit/Select";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import { Table } from "@/kit/Table";
import { before, type Range } from "@/lib/range";
import { providerName, quantity, words } from "@/lib/units";
import { byChange, moversOf } from "./movers";
import { MOVER_METRICS, type MoverMetric } from "./search";

const SHOWN = 8;
const UNPROCESSABLE = 422;

/** The resources whose average changed most against the same length of time before. */
export function MoverTable({
  customers,
  range,
  metric,
}: {
  customers: string[];
  range: Range;
  metric: MoverMetric;
}) {
  const setSearch = useSetSearch();
  const found = useQueries({
    queries: customers.map((customer) => moversQuery(customer, range, metric)),
  });
  const error = found.find((one) => one.error)?.error;
  const movers = found
    .flatMap(({ data }) => data ?? [])
    .toSorted(byChange)
    .slice(0, SHOWN);

  return (
    <Card
      title="Top movers"
      flush
      aside={
        <Select
          label="Metric of the movers"
          value={metric}
          options={MOVER_METRICS.map((one) => ({ value: one, label: words(one) }))}
          onChange={(chosen) => {
            setSearch({ movers: chosen });
          }}
        />
      }
    >
      {movers.length > 0 ? (
        <Table
          label="Top movers"
          rows={movers}
          rowKey={({ customer, row }) => [customer, row.provider, row.resource_id].join(" ")}
          columns={[
            {
              heading: "Resource",
              cell: ({ customer, row }) => (
                <Link
                  to="/performance"
                  search={(at: object) => ({
                    ...at,
                    customer,
                    provider: row.provider,
                    metric,
                    type: row.metric_type,
                    resource: [row.resource_id],
                  })}
                  className="rounded break-all text-accent underline underline-offset-2"
                >
                  {row.resource_name || row.resource_id}
                </Link>
              ),
            },
            { heading: "Customer", cell: ({ customer }) => customer },
            { heading: "Provider", cell: ({ row }) => providerName(row.provider), wide: true },
            { heading: "Type", cell: ({ row }) => words(row.metric_type), wide: true },
            {
              heading: "Before",
              cell: (mover) => quantity(mover.before, mover.row.unit),
              numeric: true,
            },
            { heading: "Now", cell: ({ row }) => quantity(row.avg, row.unit), numeric: true },
            {
              heading: "Change",
              cell: ({ change, row }) => (
                <span className="inline-flex items-center gap-1 font-medium">
                  {change > 0 ? (
                    <ArrowUp className="size-3.5 text-warn" aria-label="up" />
                  ) : (
                    <ArrowDown className="size-3.5 text-info" aria-label="down" />
                  )}
                  {quantity(Math.abs(change), row.unit)}
                </span>
              ),
              numeric: true,
            },
          ]}
        />
      ) : found.some((one) => one.isPending) ? (
        <Loading label="Comparing with the time before" />
      ) : error && !outOfReach(error) ? (
        <div className="p-4">
          <ProblemPanel error={error} />
        </div>
      ) : (
        <Empty title={`There is no time before the ${rangeName(range).toLowerCase()} to compare`}>
          Choose a shorter time range, or come back when more has been collected.
        </Empty>
      )}
    </Card>
  );
}

/** The range before may begin before what is kept: there is nothing to compare then. */
function outOfReach(error: Error): boolean {
  return error instanceof ProblemError && error.status === UNPROCESSABLE;
}

function moversQuery(customer: string, range: Range, metric: MoverMetric) {
  const ranking = (window: Range, signal: AbortSignal) =>
    body(
      api.GET("/api/v2/performance/{customer_id}/{provider}/by-resource", {
        params: {
          path: { customer_id: customer, provider: ALL_PROVIDERS },
          query: { ...window, metric_name: [metric] },
        },
        signal,
      }),
    );
  return queryOptions({
    queryKey: ["movers", customer, range, metric],
    queryFn: async ({ signal }) => {
      const [now, earlier] = await Promise.all([
        ranking(range, signal),
        ranking(before(range, new Date()), signal),
      ]);
      return moversOf(customer, now.data, earlier.data).slice(0, SHOWN);
    },
  });
}
