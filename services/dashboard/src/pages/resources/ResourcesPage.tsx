import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { everyMinute } from "@/app/queryClient";
import { scopeSearch, useScope, useSetSearch } from "@/app/scope";
import { Button } from "@/kit/Button";
import { PageHeader } from "@/kit/Card";
import { CsvButton } from "@/kit/download";
import { SearchField } from "@/kit/SearchField";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import { FilterChip } from "@/kit/Tag";
import { useTyped } from "@/kit/useTyped";
import { tagsOf } from "@/lib/metadata";
import { stringifySearch, toggled } from "@/lib/search";
import { localTime } from "@/lib/time";
import { count, words } from "@/lib/units";
import { Filters } from "./Filters";
import { countsQuery, resourcesQuery, selection } from "./queries";
import { ResourceTable } from "./ResourceTable";
import { NO_FILTERS, type ResourcesSearch, resourcesSearch } from "./search";

const SUGGESTED_TAGS = 200;

/** What there is, or was: the inventory with its filters, which stand in the URL. */
export function ResourcesPage() {
  const { customer, provider } = useScope();
  const everything: ResourcesSearch = useSearch({ strict: false });
  const search = useMemo(() => resourcesSearch({ ...everything }), [everything]);
  const owner = { customer, provider };
  const list = useInfiniteQuery(resourcesQuery(owner, search));
  const counts = useQuery({ ...countsQuery(owner, search), refetchInterval: everyMinute });
  const rows = useMemo(() => list.data?.pages.flatMap((page) => page.data) ?? [], [list.data]);
  const firstPage = list.data?.pages[0]?.data;
  const tags = useMemo(
    () => [...new Set(firstPage?.flatMap((row) => tagsOf(row.metadata)))].slice(0, SUGGESTED_TAGS),
    [firstPage],
  );
  const total = counts.data?.resources;
  const suffix = stringifySearch({ ...scopeSearch({ ...everything }), as_of: search.as_of });
  const { fetchNextPage, hasNextPage, isFetching } = list;
  const more = useMemo(
    () =>
      hasNextPage && !isFetching
        ? () => {
            void fetchNextPage();
          }
        : undefined,
    [hasNextPage, isFetching, fetchNextPage],
  );

  return (
    <>
      <PageHeader
        title="Resources"
        hint={
          total !== undefined && (
            <span role="status">
              {count(total)} {total === 1 ? "resource" : "resources"}
              {search.as_of && ` as of ${localTime(new Date(search.as_of))}`}
            </span>
          )
        }
      >
        <NameFilter search={search} />
        <CsvButton
          url={`/api/v2/resources/${encodeURIComponent(customer)}/${encodeURIComponent(provider)}/list${stringifySearch(selection(search))}`}
          name={`${customer}-resources`}
        />
      </PageHeader>
      <div className="flex flex-col gap-4 lg:flex-row lg:items-start">
        <Filters owner={owner} search={search} tags={tags} />
        <div className="min-w-0 flex-1">
          <ActiveFilters search={search} />
          {list.error && !list.data ? (
            <ProblemPanel error={list.error} retry={() => void list.refetch()} />
          ) : list.isPending ? (
            <Loading label="Loading resources" />
          ) : rows.length === 0 ? (
            <NothingFound search={search} />
          ) : (
            <div
              className={`rounded-xl border border-line bg-surface ${list.isPlaceholderData ? "opacity-60" : ""}`}
            >
              <ResourceTable rows={rows} total={total ?? rows.length} suffix={suffix} more={more} />
              {hasNextPage && <Loading label="Loading more" />}
            </div>
          )}
        </div>
      </div>
    </>
  );
}

function NameFilter({ search }: { search: ResourcesSearch }) {
  const setSearch = useSetSearch();
  const [typed, setTyped] = useTyped(search.q ?? "", (q) => {
    setSearch({ q: q || undefined }, { replace: true });
  });
  return <SearchField label="Name or id" value={typed} onChange={setTyped} />;
}

/** The filters that are on, each to be taken off. */
function ActiveFilters({ search }: { search: ResourcesSearch }) {
  const setSearch = useSetSearch();
  const chips = [
    ...(["resource_type", "status", "region", "tag"] as const).flatMap((field) =>
      (search[field] ?? []).map((value) => ({
        text: field === "resource_type" || field === "status" ? words(value) : value,
        change: { [field]: toggled(search[field], value) },
      })),
    ),
    ...(search.as_of
      ? [{ text: `as of ${localTime(new Date(search.as_of))}`, change: { as_of: undefined } }]
      : []),
    ...(search.include_deleted
      ? [{ text: "also what is gone", change: { include_deleted: undefined } }]
      : []),
  ];
  if (chips.length === 0) return null;
  return (
    <div className="mb-3 flex flex-wrap items-center gap-1.5">
      {chips.map(({ text, change }) => (
        <FilterChip
          key={text}
          text={text}
          onRemove={() => {
            setSearch(change);
          }}
        />
      ))}
      <ClearButton />
    </div>
  );
}

function ClearButton() {
  const setSearch = useSetSearch();
  return (
    <Button
      look="quiet"
      className="px-2! py-0.5!"
      onClick={() => {
        setSearch(NO_FILTERS);
      }}
    >
      Clear filters
    </Button>
  );
}

function NothingFound({ search }: { search: ResourcesSearch }) {
  const narrowed = Object.values(search).some((value) => value !== undefined);
  return (
    <div className="rounded-xl border border-line bg-surface">
      {narrowed ? (
        <Empty title="Nothing matches these filters">
          <p className="mb-2">Take one off, or look for part of a name or id.</p>
          <ClearButton />
        </Empty>
      ) : (
        <Empty title="No resources yet">
          The first listing may still be under way: Collection shows it, and what went wrong if
          something did.
        </Empty>
      )}
    </div>
  );
}
