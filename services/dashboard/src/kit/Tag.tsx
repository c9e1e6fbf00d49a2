import { X } from "lucide-react";
import type { ReactNode } from "react";

/** A tag or another short mark. */
export function Tag({ children }: { children: ReactNode }) {
  return (
    <span className="inline-block max-w-full truncate rounded bg-sunken px-1.5 py-0.5 align-middle text-xs text-muted">
      {children}
    </span>
  );
}

/** A filter that is on; pressing it takes it off. */
export function FilterChip({ text, onRemove }: { text: string; onRemove: () => void }) {
  return (
    <button
      type="button"
      aria-label={`Remove the filter ${text}`}
      onClick={onRemove}
      className="inline-flex max-w-full items-center gap-1 rounded-full bg-accent-soft py-0.5 pr-1.5 pl-2.5 text-xs font-medium text-accent hover:opacity-80"
    >
      <span className="truncate">{text}</span>
      <X className="size-3.5 shrink-0" aria-hidden />
    </button>
  );
}
