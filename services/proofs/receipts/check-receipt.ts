// Checks a receipt without Plinth: with the receipt, its proof, the checkpoint and the log's public
// keys, and where at hand the model file, the inputs and the outputs. Nothing of the store and
// nothing of node is needed, so that it runs in a browser and in anyone's script.
//
// The trust lies in the keys: get them from the operator once, not with each receipt. Keep the last
// checkpoint you saw and check the next one against it (checkConsistency): that is what makes it
// impossible for the log to tell you one story now and another one later.

import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type RawTensor, tensorBytes } from "../../common/receipts/tensor-bytes.ts";
import {
  type Checkpoint,
  fromBase64,
  MalformedCheckpoint,
  noteKeyHash,
  parseCheckpoint,
  verifierKey,
} from "./checkpoint.ts";
import { equalBytes, treeHash, verifyConsistency, verifyInclusion } from "./merkle-tree.ts";
import type { ReceiptEvidence } from "./proof-text.ts";
import { decodeReceipt, KEY_ID_BYTES, MalformedReceipt, type Receipt } from "./receipt.ts";

/** Whom the one who checks believes. */
export interface LogTrust {
  /** The log's name, the first line of its checkpoints. It ends with the workspace's name. */
  readonly origin: string;
  /** The log's Ed25519 keys, 32 bytes each, retired ones too. */
  readonly publicKeys: readonly Uint8Array[];
}

/** What the receipt must be about; what is absent is not checked. */
export interface Expectations {
  readonly deployment?: string;
  readonly modelVersion?: string;
  readonly inferenceId?: string;
  readonly context?: Uint8Array;
  /** The bytes of the ONNX file. */
  readonly modelFile?: Uint8Array;
  readonly inputs?: readonly RawTensor[];
  readonly outputs?: readonly RawTensor[];
}

export type Refusal =
  | "MALFORMED_RECEIPT"
  | "MALFORMED_CHECKPOINT"
  | "OTHER_LOG"
  | "NOT_SIGNED"
  | "BAD_SIGNATURE"
  | "UNKNOWN_KEY"
  | "OTHER_WORKSPACE"
  | "NOT_INCLUDED"
  | "INCONSISTENT"
  | "OTHER_INFERENCE"
  | "OTHER_MODEL"
  | "OTHER_INPUTS"
  | "OTHER_OUTPUTS";

/** The message says in a sentence what does not hold. */
export interface RefusedVerdict {
  readonly valid: false;
  readonly reason: Refusal;
  readonly message: string;
}

export type ReceiptVerdict =
  | {
      readonly valid: true;
      readonly receipt: Receipt;
      /** Absent where a receipt was checked by its own signature. */
      readonly checkpoint?: Checkpoint;
    }
  | RefusedVerdict;

export type CheckpointVerdict =
  | { readonly valid: true; readonly checkpoint: Checkpoint }
  | RefusedVerdict;

const tree = treeHash(sha256);

/** The name of a public key, as receipts carry it. */
export function keyIdOf(publicKey: Uint8Array): string {
  return hex(sha256(publicKey).subarray(0, KEY_ID_BYTES));
}

/** Whether the log has stated this receipt, and whether it is about what is expected. */
export function checkReceipt(
  evidence: ReceiptEvidence,
  trust: LogTrust,
  expected: Expectations = {},
): ReceiptVerdict {
  const receipt = readReceipt(evidence.receipt, trust);
  if ("valid" in receipt) return receipt;
  const head = checkCheckpoint(evidence.checkpoint, trust);
  if (!head.valid) return head;
  const { checkpoint } = head;
  const claim = {
    leaf: tree.leaf(evidence.receipt),
    index: evidence.index,
    size: checkpoint.size,
    path: evidence.path,
    root: checkpoint.root,
  };
  if (!verifyInclusion(claim, tree)) {
    const place = `${evidence.index} of ${checkpoint.size}`;
    return refuse("NOT_INCLUDED", `The proof does not show this receipt in the log, at ${place}.`);
  }
  return mismatch(receipt, expected) ?? { valid: true, receipt, checkpoint };
}

/**
 * Whether a key of the log signed this receipt by itself. It says nothing about the log: ask for
 * the proof as soon as there is one.
 */
export function checkSignedReceipt(
  signed: { readonly receipt: Uint8Array; readonly signature: Uint8Array },
  trust: LogTrust,
  expected: Expectations = {},
): ReceiptVerdict {
  const receipt = readReceipt(signed.receipt, trust);
  if ("valid" in receipt) return receipt;
  const key = trust.publicKeys.find((publicKey) => keyIdOf(publicKey) === receipt.keyId)!;
  if (!isSigned(signed.receipt, signed.signature, key)) {
    return refuse("BAD_SIGNATURE", `The signature is not one of key ${receipt.keyId}.`);
  }
  return mismatch(receipt, expected) ?? { valid: true, receipt };
}

