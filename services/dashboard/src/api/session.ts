/**
 * The token of this browser tab. It lives in sessionStorage, ends with the tab, and never stands
 * in a URL.
 */
import { useSyncExternalStore } from "react";

const KEY = "optiinfra.token";

export interface Session {
  token: string | null;
  /** Why a sign-in is asked for, in the API's words; null while none is. */
  refused: string | null;
}

let session: Session = { token: sessionStorage.getItem(KEY), refused: null };
const listeners = new Set<() => void>();

function become(next: Session): void {
  session = next;
  if (next.token) sessionStorage.setItem(KEY, next.token);
  else sessionStorage.removeItem(KEY);
  for (const tell of listeners) tell();
}

export function currentToken(): string | null {
  return session.token;
}

export function signIn(token: string): void {
  become({ token, refused: null });
}

export function signOut(): void {
  become({ token: null, refused: "You are signed out." });
}

/** The API refused a request with `token`; a token that was given since then is left alone. */
export function refuse(token: string | null, why: string): void {
  if (token === session.token) become({ token: null, refused: why });
}

export function useSession(): Session {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => session,
  );
}
