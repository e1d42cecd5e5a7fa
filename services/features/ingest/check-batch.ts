// Pushed columns as rows of a view, with every bad row found. What is wrong with the columns as such
// (a join key missing, a name that the view does not have) is wrong with every row and refused as a
// whole; what is wrong with a value is wrong with its row.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Column } from "../../../gen/plinth/features/v1/value_pb.js";
import { type FieldViolation, InvalidArgument } from "../../common/errors/domain-error.ts";
import { cellsOf, rowCountOf } from "../columns.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import { suggestion } from "../definitions/lookup.ts";
import type { Refusal } from "../offline/engine-tasks.ts";
import { keyFault } from "../online/entity-key.ts";
import {
  type Cell,
  type Cells,
  CREATED_TIMESTAMP,
  EVENT_TIMESTAMP,
  type Field,
  type RowBatch,
} from "../value.ts";

/** Rows of one batch. */
const ROWS_MAX = 10_000;

/** Refusals that are told one by one. */
export const REFUSALS_SHOWN = 100;

/** Of the texts and bytes of one row, so that the row fits a document of either store. */
const ROW_BYTES_MAX = 4 * 1024 * 1024;

/** More unknown columns than this say nothing that these do not. */
const UNKNOWN_SHOWN = 10;

/** A batch that was looked through. */
export interface CheckedBatch {
  /** Rows that came. */
  readonly rows: number;
  /** The good rows; `createdUs` is null where the row does not say when it became known. */
  readonly good: Omit<RowBatch, "createdUs"> & { readonly createdUs: readonly (number | null)[] };
  /** Rows that are bad. */
  readonly refused: number;
  /** The first 100 of them, in order, with the first fault of each. */
  readonly refusals: readonly Refusal[];
}

/**
 * Checks the columns of a batch against the view.
 * @throws InvalidArgument for what is wrong with all rows.
 */
export function checkBatch({ version }: ViewVersion, columns: readonly Column[]): CheckedBatch {
  const rows = rowCountOf(columns);
  const byName = new Map(columns.map((column) => [column.name, column]));
  checkColumns(version, { byName, rows });
  const faults = new RowFaults();
  const read = (field: Field): Cells => {
    const { cells, faults: found } = cellsOf(byName.get(field.name), field, rows);
    for (const { row, reason } of found) {
      faults.add({ row, column: field.name, reason });
    }
    return cells;
  };
  const keys = readAll(version.joinKeys, read);
  const eventUs = read({ name: EVENT_TIMESTAMP, type: "TIMESTAMP" });
  const createdUs = read({ name: CREATED_TIMESTAMP, type: "TIMESTAMP" });
  // A view may have a thousand features and a batch a few: those without a column are left out.
  const given = version.features.filter(({ name }) => byName.has(name));
  const features = readAll(given, read);
  for (const { name, type } of version.joinKeys) {
    faults.addWhere(keys[name]!, name, (cell) => keyFault(type, cell));
  }
  faults.addWhere(eventUs, EVENT_TIMESTAMP, (cell) =>
    cell === null ? "has no value; every row has an event time" : undefined,
  );
  addLargeRows(faults, [...Object.entries(keys), ...Object.entries(features)], rows);
  const all = { rows, keys, features, eventUs, createdUs } as CheckedBatch["good"];
  const { refusals, refused } = faults;
  return { rows, good: refused === 0 ? all : withoutRows(all, faults), refused, refusals };
}

/** The batch with a creation time for every row. */
export function withCreationTime(good: CheckedBatch["good"], createdUs: number): RowBatch {
  return { ...good, createdUs: good.createdUs.map((own) => own ?? createdUs) };
}

/** The error of a batch that is refused because of its bad rows. */
export function badRows({ rows, refused, refusals }: CheckedBatch): InvalidArgument {
  const violations = refusals.map(({ row, column, reason }) => ({
    field: column === "" ? `rows[${row}]` : `rows[${row}].${column}`,
    description: reason,
  }));
  const shown = violations.slice(0, 3).map(({ field, description }) => `${field} ${description}`);
  const rest = refused > shown.length ? `; and ${refused - shown.length} more` : "";
  return new InvalidArgument(
    `Nothing was stored: ${refused} of ${rows} rows are bad: ${shown.join("; ")}${rest}. ` +
      "Correct them, or set bad_rows to BAD_ROWS_SKIP to store the others.",
    { reason: ErrorReason.INVALID_FIELD, metadata: { rows_refused: String(refused) }, violations },
  );
}

