/** Colours of lines, told apart in both themes and by those who see fewer of them. */
import type { Theme } from "@/app/theme";

const LINES: Record<Theme, readonly string[]> = {
  light: [
    ...["#0b7a70", "#c2410c", "#1d4ed8", "#a21caf", "#a16207"],
    ...["#0369a1", "#be123c", "#4d7c0f", "#6d28d9", "#57534e"],
  ],
  dark: [
    ...["#4fd1c1", "#fb923c", "#7aa5ff", "#e879f9", "#facc15"],
    ...["#38bdf8", "#fb7185", "#a3e635", "#b79cff", "#c7c2bd"],
  ],
};

/** The colour of the nth line. */
export function lineColor(theme: Theme, index: number): string {
  const colors = LINES[theme];
  return colors[index % colors.length] ?? "#888";
}

/** From the second round of colours on, lines are dashed. */
export function lineDash(index: number): number[] {
  return [[], [6, 4], [2, 3]][Math.floor(index / LINES.light.length) % 3] ?? [];
}

/** A colour of the theme, for canvases, which know no variables. */
export function themeColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
