// The prover in processes of its own: one for Groth16 proofs by our own code, and PLONK proofs by
// snarkjs; one for keys, by snarkjs and our own set-up, so that an hour of a ceremony keeps no proof
// waiting. This end checks sizes, limits and names, and sees to it that files appear whole or not at
// all.

import { randomUUID } from "node:crypto";
import { copyFile, rename, rm, stat } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";
import type { TaskQueue } from "../process/task-queue.ts";
import {
  type CircuitSize,
  keyMemoryBytes,
  proveMemoryBytes,
  readCircuitSize,
} from "./circuit-size.ts";
import { BEACON_ITERATIONS_MAX, BEACON_ITERATIONS_MIN, isContributorName } from "./contribution.ts";
import type { KeyRecord } from "./key-record.ts";
import type { ContributionChallenge, Prover, RunOptions } from "./prover-port.ts";
import { openProverQueue } from "./prover-process.ts";
import type {
  PlonkProofResult,
  ProofResult,
  ProverTasks,
  PtauRecord,
  TaskKind,
} from "./prover-tasks.ts";
import { fileDigest } from "./section-file.ts";
import { readZkey } from "./zkey-file.ts";

/** What the prover may use. */
export interface BuiltinProverOptions {
  /**
   * Resident bytes of each of its two processes, at most; both together may have twice as much, while
   * a key is made and proofs are. Default: a third of the machine's.
   */
  readonly memoryBytesMax?: number;
  /** Of each process. Default: as many as there are processors, up to 8; each has its own memory. */
  readonly threads?: number;
  /** Of a proof. Default 120 s. */
  readonly proveTimeoutMs?: number;
  /** Of a set-up, a contribution, a verification of a key or of powers of tau. Default 1 h. */
  readonly setupTimeoutMs?: number;
  /**
   * A process with nothing to do ends after so long; 0: after each task. Default 5 min. The one for
   * keys ends after 30 s at the latest.
   */
  readonly idleMs?: number;
}

const MIB = 1024 * 1024;
const PROVE_TIMEOUT_MS = 120_000;
const SETUP_TIMEOUT_MS = 3_600_000;
const IDLE_MS = 300_000;
/** Keys are seldom made, and one process with the code of the curve is enough to keep. */
const KEYS_IDLE_MS = 30_000;
const THREADS_MAX = 8;

/** Of the machine's memory, each process. */
const MEMORY_SHARE = 3;

/** What is done in the process for proofs; everything else is of keys. */
const PROOF_TASKS: ReadonlySet<TaskKind> = new Set([
  "prove",
  "plonk-prove",
  "check-witness",
  "verify-proof",
]);

/** A task may take so many times what was estimated; the rest is for others. */
const MEMORY_SLACK = 3;

/** Opens the prover; its processes start with their first tasks. */
export function openBuiltinProver(options: BuiltinProverOptions = {}): BuiltinProver {
  return new BuiltinProver(options);
}

/**
 * See Prover; and the two halves of `prove` for drivers with another program in the middle.
 *
 * Proofs have a queue and a process, and so have keys: set-ups, ceremonies and powers of tau. Each
 * does its tasks one at a time, and each process may have memoryBytesMax: a task is stopped that
 * takes more, or three times what was estimated for its circuit.
 */
export class BuiltinProver implements Prover {
  readonly #proofs: TaskQueue<ProverTasks>;
  readonly #keys: TaskQueue<ProverTasks>;
  readonly #memoryBytesMax: number;
  readonly #proveTimeoutMs: number;
  readonly #setupTimeoutMs: number;

