// ONNX bytes to an integer graph: the one entry of the compiler.

import { powerOfTwo } from "./binary-scale.ts";
import { encodeRows, type FloatRuns, measure, runFloats, type SampleRow } from "./calibrate.ts";
import type { CalibrationReport } from "./calibration-report.ts";
import { modelCommitment } from "./canonical.ts";
import { checkLowering } from "./check-lowering.ts";
import { encodingOfRows } from "./encode-columns.ts";
import type { FloatProgram, ProgramInput } from "./float-program.ts";
import { encodingOfType } from "./input-encoding.ts";
import type { InputEncoding, IntegerGraph } from "./integer-graph.ts";
import { lowerModel } from "./lower-model.ts";
import { modelGraph } from "./model-graph.ts";
import { pruneProgram } from "./prune-program.ts";
import { type Quantized, quantizeProgram } from "./quantize.ts";
import { DEFAULT_LIMITS, readOnnx } from "./read-onnx.ts";
import type { ModelLimits } from "./read-tensor.ts";
import { type CalibrationData, type FloatRow, givenRows, madeUpRows } from "./sample-rows.ts";
import { invalidOption, UnsupportedModel } from "./unsupported.ts";

export interface CompileOptions {
  /** Which output is proved; absent: the only one, or the first that is scores and no label. */
  readonly output?: string;
  /** By name; what is not said is taken from the type or the calibration data. */
  readonly inputs?: Readonly<Record<string, InputOptions>>;
  /** Rows like those that the model will see. Absent: only integer inputs and trees need no more. */
  readonly calibration?: CalibrationData;
  /**
   * Bits of the largest weight of a layer, 2 to 32, or as few as reach a target. Default 12. Weights
   * of columns with scales of their own have as many more as keep the sum of their roundings small.
   */
  readonly weightBits?: number | WeightTarget;
  /** Bits of the largest activation of a layer, 2 to 32. Default 12. */
  readonly activationBits?: number;
  /** Bits of the largest leaf of an ensemble of trees, 2 to 40. Default 24. */
  readonly leafBits?: number;
  /** In the order of the scores; absent: as the model says. */
  readonly classLabels?: readonly string[];
  readonly limits?: Partial<ModelLimits>;
}

export interface InputOptions {
  /** Dimensions without the batch, where the model leaves them open. */
  readonly shape?: readonly number[];
  /** A value is rounded to a multiple of 2^-scaleBits. With it `lo` and `hi` must be said. */
  readonly scaleBits?: number;
  /** In units of the input itself. */
  readonly lo?: number;
  readonly hi?: number;
}

/** The fewest weight bits for which all that is said holds on the calibration rows. */
export interface WeightTarget {
  /** Share of rows on which float and circuit agree on the largest output, 0 to 1. */
  readonly agreement?: number;
  /** Largest error of any output, in units of the output before its sigmoid or softmax. */
  readonly error?: number;
}

export interface CompiledModel {
  readonly graph: IntegerGraph;
  readonly report: CalibrationReport;
  /** Lower-case hex SHA-256 of the canonical bytes of the graph. */
  readonly commitment: string;
}

const WEIGHT_BITS = { default: 12, min: 2, max: 32 };
const ACTIVATION_BITS = { default: 12, min: 2, max: 32 };
const LEAF_BITS = { default: 24, min: 2, max: 40 };
/** A target is looked for up to here. */
const WEIGHT_BITS_TARGET_MAX = 24;
/** Products that calibration makes at most, in each of float and whole numbers. */
const CALIBRATION_WORK_MAX = 20_000_000;
const CALIBRATION_ROWS_MIN = 32;
const SCALE_BITS_MAX = 60;

/**
 * Compiles a model. The same bytes and options give the same graph on any machine.
 *
 * @throws UnsupportedModel with every node that cannot be proved
 * @throws InvalidArgument: not a sound ONNX file, beyond a limit, options that do not fit
 */
export function compileModel(bytes: Uint8Array, options: CompileOptions = {}): CompiledModel {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const shapes = new Map(
    Object.entries(options.inputs ?? {}).flatMap(([name, { shape }]) =>
      shape === undefined ? [] : [[name, shape] as const],
    ),
  );
  const graph = modelGraph(readOnnx(bytes, limits), { output: options.output, shapes, limits });
  const program = pruneProgram(lowerModel(graph, options.classLabels));
  const given = options.calibration && givenRows(program, options.calibration, rowsMax(program));
  const encodings = encodingsOf(program, options, given);
  const encoded = encodeRows(program, encodings, given ?? madeUpRows(program, encodings));
  if (encoded.rows.length === 0) {
    throw invalidOption("calibration", "no row has only values that the inputs' encoding takes");
  }
  checkLowering(graph, program, encoded.rows);
  const data = { rows: encoded.rows, floats: runFloats(program, encoded.rows) };
  const best = chooseWeightBits(program, encodings, { options, data });
  return {
    graph: best.quantized.graph,
    report: {
      samples: options.calibration?.rows ?? 0,
      refusedRows: encoded.refused,
      weightBits: best.weightBits,
      activationBits: activationBitsOf(options),
      ...best.measured,
    },
    commitment: modelCommitment(best.quantized.graph),
  };
}

/** So many rows that calibration stays quick. */
function rowsMax(program: FloatProgram): number {
  const entries = [
    program.output.rows,
    ...program.steps.flatMap((s) => ("rows" in s ? [s.rows] : [])),
  ]
    .map((rows) => rows.columns.length)
    .reduce((sum, count) => sum + count, program.values);
  return Math.max(CALIBRATION_ROWS_MIN, Math.floor(CALIBRATION_WORK_MAX / entries));
}

