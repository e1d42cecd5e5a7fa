// Everything somebody needs to put the verifier of a circuit on a chain and call it: the source,
// what to give to the compiler, the interface. The same key and schema give the same bytes.

import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { readSchema, signalCounts } from "../verifier/read-schema.ts";
import { Refusal } from "../verifier/refusal.ts";
import type { VerifyingKey } from "../verifier/verifying-key.ts";
import { assertSoundKey, publicValueCount } from "../verifier/verifying-key.ts";
import type { AbiEntry } from "./contract-abi.ts";
import { contractAbi } from "./contract-abi.ts";
import { groth16Contract } from "./groth16-contract.ts";
import { inferenceContract } from "./inference-contract.ts";
import { laneCheckCount } from "./range-checks.ts";

/** The compiler that the contracts are for and tested with. */
export const SOLIDITY_VERSION = "0.8.37";

export const SOURCE_FILE = "InferenceVerifier.sol";
export const CONTRACT_NAME = "InferenceVerifier";

/** A contract may have so many bytes (EIP-170). */
export const CODE_BYTES_MAX = 24_576;

/**
 * With more public values the code would be longer than a contract may be. One whose numbers are
 * held to ranges of their own counts twice: it takes a check as long as a public value.
 */
export const CONTRACT_PUBLIC_VALUES_MAX = 200;

export interface ContractOptions {
  readonly verifyingKey: VerifyingKey;
  readonly schema: CircuitSchema;
  /** Whether the key is of a development set-up: said loudly in the contract. */
  readonly isDevelopmentSetup: boolean;
}

export interface ExportedContract {
  /** Of SOURCE_FILE. */
  readonly source: string;
  /** For `solc --standard-json` of SOLIDITY_VERSION. */
  readonly standardJson: StandardJson;
  readonly abi: readonly AbiEntry[];
}

/** The part of the compiler's input that is used. */
export interface StandardJson {
  readonly language: "Solidity";
  readonly sources: Readonly<Record<string, { readonly content: string }>>;
  readonly settings: {
    readonly evmVersion: string;
    readonly optimizer: { readonly enabled: boolean; readonly runs: number };
    readonly outputSelection: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
  };
}

/**
 * The contract of a circuit.
 *
 * @throws Refusal: unsound-key, schema-mismatch (also where there are too many public values for a
 *   contract: pack the inputs, or commit to them).
 */
export function exportContract(options: ContractOptions): ExportedContract {
  const { verifyingKey, isDevelopmentSetup } = options;
  assertSoundKey(verifyingKey);
  const schema = readSchema(options.schema);
  const count = publicValueCount(verifyingKey);
  const { total } = signalCounts(schema);
  if (total !== count) {
    throw new Refusal(
      "schema-mismatch",
      `the schema describes ${total} public values, the verifying key is for ${count}`,
    );
  }
  if (!fitsContract(schema)) {
    const checks = laneCheckCount(schema);
    const told =
      checks > 0 ? `, and ${checks} of them with ranges to check, which count twice` : "";
    throw new Refusal(
      "schema-mismatch",
      `${count} public values${told}; a contract takes 1 to ${CONTRACT_PUBLIC_VALUES_MAX}. Pack ` +
        "the inputs and the output, or commit to the inputs",
    );
  }
  const source = [
    header(isDevelopmentSetup),
    groth16Contract(verifyingKey, { isDevelopment: isDevelopmentSetup }),
    inferenceContract(schema),
  ].join("\n");
  return { source, standardJson: standardJson(source), abi: contractAbi(count) };
}

/** Whether the public values of a circuit, and the checks of their ranges, fit into a contract. */
export function fitsContract(schema: CircuitSchema): boolean {
  const { total } = signalCounts(schema);
  return total > 0 && total + laneCheckCount(schema) <= CONTRACT_PUBLIC_VALUES_MAX;
}

function header(isDevelopment: boolean): string {
  const licence = `// SPDX-License-Identifier: Apache-2.0
pragma solidity ${SOLIDITY_VERSION};

// Made by Plinth for one circuit; every number in it is of that circuit's verifying key.
`;
  return isDevelopment ? `${licence}${DEVELOPMENT_WARNING}` : licence;
}

const DEVELOPMENT_WARNING = `
// !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
// !!  DEVELOPMENT SET-UP. One party made these keys and could have kept their secret: with it
// !!  PROOFS OF ANYTHING CAN BE FORGED. Not for anything of value. For production, make the
// !!  keys with contributions of several parties and export the contract again.
// !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!
`;

function standardJson(source: string): StandardJson {
  return {
    language: "Solidity",
    sources: { [SOURCE_FILE]: { content: source } },
    settings: {
      // The oldest instructions that are enough: the code runs on every chain with the pairing.
      evmVersion: "paris",
      optimizer: { enabled: true, runs: 200 },
      outputSelection: {
        [SOURCE_FILE]: { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] },
      },
    },
  };
}
