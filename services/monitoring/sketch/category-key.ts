// How a category is kept: its text, or where that is long, its beginning and a digest of all of it.
// And its hash, by which samples are drawn and different categories are estimated.

import { hash } from "node:crypto";

/** In UTF-16 units; longer categories are cut. */
const TEXT_MAX = 64;
const PREFIX = 47;
/** Hexadecimal digits of SHA-256. */
const DIGEST = 16;
/** 47 units of up to three bytes each, a three-byte ellipsis and the digest; and 64 units uncut. */
export const CATEGORY_BYTES_MAX = TEXT_MAX * 3;

const KEY_LENGTH = PREFIX + 1 + DIGEST;

/**
 * The text itself where it is short and well-formed; a half of a surrogate pair becomes U+FFFD,
 * as in
 * any UTF-8. A cut text has the length of the bound and is cut again should it come as a text, so
 * that no client can send one that passes for another.
 */
export function categoryKey(text: string): string {
  if (text.length < KEY_LENGTH) {
    return text.isWellFormed() ? text : text.toWellFormed();
  }
  const digest = hash("sha256", text, "hex").slice(0, DIGEST);
  return `${text.slice(0, PREFIX).toWellFormed()}…${digest}`;
}

/** Whether this is what categoryKey returns for some text; for reading kept ones. */
export function isCategoryKey(text: string): boolean {
  const cut = text.length === KEY_LENGTH && text[PREFIX] === "…";
  return text.isWellFormed() && (text.length < KEY_LENGTH || cut);
}

/** A copy that shares no memory with the (possibly very long) text it was cut from. */
export function detached(key: string): string {
  return Buffer.from(key, "utf8").toString("utf8");
}

/**
 * 53 evenly spread bits of the text, the same on every machine: two lanes of multiply and rotate
 * as in
 * MurmurHash3 over the UTF-16 units. Not a secret: a client can choose texts with small hashes,
 * which
 * gains it places in a sample and nothing else.
 */
export function categoryHash(key: string): number {
  let a = 0x9747b28c ^ key.length;
  let b = 0x5bd1e995;
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i);
    a = Math.imul(a ^ unit, 0xcc9e2d51);
    a = (a << 15) | (a >>> 17);
    b = Math.imul(b ^ unit, 0x1b873593);
    b = (b << 13) | (b >>> 19);
  }
  a = finished(a ^ b);
  b = finished(b ^ a);
  return (a >>> 11) * 2 ** 32 + b;
}

function finished(lane: number): number {
  let mixed = lane ^ (lane >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
