// What a proof's file says of itself beside what is proved, and how a refusal is told to people: for
// whoever verifies from files, on the command line and in a browser.

import type { VerifyingFile } from "../circuits/verifying-file.ts";
import type { RefusedInference, VerifiedInference } from "../verifier/verify-inference.ts";
import type { ProofFile } from "./proof-file.ts";

/** Why a proof is not what it says it is. */
export interface FalseClaim {
  /** For programs: "schema-hash-mismatch". */
  readonly reason: string;
  readonly message: string;
}

const CLAIMS = [
  ["verifyingKeyHash", "verifying-key-mismatch", "verifying key"],
  ["schemaHash", "schema-hash-mismatch", "schema"],
  ["modelCommitment", "model-commitment-mismatch", "model"],
  ["circuitHash", "circuit-mismatch", "constraints"],
] as const;

/** What the proof says of itself and is not so with this key. */
export function falseClaim(proof: ProofFile, key: VerifyingFile): FalseClaim | undefined {
  for (const [field, reason, what] of CLAIMS) {
    if (proof[field] !== key[field]) {
      return {
        reason,
        message:
          `the proof says it is of the ${what} ${proof[field]}, and the key file is of ` +
          `${key[field]}; the key of ${proof.circuit} is wanted`,
      };
    }
  }
  return undefined;
}

/** Whether the key is another than was expected: what must be told before all else. */
export function isOtherKey(result: VerifiedInference | RefusedInference): boolean {
  return (
    !result.valid && /^(?:verifying-key|schema-hash|model-commitment)-mismatch$/.test(result.reason)
  );
}

/** The verifier's sentence; contexts as bytes in hexadecimal, as they are given and shown. */
export function toldRefusal({ reason, message }: RefusedInference): string {
  if (reason !== "context-mismatch") {
    return message;
  }
  return message.replace(/\b\d+\b/g, (digits) => {
    const hex = BigInt(digits).toString(16);
    return hex.length % 2 === 0 ? hex : `0${hex}`;
  });
}
