import { useSyncExternalStore } from "react";
import { localTime, relativeTime, utcTime } from "@/lib/time";

const TICK_MS = 30_000;
let now = new Date();

function everyTick(tell: () => void): () => void {
  const timer = setInterval(() => {
    now = new Date();
    tell();
  }, TICK_MS);
  return () => {
    clearInterval(timer);
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
