// What a file of rows gives, whatever its format, and what its cells mean. The kind of a column is
// the model version's, not the file's: what does not fit it is counted as mistyped.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { ColumnBatch } from "../sketch/column-batch.ts";
import type { KindedColumn } from "./draft-layout.ts";

/** A column of the version, to be looked for in a file. */
export interface FileColumn extends KindedColumn {
  /**
   * Numbers are rounded to what the model's tensor can hold, as served ones are: 0.7 of a file and
   * 0.7 in a tensor of single precision would lie on different sides of an edge at 0.7. Absent: to
   * double precision.
   */
  readonly precision?: "single" | "half";
}

/** Some rows of some columns. */
export interface TableBatch {
  /** Rows that no batch before had; a format by columns gives the same rows several times. */
  readonly newRows: number;
  /** Of equal lengths. */
  readonly columns: ReadonlyMap<string, ColumnBatch>;
  /** How many values of a column are null in `columns` only because they are of another kind. */
  readonly mistyped: ReadonlyMap<string, number>;
}

/** A file that can be read as often as needed, always with the same rows in the same order. */
export interface TableFile extends AsyncDisposable {
  /** Names of all columns that can be read. */
  readonly columns: readonly string[];
  /** Columns that are there, but do not hold one value a row. */
  readonly nested: readonly string[];
  /**
   * The rows of those of the wanted columns that the file has.
   * @throws InvalidArgument where the file is damaged, with the place.
   */
  batches(wanted: readonly FileColumn[]): AsyncIterable<TableBatch>;
}

const NOT_A_NUMBER = /^[+-]?nan$/i;
const INFINITE = /^([+-]?)inf(?:inity)?$/i;

/** Collects the cells of one column. */
export class CellCollector {
  readonly #column: FileColumn;
  readonly #capacity: number;
  #numbers: Float64Array;
  #bools: Uint8Array;
  #texts: string[] = [];
  #nulls: Uint8Array | undefined;
  #mistyped = 0;
  #length = 0;

  constructor(column: FileColumn, capacity: number) {
    this.#column = column;
    this.#capacity = capacity;
    const { kind } = column;
    this.#numbers = new Float64Array(kind === "numeric" || kind === "timestamp" ? capacity : 0);
    this.#bools = new Uint8Array(kind === "bool" ? capacity : 0);
  }

  /** A cell that is only known as text; an empty one is no value. */
  addText(text: string): void {
    switch (this.#column.kind) {
      case "numeric":
      case "timestamp":
        this.#addNumber(text === "" ? undefined : numberOfText(text));
        break;
      case "bool":
        this.#addBool(text === "" ? undefined : boolOfText(text));
        break;
      case "category":
        this.#addCategory(text === "" ? undefined : text);
        break;
      case "counted":
        this.#addPresence(text !== "");
        break;
    }
  }

  /** A cell with a type: null and undefined are no value. */
  addValue(value: unknown): void {
    const isThere = value !== null && value !== undefined;
    switch (this.#column.kind) {
      case "numeric":
      case "timestamp":
        this.#addNumber(isThere ? numberOf(value) : undefined);
        break;
      case "bool":
        this.#addBool(isThere ? boolOf(value) : undefined);
        break;
      case "category":
        this.#addCategory(isThere ? textOf(value) : undefined);
        break;
      case "counted":
        this.#addPresence(isThere);
        break;
    }
  }

  /** What was collected; the collector is empty then. */
  take(): { readonly column: ColumnBatch; readonly mistyped: number } {
    const column = this.#batch();
    const mistyped = this.#mistyped;
    this.#numbers = new Float64Array(this.#numbers.length);
    this.#bools = new Uint8Array(this.#bools.length);
    this.#texts = [];
    this.#nulls = undefined;
    this.#mistyped = 0;
    this.#length = 0;
    return { column, mistyped };
  }

