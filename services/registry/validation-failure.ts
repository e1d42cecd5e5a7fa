// Turns what is wrong with a model file into words a person can act on: from the graph where that
// is enough, else from the text of onnxruntime's error. The patterns were taken from onnxruntime
// 1.30; a text that none of them knows is passed on as LOAD_FAILED, without paths.

import type { OnnxGraph, ValueKind } from "./onnx-graph.ts";
import type { FailureReason, ValidationFailure } from "./sandbox-report.ts";

/** TensorProto.DataType numbers that onnxruntime-node does not carry, by the name people know. */
const UNCARRIED: Readonly<Record<number, string>> = {
  14: "complex64",
  15: "complex128",
  16: "bfloat16",
  17: "float8e4m3fn",
  18: "float8e4m3fnuz",
  19: "float8e5m2",
  20: "float8e5m2fnuz",
  21: "uint4",
  22: "int4",
  23: "float4e2m1",
  24: "float8e8m0",
  25: "uint2",
  26: "int2",
};

const NAMES_SHOWN = 5;
const MESSAGE_CHARACTERS_MAX = 1000;

/** What is wrong as far as the graph shows it; undefined: onnxruntime may try it. */
export function graphFailure(graph: OnnxGraph): ValidationFailure | undefined {
  if (graph.externalFiles.length > 0) {
    return failure(
      "EXTERNAL_DATA",
      `The weights are not in this file but in ${quoted(graph.externalFiles)}. A version is one ` +
        "file: load the model where both files are and save it whole with " +
        'onnx.save(model, "model.onnx", save_as_external_data=False).',
    );
  }
  for (const [side, values] of [
    ["input", graph.inputs],
    ["output", graph.outputs],
  ] as const) {
    const odd = values.find((value) => value.kind !== "tensor" && value.kind !== "unknown");
    if (odd !== undefined) {
      return nonTensor(side, odd.name, odd.kind);
    }
    const uncarried = values.find((value) => UNCARRIED[value.elementType] !== undefined);
    if (uncarried !== undefined) {
      const type = UNCARRIED[uncarried.elementType];
      return failure(
        "UNSUPPORTED_DATATYPE",
        uncarriedText(`The ${side} "${uncarried.name}"`, type),
      );
    }
  }
  return undefined;
}

/** An input or output that is no tensor. */
export function nonTensor(
  side: "input" | "output",
  name: string,
  kind: ValueKind,
): ValidationFailure {
  const what = kind === "unknown" ? "not a tensor" : `a ${kind}, not a tensor`;
  const way =
    side === "output" && (kind === "sequence" || kind === "map" || kind === "unknown")
      ? "A scikit-learn classifier is exported without it by skl2onnx with " +
        "convert_sklearn(..., options={'zipmap': False}); for any other model end the graph in a " +
        "tensor (ConcatFromSequence, or without the last ZipMap)."
      : `Export the model with tensors as its ${side}s.`;
  return failure(
    "NON_TENSOR_IO",
    `The ${side} "${name}" is ${what}; calls carry tensors only. ${way}`,
  );
}

interface Rule {
  readonly pattern: RegExp;
  readonly explain: (match: RegExpExecArray, graph: OnnxGraph | undefined) => ValidationFailure;
}

