// What every operator is given about its node, and the checks that all of them share.

import { type OnnxNode, operatorName } from "../onnx-model.ts";
import { checkedSize, type ModelLimits } from "../read-tensor.ts";
import { axisOf, type ElementType, type Shape, type Tensor } from "../tensor.ts";
import { NodeRefusal } from "../unsupported.ts";

export interface NodeContext {
  readonly node: OnnxNode;
  /** Version of the node's domain that the model declares. */
  readonly opset: number;
  readonly limits: ModelLimits;
}

/** An input of a node as far as its shape goes. */
export interface Operand {
  readonly type: ElementType;
  readonly shape: Shape;
  /** Where it does not depend on the inputs of the model. */
  readonly constant?: Tensor;
}

/** An input that the node must have. */
export function required<T>(
  context: NodeContext,
  inputs: readonly (T | undefined)[],
  at: number,
): T {
  const input = inputs[at];
  if (input === undefined) {
    throw new NodeRefusal(
      `it has no input ${at}`,
      `see what ONNX says of ${operatorName(context.node)}`,
    );
  }
  return input;
}

/** An input that must be known when the circuit is made; undefined where it is left out. */
export function constantInput(
  inputs: readonly (Operand | undefined)[],
  at: number,
  what: string,
): Tensor | undefined {
  const input = inputs[at];
  if (input !== undefined && input.constant === undefined) {
    throw new NodeRefusal(
      `its ${what} is computed from the input of the model`,
      `make the ${what} a constant; a circuit has one shape and one set of weights`,
    );
  }
  return input?.constant;
}

/** An axis that exists. */
export function checkedAxis(axis: number, rank: number): number {
  const own = axisOf(axis, rank);
  if (own === undefined) {
    throw new NodeRefusal(`axis ${axis} of a tensor of ${rank} dimensions`, "correct the axis");
  }
  return own;
}

/** Refuses shapes that no memory should be taken for; gives their size. */
export function checkedShape(context: NodeContext, shape: Shape): number {
  return checkedSize(
    shape,
    `the output of "${context.node.name}"`,
    context.limits.computedElements,
  );
}

/** What does not fit together. */
export function mismatch(what: string): NodeRefusal {
  return new NodeRefusal(what, "correct the model; its shapes do not fit together");
}
