// Aligned columns for terminals. Text from servers and files is made printable first: a model's
// description must not be able to move the cursor.

import { stripVTControlCharacters } from "node:util";

/** One column: its heading and where its cells stand. */
export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

const GAP = "  ";

/**
 * A cell longer than this is cut, so that one description does not push the rest off the screen.
 */
const CELL_WIDTH_MAX = 60;

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Ranges whose characters take two cells: CJK, Hangul, full-width forms, emoji. */
const WIDE = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60]/;
const EMOJI = /\p{Emoji_Presentation}/u;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** The text without anything a terminal would obey; line breaks become spaces. */
export function printable(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/[\r\n\t]+/g, " ")
    .replace(CONTROL, "\ufffd");
}

/** As `printable`, for prose of several lines: line breaks stay. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** Cells of a terminal that the text takes. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += WIDE.test(segment) || EMOJI.test(segment) ? 2 : 1;
  }
  return width;
}

/** The text cut to a width, with an ellipsis where something is missing. */
export function abridge(text: string, width: number): string {
  if (displayWidth(text) <= width) {
    return text;
  }
  let cut = "";
  let used = 1;
  for (const { segment } of graphemes.segment(text)) {
    used += displayWidth(segment);
    if (used > width) {
      break;
    }
    cut += segment;
  }
  return `${cut}…`;
}

/** The widths that columns need for their titles and these rows. */
export function columnWidths(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): readonly number[] {
  return columns.map((column, index) =>
    Math.min(
      CELL_WIDTH_MAX,
      Math.max(displayWidth(column.title), ...rows.map((row) => displayWidth(row[index] ?? ""))),
    ),
  );
}

/** One line of a table whose widths are known. */
export function tableLine(
  cells: readonly string[],
  columns: readonly Column[],
  widths: readonly number[],
): string {
  const padded = columns.map((column, index) => {
    const width = widths[index] ?? 0;
    const cell = abridge(cells[index] ?? "", width);
    const padding = " ".repeat(Math.max(0, width - displayWidth(cell)));
    return column.align === "right" ? padding + cell : cell + padding;
  });
  return padded.join(GAP).trimEnd();
}

/** Heading and rows, aligned; cells are made printable. `lineWidth` cuts lines for a terminal. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: { readonly lineWidth?: number | undefined } = {},
): readonly string[] {
  const clean = rows.map((row) => row.map(printable));
  const widths = columnWidths(columns, clean);
  const titles = columns.map((column) => column.title);
  return [titles, ...clean]
    .map((cells) => tableLine(cells, columns, widths))
    .map((line) => (options.lineWidth === undefined ? line : abridge(line, options.lineWidth)));
}

/** "name: value" pairs, values aligned; pairs without a value are left out. */
export function factLines(
  facts: readonly (readonly [string, string | undefined])[],
): readonly string[] {
  const said = facts.filter((fact): fact is readonly [string, string] => Boolean(fact[1]));
  const width = Math.max(0, ...said.map(([name]) => name.length));
  return said.map(([name, value]) => {
    const lines = printableLines(value).split("\n");
    return lines
      .map(
        (line, index) =>
          (index === 0 ? `${name}:`.padEnd(width + 2) : " ".repeat(width + 2)) + line,
      )
      .join("\n");
  });
}