  #batch(): ColumnBatch {
    const { kind } = this.#column;
    const nulls = this.#nulls;
    switch (kind) {
      case "numeric":
      case "timestamp":
        return {
          kind,
          values: rounded(this.#numbers.subarray(0, this.#length), this.#column),
          nulls,
        };
      case "bool":
        return { kind, values: this.#bools.subarray(0, this.#length), nulls };
      case "category":
        return { kind, values: this.#texts, nulls };
      case "counted":
        return { kind, rows: this.#length, nulls };
    }
  }

  #addNumber(value: number | null | undefined): void {
    if (value === undefined || value === null) {
      this.#skip(value);
    } else {
      this.#numbers[this.#length++] = value;
    }
  }

  #addBool(value: boolean | null | undefined): void {
    if (value === undefined || value === null) {
      this.#skip(value);
    } else {
      this.#bools[this.#length++] = value ? 1 : 0;
    }
  }

  #addCategory(value: string | null | undefined): void {
    this.#texts.push(value ?? "");
    if (value === undefined || value === null) {
      this.#skip(value);
    } else {
      this.#length += 1;
    }
  }

  #addPresence(isThere: boolean): void {
    if (isThere) {
      this.#length += 1;
    } else {
      this.#skip(undefined);
    }
  }

  /** undefined: no value; null: one of another kind. */
  #skip(why: null | undefined): void {
    this.#nulls ??= new Uint8Array(Math.ceil(this.#capacity / 8));
    const row = this.#length++;
    this.#nulls[row >>> 3] = this.#nulls[row >>> 3]! | (1 << (row & 7));
    if (why === null) {
      this.#mistyped += 1;
    }
  }
}

/** The numbers as the model's tensor holds them; the array itself where nothing changes. */
export function rounded(values: Float64Array, { precision }: FileColumn): Float64Array {
  if (precision === undefined) {
    return values;
  }
  return Float64Array.from(
    precision === "single" ? Float32Array.from(values) : Float16Array.from(values),
  );
}

/** The one error of a file that cannot be read. */
export function unreadable(description: string, cause?: unknown): InvalidArgument {
  return new InvalidArgument(`The file ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "chunk", description }],
    cause,
  });
}

/** Null: it is none. Truth values are numbers, as in tensors that they are put into. */
function numberOfText(text: string): number | null | undefined {
  const value = Number(text);
  if (value === 0 && text.trim() === "") {
    return undefined;
  }
  if (!Number.isNaN(value)) {
    // "0x1f", "0b1" and "0o7" are numbers to JavaScript alone.
    return text.length > 1 && text.charCodeAt(1) > 0x60 && text.charCodeAt(0) === 0x30
      ? decimalOf(text, value)
      : value;
  }
  const trimmed = text.trim();
  if (NOT_A_NUMBER.test(trimmed)) {
    return Number.NaN;
  }
  const infinite = INFINITE.exec(trimmed);
  if (infinite !== null) {
    return infinite[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  const truth = /^(?:true|false)$/i.test(trimmed) ? boolOfText(trimmed) : undefined;
  return truth === undefined ? null : Number(truth);
}

/** "0e5" is a number in decimals too. */
function decimalOf(text: string, value: number): number | null {
  return /^0e/i.test(text) ? value : null;
}

function boolOfText(text: string): boolean | null | undefined {
  switch (text.trim().toLowerCase()) {
    case "true":
    case "1":
      return true;
    case "false":
    case "0":
      return false;
    case "":
      return undefined;
    default:
      return null;
  }
}

function numberOf(value: unknown): number | null {
  switch (typeof value) {
    case "number":
      return value;
    case "bigint":
    case "boolean":
      return Number(value);
    default:
      return null;
  }
}

function boolOf(value: unknown): boolean | null {
  if (typeof value === "boolean") {
    return value;
  }
  if (typeof value === "string") {
    return boolOfText(value) ?? null;
  }
  const number = numberOf(value);
  return number === 1 || number === 0 ? number === 1 : null;
}

function textOf(value: unknown): string | null {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "bigint":
    case "boolean":
      return String(value);
    default:
      return null;
  }
}
