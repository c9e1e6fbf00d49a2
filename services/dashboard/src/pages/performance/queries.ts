import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import type { ResourceType, TrendBucket } from "@/api/types";
import type { Range } from "@/lib/range";
import { intervalFor } from "@/lib/series";
import type { Statistic } from "./search";

/** Which series: those of one metric and type, of some resources or (none named) of all. */
export interface Selection {
  customer: string;
  provider: string;
  range: Range;
  metric: string;
  type: ResourceType;
  resources: string[];
}

const PAGE_ROWS = 10_000;
/** A month of hours of 40 resources; the rest would be no readable chart. */
const MOST_PAGES = 3;
const RANKED = 500;
const RECENT_POINTS = 2000;

function filters({ metric, type, resources, range }: Selection) {
  return { ...range, metric_name: [metric], metric_type: type, resource_id: resources };
}

/** What `trends` is asked for a selection. */
export function trendParameters(selection: Selection) {
  return {
    ...filters(selection),
    interval: intervalFor(selection.range),
    group_by: selection.resources.length > 0 ? ("resource" as const) : ("metric" as const),
  };
}

export interface Trends {
  rows: TrendBucket[];
  start: string;
  end: string;
  /** False where there are more buckets than a chart can show. */
  whole: boolean;
}

/** The buckets of every selected resource, or of all of them together. */
export function trendsQuery(selection: Selection) {
  const { customer, provider } = selection;
  return queryOptions({
    queryKey: ["trends", selection],
    queryFn: async ({ signal }): Promise<Trends> => {
      const rows: TrendBucket[] = [];
      let cursor: string | null | undefined;
      for (let page = 1; ; page++) {
        const answer = await body(
          api.GET("/api/v2/performance/{customer_id}/{provider}/trends", {
            params: {
              path: { customer_id: customer, provider },
              query: { ...trendParameters(selection), limit: PAGE_ROWS, cursor: cursor ?? null },
            },
            signal,
          }),
        );
        rows.push(...answer.data);
        cursor = answer.next_cursor;
        if (cursor === null || page === MOST_PAGES) {
          return { rows, start: answer.start, end: answer.end, whole: cursor === null };
        }
      }
    },
    placeholderData: keepPreviousData,
  });
}

/** The resources that have the metric, the highest first. */
export function rankingQuery(selection: Selection, statistic: Statistic) {
  const { customer, provider } = selection;
  const everything = { ...selection, resources: [] };
  return queryOptions({
    queryKey: ["ranking", everything, statistic],
    queryFn: ({ signal }) =>
      body(
        api.GET("/api/v2/performance/{customer_id}/{provider}/by-resource", {
          params: {
            path: { customer_id: customer, provider },
            query: { ...filters(everything), sort: statistic, limit: RANKED },
          },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

/** From when on the provider may still change what is shown, in seconds since the epoch. */
export function provisionalQuery(selection: Selection) {
  const { customer, provider } = selection;
  return queryOptions({
    queryKey: ["provisional", selection],
    queryFn: async ({ signal }): Promise<number | null> => {
      const newest = await body(
        api.GET("/api/v2/performance/{customer_id}/{provider}/metrics", {
          params: {
            path: { customer_id: customer, provider },
            query: { ...filters(selection), order: "desc", limit: RECENT_POINTS },
          },
          signal,
        }),
      );
      const open = newest.data.filter((point) => !point.settled);
      const first = open.at(-1);
      return first ? Date.parse(first.timestamp) / 1000 : null;
    },
  });
}
