import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Download } from "lucide-react";
import { useCallback, useMemo, useRef } from "react";
import { everyMinute } from "@/app/queryClient";
import { rangeSearch, useSetSearch } from "@/app/scope";
import { useTheme } from "@/app/theme";
import { IconButton } from "@/kit/Button";
import { Card } from "@/kit/Card";
import { lineColor } from "@/kit/chart/colors";
import { savePng } from "@/kit/chart/png";
import { TimeChart } from "@/kit/chart/TimeChart";
import { CsvButton } from "@/kit/download";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import type { ResourceChange, TrendBucket } from "@/api/types";
import { groupBy } from "@/lib/groups";
import { type Range, rfc3339 } from "@/lib/range";
import { stringifySearch } from "@/lib/search";
import { align, bucketStarts, type Interval } from "@/lib/series";
import { words } from "@/lib/units";
import { type Owner, resourceTrendsQuery } from "./queries";

const HEIGHT = 150;

/** Every metric of a resource over one span of time, with its changes as marks. */
export function MetricCharts({
  owner,
  resourceId,
  range,
  changes,
}: {
  owner: Owner;
  resourceId: string;
  range: Range;
  changes: ResourceChange[];
}) {
  const trends = useQuery({
    ...resourceTrendsQuery(owner, resourceId, range),
    refetchInterval: everyMinute,
  });
  const { data } = trends;
  const times = useMemo(
    () => data && bucketStarts(data.start, data.end, data.interval as Interval),
    [data],
  );
  const metrics = useMemo(() => [...groupBy(data?.data ?? [], (row) => row.metric_name)], [data]);
  const marks = useMemo(
    () =>
      changes.map((change) => ({
        time: Date.parse(change.timestamp) / 1000,
        text: words(change.change),
      })),
    [changes],
  );
  const parameters = { ...range, resource_id: resourceId, group_by: "resource" };

  return (
    <Card
      title="Metrics"
      aside={
        <CsvButton
          url={`/api/v2/performance/${encodeURIComponent(owner.customer)}/${encodeURIComponent(owner.provider)}/trends${stringifySearch(parameters)}`}
          name={`${owner.customer}-metrics`}
        />
      }
    >
      {trends.error && !trends.data ? (
        <ProblemPanel error={trends.error} retry={() => void trends.refetch()} />
      ) : !times ? (
        <Loading label="Loading metrics" />
      ) : metrics.length === 0 ? (
        <Empty title="No metrics in this time">
          Choose a longer time above. What is stopped or has no agent gives none;{" "}
          <Link to="/performance" search={{}} className="text-accent underline">
            Performance
          </Link>{" "}
          says what is missing and why.
        </Empty>
      ) : (
        <div
          className={`grid gap-x-6 gap-y-5 md:grid-cols-2 2xl:grid-cols-3 ${trends.isPlaceholderData ? "opacity-60" : ""}`}
        >
          {metrics.map(([metric, rows]) => (
            <SmallChart
              key={metric}
              metric={metric}
              rows={rows}
              times={times}
              marks={marks}
              resourceId={resourceId}
            />
          ))}
        </div>
      )}
    </Card>
  );
}

function SmallChart({
  metric,
  rows,
  times,
  marks,
  resourceId,
}: {
  metric: string;
  rows: TrendBucket[];
  times: number[];
  marks: { time: number; text: string }[];
  resourceId: string;
}) {
  const theme = useTheme();
  const setSearch = useSetSearch();
  const canvas = useRef<HTMLCanvasElement>(null);
  const lines = useMemo(() => {
    const color = lineColor(theme, 0);
    return [
      { label: "average", color, width: 2, values: align(rows, times, (row) => row.avg) },
      {
        ...{ label: "maximum", color, width: 1, dash: [2, 3] },
        values: align(rows, times, (row) => row.max),
      },
    ];
  }, [rows, times, theme]);
  const keepCanvas = useCallback((drawn: HTMLCanvasElement) => {
    canvas.current = drawn;
  }, []);
  const title = words(metric);

  return (
    <figure className="min-w-0">
      <figcaption className="flex items-center gap-1">
        <Link
          to="/performance"
          search={{ metric, type: rows[0]?.metric_type, resource: [resourceId] }}
          className="truncate font-medium hover:text-accent hover:underline"
        >
          {title}
        </Link>
        <IconButton
          label={`Save ${title} as a picture`}
          className="ml-auto size-7!"
          onClick={() => {
            if (canvas.current) savePng(canvas.current, metric, title, lines);
          }}
        >
          <Download className="size-3.5" />
        </IconButton>
      </figcaption>
      <TimeChart
        label={`${title} over time; its link leads to the numbers`}
        times={times}
        lines={lines}
        bands={BANDS}
        marks={marks}
        unit={rows[0]?.unit ?? ""}
        height={HEIGHT}
        onDraw={keepCanvas}
        onZoom={(from, to) => {
          setSearch(rangeSearch({ start: rfc3339(from), end: rfc3339(to) }));
        }}
      />
    </figure>
  );
}

const BANDS = [{ upper: 1, lower: 0, opacity: 0.15 }];
