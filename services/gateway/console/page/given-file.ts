// What a file is that somebody gives to the page, told from its content: its name may be anything.
// What it is not is said in words that help to find the right one.

import { readVerifyingFile, type VerifyingFile } from "../../../proofs/circuits/verifying-file.ts";
import {
  PROOF_FILE_BYTES_MAX,
  type ProofFile,
  readProofFile,
} from "../../../proofs/proving/proof-file.ts";
import { Refusal } from "../../../proofs/verifier/refusal.ts";

/** The key of a circuit with the most public values that are possible has less. */
export const FILE_BYTES_MAX: number = 16 * 1024 * 1024;

/** The files that are wanted. */
export type Wanted = "proof" | "key";

export type GivenFile =
  | { readonly kind: "proof"; readonly proof: ProofFile }
  | { readonly kind: "key"; readonly key: VerifyingFile }
  /** Neither; or one of them, and not to be used. */
  | { readonly kind: "refused"; readonly looksLike?: Wanted; readonly message: string };

const HOW_TO_GET: Readonly<Record<Wanted, string>> = {
  proof: "The proof is the file that “plinth prove --out” or “plinth proof download” wrote.",
  key:
    "The key is the file that “plinth circuits export --file verifying-key” wrote: it has the " +
    "schema beside the key, which says what the numbers mean.",
};

const NAMES: Readonly<Record<Wanted, string>> = { proof: "proof", key: "verifying key" };

/** Why a file of this length is not read at all; undefined where it is. */
export function sizeFault(bytes: number): string | undefined {
  if (bytes <= FILE_BYTES_MAX) return undefined;
  return (
    `It has ${mebibytes(bytes)} and was not read: a proof has at most ` +
    `${mebibytes(PROOF_FILE_BYTES_MAX)}, a verifying key ${mebibytes(FILE_BYTES_MAX)}.`
  );
}

/** Reads a file of at most FILE_BYTES_MAX. Never throws for what stands in it. */
export function readGiven(bytes: Uint8Array): GivenFile {
  const binary = binaryKind(bytes);
  if (binary !== undefined) return notWanted(binary);
  if (bytes.length === 0) return notWanted("empty");
  const text = textOf(bytes);
  const json = text === undefined ? undefined : jsonOf(text);
  if (text === undefined || json === undefined) return notWanted(textKind(text));
  const kind = kindOf(json);
  try {
    switch (kind) {
      case "proof":
        return proofOf(bytes);
      case "key":
        return { kind, key: readVerifyingFile(text) };
      default:
        return notWanted(kind);
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const what = `This ${NAMES[kind as Wanted]} is not to be used: ${error.message}.`;
    return { kind: "refused", looksLike: kind as Wanted, message: what };
  }
}

/** What to say where the one was given in the place of the other. */
export function misplaced(given: Wanted, wanted: Wanted): string {
  return `This file is a ${NAMES[given]}, not a ${NAMES[wanted]}. ${HOW_TO_GET[wanted]}`;
}

function proofOf(bytes: Uint8Array): GivenFile {
  const proof = readProofFile(bytes);
  if (proof.protocol === "groth16") return { kind: "proof", proof };
  const message =
    "This is a PLONK proof, which is not verified here. Verify it with snarkjs: its “proof” and " +
    "“publicValues” as files, with the verifying key that “snarkjs zkey export verificationkey” " +
    "makes of the exported proving key.";
  return { kind: "refused", looksLike: "proof", message };
}

function notWanted(what: string): GivenFile {
  return {
    kind: "refused",
    message: `This file is ${what}, neither a proof nor a verifying key. ${HOW_TO_GET.proof} ${HOW_TO_GET.key}`,
  };
}

const MAGICS: readonly (readonly [string, string])[] = [
  ["zkey", "a proving key (.zkey)"],
  ["r1cs", "the constraints of a circuit (.r1cs)"],
  ["wtns", "a witness (.wtns)"],
  ["PK\u0003\u0004", "an archive (.zip): unpack it first"],
  ["\u001f\u008b", "compressed (.gz): unpack it first"],
];

function binaryKind(bytes: Uint8Array): string | undefined {
  const start = String.fromCharCode(...bytes.subarray(0, 4));
  return MAGICS.find(([magic]) => start.startsWith(magic))?.[1];
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function textKind(text: string | undefined): string {
  if (text === undefined) return "not text";
  if (/^\s*$/.test(text)) return "empty";
  if (text.includes("pragma solidity")) return "a Solidity contract";
  if (/^\s*[{[]/.test(text)) return "JSON that is damaged or cut off";
  return "not JSON";
}

/** Which of the files with JSON that are about proofs it is. */
function kindOf(json: unknown): Wanted | string {
  if (Array.isArray(json)) {
    const isValues = json.length > 0 && json.every((item) => /^\d+$/.test(String(item)));
    return isValues ? "a list of public values, as snarkjs writes them" : "JSON of another kind";
  }
  if (typeof json !== "object" || json === null) return "JSON of another kind";
  const fields = json as Readonly<Record<string, unknown>>;
  const kind = String(fields.kind);
  if (kind.startsWith("plinth.proof/")) return "proof";
  if (kind.startsWith("plinth.verifying-key/")) return "key";
  if ("IC" in fields || "vk_alpha_1" in fields) {
    return "a bare verifying key, as snarkjs writes it";
  }
  if ("pi_a" in fields) return "a bare proof, as snarkjs writes it";
  if ("contributions" in fields) return "the transcript of a ceremony";
  return "JSON of another kind";
}

function mebibytes(bytes: number): string {
  return `${Math.round((bytes / 1024 / 1024) * 10) / 10} MiB`;
}
