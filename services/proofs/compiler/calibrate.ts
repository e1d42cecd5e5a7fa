// Measures an integer graph against the float program on rows of data: ranges before quantisation,
// errors after it.

import { valueEncoding } from "../verifier/signal-encoding.ts";
import { powerOfTwo } from "./binary-scale.ts";
import {
  type CalibrationMetric,
  type CalibrationReport,
  type LayerReport,
  type OutputError,
  outputError,
} from "./calibration-report.ts";
import { type FloatProgram, runProgram, stepSize } from "./float-program.ts";
import { encodeValue } from "./input-encoding.ts";
import { integerEvaluator } from "./integer-evaluate.ts";
import type { InputEncoding, Step } from "./integer-graph.ts";
import type { Quantized } from "./quantize.ts";

/** One row of all inputs, as floats and as the circuit takes it. */
export interface SampleRow {
  readonly floats: Float64Array;
  readonly whole: Float64Array;
  /** Where one was given. */
  readonly label?: number;
}

/** Encodes rows; those with a value that cannot be encoded are counted and left out. */
export function encodeRows(
  program: FloatProgram,
  encodings: readonly InputEncoding[],
  rows: readonly { readonly floats: Float64Array; readonly label?: number }[],
): { readonly rows: readonly SampleRow[]; readonly refused: number } {
  const kept: SampleRow[] = [];
  for (const row of rows) {
    const whole = new Float64Array(row.floats.length);
    try {
      program.inputs.forEach(({ first, size }, i) => {
        for (let at = first; at < first + size; at++) {
          whole[at] = encodeValue(valueEncoding(encodings[i]!, at - first), row.floats[at]!);
        }
      });
      kept.push({ ...row, whole });
    } catch (error) {
      if (!(error instanceof RangeError)) {
        throw error;
      }
    }
  }
  return { rows: kept, refused: rows.length - kept.length };
}

/** What the float program gives for each row, and the largest size of each value. */
export interface FloatRuns {
  readonly outputs: readonly Float64Array[];
  readonly sizes: Float64Array;
}

/** A value counts as this much of the largest of its kind at least: the rows are not all there is. */
const SIZE_SHARE_MIN = 1 / 64;

export function runFloats(program: FloatProgram, rows: readonly SampleRow[]): FloatRuns {
  const sizes = new Float64Array(program.values);
  const outputs = rows.map(({ floats }) => {
    const { values, output } = runProgram(program, floats);
    for (let i = 0; i < values.length; i++) {
      sizes[i] = Math.max(sizes[i]!, Math.abs(values[i]!));
    }
    return output;
  });
  for (const step of program.steps) {
    const own = sizes.subarray(step.first, step.first + stepSize(step));
    const least = own.reduce((a, b) => Math.max(a, b), 0) * SIZE_SHARE_MIN;
    own.forEach((size, i) => {
      own[i] = Math.max(size, least);
    });
  }
  return { outputs, sizes };
}

/** Errors of a quantisation on rows; the rest of a report is the caller's. */
export function measure(
  program: FloatProgram,
  quantized: Quantized,
  data: { readonly rows: readonly SampleRow[]; readonly floats: FloatRuns },
): Pick<CalibrationReport, "rows" | "metric" | "argmaxAgreement" | "outputs" | "layers"> {
  const { graph, bounds } = quantized;
  const evaluate = integerEvaluator(graph);
  const unit = powerOfTwo(-graph.output.scaleBits);
  const seen = new Spreads(bounds.count);
  const errors = Array.from(graph.output.values, () => new Float64Array(data.rows.length));
  const outputs = data.rows.map(({ whole }, row) => {
    const { values, output } = evaluate(whole);
    seen.look(values);
    const floats = data.floats.outputs[row]!;
    return Float64Array.from(output, (value, i) => {
      const result = Number(value) * unit;
      errors[i]![row] = Math.abs(result - floats[i]!);
      return result;
    });
  });
  const isClass = program.output.rows.bias.length > 1 || program.output.after === "sigmoid";
  const metric = metricOf(data, { outputs, isClass });
  const agreement = isClass ? agreementOf(data.floats.outputs, outputs) : undefined;
  return {
    rows: data.rows.length,
    ...(metric && { metric }),
    ...(agreement !== undefined && { argmaxAgreement: agreement }),
    outputs: errors.map((list, i): OutputError => {
      return outputError(list, bounds.error(graph.output.values[i]!));
    }),
    layers: graph.steps.map((step, i) => layerReport(step, quantized.firsts[i]!, quantized, seen)),
  };
}

