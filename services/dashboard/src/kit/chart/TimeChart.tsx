import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useTheme } from "@/app/theme";
import type { Values } from "@/lib/series";
import { localTime, utcTime } from "@/lib/time";
import { quantity } from "@/lib/units";
import { themeColor } from "./colors";

export interface Line {
  label: string;
  color: string;
  values: Values;
  dash?: number[];
  width?: number;
}

/** The area between two lines, by their places. */
export interface Band {
  upper: number;
  lower: number;
  /** From 0 to 1. */
  opacity: number;
}

/** A stretch of time that stands out, in seconds since the epoch. */
export interface Shade {
  start: number;
  end: number;
  /** A colour of the theme, like `warn`. */
  color: string;
  hatched: boolean;
}

export interface TimeChartProps {
  /** What it shows, for those who do not see it. */
  label: string;
  /** Ascending, in seconds since the epoch; every line has a value for each. */
  times: number[];
  lines: Line[];
  unit: string;
  bands?: Band[];
  shades?: Shade[];
  /** Moments to mark, with what happened. */
  marks?: { time: number; text: string }[];
  /** What to say of a time at which the line has no point. */
  missing?: (line: number, index: number) => ReactNode;
  /** More to say of a time. */
  note?: (index: number) => ReactNode;
  onZoom?: (start: Date, end: Date) => void;
  height?: number;
  /** Gets the canvas whenever it is drawn anew. */
  onDraw?: (canvas: HTMLCanvasElement) => void;
}

interface Cursor {
  index: number;
  left: number;
}

const TOOLTIP_LINES = 12;

/** Lines over time. Gaps stay gaps; dragging over a stretch of time zooms into it. */
export function TimeChart(props: TimeChartProps) {
  const { label, times, lines, unit, bands, shades, marks, height = 300 } = props;
  const theme = useTheme();
  const root = useRef<HTMLDivElement>(null);
  const [cursor, setCursor] = useState<Cursor | null>(null);
  // What changes without the drawing changing.
  const callbacks = useRef(props);
  useEffect(() => {
    callbacks.current = props;
  });

  useEffect(() => {
    const element = root.current;
    if (!element) return;
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height,
        padding: [12, 12, 0, 0],
        scales: { y: { range: fromZero } },
        axes: axes(unit),
        series: [
          {},
          ...lines.map((line) => ({
            label: line.label,
            stroke: line.color,
            width: line.width ?? 1.5,
            ...(line.dash ? { dash: line.dash } : {}),
          })),
        ],
        bands: (bands ?? []).map(({ upper, lower, opacity }) => ({
          series: [upper + 1, lower + 1],
          fill: transparent(lines[upper]?.color ?? "#888888", opacity),
        })),
        legend: { show: false },
        cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
        hooks: {
          drawClear: [
            (chart) => {
              for (const shade of shades ?? []) paintShade(chart, shade);
              for (const mark of marks ?? []) paintMark(chart, mark.time);
            },
          ],
          draw: [
            (chart) => {
              performance.mark("chart-drawn");
              callbacks.current.onDraw?.(chart.ctx.canvas);
            },
          ],
          setCursor: [
            (chart) => {
              const { idx, left } = chart.cursor;
              const inside = typeof idx === "number" && left !== undefined && left >= 0;
              setCursor(inside ? { index: idx, left: left + chart.over.offsetLeft } : null);
            },
          ],
          setSelect: [
            (chart) => {
              const { left, width } = chart.select;
              chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
              if (width < 4) return;
              callbacks.current.onZoom?.(
                new Date(chart.posToVal(left, "x") * 1000),
                new Date(chart.posToVal(left + width, "x") * 1000),
              );
            },
          ],
        },
      },
      [times, ...lines.map((line) => line.values)] as uPlot.AlignedData,
      element,
    );
    const resized = new ResizeObserver(() => {
      plot.setSize({ width: element.clientWidth, height });
    });
    resized.observe(element);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
    // The theme's colours are read while drawing.
  }, [times, lines, unit, bands, shades, marks, height, theme]);

  return (
    <div className="relative" role="img" aria-label={label}>
      <div ref={root} style={{ height }} />
      {cursor && <Tooltip {...props} cursor={cursor} />}
    </div>
  );
}