const RULES: readonly Rule[] = [
  {
    pattern: /bad_alloc|bad allocation|failed to allocate|out of memory|cannot allocate memory/i,
    explain: () => memoryFailure(),
  },
  {
    pattern: /Opset (\d+) is under development.*support for domain (\S+) is till opset (\d+)/s,
    explain: ([, opset, domain, newest]) =>
      failure(
        "UNSUPPORTED_OPSET",
        `The file uses ${domain} opset ${opset}; this server supports up to ${newest}. ` +
          `Export it again with ${opsetOption(domain, newest)}.`,
      ),
  },
  {
    pattern: /Unsupported model IR version: (\d+), max supported IR version: (\d+)/,
    explain: ([, version, newest]) =>
      failure(
        "UNSUPPORTED_IR_VERSION",
        `The file is of ONNX IR version ${version}; this server supports up to ${newest}. Set ` +
          `model.ir_version = ${newest} before saving, or export with an onnx package of that age.`,
      ),
  },
  {
    pattern: /In Node, \("[^"]*", (\S+), "([^"]*)".*No Op registered .* domain_version of (\d+)/s,
    explain: ([, operator, domain, opset]) =>
      failure(
        "UNSUPPORTED_OPERATOR",
        `The operator ${domain || "ai.onnx"}.${operator} does not exist in opset ${opset} of ` +
          `${domain || "ai.onnx"}, which the file asks for. Export with an opset that has it, or ` +
          "replace it by operators that onnxruntime knows.",
      ),
  },
  {
    pattern: /No Op registered for (\S+) with domain_version of (\d+)/,
    explain: ([, operator, opset], graph) =>
      failure(
        "UNSUPPORTED_OPERATOR",
        `The operator ${qualified(operator, graph)} does not exist in the opset ${opset} that ` +
          "the file asks for. Export with an opset that has it, or replace it.",
      ),
  },
  {
    pattern: /Fatal error: (\S+):([^\s:(]+)\(-?\d+\) is not a registered function\/op/,
    explain: ([, domain, operator]) =>
      failure(
        "UNSUPPORTED_OPERATOR",
        `The operator ${domain}.${operator} is not part of onnxruntime: it is a custom operator ` +
          "or of a library this server does not have. Export the model with standard operators, " +
          "for example with onnx.inliner where it is a function.",
      ),
  },
  {
    pattern: /Could not find an implementation for (\S+)\((\d+)\) node/,
    explain: ([, operator, opset], graph) =>
      failure(
        "UNSUPPORTED_OPERATOR",
        `This server's onnxruntime has no CPU implementation of ${qualified(operator, graph)} ` +
          `(opset ${opset}) for the datatypes it is given here. Cast its inputs to float32, or ` +
          "export with another opset.",
      ),
  },
  {
    pattern:
      /data type: (\d+)|MLDataType for: tensor\((\w+)\)|tensor\((bfloat16|float8\w+|u?int4)\)/,
    explain: ([, number, name, other]) =>
      failure(
        "UNSUPPORTED_DATATYPE",
        uncarriedText(
          "The model",
          name ?? UNCARRIED[Number(number)] ?? other ?? `number ${number}`,
        ),
      ),
  },
  {
    pattern:
      /protobuf parsing failed|INVALID_PROTOBUF|Missing opset|ModelProto does not have a graph/i,
    explain: ([what]) =>
      failure("CORRUPT", `This is not a whole ONNX file (${what}). Export and push it again.`),
  },
];

/** The failure that an error of onnxruntime means while a session was made. */
export function loadFailure(error: unknown, graph: OnnxGraph | undefined): ValidationFailure {
  const text = error instanceof Error ? error.message : String(error);
  for (const { pattern, explain } of RULES) {
    const match = pattern.exec(text);
    if (match !== null) {
      return explain(match, graph);
    }
  }
  return failure("LOAD_FAILED", `onnxruntime cannot load the model: ${withoutPaths(text)}`);
}

/** The failure that an error of the trial run means. */
export function runFailure(error: unknown): ValidationFailure {
  const text = error instanceof Error ? error.message : String(error);
  if (RULES[0]?.pattern.test(text)) {
    return memoryFailure();
  }
  return failure(
    "RUN_FAILED",
    `The model loads but does not run: ${withoutPaths(text)} It was tried with rows of zeros and ` +
      "of ones in the shapes that it declares; make sure it was traced with those shapes.",
  );
}

/** It wanted more memory than the sandbox gives. */
export function memoryFailure(): ValidationFailure {
  return failure(
    "MEMORY_LIMIT",
    "The model needs more memory than validation may use. Make it smaller (for example quantize " +
      "it), or ask the operator to raise PLINTH_REGISTRY_SANDBOX_MEMORY.",
  );
}

/** It is not the file it should be. */
export function corruptFailure(detail: string): ValidationFailure {
  return failure(
    "CORRUPT",
    `This is not a whole ONNX file: ${detail}. Check the file with onnx.checker.check_model, ` +
      "then export and push it again.",
  );
}

function opsetOption(domain: string | undefined, newest: string | undefined): string {
  return domain === "ai.onnx"
    ? `target_opset=${newest} (skl2onnx) or opset_version=${newest} (torch.onnx)`
    : `target_opset={"${domain}": ${newest}}`;
}

function failure(reason: FailureReason, message: string): ValidationFailure {
  return { reason, message: message.slice(0, MESSAGE_CHARACTERS_MAX * 2) };
}

function uncarriedText(what: string, type: string | undefined): string {
  return (
    `${what} is of datatype ${type}, which calls cannot carry here. Put a Cast to float32 (for ` +
    "integers of few bits: int8) at the edge of the graph and export it again."
  );
}

/** "ai.onnx.Gelu" for "Gelu", from the operators of the graph. */
function qualified(operator: string | undefined, graph: OnnxGraph | undefined): string {
  const names = Object.keys(graph?.operators ?? {});
  return names.find((name) => name.endsWith(`.${operator}`)) ?? operator ?? "";
}

function quoted(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).map((name) => JSON.stringify(name.slice(0, 200)));
  const rest = names.length - shown.length;
  return shown.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

/**
 * A C++ error names source files and sometimes the model's path: neither is the caller's business.
 */
function withoutPaths(text: string): string {
  const clean = text
    .replace(/^\/onnxruntime_src\/\S+ .*?\) (?=[A-Z])/s, "")
    .replace(/(?:\/[\w.+-]+){2,}(?::\d+)?/g, "(path)")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, MESSAGE_CHARACTERS_MAX);
  return /[.!?]$/.test(clean) ? clean : `${clean}.`;
}
