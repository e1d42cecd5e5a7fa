// Which batches of a sender are in a part: all up to a floor, and some above it. The floor is what
// the sender has said it will never send again, so the list above it stays short.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ResourceExhausted } from "../../common/errors/domain-error.ts";

/** Batches that a sender may have under way; a working one has some dozens. */
const ABOVE_MAX = 10_000;
const RETRY_MS = 1000;

/** What a part's document says of them. */
export interface PartSequences {
  /** Batches up to here never come again. */
  readonly acknowledged: number;
  /** Those above it that are counted, ascending. */
  readonly sequences: readonly number[];
}

/** Of a part that nothing was counted in. */
export const NO_SEQUENCES: PartSequences = { acknowledged: 0, sequences: [] };

/** Whether the batch must not be counted (again). */
export function hasSequence({ acknowledged, sequences }: PartSequences, sequence: number): boolean {
  return sequence <= acknowledged || sequences.includes(sequence);
}

/**
 * With a batch more, and a floor that never falls.
 * @throws ResourceExhausted where too many are above the floor.
 */
export function withSequence(
  known: PartSequences,
  batch: { readonly sequence: number; readonly acknowledged: number },
): PartSequences {
  const acknowledged = Math.max(known.acknowledged, batch.acknowledged);
  const sequences = known.sequences.filter((sequence) => sequence > acknowledged);
  if (batch.sequence > acknowledged) {
    const after = sequences.findIndex((sequence) => sequence > batch.sequence);
    sequences.splice(after < 0 ? sequences.length : after, 0, batch.sequence);
  }
  if (sequences.length > ABOVE_MAX) {
    throw new ResourceExhausted(
      `The sender has ${sequences.length} batches in a window of which it does not say that they ` +
        `are acknowledged; at most ${ABOVE_MAX} are remembered. Start a new stream with a higher ` +
        "acknowledged_sequence.",
      { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_MS },
    );
  }
  return { acknowledged, sequences };
}