function encodingsOf(
  program: FloatProgram,
  options: CompileOptions,
  rows: readonly FloatRow[] | undefined,
): InputEncoding[] {
  const users = usersOf(program);
  return program.inputs.map((input) => {
    const asked = options.inputs?.[input.name];
    const trees = users.trees(input);
    const layer = users.layer(input);
    if (trees !== undefined && layer !== undefined) {
      throw new UnsupportedModel([
        {
          name: trees,
          operator: "trees",
          why: `the input "${input.name}" goes into trees and into "${layer}"`,
          advice: "give the trees an input of their own",
        },
      ]);
    }
    // A model may look at none of the values of an input: all its trees are single leaves.
    if (trees !== undefined || layer === undefined) {
      return { kind: "ordered-float32" };
    }
    const encoding =
      askedEncoding(input.name, asked) ??
      encodingOfType(input.type) ??
      (rows && encodingOfRows(rows, input));
    if (encoding === undefined) {
      throw invalidOption(
        `inputs.${input.name}`,
        `it is ${input.type}: say scaleBits, lo and hi of it, or give calibration data`,
      );
    }
    return encoding;
  });
}

/** Which step takes an input, if any does. */
function usersOf(program: FloatProgram): {
  readonly trees: (input: ProgramInput) => string | undefined;
  readonly layer: (input: ProgramInput) => string | undefined;
} {
  const has = (input: ProgramInput, values: Int32Array) =>
    values.some((value) => value >= input.first && value < input.first + input.size);
  return {
    trees: (input) =>
      program.steps.find((step) => step.kind === "trees" && has(input, step.features))?.name,
    layer: (input) =>
      has(input, program.output.rows.columns)
        ? program.output.name
        : program.steps.find((step) => step.kind !== "trees" && has(input, step.rows.columns))
            ?.name,
  };
}

function askedEncoding(name: string, asked: InputOptions | undefined): InputEncoding | undefined {
  const { scaleBits, lo, hi } = asked ?? {};
  if (scaleBits === undefined && lo === undefined && hi === undefined) {
    return undefined;
  }
  const isWhole = Number.isInteger(scaleBits) && Math.abs(scaleBits ?? 0) <= SCALE_BITS_MAX;
  const scale = isWhole ? powerOfTwo(scaleBits ?? 0) : Number.NaN;
  const encoding = {
    kind: "fixed" as const,
    scaleBits: scaleBits ?? 0,
    lo: Math.ceil((lo ?? Number.NaN) * scale) + 0,
    hi: Math.floor((hi ?? Number.NaN) * scale) + 0,
  };
  if (
    !Number.isSafeInteger(encoding.lo) ||
    !Number.isSafeInteger(encoding.hi) ||
    !(encoding.lo < encoding.hi && encoding.hi - encoding.lo < 2 ** 32)
  ) {
    throw invalidOption(
      `inputs.${name}`,
      `scaleBits ${scaleBits}, lo ${lo}, hi ${hi}; all three were expected, with at most 2^32 ` +
        "multiples of 2^-scaleBits from lo to hi",
    );
  }
  return encoding;
}

interface Choice {
  readonly weightBits: number;
  readonly quantized: Quantized;
  readonly measured: ReturnType<typeof measure>;
}

function chooseWeightBits(
  program: FloatProgram,
  encodings: readonly InputEncoding[],
  of: {
    readonly options: CompileOptions;
    readonly data: { readonly rows: readonly SampleRow[]; readonly floats: FloatRuns };
  },
): Choice {
  const { options, data } = of;
  const activationBits = activationBitsOf(options);
  const leafBits = checkedBits("leafBits", options.leafBits, LEAF_BITS);
  const attempt = (weightBits: number): Choice => {
    const { sizes } = data.floats;
    const bits = { weightBits, activationBits, leafBits };
    const quantized = quantizeProgram(program, { encodings, sizes, ...bits });
    return { weightBits, quantized, measured: measure(program, quantized, data) };
  };
  const asked = options.weightBits;
  if (typeof asked !== "object") {
    return attempt(checkedBits("weightBits", asked, WEIGHT_BITS));
  }
  const agreement = asked.agreement ?? 0;
  const error = asked.error ?? Number.POSITIVE_INFINITY;
  let last = attempt(WEIGHT_BITS.min);
  const reaches = ({ measured }: Choice) =>
    (measured.argmaxAgreement ?? 1) >= agreement &&
    measured.outputs.every(({ max }) => max <= error);
  for (let bits = WEIGHT_BITS.min + 1; !reaches(last) && bits <= WEIGHT_BITS_TARGET_MAX; bits++) {
    last = attempt(bits);
  }
  if (!reaches(last)) {
    throw invalidOption(
      "weightBits",
      `${WEIGHT_BITS_TARGET_MAX} bits reach an agreement of ${last.measured.argmaxAgreement ?? 1} ` +
        `and an error of ${Math.max(...last.measured.outputs.map(({ max }) => max))}; ` +
        "take more activation bits, or a lower target",
    );
  }
  return last;
}

function activationBitsOf(options: CompileOptions): number {
  return checkedBits("activationBits", options.activationBits, ACTIVATION_BITS);
}

function checkedBits(
  option: string,
  value: number | undefined,
  range: { readonly default: number; readonly min: number; readonly max: number },
): number {
  const bits = value ?? range.default;
  if (!Number.isInteger(bits) || bits < range.min || bits > range.max) {
    throw invalidOption(
      option,
      `${bits}; a whole number from ${range.min} to ${range.max} is taken`,
    );
  }
  return bits;
}
