// The constraints seen from the wires, and what single constraints say at a glance: which wires are
// 0 or 1, which are from 0 to some number. The soundness checks read circuits through this, of
// their own or anyone's making; they believe constraints, never whoever built them.

import { FIELD_ORDER } from "../field.ts";
import { difference, same, sum } from "./combination.ts";
import type {
  Constraint,
  ConstraintMatrix,
  ConstraintSystem,
  LinearCombination,
} from "./constraint-system.ts";
import { constraintAt } from "./constraint-system.ts";

const HALF_ORDER = FIELD_ORDER / 2n;
const ONE: LinearCombination = { wires: [0], coefficients: [1] };

/** For each wire the rows that it is in: those of wire w from start[w] to start[w + 1]. */
export interface WireRows {
  readonly start: Int32Array;
  readonly rows: Int32Array;
}

/** The rows of each wire in some matrices, ascending; a row as often as it has the wire. */
export function wireRows(wires: number, matrices: readonly ConstraintMatrix[]): WireRows {
  const start = new Int32Array(wires + 1);
  for (const matrix of matrices) for (const wire of matrix.wires) start[wire + 1]! += 1;
  for (let wire = 0; wire < wires; wire += 1) start[wire + 1]! += start[wire]!;
  const next = start.slice(0, wires);
  const rows = new Int32Array(start[wires]!);
  const rowCount = (matrices[0]?.rowStart.length ?? 1) - 1;
  for (let row = 0; row < rowCount; row += 1) {
    for (const matrix of matrices) {
      for (let at = matrix.rowStart[row]!; at < matrix.rowStart[row + 1]!; at += 1) {
        const wire = matrix.wires[at]!;
        rows[next[wire]!] = row;
        next[wire]! += 1;
      }
    }
  }
  return { start, rows };
}

/** Number of entries of a row. */
function rowLength(matrix: ConstraintMatrix, row: number): number {
  return matrix.rowStart[row + 1]! - matrix.rowStart[row]!;
}

/** Whether the row says that a sum is 0. */
export function isLinear(system: ConstraintSystem, row: number): boolean {
  return rowLength(system.a, row) === 0 || rowLength(system.b, row) === 0;
}

/**
 * The combination that the row says is 0 or 1, if that is what it says: L times L is L, or L times
 * (L - 1) is 0, or L times (1 - L) is 0.
 */
export function booleanIn(system: ConstraintSystem, row: number): LinearCombination | undefined {
  const lengths = [system.a, system.b, system.c].map((matrix) => rowLength(matrix, row));
  if (lengths[0] === 0 || lengths[1] === 0 || lengths[0]! > 3 || lengths[1]! > 3) return undefined;
  if (lengths[2] !== 0 && lengths[2] !== lengths[0]) return undefined;
  const { a, b, c } = constraintAt(system, row);
  if (c.wires.length > 0) return same(a, b) && same(a, c) ? a : undefined;
  if (same(difference(a, b), ONE) || same(sum([1, a], [1, b]), ONE)) return a;
  return same(difference(b, a), ONE) ? b : undefined;
}

/** Largest value of wires that are proved to be from 0 to it; others are not in here. */
export type WireRanges = ReadonlyMap<number, bigint>;

/** What single rows prove: wires that are 0 or 1, and wires that are a sum of such. */
export function rangesOf(system: ConstraintSystem): WireRanges {
  const ranges = new Map<number, bigint>();
  for (let row = 0; row < system.constraintCount; row += 1) {
    const boolean = booleanIn(system, row);
    const wire = boolean === undefined ? undefined : singleBoolean(boolean);
    if (wire !== undefined) ranges.set(wire, 1n);
  }
  const booleans = new Uint8Array(system.wires);
  for (const wire of ranges.keys()) booleans[wire] = 1;
  for (let row = 0; row < system.constraintCount; row += 1) {
    const other = otherThan(booleans, system, row);
    if (other === undefined || ranges.has(other)) continue;
    const most = sumRange(constraintAt(system, row), other);
    if (most !== undefined) ranges.set(other, most);
  }
  return ranges;
}

/** The wire w of w or 1 - w. */
function singleBoolean({ wires, coefficients }: LinearCombination): number | undefined {
  if (wires.length === 1 && wires[0] !== 0 && coefficients[0] === 1) return wires[0];
  const isComplement = wires.length === 2 && wires[0] === 0 && coefficients[0] === 1;
  return isComplement && coefficients[1] === -1 ? wires[1] : undefined;
}

/** The one wire of a linear row that is not known to be 0 or 1, where there is just one. */
function otherThan(
  booleans: Uint8Array,
  system: ConstraintSystem,
  row: number,
): number | undefined {
  if (!isLinear(system, row)) return undefined;
  const { rowStart, wires } = system.c;
  let other: number | undefined;
  for (let at = rowStart[row]!; at < rowStart[row + 1]!; at += 1) {
    const wire = wires[at]!;
    if (booleans[wire] === 1) continue;
    if (wire === 0 || other !== undefined) return undefined;
    other = wire;
  }
  return other;
}

/** The most that `other` can be, where the row says that it is a sum of booleans. */
function sumRange({ c }: Constraint, other: number): bigint | undefined {
  const own = c.coefficients[c.wires.indexOf(other)]!;
  if (own !== 1 && own !== -1) return undefined;
  let total = 0n;
  for (let i = 0; i < c.wires.length; i += 1) {
    if (c.wires[i] === other) continue;
    const part = -BigInt(own) * BigInt(c.coefficients[i]!);
    if (part < 0n) return undefined;
    total += part;
  }
  return total < HALF_ORDER ? total : undefined;
}
