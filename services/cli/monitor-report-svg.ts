// The few shapes that the report's charts are made of. Colours come from the page, by class.

import { html, type Markup, nothing, px } from "./monitor-report-markup.ts";

/** A place in the picture: from the left, from the top. */
export type At = readonly [number, number];

/** A whole chart, as wide as there is room; `title` is read out in its place. */
export function chart(size: At, title: string, content: readonly Markup[]): Markup {
  const [width, height] = size;
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img"
    aria-label="${title}"><title>${title}</title>${content}</svg>`;
}

/** A straight line. */
export function line(style: string, [x1, y1]: At, [x2, y2]: At): Markup {
  const [from, to] = [html`x1="${px(x1)}" y1="${px(y1)}"`, html`x2="${px(x2)}" y2="${px(y2)}"`];
  return html`<line class="${style}" ${from} ${to}/>`;
}

/** A bar, never too thin to be seen; none for nothing. */
export function bar(style: string, [x, y]: At, [width, height]: At, title = ""): Markup {
  if (width <= 0 || height <= 0) {
    return nothing;
  }
  const size = html`width="${px(Math.max(0.6, width))}" height="${px(Math.max(0.6, height))}"`;
  return html`<rect class="${style}" x="${px(x)}" y="${px(y)}" ${size}>${titled(title)}</rect>`;
}

/** Words; `anchor` says which end of them stands at the place. */
export function label(
  style: string,
  [x, y]: At,
  text: string,
  anchor: "start" | "middle" | "end" = "start",
): Markup {
  const place = html`x="${px(x)}" y="${px(y)}" text-anchor="${anchor}"`;
  return html`<text class="${style}" ${place}>${text}</text>`;
}

/** A point. */
export function dot(style: string, [x, y]: At, title: string): Markup {
  const place = html`cx="${px(x)}" cy="${px(y)}" r="2.6"`;
  return html`<circle class="dot ${style}" ${place}>${titled(title)}</circle>`;
}

/** An outline, filled or not as its class says. */
export function path(style: string, d: string): Markup {
  return html`<path class="${style}" d="${d}"/>`;
}

/** Lines across, each with its value at the left. */
export function gridLines(
  marks: readonly number[],
  y: (value: number) => number,
  [left, right]: readonly [number, number],
  textOf: (value: number) => string,
): readonly Markup[] {
  return marks.flatMap((mark) => [
    line("grid", [left, y(mark)], [right, y(mark)]),
    label("tick", [left - 6, y(mark) + 4], textOf(mark), "end"),
  ]);
}

/** What is said when the pointer rests on a shape. */
export function titled(text: string): Markup {
  return text === "" ? nothing : html`<title>${text}</title>`;
}
