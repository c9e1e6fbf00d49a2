import { useRouter } from "@tanstack/react-router";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import {
  type KeyboardEvent,
  memo,
  type MouseEvent,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from "react";
import type { Resource } from "@/api/types";
import { Badge, StatusBadge } from "@/kit/Badge";
import { Tag } from "@/kit/Tag";
import { Time } from "@/kit/Time";
import { described, sizeOf, tagsOf } from "@/lib/metadata";
import { providerName, words } from "@/lib/units";

const ROW_PX = 60;
const OVERSCAN = 12;
/** The next page is asked for when so many rows are left below what is in sight. */
const AHEAD = 250;
const TAGS = 3;

const COLUMNS = [
  { heading: "Name", width: "w-[28%] max-md:w-auto" },
  { heading: "Type", width: "w-[20%]", wide: true },
  { heading: "Status", width: "w-[17%] max-md:w-36" },
  { heading: "Place", width: "w-[16%]", wide: true },
  { heading: "Tags", width: "w-[19%]", wide: true },
];

/**
 * The rows in sight, and a few more. It scrolls with the page; the rows have one height, so
 * that nothing needs to be measured. Up and down go from row to row.
 */
export function ResourceTable({
  rows,
  total,
  suffix,
  more,
}: {
  rows: Resource[];
  /** How many there are, loaded or not. */
  total: number;
  /** The query string of the resources' own pages. */
  suffix: string;
  /** Loads the next page; undefined where there is none, or while it comes. */
  more: (() => void) | undefined;
}) {
  const router = useRouter();
  const table = useRef<HTMLTableElement>(null);
  const [top, setTop] = useState(0);
  useLayoutEffect(() => {
    const body = table.current?.tBodies[0];
    if (body) setTop(body.getBoundingClientRect().top + window.scrollY);
  }, []);
  const virtualizer = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_PX,
    overscan: OVERSCAN,
    // Rows are prepared beyond what is in sight; drawing them need not hold up the scrolling.
    useFlushSync: false,
    scrollMargin: top,
  });
  const inSight = virtualizer.getVirtualItems();
  const first = inSight[0]?.index ?? 0;
  const last = inSight.at(-1)?.index ?? -1;
  useEffect(() => {
    if (last > rows.length - AHEAD) more?.();
  }, [last, rows.length, more]);

  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- of its links
    <table
      ref={table}
      aria-label="Resources"
      aria-rowcount={total + 1}
      onKeyDown={goToNeighbour}
      onClick={(event) => {
        const href = followed(event);
        if (href) router.history.push(href);
      }}
      className="w-full table-fixed border-collapse text-left"
    >
      <colgroup>
        {COLUMNS.map(({ heading, width, wide }) => (
          <col key={heading} className={`${width} ${wide ? "max-md:hidden" : ""}`} />
        ))}
      </colgroup>
      <thead className="z-10 bg-surface text-xs text-muted max-md:sr-only lg:sticky lg:top-[53px]">
        <tr aria-rowindex={1}>
          {COLUMNS.map(({ heading, wide }) => (
            <th
              key={heading}
              scope="col"
              className={`${wide ? "max-md:hidden" : ""} border-b border-line px-3 py-2 font-medium first:rounded-tl-xl first:pl-4 last:rounded-tr-xl`}
            >
              {heading}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        <Space rows={first} />
        {inSight.map(({ index }) => {
          const row = rows[index];
          return row && <Row key={index} row={row} index={index} suffix={suffix} />;
        })}
        <Space rows={rows.length - last - 1} />
      </tbody>
    </table>
  );
}

/** The height of rows that are out of sight. */
function Space({ rows }: { rows: number }) {
  return (
    <tr aria-hidden>
      <td className="p-0" style={{ height: rows * ROW_PX }} />
    </tr>
  );
}

const Row = memo(function Row({
  row,
  index,
  suffix,
}: {
  row: Resource;
  index: number;
  suffix: string;
}) {
  const tags = tagsOf(row.metadata);
  const size = sizeOf(row.metadata);
  return (
    <tr
      aria-rowindex={index + 2}
      style={{ height: ROW_PX }}
      className="border-b border-line hover:bg-sunken/60"
    >
      <td className="py-1 pr-3 pl-4">
        <a
          href={`/resources/${encodeURIComponent(row.resource_id)}${suffix}`}
          className="block truncate font-medium text-accent hover:underline"
        >
          {row.resource_name || row.resource_id}
        </a>
        <Second className="font-mono max-md:hidden" title={row.resource_id}>
          {row.resource_id}
        </Second>
        <Second className="md:hidden">
          {words(row.resource_type)} · {row.region || providerName(row.provider)}
        </Second>
      </td>
      <td className="px-3 py-1 max-md:hidden">
        <p className="truncate">{words(row.resource_type)}</p>
        <Second>
          {size || described("storage_bytes", row.metadata.storage_bytes).replace("—", "")}
        </Second>
      </td>
      <td className="px-3 py-1">
        {row.deleted_at ? <Badge tone="bad">Gone</Badge> : <StatusBadge status={row.status} />}
        <Second>
          {row.deleted_at ? (
            <Time at={row.deleted_at} relative />
          ) : row.unknown_since ? (
            <span className="text-warn" title="Its scope was not listed completely since then">
              unsure since <Time at={row.unknown_since} relative />
            </span>
          ) : (
            <span className="max-md:hidden">
              seen <Time at={row.last_seen} relative />
            </span>
          )}
        </Second>
      </td>
      <td className="px-3 py-1 max-md:hidden">
        <p className="truncate">{row.region || "—"}</p>
        <Second>
          {providerName(row.provider)} · {row.account_id}
        </Second>
      </td>
      <td className="px-3 py-1 max-md:hidden">
        <div className="flex max-h-12 flex-wrap gap-1 overflow-hidden" title={tags.join("\n")}>
          {tags.slice(0, TAGS).map((tag) => (
            <Tag key={tag}>{tag}</Tag>
          ))}
          {tags.length > TAGS && <Tag>+{tags.length - TAGS}</Tag>}
        </div>
      </td>
    </tr>
  );
});

function Second({
  children,
  className = "",
  title,
}: {
  children: React.ReactNode;
  className?: string;
  title?: string;
}) {
  return (
    <p className={`truncate text-xs text-muted ${className}`} title={title}>
      {children}
    </p>
  );
}

/**
 * The address of a link that a click follows in this tab. The rows' links are plain, since the
 * router's own take most of the time that a row takes.
 */
function followed(event: MouseEvent): string | null | undefined {
  const changed = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (changed || event.button !== 0) return null;
  const href = (event.target as Element).closest("tbody a")?.getAttribute("href");
  if (href) event.preventDefault();
  return href;
}

function goToNeighbour(event: KeyboardEvent<HTMLTableElement>): void {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const links = [...event.currentTarget.querySelectorAll<HTMLAnchorElement>("tbody a")];
  const place = links.indexOf(document.activeElement as HTMLAnchorElement);
  const next = links[place + (event.key === "ArrowDown" ? 1 : -1)];
  if (place === -1 || !next) return;
  event.preventDefault();
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "center" });
}
