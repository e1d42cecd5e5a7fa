// The text of an API key: `plk_<id>_<secret><checksum>`. The prefix lets secret scanners and our
// own log find a leaked key, the id finds the record without a search, and the checksum lets a
// mistyped or truncated key be refused without asking the store.

import { hash, randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** 256 random bits; 43 digits of base 62 hold them. */
const SECRET_BYTES = 32;
const SECRET_DIGITS = 43;

/** 62^6 is above 2^32. */
const CHECKSUM_DIGITS = 6;

/** 36^9 milliseconds reach past the year 5000. */
const TIME_DIGITS = 9;
const RANDOM_DIGITS = 7;

const KEY = /^plk_([0-9a-z]{16})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/;

/** A key id; ids sort by the time they were made, to the millisecond. */
export function newKeyId(nowMs: number): string {
  const time = nowMs.toString(36).padStart(TIME_DIGITS, "0");
  const random = BigInt(`0x${randomBytes(8).toString("hex")}`).toString(36);
  return time + random.padStart(RANDOM_DIGITS, "0").slice(-RANDOM_DIGITS);
}

/** The secret of a new key with this id. */
export function newKeySecret(id: string): string {
  const secret = base62(BigInt(`0x${randomBytes(SECRET_BYTES).toString("hex")}`), SECRET_DIGITS);
  const body = `plk_${id}_${secret}`;
  return body + checksum(body);
}

/** The id in a well-formed secret, or undefined when it cannot be one that we made. */
export function keyIdOf(secret: string): string | undefined {
  const id = KEY.exec(secret)?.[1];
  const body = secret.slice(0, -CHECKSUM_DIGITS);
  return id !== undefined && secret.endsWith(checksum(body)) ? id : undefined;
}

/**
 * What is kept of a secret. Plain SHA-256 and not a slow password hash: the secret holds 256 random
 * bits, so there is nothing to guess that slowness would protect, and it is checked on every call.
 */
export function secretHash(secret: string): string {
  return hash("sha256", secret, "hex");
}

function checksum(body: string): string {
  return base62(BigInt(crc32(body)), CHECKSUM_DIGITS);
}

function base62(value: bigint, digits: number): string {
  let rest = value;
  let text = "";
  for (let index = 0; index < digits; index += 1) {
    text = DIGITS[Number(rest % 62n)] + text;
    rest /= 62n;
  }
  return text;
}
