// From an ONNX file to the files of a circuit, in the process that was started for it: nothing in
// here holds back, the owner of the process watches time and memory.

import { createHash } from "node:crypto";
import { open, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import { writeR1cs } from "../circuit/r1cs-file.ts";
import { canonicalParts } from "../compiler/canonical.ts";
import { type CompiledModel, compileModel } from "../compiler/compile-model.ts";
import type { IntegerGraph } from "../compiler/integer-graph.ts";
import { CANONICAL_BYTES_MAX, readCanonical } from "../compiler/read-canonical.ts";
import { DEFAULT_LIMITS } from "../compiler/read-onnx.ts";
import { invalidModel, UnsupportedModel } from "../compiler/unsupported.ts";
import type { Progress } from "../process/serve-tasks.ts";
import { schemaHash } from "../verifier/read-schema.ts";
import { Refusal } from "../verifier/refusal.ts";
import { checkCircuit } from "./check-circuit.ts";
import { readCalibration } from "./read-calibration.ts";
import type { CompiledFiles, CompileTask } from "./workshop-port.ts";

const CONSTRAINTS_FILE = "circuit.r1cs";
const MODEL_FILE = "model.json";
const WRITE_CHARACTERS = 1024 * 1024;

/** See Workshop.compile. */
export async function compileFiles(task: CompileTask, progress: Progress): Promise<CompiledFiles> {
  progress("compiling");
  const started = performance.now();
  const compiled = await compileOnnx(task);
  const { graph } = compiled;
  const model = join(task.folder, MODEL_FILE);
  const modelCommitment = await writeCanonical(graph, model);
  const circuit = compileCircuit(graph, { ...task.circuit, modelCommitment });
  const hashOfSchema = checkedSchemaHash(circuit.schema);
  const r1cs = writeR1cs(circuit.system);
  const constraints = join(task.folder, CONSTRAINTS_FILE);
  await writeFile(constraints, r1cs);
  const circuitHash = createHash("sha256").update(r1cs).digest("hex");
  const compiledAt = performance.now();
  progress("checking soundness");
  // What cannot be read back could never be proved with.
  readCanonical(await readFile(model));
  checkCircuit(circuit, graph);
  return {
    constraints,
    circuitHash,
    constraintsBytes: r1cs.length,
    model,
    modelCommitment,
    schema: circuit.schema,
    schemaHash: hashOfSchema,
    calibration: compiled.report,
    report: circuit.report,
    compileMs: compiledAt - started,
    checkMs: performance.now() - compiledAt,
  };
}

async function compileOnnx(task: CompileTask): Promise<CompiledModel> {
  const { onnx, calibration } = task;
  const model =
    calibration === undefined
      ? task.model
      : { ...task.model, calibration: await readCalibration(calibration) };
  const { size } = await stat(onnx);
  const max = model.limits?.fileBytes ?? DEFAULT_LIMITS.fileBytes;
  if (size > max) throw invalidModel(`the file has ${size} bytes; at most ${max} are taken`);
  try {
    return compileModel(await readFile(onnx), model);
  } catch (error) {
    if (error instanceof UnsupportedModel) throw unsupported(error);
    throw error;
  }
}

/** Every node is a field of the request that its owner can change. */
function unsupported(error: UnsupportedModel): InvalidArgument {
  return new InvalidArgument(error.message, {
    reason: error.reason,
    violations: error.violations.map(({ subject, description }) => ({
      field: `model.nodes[${JSON.stringify(subject)}]`,
      description,
    })),
    cause: error,
  });
}

/** Writes the canonical bytes, and gives their hash. */
async function writeCanonical(graph: IntegerGraph, path: string): Promise<string> {
  await using file = await open(path, "w");
  const hash = createHash("sha256");
  let size = 0;
  let text = "";
  const flush = async (): Promise<void> => {
    const bytes = Buffer.from(text, "utf8");
    size += bytes.length;
    if (size > CANONICAL_BYTES_MAX) {
      throw tooLarge(`the model in whole numbers has more than ${CANONICAL_BYTES_MAX} bytes`);
    }
    hash.update(bytes);
    await file.writeFile(bytes);
    text = "";
  };
  for (const part of canonicalParts(graph)) {
    text += part;
    if (text.length >= WRITE_CHARACTERS) await flush();
  }
  await flush();
  return hash.digest("hex");
}

function checkedSchemaHash(schema: CircuitSchema): string {
  try {
    return schemaHash(schema);
  } catch (error) {
    if (error instanceof Refusal) {
      throw tooLarge(`${error.message}, which is what can be verified`);
    }
    throw error;
  }
}

function tooLarge(what: string): FailedPrecondition {
  const description = `${what}. Take a smaller model, or commit to its inputs`;
  return new FailedPrecondition(description, {
    reason: ErrorReason.UNSUPPORTED,
    violations: [{ type: "CIRCUIT_SIZE", subject: "circuit", description }],
  });
}
