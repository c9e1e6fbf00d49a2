/** The query string: plain and repeated parameters, as the API has them, and no JSON. */

export type Search = Record<string, string | string[]>;

export function parseSearch(text: string): Search {
  const found: Search = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const before = found[name];
    if (before === undefined) found[name] = value;
    else found[name] = [...(Array.isArray(before) ? before : [before]), value];
  }
  return found;
}

export function stringifySearch(search: Record<string, unknown>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) {
      if (typeof one === "string" || typeof one === "number" || one === true) {
        parameters.append(name, String(one));
      }
    }
  }
  const text = parameters.toString();
  return text && `?${text}`;
}

/** A parameter that stands once; undefined where it is absent. */
export function single(value: unknown): string | undefined {
  const first: unknown = Array.isArray(value) ? value[0] : value;
  return typeof first === "string" && first !== "" ? first : undefined;
}

/** A repeatable parameter; undefined where it is absent, so that the URL stays short. */
export function several(value: unknown): string[] | undefined {
  const all = (Array.isArray(value) ? (value as unknown[]) : [value]).filter(
    (one): one is string => typeof one === "string" && one !== "",
  );
  return all.length ? all : undefined;
}

/** The value where it is one of `choices`; undefined where it is not. */
export function oneOf<T extends string>(value: unknown, choices: readonly T[]): T | undefined {
  return choices.find((choice) => choice === single(value));
}

/** The list with a value that it lacked, or without one that it had; undefined for none. */
export function toggled(values: string[] | undefined, value: string): string[] | undefined {
  const others = values?.filter((one) => one !== value) ?? [];
  const next = others.length === (values?.length ?? 0) ? [...others, value] : others;
  return next.length ? next : undefined;
}