/** Whether a trusted key of the log signed the checkpoint. */
export function checkCheckpoint(text: string, trust: LogTrust): CheckpointVerdict {
  let checkpoint: Checkpoint;
  try {
    checkpoint = parseCheckpoint(text);
  } catch (error) {
    if (!(error instanceof MalformedCheckpoint)) throw error;
    return refuse("MALFORMED_CHECKPOINT", `${error.message}.`);
  }
  if (checkpoint.origin !== trust.origin) {
    return refuse("OTHER_LOG", `It is of ${checkpoint.origin}, not of ${trust.origin}.`);
  }
  let isTrusted = false;
  for (const { name, keyHash, signature } of checkpoint.signatures) {
    const ours = trust.publicKeys.filter((key) => {
      return name === trust.origin && equalBytes(noteKeyHash(name, key, sha256), keyHash);
    });
    if (ours.length > 0 && !ours.some((key) => isSigned(checkpoint.body, signature, key))) {
      return refuse("BAD_SIGNATURE", "A signature under the checkpoint is not its key's.");
    }
    isTrusted ||= ours.length > 0;
  }
  return isTrusted
    ? { valid: true, checkpoint }
    : refuse("NOT_SIGNED", "No key that is trusted signed the checkpoint.");
}

/**
 * Whether the log only grew from an older checkpoint to a newer one; the verdict holds the newer.
 * An older one that turns out larger, or another root at the same size, is a log that forked.
 */
export function checkConsistency(
  claim: { readonly older: string; readonly newer: string; readonly path: readonly Uint8Array[] },
  trust: LogTrust,
): CheckpointVerdict {
  const older = checkCheckpoint(claim.older, trust);
  if (!older.valid) return older;
  const newer = checkCheckpoint(claim.newer, trust);
  if (!newer.valid) return newer;
  const { size: oldSize, root: oldRoot } = older.checkpoint;
  const { size, root } = newer.checkpoint;
  return verifyConsistency({ oldSize, oldRoot, size, root, path: claim.path }, tree)
    ? newer
    : refuse(
        "INCONSISTENT",
        `Nothing shows that the log of ${size} receipts begins with the ${oldSize} it had: ` +
          "keep both checkpoints, they convict it if it cannot give a proof.",
      );
}

/** A log's key in the form `<origin>+<key hash>+<key>`; undefined for any other text. */
export function parseVerifierKey(
  text: string,
): { readonly origin: string; readonly publicKey: Uint8Array } | undefined {
  // Base64 has plus signs of its own; a name and a hash have none.
  const [, origin = "", encoded = ""] = /^([^+]+)\+[0-9a-f]{8}\+(.+)$/.exec(text) ?? [];
  const publicKey = fromBase64(encoded)?.slice(1);
  return publicKey?.length === 32 && verifierKey(origin, publicKey, sha256) === text
    ? { origin, publicKey }
    : undefined;
}

function readReceipt(bytes: Uint8Array, trust: LogTrust): Receipt | RefusedVerdict {
  let receipt: Receipt;
  try {
    receipt = decodeReceipt(bytes);
  } catch (error) {
    if (!(error instanceof MalformedReceipt)) throw error;
    return refuse("MALFORMED_RECEIPT", `It is no receipt: ${error.message}.`);
  }
  if (!trust.publicKeys.some((key) => keyIdOf(key) === receipt.keyId)) {
    return refuse("UNKNOWN_KEY", `The receipt names key ${receipt.keyId}, which is not trusted.`);
  }
  // A log holds the receipts of one workspace; no operator of another may speak for it.
  if (!trust.origin.endsWith(`/${receipt.workspace}`)) {
    return refuse("OTHER_WORKSPACE", `It is of ${receipt.workspace}, not of ${trust.origin}.`);
  }
  return receipt;
}

function mismatch(receipt: Receipt, expected: Expectations): RefusedVerdict | undefined {
  for (const field of ["deployment", "modelVersion", "inferenceId"] as const) {
    if (expected[field] !== undefined && expected[field] !== receipt[field]) {
      const what = `${field} is ${receipt[field]}, expected ${expected[field]}.`;
      return refuse("OTHER_INFERENCE", `The receipt's ${what}`);
    }
  }
  if (expected.context !== undefined && !equalBytes(expected.context, receipt.context)) {
    return refuse("OTHER_INFERENCE", "The receipt's context is another.");
  }
  const { modelFile, inputs, outputs } = expected;
  if (modelFile !== undefined && !equalBytes(sha256(modelFile), receipt.modelDigest)) {
    return refuse("OTHER_MODEL", "The model file is not the one that the receipt names.");
  }
  if (inputs !== undefined && !equalBytes(digestOf(inputs), receipt.inputDigest)) {
    return refuse("OTHER_INPUTS", "The inputs are not those that the receipt names.");
  }
  if (outputs !== undefined && !equalBytes(digestOf(outputs), receipt.outputDigest)) {
    return refuse("OTHER_OUTPUTS", "The outputs are not those that the receipt names.");
  }
  return undefined;
}

function digestOf(tensors: readonly RawTensor[]): Uint8Array {
  const running = sha256.create();
  for (const piece of tensorBytes(tensors)) {
    running.update(piece);
  }
  return running.digest();
}

/** Strictly by RFC 8032: one signature must not count for one verifier and not for another. */
function isSigned(message: Uint8Array, signature: Uint8Array, publicKey: Uint8Array): boolean {
  try {
    return ed25519.verify(signature, message, publicKey, { zip215: false });
  } catch {
    return false;
  }
}

function refuse(reason: Refusal, message: string): RefusedVerdict {
  return { valid: false, reason, message };
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
