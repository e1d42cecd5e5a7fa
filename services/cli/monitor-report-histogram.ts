// A column's two distributions as SVG: the baseline's bars in grey, the current ones before them.
// Numbers stand on their shared edges; categories are pairs of bars with names.

import type { ColumnBins } from "../../gen/plinth/monitoring/v1/report_pb.js";
import { linear, shortNumber, ticks } from "./monitor-report-axes.ts";
import { html, type Markup, nothing, px } from "./monitor-report-markup.ts";
import { bar, chart, gridLines, label, line, path, titled } from "./monitor-report-svg.ts";
import { sharesOf } from "./monitor-sparkline.ts";
import { percentText } from "./monitor-words.ts";
import { abridge } from "./table.ts";

const WIDTH = 520;
const HEIGHT = 190;
const MARGIN = { top: 10, right: 10, bottom: 26, left: 40 };
const ROW_HEIGHT = 24;
const LABEL_WIDTH = 116;
/** More categories are not told apart in a picture; the table below has them. */
const CATEGORIES_SHOWN_MAX = 12;
const MINI = { width: 132, height: 30 };

/** Wider bins than this, compared with the narrowest, are drawn equally wide. */
const UNEQUAL = 1.5;

/** The edges of a bin, or the category, as text. */
export function binName(bins: ColumnBins, index: number): string {
  if (bins.categories.length > 0) {
    return bins.categories[index] ?? "";
  }
  const from = shortNumber(bins.edges[index] ?? 0);
  const to = shortNumber(bins.edges[index + 1] ?? 0);
  const isLast = index === bins.reference.length - 1;
  return `${from} to ${to}${isLast ? "" : " (excl.)"}`;
}

/** The full picture of a column. `title` is read out in its place. */
export function histogram(bins: ColumnBins, title: string): Markup {
  return bins.categories.length > 0 ? categoryBars(bins, title) : numberBars(bins, title);
}

/** Of a small picture with few bins: bars as wide as the line would look like anything but bars. */
const MINI_STEP_MAX = 26;

/** A small one for a line of a table; hidden from readers, who have the numbers beside it. */
export function miniHistogram(bins: ColumnBins | undefined): Markup {
  const count = bins?.reference.length ?? 0;
  if (bins === undefined || count === 0) {
    return nothing;
  }
  const { width, height } = MINI;
  const [reference, current] = [sharesOf(bins.reference), sharesOf(bins.current)];
  const most = Math.max(...reference, ...current) || 1;
  const step = Math.min(MINI_STEP_MAX, width / count);
  const gap = step > 5 ? 1 : 0;
  // Numbers stand one before the other, categories side by side.
  const pairs = bins.categories.length > 0;
  const bars = (shares: readonly number[], left: number, part: number, name: string): Markup => {
    const steps = shares.map((share, index) => {
      const size = (share / most) * (height - 1);
      const x = (index + left) * step;
      const w = Math.max(0.5, step * part - gap);
      return size <= 0 ? "" : `M${px(x)} ${height}v${px(-size)}h${px(w)}v${px(size)}z`;
    });
    return path(name, steps.join(""));
  };
  const drawn = pairs
    ? [bars(reference, 0.06, 0.44, "base"), bars(current, 0.5, 0.44, "now")]
    : [bars(reference, 0, 1, "base"), bars(current, 0.22, 0.56, "now")];
  const size = html`viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`;
  return html`<svg class="mini" ${size} aria-hidden="true">${drawn}</svg>`;
}

