import { useInfiniteQuery } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import type { ResourceChange } from "@/api/types";
import { everyMinute } from "@/app/queryClient";
import { useScope, useSetSearch } from "@/app/scope";
import { Button } from "@/kit/Button";
import { Card, PageHeader } from "@/kit/Card";
import { CsvButton } from "@/kit/download";
import { Select } from "@/kit/Select";
import { Empty, Loading, ProblemPanel } from "@/kit/states";
import { FilterChip } from "@/kit/Tag";
import { useNow } from "@/kit/Time";
import { byDay, dayName } from "@/lib/days";
import { stringifySearch, toggled } from "@/lib/search";
import { words } from "@/lib/units";
import { ChangeEntry } from "./ChangeEntry";
import { changeParameters, changesQuery } from "./queries";
import { CHANGES, type ChangesSearch, changesSearch, RESOURCE_TYPES } from "./search";

/** What appeared, went, and became another, day by day. */
export function ChangesPage() {
  const { customer, provider, range } = useScope();
  const everything: ChangesSearch = useSearch({ strict: false });
  const search = useMemo(() => changesSearch({ ...everything }), [everything]);
  const feed = useInfiniteQuery({
    ...changesQuery(customer, provider, range, search),
    refetchInterval: everyMinute,
  });
  const days = useMemo(
    () => byDay(feed.data?.pages.flatMap((page) => page.data) ?? []),
    [feed.data],
  );
  const now = useNow();

  return (
    <>
      <PageHeader title="Changes" hint="As complete listings of the inventory show them">
        <TypeFilter search={search} />
        <CsvButton
          url={`/api/v2/resources/${encodeURIComponent(customer)}/${encodeURIComponent(provider)}/changes${stringifySearch(changeParameters(search, range))}`}
          name={`${customer}-changes`}
        />
      </PageHeader>
      <KindFilter search={search} />
      {feed.error && !feed.data ? (
        <ProblemPanel error={feed.error} retry={() => void feed.refetch()} />
      ) : feed.isPending ? (
        <Loading label="Loading changes" />
      ) : days.length === 0 ? (
        <NothingChanged search={search} />
      ) : (
        <div className={`flex flex-col gap-4 ${feed.isPlaceholderData ? "opacity-60" : ""}`}>
          {days.map(({ start, rows }) => (
            <Card key={start.getTime()} title={dayName(start, now)} aside={<Tally rows={rows} />}>
              <ul className="ml-1.5">
                {rows.map((change) => (
                  <ChangeEntry key={keyOf(change)} change={change} />
                ))}
              </ul>
            </Card>
          ))}
          {feed.hasNextPage && (
            <Button
              className="self-center"
              disabled={feed.isFetching}
              onClick={() => void feed.fetchNextPage()}
            >
              {feed.isFetchingNextPage ? "Loading older changes" : "Show older changes"}
            </Button>
          )}
        </div>
      )}
    </>
  );
}

export function keyOf({ timestamp, provider, resource_id, change, since }: ResourceChange): string {
  return [timestamp, provider, resource_id, change, since].join(" ");
}

const ANY = "";

function TypeFilter({ search }: { search: ChangesSearch }) {
  const setSearch = useSetSearch();
  return (
    <Select
      label="Type of resource"
      value={search.resource_type?.[0] ?? ANY}
      options={[
        { value: ANY, label: "Every type" },
        ...RESOURCE_TYPES.map((type) => ({ value: type, label: words(type) })),
      ]}
      onChange={(type) => {
        setSearch({ resource_type: type === ANY ? undefined : [type] });
      }}
    />
  );
}

/** Which changes are shown: all, or those that are pressed; and of which resource. */
function KindFilter({ search }: { search: ChangesSearch }) {
  const setSearch = useSetSearch();
  const { resource_id: id } = search;
  return (
    <div role="group" aria-label="What happened" className="mb-4 flex flex-wrap items-center gap-2">
      {CHANGES.map((change) => (
        <button
          key={change}
          type="button"
          aria-pressed={search.change?.includes(change) ?? false}
          onClick={() => {
            setSearch({ change: toggled(search.change, change) });
          }}
          className="rounded-full border border-line-strong bg-surface px-3 py-1 text-xs hover:bg-sunken aria-pressed:border-accent aria-pressed:bg-accent-soft aria-pressed:font-medium aria-pressed:text-accent"
        >
          {words(change)}
        </button>
      ))}
      {id && (
        <FilterChip
          text={`of ${id}`}
          onRemove={() => {
            setSearch({ resource_id: undefined });
          }}
        />
      )}
    </div>
  );
}

/** How often each change happened. */
function Tally({ rows }: { rows: ResourceChange[] }) {
  const counts = CHANGES.map((change) => ({
    change,
    times: rows.filter((row) => row.change === change).length,
  }));
  return (
    <span className="text-xs text-muted">
      {counts
        .filter(({ times }) => times > 0)
        .map(({ change, times }) => `${times} ${words(change).toLowerCase()}`)
        .join(" · ")}
    </span>
  );
}

function NothingChanged({ search }: { search: ChangesSearch }) {
  const setSearch = useSetSearch();
  const narrowed = Object.values(search).some((value) => value !== undefined);
  return (
    <Card>
      <Empty title={narrowed ? "No such change in this time" : "Nothing changed in this time"}>
        <p className="mb-2">
          {narrowed
            ? "Take the filters off, or look further back with the time range above."
            : "Look further back with the time range above. Changes show once an inventory was listed completely."}
        </p>
        {narrowed && (
          <Button
            onClick={() => {
              setSearch({ change: undefined, resource_type: undefined, resource_id: undefined });
            }}
          >
            Clear filters
          </Button>
        )}
      </Empty>
    </Card>
  );
}