/** The class of an output: the first largest; of one value whether it is above 0. */
export function classOf(output: Float64Array): number {
  if (output.length === 1) {
    return output[0]! > 0 ? 1 : 0;
  }
  let best = 0;
  for (let i = 1; i < output.length; i++) {
    best = output[i]! > output[best]! ? i : best;
  }
  return best;
}

function agreementOf(floats: readonly Float64Array[], wholes: readonly Float64Array[]): number {
  const same = floats.filter((output, row) => classOf(output) === classOf(wholes[row]!)).length;
  return floats.length === 0 ? 1 : same / floats.length;
}

function metricOf(
  data: { readonly rows: readonly SampleRow[]; readonly floats: FloatRuns },
  found: { readonly outputs: readonly Float64Array[]; readonly isClass: boolean },
): CalibrationMetric | undefined {
  const labels = data.rows.map(({ label }) => label);
  if (labels.length === 0 || labels.some((label) => label === undefined)) {
    return undefined;
  }
  const of = (outputs: readonly Float64Array[]) => {
    const scores = outputs.map((output, row) =>
      found.isClass ? (classOf(output) === labels[row] ? 1 : 0) : (output[0]! - labels[row]!) ** 2,
    );
    const mean = scores.reduce<number>((sum, score) => sum + score, 0) / scores.length;
    return found.isClass ? mean : Math.sqrt(mean);
  };
  return {
    name: found.isClass ? "accuracy" : "rmse",
    float: of(data.floats.outputs),
    quantized: of(found.outputs),
  };
}

/** The smallest and largest of each value over all rows. */
class Spreads {
  readonly lo: Float64Array;
  readonly hi: Float64Array;

  constructor(count: number) {
    this.lo = new Float64Array(count).fill(Number.POSITIVE_INFINITY);
    this.hi = new Float64Array(count).fill(Number.NEGATIVE_INFINITY);
  }

  look(values: ArrayLike<number | bigint>): void {
    for (let i = 0; i < this.lo.length; i++) {
      const value = Number(values[i]!);
      this.lo[i] = Math.min(this.lo[i]!, value);
      this.hi[i] = Math.max(this.hi[i]!, value);
    }
  }
}

function layerReport(step: Step, first: number, quantized: Quantized, seen: Spreads): LayerReport {
  const { bounds, firsts } = quantized;
  const next = firsts[firsts.indexOf(first) + 1] ?? bounds.count;
  let most = 0;
  let mostSeen = 0;
  let dead = 0;
  let constant = 0;
  for (let value = first; value < next; value++) {
    most = Math.max(most, -bounds.lo(value), bounds.hi(value));
    if (seen.lo[value]! <= seen.hi[value]!) {
      mostSeen = Math.max(mostSeen, -seen.lo[value]!, seen.hi[value]!);
      constant += seen.lo[value] === seen.hi[value] ? 1 : 0;
    }
    dead += step.kind === "activate" && bounds.lo(value) === bounds.hi(value) ? 1 : 0;
  }
  const bitsMax = bitsOf(most);
  const bitsSeen = bitsOf(mostSeen);
  return {
    name: step.name,
    kind: step.kind,
    values: next - first,
    bitsMax,
    bitsSeen,
    headroomBits: bitsMax - bitsSeen,
    dead,
    constant,
  };
}

/** Bits of a whole number that is not negative. */
function bitsOf(value: number): number {
  return value < 1 ? 0 : BigInt(Math.floor(value)).toString(2).length;
}
