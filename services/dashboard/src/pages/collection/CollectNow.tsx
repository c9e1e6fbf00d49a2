import { useMutation, useQueries, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Play } from "lucide-react";
import { useEffect, useState } from "react";
import { api, body } from "@/api/client";
import type { Account, Kind } from "@/api/types";
import { Button } from "@/kit/Button";
import { Card } from "@/kit/Card";
import { Select } from "@/kit/Select";
import { ProblemPanel } from "@/kit/states";
import { count, providerName, words } from "@/lib/units";
import { isGoing, runQuery } from "./queries";
import { RunStatusBadge } from "./RunStatusBadge";
import { KINDS } from "./search";

const EVERY = "every";

/** Starts a collection and follows it to its end. */
export function CollectNow({
  customer,
  provider,
  accounts,
}: {
  customer: string;
  provider: string;
  accounts: Account[];
}) {
  const [account, setAccount] = useState(EVERY);
  const [kind, setKind] = useState<Kind | typeof EVERY>(EVERY);
  const chosen = accounts.find((one) => nameOf(one) === account);
  const start = useMutation({
    mutationFn: () =>
      body(
        api.POST("/api/v2/collections", {
          body: {
            customer_id: customer,
            provider: chosen?.provider ?? provider,
            kinds: kind === EVERY ? [...KINDS] : [kind],
            ...(chosen ? { account_id: chosen.account_id } : {}),
          },
        }),
      ),
  });

  return (
    <Card title="Collect now">
      <div className="flex flex-wrap items-center gap-2">
        <Select
          label="What"
          value={kind}
          options={[
            { value: EVERY, label: "Everything" },
            ...KINDS.map((one) => ({ value: one, label: words(one) })),
          ]}
          onChange={(value) => {
            setKind(KINDS.find((one) => one === value) ?? EVERY);
          }}
        />
        <span className="text-muted">of</span>
        <Select
          label="Account"
          value={chosen ? account : EVERY}
          options={[
            { value: EVERY, label: "every account" },
            ...accounts.map((one) => ({
              value: nameOf(one),
              label: `${one.account_id} (${providerName(one.provider)})`,
            })),
          ]}
          onChange={setAccount}
        />
        <Button
          look="primary"
          disabled={start.isPending || accounts.length === 0}
          onClick={() => {
            start.mutate();
          }}
        >
          <Play className="size-4" aria-hidden />
          Collect
        </Button>
      </div>
      {start.error && (
        <div className="mt-3">
          <ProblemPanel error={start.error} />
        </div>
      )}
      {start.data && <Progress key={start.data.run_ids.join()} runIds={start.data.run_ids} />}
    </Card>
  );
}

/** The runs that were started, live. */
function Progress({ runIds }: { runIds: string[] }) {
  const queryClient = useQueryClient();
  const runs = useQueries({ queries: runIds.map(runQuery) });
  const ended = runs.filter(({ data }) => data && !isGoing(data.status)).length;

  useEffect(() => {
    // What came of a run is in all that the page shows.
    if (ended > 0)
      void queryClient.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "run" });
  }, [ended, queryClient]);

  return (
    <div className="mt-3 border-t border-line pt-3">
      <div className="flex items-center gap-3">
        <progress
          aria-label="Runs that have ended"
          value={ended}
          max={runIds.length}
          className="h-2 flex-1 accent-accent"
        />
        <p role="status" className="text-muted tabular-nums">
          {ended} of {runIds.length} {runIds.length === 1 ? "run has" : "runs have"} ended
        </p>
      </div>
      <ul className="mt-2 flex flex-col gap-1.5">
        {runs.map(({ data: run, error }, index) => (
          <li key={runIds[index]} className="flex flex-wrap items-center gap-2">
            {error && <span className="text-bad">{error.message}</span>}
            {run && (
              <>
                <RunStatusBadge status={run.status} />
                <Link
                  to="."
                  search={(before: object) => ({ ...before, run: run.run_id })}
                  className="rounded text-accent underline underline-offset-2"
                >
                  {words(run.kind)} of {run.provider}/{run.account_id}
                </Link>
                <span className="text-muted">
                  {count(run.scopes.length)} {run.scopes.length === 1 ? "scope" : "scopes"} done,{" "}
                  {count(run.rows)} rows
                </span>
              </>
            )}
          </li>
        ))}
      </ul>
    </div>
  );
}

function nameOf(account: Account): string {
  return `${account.provider}/${account.account_id}`;
}
