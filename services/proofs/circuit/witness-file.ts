// The .wtns file: the values of all wires, for the prover. It holds the private inputs in clear and
// must not outlive the proof.

import type { Witness } from "./constraint-system.ts";
import {
  bytesOfWords,
  FIELD_ORDER_WORDS,
  FIELD_WORDS,
  readElement,
  wordsOfBytes,
  writeElement,
} from "./field-bytes.ts";

/** "wtns" as a word. */
const MAGIC = 0x736e7477;
const VERSION = 2;

/** Words before the first value: the file's own, and two sections with their heads. */
const HEAD_WORDS = 3 + 3 + (1 + FIELD_WORDS + 1) + 3;

/** The bytes of a witness. */
export function writeWitness(witness: Witness): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(HEAD_WORDS + FIELD_WORDS * witness.length);
  const valueBytes = 4 * FIELD_WORDS * witness.length;
  words.set([MAGIC, VERSION, 2, 1, 4 * (1 + FIELD_WORDS + 1), 0, 4 * FIELD_WORDS]);
  words.set(FIELD_ORDER_WORDS, 7);
  words.set([witness.length, 2, valueBytes, valueBytes / 0x1_0000_0000], 7 + FIELD_WORDS);
  for (let wire = 0, at = HEAD_WORDS; wire < witness.length; wire += 1, at += FIELD_WORDS) {
    writeElement(words, at, witness[wire]!);
  }
  return bytesOfWords(words);
}

/**
 * Reads a witness as writeWitness writes it (and as every tool of this kind does).
 *
 * @throws RangeError where the bytes are not such a file, whole.
 */
export function readWitness(bytes: Uint8Array): (number | bigint)[] {
  const words = wordsOfBytes(bytes);
  const count = words[7 + FIELD_WORDS] ?? 0;
  if (words[0] !== MAGIC || words[1] !== VERSION || words[3] !== 1 || words[6] !== 32) {
    throw new RangeError("this is no .wtns file of version 2");
  }
  if (FIELD_ORDER_WORDS.some((word, i) => words[7 + i] !== word)) {
    throw new RangeError("the .wtns file is of another field than BN254's");
  }
  if (words.length !== HEAD_WORDS + FIELD_WORDS * count || bytes.length !== 4 * words.length) {
    throw new RangeError("the .wtns file is cut off or too long");
  }
  return Array.from({ length: count }, (_, i) => readElement(words, HEAD_WORDS + FIELD_WORDS * i));
}
