import { QueryClient } from "@tanstack/react-query";
import { ProblemError } from "@/api/problem";

const RETRIES = 2;
const AGAIN_MS = 5000;
const REFRESH_MS = 60_000;

interface Asked {
  state: { error: Error | null };
}

/** For `refetchInterval`: data arrives every few minutes; what failed may be back in seconds. */
export function everyMinute({ state: { error } }: Asked): number {
  return isPassing(error) ? AGAIN_MS : REFRESH_MS;
}

function isPassing(error: Error | null): boolean {
  return error instanceof ProblemError && error.passing;
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      // Also where the browser believes to be offline: the API may be on this machine.
      networkMode: "always",
      retry: (failures, error) => failures < RETRIES && isPassing(error),
      retryDelay: (failures) => 500 * 2 ** failures,
      refetchInterval: ({ state: { error } }: Asked) => (isPassing(error) ? AGAIN_MS : false),
    },
    mutations: { networkMode: "always" },
  },
});
