import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { LogOut, Moon, Sun } from "lucide-react";
import { useEffect, useRef } from "react";
import { ProblemError } from "@/api/problem";
import { customersQuery } from "@/api/queries";
import { signOut, useSession } from "@/api/session";
import { IconButton } from "@/kit/Button";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import { everyMinute } from "./queryClient";
import { NAVIGATION } from "./navigation";
import { ScopeBar } from "./ScopeBar";
import { SignIn } from "./SignIn";
import { chooseTheme, useTheme } from "./theme";

/** What stands around every page: navigation, pickers, and sign-in where the API wants a token. */
export function Shell() {
  const { refused } = useSession();
  if (refused) return <SignIn why={refused} />;
  return (
    <div className="flex min-h-dvh flex-col lg:flex-row">
      <a
        href="#page"
        className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-md focus:bg-surface focus:px-3 focus:py-2 focus:shadow"
      >
        Skip to content
      </a>
      <Sidebar />
      <div className="flex min-w-0 flex-1 flex-col">
        <header className="sticky top-0 z-30 border-b border-line bg-surface">
          <div className="flex items-center gap-2 px-4 py-2.5 lg:px-6">
            <div className="lg:hidden">
              <Brand />
            </div>
            <ScopeBar />
            <Controls />
          </div>
        </header>
        <Outage />
        <main
          id="page"
          tabIndex={-1}
          className="flex-1 px-4 pt-5 pb-24 outline-none lg:px-6 lg:pb-8"
        >
          <Content />
        </main>
      </div>
      <BottomBar />
    </div>
  );
}

function Content() {
  const { pathname } = useLocation();
  const { data, error, refetch } = useQuery(customersQuery);
  useFocusOnArrival(pathname);
  if (!data) {
    // A refused token is the shell's to tell, by its sign-in.
    return error && !(error instanceof ProblemError && error.status === 401) ? (
      <ProblemPanel error={error} retry={() => void refetch()} />
    ) : (
      <Loading label="Loading your customers" />
    );
  }
  if (data.data.length === 0) {
    return (
      <Empty title="There is nobody to show yet">
        Write an <code>accounts.yaml</code> with at least one account, or ask for a token that names
        your customers. The README shows both.
      </Empty>
    );
  }
  return <Outlet />;
}

/** What is on the page stays when the API goes away; this says that it may be old. */
function Outage() {
  const { data, error } = useQuery({ ...customersQuery, refetchInterval: everyMinute });
  if (!data || !(error instanceof ProblemError) || !error.passing) return null;
  return (
    <p role="alert" className="bg-warn-soft px-4 py-2 text-warn lg:px-6">
      {error.title}: what is shown may be old. The page asks again every few seconds.
    </p>
  );
}

/** Whoever follows a link with the keyboard goes on reading in the page, not in the navigation. */
function useFocusOnArrival(pathname: string): void {
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current !== pathname) document.getElementById("page")?.focus();
    before.current = pathname;
  }, [pathname]);
}

function Brand() {
  return (
    <Link to="/" className="flex items-center gap-2 rounded-md font-semibold tracking-tight">
      <img src="/favicon.svg" alt="" className="size-6" />
      <span className="max-sm:sr-only">OptiInfra</span>
    </Link>
  );
}

function Sidebar() {
  return (
    <nav
      aria-label="Main"
      className="sticky top-0 hidden h-dvh w-52 shrink-0 flex-col gap-5 border-r border-line bg-surface px-3 py-4 lg:flex"
    >
      <div className="px-2">
        <Brand />
      </div>
      {NAVIGATION.map(({ heading, entries }) => (
        <div key={heading}>
          <p className="px-2 pb-1.5 text-xs font-medium text-muted">{heading}</p>
          <ul className="flex flex-col gap-0.5">
            {entries.map(({ to, label, icon: Icon }) => (
              <li key={to}>
                <Link
                  to={to}
                  activeOptions={{ exact: to === "/", includeSearch: false }}
                  className="flex items-center gap-2.5 rounded-md px-2 py-1.5 text-muted hover:bg-sunken hover:text-ink data-[status=active]:bg-accent-soft data-[status=active]:font-medium data-[status=active]:text-accent"
                >
                  <Icon className="size-4" aria-hidden />
                  {label}
                </Link>
              </li>
            ))}
          </ul>
        </div>
      ))}
      <a href="/docs" className="mt-auto rounded-md px-2 py-1.5 text-muted hover:text-ink">
        API documentation
      </a>
    </nav>
  );
}

function BottomBar() {
  return (
    <nav
      aria-label="Main, small screens"
      className="fixed inset-x-0 bottom-0 z-30 border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] lg:hidden"
    >
      <ul className="flex">
        {NAVIGATION.flatMap(({ entries }) => [...entries]).map(({ to, label, icon: Icon }) => (
          <li key={to} className="min-w-0 flex-1">
            <Link
              to={to}
              activeOptions={{ exact: to === "/", includeSearch: false }}
              className="flex flex-col items-center gap-1 px-0.5 py-2 text-[11px] text-muted data-[status=active]:font-medium data-[status=active]:text-accent"
            >
              <Icon className="size-5" aria-hidden />
              {label}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Controls() {
  const theme = useTheme();
  const { token } = useSession();
  const other = theme === "dark" ? "light" : "dark";
  return (
    <div className="ml-auto flex items-center gap-1">
      <IconButton
        label={`Use the ${other} theme`}
        onClick={() => {
          chooseTheme(other);
        }}
      >
        {theme === "dark" ? <Sun className="size-4" /> : <Moon className="size-4" />}
      </IconButton>
      {token && (
        <IconButton label="Sign out" onClick={signOut}>
          <LogOut className="size-4" />
        </IconButton>
      )}
    </div>
  );
}