function Tooltip({
  times,
  lines,
  unit,
  missing,
  note,
  marks,
  cursor,
}: TimeChartProps & { cursor: Cursor }) {
  const time = times[cursor.index];
  if (time === undefined) return null;
  const at = new Date(time * 1000);
  const step = (times[1] ?? time) - (times[0] ?? time);
  const onTheLeft = cursor.left < 280;
  const events = (marks ?? []).filter((mark) => mark.time >= time && mark.time < time + step);
  // A value that lies between two points of its line is the one before.
  const shown = lines.map((line, place) => ({ line, place, value: line.values[cursor.index] }));
  return (
    <div
      className="pointer-events-none absolute top-2 z-10 flex max-w-72 flex-col gap-1 rounded-lg border border-line bg-surface/95 px-3 py-2 text-xs shadow-lg"
      style={
        onTheLeft ? { left: cursor.left + 14 } : { left: cursor.left - 14, translate: "-100%" }
      }
    >
      <p className="font-medium">{localTime(at)}</p>
      <p className="text-muted">{utcTime(at)}</p>
      {shown.slice(0, TOOLTIP_LINES).map(({ line, place, value }) => (
        <div key={place} className="flex items-baseline gap-2">
          <span
            className="h-0.5 w-3 shrink-0 self-center rounded"
            style={{ background: line.color }}
          />
          <span className="truncate text-muted">{line.label}</span>
          <span className="ml-auto pl-2 text-right font-medium tabular-nums">
            {value === null
              ? (missing?.(place, cursor.index) ?? "no point")
              : quantity(value, unit)}
          </span>
        </div>
      ))}
      {shown.length > TOOLTIP_LINES && (
        <p className="text-muted">and {shown.length - TOOLTIP_LINES} more lines</p>
      )}
      {events.map((mark) => (
        <p key={mark.text}>{mark.text}</p>
      ))}
      {note?.(cursor.index)}
    </div>
  );
}

function fromZero(_: uPlot, low: number | null, high: number | null): uPlot.Range.MinMax {
  const top = (high ?? 1) * 1.08;
  return [Math.min(low ?? 0, 0), top > 0 ? top : 1];
}

const DAY_SECONDS = 86_400;
const HOUR_FORMAT = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DAY_FORMAT = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

/** The hour, and below it the day wherever another one begins. */
function tickTexts(splits: number[], step: number): string[] {
  let before = "";
  return splits.map((split) => {
    const at = new Date(split * 1000);
    const day = DAY_FORMAT.format(at);
    if (step >= DAY_SECONDS) return day;
    const text = day === before ? HOUR_FORMAT.format(at) : `${HOUR_FORMAT.format(at)}\n${day}`;
    before = day;
    return text;
  });
}

function axes(unit: string): uPlot.Axis[] {
  const shared: uPlot.Axis = {
    stroke: () => themeColor("muted"),
    grid: { stroke: () => themeColor("line"), width: 1 },
    ticks: { show: false },
    font: "11px system-ui, sans-serif",
  };
  return [
    {
      ...shared,
      grid: { show: false },
      space: 70,
      values: (_, splits, _axis, _space, step) => tickTexts(splits, step),
    },
    {
      ...shared,
      // Before the first values are known there are none.
      size: (_, texts) =>
        14 + 7 * Math.max(0, ...((texts as string[] | null) ?? []).map((text) => text.length)),
      values: (_, values) => values.map((value) => quantity(value, unit)),
    },
  ];
}

function paintShade(chart: uPlot, { start, end, color, hatched }: Shade): void {
  const { ctx, bbox } = chart;
  const left = Math.max(chart.valToPos(start, "x", true), bbox.left);
  const right = Math.min(chart.valToPos(end, "x", true), bbox.left + bbox.width);
  if (right <= left) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, bbox.top, right - left, bbox.height);
  ctx.clip();
  ctx.globalAlpha = 0.1;
  ctx.fillStyle = themeColor(color);
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
  if (hatched) {
    ctx.globalAlpha = 0.35;
    ctx.strokeStyle = themeColor(color);
    ctx.lineWidth = 1;
    const step = 8 * devicePixelRatio;
    ctx.beginPath();
    for (let x = left - bbox.height; x < right; x += step) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.stroke();
  }
  ctx.restore();
}

function paintMark(chart: uPlot, time: number): void {
  const { ctx, bbox } = chart;
  const x = chart.valToPos(time, "x", true);
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.save();
  ctx.strokeStyle = themeColor("accent");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.restore();
}

/** `#rrggbb` with an opacity from 0 to 1. */
function transparent(color: string, opacity: number): string {
  const alpha = Math.round(opacity * 255);
  return color + alpha.toString(16).padStart(2, "0");
}
