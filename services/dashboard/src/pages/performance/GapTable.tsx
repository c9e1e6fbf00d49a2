import { StatusBadge } from "@/kit/Badge";
import { Table } from "@/kit/Table";
import { Time } from "@/kit/Time";
import type { ScopeGap } from "@/lib/gaps";
import { words } from "@/lib/units";

const SHOWN = 200;

/** What is missing of what the chart shows, and why. */
export function GapTable({
  gaps,
  metric,
  resources,
}: {
  gaps: ScopeGap[];
  metric: string;
  resources: string[];
}) {
  const concerned = gaps.filter(
    (gap) =>
      (gap.metric_name === null || gap.metric_name === metric) &&
      (gap.resource_id === null || resources.length === 0 || resources.includes(gap.resource_id)),
  );
  if (concerned.length === 0) return null;
  return (
    <details className="mt-3 border-t border-line pt-3">
      <summary className="rounded font-medium">
        {concerned.length} {concerned.length === 1 ? "gap" : "gaps"} and why
      </summary>
      <Table
        label="Gaps"
        rows={concerned.slice(0, SHOWN)}
        rowKey={(gap) => [gap.scope, gap.start, gap.resource_id, gap.metric_name].join(" ")}
        columns={[
          { heading: "Why", cell: (gap) => <StatusBadge status={gap.reason} /> },
          { heading: "From", cell: (gap) => <Time at={gap.start} /> },
          { heading: "To", cell: (gap) => <Time at={gap.end} /> },
          {
            heading: "What",
            cell: (gap) => (
              <>
                <code className="text-xs">{gap.scope}</code>
                {gap.resource_id && (
                  <>
                    {" "}
                    <code className="text-xs break-all">{gap.resource_id}</code>
                  </>
                )}
                {gap.metric_name && ` ${words(gap.metric_name)}`}
              </>
            ),
          },
          { heading: "Detail", cell: (gap) => gap.detail ?? "—" },
        ]}
      />
    </details>
  );
}
