// Markup that cannot be broken into: whatever comes from servers and files is escaped where it is
// put into a template, and only markup that was made here is not. A column named `<script>` is text.

import { printable } from "./table.ts";

/** Text that is HTML or SVG already. */
export interface Markup {
  readonly markup: string;
}

/** What a template takes: text and numbers are escaped, nothing is left out. */
export type Content = string | number | Markup | readonly Markup[] | undefined | false;

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Nothing. */
export const nothing: Markup = { markup: "" };

/** A template of HTML or SVG; every value in it is escaped unless it is Markup. */
export function html(parts: TemplateStringsArray, ...values: readonly Content[]): Markup {
  let markup = parts[0] ?? "";
  for (const [index, value] of values.entries()) {
    markup += written(value) + (parts[index + 1] ?? "");
  }
  return { markup };
}

/** Text that a page may hold as it is; also within quotes. */
export function escaped(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}

/** A name that may be broken after its joints, where there is no room for it. */
export function breakable(name: string): Markup {
  return { markup: escaped(name).replace(/[_./]/g, "$&<wbr>") };
}

/** A coordinate: a tenth of a pixel is as fine as anyone sees. */
export function px(value: number): string {
  return String(Number(value.toFixed(1)));
}

function written(value: Content): string {
  if (value === undefined || value === false) {
    return "";
  }
  if (typeof value === "string" || typeof value === "number") {
    return escaped(String(value));
  }
  return "markup" in value ? value.markup : value.map(({ markup }) => markup).join("");
}