  constructor(options: BuiltinProverOptions) {
    this.#memoryBytesMax = options.memoryBytesMax ?? Math.floor(totalmem() / MEMORY_SHARE);
    this.#proveTimeoutMs = options.proveTimeoutMs ?? PROVE_TIMEOUT_MS;
    this.#setupTimeoutMs = options.setupTimeoutMs ?? SETUP_TIMEOUT_MS;
    const threads = options.threads ?? Math.min(THREADS_MAX, availableParallelism());
    const idleMs = options.idleMs ?? IDLE_MS;
    const process = { threads, memoryBytesMax: this.#memoryBytesMax };
    this.#proofs = openProverQueue({ ...process, idleMs });
    this.#keys = openProverQueue({ ...process, idleMs: Math.min(idleMs, KEYS_IDLE_MS) });
  }

  /** Number of the process that makes proofs, if there is one now. */
  get processId(): number | undefined {
    return this.#proofs.processId;
  }

  /** Number of the process that makes and checks keys, if there is one now. */
  get keysProcessId(): number | undefined {
    return this.#keys.processId;
  }

  async devSetup(
    { r1cs, zkey }: { readonly r1cs: string; readonly zkey: string },
    options: RunOptions = {},
  ): Promise<KeyRecord> {
    return await whole(zkey, (out) =>
      this.#run("dev-setup", { r1cs, out }, { options, r1cs, estimate: proveMemoryBytes }),
    );
  }

  async importPtau(
    { ptau, digest }: Parameters<Prover["importPtau"]>[0],
    options: RunOptions = {},
  ): Promise<PtauRecord> {
    const found = await fileDigest(ptau, digest.algorithm);
    if (found !== digest.hex) {
      throw new InvalidArgument(
        `The .ptau file has the ${digest.algorithm} hash ${found}, not ${digest.hex}, which was ` +
          "pinned. Download it again, or compare the hash with the ceremony's list.",
        { reason: ErrorReason.DIGEST_MISMATCH },
      );
    }
    return await this.#run("verify-ptau", { ptau }, { options });
  }

  async newPhase2(
    { r1cs, ptau, zkey }: Parameters<Prover["newPhase2"]>[0],
    options: RunOptions = {},
  ): Promise<KeyRecord> {
    return await whole(zkey, (out) =>
      this.#run("new-key", { r1cs, ptau, out }, { options, r1cs, estimate: keyMemoryBytes }),
    );
  }

  async exportContributionChallenge({
    zkey,
    to,
  }: {
    readonly zkey: string;
    readonly to: string;
  }): Promise<ContributionChallenge> {
    return await whole(to, async (part) => {
      await copyFile(zkey, part);
      const { contributions } = await readZkey(part);
      return {
        hash: await fileDigest(part),
        bytes: (await stat(part)).size,
        contributions: contributions.length,
      };
    });
  }

  async contribute(
    { challenge, to, name }: Parameters<Prover["contribute"]>[0],
    options: RunOptions = {},
  ): Promise<{ readonly hash: string }> {
    checkName(name);
    return await whole(to, (out) =>
      this.#run("contribute", { zkey: challenge, out, name }, { options }),
    );
  }

  async importContribution(
    { r1cs, ptau, zkey, contributed, to }: Parameters<Prover["importContribution"]>[0],
    options: RunOptions = {},
  ): Promise<KeyRecord> {
    return await whole(to, async (out) => {
      // What is verified is a copy that nobody else writes.
      await copyFile(contributed, out);
      const input = { r1cs, ptau, zkey, contributed: out };
      return await this.#run("accept-contribution", input, {
        options,
        r1cs,
        estimate: keyMemoryBytes,
      });
    });
  }

  async beacon(
    { to, ...files }: Parameters<Prover["beacon"]>[0],
    options: RunOptions = {},
  ): Promise<KeyRecord> {
    checkName(files.name);
    checkBeacon(files.beaconHash, files.iterations);
    return await whole(to, (out) => this.#run("beacon", { ...files, out }, { options }));
  }

  async verifyZkey(
    { r1cs, ptau, zkey }: Parameters<Prover["verifyZkey"]>[0],
    options: RunOptions = {},
  ): Promise<KeyRecord> {
    const scratch = partPath(zkey);
    try {
      const input = { r1cs, ptau, zkey, scratch };
      return await this.#run("verify-key", input, { options, r1cs, estimate: keyMemoryBytes });
    } finally {
      await rm(scratch, { force: true });
    }
  }

  async verifyingKey(
    zkey: string,
    options: RunOptions = {},
  ): Promise<ProverTasks["describe-key"]["output"]> {
    return await this.#run("describe-key", { zkey }, { options });
  }

  async prove(
    { r1cs, zkey, witness }: Parameters<Prover["prove"]>[0],
    options: RunOptions = {},
  ): Promise<ProofResult> {
    const timeoutMs = options.timeoutMs ?? this.#proveTimeoutMs;
    return await this.#run(
      "prove",
      { r1cs, zkey, witness },
      { options: { ...options, timeoutMs }, r1cs, estimate: proveMemoryBytes },
    );
  }

  async plonkSetup(
    { r1cs, ptau, zkey }: Parameters<Prover["plonkSetup"]>[0],
    options: RunOptions = {},
  ): Promise<KeyRecord> {
    return await whole(zkey, (out) => this.#run("plonk-setup", { r1cs, ptau, out }, { options }));
  }

  async plonkProve(
    { r1cs, zkey, witness }: Parameters<Prover["plonkProve"]>[0],
    options: RunOptions = {},
  ): Promise<PlonkProofResult> {
    const timeoutMs = options.timeoutMs ?? this.#proveTimeoutMs;
    return await this.#run(
      "plonk-prove",
      { r1cs, zkey, witness },
      { options: { ...options, timeoutMs } },
    );
  }

  /** Checks that key, circuit and witness go together; gives the public values, in decimal. */
  async checkWitness(
    { r1cs, zkey, witness }: Parameters<Prover["prove"]>[0],
    options: RunOptions = {},
  ): Promise<readonly string[]> {
    const run = { options, r1cs, estimate: proveMemoryBytes };
    return (await this.#run("check-witness", { r1cs, zkey, witness }, run)).publicValues;
  }

  /** Verifies a proof of another program with our own verifier. */
  async verifyProof(
    input: ProverTasks["verify-proof"]["input"],
    options: RunOptions = {},
  ): Promise<ProverTasks["verify-proof"]["output"]> {
    return await this.#run("verify-proof", input, { options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#proofs[Symbol.asyncDispose](), this.#keys[Symbol.asyncDispose]()]);
  }

  async #run<K extends TaskKind>(
    kind: K,
    input: ProverTasks[K]["input"],
    run: {
      readonly options: RunOptions;
      readonly r1cs?: string;
      readonly estimate?: (size: CircuitSize) => number;
    },
  ): Promise<ProverTasks[K]["output"]> {
    const { options, r1cs, estimate } = run;
    const queue = PROOF_TASKS.has(kind) ? this.#proofs : this.#keys;
    return await queue.run(kind, input, {
      timeoutMs: options.timeoutMs ?? this.#setupTimeoutMs,
      memoryBytes: this.#memoryFor(r1cs, estimate),
      signal: options.signal ?? new AbortController().signal,
      onProgress: options.onProgress ?? (() => undefined),
    });
  }

  /** What is certain not to fit is refused before it is tried. */
  async #memoryFor(
    r1cs: string | undefined,
    estimateOf: ((size: CircuitSize) => number) | undefined,
  ): Promise<number> {
    if (r1cs === undefined || estimateOf === undefined) return this.#memoryBytesMax;
    const estimate = estimateOf(await readCircuitSize(r1cs));
    if (estimate <= this.#memoryBytesMax) {
      return Math.min(this.#memoryBytesMax, MEMORY_SLACK * estimate);
    }
    const description =
      `The circuit needs about ${Math.ceil(estimate / MIB)} MiB; the prover may use ` +
      `${Math.floor(this.#memoryBytesMax / MIB)} MiB. Make the model smaller, or ask the operator ` +
      "for more memory.";
    throw new FailedPrecondition(description, {
      reason: ErrorReason.STATE_FORBIDS,
      violations: [{ type: "PROVER_MEMORY", subject: "circuit", description }],
    });
  }
}

