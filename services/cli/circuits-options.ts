// From the options of the command line to those of a circuit. What the server would refuse anyway is
// left to it, but for what cannot be said in its terms.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type CircuitOptionsSchema,
  CircuitOptions_InputMode as InputMode,
  type InputRangeSchema,
  CircuitOptions_OutputMode as OutputMode,
  CircuitOptions_Setup as Setup,
} from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { UsageError } from "./exit-codes.ts";
import { powersOfTauReference } from "./proof-names.ts";
import type { Session } from "./session.ts";

/** The options of `circuits create` that say how the circuit is made. */
export interface CircuitChoices {
  readonly weightBits?: number;
  readonly agreement?: number;
  readonly error?: number;
  readonly activationBits?: number;
  readonly leafBits?: number;
  readonly inputMode: "public" | "committed" | "private";
  readonly outputMode?: "values" | "packed" | "argmax" | "threshold";
  readonly threshold?: number;
  readonly output?: string;
  readonly context?: boolean;
  readonly range?: readonly string[];
  readonly shape?: readonly string[];
  readonly setup: "development" | "ceremony" | "universal";
  readonly powersOfTau?: string;
}

type Range = MessageInitShape<typeof InputRangeSchema>;

const INPUT_MODES = {
  public: InputMode.PUBLIC,
  committed: InputMode.COMMITTED,
  private: InputMode.PRIVATE,
} as const;

const OUTPUT_MODES = {
  values: OutputMode.VALUES,
  packed: OutputMode.PACKED,
  argmax: OutputMode.ARGMAX,
  threshold: OutputMode.THRESHOLD,
} as const;

const SETUPS = {
  development: Setup.DEVELOPMENT,
  ceremony: Setup.CEREMONY,
  universal: Setup.UNIVERSAL,
} as const;

/** The largest whole number of 16 bits: what a range takes where it says no scale. */
const STEPS = 65_535;
const SCALE_BITS_MAX = 60;

const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?`;
const RANGE = new RegExp(`^(.+)=(${NUMBER}):(${NUMBER})(?::([+-]?\\d{1,2}))?$`);
const SHAPE = /^(.+)=(\d{1,9}(?:x\d{1,9})*)$/;

/** @throws UsageError */
export function circuitOptions(
  session: Session,
  choices: CircuitChoices,
): MessageInitShape<typeof CircuitOptionsSchema> {
  const { weightBits, agreement, error, setup, powersOfTau, threshold, outputMode } = choices;
  const hasTarget = agreement !== undefined || error !== undefined;
  if (weightBits !== undefined && hasTarget) {
    throw new UsageError(
      "Give --weight-bits, or --agreement and --error; the bits are said or found.",
    );
  }
  if ((outputMode === "threshold") !== (threshold !== undefined)) {
    throw new UsageError("--threshold <x> and --output-mode threshold go together.");
  }
  if ((setup === "development") !== (powersOfTau === undefined)) {
    throw new UsageError(
      "--powers-of-tau <id> goes with --setup ceremony or universal, and they with it. See " +
        '"plinth circuits ptau list".',
    );
  }
  return {
    weightBits: weightBits ?? 0,
    ...(hasTarget && { weightTarget: { agreement: agreement ?? 0, error: error ?? 0 } }),
    activationBits: choices.activationBits ?? 0,
    leafBits: choices.leafBits ?? 0,
    inputMode: INPUT_MODES[choices.inputMode],
    ...(outputMode === undefined ? {} : { outputMode: OUTPUT_MODES[outputMode] }),
    ...(threshold === undefined ? {} : { threshold }),
    output: choices.output ?? "",
    context: choices.context ?? false,
    inputs: inputRanges(choices.range ?? [], choices.shape ?? []),
    setup: SETUPS[setup],
    ...(powersOfTau === undefined
      ? {}
      : { powersOfTau: powersOfTauReference(session, powersOfTau) }),
  };
}

/** By name of the input. @throws UsageError */
export function inputRanges(
  ranges: readonly string[],
  shapes: readonly string[],
): Record<string, Range> {
  const inputs: Record<string, Range> = {};
  for (const text of ranges) {
    const [, name = "", low, high, scaleBits] = RANGE.exec(text) ?? [];
    const range = { low: Number(low), high: Number(high) };
    if (name === "" || !(range.low < range.high)) {
      throw new UsageError(
        `--range must look like input=low:high or input=low:high:scale_bits, low below high; got "${text}".`,
      );
    }
    refuseTwice(inputs, name, "--range");
    inputs[name] = { ...range, scaleBits: Number(scaleBits ?? scaleOf(range)) };
  }
  const shaped = new Set<string>();
  for (const text of shapes) {
    const [, name = "", sizes = ""] = SHAPE.exec(text) ?? [];
    if (name === "") {
      throw new UsageError(`--shape must look like input=1x8x8; got "${text}".`);
    }
    if (shaped.has(name)) {
      throw new UsageError(`--shape names "${name}" twice.`);
    }
    shaped.add(name);
    inputs[name] = { ...inputs[name], shape: sizes.split("x").map(BigInt) };
  }
  return inputs;
}

/** Bits behind the point that leave 16 in all. */
function scaleOf({ low, high }: { readonly low: number; readonly high: number }): number {
  const bits = Math.floor(Math.log2(STEPS / (high - low)));
  return Math.max(-SCALE_BITS_MAX, Math.min(SCALE_BITS_MAX, bits));
}

function refuseTwice(inputs: Readonly<Record<string, Range>>, name: string, option: string): void {
  if (Object.hasOwn(inputs, name)) {
    throw new UsageError(`${option} names "${name}" twice.`);
  }
}
