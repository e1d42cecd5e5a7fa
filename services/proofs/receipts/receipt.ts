// A receipt: what Plinth states about one inference, as bytes that everyone encodes alike.
//
// What it proves. A receipt by itself is only a statement. Together with (1) its inclusion proof
// and (2) a tree head that the log signed, it proves that whoever holds the log's key has stated,
// no later than the head's time, for good and for everyone who sees the log: this inference, of the
// model file with this SHA-256, took inputs with this digest and gave outputs with this digest.
// The statement can neither be taken back nor changed nor told differently to two parties that
// compare their heads (consistency proof). It does NOT prove that the model, run on the inputs,
// gives these outputs: whoever has file and inputs can run it again, and where that is not enough
// there is the zero-knowledge proof. It does not hide inputs that can be guessed either: a digest
// carries no salt, so that whoever has the inputs can check it.
//
// Signatures. One Ed25519 signature under the tree head covers all receipts of the tree; that is
// why receipts cost next to nothing. A receipt may be signed by itself too, on demand
// (SigningKey.sign over these very bytes), for whoever needs an answer before the next head.
//
// The bytes: 16 of ASCII "plinth.receipt/1", then eleven fields in this order, each as its length
// (2 bytes, big-endian) and so many bytes, and nothing after them:
//   keyId 16, workspace, deployment, modelVersion (UTF-8), modelDigest 32, time (8 bytes,
//   big-endian microseconds since 1970), rows (4 bytes, big-endian), inferenceId (UTF-8),
//   context (0 to 256), inputDigest 32, outputDigest 32.
// What is the same for all receipts of a version comes first: it is encoded once, and stored once.
// The leaf of the Merkle tree is SHA-256(0x00 || bytes). testing/check_receipt.py reads all of it.

import { HASH_BYTES } from "./merkle-tree.ts";

const MAGIC = new TextEncoder().encode("plinth.receipt/1");

/** A signing key's name: the first 16 bytes of the SHA-256 of the public key. */
export const KEY_ID_BYTES = 16;
export const CONTEXT_BYTES_MAX = 256;
/** Names and ids, in UTF-8. */
export const TEXT_BYTES_MAX = 1_024;
export const RECEIPT_BYTES_MAX = MAGIC.length + 11 * 2 + 4 * TEXT_BYTES_MAX + 512;

export const ROWS_MAX = 2 ** 32 - 1;

/** What is the same for every inference of one version under one key. */
export interface ReceiptSubject {
  /** Lower-case hex: the signing key in force when the receipt was made. See signing-key.ts. */
  readonly keyId: string;
  /** `workspaces/acme`. */
  readonly workspace: string;
  /** `workspaces/acme/deployments/churn`. */
  readonly deployment: string;
  /** `workspaces/acme/models/churn/versions/3`. */
  readonly modelVersion: string;
  /** SHA-256 of the ONNX file. */
  readonly modelDigest: Uint8Array;
}

/** What is said of one inference. */
export interface InferenceFacts {
  /** When the answer was ready, in microseconds since 1970. */
  readonly timeUs: number;
  /** Rows of the batch: the first dimension, or 1. */
  readonly rows: number;
  /** As in the reply. */
  readonly inferenceId: string;
  /** The caller's own, 0 to 256 bytes: a nonce, an order number. */
  readonly context: Uint8Array;
  /** See services/common/receipts/tensor-bytes.ts. */
  readonly inputDigest: Uint8Array;
  readonly outputDigest: Uint8Array;
}

export interface Receipt extends ReceiptSubject, InferenceFacts {}

/** A subject's part of the bytes, made once. */
export type ReceiptPrefix = Uint8Array & { readonly brand?: "ReceiptPrefix" };

/** What a receipt's bytes or fields say that no receipt may. The message says which field. */
export class MalformedReceipt extends Error {
  override readonly name = "MalformedReceipt";
}

