import { type SyntheticEvent, useId, useState } from "react";
import { lengthSeconds, type Range, rfc3339, TIMEFRAMES } from "@/lib/range";
import { Button } from "./Button";
import { Menu } from "./Menu";

const NAMES: Record<string, string> = {
  "1h": "Last hour",
  "6h": "Last 6 hours",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
  "90d": "Last 90 days",
};
const SHORT = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});

/** A timeframe back from now, or a start and an end in the viewer's zone. */
export function RangePicker({
  range,
  onChange,
}: {
  range: Range;
  onChange: (range: Range) => void;
}) {
  return (
    <Menu label={`Time range: ${rangeName(range)}`} text={rangeName(range)}>
      {(close) => (
        <div className="flex w-64 flex-col gap-1">
          {TIMEFRAMES.map((timeframe) => (
            <Button
              key={timeframe}
              look="quiet"
              aria-pressed={"timeframe" in range && range.timeframe === timeframe}
              className="justify-start! aria-pressed:bg-accent-soft aria-pressed:text-accent"
              onClick={() => {
                onChange({ timeframe });
                close();
              }}
            >
              {NAMES[timeframe]}
            </Button>
          ))}
          <OwnRange
            range={range}
            onChange={(chosen) => {
              onChange(chosen);
              close();
            }}
          />
        </div>
      )}
    </Menu>
  );
}

export function rangeName(range: Range): string {
  if ("timeframe" in range) return NAMES[range.timeframe] ?? range.timeframe;
  return SHORT.formatRange(new Date(range.start), new Date(range.end));
}

function OwnRange({ range, onChange }: { range: Range; onChange: (range: Range) => void }) {
  const [initial] = useState(() => bounds(range));
  const [start, setStart] = useState(initial.start);
  const [end, setEnd] = useState(initial.end);
  const [fault, setFault] = useState("");
  const id = useId();

  function submit(event: SyntheticEvent) {
    event.preventDefault();
    const from = new Date(start);
    const to = new Date(end);
    // Also false where one of them is no date.
    if (from < to) onChange({ start: rfc3339(from), end: rfc3339(to) });
    else setFault("The start must be before the end.");
  }

  return (
    <form onSubmit={submit} className="mt-1 flex flex-col gap-2 border-t border-line pt-2">
      {[
        { name: "From", value: start, set: setStart },
        { name: "To", value: end, set: setEnd },
      ].map(({ name, value, set }) => (
        <div key={name} className="flex items-center gap-2">
          <label htmlFor={id + name} className="w-10 text-muted">
            {name}
          </label>
          <input
            id={id + name}
            type="datetime-local"
            value={value}
            onChange={(event) => {
              set(event.target.value);
            }}
            className="min-w-0 flex-1 rounded-md border border-line-strong bg-surface px-2 py-1"
          />
        </div>
      ))}
      {fault && (
        <p role="alert" className="text-bad">
          {fault}
        </p>
      )}
      <Button type="submit">Show this range</Button>
    </form>
  );
}

function bounds(range: Range): { start: string; end: string } {
  const end = "timeframe" in range ? new Date() : new Date(range.end);
  const start = new Date(end.getTime() - lengthSeconds(range) * 1000);
  return { start: inputValue(start), end: inputValue(end) };
}

/** As `<input type="datetime-local">` has it: in the viewer's zone, without naming it. */
function inputValue(at: Date): string {
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}
