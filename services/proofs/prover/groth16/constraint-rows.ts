// The entries of the matrices A and B that a key holds, as a thread needs them for its rows: which
// wire, times what, is added to which row.

import type { SectionPlace } from "../section-file.ts";
import { COUNT_BYTES, ENTRY_BYTES } from "../zkey-format.ts";
import { readPart } from "./key-share.ts";

/** What a thread's rows are made of. */
export interface RowEntries {
  /** 0 for A, 1 for B; row and wire of each entry, rows counted from the first of the thread's. */
  readonly matrices: Uint8Array;
  readonly rows: Int32Array;
  readonly wires: Int32Array;
  /** Of each entry 32 bytes: the coefficient times 2^512, the lowest byte first. */
  readonly coefficients: Uint8Array;
}

/** A key's file says what cannot be. */
export class KeyFault extends Error {
  override readonly name = "KeyFault";
}

/** Entries that are read at once. */
const PIECE_ENTRIES = 32_768;

const VALUE_AT = 12;

/**
 * Reads the entries of some rows.
 *
 * @throws KeyFault where an entry names a matrix, a row or a wire that there is not.
 */
export function readRows(
  file: number,
  section: SectionPlace,
  bounds: {
    readonly firstRow: number;
    readonly rowCount: number;
    readonly domain: number;
    readonly wires: number;
  },
): RowEntries {
  const { firstRow, rowCount } = bounds;
  const count = (section.size - COUNT_BYTES) / ENTRY_BYTES;
  const matrices: number[] = [];
  const rows: number[] = [];
  const wires: number[] = [];
  const coefficients: Uint8Array[] = [];
  for (let first = 0; first < count; first += PIECE_ENTRIES) {
    const entries = Math.min(PIECE_ENTRIES, count - first);
    const at = section.at + COUNT_BYTES + ENTRY_BYTES * first;
    const piece = readPart(file, at, ENTRY_BYTES * entries);
    const view = new DataView(piece.buffer);
    let kept = 0;
    for (let i = 0; i < entries; i += 1) {
      const from = ENTRY_BYTES * i;
      const matrix = view.getUint32(from, true);
      const row = view.getUint32(from + 4, true);
      const wire = view.getUint32(from + 8, true);
      if (matrix > 1 || row >= bounds.domain || wire >= bounds.wires) {
        throw new KeyFault(
          `coefficient ${first + i} is of matrix ${matrix}, row ${row}, wire ${wire}`,
        );
      }
      if (row < firstRow || row >= firstRow + rowCount) continue;
      matrices.push(matrix);
      rows.push(row - firstRow);
      wires.push(wire);
      piece.copyWithin(kept, from + VALUE_AT, from + ENTRY_BYTES);
      kept += ENTRY_BYTES - VALUE_AT;
    }
    coefficients.push(piece.slice(0, kept));
  }
  return {
    matrices: Uint8Array.from(matrices),
    rows: Int32Array.from(rows),
    wires: Int32Array.from(wires),
    coefficients: Buffer.concat(coefficients),
  };
}
