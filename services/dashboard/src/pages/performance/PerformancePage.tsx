import { useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { performanceSummaryQuery } from "@/api/queries";
import type { Summary } from "@/api/types";
import { everyMinute } from "@/app/queryClient";
import { useScope, useSetSearch } from "@/app/scope";
import { PageHeader } from "@/kit/Card";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import { groupBy } from "@/lib/groups";
import { share, words } from "@/lib/units";
import { MetricPanel } from "./MetricPanel";
import type { Selection } from "./queries";
import { Ranking } from "./Ranking";
import type { PerformanceSearch } from "./search";

type Metric = Summary["data"][number];

/** How one metric went, of some resources or of all, with what is missing and why. */
export function PerformancePage() {
  const { customer, provider, range } = useScope();
  const search: PerformanceSearch = useSearch({ strict: false });
  const summary = useQuery({
    ...performanceSummaryQuery(customer, provider, range),
    refetchInterval: everyMinute,
  });
  const metric = summary.data && chosen(summary.data.data, search);
  const selection = useMemo<Selection | null>(
    () =>
      metric
        ? {
            ...{ customer, provider, range },
            metric: metric.metric_name,
            type: metric.metric_type,
            resources: search.resource ?? [],
          }
        : null,
    [customer, provider, range, metric, search.resource],
  );
  const statistic = search.statistic ?? "avg";

  return (
    <>
      <PageHeader title="Performance" hint={summary.data && <Extent summary={summary.data} />}>
        {summary.data && metric && <MetricPicker metrics={summary.data.data} metric={metric} />}
      </PageHeader>
      {summary.error && !summary.data ? (
        <ProblemPanel error={summary.error} retry={() => void summary.refetch()} />
      ) : summary.isPending ? (
        <Loading label="Loading metrics" />
      ) : selection && metric ? (
        <div className="flex flex-col gap-4">
          <MetricPanel selection={selection} unit={metric.unit} statistic={statistic} />
          <Ranking selection={selection} unit={metric.unit} statistic={statistic} />
        </div>
      ) : (
        <Empty title="Nothing was measured in this time">
          Choose a longer time range above, or start a collection on the Collection page, which also
          says why scopes fail.
        </Empty>
      )}
    </>
  );
}

function Extent({ summary }: { summary: Summary }) {
  const { ratio, gaps } = summary.coverage;
  return (
    <>
      {share(ratio)} of the time is collected
      {gaps > 0 && `, with ${gaps} ${gaps === 1 ? "gap" : "gaps"} in all metrics`}
    </>
  );
}

function MetricPicker({ metrics, metric }: { metrics: Metric[]; metric: Metric }) {
  const setSearch = useSetSearch();
  const groups = groupBy(metrics, (one) => one.metric_type);
  return (
    <label className="flex items-center gap-2">
      <span className="text-muted">Metric</span>
      <select
        value={`${metric.metric_type}/${metric.metric_name}`}
        onChange={(event) => {
          const [type, name] = event.target.value.split("/");
          // Resources of another type do not have it.
          const kept = type === metric.metric_type ? {} : { resource: undefined };
          setSearch({ metric: name, type, ...kept });
        }}
        className="max-w-72 rounded-md border border-line-strong bg-surface px-2.5 py-1.5"
      >
        {[...groups].map(([type, ofType]) => (
          <optgroup key={type} label={words(type)}>
            {ofType.map((one) => (
              <option key={one.metric_name} value={`${type}/${one.metric_name}`}>
                {words(one.metric_name)} ({one.resources})
              </option>
            ))}
          </optgroup>
        ))}
      </select>
    </label>
  );
}

/** The metric that the URL names, or else the one that most people look at first. */
function chosen(metrics: Metric[], { metric, type }: PerformanceSearch): Metric | undefined {
  return (
    metrics.find(
      (one) => one.metric_name === metric && one.metric_type === (type ?? one.metric_type),
    ) ??
    metrics.find((one) => one.metric_name === "cpu_utilization") ??
    metrics[0]
  );
}
