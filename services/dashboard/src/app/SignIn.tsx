import { useQueryClient } from "@tanstack/react-query";
import { type SyntheticEvent, useId, useState } from "react";
import { signIn } from "@/api/session";
import { Button } from "@/kit/Button";

/** Asks for a token. The address stays as it is, so that the same page comes back with it. */
export function SignIn({ why }: { why: string }) {
  const [token, setToken] = useState("");
  const queryClient = useQueryClient();
  const field = useId();

  function submit(event: SyntheticEvent) {
    event.preventDefault();
    queryClient.clear();
    signIn(token.trim());
  }

  return (
    <main className="flex min-h-dvh items-center justify-center p-4">
      <form
        onSubmit={submit}
        className="flex w-full max-w-md flex-col gap-4 rounded-xl border border-line bg-surface p-6 shadow-sm"
      >
        <div className="flex items-center gap-2.5">
          <img src="/favicon.svg" alt="" className="size-8" />
          <h1 className="text-lg font-semibold tracking-tight">Sign in to OptiInfra</h1>
        </div>
        <p role="alert" className="rounded-md bg-warn-soft px-3 py-2 text-warn">
          {why}
        </p>
        <div className="flex flex-col gap-1.5">
          <label htmlFor={field} className="font-medium">
            Token
          </label>
          <input
            id={field}
            type="password"
            value={token}
            onChange={(event) => {
              setToken(event.target.value);
            }}
            autoComplete="off"
            spellCheck={false}
            required
            className="rounded-md border border-line-strong bg-canvas px-3 py-2 font-mono text-sm"
          />
          <p className="text-muted">
            Your administrator makes one with{" "}
            <code className="rounded bg-sunken px-1 py-0.5 whitespace-nowrap">
              optiinfra token --customer NAME
            </code>
            . It is kept in this tab alone.
          </p>
        </div>
        <Button type="submit" look="primary">
          Sign in
        </Button>
      </form>
    </main>
  );
}
