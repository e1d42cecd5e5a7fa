// How a model is refused: with everything that stands in the way at once, so that its owner changes
// it once and not ten times.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";

/** A node that no circuit can be made of. */
export interface UnsupportedNode {
  /** Of the node, or of its first output where the node has none. */
  readonly name: string;
  /** With its domain where that is not ONNX's own: "ai.onnx.ml.SVMClassifier". */
  readonly operator: string;
  readonly why: string;
  /** What the owner of the model can do. */
  readonly advice: string;
}

/** The model is sound, but it has nodes that cannot be proved; all of them are in `nodes`. */
export class UnsupportedModel extends FailedPrecondition {
  readonly nodes: readonly UnsupportedNode[];

  constructor(nodes: readonly UnsupportedNode[]) {
    const lines = nodes.slice(0, NODES_TOLD_MAX).map(tell);
    const rest = nodes.length - lines.length;
    super(
      `No circuit can be made of this model: ${nodes.length} of its nodes cannot be proved. ` +
        lines.join("; ") +
        (rest > 0 ? `; and ${rest} more` : ""),
      {
        reason: ErrorReason.UNSUPPORTED,
        violations: nodes.map((node) => ({
          type: "UNSUPPORTED_NODE",
          subject: node.name,
          description: tell(node),
        })),
      },
    );
    this.nodes = nodes;
  }
}

/** Thrown inside for one node; whoever walks the graph gathers them. */
export class NodeRefusal extends Error {
  override readonly name = "NodeRefusal";
  readonly why: string;
  readonly advice: string;
  /** Which node it is about, where that is not the one that is looked at. */
  readonly node: { readonly name: string; readonly operator: string } | undefined;

  constructor(
    why: string,
    advice: string,
    node?: { readonly name: string; readonly operator: string },
  ) {
    super(`${why}; ${advice}`);
    this.why = why;
    this.advice = advice;
    this.node = node;
  }
}

/** For a message; the error has all of them. */
const NODES_TOLD_MAX = 20;

/** A file that is not a sound model, or is larger than it may be. */
export function invalidModel(description: string, cause?: unknown): InvalidArgument {
  return invalid("model", description, cause);
}

/** An option that does not fit. */
export function invalidOption(option: string, description: string): InvalidArgument {
  return invalid(`options.${option}`, description);
}

function invalid(field: string, description: string, cause?: unknown): InvalidArgument {
  return new InvalidArgument(`${field}: ${description}`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
    ...(cause === undefined ? {} : { cause }),
  });
}

function tell(node: UnsupportedNode): string {
  return `${node.name} (${node.operator}): ${node.why}; ${node.advice}`;
}
