/** A chart as a picture, with its title and legend, in the theme that is shown. */
import { save } from "@/kit/download";
import { themeColor } from "./colors";

const MARGIN = 16;
const ROW = 20;
const COLUMN = 220;

export function savePng(
  chart: HTMLCanvasElement,
  name: string,
  title: string,
  lines: { label: string; color: string }[],
): void {
  const scale = devicePixelRatio;
  const width = chart.width / scale + 2 * MARGIN;
  const perRow = Math.max(Math.floor((width - 2 * MARGIN) / COLUMN), 1);
  const legend = Math.ceil(lines.length / perRow) * ROW;
  const top = MARGIN + ROW + 8;
  const height = top + chart.height / scale + legend + MARGIN;

  const picture = document.createElement("canvas");
  picture.width = width * scale;
  picture.height = height * scale;
  const context = picture.getContext("2d");
  if (!context) return;
  context.scale(scale, scale);
  context.fillStyle = themeColor("surface");
  context.fillRect(0, 0, width, height);
  context.fillStyle = themeColor("ink");
  context.font = "600 15px system-ui, sans-serif";
  context.fillText(title, MARGIN, MARGIN + 14);
  context.drawImage(chart, MARGIN, top, chart.width / scale, chart.height / scale);
  context.font = "12px system-ui, sans-serif";
  for (const [index, line] of lines.entries()) {
    const x = MARGIN + (index % perRow) * COLUMN;
    const y = top + chart.height / scale + Math.floor(index / perRow) * ROW + 14;
    context.fillStyle = line.color;
    context.fillRect(x, y - 5, 14, 3);
    context.fillStyle = themeColor("ink");
    context.fillText(line.label, x + 20, y, COLUMN - 28);
  }
  picture.toBlob((content) => {
    if (content) save(content, `${name}.png`);
  });
}
