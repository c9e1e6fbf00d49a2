import { QueryClient } from "@tanstack/react-query";
import { ProblemError } from "@/api/problem";

const RETRIES = 2;

/** What is shown is asked for again every minute; data arrives every few. */
export const REFRESH_MS = 60_000;

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      refetchOnWindowFocus: true,
      // Also where the browser believes to be offline: the API may be on this machine.
      networkMode: "always",
      retry: (failures, error) =>
        failures < RETRIES && error instanceof ProblemError && error.passing,
      retryDelay: (failures) => 1000 * 2 ** failures,
    },
    mutations: { networkMode: "always" },
  },
});
