// Waits a while for the proofs of an answer that is already known. The answer is never lost to it:
// when the time is over, or the proofs service is away or has too many who wait, what was made so far
// is what there is.

import { setTimeout as sleep } from "node:timers/promises";
import { type Proof, ProofJob_State as State } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import { DomainError, ResourceExhausted, Unavailable } from "../../common/errors/domain-error.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import type { ProofSource } from "./proof-source.ts";

const RETRY_MS = 200;

const ENDED: ReadonlySet<State> = new Set([State.SUCCEEDED, State.FAILED, State.CANCELLED]);

/**
 * The proofs of a job that are made within `waitMs`, by row.
 * @throws what the call's signal is aborted with; nothing else that was foreseen.
 */
export async function awaitProofs(
  source: ProofSource,
  job: { readonly name: string; readonly waitMs: number },
  context: CallContext,
): Promise<Proof[]> {
  const made = new Map<string, Proof>();
  const over = AbortSignal.timeout(Math.max(0, Math.ceil(job.waitMs)));
  while (!over.aborted) {
    try {
      for await (const { proofJob, proofs } of source.watch(job.name, over, context)) {
        for (const proof of proofs) {
          made.set(proof.name, proof);
        }
        if (proofJob !== undefined && ENDED.has(proofJob.state)) {
          return inOrder(made);
        }
      }
    } catch (error) {
      context.signal.throwIfAborted();
      if (!over.aborted && !(error instanceof DomainError)) {
        throw error;
      }
      if (!(error instanceof Unavailable || error instanceof ResourceExhausted)) {
        return inOrder(made);
      }
    }
    await sleep(RETRY_MS, undefined, { signal: AbortSignal.any([over, context.signal]) }).catch(
      () => context.signal.throwIfAborted(),
    );
  }
  return inOrder(made);
}

function inOrder(made: ReadonlyMap<string, Proof>): Proof[] {
  return [...made.values()].sort((a, b) => a.row - b.row);
}