function numberBars(bins: ColumnBins, title: string): Markup {
  const { reference, current, count } = sides(bins);
  const right = WIDTH - MARGIN.right;
  const floor = HEIGHT - MARGIN.bottom;
  const most = Math.max(...reference, ...current) || 1;
  const marks = ticks(0, most, 4);
  const y = linear([0, most], [floor, MARGIN.top]);
  const { at, labels } = positions(bins, count, [MARGIN.left, right]);
  const bars = (shares: readonly number[], inset: number, style: string): readonly Markup[] =>
    shares.map((share, index) => {
      const [from, to] = [at(index), at(index + 1)];
      const pad = Math.min(0.75, (to - from) * 0.05) + (to - from) * inset;
      const size = [to - from - 2 * pad, floor - y(share)] as const;
      const text = `${binName(bins, index)}: ${percentText(share)}`;
      return bar(style, [from + pad, y(share)], size, text);
    });
  return chart([WIDTH, HEIGHT], title, [
    ...gridLines(marks, y, [MARGIN.left, right], percentText),
    ...bars(reference, 0, "base"),
    ...bars(current, 0.2, "now"),
    line("axis", [MARGIN.left, floor], [right, floor]),
    ...labels.map(({ x, text, anchor }) => label("tick", [x, HEIGHT - 8], text, anchor)),
  ]);
}

interface AxisLabel {
  readonly x: number;
  readonly text: string;
  readonly anchor: "start" | "middle" | "end";
}

/** Where the edges stand: by their values, or in equal steps where widths differ much. */
function positions(
  bins: ColumnBins,
  count: number,
  range: readonly [number, number],
): { readonly at: (edge: number) => number; readonly labels: readonly AxisLabel[] } {
  const { edges } = bins;
  const [first = 0, last = 1] = [edges[0], edges.at(-1)];
  const widths = edges.slice(1).map((edge, index) => edge - (edges[index] ?? 0));
  const isEven =
    widths.every((width) => Number.isFinite(width) && width > 0) &&
    Math.max(...widths) / Math.min(...widths) < UNEQUAL;
  if (isEven) {
    const x = linear([first, last], range);
    const labels = ticks(first, last, 5).map((tick): AxisLabel => {
      const anchor = x(tick) < range[0] + 8 ? "start" : x(tick) > range[1] - 16 ? "end" : "middle";
      return { x: x(tick), text: shortNumber(tick), anchor };
    });
    return { at: (edge) => x(edges[edge] ?? last), labels };
  }
  const x = linear([0, count], range);
  const every = Math.max(1, Math.ceil(count / 7));
  const labels = edges.flatMap((edge, index): readonly AxisLabel[] => {
    const anchor = index === 0 ? "start" : index === count ? "end" : "middle";
    return index % every === 0 ? [{ x: x(index), text: shortNumber(edge), anchor }] : [];
  });
  return { at: x, labels };
}

function categoryBars(bins: ColumnBins, title: string): Markup {
  const { reference, current, count } = sides(bins);
  const shown = Math.min(count, CATEGORIES_SHOWN_MAX);
  const height = shown * ROW_HEIGHT + 24;
  const most = Math.max(...reference, ...current) || 1;
  const x = linear([0, most], [LABEL_WIDTH, WIDTH - 48]);
  const rows = Array.from({ length: shown }, (_, index) => {
    const y = index * ROW_HEIGHT + 4;
    const name = bins.categories[index] ?? "";
    const [was = 0, is = 0] = [reference[index], current[index]];
    const both = `${name}: baseline ${percentText(was)}, current ${percentText(is)}`;
    return html`<g>${[
      titled(both),
      label("name", [LABEL_WIDTH - 8, y + 12], abridge(name, 16), "end"),
      bar("base", [LABEL_WIDTH, y], [x(was) - LABEL_WIDTH, 8]),
      bar("now", [LABEL_WIDTH, y + 9], [x(is) - LABEL_WIDTH, 8]),
      label("tick", [x(Math.max(was, is)) + 6, y + 13], percentText(is)),
    ]}</g>`;
  });
  const rest = count - shown;
  const note = rest > 0 ? `and ${rest} more, in the table below` : "";
  return chart([WIDTH, height], title, [
    ...rows,
    line("axis", [LABEL_WIDTH, 0], [LABEL_WIDTH, height - 22]),
    label("tick", [LABEL_WIDTH, height - 6], note),
  ]);
}

function sides(bins: ColumnBins) {
  return {
    reference: sharesOf(bins.reference),
    current: sharesOf(bins.current),
    count: bins.reference.length,
  };
}
