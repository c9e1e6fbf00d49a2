import type { Line } from "./TimeChart";

/** What the colours and the shaded stretches of a chart mean. */
export function Legend({
  lines,
  provisional = false,
  gaps = false,
}: {
  lines: Line[];
  provisional?: boolean;
  gaps?: boolean;
}) {
  return (
    <ul className="mt-2 flex flex-wrap gap-x-4 gap-y-1 text-xs text-muted">
      {lines.map((line) => (
        <li key={line.label} className="flex max-w-56 items-center gap-1.5">
          <svg className="h-2 w-5 shrink-0" aria-hidden>
            <line
              x2="20"
              y1="4"
              y2="4"
              stroke={line.color}
              strokeWidth="2"
              strokeDasharray={line.dash?.join(" ")}
            />
          </svg>
          <span className="truncate">{line.label}</span>
        </li>
      ))}
      {gaps && (
        <li className="flex items-center gap-1.5">
          <span className="h-3 w-5 shrink-0 rounded-sm border border-bad bg-bad-soft" aria-hidden />
          not collected, or not published yet
        </li>
      )}
      {provisional && (
        <li className="flex items-center gap-1.5">
          <span className="h-3 w-5 shrink-0 rounded-sm bg-info-soft" aria-hidden />
          provisional
        </li>
      )}
    </ul>
  );
}
