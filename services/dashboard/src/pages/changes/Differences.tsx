import type { ResourceChange } from "@/api/types";
import { Time } from "@/kit/Time";
import { type Difference, differences } from "@/lib/difference";
import { described } from "@/lib/metadata";
import { words } from "@/lib/units";

const SHORT = 4;

/** What was and what is, field by field; of a whole state the first few, the rest on demand. */
export function Differences({ change }: { change: ResourceChange }) {
  const all = differences(change.before, change.after);
  const whole = change.change === "created" || change.change === "deleted";
  if (whole) {
    return (
      <details className="group">
        <summary className="w-fit rounded text-xs text-accent hover:underline">
          {change.change === "created" ? "Its first state" : "Its last state"} ({all.length} fields)
        </summary>
        <Fields all={all} />
      </details>
    );
  }
  return (
    <>
      <Fields all={all.slice(0, SHORT)} />
      {all.length > SHORT && (
        <details>
          <summary className="mt-1 w-fit rounded text-xs text-accent hover:underline">
            {all.length - SHORT} more
          </summary>
          <Fields all={all.slice(SHORT)} />
        </details>
      )}
    </>
  );
}

function Fields({ all }: { all: Difference[] }) {
  return (
    <dl className="mt-1.5 grid gap-x-3 gap-y-1 text-xs sm:grid-cols-[minmax(7rem,11rem)_1fr]">
      {all.map(({ path, before, after }) => (
        <div key={path} className="contents">
          <dt className="truncate pt-0.5 text-muted" title={path}>
            {words(path.replaceAll(".", ": "))}
          </dt>
          <dd className="flex min-w-0 flex-wrap items-baseline gap-1.5 max-sm:mb-1">
            {before !== undefined && (
              <del className="max-w-full rounded bg-bad-soft px-1.5 py-0.5 break-words text-bad decoration-bad/60">
                <Value path={path} value={before} />
              </del>
            )}
            {before !== undefined && after !== undefined && (
              <span className="text-muted" aria-label="became">
                →
              </span>
            )}
            {after !== undefined && (
              <ins className="max-w-full rounded bg-good-soft px-1.5 py-0.5 break-words text-good no-underline">
                <Value path={path} value={after} />
              </ins>
            )}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ path, value }: { path: string; value: unknown }) {
  if (path.endsWith("_at") && typeof value === "string") return <Time at={value} />;
  return <>{path === "status" ? words(String(value)) : described(path, value)}</>;
}
