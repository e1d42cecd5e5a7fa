// Makes one circuit: model, compiler, key. What is done stands in the document as soon as it is
// durable, so that a restart goes on after it; everything before that is done again, and harmless.

import { join } from "node:path";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { CircuitOptions_Setup as Setup } from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { type DomainError, Internal, InvalidArgument } from "../../common/errors/domain-error.ts";
import type { RunJob, RunningJob } from "../../common/jobs/job.ts";
import type { KeyRecord } from "../prover/key-record.ts";
import type { Circuit, CompiledDocument, KeyDocument } from "./circuit.ts";
import { calibrationJson, reportJson } from "./circuit-report.ts";
import type { CircuitDeps } from "./deps.ts";
import { type ModelSource, otherVersion, type SourceVersion } from "./model-source.ts";
import { compileOptionsOf, optionsOf, wireOptionsOf, withOutputMode } from "./options-of.ts";

/** In order. The workshop names the first two itself. */
const PHASES = ["compiling", "checking soundness", "making the key"] as const;

export type MakeDeps = Omit<
  CircuitDeps,
  "ceremony" | "newestProof" | "waitingRows" | "registry"
> & {
  readonly models: ModelSource;
};

/** Does the job of a circuit. */
export function makeCircuit(deps: MakeDeps): RunJob<Circuit> {
  return async (job) => {
    const compiled = job.job.compiled ?? (await compile(deps, job));
    if (job.job.key === null) {
      await job.checkpoint({ key: await setUp(deps, job, compiled) });
    }
    return { active: await activateFirst(deps, job) };
  };
}

async function compile(deps: MakeDeps, job: RunningJob<Circuit>): Promise<CompiledDocument> {
  const { config, files, models, workshop } = deps;
  const { job: circuit, signal } = job;
  tell(job, PHASES[0]);
  const version = await sameVersion(models, job);
  await using scratch = await files.scratch("compile");
  const onnx = join(scratch.path, "model.onnx");
  await models.download(version, { path: onnx, bytesMax: config.modelBytesMax, signal });
  const options = optionsOf(circuit.options);
  const { calibrationData } = circuit;
  const { classLabels } = version;
  const fileBytesMax = config.modelBytesMax;
  const task = {
    onnx,
    model: compileOptionsOf(options, { classLabels, fileBytesMax }),
    ...(calibrationData === null ? {} : { calibration: await files.localPath(calibrationData) }),
    circuit: { ...wireOptionsOf(options), constraintsMax: config.constraintsMax },
    folder: scratch.path,
  };
  const onProgress = (phase: string) => tell(job, phase);
  const made = await workshop.compile(task, { signal, onProgress }).catch((error: unknown) => {
    throw inApiTerms(error);
  });
  const compiled: CompiledDocument = {
    constraints: await stored(deps, made.constraints, made.circuitHash),
    model: await stored(deps, made.model, made.modelCommitment),
    constraintsBytes: made.constraintsBytes,
    schema: made.schema,
    schemaHash: made.schemaHash,
    calibration: calibrationJson(made.calibration),
    report: reportJson(made),
  };
  const decided = withOutputMode(circuit.options, made.schema.outputMode);
  await job.checkpoint({ compiled, options: decided });
  return compiled;
}

async function setUp(
  deps: MakeDeps,
  job: RunningJob<Circuit>,
  compiled: CompiledDocument,
): Promise<KeyDocument> {
  const { clock, files } = deps;
  tell(job, PHASES[2]);
  await using scratch = await files.scratch("key");
  const zkey = join(scratch.path, "circuit.zkey");
  const startMs = clock.monotonicMs();
  const r1cs = await files.localPath(compiled.constraints);
  const record = await firstKey(deps, job, { r1cs, zkey });
  const setupMs = clock.monotonicMs() - startMs;
  if (record.circuitHash !== compiled.constraints) {
    throw ours("The prover made a key of another circuit.");
  }
  const digest = await stored(deps, zkey, record.zkeyHash);
  return { zkey: digest, record, contributionTimes: [], setupMs, verified: false };
}

