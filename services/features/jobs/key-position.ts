// Where a run through the keys of a view stands, as a checkpoint holds it.

import type { Value } from "../../common/documents/port.ts";
import type { Shape } from "../offline/engine-tasks.ts";
import type { Cell, RowBatch } from "../value.ts";

/** The key of the last row of a batch, in the order of the join keys. */
export function lastKeyOf({ joinKeys }: Shape, batch: RowBatch): readonly Cell[] {
  return joinKeys.map(({ name }) => batch.keys[name]?.[batch.rows - 1] ?? null);
}

/** A key as a checkpoint holds it; join keys are texts, numbers and times. */
export function storedKey(key: readonly Cell[] | undefined): Value {
  return key === undefined
    ? null
    : key.map((cell) => (typeof cell === "bigint" ? { int: String(cell) } : (cell as Value)));
}

/** The way back. */
export function keyOf(stored: Value | undefined): readonly Cell[] | undefined {
  if (!Array.isArray(stored)) {
    return undefined;
  }
  return stored.map((cell: Value) =>
    cell !== null && typeof cell === "object" && "int" in cell
      ? BigInt(String(cell.int))
      : (cell as Cell),
  );
}
