/** What providers tell of a resource, as people read it. */
import { bytes, count } from "./units";

export type Metadata = Record<string, unknown>;

/** A value in words: sizes with units, lists with commas; an em dash for what is unknown. */
export function described(name: string, value: unknown): string {
  if (value === null || value === undefined || value === "") return "—";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return name.endsWith("_bytes") ? bytes(value) : count(value);
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((one) => typeof one !== "object")) {
    return value.map(String).join(", ");
  }
  return JSON.stringify(value, null, 1);
}

/** The tags as `key:value`, which is how the API's filter takes them. */
export function tagsOf(metadata: Metadata): string[] {
  const { tags } = metadata;
  if (typeof tags !== "object" || tags === null) return [];
  return Object.entries(tags).map(([key, value]) => `${key}:${String(value)}`);
}

/** Like `4 vCPU · 16 GiB`; empty where neither is known. */
export function sizeOf({ vcpus, memory_bytes }: Metadata): string {
  return [
    typeof vcpus === "number" && `${count(vcpus)} vCPU`,
    typeof memory_bytes === "number" && bytes(memory_bytes),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** Metadata that names other resources by id, and what they are to this one. */
const LINKS: Record<string, string> = {
  attached_to: "Attached to",
  attached_to_all: "Attached to",
  network: "Network",
  vpc_id: "Network",
  replica_of: "Replica of",
  node_ids: "Nodes",
};

export interface ResourceLink {
  relation: string;
  resourceId: string;
}

/** The resources that the metadata names; it may also name what is not in the inventory. */
export function linksOf(metadata: Metadata): ResourceLink[] {
  const found = Object.entries(LINKS).flatMap(([name, relation]) =>
    [metadata[name]]
      .flat()
      .filter((id): id is string => typeof id === "string" && id !== "")
      .map((resourceId) => ({ relation, resourceId })),
  );
  const first = new Map(found.map((link) => [link.resourceId, link]));
  return [...first.values()];
}

const SHOWN_APART = new Set(["tags", ...Object.keys(LINKS)]);

/** What is neither a tag nor a link, sizes and dates first. */
export function factsOf(metadata: Metadata): [string, unknown][] {
  const place = (name: string) => {
    const index = FIRST.indexOf(name);
    return index === -1 ? FIRST.length : index;
  };
  return Object.entries(metadata)
    .filter(([name]) => !SHOWN_APART.has(name))
    .toSorted(([a], [b]) => place(a) - place(b) || a.localeCompare(b));
}

const FIRST = [
  ...["instance_type", "vcpus", "memory_bytes", "storage_bytes"],
  ...["zone", "native_status", "created_at", "launched_at"],
];
