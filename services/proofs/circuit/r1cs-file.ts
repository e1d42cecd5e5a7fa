// The .r1cs file: what the set-up and every other tool of this kind reads a circuit from. Its bytes
// depend on the circuit alone, so their hash names it.

import type { ConstraintMatrix, ConstraintSystem } from "./constraint-system.ts";
import {
  bytesOfWords,
  FIELD_ORDER_WORDS,
  FIELD_WORDS,
  readElement,
  wordsOfBytes,
  writeElement,
} from "./field-bytes.ts";
import { CoefficientList } from "./matrix-builder.ts";

/** "r1cs" as a word. */
const MAGIC = 0x73633172;
const VERSION = 1;
const HEADER = 1;
const CONSTRAINTS = 2;
const LABELS = 3;

/** Words of a section's type and length. */
const SECTION_WORDS = 3;
const HEADER_WORDS = 1 + FIELD_WORDS + 7;

/** Words of one entry: a wire and its coefficient. */
const ENTRY_WORDS = 1 + FIELD_WORDS;

/** The bytes of a circuit. */
export function writeR1cs(system: ConstraintSystem): Uint8Array<ArrayBuffer> {
  const matrices = [system.a, system.b, system.c];
  const entries = matrices.reduce((total, matrix) => total + matrix.wires.length, 0);
  const constraintWords = 3 * system.constraintCount + ENTRY_WORDS * entries;
  const size = 3 + 3 * SECTION_WORDS + HEADER_WORDS + constraintWords + 2 * system.wires;
  const words = new Uint32Array(size);
  let at = 0;
  const put = (...values: readonly number[]): void => {
    for (const value of values) words[at++] = value;
  };
  const section = (type: number, length: number): void => put(type, ...long(4 * length));
  put(MAGIC, VERSION, 3);
  section(HEADER, HEADER_WORDS);
  put(4 * FIELD_WORDS, ...FIELD_ORDER_WORDS);
  put(system.wires, system.outputs, system.publicInputs, system.privateInputs);
  put(...long(system.wires), system.constraintCount);
  section(CONSTRAINTS, constraintWords);
  at = writeRows(words, at, system);
  section(LABELS, 2 * system.wires);
  for (let wire = 0; wire < system.wires; wire += 1) put(wire, 0);
  return bytesOfWords(words);
}

/**
 * Reads a circuit.
 *
 * @throws RangeError where the bytes are not such a file, of this field, whole and in order.
 */
export function readR1cs(bytes: Uint8Array): ConstraintSystem {
  const words = wordsOfBytes(bytes);
  if (words[0] !== MAGIC || words[1] !== VERSION) {
    throw new RangeError("this is no .r1cs file of version 1");
  }
  const sections = sectionsOf(words);
  const header = sections.get(HEADER);
  const rows = sections.get(CONSTRAINTS);
  if (!header || !rows || header.length !== HEADER_WORDS) {
    throw new RangeError("the .r1cs file lacks its header or its constraints");
  }
  if (
    header[0] !== 4 * FIELD_WORDS ||
    FIELD_ORDER_WORDS.some((word, i) => header[1 + i] !== word)
  ) {
    throw new RangeError("the .r1cs file is of another field than BN254's");
  }
  const [wires, outputs, publicInputs, privateInputs] = header.subarray(1 + FIELD_WORDS);
  const given = { wires: wires!, outputs: outputs!, publicInputs: publicInputs! };
  if (1 + outputs! + publicInputs! + privateInputs! > wires!) {
    throw new RangeError("the .r1cs file has fewer wires than inputs and outputs");
  }
  const constraintCount = header[HEADER_WORDS - 1]!;
  return { ...given, privateInputs: privateInputs!, ...readRows(rows, constraintCount, wires!) };
}

function writeRows(words: Uint32Array, start: number, system: ConstraintSystem): number {
  const encoded = new Uint32Array(FIELD_WORDS * system.coefficients.length);
  system.coefficients.forEach((value, i) => {
    writeElement(encoded, FIELD_WORDS * i, value);
  });
  const matrices = [system.a, system.b, system.c];
  let at = start;
  for (let row = 0; row < system.constraintCount; row += 1) {
    for (const { rowStart, wires, coefficients } of matrices) {
      const end = rowStart[row + 1]!;
      words[at++] = end - rowStart[row]!;
      for (let entry = rowStart[row]!; entry < end; entry += 1) {
        words[at++] = wires[entry]!;
        const from = FIELD_WORDS * coefficients[entry]!;
        for (let i = 0; i < FIELD_WORDS; i += 1) words[at++] = encoded[from + i]!;
      }
    }
  }
  return at;
}

function readRows(
  words: Uint32Array,
  constraintCount: number,
  wireCount: number,
): Pick<ConstraintSystem, "constraintCount" | "a" | "b" | "c" | "coefficients"> {
  if (3 * constraintCount > words.length) throw new RangeError("the .r1cs file is cut off");
  const list = new CoefficientList();
  const parts = [0, 1, 2].map(() => ({
    rowStart: new Int32Array(constraintCount + 1),
    wires: [] as number[],
    coefficients: [] as number[],
  }));
  let at = 0;
  for (let row = 0; row < constraintCount; row += 1) {
    for (const part of parts) {
      const count = words[at++]!;
      if (at + ENTRY_WORDS * count > words.length || Number.isNaN(count)) {
        throw new RangeError("the .r1cs file is cut off");
      }
      for (let entry = 0, before = -1; entry < count; entry += 1, at += ENTRY_WORDS) {
        const wire = words[at]!;
        const value = readElement(words, at + 1);
        if (wire <= before || wire >= wireCount || value === 0) {
          throw new RangeError(`constraint ${row} of the .r1cs file is not in order`);
        }
        part.wires.push(wire);
        part.coefficients.push(list.indexOf(value));
        before = wire;
      }
      part.rowStart[row + 1] = part.wires.length;
    }
  }
  const [a, b, c] = parts.map(
    (part): ConstraintMatrix => ({
      rowStart: part.rowStart,
      wires: Int32Array.from(part.wires),
      coefficients: Int32Array.from(part.coefficients),
    }),
  );
  return { constraintCount, a: a!, b: b!, c: c!, coefficients: list.values() };
}

function sectionsOf(words: Uint32Array): ReadonlyMap<number, Uint32Array> {
  const sections = new Map<number, Uint32Array>();
  let at = 3;
  for (let i = 0; i < Math.min(words[2] ?? 0, 16); i += 1) {
    const length = (words[at + 1]! + 0x1_0000_0000 * words[at + 2]!) / 4;
    const from = at + SECTION_WORDS;
    if (!Number.isInteger(length) || from + length > words.length) {
      throw new RangeError("the .r1cs file is cut off");
    }
    sections.set(words[at]!, words.subarray(from, from + length));
    at = from + length;
  }
  return sections;
}

function long(value: number): readonly [number, number] {
  return [value % 0x1_0000_0000, Math.floor(value / 0x1_0000_0000)];
}
