// From rows of columns to the inputs of a model, as circuits take them: number by number, each row
// in C order. The same rows mean the same here as to `plinth predict`.

import type { JsonObject, JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import type { InputValuesSchema } from "../../gen/plinth/proofs/v1/calibration_pb.js";
import type { ModelVersion } from "../../gen/plinth/registry/v1/model_version_pb.js";
import type { TensorSpec } from "../../gen/plinth/registry/v1/signature_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { type InputRow, place } from "./row-source.ts";
import { printable } from "./table.ts";

/** What of a version says how rows are read. */
export type RowModel = Pick<ModelVersion, "signature" | "columns">;

/** The numbers of one row, one list an input. */
export type RowValues = readonly (readonly number[])[];

/** Names that a message lists. */
const NAMES_SHOWN_MAX = 12;

/** Types whose values a float32 holds; others travel as doubles. */
const SINGLE = new Set(["FP32", "FP16", "BF16"]);

interface Plan {
  readonly inputs: readonly { readonly name: string; readonly isSingle: boolean }[];
  /** The columns of the only input; undefined: rows name inputs. */
  readonly columns: readonly string[] | undefined;
}

/** Reads rows; the first one decides whether they name columns or inputs. */
export class RowInputs {
  readonly #model: RowModel | undefined;
  /** Names of a row that are something else: the label. */
  readonly #others: ReadonlySet<string>;
  #plan: Plan | undefined;
  #counts: readonly number[] | undefined;

  /** `model` undefined: it may not be read; rows name the inputs and values travel as doubles. */
  constructor(model: RowModel | undefined, others: readonly string[] = []) {
    this.#model = model;
    this.#others = new Set(others);
  }

  /** Names that the first row has and the model does not. */
  unknown(row: InputRow): readonly string[] {
    const known = this.#known(row);
    return Object.keys(row.values).filter(
      (name) => !known.includes(name) && !this.#others.has(name),
    );
  }

  /** @throws CommandError with the place of the row and what is wrong with it. */
  read(row: InputRow): RowValues {
    const { inputs, columns } = this.#planOf(row);
    const values =
      columns === undefined
        ? inputs.map(({ name }) => numbersOf(row, name, this.#known(row)))
        : [columns.flatMap((column) => numbersOf(row, column, columns))];
    this.#counts ??= values.map(({ length }) => length);
    values.forEach((list, i) => {
      const wanted = this.#counts![i]!;
      if (list.length !== wanted) {
        const name = inputs[i]!.name;
        throw refused(row, `${name} has ${list.length} values; the first row has ${wanted}`);
      }
    });
    return values;
  }

  /** The message fields of rows that were read. */
  messages(rows: readonly RowValues[]): MessageInitShape<typeof InputValuesSchema>[] {
    const { inputs } = this.#plan ?? { inputs: [] };
    return inputs.map(({ name, isSingle }, i) => {
      const values = rows.flatMap((row) => row[i] ?? []);
      return isSingle ? { name, floats: values } : { name, doubles: values };
    });
  }

  #known(row: InputRow): readonly string[] {
    const { inputs, columns } = this.#planOf(row);
    return columns ?? inputs.map(({ name }) => name);
  }

  #planOf(row: InputRow): Plan {
    this.#plan ??= planOf(row, this.#model, this.#others);
    return this.#plan;
  }
}

function planOf(
  { values }: InputRow,
  model: RowModel | undefined,
  others: ReadonlySet<string>,
): Plan {
  if (model === undefined) {
    const names = Object.keys(values).filter((name) => !others.has(name));
    return { inputs: names.map((name) => ({ name, isSingle: false })), columns: undefined };
  }
  const specs: readonly TensorSpec[] = model.signature?.inputs ?? [];
  const inputs = specs.map(({ name, datatype }) => ({ name, isSingle: SINGLE.has(datatype) }));
  const only = specs.length === 1 ? specs[0]!.name : undefined;
  const { columns } = model;
  const isNamed = only !== undefined && Object.hasOwn(values, only) && !columns.includes(only);
  return {
    inputs,
    columns: only !== undefined && columns.length > 0 && !isNamed ? columns : undefined,
  };
}

/** All numbers of a value, nested lists in order. */
function numbersOf(row: InputRow, name: string, known: readonly string[]): number[] {
  const value = own(row.values, name);
  if (value === undefined) {
    const hint = didYouMean(name, Object.keys(row.values));
    throw refused(row, `it has no "${printable(name)}".${hint}`, known);
  }
  const numbers: number[] = [];
  const collect = (part: JsonValue): void => {
    if (Array.isArray(part)) {
      part.forEach(collect);
    } else {
      numbers.push(numberOf(row, name, part));
    }
  };
  collect(value);
  if (numbers.length === 0) {
    throw refused(row, `${printable(name)} is an empty list`);
  }
  return numbers;
}

function numberOf(row: InputRow, name: string, value: JsonValue): number {
  if (typeof value === "boolean") {
    return value ? 1 : 0;
  }
  if (typeof value !== "number" || !Number.isFinite(value)) {
    const got = value === null ? "nothing" : printable(JSON.stringify(value)).slice(0, 60);
    throw refused(row, `${printable(name)}: expected a finite number, got ${got}`);
  }
  return value;
}

function own(values: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

/** A row that no circuit takes. */
export function refused(row: InputRow, fault: string, known: readonly string[] = []): CommandError {
  return new CommandError(`${place(row)}: ${fault}${/[.?]$/.test(fault) ? "" : "."}`, {
    exitCode: ExitCode.invalidInput,
    advice: known.length === 0 ? [] : [`The model takes ${namesText(known)}.`],
  });
}

/** All of a few names, the first of many. */
export function namesText(names: readonly string[]): string {
  const rest = names.length - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).map(printable).join(", ");
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}
