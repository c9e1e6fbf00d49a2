import { LoaderCircle } from "lucide-react";
import type { RunStatus } from "@/api/types";
import { StatusBadge } from "@/kit/Badge";

/** A run that is going turns; a resource that is "running" is something else. */
export function RunStatusBadge({ status }: { status: RunStatus }) {
  if (status !== "running") return <StatusBadge status={status} />;
  return (
    <span className="inline-flex items-center gap-1.5 rounded-full bg-info-soft px-2 py-0.5 text-xs font-medium text-info">
      <LoaderCircle className="size-3 animate-spin" aria-hidden />
      Running
    </span>
  );
}
