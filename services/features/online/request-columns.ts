// The columns of an online read, checked against what its plan takes. Nothing is converted: a
// caller who sends text for a number has mistaken the key, and would be told NOT_FOUND for ever.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Column } from "../../../gen/plinth/features/v1/value_pb.js";
import { type FieldViolation, InvalidArgument } from "../../common/errors/domain-error.ts";
import { cellsOf, rowCountOf } from "../columns.ts";
import type { ReadPlan } from "../definitions/read-plan.ts";
import type { Cells, Field } from "../value.ts";
import { keyFault } from "./entity-key.ts";

/** Entities of one call. */
const ROWS_MAX = 1_000;

/** What the request calls its columns. */
const FIELD = "entities";

/** The columns of a request as cells. */
export interface RequestCells {
  readonly rows: number;
  /** In the order of the plan's request columns. */
  readonly columns: readonly Cells[];
}

/** @throws InvalidArgument with every column that is at fault, and all that are needed. */
export function requestCells(plan: ReadPlan, columns: readonly Column[]): RequestCells {
  const rows = rowCountOf(columns, FIELD);
  if (rows > ROWS_MAX) throw badCount(plan, rows);
  const violations: FieldViolation[] = [];
  const fault = (name: string, description: string): void => {
    violations.push({ field: `${FIELD}[${JSON.stringify(name.slice(0, 80))}]`, description });
  };
  for (const { name } of columns) {
    if (!plan.requestColumns.some((field) => field.name === name)) fault(name, "is not known here");
  }
  const cells = plan.requestColumns.map((field, index) => {
    const column = columns.find(({ name }) => name === field.name);
    if (column === undefined) {
      fault(field.name, `is missing; expected ${field.type}`);
      return [];
    }
    const read = cellsOf(column, field, rows);
    const [first] = read.faults;
    if (first !== undefined) {
      const more = read.faults.length > 1 ? ` (and ${read.faults.length - 1} more rows)` : "";
      fault(field.name, `row ${first.row} ${first.reason}${more}`);
    } else if (index < plan.keyColumns) {
      const bad = badKey(field, read.cells);
      if (bad !== undefined) fault(field.name, bad);
    }
    return read.cells;
  });
  if (violations.length > 0) throw invalid(plan, violations);
  if (rows === 0) throw badCount(plan, rows);
  return { rows, columns: cells };
}

function badCount(plan: ReadPlan, rows: number): InvalidArgument {
  return invalid(plan, [
    { field: FIELD, description: `has ${rows} rows; expected 1 to ${ROWS_MAX}` },
  ]);
}

function badKey(field: Field, cells: Cells): string | undefined {
  for (let row = 0; row < cells.length; row++) {
    const fault = keyFault(field.type, cells[row]!);
    if (fault !== undefined) return `row ${row} ${fault}`;
  }
  return undefined;
}

function invalid(plan: ReadPlan, violations: readonly FieldViolation[]): InvalidArgument {
  const faults = violations.map(({ field, description }) => `${field} ${description}`).join("; ");
  const needed = plan.requestColumns.map(({ name, type }) => `${name} ${type}`).join(", ");
  return new InvalidArgument(`${faults}. Needed are: ${needed === "" ? "none" : needed}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations,
  });
}
