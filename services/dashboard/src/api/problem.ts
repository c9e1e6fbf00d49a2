import type { ProblemDocument } from "./types";

/** An answer other than success, as RFC 9457 tells it, or no answer at all (`status` 0). */
export class ProblemError extends Error {
  readonly status: number;
  readonly title: string;
  /** Which parameters are wrong, with status 422. */
  readonly errors: { parameter: string; message: string }[];
  /** Names the request in the service's log. */
  readonly requestId: string | null;

  constructor(problem: Partial<ProblemDocument>, status: number, requestId: string | null = null) {
    super(problem.detail ?? `The API answered ${status}.`);
    this.name = "ProblemError";
    this.status = status;
    this.title = problem.title ?? "The API did not answer as expected";
    this.errors = problem.errors ?? [];
    this.requestId = requestId;
  }

  /** Whether the same question may succeed in a while. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status === 503;
  }
}

/** The problem that a response tells of. */
export async function problemOf(response: Response): Promise<ProblemError> {
  const requestId = response.headers.get("X-Request-ID");
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const told = isProblem ? ((await response.json()) as ProblemDocument) : {};
  return new ProblemError(told, response.status, requestId);
}

export function noAnswer(): ProblemError {
  const detail = "Nothing answers where this page came from. Is OptiInfra still running?";
  return new ProblemError({ title: "The API is away", detail }, 0);
}
