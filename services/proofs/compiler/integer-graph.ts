// A model in whole numbers: what the ONNX front end makes and what the circuit is made of. Every
// value of every tensor has a number of its own, 0, 1, 2 ...: first the inputs, then what each step
// gives, in order. Shapes are gone: a transposition is another order of numbers.

/** All weights, bounds and biases are safe integers, so that a row is quick to evaluate. */
export interface IntegerGraph {
  /** Of the compiler; another one may make another circuit of the same bytes. */
  readonly compilerVersion: number;
  readonly inputs: readonly IntegerInput[];
  readonly steps: readonly Step[];
  readonly output: IntegerOutput;
}

/** One tensor that callers give, row by row; its values have consecutive numbers. */
export interface IntegerInput {
  readonly name: string;
  /** Without the batch dimension. */
  readonly shape: readonly number[];
  readonly encoding: InputEncoding;
}

/** How the values of an input become whole numbers: all in one way, or each in its own. */
export type InputEncoding = ValueEncoding | EachEncoding;

/**
 * How a float becomes the whole number that the circuit takes.
 * - fixed: round half away from zero of x * 2^scaleBits, which must lie in [lo, hi].
 * - ordered-float32: the float32's bits in the order of its value (negative: all flipped, else the
 *   sign flipped), a number of 32 bits; -0 is taken as 0, NaN and infinities are refused.
 */
export type ValueEncoding = FixedEncoding | { readonly kind: "ordered-float32" };

export interface FixedEncoding {
  readonly kind: "fixed";
  readonly scaleBits: number;
  readonly lo: number;
  readonly hi: number;
}

/** Each value is "fixed" with numbers of its own; the lists have one entry a value, in order. */
export interface EachEncoding {
  readonly kind: "fixed-each";
  readonly scaleBits: readonly number[];
  readonly lo: readonly number[];
  readonly hi: readonly number[];
}

/** Rows of a sparse matrix in compressed form: row i has the entries rowStart[i] to rowStart[i+1]. */
export interface SparseRows {
  readonly rowStart: Int32Array;
  /** Numbers of values, ascending within a row. */
  readonly columns: Int32Array;
  /** Safe integers, none 0. */
  readonly weights: Float64Array;
  /** One a row; safe integers. */
  readonly bias: Float64Array;
}

/** What happens to values; each gives new ones. */
export type Step = LinearStep | ActivateStep | MaxStep | TreesStep;

interface StepBase {
  /** Of the ONNX node or nodes that it comes from; for people. */
  readonly name: string;
}

/** One value a row: bias + sum of weight times value. Exact. */
export interface LinearStep extends StepBase {
  readonly kind: "linear";
  readonly rows: SparseRows;
}

/**
 * One value a given value, in order: y = floor((x + 2^(shiftBits-1)) / 2^shiftBits), that is x
 * divided by 2^shiftBits and rounded half up (shiftBits 0: x), of which then
 * - none: y
 * - relu: max(y, 0)
 * - leaky-relu: y where y >= 0, else floor(y / 2^slopeBits)
 * - clip: y held within [lo, hi]
 */
export interface ActivateStep extends StepBase {
  readonly kind: "activate";
  /** Numbers of the values taken. */
  readonly values: Int32Array;
  readonly shiftBits: number;
  readonly activation:
    | { readonly kind: "none" }
    | { readonly kind: "relu" }
    | { readonly kind: "leaky-relu"; readonly slopeBits: number }
    | { readonly kind: "clip"; readonly lo: number; readonly hi: number };
}

/** One value a group: its largest. */
export interface MaxStep extends StepBase {
  readonly kind: "max";
  /** Group i has the entries groupStart[i] to groupStart[i+1] of `values`; none is empty. */
  readonly groupStart: Int32Array;
  readonly values: Int32Array;
}

/** One value a score: base + sum over the trees of the leaf that is reached. */
export interface TreesStep extends StepBase {
  readonly kind: "trees";
  /** Numbers of the values that are features, all of them inputs. */
  readonly features: Int32Array;
  /** Of each score; safe integers. */
  readonly base: readonly number[];
  readonly trees: readonly Tree[];
}

/** Nodes by index, the root first. */
export interface Tree {
  readonly nodes: readonly TreeNode[];
}

/** Goes to `ifTrue` where feature <= threshold. */
export type TreeNode =
  | {
      readonly kind: "split";
      /** Index into TreesStep.features. */
      readonly feature: number;
      readonly threshold: number;
      readonly ifTrue: number;
      readonly ifFalse: number;
    }
  /** One entry a score; safe integers. */
  | { readonly kind: "leaf"; readonly scores: readonly number[] };

/** What the model says. */
export interface IntegerOutput {
  readonly name: string;
  /** Without the batch dimension. */
  readonly shape: readonly number[];
  /** Numbers of the values, in order. */
  readonly values: Int32Array;
  /** A value stands for value / 2^scaleBits. */
  readonly scaleBits: number;
  /** Done in floats by whoever reads the output; the proof is of what comes before. */
  readonly after: "nothing" | "sigmoid" | "softmax" | "tanh";
  /** Where the model itself ends in an ArgMax: the output is the index of the first largest. */
  readonly argmax: boolean;
  /** In the order of the values. Empty: not a classifier, or not said. */
  readonly classLabels: readonly string[];
}

/** How many values a step gives. */
export function resultCount(step: Step): number {
  switch (step.kind) {
    case "linear":
      return step.rows.bias.length;
    case "activate":
      return step.values.length;
    case "max":
      return step.groupStart.length - 1;
    case "trees":
      return step.base.length;
  }
}
