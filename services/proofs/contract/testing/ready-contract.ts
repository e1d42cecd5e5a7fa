// Contracts on a chain with a proof at hand: snarkjs' proofs, and simulated ones for any schema.

import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import { SeededRandom } from "../../../common/testing/seeded-random.ts";
import type { CircuitSchema } from "../../circuit/circuit-schema.ts";
import type { Proof } from "../../verifier/proof-format.ts";
import { readProof } from "../../verifier/proof-format.ts";
import { signalCounts } from "../../verifier/read-schema.ts";
import type { SimulatedSetup } from "../../verifier/testing/simulated-setup.ts";
import { simulatedSetup } from "../../verifier/testing/simulated-setup.ts";
import { vector } from "../../verifier/testing/vectors.ts";
import { readVerifyingKey, verifyingKeyHash } from "../../verifier/verifying-key.ts";
import { exportContract } from "../export-contract.ts";
import type { CompiledContract, DeployedContract } from "./use-contract.ts";
import { compiled, deployed } from "./use-contract.ts";

export interface Ready {
  readonly compiled: CompiledContract;
  readonly contract: DeployedContract;
  readonly schema: CircuitSchema;
  readonly proof: Proof;
  readonly values: readonly bigint[];
  readonly vkHash: string;
}

const compiledVectors = new Map<number, CompiledContract>();

/** The contract of a vector, with a development set-up. */
export async function fromVector(name: 1 | 3 | 36): Promise<Ready> {
  const { schema, ...given } = vector(name);
  const verifyingKey = readVerifyingKey(given.verifyingKey);
  const code =
    compiledVectors.get(name) ??
    compiled(exportContract({ verifyingKey, schema, isDevelopmentSetup: true }));
  compiledVectors.set(name, code);
  return {
    compiled: code,
    contract: await deployed(code),
    schema,
    proof: readProof(given.proof),
    values: given.publicValues.map(BigInt),
    vkHash: verifyingKeyHash(verifyingKey),
  };
}

/** A contract for any schema, with a proof of any public values. */
export async function simulated(
  schema: CircuitSchema,
  seed: number,
): Promise<{
  readonly setup: SimulatedSetup;
  readonly contract: DeployedContract;
  /** As it stands on the chain. */
  readonly code: Uint8Array;
}> {
  const setup = simulatedSetup(signalCounts(schema).total, new SeededRandom(seed));
  const code = compiled(
    exportContract({ verifyingKey: setup.key, schema, isDevelopmentSetup: false }),
  );
  return { setup, contract: await deployed(code), code: code.code };
}

/** First four bytes of a call or an error, in hex. */
export function selectorOf(signature: string): string {
  return bytesToHex(keccak_256(utf8ToBytes(signature)).subarray(0, 4));
}

/** Which error was reverted with. */
export function errorOf(returned: Uint8Array): string {
  return bytesToHex(returned.subarray(0, 4));
}
