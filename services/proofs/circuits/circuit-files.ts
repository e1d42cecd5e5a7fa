// Files of circuits: blobs when they are kept, paths on this machine when something works on them.

import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import type { CircuitSource } from "../workshop/workshop-port.ts";
import type { BlobClaims } from "./blob-claims.ts";
import type { Circuit, CompiledDocument, KeyDocument } from "./circuit.ts";
import { optionsOf, wireOptionsOf } from "./options-of.ts";
import { makeScratch, type ScratchFolder } from "./scratch-folders.ts";

/** Every staging area of this service's files begins so. */
export const STAGE_PREFIX = "proofs-";

const READ_BYTES = 1024 * 1024;

export interface CircuitFilesOptions {
  /** Of this service alone. */
  readonly blobs: BlobStore;
  /** For files on their way; made where missing. */
  readonly scratchDir: string;
  /** Keeps what is stored from being swept before it is referred to. Absent: nobody sweeps. */
  readonly claims?: BlobClaims;
}

/** Knows where the files of circuits are. */
export class CircuitFiles {
  readonly #options: CircuitFilesOptions;

  constructor(options: CircuitFilesOptions) {
    this.#options = options;
  }

  /**
   * What proofs are made with: paths on this machine. Not to be changed; a prover that writes a key
   * writes it elsewhere.
   * @throws FailedPrecondition where it has no key yet; NotFound, DataLoss
   */
  async proving(circuit: Circuit): Promise<{ readonly r1cs: string; readonly zkey: string }> {
    const { blobs } = this.#options;
    const r1cs = await blobs.localPath(compiledOf(circuit).constraints);
    return { r1cs, zkey: await blobs.localPath(keyOf(circuit).zkey) };
  }

  /**
   * What the circuit is loaded from again, to evaluate rows and to make witnesses.
   * @throws FailedPrecondition where it is not compiled yet; NotFound, DataLoss
   */
  async source(circuit: Circuit): Promise<CircuitSource> {
    const { constraints, model, report } = compiledOf(circuit);
    return {
      circuitHash: constraints,
      model: await this.#options.blobs.localPath(model),
      circuit: {
        ...wireOptionsOf(optionsOf(circuit.options)),
        modelCommitment: model,
        // What was made once is loaded again, also under a limit that is lower by now.
        constraintsMax: Number(report.constraints ?? 0) + 1,
      },
    };
  }

  /** Keeps a file: it is durable when this resolves. Gives its digest, the blob's name. */
  async store(path: string): Promise<Digest> {
    return (await this.#keep(createReadStream(path, { highWaterMark: READ_BYTES }))).digest;
  }

  /** As store, of bytes in memory. */
  async storeBytes(bytes: Uint8Array): Promise<Digest> {
    return (await this.#keep([bytes])).digest;
  }

  /** A file of this machine with the blob's bytes, not to be changed. @throws NotFound, DataLoss */
  localPath(digest: Digest): Promise<string> {
    return this.#options.blobs.localPath(digest);
  }

  /** An empty folder, for what only this process may read. */
  scratch(prefix: string): Promise<ScratchFolder> {
    return makeScratch(this.#options.scratchDir, prefix);
  }

  async #keep(
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<{ readonly digest: Digest; readonly sizeBytes: number }> {
    const { blobs, claims } = this.#options;
    const stageId = STAGE_PREFIX + randomUUID();
    try {
      const kept = await this.#stage(stageId, chunks);
      await claims?.claim(kept.digest);
      await blobs.commit(stageId, kept);
      return kept;
    } catch (error) {
      await blobs.discard(stageId).catch(() => {});
      throw error;
    }
  }

  async #stage(
    stageId: string,
    chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<{ readonly digest: Digest; readonly sizeBytes: number }> {
    await using writer = await this.#options.blobs.stage(stageId);
    const hash = createHash("sha256");
    let sizeBytes = 0;
    for await (const chunk of chunks) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      await writer.write(chunk);
    }
    return { digest: hash.digest("hex"), sizeBytes };
  }
}

/** @throws FailedPrecondition where it is not compiled yet. */
export function compiledOf(circuit: Circuit): CompiledDocument {
  if (circuit.compiled === null) {
    throw notYet(circuit._id, "is not compiled yet");
  }
  return circuit.compiled;
}

/** @throws FailedPrecondition where it has no key yet. */
export function keyOf(circuit: Circuit): KeyDocument {
  if (circuit.key === null) {
    throw notYet(circuit._id, "has no key yet");
  }
  return circuit.key;
}

/** The circuit is not as far as is needed. `description` goes on after its name. */
export function notYet(name: string, description: string): FailedPrecondition {
  return new FailedPrecondition(`${name} ${description}. WatchCircuit tells how far it is.`, {
    reason: ErrorReason.STATE_FORBIDS,
    metadata: { resource: name },
    violations: [{ type: "STATE", subject: name, description }],
  });
}
