// The interface of the contracts, and calls in its encoding: a few lines for the few types that
// they have, so that nobody needs a library to make a call.

import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { wordBytes } from "../verifier/curve-points.ts";
import type { Proof } from "../verifier/proof-format.ts";
import { proofBytes, proofWords } from "../verifier/proof-format.ts";

export interface AbiParameter {
  readonly name: string;
  readonly type: string;
  readonly internalType: string;
  /** Of an event's. */
  readonly indexed?: boolean;
}

export interface AbiEntry {
  readonly type: "function" | "event" | "error";
  readonly name: string;
  readonly inputs: readonly AbiParameter[];
  readonly outputs?: readonly AbiParameter[];
  readonly stateMutability?: "view" | "nonpayable";
  readonly anonymous?: boolean;
}

const WORD_BYTES = 32n;
const WORD_MASK = 2n ** 256n - 1n;

const INFERENCE_PARAMETERS = [
  parameter("input", "bytes"),
  parameter("output", "int256[]"),
  parameter("context", "uint256"),
  parameter("proof", "bytes"),
];

/** The interface of the contract InferenceVerifier with so many public values, sorted by kind and name. */
export function contractAbi(publicValues: number): readonly AbiEntry[] {
  const lengths = [parameter("expected", "uint256"), parameter("actual", "uint256")];
  return [
    error("ContextOutOfRange", []),
    error("InputLength", lengths),
    error("InputOutOfRange", [parameter("byteIndex", "uint256")]),
    error("OutputLength", lengths),
    error("OutputOutOfRange", [parameter("index", "uint256")]),
    error("ProofInvalid", []),
    error("ProofLength", lengths),
    {
      type: "event",
      name: "InferenceVerified",
      anonymous: false,
      inputs: [
        { ...parameter("modelCommitment", "bytes32"), indexed: true },
        { ...parameter("inputHash", "bytes32"), indexed: true },
        { ...parameter("context", "uint256"), indexed: true },
        { ...parameter("output", "int256[]"), indexed: false },
      ],
    },
    view("DEV_SETUP", [], "bool"),
    view("INPUT_BYTES", [], "uint256"),
    view("MODEL_COMMITMENT", [], "bytes32"),
    view("OUTPUT_SCALE_BITS", [], "int256"),
    view("OUTPUT_VALUES", [], "uint256"),
    view("PUBLIC_VALUES", [], "uint256"),
    view("VERIFYING_KEY_HASH", [], "bytes32"),
    view("checkInference", INFERENCE_PARAMETERS, "bool"),
    {
      type: "function",
      name: "verifyInference",
      inputs: INFERENCE_PARAMETERS,
      outputs: [parameter("inputHash", "bytes32")],
      stateMutability: "nonpayable",
    },
    view(
      "verifyProof",
      [
        parameter("a", "uint256[2]"),
        parameter("b", "uint256[2][2]"),
        parameter("c", "uint256[2]"),
        parameter("publicValues", `uint256[${publicValues}]`),
      ],
      "bool",
    ),
  ];
}

/** What verifyInference and checkInference take. */
export interface InferenceCall {
  readonly input: Uint8Array;
  readonly output: readonly bigint[];
  /** 0 where the circuit has none. */
  readonly context: bigint;
  readonly proof: Proof;
}

/** Calldata of verifyInference or checkInference. */
export function inferenceCalldata(
  name: "verifyInference" | "checkInference",
  call: InferenceCall,
): Uint8Array<ArrayBuffer> {
  const input = dynamicBytes(call.input);
  const output = words([BigInt(call.output.length), ...call.output]);
  const inputAt = 4n * WORD_BYTES;
  const outputAt = inputAt + BigInt(input.length);
  const proofAt = outputAt + BigInt(output.length);
  return joined(
    selector(name, INFERENCE_PARAMETERS),
    words([inputAt, outputAt, call.context, proofAt]),
    input,
    output,
    dynamicBytes(proofBytes(call.proof)),
  );
}

/** Calldata of verifyProof. */
export function proofCalldata(
  proof: Proof,
  publicValues: readonly bigint[],
): Uint8Array<ArrayBuffer> {
  const entry = contractAbi(publicValues.length).find(({ name }) => name === "verifyProof");
  // Arrays of a fixed length stand in place: eight words of the proof, then the values.
  return joined(
    selector("verifyProof", entry!.inputs),
    words([...proofWords(proof), ...publicValues]),
  );
}

/** First topic of the event InferenceVerified, as hex with 0x. */
export const INFERENCE_VERIFIED_TOPIC: string = `0x${bytesToHex(
  keccak_256(utf8ToBytes("InferenceVerified(bytes32,bytes32,uint256,int256[])")),
)}`;

function selector(name: string, inputs: readonly AbiParameter[]): Uint8Array {
  const signature = `${name}(${inputs.map(({ type }) => type).join(",")})`;
  return keccak_256(utf8ToBytes(signature)).subarray(0, 4);
}

/** Negative numbers in two's complement. */
function words(values: readonly bigint[]): Uint8Array {
  return wordBytes(values.map((value) => value & WORD_MASK));
}

function dynamicBytes(bytes: Uint8Array): Uint8Array {
  const padded = new Uint8Array(32 * Math.ceil(bytes.length / 32));
  padded.set(bytes);
  return joined(words([BigInt(bytes.length)]), padded);
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return concatBytes(...parts);
}

function parameter(name: string, type: string): AbiParameter {
  return { name, type, internalType: type };
}

function error(name: string, inputs: readonly AbiParameter[]): AbiEntry {
  return { type: "error", name, inputs };
}

function view(name: string, inputs: readonly AbiParameter[], type: string): AbiEntry {
  return {
    type: "function",
    name,
    inputs,
    outputs: [parameter("", type)],
    stateMutability: "view",
  };
}
