// The Ed25519 keys of the receipt logs: made, kept in a folder of the data folder, rotated. One key
// signs the heads of all workspaces' logs; the log's name in the checkpoint keeps them apart.
//
// The folder: `<key id>.pem` (the private key, PKCS #8, mode 0600), `<key id>.json` (the public
// key, for good) and `current` (the key id that signs). Each file is written whole or not at all,
// and `current` last, so that a crash leaves at most a key that nobody uses. A rotation removes the
// private key that it retires: what was signed stays checkable, and nothing more can be signed.
// Replicas share the folder (a mounted secret); a server that runs goes on with the key that it
// has until it reloads.

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { DataLoss, FailedPrecondition } from "../../common/errors/domain-error.ts";
import { sha256 } from "../../common/receipts/sha256.ts";
import {
  type Checkpoint,
  checkpointBody,
  noteKeyHash,
  signedNote,
  type TreeHead,
} from "./checkpoint.ts";
import { equalBytes } from "./merkle-tree.ts";
import { KEY_ID_BYTES } from "./receipt.ts";

/** A key's public half. */
export interface PublicKeyRecord {
  /** Lower-case hex: the first 16 bytes of the SHA-256 of the public key. */
  readonly keyId: string;
  /** 32 bytes, as RFC 8032 encodes them. */
  readonly publicKey: Uint8Array;
  readonly createTime: Date;
}

/** A key that signs. */
export interface SigningKey extends PublicKeyRecord {
  /** The signature of some bytes: 64 bytes. Of a receipt, its bytes as they are. */
  sign(bytes: Uint8Array): Uint8Array;
  /** The checkpoint of a tree head. */
  signTreeHead(head: TreeHead): string;
}

const CURRENT = "current";
const KEY_ID = /^[0-9a-f]{32}$/;
/** PEM of an Ed25519 key has about 120. */
const KEY_FILE_BYTES_MAX = 4_096;

/** The keys in a folder. It holds nothing open. */
export class SigningKeys {
  readonly #folder: string;
  #current: SigningKey;
  #publicKeys: readonly PublicKeyRecord[];

  private constructor(folder: string, current: SigningKey, publicKeys: PublicKeyRecord[]) {
    this.#folder = folder;
    this.#current = current;
    this.#publicKeys = publicKeys;
  }

