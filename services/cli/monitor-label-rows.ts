// From rows of a file to labels: which columns say which prediction and what was right. A row that
// says neither is set aside with its place.

import type { JsonObject, JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import type { GroundTruthSchema } from "../../gen/plinth/monitoring/v1/performance_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { parseTime } from "./features-times.ts";
import type { BadRow, InputRow } from "./row-source.ts";
import { printable } from "./table.ts";

/** The columns of a file of labels, where they have other names. */
export interface LabelColumns {
  readonly idColumn?: string;
  readonly rowColumn?: string;
  readonly labelColumn?: string;
  readonly numberColumn?: string;
  readonly timeColumn?: string;
  /** "airport" or "origin=airport", column=key. */
  readonly key?: readonly string[];
}

type LabelInit = MessageInitShape<typeof GroundTruthSchema>;

/** A label of the file, as it is sent. */
export interface Label {
  readonly label: LabelInit;
  readonly source: InputRow;
}

/** The columns that a file turned out to have. */
interface Plan {
  readonly id: string | undefined;
  readonly row: string;
  readonly label: string | undefined;
  readonly number: string | undefined;
  readonly time: string;
  /** Column of the file and join key. */
  readonly keys: readonly (readonly [string, string])[];
}

const DEFAULTS = {
  id: "inference_id",
  row: "row",
  label: "label",
  number: "number",
  time: "event_time",
} as const;

const ROW_MAX = 2 ** 32 - 1;

/** Reads labels; the first row decides what its columns are. */
export class LabelReader {
  readonly #options: LabelColumns;
  #plan: Plan | undefined;
  #leftOut: readonly string[] = [];

  constructor(options: LabelColumns) {
    if (options.idColumn !== undefined && options.key !== undefined) {
      throw new UsageError("Give --id-column, or --key; a label names its prediction in one way.");
    }
    if (options.labelColumn !== undefined && options.numberColumn !== undefined) {
      throw new UsageError("Give --label-column or --number-column, not both.");
    }
    this.#options = options;
  }

  /** Columns of the first row that say nothing here. */
  get leftOut(): readonly string[] {
    return this.#leftOut;
  }

  /** The label of a row, or what is wrong with it. */
  read(row: InputRow): Label | BadRow {
    this.#plan ??= this.#planOf(Object.keys(row.values));
    const faults: string[] = [];
    const label = labelOf(this.#plan, row.values, faults);
    const { ordinal, line } = row;
    return faults.length === 0
      ? { label, source: row }
      : { ordinal, ...(line === undefined ? {} : { line }), fault: faults.join("; ") };
  }

  #planOf(columns: readonly string[]): Plan {
    const { idColumn, labelColumn, numberColumn, rowColumn, timeColumn, key } = this.#options;
    for (const named of [idColumn, labelColumn, numberColumn, rowColumn, timeColumn]) {
      if (named !== undefined && !columns.includes(named)) {
        throw noColumn(named, columns);
      }
    }
    const time = timeColumn ?? DEFAULTS.time;
    const row = rowColumn ?? DEFAULTS.row;
    const wanted = (name: string | undefined, usual: string) =>
      name ?? (columns.includes(usual) ? usual : undefined);
    const label = numberColumn === undefined ? wanted(labelColumn, DEFAULTS.label) : undefined;
    const number = labelColumn === undefined ? wanted(numberColumn, DEFAULTS.number) : undefined;
    const id = key === undefined ? wanted(idColumn, DEFAULTS.id) : undefined;
    const said = [id, label, number, row, time];
    const others = columns.filter((column) => !said.includes(column));
    const keys = id === undefined ? keysOf(key, others, columns) : [];
    if (label === undefined && number === undefined) {
      throw incomplete(columns, "says what was right: label or number");
    }
    if (id === undefined && keys.length === 0) {
      throw incomplete(columns, "says which prediction: inference_id, or join keys");
    }
    if (id === undefined && !columns.includes(time)) {
      throw incomplete(columns, `says when: ${time}, beside the join keys`);
    }
    const used = new Set([...said, ...keys.map(([column]) => column)]);
    this.#leftOut = columns.filter((column) => !used.has(column));
    return { id, row, label, number, time, keys };
  }
}

/** Join keys as named, else every column that is nothing else. */
function keysOf(
  given: readonly string[] | undefined,
  others: readonly string[],
  columns: readonly string[],
): readonly (readonly [string, string])[] {
  if (given === undefined) {
    return others.map((column) => [column, column]);
  }
  return given.map((text) => {
    const at = text.indexOf("=");
    const column = at < 0 ? text : text.slice(0, at);
    if (!columns.includes(column)) {
      throw noColumn(column, columns);
    }
    return [column, at < 0 ? text : text.slice(at + 1)];
  });
}

function labelOf(plan: Plan, values: JsonObject, faults: string[]): LabelInit {
  const value = truthOf(plan, values, faults);
  const row = rowOf(plan, values, faults);
  const eventTime = timeOf(plan, values, faults);
  if (plan.id !== undefined) {
    const id = textOf(values[plan.id]);
    if (id === "") {
      faults.push(`${plan.id}: no value`);
    }
    return { key: { case: "inferenceId", value: id }, row, ...value };
  }
  const joinKeys = Object.fromEntries(
    plan.keys.map(([column, key]) => [key, textOf(values[column])]),
  );
  for (const [column, key] of plan.keys) {
    if (joinKeys[key] === "") {
      faults.push(`${column}: no value`);
    }
  }
  if (eventTime === undefined && faults.length === 0) {
    faults.push(`${plan.time}: no value`);
  }
  return {
    key: { case: "entity", value: { joinKeys } },
    row,
    ...value,
    ...(eventTime === undefined ? {} : { eventTime }),
  };
}

function truthOf(
  { label, number }: Plan,
  values: JsonObject,
  faults: string[],
): Pick<LabelInit, "value"> {
  const asNumber = number === undefined ? "" : textOf(values[number]);
  const asLabel = label === undefined ? "" : textOf(values[label]);
  if (asNumber !== "" && asLabel !== "") {
    faults.push(`both ${label} and ${number}; expected one`);
  }
  if (asNumber !== "") {
    const value = Number(asNumber);
    if (!Number.isFinite(value)) {
      faults.push(`${number}: expected a number, got "${printable(asNumber)}"`);
    }
    return { value: { case: "number", value } };
  }
  if (asLabel === "") {
    const names = [label, number].filter((name) => name !== undefined);
    faults.push(`${names.join(" or ")}: no value`);
  }
  return { value: { case: "label", value: asLabel } };
}

function rowOf({ row }: Plan, values: JsonObject, faults: string[]): number {
  const text = textOf(values[row]);
  const value = Number(text);
  if (text !== "" && (!/^\d+$/.test(text) || value > ROW_MAX)) {
    faults.push(`${row}: expected a whole number from 0, got "${printable(text)}"`);
    return 0;
  }
  return value;
}

function timeOf({ time }: Plan, values: JsonObject, faults: string[]) {
  const text = textOf(values[time]);
  const parsed = text === "" ? undefined : parseTime(text);
  if (text !== "" && parsed === undefined) {
    faults.push(`${time}: expected a time such as 2001-01-31T08:00:00Z, got "${printable(text)}"`);
  }
  return parsed;
}

/** A value as text; none is empty. Whole numbers and flags as they are written. */
function textOf(value: JsonValue | undefined): string {
  return value === undefined || value === null
    ? ""
    : typeof value === "object"
      ? JSON.stringify(value)
      : String(value).trim();
}

function noColumn(name: string, columns: readonly string[]): CommandError {
  return new CommandError(`The input has no column "${printable(name)}".`, {
    exitCode: ExitCode.invalidInput,
    advice: [`It has ${columns.map(printable).join(", ")}.${didYouMean(name, columns)}`],
  });
}

function incomplete(columns: readonly string[], what: string): CommandError {
  return new CommandError(`No column of the input ${what}.`, {
    exitCode: ExitCode.invalidInput,
    advice: [
      `It has ${columns.map(printable).join(", ")}.`,
      "Name columns with --id-column, --label-column, --number-column, --time-column and --key.",
    ],
  });
}
