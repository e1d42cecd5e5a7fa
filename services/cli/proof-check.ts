// Verifies a proof offline, from its file and a file with the verifying key: no server, no
// workspace, nothing but what is given. What the proof's file says of itself must agree with the key;
// what the key is of is for whoever pins its hash.

import { create } from "@bufbuild/protobuf";
import {
  type ProvedStatement,
  ProvedStatementSchema,
} from "../../gen/plinth/proofs/v1/proof_pb.js";
import { readVerifyingFile, type VerifyingFile } from "../proofs/circuits/verifying-file.ts";
import { falseClaim, isOtherKey, toldRefusal } from "../proofs/proving/proof-claims.ts";
import { type ProofFile, proofFileId, readProofFile } from "../proofs/proving/proof-file.ts";
import { statementMessage } from "../proofs/proving/statement-message.ts";
import { Refusal } from "../proofs/verifier/refusal.ts";
import { verifyInference } from "../proofs/verifier/verify-inference.ts";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { commitmentTo, type GivenRow, rowFault } from "./proof-row.ts";

/** What must hold beside that the proof verifies; absent: shown and not compared. */
export interface ProofExpectations {
  /** Lower-case hex. */
  readonly id?: string;
  /** Lower-case hex. */
  readonly vkHash?: string;
  /** Lower-case hex. The key is not of a schema, so both are pinned. */
  readonly schemaHash?: string;
  /** Lower-case hex. */
  readonly modelCommitment?: string;
  readonly context?: bigint;
  readonly row?: GivenRow;
}

export type ProofVerdict =
  | {
      readonly valid: true;
      readonly id: string;
      readonly proof: ProofFile;
      readonly key: VerifyingFile;
      readonly statement: ProvedStatement;
    }
  | {
      readonly valid: false;
      /** For programs: "proof-invalid". */
      readonly reason: string;
      readonly message: string;
    };

/**
 * Whether the proof holds under the key and is what was expected.
 * @throws CommandError for a PLONK proof, which is verified by snarkjs, and for a row where the
 *   circuit shows nothing of its inputs.
 */
export function checkProof(
  files: { readonly proof: Uint8Array; readonly key: string },
  expected: ProofExpectations = {},
): ProofVerdict {
  try {
    return checked(files, expected);
  } catch (error) {
    if (!(error instanceof Refusal)) {
      throw error;
    }
    return { valid: false, reason: error.reason, message: error.message };
  }
}

function checked(
  files: { readonly proof: Uint8Array; readonly key: string },
  expected: ProofExpectations,
): ProofVerdict {
  const proof = readProofFile(files.proof);
  refusePlonk(proof);
  const id = proofFileId(proof);
  if (expected.id !== undefined && expected.id !== id) {
    return refusedAs("id-mismatch", `the proof's id is ${id}; ${expected.id} was expected`);
  }
  const key = readVerifyingFile(files.key);
  const { row, id: _id, ...pinned } = expected;
  const commitment = row && commitmentTo(key.schema, row, proof.publicValues);
  const result = verifyInference({
    proof: proof.proof,
    publicValues: proof.publicValues,
    verifyingKey: key.verifyingKey,
    schema: key.schema,
    expected: { ...pinned, ...(commitment === undefined ? {} : { inputCommitment: commitment }) },
  });
  const claim = falseClaim(proof, key);
  if (claim !== undefined && !isOtherKey(result)) {
    return refusedAs(claim.reason, claim.message);
  }
  if (!result.valid) {
    return refusedAs(result.reason, toldRefusal(result));
  }
  const otherRow = row && rowFault(key.schema, row, proof.publicValues);
  if (otherRow !== undefined) {
    return refusedAs("input-mismatch", otherRow);
  }
  const statement = create(ProvedStatementSchema, statementMessage(key.schema, result));
  return { valid: true, id, proof, key, statement };
}

function refusePlonk({ protocol }: ProofFile): void {
  if (protocol === "plonk") {
    throw new CommandError("It is a PLONK proof, which is not verified here.", {
      exitCode: ExitCode.invalidInput,
      advice: [
        "Verify it with snarkjs: its `proof` and `publicValues` as files, with the verifying key that " +
          '"snarkjs zkey export verificationkey" makes of the exported proving key.',
      ],
    });
  }
}

function refusedAs(reason: string, message: string): ProofVerdict {
  return { valid: false, reason, message };
}