/** The first fault of each bad row. */
class RowFaults {
  readonly #byRow = new Map<number, Refusal>();

  add(refusal: Refusal): void {
    if (!this.#byRow.has(refusal.row)) {
      this.#byRow.set(refusal.row, refusal);
    }
  }

  addWhere(cells: Cells, column: string, faultOf: (cell: Cell) => string | undefined): void {
    for (let row = 0; row < cells.length; row++) {
      const reason = faultOf(cells[row]!);
      if (reason !== undefined) {
        this.add({ row, column, reason });
      }
    }
  }

  has(row: number): boolean {
    return this.#byRow.has(row);
  }

  get refused(): number {
    return this.#byRow.size;
  }

  get refusals(): readonly Refusal[] {
    return [...this.#byRow.values()].sort((a, b) => a.row - b.row).slice(0, REFUSALS_SHOWN);
  }
}

function checkColumns(
  { joinKeys, features }: ViewVersion["version"],
  given: { readonly byName: ReadonlyMap<string, Column>; readonly rows: number },
): void {
  const { byName, rows } = given;
  const violations: FieldViolation[] = [];
  const note = (description: string) => violations.push({ field: "columns", description });
  const required = [...joinKeys.map(({ name }) => name), EVENT_TIMESTAMP];
  const known = [...required, CREATED_TIMESTAMP, ...features.map(({ name }) => name)];
  const missing = required.filter((name) => !byName.has(name));
  if (missing.length > 0) {
    note(`lack ${missing.map(quoted).join(", ")}; every row has its join keys and its event time`);
  }
  const knownNames = new Set(known);
  const unknown = [...byName.keys()].filter((name) => !knownNames.has(name));
  for (const name of unknown.slice(0, UNKNOWN_SHOWN)) {
    note(`have ${quoted(name)}, which the view has not.${suggestion(name, known)}`);
  }
  if (rows < 1 || rows > ROWS_MAX) {
    note(`have ${rows} rows; a batch has 1 to ${ROWS_MAX}`);
  }
  if (violations.length > 0) {
    const text = violations.map(({ description }) => description.replace(/\.$/, "")).join("; ");
    throw new InvalidArgument(`columns ${text}${text.endsWith("?") ? "" : "."}`, {
      reason: ErrorReason.INVALID_FIELD,
      violations,
    });
  }
}

function readAll(
  fields: readonly Field[],
  read: (field: Field) => Cells,
): Readonly<Record<string, Cells>> {
  return Object.fromEntries(fields.map((field) => [field.name, read(field)]));
}

/** Looks at rows one by one only where the batch as a whole is large. */
function addLargeRows(
  faults: RowFaults,
  columns: readonly (readonly [string, Cells])[],
  rows: number,
): void {
  const large = columns.filter(([, cells]) => cells.some((cell) => sizeOf(cell) > 0));
  const total = large.reduce((sum, [, cells]) => {
    return sum + cells.reduce((bytes: number, cell) => bytes + sizeOf(cell), 0);
  }, 0);
  if (total <= ROW_BYTES_MAX) {
    return;
  }
  for (let row = 0; row < rows; row++) {
    const bytes = large.reduce((sum, [, cells]) => sum + sizeOf(cells[row]!), 0);
    if (bytes > ROW_BYTES_MAX) {
      const reason = `has ${bytes} bytes of text and bytes; at most ${ROW_BYTES_MAX} fit a row`;
      faults.add({ row, column: "", reason });
    }
  }
}

/** At most so many bytes in memory and in the log. */
function sizeOf(cell: Cell): number {
  if (typeof cell === "string") {
    return cell.length * 2;
  }
  return cell instanceof Uint8Array ? cell.length : 0;
}

function withoutRows(all: CheckedBatch["good"], faults: RowFaults): CheckedBatch["good"] {
  const keep = <T>(cells: readonly T[]): readonly T[] => cells.filter((_, row) => !faults.has(row));
  const keepAll = (columns: Readonly<Record<string, Cells>>): Readonly<Record<string, Cells>> =>
    Object.fromEntries(Object.entries(columns).map(([name, cells]) => [name, keep(cells)]));
  return {
    rows: all.rows - faults.refused,
    keys: keepAll(all.keys),
    features: keepAll(all.features),
    eventUs: keep(all.eventUs),
    createdUs: keep(all.createdUs),
  };
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 80));
}
