// The file that an offline verifier needs beside a proof: the verifying key, the schema, and what
// both are of. Written by the service, read on the command line and in a browser, so nothing here is
// of Node.

import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { type JsonObject, objectOf } from "../verifier/read-json.ts";
import { readSchema, schemaHash } from "../verifier/read-schema.ts";
import { Refusal } from "../verifier/refusal.ts";
import {
  assertSoundKey,
  readVerifyingKey,
  type VerifyingKeyJson,
  verifyingKeyHash,
  verifyingKeyJson,
} from "../verifier/verifying-key.ts";

/** Names the format, and its version. */
const VERIFYING_FILE_KIND = "plinth.verifying-key/1";

const SETUPS = ["dev-single-party", "ceremony", "universal"] as const;
const FIELDS = [
  "version",
  "kind",
  "verifyingKey",
  "schema",
  "verifyingKeyHash",
  "schemaHash",
  "modelCommitment",
  "circuitHash",
  "development",
  "setup",
] as const;

/** All hashes are lower-case hex SHA-256. */
export interface VerifyingFile {
  readonly version: 1;
  readonly kind: typeof VERIFYING_FILE_KIND;
  /** In snarkjs' form. */
  readonly verifyingKey: VerifyingKeyJson;
  readonly schema: CircuitSchema;
  /** Of the key's canonical bytes: pin it. */
  readonly verifyingKeyHash: string;
  readonly schemaHash: string;
  readonly modelCommitment: string;
  /** Of the .r1cs file. */
  readonly circuitHash: string;
  /** Whether one party made the key alone and could forge proofs. */
  readonly development: boolean;
  readonly setup: (typeof SETUPS)[number];
}

/** What a file is made of. */
export interface VerifyingFileParts {
  /** In any form that readVerifyingKey takes. */
  readonly verifyingKey: unknown;
  readonly schema: unknown;
  readonly circuitHash: string;
  readonly setup: VerifyingFile["setup"];
}

/**
 * The file as JSON, with a newline at its end. The same key and schema give the same bytes.
 *
 * @throws Refusal where the key is not of Groth16 or proofs can be forged with it.
 */
export function verifyingFileText(parts: VerifyingFileParts): string {
  return `${JSON.stringify(fileOf(parts), undefined, 2)}\n`;
}

/**
 * Reads such a file: exactly its fields, and hashes that are those of what it holds. That the key is
 * the circuit's is what whoever gave the file says: pin verifyingKeyHash.
 *
 * @throws Refusal: malformed, or what is wrong with key or schema; verifying-key-mismatch,
 *   schema-hash-mismatch, model-commitment-mismatch where a hash is not the one of what is there.
 */
export function readVerifyingFile(text: string): VerifyingFile {
  const json = objectOf("the verifying-key file", parsed(text));
  if (json.kind !== VERIFYING_FILE_KIND || json.version !== 1) {
    throw malformed(`its kind is not "${VERIFYING_FILE_KIND}": export it with FILE_VERIFYING_KEY`);
  }
  const unknown = Object.keys(json).filter((name) => !FIELDS.some((field) => field === name));
  if (unknown.length > 0) {
    throw malformed(`it has a field "${unknown[0]?.slice(0, 80)}", which is not known`);
  }
  const setup = SETUPS.find((one) => one === json.setup);
  const { circuitHash } = json;
  if (
    setup === undefined ||
    typeof circuitHash !== "string" ||
    !/^[0-9a-f]{64}$/.test(circuitHash)
  ) {
    throw malformed(`its setup is not one of ${SETUPS.join(", ")}, or its circuitHash no hash`);
  }
  const { verifyingKey, schema } = json;
  const file = fileOf({ verifyingKey, schema, circuitHash, setup });
  compare(json, file, { field: "verifyingKeyHash", reason: "verifying-key-mismatch" });
  compare(json, file, { field: "schemaHash", reason: "schema-hash-mismatch" });
  compare(json, file, { field: "modelCommitment", reason: "model-commitment-mismatch" });
  compare(json, file, { field: "development", reason: "malformed" });
  return file;
}

function fileOf(parts: VerifyingFileParts): VerifyingFile {
  const key = readVerifyingKey(parts.verifyingKey);
  assertSoundKey(key);
  const schema = readSchema(parts.schema);
  return {
    version: 1,
    kind: VERIFYING_FILE_KIND,
    verifyingKey: verifyingKeyJson(key),
    schema,
    verifyingKeyHash: verifyingKeyHash(key),
    schemaHash: schemaHash(schema),
    modelCommitment: schema.modelCommitment,
    circuitHash: parts.circuitHash,
    development: parts.setup === "dev-single-party",
    setup: parts.setup,
  };
}

function compare(
  json: JsonObject,
  file: VerifyingFile,
  { field, reason }: { readonly field: keyof VerifyingFile; readonly reason: Refusal["reason"] },
): void {
  if (json[field] !== file[field]) {
    throw new Refusal(
      reason,
      `the verifying-key file says ${field} ${String(json[field]).slice(0, 80)}, and what it ` +
        `holds has ${String(file[field])}`,
    );
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed("it is not JSON");
  }
}

function malformed(why: string): Refusal {
  return new Refusal("malformed", `this is no verifying-key file: ${why}`);
}
