// Rows written as key=value on the command line: --entity airport=ATL --entity day=3. A key that
// comes again begins the next row, so that one option says one row or several.

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { UsageError } from "./exit-codes.ts";

/** A comma that begins the next pair; commas within values stay. */
const NEXT_PAIR = /,(?=[A-Za-z_][\w.]*=)/;

/**
 * The rows. Values are what `cellOf` makes of their text; a text in braces is a row of JSON.
 * @throws UsageError for what is neither, and for rows that differ in their keys.
 */
export function keyRows(
  texts: readonly string[],
  option: string,
  cellOf: (text: string) => JsonValue = (text) => text,
): readonly JsonObject[] {
  const rows: JsonObject[] = [];
  let open: JsonObject | undefined;
  for (const text of texts) {
    if (text.trimStart().startsWith("{")) {
      rows.push(jsonRow(text, option));
      open = undefined;
      continue;
    }
    for (const pair of text.split(NEXT_PAIR)) {
      const at = pair.indexOf("=");
      if (at < 1) {
        throw new UsageError(`${option} must look like key=value; got "${pair}".`);
      }
      const key = pair.slice(0, at).trim();
      if (open === undefined || Object.hasOwn(open, key)) {
        open = {};
        rows.push(open);
      }
      open[key] = cellOf(pair.slice(at + 1));
    }
  }
  const keys = Object.keys(rows[0] ?? {}).sort();
  const other = rows.find((row) => Object.keys(row).sort().join() !== keys.join());
  if (other !== undefined) {
    throw new UsageError(
      `${option}: one row has ${keys.join(", ")}, another ${Object.keys(other).join(", ")}. ` +
        "A key that comes again begins the next row; every row has the same keys.",
    );
  }
  return rows;
}

function jsonRow(text: string, option: string): JsonObject {
  try {
    return JSON.parse(text) as JsonObject;
  } catch (error) {
    throw new UsageError(`${option} is not JSON: ${(error as Error).message}.`);
  }
}
