// A proof as a file that stands by itself: what the service exports and every offline verifier
// reads. Its id is the SHA-256 of its canonical form, so that whoever has the file can check the
// name. Runs in a browser.
//
// What the file says of itself (which circuit, which model) is not proved: a verifier takes key and
// schema from whom it trusts and compares the hashes.

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { FIELD_ORDER } from "../field.ts";
import { proofJson, readProof } from "../verifier/proof-format.ts";
import {
  bigintOf,
  canonicalJson,
  type JsonObject,
  listOf,
  objectOf,
} from "../verifier/read-json.ts";
import { Refusal } from "../verifier/refusal.ts";
import { PUBLIC_VALUES_MAX } from "../verifier/verifying-key.ts";

export const PROOF_FILE_KIND = "plinth.proof/1";

/** A file of the largest circuit has less; anything longer is none. */
export const PROOF_FILE_BYTES_MAX: number = 4 * 1024 * 1024;

const TEXT_LENGTH_MAX = 2048;
const ROW_MAX = 2 ** 31 - 1;
/** A PLONK proof is an object of some 20 fields of decimal digits. */
const PLONK_FIELDS_MAX = 100;

/** What is in the file. All hashes are lower-case hex SHA-256. */
export interface ProofFile {
  readonly version: 1;
  readonly kind: typeof PROOF_FILE_KIND;
  readonly protocol: "groth16" | "plonk";
  /** Name of the circuit. */
  readonly circuit: string;
  /** Name of the model version, by number. */
  readonly modelVersion: string;
  /** Of the inference whose answer it proves; empty: none. */
  readonly inferenceId: string;
  /** Which row of it, from 0. */
  readonly row: number;
  /** In snarkjs' form. */
  readonly proof: JsonObject;
  /** In decimal, in the order of the schema. */
  readonly publicValues: readonly string[];
  /** Empty with PLONK. */
  readonly verifyingKeyHash: string;
  readonly schemaHash: string;
  readonly modelCommitment: string;
  /** Of the .r1cs file. */
  readonly circuitHash: string;
  /** The key is of a development set-up: whoever made it could have forged the proof. */
  readonly development: boolean;
  /** When the proof was made, as RFC 3339 in UTC. Absent: not said. */
  readonly createTime?: string;
}

/** The canonical bytes: the same for the same proof. */
export function proofFileBytes(file: ProofFile): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(canonicalJson(file));
}

/** The id of the proof: lower-case hex SHA-256 of the canonical bytes. */
export function proofFileId(file: ProofFile): string {
  return bytesToHex(sha256(proofFileBytes(file)));
}

/**
 * Reads a file, however it is laid out. That its proof verifies is not said; that a Groth16 proof
 * has points is.
 * @throws Refusal that names the field.
 */
export function readProofFile(source: Uint8Array | string): ProofFile {
  const length = typeof source === "string" ? source.length : source.byteLength;
  if (length > PROOF_FILE_BYTES_MAX) {
    throw malformed("", `has more than ${PROOF_FILE_BYTES_MAX} bytes`);
  }
  const json = objectOf("the proof file", parsed(source));
  if (json.kind !== PROOF_FILE_KIND || json.version !== 1) {
    const expected = `kind "${PROOF_FILE_KIND}" and version 1`;
    throw malformed("", `has not ${expected}: it is no proof file, or of a newer Plinth`);
  }
  const { protocol, development, createTime } = json;
  if (protocol !== "groth16" && protocol !== "plonk") {
    throw malformed("protocol", 'is neither "groth16" nor "plonk"');
  }
  if (typeof development !== "boolean") throw malformed("development", "is not true or false");
  const isGroth16 = protocol === "groth16";
  return {
    version: 1,
    kind: PROOF_FILE_KIND,
    protocol,
    circuit: textOf("circuit", json.circuit),
    modelVersion: textOf("modelVersion", json.modelVersion),
    inferenceId: textOf("inferenceId", json.inferenceId),
    row: rowOf(json.row),
    proof: isGroth16 ? groth16Of(json.proof) : plonkOf(json.proof),
    publicValues: publicValuesOf(json.publicValues),
    verifyingKeyHash: isGroth16
      ? hashOf("verifyingKeyHash", json.verifyingKeyHash)
      : emptyOf("verifyingKeyHash", json.verifyingKeyHash),
    schemaHash: hashOf("schemaHash", json.schemaHash),
    modelCommitment: hashOf("modelCommitment", json.modelCommitment),
    circuitHash: hashOf("circuitHash", json.circuitHash),
    development,
    ...(createTime === undefined ? {} : { createTime: timeOf(createTime) }),
  };
}

function parsed(source: Uint8Array | string): unknown {
  try {
    const text =
      typeof source === "string"
        ? source
        : new TextDecoder("utf-8", { fatal: true }).decode(source);
    return JSON.parse(text);
  } catch {
    throw malformed("", "is not JSON in UTF-8");
  }
}

function groth16Of(value: unknown): JsonObject {
  return { ...proofJson(readProof(objectOf("the proof", value))) };
}

/** The fields of snarkjs: words, numbers in decimal and points, which are lists of them. */
function plonkOf(value: unknown): JsonObject {
  const json = objectOf("the proof", value);
  if (json.protocol !== "plonk") throw malformed("proof", "is not of protocol plonk");
  if (Object.keys(json).length > PLONK_FIELDS_MAX) throw malformed("proof", "has too many fields");
  for (const [name, field] of Object.entries(json)) {
    const parts = Array.isArray(field) ? listOf(`the proof's ${name}`, field, 3) : [field];
    for (const part of parts) textOf(`proof.${name}`, part);
  }
  return json;
}

function publicValuesOf(value: unknown): readonly string[] {
  const list = listOf("the public values", value);
  if (list.length > PUBLIC_VALUES_MAX) {
    throw malformed("publicValues", `are more than ${PUBLIC_VALUES_MAX}`);
  }
  return list.map((item, i) => {
    const number = bigintOf(`public value ${i}`, item);
    if (number >= FIELD_ORDER) {
      const expected = `must be below ${FIELD_ORDER}`;
      throw new Refusal("public-value-out-of-range", `public value ${i} ${expected}`);
    }
    return String(number);
  });
}

function textOf(field: string, value: unknown): string {
  if (typeof value !== "string" || value.length > TEXT_LENGTH_MAX) {
    throw malformed(field, `is not text of at most ${TEXT_LENGTH_MAX} characters`);
  }
  return value;
}

function hashOf(field: string, value: unknown): string {
  if (typeof value !== "string" || !/^[0-9a-f]{64}$/.test(value)) {
    throw malformed(field, "is not 64 lower-case hex digits");
  }
  return value;
}

function emptyOf(field: string, value: unknown): string {
  if (value !== "") throw malformed(field, "is not empty, as it is with PLONK");
  return "";
}

function rowOf(value: unknown): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > ROW_MAX) {
    throw malformed("row", "is not a whole number from 0 on");
  }
  return value as number;
}

function timeOf(value: unknown): string {
  const isTime =
    typeof value === "string" &&
    /^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]+)?Z$/.test(value) &&
    !Number.isNaN(Date.parse(value));
  if (!isTime) throw malformed("createTime", "is not a time like 2026-01-31T12:00:00.000Z");
  return value as string;
}

function malformed(field: string, what: string): Refusal {
  const subject = field === "" ? "the proof file" : `the proof file's ${field}`;
  return new Refusal("malformed", `${subject} ${what}`);
}
