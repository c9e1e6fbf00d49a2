import { useSyncExternalStore } from "react";
import { localTime, relativeTime, utcTime } from "@/lib/time";

const TICK_MS = 30_000;
let now = new Date();
let timer: number | undefined;
const listeners = new Set<() => void>();

/** One timer for all of them: a table shows many times. */
function everyTick(tell: () => void): () => void {
  listeners.add(tell);
  timer ??= window.setInterval(() => {
    now = new Date();
    for (const listener of listeners) listener();
  }, TICK_MS);
  return () => {
    listeners.delete(tell);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

/** Now, to half a minute; whoever reads it is shown anew as it passes. */
export function useNow(): Date {
  return useSyncExternalStore(everyTick, () => now);
}

/** A moment of the API in the viewer's zone, with UTC on hover. `relative` says how long ago. */
export function Time({ at, relative = false }: { at: string | null; relative?: boolean }) {
  const current = useNow();
  if (at === null) return <>—</>;
  const moment = new Date(at);
  return (
    <time
      dateTime={at}
      title={`${localTime(moment)} · ${utcTime(moment)}`}
      className="whitespace-nowrap tabular-nums"
    >
      {relative ? relativeTime(moment, current) : localTime(moment)}
    </time>
  );
}
