import type { ReactNode } from "react";
import { words } from "@/lib/units";

export type Tone = "good" | "warn" | "bad" | "info" | "neutral";

const TONES: Record<Tone, string> = {
  good: "bg-good-soft text-good",
  warn: "bg-warn-soft text-warn",
  bad: "bg-bad-soft text-bad",
  info: "bg-info-soft text-info",
  neutral: "bg-sunken text-muted",
};

/** A state in one word; the word says it, the colour only helps. */
export function Badge({
  tone,
  children,
  title,
}: {
  tone: Tone;
  children: ReactNode;
  title?: string;
}) {
  return (
    <span
      title={title}
      className={`inline-flex items-center gap-1.5 rounded-full px-2 py-0.5 text-xs font-medium whitespace-nowrap ${TONES[tone]}`}
    >
      <span className="size-1.5 rounded-full bg-current" aria-hidden />
      {children}
    </span>
  );
}

/** A status of a run, a scope, a resource, a gap or a change, by its name in the API. */
export function StatusBadge({ status, title }: { status: string; title?: string }) {
  return (
    <Badge tone={STATUS_TONES[status] ?? "neutral"} {...(title ? { title } : {})}>
      {words(status)}
    </Badge>
  );
}

export const STATUS_TONES: Record<string, Tone> = {
  // runs and scopes
  queued: "neutral",
  succeeded: "good",
  ok: "good",
  partial: "warn",
  throttled: "warn",
  denied: "bad",
  unsupported: "neutral",
  failed: "bad",
  // resources; a run that is running is under way, a resource that is running is well
  running: "good",
  available: "good",
  in_use: "good",
  pending: "info",
  stopping: "info",
  stopped: "neutral",
  terminated: "neutral",
  degraded: "warn",
  error: "bad",
  unknown: "neutral",
  // gaps
  not_yet_published: "info",
  no_agent: "neutral",
  not_collected: "bad",
  // changes
  created: "good",
  deleted: "bad",
  status_changed: "warn",
  config_changed: "info",
};
