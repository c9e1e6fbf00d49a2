import { useState } from "react";
import { count as counted } from "@/lib/units";

const SHORT = 7;

/** The values that a filter can have, with how much each would leave; several may be on. */
export function Facet({
  title,
  counts,
  chosen,
  name,
  onToggle,
}: {
  title: string;
  counts: Record<string, number>;
  chosen: string[];
  /** A value in words. */
  name: (value: string) => string;
  onToggle: (value: string) => void;
}) {
  const [whole, setWhole] = useState(false);
  const absent = chosen.filter((value) => !(value in counts));
  const values = [...Object.keys(counts), ...absent].toSorted(
    (a, b) => (counts[b] ?? 0) - (counts[a] ?? 0) || a.localeCompare(b),
  );
  // What is on is always in sight.
  const shown = whole
    ? values
    : values.filter((value, index) => index < SHORT || chosen.includes(value));
  if (values.length === 0) return null;
  return (
    <fieldset className="min-w-0">
      <legend className="pb-1 text-xs font-medium text-muted">{title}</legend>
      <ul className="flex flex-col">
        {shown.map((value) => (
          <li key={value}>
            <label className="-mx-1.5 flex cursor-pointer items-center gap-2 rounded px-1.5 py-1 hover:bg-sunken">
              <input
                type="checkbox"
                checked={chosen.includes(value)}
                onChange={() => {
                  onToggle(value);
                }}
                className="size-4 shrink-0 accent-accent"
              />
              <span className="truncate" title={name(value)}>
                {name(value)}
              </span>
              <span className="ml-auto pl-2 text-xs text-muted tabular-nums">
                {counted(counts[value] ?? 0)}
              </span>
            </label>
          </li>
        ))}
      </ul>
      {values.length > SHORT && (
        <button
          type="button"
          aria-expanded={whole}
          onClick={() => {
            setWhole(!whole);
          }}
          className="mt-1 rounded text-xs text-accent hover:underline"
        >
          {whole ? "Show fewer" : `Show all ${values.length}`}
        </button>
      )}
    </fieldset>
  );
}
