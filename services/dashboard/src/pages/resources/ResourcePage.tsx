import { useQuery, type UseQueryResult } from "@tanstack/react-query";
import { Link, useParams, useSearch } from "@tanstack/react-router";
import { ChevronRight, Copy } from "lucide-react";
import type { ReactNode } from "react";
import { ProblemError } from "@/api/problem";
import type { Resource, ResourceChange } from "@/api/types";
import { everyMinute } from "@/app/queryClient";
import { useScope, useSetSearch } from "@/app/scope";
import { Badge, StatusBadge } from "@/kit/Badge";
import { IconButton } from "@/kit/Button";
import { Card } from "@/kit/Card";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import { FilterChip, Tag } from "@/kit/Tag";
import { Time } from "@/kit/Time";
import { described, factsOf, tagsOf } from "@/lib/metadata";
import { localTime } from "@/lib/time";
import { providerName, words } from "@/lib/units";
import { ChangeEntry } from "@/pages/changes/ChangeEntry";
import { keyOf } from "@/pages/changes/ChangesPage";
import { Links } from "./Links";
import { MetricCharts } from "./MetricCharts";
import { resourceChangesQuery, resourceQuery } from "./queries";
import type { ResourcesSearch } from "./search";

const NO_CHANGES: ResourceChange[] = [];

/** One resource: what it is, what it hangs on, how it went and what changed, on one span of time. */
export function ResourcePage() {
  const { resourceId = "" }: { resourceId?: string } = useParams({ strict: false });
  const { as_of: asOf }: ResourcesSearch = useSearch({ strict: false });
  const { customer, provider, range } = useScope();
  const owner = { customer, provider };
  const resource = useQuery({
    ...resourceQuery(owner, resourceId, asOf),
    refetchInterval: everyMinute,
  });
  const changes = useQuery({
    ...resourceChangesQuery(owner, resourceId, range),
    refetchInterval: everyMinute,
  });

  return (
    <>
      <nav aria-label="Breadcrumb" className="mb-2 flex min-w-0 items-center gap-1 text-muted">
        <Link to="/resources" search={{}} className="rounded hover:text-ink hover:underline">
          Resources
        </Link>
        <ChevronRight className="size-4 shrink-0" aria-hidden />
        <span className="truncate" aria-current="page">
          {resource.data?.resource_name ?? resourceId}
        </span>
      </nav>
      {resource.error && !resource.data ? (
        <NotThere error={resource.error} retry={() => void resource.refetch()} />
      ) : resource.isPending ? (
        <Loading label="Loading the resource" />
      ) : (
        <>
          <Head resource={resource.data} asOf={asOf} />
          <div className="flex flex-col gap-4 xl:flex-row xl:items-start">
            <div className="flex min-w-0 flex-col gap-4 xl:w-80 xl:shrink-0">
              <Facts resource={resource.data} />
              <Links owner={owner} resource={resource.data} asOf={asOf} />
            </div>
            <div className="flex min-w-0 flex-1 flex-col gap-4">
              <MetricCharts
                owner={owner}
                resourceId={resourceId}
                range={range}
                changes={changes.data?.data ?? NO_CHANGES}
              />
              <Changes query={changes} />
            </div>
          </div>
        </>
      )}
    </>
  );
}

function NotThere({ error, retry }: { error: Error; retry: () => void }) {
  if (!(error instanceof ProblemError && error.status === 404)) {
    return <ProblemPanel error={error} retry={retry} />;
  }
  return (
    <Card>
      <Empty title="There is no such resource">
        <p className="mb-2">
          {error.message} It may be another customer's, or of another provider.
        </p>
        <Link to="/resources" search={{}} className="text-accent underline">
          See all resources
        </Link>
      </Empty>
    </Card>
  );
}

function Head({ resource, asOf }: { resource: Resource; asOf: string | undefined }) {
  const setSearch = useSetSearch();
  return (
    <div className="mb-4">
      <div className="flex flex-wrap items-center gap-2.5">
        <h1 className="min-w-0 text-xl font-semibold tracking-tight break-words">
          {resource.resource_name || resource.resource_id}
        </h1>
        {resource.deleted_at ? (
          <Badge tone="bad">Gone</Badge>
        ) : (
          <StatusBadge status={resource.status} />
        )}
        {asOf && (
          <FilterChip
            text={`as of ${localTime(new Date(asOf))}`}
            onRemove={() => {
              setSearch({ as_of: undefined });
            }}
          />
        )}
      </div>
      <p className="mt-0.5 flex min-w-0 items-center gap-1 text-muted">
        <code className="truncate text-xs" title={resource.resource_id}>
          {resource.resource_id}
        </code>
        <IconButton
          label="Copy the id"
          className="size-6!"
          onClick={() => void navigator.clipboard.writeText(resource.resource_id)}
        >
          <Copy className="size-3.5" />
        </IconButton>
      </p>
      {resource.unknown_since && (
        <p className="mt-2 rounded-md bg-warn-soft px-3 py-2 text-warn">
          Its scope <code>{resource.scope}</code> was not listed completely since{" "}
          <Time at={resource.unknown_since} />: this is what was known then. Collection says what
          went wrong.
        </p>
      )}
    </div>
  );
}

function Facts({ resource }: { resource: Resource }) {
  const tags = tagsOf(resource.metadata);
  return (
    <Card title="About">
      <dl className="flex flex-col gap-1.5">
        <Fact name="Type">{words(resource.resource_type)}</Fact>
        <Fact name="Region">{resource.region || "—"}</Fact>
        <Fact name="Account">
          {providerName(resource.provider)} · {resource.account_id}
        </Fact>
        {factsOf(resource.metadata).map(([name, value]) => (
          <Fact key={name} name={words(name.replace(/_bytes$/, ""))}>
            {name.endsWith("_at") && typeof value === "string" ? (
              <Time at={value} />
            ) : (
              described(name, value)
            )}
          </Fact>
        ))}
        <Fact name="First seen">
          <Time at={resource.first_seen} />
        </Fact>
        <Fact name="Last seen">
          <Time at={resource.last_seen} />
        </Fact>
        {resource.deleted_at && (
          <Fact name="Gone since">
            <Time at={resource.deleted_at} />
          </Fact>
        )}
      </dl>
      {tags.length > 0 && (
        <>
          <h3 className="pt-4 pb-1.5 text-xs font-medium text-muted">Tags</h3>
          <ul className="flex flex-wrap gap-1.5">
            {tags.map((tag) => (
              <li key={tag} className="max-w-full">
                <Link
                  to="/resources"
                  search={{ tag: [tag] }}
                  title={`All resources with ${tag}`}
                  className="block hover:underline"
                >
                  <Tag>{tag}</Tag>
                </Link>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex gap-3">
      <dt className="w-28 shrink-0 text-muted">{name}</dt>
      <dd className="min-w-0 break-words whitespace-pre-wrap">{children}</dd>
    </div>
  );
}

function Changes({ query }: { query: UseQueryResult<{ data: ResourceChange[] }> }) {
  return (
    <Card title="Changes">
      {query.error && !query.data ? (
        <ProblemPanel error={query.error} retry={() => void query.refetch()} />
      ) : query.isPending ? (
        <Loading label="Loading changes" />
      ) : query.data.data.length === 0 ? (
        <p className="py-2 text-muted">
          Nothing changed in this time. Look further back with the time range above.
        </p>
      ) : (
        <ul className="ml-1.5 pt-1">
          {query.data.data.map((change) => (
            <ChangeEntry key={keyOf(change)} change={change} ofResource />
          ))}
        </ul>
      )}
    </Card>
  );
}
