import { useQuery } from "@tanstack/react-query";
import { SlidersHorizontal } from "lucide-react";
import { type SyntheticEvent, useId, useState } from "react";
import { useSetSearch } from "@/app/scope";
import { Button } from "@/kit/Button";
import { Facet } from "@/kit/Facet";
import { rfc3339 } from "@/lib/range";
import { toggled } from "@/lib/search";
import { words } from "@/lib/units";
import { countsQuery, type Owner } from "./queries";
import type { ResourcesSearch } from "./search";

const FACETS = [
  { field: "resource_type", title: "Type", counts: "by_type", name: words },
  { field: "status", title: "Status", counts: "by_status", name: words },
  {
    field: "region",
    title: "Region",
    counts: "by_region",
    name: (region: string) => region || "None",
  },
] as const;

/** What narrows the table. Beside it where there is room, else behind a button. */
export function Filters({
  owner,
  search,
  tags,
}: {
  owner: Owner;
  search: ResourcesSearch;
  /** Tags to suggest. */
  tags: string[];
}) {
  const [open, setOpen] = useState(false);
  const panel = useId();
  return (
    <div className="lg:sticky lg:top-[70px] lg:w-60 lg:shrink-0">
      <Button
        className="w-full lg:hidden"
        aria-expanded={open}
        aria-controls={panel}
        onClick={() => {
          setOpen(!open);
        }}
      >
        <SlidersHorizontal className="size-4" aria-hidden />
        {open ? "Hide filters" : "Filters"}
      </Button>
      <div
        id={panel}
        className={`flex-col gap-5 rounded-xl border border-line bg-surface p-4 max-lg:mt-2 lg:flex lg:max-h-[calc(100dvh-86px)] lg:overflow-y-auto ${open ? "flex" : "hidden"}`}
      >
        {FACETS.map((facet) => (
          <OneFacet key={facet.field} owner={owner} search={search} facet={facet} />
        ))}
        <TagFilter search={search} tags={tags} />
        <MomentFilter search={search} />
      </div>
    </div>
  );
}

/** Its counts leave its own choice out, so that they say what another choice would show. */
function OneFacet({
  owner,
  search,
  facet,
}: {
  owner: Owner;
  search: ResourcesSearch;
  facet: (typeof FACETS)[number];
}) {
  const setSearch = useSetSearch();
  const { data } = useQuery(countsQuery(owner, { ...search, [facet.field]: undefined }));
  return (
    <Facet
      title={facet.title}
      counts={data?.[facet.counts] ?? {}}
      chosen={search[facet.field] ?? []}
      name={facet.name}
      onToggle={(value) => {
        setSearch({ [facet.field]: toggled(search[facet.field], value) });
      }}
    />
  );
}

function TagFilter({ search, tags }: { search: ResourcesSearch; tags: string[] }) {
  const setSearch = useSetSearch();
  const [tag, setTag] = useState("");
  const [fault, setFault] = useState("");
  const id = useId();

  function submit(event: SyntheticEvent) {
    event.preventDefault();
    const wanted = tag.trim();
    if (!/^.+:/s.test(wanted)) {
      setFault("Write key:value, like env:prod.");
      return;
    }
    setFault("");
    setTag("");
    if (!search.tag?.includes(wanted)) setSearch({ tag: [...(search.tag ?? []), wanted] });
  }

  return (
    <form onSubmit={submit}>
      <label htmlFor={id} className="block pb-1 text-xs font-medium text-muted">
        Tag
      </label>
      <div className="flex gap-1.5">
        <input
          id={id}
          list={`${id}-known`}
          value={tag}
          placeholder="key:value"
          autoComplete="off"
          aria-invalid={fault !== ""}
          aria-describedby={fault ? `${id}-fault` : undefined}
          onChange={(event) => {
            setTag(event.target.value);
          }}
          className="min-w-0 flex-1 rounded-md border border-line-strong bg-surface px-2 py-1 placeholder:text-muted"
        />
        <Button type="submit" className="px-2! py-1!">
          Add
        </Button>
      </div>
      <datalist id={`${id}-known`}>
        {tags.map((known) => (
          <option key={known} value={known} />
        ))}
      </datalist>
      {fault && (
        <p id={`${id}-fault`} role="alert" className="pt-1 text-xs text-bad">
          {fault}
        </p>
      )}
    </form>
  );
}

function MomentFilter({ search }: { search: ResourcesSearch }) {
  const setSearch = useSetSearch();
  const id = useId();
  return (
    <div className="flex flex-col gap-2 border-t border-line pt-4">
      <label htmlFor={id} className="text-xs font-medium text-muted">
        As it was at
      </label>
      <input
        id={id}
        type="datetime-local"
        value={search.as_of ? inZone(new Date(search.as_of)) : ""}
        max={inZone(new Date())}
        onChange={(event) => {
          const at = new Date(event.target.value);
          setSearch(
            Number.isNaN(at.getTime())
              ? { as_of: undefined }
              : { as_of: rfc3339(at), include_deleted: undefined },
          );
        }}
        className="w-full rounded-md border border-line-strong bg-surface px-2 py-1"
      />
      <label className="-mx-1.5 flex items-center gap-2 rounded px-1.5 py-1 hover:bg-sunken">
        <input
          type="checkbox"
          checked={search.include_deleted === "true"}
          disabled={search.as_of !== undefined}
          onChange={(event) => {
            setSearch({ include_deleted: event.target.checked ? "true" : undefined });
          }}
          className="size-4 accent-accent"
        />
        Also what is gone
      </label>
    </div>
  );
}

/** As `<input type="datetime-local">` has it: in the viewer's zone, without naming it. */
function inZone(at: Date): string {
  const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 16);
}
