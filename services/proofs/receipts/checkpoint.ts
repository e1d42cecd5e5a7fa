// A signed tree head as text: a checkpoint (C2SP tlog-checkpoint) in a signed note (C2SP
// signed-note), the format that transparency logs and their witnesses speak:
//
//   plinth.example.com/workspaces/acme          origin: which log
//   20852163                                    size
//   CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=  root
//   time 1763641234567890                       extension line of ours: microseconds since 1970
//   (empty line)
//   — plinth.example.com/workspaces/acme Az3grl...  Ed25519, by the log's key; witnesses may follow
//
// Pure. Reading is strict: a text that is not exactly what would be written is none.

import { HASH_BYTES, type Sha256 } from "./merkle-tree.ts";

export interface TreeHead {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly timeUs: number;
}

/** One line under a note: by whom it says it is, and 4 bytes that tell that name's keys apart. */
export interface NoteSignature {
  readonly name: string;
  readonly keyHash: Uint8Array;
  readonly signature: Uint8Array;
}

export interface Checkpoint extends TreeHead {
  /** The text that is signed, as UTF-8. */
  readonly body: Uint8Array;
  readonly signatures: readonly NoteSignature[];
}

/** Why a text is no checkpoint. */
export class MalformedCheckpoint extends Error {
  override readonly name = "MalformedCheckpoint";
}

/** The byte that C2SP signed-note assigns to Ed25519. */
const ED25519 = 0x01;
const KEY_HASH_BYTES = 4;
/** The specification asks for 16 at least. */
const SIGNATURES_MAX = 64;
/** Room for those signatures, post-quantum ones too. */
export const CHECKPOINT_CHARS_MAX = 65_536;
const ORIGIN_CHARS_MAX = 1_024;

const utf8 = new TextEncoder();

/** The text of a tree head, which is to be signed. @throws MalformedCheckpoint */
export function checkpointBody({ origin, size, root, timeUs }: TreeHead): string {
  if (!isKeyName(origin)) {
    throw new MalformedCheckpoint("The origin has a space, a plus or a control character, or none");
  }
  if (![size, timeUs].every((count) => Number.isSafeInteger(count) && count >= 0)) {
    throw new MalformedCheckpoint("Size and time are whole numbers from 0 to 2^53 - 1");
  }
  if (root.length !== HASH_BYTES) {
    throw new MalformedCheckpoint(`The root has ${root.length} bytes, expected ${HASH_BYTES}`);
  }
  return `${origin}\n${size}\n${toBase64(root)}\ntime ${timeUs}\n`;
}

/** A body with its signatures. */
export function signedNote(body: string, signatures: readonly NoteSignature[]): string {
  return `${body}\n${signatures.map(signatureLine).join("")}`;
}

/** The 4 bytes that stand before a signature. */
export function noteKeyHash(name: string, publicKey: Uint8Array, sha256: Sha256): Uint8Array {
  const start = utf8.encode(`${name}\n`);
  const bytes = new Uint8Array(start.length + 1 + publicKey.length);
  bytes.set(start);
  bytes[start.length] = ED25519;
  bytes.set(publicKey, start.length + 1);
  return sha256(bytes).slice(0, KEY_HASH_BYTES);
}

/** A log's public key as other tools take it: `<origin>+<key hash>+<type and key>`. */
export function verifierKey(name: string, publicKey: Uint8Array, sha256: Sha256): string {
  const hash = Array.from(noteKeyHash(name, publicKey, sha256), (byte) => {
    return byte.toString(16).padStart(2, "0");
  }).join("");
  return `${name}+${hash}+${toBase64(Uint8Array.of(ED25519, ...publicKey))}`;
}

/** What a checkpoint says; whether it is signed by whom one trusts is for the caller to check. */
export function parseCheckpoint(text: string): Checkpoint {
  if (text.length > CHECKPOINT_CHARS_MAX) {
    throw new MalformedCheckpoint(`A checkpoint has at most ${CHECKPOINT_CHARS_MAX} characters`);
  }
  const end = text.indexOf("\n\n");
  if (end < 0 || !text.endsWith("\n") || !text.isWellFormed()) {
    throw new MalformedCheckpoint("A checkpoint has an empty line between its text and signatures");
  }
  const head = parseBody(text.slice(0, end));
  const lines = text.slice(end + 2, -1).split("\n");
  if (lines.length > SIGNATURES_MAX) {
    throw new MalformedCheckpoint(`A checkpoint has at most ${SIGNATURES_MAX} signatures`);
  }
  const signatures = lines.map(parseSignature);
  return { ...head, body: utf8.encode(text.slice(0, end + 1)), signatures };
}

/** A whole number as the formats here write it, or undefined. */
export function parseCount(text: string): number | undefined {
  const count = /^(0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(count) ? count : undefined;
}

/** Base64 of RFC 4648, section 4. */
export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) {
    binary += String.fromCharCode(byte);
  }
  return btoa(binary);
}

/** The way back; undefined for a text that is not exactly what `toBase64` writes. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) {
    return undefined;
  }
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return toBase64(bytes) === text ? bytes : undefined;
}

function parseBody(text: string): TreeHead {
  const [origin = "", size = "", root = "", time = "", ...more] = text.split("\n");
  const sizeCount = parseCount(size);
  const rootBytes = fromBase64(root);
  const timeUs = time.startsWith("time ") ? parseCount(time.slice("time ".length)) : undefined;
  if (!isKeyName(origin)) {
    throw new MalformedCheckpoint("The first line is no origin: a name without spaces and plus");
  }
  if (sizeCount === undefined) {
    throw new MalformedCheckpoint("The second line is no tree size: a decimal number");
  }
  if (rootBytes?.length !== HASH_BYTES) {
    throw new MalformedCheckpoint("The third line is no root hash: 32 bytes in Base64");
  }
  if (timeUs === undefined || more.length > 0) {
    throw new MalformedCheckpoint('One line "time <microseconds>" follows the root hash');
  }
  return { origin, size: sizeCount, root: rootBytes, timeUs };
}

function parseSignature(line: string): NoteSignature {
  const [dash, name = "", encoded = "", ...more] = line.split(" ");
  const bytes = fromBase64(encoded);
  const isLine = dash === "—" && isKeyName(name) && more.length === 0;
  if (!isLine || bytes === undefined || bytes.length <= KEY_HASH_BYTES) {
    throw new MalformedCheckpoint("A line under the checkpoint is no signature of a note");
  }
  return { name, keyHash: bytes.slice(0, KEY_HASH_BYTES), signature: bytes.slice(KEY_HASH_BYTES) };
}

function signatureLine({ name, keyHash, signature }: NoteSignature): string {
  return `— ${name} ${toBase64(Uint8Array.of(...keyHash, ...signature))}\n`;
}

function isKeyName(name: string): boolean {
  return name.length > 0 && name.length <= ORIGIN_CHARS_MAX && !/[\s+\p{Cc}]/u.test(name);
}
