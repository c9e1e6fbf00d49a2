import type { ReactNode } from "react";

/** A part of a page under a heading of its own. */
export function Card({
  title,
  aside,
  children,
  flush = false,
}: {
  title?: ReactNode;
  /** Stands at the right of the heading. */
  aside?: ReactNode;
  children: ReactNode;
  /** Without space around the content, for tables. */
  flush?: boolean;
}) {
  return (
    <section className="min-w-0 rounded-xl border border-line bg-surface">
      {(title ?? aside) && (
        <div className="flex flex-wrap items-center justify-between gap-2 px-4 pt-3 pb-2">
          <h2 className="font-semibold">{title}</h2>
          <div className="flex flex-wrap items-center gap-2">{aside}</div>
        </div>
      )}
      <div className={flush ? "" : "px-4 pt-1 pb-4"}>{children}</div>
    </section>
  );
}

/** The page's name, and what can be done with all of it. */
export function PageHeader({
  title,
  hint,
  children,
}: {
  title: string;
  hint?: ReactNode;
  children?: ReactNode;
}) {
  return (
    <div className="mb-4 flex flex-wrap items-end justify-between gap-3">
      <div>
        <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
        {hint && <p className="mt-0.5 text-muted">{hint}</p>}
      </div>
      {children && <div className="flex flex-wrap items-center gap-2">{children}</div>}
    </div>
  );
}
