// Inputs packed into few signals, 31 bytes each, the first value in the highest bits as Solidity
// reads them. A verifier pays for every public value; the bits that unpacking needs are needed for
// the range checks anyway.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { IntegerInput } from "../compiler/integer-graph.ts";
import { laneShift } from "../verifier/signal-encoding.ts";
import type { Interval } from "./bounds.ts";
import { bitLength } from "./bounds.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { SchemaInput } from "./circuit-schema.ts";
import { packedPerSignal } from "./circuit-schema.ts";
import { shifted, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";

const LANE_BITS = [8, 16, 32] as const;

/** How one input tensor lies in its signals. */
export interface InputLayout {
  readonly schema: SchemaInput;
  /** Number of values. */
  readonly count: number;
  readonly signals: number;
  /** Bits of a value that the circuit allows; the rest of its lane is proved to be 0. */
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
  const { encoding } = input;
  const range = encoding.kind === "fixed" ? encoding : { lo: 0, hi: 2 ** 32 - 1 };
  const offset = range.lo < 0 ? -range.lo : 0;
  const highest = range.hi + offset;
  const width = highest >= 0 && range.lo <= range.hi ? bitLength(BigInt(highest)) : 33;
  const bits = LANE_BITS.find((lane) => lane >= width);
  if (bits === undefined) {
    throw new InvalidArgument(
      `input ${input.name} ranges from ${range.lo} to ${range.hi}; an input has at most 32 bits. ` +
        "Take a smaller input scale",
      { reason: ErrorReason.UNSUPPORTED },
    );
  }
  const count = input.shape.reduce((total, size) => total * size, 1);
  const enforced = 2n ** BigInt(Math.max(1, width)) - 1n;
  return {
    schema: { name: input.name, shape: input.shape, encoding, bits, offset },
    count,
    signals: Math.ceil(count / packedPerSignal(bits)),
    width: Math.max(1, width),
    interval: { lo: BigInt(-offset), hi: enforced - BigInt(offset) },
  };
}

/** The values of an input, from its signals: bits that prove each to be in range, and its wire. */
export function unpackInput(
  builder: CircuitBuilder,
  layout: InputLayout,
  signals: readonly number[],
): LinearCombination[] {
  const { bits, offset, name } = layout.schema;
  const perSignal = packedPerSignal(bits);
  const values: LinearCombination[] = [];
  signals.forEach((signal, i) => {
    const count = Math.min(perSignal, layout.count - i * perSignal);
    const shifts = Array.from({ length: count }, (_, lane) => laneShift(bits, lane));
    const meaning = `input ${name}: signal ${i} is not ${count} values of ${layout.width} bits`;
    const first = builder.digits(wireOf(signal), { shifts, bits: layout.width }, meaning);
    for (let lane = 0; lane < count; lane += 1) {
      builder.bits(wireOf(first + lane), layout.width, meaning);
      values.push(shifted(wireOf(first + lane), -offset));
    }
  });
  return values;
}
