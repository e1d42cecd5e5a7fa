// A proof with calls to the contract and what they must answer, for whoever puts it on a chain and
// wants to see it accept and refuse before anything depends on it.

import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { FIELD_ORDER } from "../field.ts";
import type { Proof } from "../verifier/proof-format.ts";
import type { InferenceCall } from "./contract-abi.ts";
import { INFERENCE_VERIFIED_TOPIC, inferenceCalldata, proofCalldata } from "./contract-abi.ts";
import { CONTRACT_NAME, SOLIDITY_VERSION } from "./export-contract.ts";
import { inferenceCallOf } from "./inference-call.ts";

/** One call and its answer. Bytes and words are hex with 0x. */
export interface VectorCall {
  readonly name: string;
  readonly calldata: string;
  /** "refused": false, or reverts; which of the two is not said. */
  readonly expected: "true" | "refused";
}

export interface ContractVector {
  readonly contract: string;
  readonly solidity: string;
  readonly publicValues: readonly string[];
  /** Calls of checkInference and verifyProof. */
  readonly calls: readonly VectorCall[];
  /** What verifyInference logs for the first call: three topics after its own. */
  readonly event: { readonly topics: readonly string[] };
}

/**
 * The vector of a proof that verifies.
 *
 * @throws Refusal where the public values are not those of the schema.
 */
export function contractVector(
  schema: CircuitSchema,
  publicValues: readonly bigint[],
  proof: Proof,
): ContractVector {
  const call = inferenceCallOf(schema, publicValues, proof);
  const calls = [
    vectorCall("the proof", "true", checkCalldata(call)),
    vectorCall("the proof, with public values", "true", proofCalldata(proof, publicValues)),
    ...forgedCalls(call),
    ...forgedValues(proof, publicValues),
  ];
  const topics = [
    INFERENCE_VERIFIED_TOPIC,
    `0x${schema.modelCommitment}`,
    hexOf(keccak_256(call.input)),
    `0x${call.context.toString(16).padStart(64, "0")}`,
  ];
  return {
    contract: CONTRACT_NAME,
    solidity: SOLIDITY_VERSION,
    publicValues: publicValues.map(String),
    calls,
    event: { topics },
  };
}

/** Calls of checkInference that say something else than the proof. */
function forgedCalls(call: InferenceCall): VectorCall[] {
  const [first, ...others] = call.output;
  const other = { ...call, output: [first === 0n ? 1n : first! - 1n, ...others] };
  const refused = [
    vectorCall("another output", "refused", checkCalldata(other)),
    vectorCall(
      "a value more in the output",
      "refused",
      checkCalldata({ ...call, output: [...call.output, 0n] }),
    ),
    vectorCall(
      "another context",
      "refused",
      checkCalldata({ ...call, context: call.context + 1n }),
    ),
    vectorCall(
      "the context plus the order of the field",
      "refused",
      checkCalldata({ ...call, context: call.context + FIELD_ORDER }),
    ),
    vectorCall(
      "a byte more of input",
      "refused",
      checkCalldata({ ...call, input: Uint8Array.of(...call.input, 0) }),
    ),
    vectorCall(
      "another proof",
      "refused",
      checkCalldata({ ...call, proof: { ...call.proof, c: call.proof.c.negate() } }),
    ),
  ];
  if (call.input.length === 0) return refused;
  // The last bit: it leaves a number in range where a higher one might not.
  const input = call.input.slice();
  input[input.length - 1]! ^= 1;
  return [...refused, vectorCall("another input", "refused", checkCalldata({ ...call, input }))];
}

/** Calls of verifyProof with the first or last public value changed, or named by its alias. */
function forgedValues(proof: Proof, publicValues: readonly bigint[]): VectorCall[] {
  const places = new Set([0, publicValues.length - 1]);
  return [...places].flatMap((i) => {
    const value = publicValues[i]!;
    const changed = publicValues.with(i, (value + 1n) % FIELD_ORDER);
    const alias = publicValues.with(i, value + FIELD_ORDER);
    return [
      vectorCall(`public value ${i} changed`, "refused", proofCalldata(proof, changed)),
      vectorCall(
        `public value ${i} plus the order of the field`,
        "refused",
        proofCalldata(proof, alias),
      ),
    ];
  });
}

function checkCalldata(call: InferenceCall): Uint8Array {
  return inferenceCalldata("checkInference", call);
}

function vectorCall(
  name: string,
  expected: VectorCall["expected"],
  calldata: Uint8Array,
): VectorCall {
  return { name, expected, calldata: hexOf(calldata) };
}

function hexOf(bytes: Uint8Array): string {
  return `0x${bytesToHex(bytes)}`;
}
