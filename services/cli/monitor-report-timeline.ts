// Numbers over time as SVG: lines with points, a band where a number is an estimate, a dashed line
// for a threshold; and bars of counts.

import { linear, shortNumber, ticks, timeLabel, timeTicks } from "./monitor-report-axes.ts";
import { html, type Markup, nothing, px } from "./monitor-report-markup.ts";
import { bar, chart, dot, gridLines, label, line, path } from "./monitor-report-svg.ts";

/** One point of a line. */
export interface Point {
  /** Milliseconds since 1970: the middle of its window. */
  readonly at: number;
  /** Absent: the line has a gap here. */
  readonly value: number | undefined;
  /** What is said of it when the pointer rests on it. */
  readonly text: string;
}

/** One line of a chart. `style`: "now", "other" or "base", the colours of the page. */
export interface Line {
  readonly name: string;
  readonly style: "now" | "other" | "base";
  readonly points: readonly Point[];
}

/** How far chance carries an estimate, at one time. */
export interface BandPoint {
  readonly at: number;
  readonly lower: number;
  readonly upper: number;
}

/** What a chart shows. */
export interface Timeline {
  readonly title: string;
  readonly lines: readonly Line[];
  readonly band?: readonly BandPoint[];
  readonly threshold?: { readonly value: number; readonly text: string } | undefined;
  /** Whether 0 is on the axis; shares and errors want it, an accuracy of 0.9 does not. */
  readonly fromZero: boolean;
  /** The highest value that can be; the axis need not go beyond. */
  readonly atMost?: number;
  readonly label: (value: number) => string;
}

const WIDTH = 560;
const HEIGHT = 210;
const MARGIN = { top: 12, right: 14, bottom: 26, left: 46 };
const FLOOR = HEIGHT - MARGIN.bottom;
const RIGHT = WIDTH - MARGIN.right;

/** On either side of the only point there is. */
const HALF_HOUR_MS = 1_800_000;

/** With more points than this a line is enough. */
const POINTS_MAX = 80;

/** The line chart; nothing where there is no point. */
export function timeline(options: Timeline): Markup {
  const times = [...options.lines.flatMap(({ points }) => points), ...(options.band ?? [])].map(
    ({ at }) => at,
  );
  const values = [
    ...options.lines.flatMap(({ points }) => points.flatMap(({ value }) => value ?? [])),
    ...(options.band ?? []).flatMap(({ lower, upper }) => [lower, upper]),
    ...(options.threshold === undefined ? [] : [options.threshold.value]),
  ];
  if (times.length === 0 || values.length === 0) {
    return nothing;
  }
  const span = rangeOf(times);
  const x = linear(span, [MARGIN.left + 4, RIGHT - 4]);
  const marks = ticks(...valueRange(values, options), 4);
  const y = linear(valueRange(values, options), [FLOOR, MARGIN.top]);
  return chart([WIDTH, HEIGHT], options.title, [
    ...gridLines(marks, y, [MARGIN.left, RIGHT], options.label),
    timeAxis(span, x),
    bandOf(options.band ?? [], x, y),
    thresholdOf(options, y),
    ...options.lines.map((one) => lineOf(one, x, y)),
  ]);
}

function rangeOf(values: readonly number[]): readonly [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? [low - HALF_HOUR_MS, high + HALF_HOUR_MS] : [low, high];
}

function valueRange(values: readonly number[], chart: Timeline): readonly [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.08 || Math.abs(high) * 0.08 || 0.5;
  const top = Math.min(chart.atMost ?? Infinity, high + pad);
  return [chart.fromZero ? Math.min(0, low) : low - pad, top];
}

function timeAxis(span: readonly [number, number], x: (value: number) => number): Markup {
  const marks = timeTicks(...span);
  const labels = marks.map((mark) =>
    label("tick", [x(mark), HEIGHT - 8], timeLabel(mark, span[1] - span[0]), "middle"),
  );
  return html`${line("axis", [MARGIN.left, FLOOR], [RIGHT, FLOOR])}${labels}`;
}

function bandOf(
  band: readonly BandPoint[],
  x: (value: number) => number,
  y: (value: number) => number,
): Markup {
  if (band.length < 2) {
    return nothing;
  }
  const upper = band.map(({ at, upper }) => `${px(x(at))} ${px(y(upper))}`);
  const lower = band.map(({ at, lower }) => `${px(x(at))} ${px(y(lower))}`).reverse();
  return path("band", `M${[...upper, ...lower].join("L")}z`);
}

function thresholdOf({ threshold }: Timeline, y: (value: number) => number): Markup {
  if (threshold === undefined) {
    return nothing;
  }
  const at = y(threshold.value);
  return html`${line("limit", [MARGIN.left, at], [RIGHT, at])}${label(
    "limit-name",
    [MARGIN.left + 6, at - 5],
    threshold.text,
  )}`;
}

function lineOf(
  { style, points }: Line,
  x: (value: number) => number,
  y: (value: number) => number,
): Markup {
  let steps = "";
  let pen = "M";
  for (const { at, value } of points) {
    steps += value === undefined ? "" : `${pen}${px(x(at))} ${px(y(value))}`;
    pen = value === undefined ? "M" : "L";
  }
  const dots = points.length > POINTS_MAX ? [] : points;
  return html`${path(`line ${style}`, steps)}${dots.flatMap(({ at, value, text }) =>
    value === undefined ? [] : [dot(style, [x(at), y(value)], text)],
  )}`;
}

/** A bar of a count over time. */
export interface Bar {
  readonly from: number;
  readonly to: number;
  readonly value: number;
  readonly text: string;
  /** Drawn lighter: not complete yet. */
  readonly open: boolean;
}

/** Bars of counts over time. */
export function timeBars(title: string, bars: readonly Bar[]): Markup {
  if (bars.length === 0) {
    return nothing;
  }
  const span = [
    Math.min(...bars.map(({ from }) => from)),
    Math.max(...bars.map(({ to }) => to)),
  ] as const;
  const most = Math.max(...bars.map(({ value }) => value)) || 1;
  const x = linear(span, [MARGIN.left + 4, RIGHT - 4]);
  const y = linear([0, most], [FLOOR, MARGIN.top]);
  return chart([WIDTH, HEIGHT], title, [
    ...gridLines(ticks(0, most, 4), y, [MARGIN.left, RIGHT], shortNumber),
    ...bars.map(({ from, to, value, text, open }) => {
      const gap = Math.min(1, (x(to) - x(from)) * 0.1);
      const size = [x(to) - x(from) - 2 * gap, FLOOR - y(value)] as const;
      return bar(open ? "now open" : "now", [x(from) + gap, y(value)], size, text);
    }),
    timeAxis(span, x),
  ]);
}
