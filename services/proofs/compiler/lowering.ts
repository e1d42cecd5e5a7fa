// What a node's inputs and outputs are while a model is turned into a float program, and the program
// as it grows.

import {
  type After,
  type FloatActivation,
  type FloatStep,
  type FloatTree,
  type ProgramInput,
  stepSize,
} from "./float-program.ts";
import {
  composeRows,
  compositionWork,
  constantRows,
  type FloatRows,
  identityRows,
  plainValues,
  rowCount,
} from "./float-rows.ts";
import { type OnnxNode, operatorName } from "./onnx-model.ts";
import type { Operand } from "./operators/node-context.ts";
import type { ElementType, Shape, Tensor } from "./tensor.ts";
import { NodeRefusal } from "./unsupported.ts";

/** A tensor of the model: known, or computed from the inputs. */
export type Lowered = LoweredConstant | LoweredValues | LoweredArgmax | LoweredRefusal;

export interface LoweredConstant {
  readonly kind: "constant";
  readonly tensor: Tensor;
}

/** Rows over the values of the program, in the order of the tensor's elements. */
export interface LoweredValues {
  readonly kind: "values";
  readonly type: ElementType;
  readonly shape: Shape;
  readonly rows: FloatRows;
  /** What is done to the values in the end, by which node; nothing else may use them then. */
  readonly after: After;
  readonly afterNode?: OnnxNode;
  /** Where elements are inputs of the model with float32 arithmetic on each: what trees can use. */
  readonly features?: readonly Feature[];
  readonly classLabels: readonly string[];
}

/** The index of the largest of some values, or the label that it stands for. */
export interface LoweredArgmax {
  readonly kind: "argmax";
  readonly type: ElementType;
  readonly shape: Shape;
  readonly of: LoweredValues;
  readonly node: OnnxNode;
}

/** A result that only counts as refused where something uses it. */
export interface LoweredRefusal {
  readonly kind: "refused";
  readonly type: ElementType;
  readonly shape: Shape;
  readonly refusal: NodeRefusal;
}

/** An input value and what is done to it, in order, each step rounded to float32. */
export interface Feature {
  readonly input: number;
  readonly chain: readonly ScalarOperation[];
}

/** With a constant: x + c, x - c, c - x, x * c, x / c. */
export interface ScalarOperation {
  readonly kind: "add" | "subtract" | "subtract-from" | "multiply" | "divide";
  readonly constant: number;
}

/** Products of a composition of two layers at most; beyond it the inner one is kept as values. */
const COMPOSITION_WORK_MAX = 4_000_000;
/** A composition this small is always made. */
const COMPOSITION_ENTRIES_FREE = 4096;

/** The program that is being made. */
export class Lowering {
  readonly inputs: readonly ProgramInput[];
  readonly steps: FloatStep[] = [];
  #values: number;
  readonly #kept = new Map<FloatRows, FloatRows>();

  constructor(inputs: readonly ProgramInput[]) {
    this.inputs = inputs;
    this.#values = inputs.reduce((sum, input) => sum + input.size, 0);
  }

  get values(): number {
    return this.#values;
  }

  /** Rows that are the activated values. */
  activate(rows: FloatRows, activation: FloatActivation, name: string): FloatRows {
    return this.#add({ kind: "activate", name, rows, activation, first: this.#values });
  }

  /** Rows that are the largest of each group of rows. */
  maximum(
    rows: FloatRows,
    groups: { readonly groupStart: Int32Array; readonly members: Int32Array },
    name: string,
  ): FloatRows {
    return this.#add({ kind: "max", name, rows, ...groups, first: this.#values });
  }

  /** Rows that are the scores of trees. */
  trees(
    step: {
      readonly features: Int32Array;
      readonly base: readonly number[];
      readonly trees: readonly FloatTree[];
    },
    name: string,
  ): FloatRows {
    return this.#add({ kind: "trees", name, ...step, first: this.#values });
  }

  /**
   * The rows of a layer over a layer as rows over values. Where that would take many more weights
   * than the two layers have, the inner one is rounded and kept.
   */
  compose(outer: FloatRows, inner: FloatRows, name: string): FloatRows {
    if (inner.columns.length <= rowCount(inner)) {
      return composeRows(outer, inner);
    }
    if (compositionWork(outer, inner) <= COMPOSITION_WORK_MAX) {
      const composed = composeRows(outer, inner);
      const own = outer.columns.length + inner.columns.length;
      if (composed.columns.length <= 2 * own + COMPOSITION_ENTRIES_FREE) {
        return composed;
      }
    }
    return composeRows(outer, this.keep(inner, name));
  }

  /** The same rows as values of their own. */
  keep(rows: FloatRows, name: string): FloatRows {
    if (plainValues(rows) !== undefined) {
      return rows;
    }
    const kept = this.#kept.get(rows) ?? this.activate(rows, { kind: "none" }, name);
    this.#kept.set(rows, kept);
    return kept;
  }

  #add(step: FloatStep): FloatRows {
    this.steps.push(step);
    const size = stepSize(step);
    this.#values += size;
    return identityRows(step.first, size);
  }
}

export function constant(tensor: Tensor): LoweredConstant {
  return { kind: "constant", tensor };
}

/** Values without features or labels. */
export function values(type: ElementType, shape: Shape, rows: FloatRows): LoweredValues {
  return { kind: "values", type, shape, rows, after: "nothing", classLabels: [] };
}

/** Only what the checks of an operator need. */
export function operandOf(lowered: Lowered): Operand {
  return lowered.kind === "constant"
    ? { type: lowered.tensor.type, shape: lowered.tensor.shape, constant: lowered.tensor }
    : { type: lowered.type, shape: lowered.shape };
}

/** Values that arithmetic may go on with. @throws NodeRefusal about the node that ends them */
export function plain(lowered: Lowered, user: OnnxNode): LoweredValues {
  switch (lowered.kind) {
    case "constant": {
      const { type, shape, data } = lowered.tensor;
      if (type === "string") {
        throw new NodeRefusal("it takes texts", "give numbers to it");
      }
      return values(type, shape, constantRows(data));
    }
    case "refused":
      throw lowered.refusal;
    case "argmax":
      throw new NodeRefusal(
        `its result goes on into "${user.name}" (${operatorName(user)})`,
        "an ArgMax is proved only where the model ends in it",
        { name: lowered.node.name, operator: operatorName(lowered.node) },
      );
    case "values": {
      const node = lowered.afterNode;
      if (lowered.after !== "nothing" && node !== undefined) {
        throw new NodeRefusal(
          `its result goes on into "${user.name}" (${operatorName(user)})`,
          `${operatorName(node)} is taken only as the last operator: use Relu, LeakyRelu or Clip ` +
            "inside of a model",
          { name: node.name, operator: operatorName(node) },
        );
      }
      return lowered;
    }
  }
}
