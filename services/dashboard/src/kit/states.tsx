/** What stands where data does not: it is on its way, there is none, or it cannot be had. */
import { CircleAlert, Inbox, LoaderCircle } from "lucide-react";
import type { ReactNode } from "react";
import { ProblemError } from "@/api/problem";
import { Button } from "./Button";

export function Loading({ label = "Loading" }: { label?: string }) {
  return (
    <div role="status" className="flex items-center justify-center gap-2 py-12 text-muted">
      <LoaderCircle className="size-4 animate-spin" aria-hidden />
      {label}
    </div>
  );
}

/** Nothing to show; `children` say what to do next. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-2 px-4 py-12 text-center">
      <Inbox className="size-7 text-muted" aria-hidden />
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-md text-muted">{children}</div>}
    </div>
  );
}

/** An error in the API's own words, with what to do next. */
export function ProblemPanel({ error, retry }: { error: Error; retry?: () => void }) {
  const problem = error instanceof ProblemError ? error : null;
  return (
    <div
      role="alert"
      className="flex flex-col items-start gap-2 rounded-lg border border-line bg-surface p-4"
    >
      <p className="flex items-center gap-2 font-medium text-bad">
        <CircleAlert className="size-4 shrink-0" aria-hidden />
        {problem?.title ?? "This part of the page failed"}
      </p>
      <p>{error.message}</p>
      {problem && <p className="text-muted">{advice(problem)}</p>}
      {problem?.requestId && (
        <p className="text-muted">
          Request <code>{problem.requestId}</code>
        </p>
      )}
      {retry && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}

function advice(problem: ProblemError): string {
  switch (problem.status) {
    case 0:
      return "Start it again with make run, or check the address; this page goes on by itself.";
    case 403:
      return "Pick another customer, or ask your administrator for a token that may see this.";
    case 404:
      return "Pick a customer and a provider that exist, above.";
    case 422:
      return "Change what is named and try again.";
    case 429:
    case 503:
      return "This passes: the page asks again by itself in a few seconds.";
    default:
      return "If it stays, look for the request in the service's log.";
  }
}
