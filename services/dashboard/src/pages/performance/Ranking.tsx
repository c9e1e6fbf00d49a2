import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { ResourceStatistics } from "@/api/types";
import { useSetSearch } from "@/app/scope";
import { Button } from "@/kit/Button";
import { Card } from "@/kit/Card";
import { SearchField } from "@/kit/SearchField";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import { Table } from "@/kit/Table";
import { Time } from "@/kit/Time";
import { count, providerName, quantity } from "@/lib/units";
import { rankingQuery, type Selection } from "./queries";
import type { Statistic } from "./search";

/** What can be told apart in one chart. */
const MOST_LINES = 20;
const SHOWN = 100;

/** The resources that have the metric, the highest first; whichever are ticked are drawn. */
export function Ranking({
  selection,
  unit,
  statistic,
}: {
  selection: Selection;
  unit: string;
  statistic: Statistic;
}) {
  const { resources } = selection;
  const { data, error, isPending, refetch } = useQuery(rankingQuery(selection, statistic));
  const [text, setText] = useState("");
  const setSearch = useSetSearch();

  function draw(ids: string[]) {
    setSearch({ resource: ids.slice(0, MOST_LINES) });
  }

  if (error && !data) return <ProblemPanel error={error} retry={() => void refetch()} />;
  if (isPending) return <Loading label="Loading resources" />;

  const rows = data.data.filter((row) => matches(row, text.toLowerCase())).slice(0, SHOWN);
  return (
    <Card
      title={`${count(data.total)} ${data.total === 1 ? "resource" : "resources"}`}
      flush
      aside={
        <>
          <SearchField label="Find a resource" value={text} onChange={setText} />
          <Button
            onClick={() => {
              draw(rows.slice(0, 5).map((row) => row.resource_id));
            }}
          >
            Compare top 5
          </Button>
          {resources.length > 0 && (
            <Button
              onClick={() => {
                draw([]);
              }}
            >
              All together
            </Button>
          )}
        </>
      }
    >
      {rows.length === 0 ? (
        <Empty title="No resource is called so">Try a part of its name or id.</Empty>
      ) : (
        <Table
          label="Resources by this metric"
          rows={rows}
          rowKey={(row) => row.resource_id}
          columns={[
            {
              heading: "Resource",
              cell: (row) => (
                <label className="flex items-start gap-2.5">
                  <input
                    type="checkbox"
                    className="mt-0.5 size-4 accent-accent"
                    checked={resources.includes(row.resource_id)}
                    disabled={
                      resources.length >= MOST_LINES && !resources.includes(row.resource_id)
                    }
                    onChange={(event) => {
                      const others = resources.filter((id) => id !== row.resource_id);
                      draw(event.target.checked ? [...others, row.resource_id] : others);
                    }}
                  />
                  <span className="break-all">{row.resource_name || row.resource_id}</span>
                </label>
              ),
            },
            { heading: "Provider", cell: (row) => providerName(row.provider), wide: true },
            { heading: "Average", cell: (row) => quantity(row.avg, unit), numeric: true },
            { heading: "p95", cell: (row) => quantity(row.p95, unit), numeric: true },
            { heading: "Maximum", cell: (row) => quantity(row.max, unit), numeric: true },
            {
              heading: "Last",
              cell: (row) => quantity(row.last_value, unit),
              numeric: true,
              wide: true,
            },
            {
              heading: "At",
              cell: (row) => <Time at={row.last_at} relative />,
              numeric: true,
              wide: true,
            },
          ]}
        />
      )}
      {data.total > rows.length && rows.length === SHOWN && (
        <p className="px-4 py-2 text-muted">
          The first {SHOWN} are shown; find others by their name.
        </p>
      )}
    </Card>
  );
}

function matches(row: ResourceStatistics, text: string): boolean {
  return `${row.resource_name} ${row.resource_id}`.toLowerCase().includes(text);
}