const utf8 = new TextEncoder();
const utf8Strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes that the receipts of a subject begin with. @throws MalformedReceipt */
export function receiptPrefix(subject: ReceiptSubject): ReceiptPrefix {
  if (!/^[0-9a-f]{32}$/.test(subject.keyId)) {
    throw new MalformedReceipt("keyId: expected 32 lower-case hex digits");
  }
  if (subject.modelDigest.length !== HASH_BYTES) {
    throw new MalformedReceipt(`modelDigest: expected a SHA-256 of ${HASH_BYTES} bytes`);
  }
  const fields = [
    bytesOfHex(subject.keyId),
    textField("workspace", subject.workspace),
    textField("deployment", subject.deployment),
    textField("modelVersion", subject.modelVersion),
    subject.modelDigest,
  ];
  const length = fields.reduce((sum, field) => sum + 2 + field.length, MAGIC.length);
  const bytes = new Uint8Array(length);
  bytes.set(MAGIC);
  let offset = MAGIC.length;
  for (const field of fields) {
    bytes[offset] = field.length >>> 8;
    bytes[offset + 1] = field.length;
    bytes.set(field, offset + 2);
    offset += 2 + field.length;
  }
  return bytes;
}

/** The receipt that the bytes are; no other bytes are the same receipt. @throws MalformedReceipt */
export function decodeReceipt(bytes: Uint8Array): Receipt {
  const at = fieldOffsets(bytes);
  const field = (number: number) => bytes.slice(at[number]! + 2, at[number + 1]!);
  const text = (name: string, number: number) => textOf(name, field(number));
  const time = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at[5]! + 2);
  if (time > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new MalformedReceipt("time: past the year 2255");
  }
  return {
    keyId: Array.from(field(0), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    workspace: text("workspace", 1),
    deployment: text("deployment", 2),
    modelVersion: text("modelVersion", 3),
    modelDigest: field(4),
    timeUs: Number(time),
    rows: getUint32(bytes, at[6]! + 2),
    inferenceId: text("inferenceId", 7),
    context: field(8),
    inputDigest: field(9),
    outputDigest: field(10),
  };
}

/**
 * Where each of the eleven fields begins, and the end of the receipt. Checks the structure and the
 * lengths, not the texts: cheap enough for every receipt that is logged. @throws MalformedReceipt
 */
export function fieldOffsets(bytes: Uint8Array): readonly number[] {
  if (!MAGIC.every((byte, i) => bytes[i] === byte)) {
    throw new MalformedReceipt('version: a receipt begins with "plinth.receipt/1"');
  }
  const offsets: number[] = [];
  let offset = MAGIC.length;
  for (const [name, min, max] of FIELDS) {
    offsets.push(offset);
    const length = (bytes[offset]! << 8) | bytes[offset + 1]!;
    if (offset + 2 + length > bytes.length) {
      throw new MalformedReceipt(`${name}: the receipt ends within it`);
    }
    if (length < min || length > max) {
      throw new MalformedReceipt(`${name}: ${length} bytes, expected ${min} to ${max}`);
    }
    offset += 2 + length;
  }
  if (offset !== bytes.length) {
    throw new MalformedReceipt(`${bytes.length - offset} bytes follow the receipt`);
  }
  offsets.push(offset);
  return offsets;
}

/** Field, fewest and most bytes. */
const FIELDS: readonly (readonly [name: string, min: number, max: number])[] = [
  ["keyId", KEY_ID_BYTES, KEY_ID_BYTES],
  ["workspace", 1, TEXT_BYTES_MAX],
  ["deployment", 1, TEXT_BYTES_MAX],
  ["modelVersion", 1, TEXT_BYTES_MAX],
  ["modelDigest", HASH_BYTES, HASH_BYTES],
  ["time", 8, 8],
  ["rows", 4, 4],
  ["inferenceId", 1, TEXT_BYTES_MAX],
  ["context", 0, CONTEXT_BYTES_MAX],
  ["inputDigest", HASH_BYTES, HASH_BYTES],
  ["outputDigest", HASH_BYTES, HASH_BYTES],
];

function textField(name: string, text: string): Uint8Array {
  if (!text.isWellFormed()) {
    throw new MalformedReceipt(`${name}: holds half a surrogate pair`);
  }
  const bytes = utf8.encode(text);
  if (bytes.length < 1 || bytes.length > TEXT_BYTES_MAX) {
    throw new MalformedReceipt(`${name}: expected 1 to ${TEXT_BYTES_MAX} bytes of UTF-8`);
  }
  return bytes;
}

function textOf(name: string, bytes: Uint8Array): string {
  try {
    return utf8Strict.decode(bytes);
  } catch (cause) {
    throw new MalformedReceipt(`${name}: not UTF-8`, { cause });
  }
}

function bytesOfHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g)!, (pair) => Number.parseInt(pair, 16));
}

function getUint32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset);
}
