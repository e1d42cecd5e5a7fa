// What of `plinth predict` is about proofs: the fields of the request, the proof of each row of an
// answer, and what is told of them at the end.

import type { PredictResponse } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import type { Proof } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { durationOf } from "../common/duration.ts";
import type { CallOptions } from "../common/rpc/context.ts";
import { UsageError } from "./exit-codes.ts";
import type { Output } from "./output.ts";
import type { RequestInit } from "./predict-stream.ts";
import { formatCount } from "./progress.ts";
import { shortName } from "./version-reference.ts";

export interface ProofOptions {
  readonly verifiable?: boolean;
  readonly context?: Uint8Array;
  /** Milliseconds. */
  readonly wait?: number;
}

/** The protocol's limit of a verifiable request. */
export const VERIFIABLE_ROWS_MAX = 64;

/** What a call may take beside the wait for its proofs, where --timeout says nothing. */
const CALL_MS = 30_000;

/** The fields of a request. @throws UsageError where --wait has nothing to wait for. */
export function proofFields(
  options: ProofOptions,
): Pick<RequestInit, "verifiable" | "context" | "proofWait"> {
  const { verifiable = false, context, wait } = options;
  if (wait !== undefined && !verifiable) {
    throw new UsageError("--wait waits for proofs; ask for them with --verifiable.");
  }
  return {
    verifiable,
    ...(context !== undefined && { context }),
    ...(wait !== undefined && { proofWait: durationOf(wait) }),
  };
}

/** The options of a single call, which has to last as long as the proofs are waited for. */
export function waitingCall(call: CallOptions, { wait }: ProofOptions): CallOptions {
  return wait === undefined || call.timeoutMs !== undefined
    ? call
    : { ...call, timeoutMs: wait + CALL_MS };
}

/** The proof of a predicted row; undefined where it is not made yet. */
export function proofOfRow({ proofs }: PredictResponse, index: number): Proof | undefined {
  return proofs.find(({ row }) => row === index);
}

/** Counts proofs over all answers of a run. */
export class ProofTally {
  #rows = 0;
  #proved = 0;
  #isDevelopment = false;
  readonly #circuits = new Set<string>();
  readonly #jobs = new Set<string>();

  /** One more answer, of a verifiable request or not. */
  add(response: PredictResponse): void {
    if (response.proofJob !== "") {
      this.#rows += response.predictions.length;
      this.#proved += response.proofs.length;
      this.#isDevelopment ||= response.proofs.some(({ development }) => development);
      this.#circuits.add(shortName(response.circuit));
      this.#jobs.add(response.proofJob);
    }
  }

  /** Says what is proved, by which jobs, and what that is worth. */
  tell(output: Output): void {
    if (this.#jobs.size === 0) {
      return;
    }
    const [first] = this.#jobs;
    const others = this.#jobs.size - 1;
    const jobs = others === 0 ? `${first}` : `${first} and ${formatCount(others)} more jobs`;
    const circuits = [...this.#circuits].join(", ");
    const so =
      this.#proved === this.#rows
        ? `${this.#rowsText()} proved with ${circuits}`
        : this.#proved === 0
          ? `${this.#rowsText()} being proved with ${circuits}`
          : `${formatCount(this.#proved)} of ${this.#rowsText()} proved with ${circuits} so far`;
    output.note(`${so}: ${jobs}`);
    if (this.#isDevelopment) {
      output.warning(
        "the circuit's key is of a development set-up: whoever made it could have forged these proofs.",
      );
    }
  }

  #rowsText(): string {
    return this.#rows === 1 ? "1 row" : `${formatCount(this.#rows)} rows`;
  }
}
