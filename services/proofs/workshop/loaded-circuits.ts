// Circuits that were compiled before, made again from their models and kept while there is room:
// those that were used last. A circuit that is not the one that its hash says is never used.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { DataLoss, Internal } from "../../common/errors/domain-error.ts";
import { circuitHash } from "../circuit/circuit-hash.ts";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import type { CompiledCircuit } from "../circuit/compiled-circuit.ts";
import { readCanonical } from "../compiler/read-canonical.ts";
import type { Progress } from "../process/serve-tasks.ts";
import type { CircuitSource } from "./workshop-port.ts";

/** What a setting can allow at most: a limit that was lowered since stops no circuit that exists. */
const CONSTRAINTS_MAX = 2 ** 22;

/** Of a loaded circuit, about: indexes of matrices, and what fills the wires. */
const BYTES_PER_ENTRY = 8;
const BYTES_PER_CONSTRAINT = 100;
const BYTES_PER_CIRCUIT = 256 * 1024;

/** Keeps circuits up to a number of bytes, and always the one that was asked for last. */
export class LoadedCircuits {
  readonly #bytesMax: number;
  /** The one that was used last is the last. */
  readonly #circuits = new Map<
    string,
    { readonly circuit: CompiledCircuit; readonly bytes: number }
  >();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** How many there are. */
  get count(): number {
    return this.#circuits.size;
  }

  /**
   * The circuit of a source.
   *
   * @throws DataLoss: its model cannot be read, or is another; Internal: it makes another circuit
   */
  async get(source: CircuitSource, progress: Progress): Promise<CompiledCircuit> {
    // The same constraints may be of two models, whose inputs are encoded in different ways.
    const key = JSON.stringify([source.circuitHash, source.circuit]);
    const kept = this.#circuits.get(key);
    if (kept !== undefined) {
      this.#circuits.delete(key);
      this.#circuits.set(key, kept);
      return kept.circuit;
    }
    progress("loading the circuit");
    const circuit = await load(source);
    const bytes = bytesOf(circuit);
    this.#circuits.set(key, { circuit, bytes });
    this.#bytes += bytes;
    this.#makeRoom();
    globalThis.gc?.();
    return circuit;
  }

  #makeRoom(): void {
    for (const [key, { bytes }] of this.#circuits) {
      if (this.#bytes <= this.#bytesMax || this.#circuits.size === 1) return;
      this.#circuits.delete(key);
      this.#bytes -= bytes;
    }
  }
}

/** Bytes of memory that a loaded circuit takes, about. */
export function bytesOf({ report }: Pick<CompiledCircuit, "report">): number {
  return (
    BYTES_PER_CIRCUIT + BYTES_PER_ENTRY * report.entries + BYTES_PER_CONSTRAINT * report.constraints
  );
}

async function load({
  circuitHash: expected,
  circuit,
  model,
}: CircuitSource): Promise<CompiledCircuit> {
  const bytes = await readModel(model);
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found !== circuit.modelCommitment) {
    throw lost(`its hash is ${found} and not ${circuit.modelCommitment}`);
  }
  const graph = readCanonical(bytes);
  const compiled = compileCircuit(graph, { ...circuit, constraintsMax: CONSTRAINTS_MAX });
  const hash = circuitHash(compiled.system);
  if (hash !== expected) {
    throw new Internal(
      `The model makes the circuit ${hash} and not ${expected}: this version of Plinth compiles ` +
        "circuits another way, or other options were stored. Make a new circuit of the model " +
        "version; keys of the old one still verify its proofs.",
      { reason: ErrorReason.UNSPECIFIED },
    );
  }
  return compiled;
}

async function readModel(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw lost("its file cannot be read", error);
  }
}

function lost(why: string, cause?: unknown): DataLoss {
  return new DataLoss(
    `The circuit's model in whole numbers is not what was stored: ${why}. Restore the blobs of ` +
      "the proofs service, or make a new circuit.",
    { reason: ErrorReason.DIGEST_MISMATCH, ...(cause === undefined ? {} : { cause }) },
  );
}
