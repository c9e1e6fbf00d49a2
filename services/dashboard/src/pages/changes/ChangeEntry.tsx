import { Link } from "@tanstack/react-router";
import type { ResourceChange } from "@/api/types";
import { STATUS_TONES, StatusBadge, type Tone } from "@/kit/Badge";
import { Time } from "@/kit/Time";
import { localTime } from "@/lib/time";
import { providerName, words } from "@/lib/units";
import { Differences } from "./Differences";

const DOTS: Record<Tone, string> = {
  good: "bg-good",
  warn: "bg-warn",
  bad: "bg-bad",
  info: "bg-info",
  neutral: "bg-muted",
};

/** One change on a line of time. `ofResource` leaves out whose it is, where all are of one. */
export function ChangeEntry({
  change,
  ofResource = false,
}: {
  change: ResourceChange;
  ofResource?: boolean;
}) {
  return (
    <li className="relative border-l border-line pb-4 pl-5 last:pb-1">
      <span
        aria-hidden
        className={`absolute top-1.5 -left-[5px] size-2.5 rounded-full ring-4 ring-surface ${DOTS[STATUS_TONES[change.change] ?? "neutral"]}`}
      />
      <div className="flex flex-wrap items-center gap-x-2 gap-y-1">
        <StatusBadge status={change.change} />
        {!ofResource && (
          <>
            <Link
              to="/resources/$resourceId"
              params={{ resourceId: change.resource_id }}
              search={{}}
              className="min-w-0 truncate font-medium text-accent hover:underline"
            >
              {change.resource_name || change.resource_id}
            </Link>
            <span className="text-xs text-muted">
              {words(change.resource_type)} · {providerName(change.provider)} · {change.account_id}
            </span>
          </>
        )}
        <span className="ml-auto text-xs text-muted">
          <When change={change} />
        </span>
      </div>
      <Differences change={change} />
    </li>
  );
}

/** Listings see a change some time after it happened; hovering tells between which two. */
function When({ change: { since, timestamp } }: { change: ResourceChange }) {
  return (
    <span
      title={
        since ? `Between ${localTime(new Date(since))} and ${localTime(new Date(timestamp))}` : ""
      }
    >
      <Time at={timestamp} />
    </span>
  );
}
