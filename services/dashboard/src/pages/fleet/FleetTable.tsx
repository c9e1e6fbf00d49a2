import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { accountsQuery, coverageQuery, resourceSummaryQuery } from "@/api/queries";
import type { Customer, ResourceSummary } from "@/api/types";
import { everyMinute } from "@/app/queryClient";
import { Badge } from "@/kit/Badge";
import { Card } from "@/kit/Card";
import { SearchField } from "@/kit/SearchField";
import { Empty } from "@/kit/states";
import { Time, useNow } from "@/kit/Time";
import type { Range } from "@/lib/range";
import { counted, providerName, share, words } from "@/lib/units";
import { type Freshness, freshnessOf } from "./freshness";

const TYPES_SHOWN = 3;

/** A row per customer and provider; each asks for its numbers when it comes into sight. */
export function FleetTable({ customers, range }: { customers: Customer[]; range: Range }) {
  const [text, setText] = useState("");
  const shown = customers.filter((one) =>
    one.customer_id.toLowerCase().includes(text.toLowerCase()),
  );
  return (
    <Card
      title="Customers and providers"
      flush
      aside={<SearchField label="Find a customer" value={text} onChange={setText} />}
    >
      {shown.length === 0 ? (
        <Empty title="No customer is called so">Try a part of the name.</Empty>
      ) : (
        <ul className="border-t border-line">
          {shown.map((customer) => (
            <li key={customer.customer_id} className="border-b border-line last:border-0">
              <WhenSeen>
                <CustomerRows customer={customer} range={range} />
              </WhenSeen>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}

/** Renders its children from when they are first scrolled into sight, or nearly. */
function WhenSeen({ children }: { children: ReactNode }) {
  const place = useRef<HTMLDivElement>(null);
  const [seen, setSeen] = useState(false);
  useEffect(() => {
    if (!place.current) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (entry?.isIntersecting) setSeen(true);
      },
      { rootMargin: "200px" },
    );
    observer.observe(place.current);
    return () => {
      observer.disconnect();
    };
  }, []);
  return (
    <div ref={place} className="min-h-16">
      {seen && children}
    </div>
  );
}

function CustomerRows({ customer, range }: { customer: Customer; range: Range }) {
  return (
    <div className="grid gap-x-4 px-4 py-3 md:grid-cols-[9rem_1fr]">
      <h3 className="pb-1 font-medium md:pt-1.5">
        <Link
          to="/performance"
          search={(before: object) => ({ ...before, customer: customer.customer_id })}
          className="rounded underline-offset-2 hover:underline"
        >
          {customer.customer_id}
        </Link>
      </h3>
      <ul className="flex flex-col gap-3 md:gap-1">
        {customer.providers.map((provider) => (
          <ProviderRow
            key={provider}
            customer={customer.customer_id}
            provider={provider}
            range={range}
          />
        ))}
      </ul>
    </div>
  );
}

function ProviderRow({
  customer,
  provider,
  range,
}: {
  customer: string;
  provider: string;
  range: Range;
}) {
  const now = useNow();
  const coverage = useQuery({
    ...coverageQuery(customer, provider, range),
    refetchInterval: everyMinute,
  });
  const resources = useQuery({
    ...resourceSummaryQuery(customer, provider),
    refetchInterval: everyMinute,
  });
  const accounts = useQuery({ ...accountsQuery(customer), refetchInterval: everyMinute });
  const error = [coverage, resources, accounts].find((one) => one.error && !one.data)?.error;
  const freshness =
    coverage.data &&
    accounts.data &&
    freshnessOf(
      coverage.data,
      accounts.data.data.filter((one) => one.provider === provider),
      now,
    );
  const search = (before: object) => ({ ...before, customer, provider });

  return (
    <li className="grid grid-cols-2 items-center gap-x-4 gap-y-1 md:min-h-8 md:grid-cols-[8rem_11rem_9rem_1fr]">
      <Link
        to="/performance"
        search={search}
        className="rounded text-accent underline underline-offset-2"
      >
        {providerName(provider)}
      </Link>
      {error ? (
        <p role="alert" className="text-bad md:col-span-3">
          {error.message}
        </p>
      ) : (
        <>
          {freshness ? <Fresh freshness={freshness} /> : <Waiting />}
          {freshness ? <Covered freshness={freshness} /> : <Waiting />}
          {resources.data ? (
            <Link to="/resources" search={search} className="rounded hover:underline">
              <Counts summary={resources.data} />
            </Link>
          ) : (
            <Waiting />
          )}
          {freshness?.why && (
            <Link
              to="/collection"
              search={search}
              className="col-span-full line-clamp-2 rounded text-xs text-bad hover:underline md:col-start-2"
            >
              {freshness.why}
            </Link>
          )}
        </>
      )}
    </li>
  );
}

function Waiting() {
  return <span role="presentation" className="h-4 w-20 animate-pulse rounded bg-sunken" />;
}

function Fresh({ freshness: { tone, word, until } }: { freshness: Freshness }) {
  return (
    <span className="flex flex-wrap items-center gap-2">
      <Badge tone={tone}>{word}</Badge>
      {until && (
        <span className="text-muted">
          <Time at={until} relative />
        </span>
      )}
    </span>
  );
}

function Covered({ freshness: { ratio, since } }: { freshness: Freshness }) {
  if (ratio === null) return <span className="text-muted">nothing collected</span>;
  if (since) {
    return (
      <span className="text-muted">
        since <Time at={since} relative />
      </span>
    );
  }
  const color = ratio > 0.95 ? "bg-good" : ratio > 0.5 ? "bg-warn" : "bg-bad";
  return (
    <span className="flex items-center gap-2" title="Share of the time range that is collected">
      <span className="h-1.5 w-16 overflow-hidden rounded-full bg-sunken" aria-hidden>
        <span
          className={`block h-full rounded-full ${color}`}
          style={{ width: `${ratio * 100}%` }}
        />
      </span>
      <span className="text-muted tabular-nums">
        {share(ratio)}
        <span className="sr-only"> collected</span>
      </span>
    </span>
  );
}

function Counts({ summary }: { summary: ResourceSummary }) {
  const types = Object.entries(summary.by_type).toSorted(([, a], [, b]) => b - a);
  const rest = types.length - TYPES_SHOWN;
  return (
    <>
      <span className="font-medium tabular-nums">{counted(summary.resources, "resource")}</span>
      <span className="text-muted max-lg:hidden">
        {types
          .slice(0, TYPES_SHOWN)
          .map(([type, number]) => ` · ${counted(number, words(type).toLowerCase())}`)}
        {rest > 0 && ` and ${rest} more`}
      </span>
    </>
  );
}
