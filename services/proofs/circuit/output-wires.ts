// How the output of a model shows in the public values: as it is, packed, only the index of the
// largest, or only whether it reaches a threshold. What does not show stays secret.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import type { IntegerOutput } from "../compiler/integer-graph.ts";
import { SAFE_BITS } from "../field.ts";
import { laneShift } from "../verifier/signal-encoding.ts";
import { argmax } from "./argmax.ts";
import { coefficientOf, signedBits } from "./bits.ts";
import type { Interval } from "./bounds.ts";
import { bitLength, largest } from "./bounds.ts";
import type { ChoiceGroup } from "./choice.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { OutputMode, SchemaOutput } from "./circuit-schema.ts";
import { packedPerSignal } from "./circuit-schema.ts";
import type { Term } from "./combination.ts";
import { constantOf, powerOfTwo, shifted, sumOf, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";
import type { Bounded } from "./maximum.ts";

/** What is known of the output before there is a circuit. */
export interface OutputLayout {
  readonly mode: OutputMode;
  readonly schema: SchemaOutput;
  /** Public values that it takes. */
  readonly signals: number;
}

/**
 * Decides how the output is laid out.
 *
 * @throws InvalidArgument where the mode does not go with the output.
 */
export function outputLayout(
  output: IntegerOutput,
  intervals: readonly Interval[],
  options: { readonly mode?: OutputMode; readonly threshold?: number },
): OutputLayout {
  const mode = options.mode ?? (output.argmax ? "argmax" : "values");
  const { name, shape, scaleBits, after, classLabels } = output;
  const common = { name, shape, scaleBits, after, classLabels, bits: 0, offset: "0" };
  if (intervals.length === 0) throw refused(name, "it has no values");
  if (output.argmax && mode !== "argmax") {
    throw refused(name, `the model ends in an ArgMax, so the output mode is argmax, not ${mode}`);
  }
  switch (mode) {
    case "values":
      return { mode, schema: common, signals: intervals.length };
    case "argmax":
      return { mode, schema: common, signals: 1 };
    case "packed": {
      const least = -largest([0n, ...intervals.map(({ lo }) => -lo)]);
      const most = largest([0n, ...intervals.map(({ hi }) => hi)]);
      const bits = Math.max(1, bitLength(most - least));
      if (bits > SAFE_BITS) throw refused(name, `its values have ${bits} bits, too many to pack`);
      const signals = Math.ceil(intervals.length / packedPerSignal(bits));
      return { mode, schema: { ...common, bits, offset: String(-least) }, signals };
    }
    case "threshold": {
      const whole = wholeThreshold(output, options.threshold);
      if (intervals.length !== 1) {
        throw refused(name, `a threshold needs one value, and it has ${intervals.length}`);
      }
      return { mode, schema: { ...common, threshold: String(whole) }, signals: 1 };
    }
  }
}

/** Constrains the first outputs of the circuit to the values. Returns the choices it made. */
export function outputWires(
  builder: CircuitBuilder,
  layout: OutputLayout,
  values: readonly Bounded[],
): readonly ChoiceGroup[] {
  switch (layout.mode) {
    case "values":
      values.forEach(({ value }, i) => {
        builder.assign(value, { into: builder.output(i) });
      });
      return [];
    case "packed":
      packOutputs(builder, layout, values);
      return [];
    case "argmax": {
      const { index, choice } = argmax(builder, values);
      builder.assign(index, { into: builder.output(0) });
      return choice ? [choice] : [];
    }
    case "threshold": {
      const reaches = atLeast(builder, values[0]!, BigInt(layout.schema.threshold ?? "0"));
      builder.assign(reaches, { into: builder.output(0) });
      return [];
    }
  }
}

function packOutputs(
  builder: CircuitBuilder,
  { schema }: OutputLayout,
  values: readonly Bounded[],
): void {
  const perSignal = packedPerSignal(schema.bits);
  const offset = coefficientOf(BigInt(schema.offset));
  for (let at = 0, signal = 0; at < values.length; at += perSignal, signal += 1) {
    const lanes = values.slice(at, at + perSignal);
    const terms = lanes.map(
      ({ value }, lane): Term => [powerOfTwo(laneShift(schema.bits, lane)), shifted(value, offset)],
    );
    builder.assign(sumOf(terms), { into: builder.output(signal) });
  }
}

/** 1 where the value is at least the threshold, else 0. */
function atLeast(
  builder: CircuitBuilder,
  { value, interval }: Bounded,
  threshold: bigint,
): LinearCombination {
  if (interval.lo >= threshold) return constantOf(1);
  if (interval.hi < threshold) return constantOf(0);
  const over = shifted(value, coefficientOf(-threshold));
  const bounds = { lo: interval.lo - threshold, hi: interval.hi - threshold };
  return wireOf(signedBits(builder, over, bounds).sign);
}

/** The least whole number that stands for the threshold or more. */
function wholeThreshold(output: IntegerOutput, threshold: number | undefined): bigint {
  const scaled = Math.ceil((threshold ?? Number.NaN) * 2 ** output.scaleBits);
  if (!Number.isFinite(scaled) || Math.abs(scaled) >= 2 ** SAFE_BITS) {
    throw refused(output.name, "output mode threshold needs a finite threshold");
  }
  return BigInt(scaled);
}

function refused(name: string, why: string): InvalidArgument {
  return new InvalidArgument(`output ${name}: ${why}`, { reason: ErrorReason.UNSUPPORTED });
}
