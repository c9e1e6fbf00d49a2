/** Values with their UCUM units, as people write them. */

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;
const DECIMAL = ["", "k", "M", "G", "T"] as const;

const SUFFIX: Record<string, string> = {
  "%": "%",
  ms: " ms",
  "{op}/s": " ops/s",
  "{packet}/s": " pkt/s",
  "{req}/s": " req/s",
};

/** Like `12.5%`, `1.2 GiB/s` or `3 d 4 h`; an em dash for what is unknown. */
export function quantity(value: number | null | undefined, unit = ""): string {
  if (value === null || value === undefined) return "—";
  if (unit === "By" || unit === "By/s") return bytes(value) + (unit === "By/s" ? "/s" : "");
  if (unit === "s") return duration(value);
  if (unit === "%") return `${digits(value)}%`;
  return scaled(value) + (SUFFIX[unit] ?? "");
}

export function bytes(value: number): string {
  const power = step(value, 1024, BINARY.length);
  return `${digits(value / 1024 ** power)} ${BINARY[power] ?? ""}`;
}

/** Seconds in their two largest units. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${digits(seconds * 1000)} ms`;
  if (seconds < 60) return `${digits(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  const parts: [number, string][] = [
    [Math.floor(minutes / 1440), "d"],
    [Math.floor(minutes / 60) % 24, "h"],
    [minutes % 60, "min"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, name]) => `${count} ${name}`)
    .join(" ");
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "—" : value.toLocaleString();
}

/** Like `1 host` or `1,200 hosts`. */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** Like `98.2%`; never 100% for what is not whole. */
export function share(ratio: number): string {
  if (ratio >= 1) return "100%";
  return `${Math.min(Math.floor(ratio * 1000) / 10, 99.9)}%`;
}

export function dollars(value: number): string {
  if (value === 0) return "$0";
  return value < 0.01 ? `$${value.toPrecision(2)}` : `$${value.toFixed(2)}`;
}

/** `cpu_utilization` -> `CPU utilization`. */
export function words(name: string): string {
  const text = name
    .split("_")
    .map((word) => ACRONYMS[word] ?? word)
    .join(" ");
  return text.startsWith("vCPU") ? text : text.charAt(0).toUpperCase() + text.slice(1);
}

const ACRONYMS: Record<string, string> = {
  cpu: "CPU",
  lb: "load balancer",
  db: "database",
  k8s: "Kubernetes",
  ops: "operations",
  per: "per",
  sec: "second",
  vcpus: "vCPUs",
  "5xx": "5xx",
};

export const PROVIDERS: Record<string, string> = {
  aws: "AWS",
  gcp: "Google Cloud",
  azure: "Azure",
  vultr: "Vultr",
  host: "Hosts",
};

/** How a provider calls itself. */
export function providerName(provider: string): string {
  return PROVIDERS[provider] ?? provider;
}

function scaled(value: number): string {
  const power = step(value, 1000, DECIMAL.length);
  return digits(value / 1000 ** power) + (DECIMAL[power] ?? "");
}

function step(value: number, base: number, steps: number): number {
  const magnitude = Math.abs(value);
  if (magnitude < base) return 0;
  return Math.min(Math.floor(Math.log(magnitude) / Math.log(base)), steps - 1);
}

/** Three digits that matter. */
function digits(value: number): string {
  const magnitude = Math.abs(value);
  const decimals = magnitude >= 100 || value === 0 ? 0 : magnitude >= 10 ? 1 : 2;
  return String(Number(value.toFixed(decimals)));
}
