// Runs a model once or a few times on made-up rows. It finds files that load but cannot run, and
// whether rows can be put together: a row must be answered the same beside another as alone.

import type { Signature, TensorSpec } from "./signature.ts";

/** A tensor of a trial; the caller makes and reads the runtime's own. */
export interface TrialTensor {
  readonly datatype: string;
  readonly dims: readonly number[];
  readonly values: ArrayLike<number | bigint | string | boolean>;
}

export type Feeds = ReadonlyMap<string, TrialTensor>;

/** Runs the model; rejects with the runtime's error. */
export type RunModel = (feeds: Feeds) => Promise<ReadonlyMap<string, TrialTensor>>;

export interface TrialResult {
  /** The runtime's error when the model clearly cannot run. */
  readonly error?: unknown;
  readonly batchable: boolean;
  /** Number of dimensions seen, by output. Empty when nothing ran. */
  readonly outputRanks: ReadonlyMap<string, number>;
}

/** 64 MiB of floats; a model that declares larger fixed inputs is served untried. */
const ELEMENTS_MAX = 16 * 1024 * 1024;
/**
 * Sums in another order differ in the last digits; rows that influence each other differ by more.
 */
const RELATIVE_TOLERANCE = 1e-3;
const ABSOLUTE_TOLERANCE = 1e-4;

/**
 * Tries the model with rows of zeros and of ones. A failure is the model's only when no dimension
 * but the batch had to be invented: a made-up width may well not fit.
 */
export async function trialRun(signature: Signature, run: RunModel): Promise<TrialResult> {
  const rowsAreOpen = signature.inputs.length > 0 && signature.inputs.every(hasOpenRows);
  const none = new Map<string, number>();
  if (signature.inputs.some((spec) => spec.anyRank) || elementsOf(signature) > ELEMENTS_MAX) {
    return { batchable: sharesBatchName(signature), outputRanks: none };
  }
  const zeros = await attempt(run, feedsOf(signature, [0]));
  const ones = await attempt(run, feedsOf(signature, [1]));
  // Zeros may be what the model cannot take (a divisor); then two rows of ones have to do.
  const first = zeros.outputs === undefined ? ones : zeros;
  const fills = first === ones ? [1, 1] : [0, 1];
  const both = rowsAreOpen ? await attempt(run, feedsOf(signature, fills)) : undefined;
  const ran = zeros.outputs ?? ones.outputs ?? both?.outputs;
  if (ran === undefined) {
    const invented = signature.inputs.some((spec) => hasInvented(spec, rowsAreOpen ? 1 : 0));
    return invented
      ? { batchable: sharesBatchName(signature), outputRanks: none }
      : { error: zeros.error, batchable: false, outputRanks: none };
  }
  const outputRanks = new Map([...ran].map(([name, tensor]) => [name, tensor.dims.length]));
  const batchable =
    signature.outputs.length > 0 &&
    signature.outputs.every((spec) => isStacked(spec, first.outputs, ones.outputs, both?.outputs));
  return { batchable, outputRanks };
}

interface Attempt {
  readonly outputs?: ReadonlyMap<string, TrialTensor>;
  readonly error?: unknown;
}

async function attempt(run: RunModel, feeds: Feeds): Promise<Attempt> {
  try {
    return { outputs: await run(feeds) };
  } catch (error) {
    return { error };
  }
}

/** One entry of `fills` a row: what all its values are. Inputs without open rows take the first. */
function feedsOf(signature: Signature, fills: readonly number[]): Feeds {
  return new Map(
    signature.inputs.map((spec) => {
      const dims = dimsOf(spec, fills.length);
      const count = dims.reduce((product, size) => product * size, 1);
      const perRow = hasOpenRows(spec) ? count / fills.length : count;
      const values = Array.from({ length: count }, (_, i) => {
        const fill = fills[Math.floor(i / perRow)] ?? 0;
        return spec.datatype === "BYTES" ? (fill === 0 ? "" : String(fill)) : fill;
      });
      return [spec.name, { datatype: spec.datatype, dims, values }] as const;
    }),
  );
}

function dimsOf(spec: TensorSpec, rows: number): readonly number[] {
  return spec.shape.map((size, index) => (size >= 0 ? size : index === 0 ? rows : 1));
}

function elementsOf(signature: Signature): number {
  return signature.inputs.reduce(
    (total, spec) => total + dimsOf(spec, 2).reduce((product, size) => product * size, 1),
    0,
  );
}

function hasOpenRows(spec: TensorSpec): boolean {
  return spec.shape[0] === -1;
}

function hasInvented(spec: TensorSpec, fromDimension: number): boolean {
  return spec.shape.slice(fromDimension).includes(-1);
}

/** Whether the two rows together gave what each gave alone. */
function isStacked(
  spec: TensorSpec,
  first: ReadonlyMap<string, TrialTensor> | undefined,
  second: ReadonlyMap<string, TrialTensor> | undefined,
  both: ReadonlyMap<string, TrialTensor> | undefined,
): boolean {
  const [a, b, together] = [first, second, both].map((outputs) => outputs?.get(spec.name));
  if (a === undefined || b === undefined || together === undefined) {
    return false;
  }
  const isRows =
    (spec.anyRank || hasOpenRows(spec)) &&
    a.dims[0] === 1 &&
    b.dims[0] === 1 &&
    together.dims[0] === 2 &&
    together.values.length === a.values.length + b.values.length;
  if (!isRows) {
    return false;
  }
  for (let i = 0; i < together.values.length; i++) {
    const alone = i < a.values.length ? a.values[i] : b.values[i - a.values.length];
    if (!isClose(together.values[i], alone)) {
      return false;
    }
  }
  return true;
}

function isClose(one: unknown, other: unknown): boolean {
  if (typeof one !== "number" || typeof other !== "number") {
    return one === other;
  }
  return (
    Object.is(one, other) ||
    one === other ||
    Math.abs(one - other) <= ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * Math.abs(other)
  );
}

/** Untried: every input and output begins with one and the same open dimension. */
function sharesBatchName(signature: Signature): boolean {
  const all = [...signature.inputs, ...signature.outputs];
  const name = all[0]?.dimensionNames[0] ?? "";
  return name !== "" && all.every((spec) => hasOpenRows(spec) && spec.dimensionNames[0] === name);
}