  /**
   * Opens the folder, making it and the first key where missing; of several processes that do so at
   * once, one makes the key.
   * @throws FailedPrecondition (STATE_FORBIDS) when others may read a private key; DataLoss when
   *   the files contradict each other.
   */
  static async open(folder: string): Promise<SigningKeys> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if ((await readCurrent(folder)) === undefined) {
      const { keyId } = await writeKey(folder);
      const pointer = await writePointer(folder, keyId);
      // Only one link succeeds; a key that lost is removed again, it never signed anything.
      await link(pointer, join(folder, CURRENT)).catch(ignoring("EEXIST"));
      await rm(pointer, { force: true });
      await syncFolder(folder);
      if ((await readCurrent(folder)) !== keyId) {
        await rm(join(folder, `${keyId}.pem`), { force: true });
        await rm(join(folder, `${keyId}.json`), { force: true });
      }
    }
    const { current, publicKeys } = await readKeys(folder);
    return new SigningKeys(folder, current, publicKeys);
  }

  /** The key that signs. */
  get current(): SigningKey {
    return this.#current;
  }

  /** Every key that ever signed, the oldest first. */
  get publicKeys(): readonly PublicKeyRecord[] {
    return this.#publicKeys;
  }

  /** Makes a new key the current one and destroys the private half of the former. */
  async rotate(): Promise<SigningKey> {
    const former = this.#current.keyId;
    const { keyId } = await writeKey(this.#folder);
    await rename(await writePointer(this.#folder, keyId), join(this.#folder, CURRENT));
    await syncFolder(this.#folder);
    await rm(join(this.#folder, `${former}.pem`), { force: true });
    await this.reload();
    return this.#current;
  }

  /** Takes over what another process made of the folder. */
  async reload(): Promise<void> {
    const { current, publicKeys } = await readKeys(this.#folder);
    this.#current = current;
    this.#publicKeys = publicKeys;
  }

  /** Whether one of these keys signed a checkpoint; looks for new keys where none did. */
  async hasSigned(checkpoint: Checkpoint): Promise<boolean> {
    if (this.#hasSigned(checkpoint)) return true;
    await this.reload();
    return this.#hasSigned(checkpoint);
  }

  #hasSigned({ origin, body, signatures }: Checkpoint): boolean {
    return this.#publicKeys.some(({ publicKey }) => {
      const keyHash = noteKeyHash(origin, publicKey, sha256);
      return signatures.some((line) => {
        const isOurs = line.name === origin && equalBytes(line.keyHash, keyHash);
        return isOurs && verify(null, body, publicKeyObject(publicKey), line.signature);
      });
    });
  }
}

/** The key id of a public key of 32 bytes. */
export function keyIdOf(publicKey: Uint8Array): string {
  return Buffer.from(sha256(publicKey)).toString("hex", 0, KEY_ID_BYTES);
}

function signingKey(record: PublicKeyRecord, privateKey: KeyObject): SigningKey {
  const { publicKey } = record;
  return {
    ...record,
    sign: (bytes) => sign(null, bytes, privateKey),
    signTreeHead(head) {
      const body = checkpointBody(head);
      const signature = sign(null, Buffer.from(body), privateKey);
      const keyHash = noteKeyHash(head.origin, publicKey, sha256);
      return signedNote(body, [{ name: head.origin, keyHash, signature }]);
    },
  };
}

async function readKeys(
  folder: string,
): Promise<{ readonly current: SigningKey; readonly publicKeys: PublicKeyRecord[] }> {
  const publicKeys: PublicKeyRecord[] = [];
  for (const name of await readdir(folder)) {
    const [keyId = "", kind] = name.split(".");
    if (kind === "json" && KEY_ID.test(keyId)) {
      // A key that lost the race to be the first is removed again, perhaps just now.
      const text = await readFile(join(folder, name), "utf8").catch(ignoring("ENOENT"));
      if (text !== undefined) publicKeys.push(readRecord(keyId, text));
    }
  }
  publicKeys.sort((one, other) => {
    const age = one.createTime.getTime() - other.createTime.getTime();
    return age === 0 ? (one.keyId < other.keyId ? -1 : 1) : age;
  });
  const keyId = await readCurrent(folder);
  const record = publicKeys.find((one) => one.keyId === keyId);
  if (record === undefined) {
    throw contradiction("the current key has no public half");
  }
  const privateKey = await readPrivateKey(join(folder, `${keyId}.pem`));
  if (!equalBytes(rawPublicKey(createPublicKey(privateKey)), record.publicKey)) {
    throw contradiction("the current key's halves do not belong together");
  }
  return { current: signingKey(record, privateKey), publicKeys };
}

function readRecord(keyId: string, text: string): PublicKeyRecord {
  let record: { readonly publicKey?: unknown; readonly createTime?: unknown };
  try {
    record = JSON.parse(text);
  } catch (cause) {
    throw contradiction(`the public key ${keyId} is not JSON`, cause);
  }
  const publicKey = Buffer.from(String(record.publicKey), "base64");
  const createTime = new Date(String(record.createTime));
  if (publicKey.length !== 32 || keyIdOf(publicKey) !== keyId || Number.isNaN(+createTime)) {
    throw contradiction(`the public key ${keyId} is another`);
  }
  return { keyId, publicKey: Uint8Array.from(publicKey), createTime };
}

async function readPrivateKey(path: string): Promise<KeyObject> {
  const { mode, size } = await stat(path).catch((cause: unknown) => {
    throw contradiction("the current key has no private half", cause);
  });
  // Windows has no such modes: everything looks open there.
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw new FailedPrecondition(
      "Others may read the private key of the receipt logs. Give its file the mode 0600, and " +
        "rotate the key if somebody may have read it.",
      { reason: ErrorReason.STATE_FORBIDS },
    );
  }
  if (size > KEY_FILE_BYTES_MAX) throw contradiction("the private key is no key");
  try {
    const key = createPrivateKey(await readFile(path));
    if (key.asymmetricKeyType === "ed25519") return key;
  } catch (cause) {
    throw contradiction("the private key cannot be read", cause);
  }
  throw contradiction("the private key is not an Ed25519 key");
}

/** Writes both halves of a new key; it is not used before `current` names it. */
async function writeKey(folder: string): Promise<{ readonly keyId: string }> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = rawPublicKey(publicKey);
  const keyId = keyIdOf(raw);
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  await writeNew(join(folder, `${keyId}.pem`), String(pem));
  const record = { keyId, publicKey: Buffer.from(raw).toString("base64"), createTime: new Date() };
  const part = join(folder, `${keyId}.part`);
  await writeNew(part, `${JSON.stringify(record, undefined, 2)}\n`);
  await rename(part, join(folder, `${keyId}.json`));
  await syncFolder(folder);
  return { keyId };
}

async function writePointer(folder: string, keyId: string): Promise<string> {
  const path = join(folder, `${CURRENT}.${keyId}`);
  await writeNew(path, `${keyId}\n`);
  return path;
}

async function readCurrent(folder: string): Promise<string | undefined> {
  const text = await readFile(join(folder, CURRENT), "utf8").catch(ignoring("ENOENT"));
  return text?.trim();
}

async function writeNew(path: string, text: string): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(text);
  await file.sync();
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot sync a folder.
  if (process.platform !== "win32") {
    await using handle = await open(folder, "r");
    await handle.sync();
  }
}

function rawPublicKey(key: KeyObject): Uint8Array {
  return Uint8Array.from(Buffer.from(key.export({ format: "jwk" }).x!, "base64url"));
}

function publicKeyObject(publicKey: Uint8Array): KeyObject {
  const x = Buffer.from(publicKey).toString("base64url");
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
}

function ignoring(code: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code !== code) throw error;
    return undefined;
  };
}

function contradiction(what: string, cause?: unknown): DataLoss {
  return new DataLoss(
    `The keys of the receipt logs cannot be used: ${what}. Restore their folder from a backup.`,
    { reason: ErrorReason.DIGEST_MISMATCH, cause },
  );
}
