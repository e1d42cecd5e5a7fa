// Proofs by a rapidsnark binary that the operator installed, in the place of our own prover. It is
// native code under another licence that reads large files, so it runs in a process of its own with
// limits, and what it gives is believed only when our own verifier says so.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Cancelled, Internal } from "../../common/errors/domain-error.ts";
import { limitExceeded, watchLimits } from "../process/process-limits.ts";
import { keepTail } from "../process/task-process.ts";
import { draining } from "../process/task-queue.ts";
import { BuiltinProver, type BuiltinProverOptions } from "./builtin-driver.ts";
import { proveMemoryBytes, readCircuitSize } from "./circuit-size.ts";
import type { Prover, RunOptions } from "./prover-port.ts";
import type { ProofResult } from "./prover-tasks.ts";

/** What the driver needs. */
export interface RapidsnarkOptions extends BuiltinProverOptions {
  /** Path of the binary; called as `binary zkey wtns proof.json public.json`. */
  readonly binary: string;
  /** Where its output stands for a moment. Default: the system's folder for temporary files. */
  readonly scratchDir?: string;
}

/** A proof and 8,192 public values have far less. */
const OUTPUT_BYTES_MAX = 2 * 1024 * 1024;
const PROVE_TIMEOUT_MS = 120_000;

/** It takes more than snarkjs only for very small circuits. */
const MEMORY_SLACK = 4;

const SHELL = 'ulimit -c 0; (echo 800 > /proc/$$/oom_score_adj) 2>/dev/null; exec "$@"';

/**
 * A prover that has its Groth16 proofs from the binary and all else from our own processes: what
 * surrounds a proof is done in the one for proofs, which no key keeps busy. The binary may have
 * memoryBytesMax too, or four times what was estimated for the circuit.
 */
export function openRapidsnarkProver(options: RapidsnarkOptions): Prover {
  return new RapidsnarkProver(options);
}

class RapidsnarkProver extends BuiltinProver {
  readonly #options: RapidsnarkOptions;
  /** One at a time: each uses all processors. */
  #last: Promise<unknown> = Promise.resolve();
  readonly #stop = new AbortController();

  constructor(options: RapidsnarkOptions) {
    super(options);
    this.#options = options;
  }

  override async prove(
    files: Parameters<Prover["prove"]>[0],
    options: RunOptions = {},
  ): Promise<ProofResult> {
    const mine = this.#last.then(() => this.#proveOne(files, options));
    this.#last = mine.catch(() => undefined);
    return await mine;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#last;
    await super[Symbol.asyncDispose]();
  }

  async #proveOne(
    files: Parameters<Prover["prove"]>[0],
    options: RunOptions,
  ): Promise<ProofResult> {
    if (this.#stop.signal.aborted) throw draining();
    const start = performance.now();
    options.onProgress?.("checking the witness");
    const expected = await this.checkWitness(files, options);
    const checked = performance.now();
    options.onProgress?.("proving");
    const made = await this.#runBinary(files, options);
    const proved = performance.now();
    options.onProgress?.("verifying");
    if (
      made.publicValues.length !== expected.length ||
      expected.some((value, i) => made.publicValues[i] !== value)
    ) {
      throw broken("proved other public values than those of the witness");
    }
    const verified = await this.verifyProof(
      { zkey: files.zkey, proof: made.proof, publicValues: expected },
      options,
    );
    const timings = {
      checkMs: checked - start,
      proveMs: proved - checked,
      verifyMs: performance.now() - proved,
    };
    return { ...verified, publicValues: expected, timings };
  }

  async #runBinary(
    { r1cs, zkey, witness }: Parameters<Prover["prove"]>[0],
    options: RunOptions,
  ): Promise<{ readonly proof: unknown; readonly publicValues: readonly unknown[] }> {
    const folder = await mkdtemp(join(this.#options.scratchDir ?? tmpdir(), "plinth-proof-"));
    try {
      const [proof, publicValues] = [join(folder, "proof.json"), join(folder, "public.json")];
      const limits = {
        timeoutMs: options.timeoutMs ?? this.#options.proveTimeoutMs ?? PROVE_TIMEOUT_MS,
        memoryBytes: Math.min(
          this.#options.memoryBytesMax ?? Number.POSITIVE_INFINITY,
          MEMORY_SLACK * proveMemoryBytes(await readCircuitSize(r1cs)),
        ),
      };
      const signals = [this.#stop.signal, ...(options.signal ? [options.signal] : [])];
      const args = ["-c", SHELL, "plinth-rapidsnark", this.#options.binary];
      const child = spawn("/bin/sh", [...args, zkey, witness, proof, publicValues], {
        cwd: folder,
        env: {},
        stdio: ["ignore", "ignore", "pipe"],
        // A group of its own: what it starts ends with it.
        detached: true,
      });
      await ending(child, limits, AbortSignal.any(signals));
      const values = await readOutput(publicValues);
      if (!Array.isArray(values)) throw broken("wrote no list of public values");
      return { proof: await readOutput(proof), publicValues: values };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** Resolves when the process has ended well; kills it at a limit or when it is no longer wanted. */
async function ending(
  child: ChildProcess,
  limits: { readonly timeoutMs: number; readonly memoryBytes: number },
  signal: AbortSignal,
): Promise<void> {
  const stderr = keepTail(child.stderr);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const gone = new Promise<void>((done) => {
    child.once("exit", () => done());
    child.once("error", () => done());
  });
  const watch = watchLimits(child.pid, limits, (limit) =>
    reject(limitExceeded(limit, limits, "prover")),
  );
  const onAbort = (): void =>
    reject(new Cancelled("The task was stopped.", { reason: ErrorReason.CANCELLED }));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  child.once("error", (error) => reject(broken("could not be started", error)));
  child.once("exit", (code, by) => {
    const how = by === null ? `exit code ${code}` : `signal ${by}`;
    if (code === 0) resolve();
    else reject(broken(`ended with ${how}`, new Error(stderr())));
  });
  try {
    await promise;
  } finally {
    watch.stop();
    signal.removeEventListener("abort", onAbort);
    killGroup(child);
    await gone;
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
  } catch {
    // All of it has ended by itself.
  }
}

/** JSON of a bounded size; some versions fill the file up with zero bytes. */
async function readOutput(path: string): Promise<unknown> {
  try {
    await using file = await open(path, "r");
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(OUTPUT_BYTES_MAX + 1) });
    if (bytesRead > OUTPUT_BYTES_MAX) throw new Error("more than 2 MiB");
    return JSON.parse(buffer.toString("utf8", 0, bytesRead).replace(/\0+$/, "")) as unknown;
  } catch (error) {
    throw broken("wrote no output that can be read", error);
  }
}

function broken(how: string, cause?: unknown): Internal {
  return new Internal(
    `The rapidsnark binary ${how}. Check the operator's setting and the binary.`,
    {
      reason: ErrorReason.UNSPECIFIED,
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
