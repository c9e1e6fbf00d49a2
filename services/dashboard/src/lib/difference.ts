/** What differs between two states of a resource. */

export interface Difference {
  /** Like `tags.env`. */
  path: string;
  /** Undefined where this side lacks it. */
  before: unknown;
  after: unknown;
}

type State = Record<string, unknown>;

/** Every leaf that the sides do not share, in order of its path; lists are compared whole. */
export function differences(before: State | null, after: State | null): Difference[] {
  const was = new Map(leaves(before ?? {}));
  const is = new Map(leaves(after ?? {}));
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((path) => JSON.stringify(was.get(path)) !== JSON.stringify(is.get(path)))
    .toSorted((a, b) => a.localeCompare(b))
    .map((path) => ({ path, before: was.get(path), after: is.get(path) }));
}

function leaves(state: State, prefix = ""): [string, unknown][] {
  return Object.entries(state).flatMap(([name, value]): [string, unknown][] => {
    // A whole state has its metadata apart; a change names it beside the other fields.
    const path = name === "metadata" && prefix === "" ? "" : prefix + name;
    if (isState(value)) return leaves(value, path && `${path}.`);
    return value === null ? [] : [[path, value]];
  });
}

function isState(value: unknown): value is State {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
