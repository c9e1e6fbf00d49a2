import { useQueries, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { Resource } from "@/api/types";
import { StatusBadge } from "@/kit/Badge";
import { Card } from "@/kit/Card";
import { linksOf } from "@/lib/metadata";
import { words } from "@/lib/units";
import { attachedQuery, type Owner, resourceQuery } from "./queries";

const MOST = 20;

/** What the resource hangs on, and what hangs on it. Nothing where there is neither. */
export function Links({
  owner,
  resource,
  asOf,
}: {
  owner: Owner;
  resource: Resource;
  asOf: string | undefined;
}) {
  const named = linksOf(resource.metadata).slice(0, MOST);
  const found = useQueries({
    queries: named.map(({ resourceId }) => resourceQuery(owner, resourceId, asOf)),
  });
  const attached = useQuery(attachedQuery(owner, resource.resource_id, asOf)).data?.data ?? [];
  if (named.length === 0 && attached.length === 0) return null;
  return (
    <Card title="Related">
      <ul className="flex flex-col gap-2">
        {named.map(({ relation, resourceId }, index) => (
          <Entry
            key={resourceId}
            relation={relation}
            id={resourceId}
            resource={found[index]?.data}
            asOf={asOf}
          />
        ))}
        {attached.map((one) => (
          <Entry
            key={one.resource_id}
            relation="Attached here"
            id={one.resource_id}
            resource={one}
            asOf={asOf}
          />
        ))}
      </ul>
    </Card>
  );
}

/** A resource by name; by its bare id where the inventory does not have it. */
function Entry({
  relation,
  id,
  resource,
  asOf,
}: {
  relation: string;
  id: string;
  resource: Resource | undefined;
  asOf: string | undefined;
}) {
  return (
    <li className="flex items-center gap-2">
      <div className="min-w-0">
        {resource ? (
          <Link
            to="/resources/$resourceId"
            params={{ resourceId: id }}
            search={{ as_of: asOf }}
            className="block truncate font-medium text-accent hover:underline"
          >
            {resource.resource_name || id}
          </Link>
        ) : (
          <p className="truncate font-medium">{id}</p>
        )}
        <p className="text-xs text-muted">
          {relation}
          {resource && ` · ${words(resource.resource_type)}`}
        </p>
      </div>
      {resource && (
        <span className="ml-auto">
          <StatusBadge status={resource.deleted_at ? "deleted" : resource.status} />
        </span>
      )}
    </li>
  );
}
