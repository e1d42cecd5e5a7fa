// Which encoding suits an input of floats, by rows of data: one for all of its values where 16 bits
// are enough for them, else one for each column of a table whose columns differ widely in size.

import { encodeFloat } from "../verifier/signal-encoding.ts";
import type { ProgramInput } from "./float-program.ts";
import { encodingOfColumn, encodingOfSpread } from "./input-encoding.ts";
import type { EachEncoding, FixedEncoding, InputEncoding } from "./integer-graph.ts";
import { type FloatRow, spreadOf } from "./sample-rows.ts";
import { isFloat } from "./tensor.ts";

/** More whole numbers than these in one range are worth ranges of their own for the columns. */
const COMMON_STEPS_MAX = 2 ** 16;

/**
 * Share of rows that ranges from half of the rows may refuse. Where more of them are beyond, columns
 * are known too little to hold each to itself: the pixels of an image that are seldom lit.
 */
const BEYOND_SHARE_MAX = 1 / 32;

/** The encoding of an input that is like its values in the rows. */
export function encodingOfRows(rows: readonly FloatRow[], input: ProgramInput): InputEncoding {
  const common = encodingOfSpread(spreadOf(rows, input));
  const isTable = isFloat(input.type) && input.shape.length === 1 && input.size > 1;
  if (!isTable || common.hi - common.lo < COMMON_STEPS_MAX) {
    return common;
  }
  const finite = rows.filter(({ floats }) => areFinite(floats, input));
  const halves = [0, 1].map((half) => finite.filter((_, i) => i % 2 === half));
  const isKnown = halves.every((half, i) => {
    const columns = half.length === 0 ? [] : columnsOf(half, input);
    const beyond = halves[1 - i]!.filter(({ floats }) => !isWithin(columns, floats, input));
    return half.length > 0 && beyond.length <= finite.length * BEYOND_SHARE_MAX;
  });
  const columns = isKnown ? columnsOf(finite, input) : [];
  const isEach = columns.some(
    ({ encoding: { scaleBits, lo, hi } }) =>
      scaleBits !== common.scaleBits || lo !== common.lo || hi !== common.hi,
  );
  return isEach ? eachOf(columns) : common;
}

interface Column {
  readonly encoding: FixedEncoding;
  /** Whether only whole numbers were seen in it. */
  readonly areWhole: boolean;
}

function columnsOf(rows: readonly FloatRow[], input: ProgramInput): readonly Column[] {
  const spreads = Array.from({ length: input.size }, (_, column) =>
    spreadOf(rows, { first: input.first + column, size: 1 }),
  );
  const isSigned = spreads.some(({ least }) => least < 0);
  return spreads.map((spread) => ({
    encoding: encodingOfColumn(spread, isSigned),
    areWhole: spread.areWhole,
  }));
}

function areFinite(floats: Float64Array, { first, size }: ProgramInput): boolean {
  return floats.subarray(first, first + size).every(Number.isFinite);
}

function isWithin(
  columns: readonly Column[],
  floats: Float64Array,
  { first }: ProgramInput,
): boolean {
  return columns.every((column, i) => {
    const { encoding, areWhole } = column;
    const value = floats[first + i]!;
    const whole = encodeFloat(encoding, value);
    // A column of whole numbers is none where others turn up.
    const isLike = !areWhole || Number.isInteger(value);
    return isLike && whole >= encoding.lo && whole <= encoding.hi;
  });
}

function eachOf(columns: readonly Column[]): EachEncoding {
  return {
    kind: "fixed-each",
    scaleBits: columns.map(({ encoding }) => encoding.scaleBits),
    lo: columns.map(({ encoding }) => encoding.lo),
    hi: columns.map(({ encoding }) => encoding.hi),
  };
}