/** Lets something be written beside a path and puts it there when it is whole. */
async function whole<T>(path: string, write: (part: string) => Promise<T>): Promise<T> {
  const part = partPath(path);
  try {
    const result = await write(part);
    await rename(part, path);
    return result;
  } finally {
    await rm(part, { force: true });
  }
}

function partPath(path: string): string {
  return `${path}.${randomUUID()}.part`;
}

function checkName(name: string): void {
  if (isContributorName(name)) return;
  throw new InvalidArgument("The name of a contributor is of 1 to 64 printable ASCII characters.", {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "name", description: "expected 1 to 64 printable ASCII characters" }],
  });
}

function checkBeacon(hash: string, iterations: number): void {
  const isIterations =
    Number.isInteger(iterations) &&
    iterations >= BEACON_ITERATIONS_MIN &&
    iterations <= BEACON_ITERATIONS_MAX;
  if (/^([0-9a-f]{2}){1,255}$/.test(hash) && isIterations) return;
  const expected =
    "1 to 255 bytes in lower-case hex, hashed 2^n times with n from " +
    `${BEACON_ITERATIONS_MIN} to ${BEACON_ITERATIONS_MAX}`;
  throw new InvalidArgument(`A beacon is ${expected}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "beacon_hash", description: `expected ${expected}` }],
  });
}
