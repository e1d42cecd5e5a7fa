// Entities as the protocol takes them: typed columns, from key=value on the command line or rows of
// a file.

import type { JsonObject } from "@bufbuild/protobuf";
import type { Column } from "../../gen/plinth/features/v1/value_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { columnOf, typeName } from "./features-cells.ts";
import type { Typed } from "./features-views.ts";
import { keyRows } from "./key-rows.ts";
import { type InputRow, isBad, openRows, place } from "./row-source.ts";
import type { Session } from "./session.ts";

/** Rows that are told one by one. */
const FAULTS_SHOWN_MAX = 20;

/** What names the rows: key=value pairs, or a file. */
export interface KeyOptions {
  readonly pairs: readonly string[] | undefined;
  readonly file: string | undefined;
  /** The option that has the pairs. */
  readonly option: string;
  readonly rowsMax: number;
}

/** The rows of --entity, --key or --file. @throws UsageError when there are none, or both. */
export async function readKeys(
  session: Session,
  options: KeyOptions,
): Promise<readonly InputRow[]> {
  const { pairs, file, option, rowsMax } = options;
  if ((pairs === undefined) === (file === undefined)) {
    throw new UsageError(`Give the keys as ${option} key=value (repeatable), or as --file <path>.`);
  }
  if (file === undefined) {
    const rows = keyRows(pairs ?? [], option);
    return rows.map((values, index) => ({ values, ordinal: index + 1 }));
  }
  const source = await openRows({ file, allText: true }, session.signal);
  const rows: InputRow[] = [];
  for await (const row of source.rows) {
    if (isBad(row)) {
      throw unfit(`${place(row)} cannot be read: ${row.fault}.`);
    }
    if (rows.length === rowsMax) {
      throw unfit(`${file} has more than ${rowsMax} rows, the most of one call.`);
    }
    rows.push(row);
  }
  if (rows.length === 0) {
    throw unfit(`${file} has no rows.`);
  }
  return rows;
}

/**
 * The columns wanted, from rows. A row may have further columns only where `extras` says so.
 * @throws CommandError for a column that is missing or not known, and for values that do not fit.
 */
export function entityColumns(
  rows: readonly InputRow[],
  wanted: readonly Typed[],
  options: { readonly extras: "refuse" | "leave-out" },
): Column[] {
  const names = wanted.map(({ name }) => name);
  const given = Object.keys(rows[0]?.values ?? {});
  const takes = `It takes ${wanted.map((w) => `${w.name} (${typeName(w.valueType)})`).join(", ")}.`;
  for (const name of options.extras === "refuse" ? given : []) {
    if (!names.includes(name)) {
      throw unfit(`There is no column "${name}".${didYouMean(name, names)}`, [takes]);
    }
  }
  const absent = names.filter((name) => !given.includes(name));
  if (absent.length > 0) {
    throw unfit(`No value for ${absent.join(", ")}.`, [takes]);
  }
  const faults: string[] = [];
  const columns = wanted.map((field) => {
    const values = rows.map((row) => (row.values as JsonObject)[field.name]);
    const made = columnOf(field, values);
    for (const { row, fault } of made.faults) {
      faults.push(`- ${place(rows[row]!)}: ${fault}`);
    }
    return made.column;
  });
  if (faults.length > 0) {
    throw unfit("Some values do not fit.", faults.slice(0, FAULTS_SHOWN_MAX));
  }
  return columns;
}

function unfit(message: string, advice: readonly string[] = []): CommandError {
  return new CommandError(message, { exitCode: ExitCode.invalidInput, advice });
}