async function firstKey(
  { prover, powersOfTau }: MakeDeps,
  { job: circuit, signal }: RunningJob<Circuit>,
  files: { readonly r1cs: string; readonly zkey: string },
): Promise<KeyRecord> {
  const { setup, powersOfTau: name } = optionsOf(circuit.options);
  const fromPowersOfTau = async (make: "newPhase2" | "plonkSetup") => {
    const { path: ptau, sha256 } = await powersOfTau.file(name);
    const record = await prover[make]({ ...files, ptau }, { signal });
    if (record.ptauHash !== sha256) {
      throw ours("The prover made a key from other powers of tau.");
    }
    return record;
  };
  switch (setup) {
    case Setup.UNSPECIFIED:
    case Setup.DEVELOPMENT:
      return await prover.devSetup(files, { signal });
    case Setup.CEREMONY:
      return await fromPowersOfTau("newPhase2");
    case Setup.UNIVERSAL:
      return await fromPowersOfTau("plonkSetup");
  }
}

/**
 * The first circuit of a version that is ready serves it, so that trying proofs takes one call. In
 * production somebody decides. Where the registry cannot say which it is, nothing is activated.
 */
async function activateFirst(deps: MakeDeps, job: RunningJob<Circuit>): Promise<boolean> {
  const { circuits, events, models } = deps;
  const { job: circuit, signal } = job;
  if (circuit.key?.record.setup === "ceremony") {
    return false;
  }
  try {
    const isProduction = await models.isProduction(circuit.workspace, { signal });
    const isOf = await models.hasVersionOf(circuit, { signal });
    return isOf && !isProduction && (await circuits.activateFirst(circuit));
  } catch (error) {
    signal.throwIfAborted();
    events.backgroundFailed("activation", circuit._id, error);
    return false;
  }
}

/** The version as it was when the circuit was asked for. */
async function sameVersion(
  models: ModelSource,
  { job: circuit, signal }: RunningJob<Circuit>,
): Promise<SourceVersion> {
  const version = await models.version(circuit.modelVersion, { signal });
  if (version.uid !== circuit.modelVersionUid || version.digest !== circuit.modelDigest) {
    throw otherVersion(circuit.modelVersion);
  }
  return version;
}

/** Keeps a file that must have this digest. */
async function stored({ files }: MakeDeps, path: string, digest: string): Promise<string> {
  const found = await files.store(path);
  if (found !== digest) {
    throw ours("A file of the circuit changed while it was stored.");
  }
  return found;
}

function tell(job: RunningJob<Circuit>, phase: string): void {
  const done = Math.max(0, (PHASES as readonly string[]).indexOf(phase));
  job.progress({ phase, done, total: PHASES.length, unit: "phases" });
}

/** Options have names of their own in the compiler. */
const API_NAMES: Readonly<Record<string, string>> = {
  weightBits: "weight_bits",
  activationBits: "activation_bits",
  leafBits: "leaf_bits",
  scaleBits: "scale_bits",
  lo: "low",
  hi: "high",
};
const COMPILER_NAME = /\b(?:(?:weight|activation|leaf|scale)Bits|lo|hi)\b/g;
const COMPILER_FIELD = /^options\.(?:(calibration)|(?:weight|activation|leaf)Bits$)/;

/** An error of the compiler with the names of the API. */
function inApiTerms(error: unknown): unknown {
  const isOption =
    error instanceof InvalidArgument &&
    error.violations.some(({ field }) => field.startsWith("options."));
  if (!isOption) {
    return error;
  }
  const named = (text: string) => text.replace(COMPILER_NAME, (name) => API_NAMES[name] ?? name);
  const violations = error.violations.map(({ field, description }) => ({
    field: field.replace(COMPILER_FIELD, (all, calibration) => calibration ?? named(all)),
    description: named(description),
  }));
  const text = violations.map(({ field, description }) => `${field}: ${description}`).join("; ");
  const { reason, metadata } = error;
  return new InvalidArgument(text, { reason, metadata, violations, cause: error });
}

function ours(message: string): DomainError {
  return new Internal(`${message} Make the circuit again; if that goes on, check the disk.`, {
    reason: ErrorReason.DIGEST_MISMATCH,
  });
}
