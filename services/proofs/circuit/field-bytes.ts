// Elements of the field as the 32 bytes, lowest first, that the files of circuits and witnesses
// hold. The files are written as words of 32 bits: all their parts are whole words.

import { endianness } from "node:os";
import { FIELD_ORDER, fromField, toField } from "../field.ts";

/** Words of an element. */
export const FIELD_WORDS = 8;

const WORD_MASK = 0xffffffffn;

/** The words of p itself, the lowest first. */
export const FIELD_ORDER_WORDS = wordsOf(FIELD_ORDER);

/** Writes the element that a whole number stands for at a word. */
export function writeElement(words: Uint32Array, at: number, value: number | bigint): void {
  if (typeof value === "number" && value >= 0) {
    words[at] = value;
    words[at + 1] = value / 0x1_0000_0000;
    words.fill(0, at + 2, at + FIELD_WORDS);
    return;
  }
  words.set(wordsOf(toField(BigInt(value))), at);
}

/**
 * Reads the element at a word as the whole number nearest to 0; a safe integer as a number.
 *
 * @throws RangeError where it is p or more.
 */
export function readElement(words: Uint32Array, at: number): number | bigint {
  let large = false;
  for (let i = 2; i < FIELD_WORDS && !large; i += 1) large = words[at + i] !== 0;
  if (!large && words[at + 1]! < 0x20_0000) return words[at + 1]! * 0x1_0000_0000 + words[at]!;
  let value = 0n;
  for (let i = FIELD_WORDS - 1; i >= 0; i -= 1) value = (value << 32n) | BigInt(words[at + i]!);
  if (value >= FIELD_ORDER) throw new RangeError(`${value} is no element of the field`);
  const nearest = fromField(value);
  const small = Number(nearest);
  return Number.isSafeInteger(small) ? small : nearest;
}

/** The words as bytes, the lowest of each first on every machine. */
export function bytesOfWords(words: Uint32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  if (endianness() === "BE") Buffer.from(bytes.buffer).swap32();
  return bytes;
}

/** The words of a file of whole words; a copy where the bytes do not lie at a word. */
export function wordsOfBytes(bytes: Uint8Array): Uint32Array {
  const copy = bytes.byteOffset % 4 !== 0 || endianness() === "BE";
  const from = copy ? bytes.slice() : bytes;
  if (endianness() === "BE") Buffer.from(from.buffer).swap32();
  return new Uint32Array(from.buffer, from.byteOffset, Math.floor(from.byteLength / 4));
}

function wordsOf(element: bigint): Uint32Array {
  const words = new Uint32Array(FIELD_WORDS);
  let rest = element;
  for (let i = 0; i < FIELD_WORDS; i += 1, rest >>= 32n) words[i] = Number(rest & WORD_MASK);
  return words;
}
