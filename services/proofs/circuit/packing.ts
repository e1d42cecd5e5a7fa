// Inputs packed into few signals, 31 bytes each, the first value in the highest bits as Solidity
// reads them. A verifier pays for every public value; the bits that unpacking needs are needed for
// the range checks anyway.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { IntegerInput, ValueEncoding } from "../compiler/integer-graph.ts";
import { laneOffset, laneShift, valueEncoding } from "../verifier/signal-encoding.ts";
import type { Interval } from "./bounds.ts";
import { bitLength } from "./bounds.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { SchemaInput } from "./circuit-schema.ts";
import { packedPerSignal } from "./circuit-schema.ts";
import { binarySum, shifted, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";

const LANE_BITS = [8, 16, 32] as const;
const WIDTH_MAX = 32;

/** How one input tensor lies in its signals. */
export interface InputLayout {
  readonly schema: SchemaInput;
  /** Number of values. */
  readonly count: number;
  readonly signals: number;
  /** What the circuit allows of each value, in order. */
  readonly lanes: readonly InputLane[];
}

/** One value in its lane. */
export interface InputLane {
  /** Bits that the circuit allows; the rest of the lane is proved to be 0. */
  readonly width: number;
  /** What the circuit enforces: the declared range, widened to a power of two. */
  readonly interval: Interval;
}

/**
 * The layout of an input.
 *
 * @throws InvalidArgument where its range needs more than 32 bits, or is empty.
 */
export function inputLayout(input: IntegerInput): InputLayout {
  const { name, shape, encoding } = input;
  const count = shape.reduce((total, size) => total * size, 1);
  const offset = encoding.kind === "fixed" && encoding.lo < 0 ? -encoding.lo : 0;
  const laneAt = (i: number) =>
    inputLane(name, valueEncoding(encoding, i), laneOffset({ encoding, offset }, i));
  const lanes =
    encoding.kind === "fixed-each"
      ? Array.from({ length: count }, (_, i) => laneAt(i))
      : new Array<InputLane>(count).fill(laneAt(0));
  const widest = lanes.reduce((most, { width }) => Math.max(most, width), 1);
  const bits = LANE_BITS.find((lane) => lane >= widest)!;
  return {
    schema: { name, shape, encoding, bits, offset },
    count,
    signals: Math.ceil(count / packedPerSignal(bits)),
    lanes,
  };
}

function inputLane(name: string, encoding: ValueEncoding, offset: number): InputLane {
  const range = encoding.kind === "fixed" ? encoding : { lo: 0, hi: 2 ** 32 - 1 };
  const highest = range.hi + offset;
  const isSome = highest >= 0 && range.lo <= range.hi;
  const width = isSome ? Math.max(1, bitLength(BigInt(highest))) : WIDTH_MAX + 1;
  if (width > WIDTH_MAX) {
    throw new InvalidArgument(
      `input ${name} ranges from ${range.lo} to ${range.hi}; an input has at most 32 bits. ` +
        "Take a smaller input scale",
      { reason: ErrorReason.UNSUPPORTED },
    );
  }
  const enforced = 2n ** BigInt(width) - 1n;
  return { width, interval: { lo: BigInt(-offset), hi: enforced - BigInt(offset) } };
}

/**
 * The values of an input, from its signals: the sums of the bits that prove each to be in range. A
 * wire of its own it gets where it is taken too often to be written so (lower-graph.ts).
 */
export function unpackInput(
  builder: CircuitBuilder,
  layout: InputLayout,
  signals: readonly number[],
): LinearCombination[] {
  const { bits, name } = layout.schema;
  const perSignal = packedPerSignal(bits);
  const values: LinearCombination[] = [];
  signals.forEach((signal, i) => {
    const at = i * perSignal;
    const widths = layout.lanes.slice(at, at + perSignal).map(({ width }) => width);
    const told = [...new Set(widths)].join(" or ");
    const meaning = `input ${name}: signal ${i} is not ${widths.length} values of ${told} bits`;
    const places = widths.flatMap((width, lane) => {
      return Array.from({ length: width }, (_, bit) => laneShift(bits, lane) + bit);
    });
    let next = builder.bitsAt(wireOf(signal), places, meaning);
    widths.forEach((width, lane) => {
      values.push(shifted(binarySum(next, width), 0 - laneOffset(layout.schema, at + lane)));
      next += width;
    });
  });
  return values;
}
