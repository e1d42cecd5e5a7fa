// A contribution to a ceremony on the contributor's own machine: no server takes part, and the
// number that the key is multiplied with is gone with the process that drew it.

import { openBuiltinProver } from "./builtin-driver.ts";

/** What is contributed to, and what to write. */
export interface KeyContribution {
  /** Path of the current key of the ceremony, as it was exported. */
  readonly challenge: string;
  /** Path of the key to hand in; appears whole or not at all. */
  readonly to: string;
  /** Who contributes, for the transcript: 1 to 64 printable ASCII characters. */
  readonly name: string;
}

/**
 * Contributes to a key. The hash (lower-case hex BLAKE2b-512) is for the contributor to publish:
 * whoever finds it in the transcript knows that the contribution counts.
 *
 * @throws InvalidArgument where the name or the file is none; FailedPrecondition where the key takes
 *   no contributions; Cancelled, Unavailable, ResourceExhausted as every prover does.
 */
export async function contributeToKey(
  { challenge, to, name }: KeyContribution,
  options: { readonly signal?: AbortSignal; readonly onProgress?: (phase: string) => void } = {},
): Promise<{ readonly hash: string }> {
  await using prover = openBuiltinProver({ idleMs: 0 });
  return await prover.contribute({ challenge, to, name }, options);
}
