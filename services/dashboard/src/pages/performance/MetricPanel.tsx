import { useQuery } from "@tanstack/react-query";
import { Download, ZoomOut } from "lucide-react";
import { useCallback, useMemo, useRef } from "react";
import { coverageQuery } from "@/api/queries";
import { everyMinute } from "@/app/queryClient";
import { rangeSearch, useSetSearch } from "@/app/scope";
import { useTheme } from "@/app/theme";
import { StatusBadge } from "@/kit/Badge";
import { Button } from "@/kit/Button";
import { Card } from "@/kit/Card";
import { savePng } from "@/kit/chart/png";
import { Legend } from "@/kit/chart/Legend";
import { TimeChart } from "@/kit/chart/TimeChart";
import { CsvButton } from "@/kit/download";
import { Segmented } from "@/kit/Segmented";
import { Loading, ProblemPanel } from "@/kit/states";
import { explain, gapsOf } from "@/lib/gaps";
import { DEFAULT_TIMEFRAME, rfc3339 } from "@/lib/range";
import { stringifySearch } from "@/lib/search";
import { words } from "@/lib/units";
import { GapTable } from "./GapTable";
import { drawingOf, shadesOf } from "./lines";
import { provisionalQuery, type Selection, trendParameters, trendsQuery } from "./queries";
import { type Statistic, STATISTICS } from "./search";

/** The chart of one metric, and below it what it lacks. */
export function MetricPanel({
  selection,
  unit,
  statistic,
}: {
  selection: Selection;
  unit: string;
  statistic: Statistic;
}) {
  const { customer, provider, range, metric, resources } = selection;
  const theme = useTheme();
  const setSearch = useSetSearch();
  const canvas = useRef<HTMLCanvasElement>(null);
  const trends = useQuery({ ...trendsQuery(selection), refetchInterval: everyMinute });
  const coverage = useQuery(coverageQuery(customer, provider, range));
  const provisional = useQuery(provisionalQuery(selection));

  const drawing = useMemo(
    () => trends.data && drawingOf(trends.data, range, metric, resources, statistic, theme),
    [trends.data, range, metric, resources, statistic, theme],
  );
  const gaps = useMemo(() => gapsOf(coverage.data?.data ?? []), [coverage.data]);
  const end = drawing ? (drawing.times.at(-1) ?? 0) + drawing.step : 0;
  const provisionalFrom = provisional.data ?? null;
  const shades = useMemo(() => shadesOf(gaps, provisionalFrom, end), [gaps, provisionalFrom, end]);
  const keepCanvas = useCallback((drawn: HTMLCanvasElement) => {
    canvas.current = drawn;
  }, []);

  const title = words(metric);
  const name = `${customer}-${metric}`;
  const several = resources.length > 1;

  return (
    <Card
      title={`${title}, ${subjectName(resources)}`}
      aside={
        <>
          {several && (
            <Segmented
              label="Statistic"
              value={statistic}
              options={STATISTICS.map((one) => ({ value: one, label: one }))}
              onChange={(chosen) => {
                setSearch({ statistic: chosen });
              }}
            />
          )}
          {!("timeframe" in range) && (
            <Button
              onClick={() => {
                setSearch(rangeSearch({ timeframe: DEFAULT_TIMEFRAME }));
              }}
            >
              <ZoomOut className="size-4" aria-hidden /> Last 24 hours
            </Button>
          )}
          <CsvButton
            url={`/api/v2/performance/${encodeURIComponent(customer)}/${provider}/trends${stringifySearch(trendParameters(selection))}`}
            name={name}
          />
          <Button
            disabled={!drawing}
            title="Save the chart as a picture"
            onClick={() => {
              if (canvas.current) savePng(canvas.current, name, title, drawing?.lines ?? []);
            }}
          >
            <Download className="size-4" aria-hidden /> PNG
          </Button>
        </>
      }
    >
      {trends.error && !trends.data ? (
        <ProblemPanel error={trends.error} retry={() => void trends.refetch()} />
      ) : !drawing ? (
        <Loading label="Loading the chart" />
      ) : (
        <>
          <div className={trends.isPlaceholderData ? "opacity-60" : ""}>
            <TimeChart
              label={`${title} of ${subjectName(resources)} over time. The table below has its numbers.`}
              times={drawing.times}
              lines={drawing.lines}
              bands={drawing.bands}
              shades={shades}
              unit={unit}
              onDraw={keepCanvas}
              onZoom={(from, to) => {
                setSearch(rangeSearch({ start: rfc3339(from), end: rfc3339(to) }));
              }}
              missing={(line, index) => {
                const subject = drawing.subjects[line];
                const from = drawing.times[index] ?? 0;
                const [reason] = subject ? explain(gaps, subject, from, from + drawing.step) : [];
                return reason ? <StatusBadge status={reason.reason} /> : "no point";
              }}
              note={(index) => {
                const from = drawing.times[index] ?? 0;
                const [gap] = drawing.subjects.flatMap((subject, line) =>
                  drawing.lines[line]?.values[index] === null
                    ? explain(gaps, subject, from, from + drawing.step)
                    : [],
                );
                const open = provisionalFrom !== null && from + drawing.step > provisionalFrom;
                return (
                  <>
                    {gap && (
                      <p className="text-muted">
                        {gap.scope}
                        {gap.detail && `: ${gap.detail}`}
                      </p>
                    )}
                    {open && <p className="text-info">Provisional: the provider may change it.</p>}
                  </>
                );
              }}
            />
          </div>
          <Legend
            lines={drawing.lines}
            provisional={provisionalFrom !== null}
            gaps={shades.some((shade) => shade.hatched)}
          />
          {trends.data?.whole === false && (
            <p className="mt-2 text-warn">
              There are more buckets than a chart can show; choose fewer resources or a shorter
              time.
            </p>
          )}
        </>
      )}
      <GapTable gaps={gaps} metric={metric} resources={resources} />
    </Card>
  );
}

function subjectName(resources: string[]): string {
  if (resources.length === 0) return "all resources together";
  return resources.length === 1 ? "one resource" : `${resources.length} resources`;
}
