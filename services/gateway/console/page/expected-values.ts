// What an auditor expects of a proof, as it is typed into the page: hashes in hexadecimal, and the
// context as the bytes that were asked with.

import { FIELD_BYTES } from "../../../proofs/field.ts";

/** One byte less than an element of the field has. */
const CONTEXT_BYTES_MAX = FIELD_BYTES - 1;

/** What can be expected. */
export const EXPECTATIONS = [
  "modelCommitment",
  "vkHash",
  "schemaHash",
  "circuitHash",
  "context",
] as const;

export type Expectation = (typeof EXPECTATIONS)[number];

/** What must hold beside that the proof verifies; absent: shown and not compared. */
export interface Expected {
  /** Lower-case hex SHA-256, as the others but the context. */
  readonly modelCommitment?: string;
  readonly vkHash?: string;
  readonly schemaHash?: string;
  readonly circuitHash?: string;
  readonly context?: bigint;
}

/** As typed; empty: not expected. */
export type Typed = Readonly<Record<Expectation, string>>;

/** Values that can be compared; what is wrong with each of the others. */
export interface ReadExpected {
  readonly expected: Expected;
  readonly faults: Readonly<Partial<Record<Expectation, string>>>;
}

/** Reads what was typed. Blanks and a leading 0x do not matter, nor do capitals. */
export function readExpected(typed: Typed): ReadExpected {
  const expected: Record<string, string | bigint> = {};
  const faults: Partial<Record<Expectation, string>> = {};
  for (const name of EXPECTATIONS) {
    const digits = typed[name].replace(/\s/g, "").toLowerCase().replace(/^0x/, "");
    if (typed[name].trim() === "") continue;
    const fault = name === "context" ? contextFault(digits) : hashFault(digits);
    if (fault !== undefined) {
      faults[name] = fault;
    } else {
      expected[name] = name === "context" ? BigInt(`0x${digits}`) : digits;
    }
  }
  return { expected, faults };
}

/** A number as the bytes of a context, in hexadecimal. */
export function contextText(context: bigint): string {
  if (context === 0n) return "0 (none)";
  const hex = context.toString(16);
  return hex.length % 2 === 0 ? hex : `0${hex}`;
}

function hashFault(digits: string): string | undefined {
  if (/^[0-9a-f]{64}$/.test(digits)) return undefined;
  return /^[0-9a-f]+$/.test(digits)
    ? `A hash has 64 hexadecimal digits; these are ${digits.length}.`
    : "A hash has 64 hexadecimal digits: 0 to 9 and a to f.";
}

function contextFault(digits: string): string | undefined {
  if (!/^(?:[0-9a-f]{2})+$/.test(digits)) {
    return "A context is bytes as hexadecimal digits, two each: 0a1b2c.";
  }
  return digits.length > 2 * CONTEXT_BYTES_MAX
    ? `A context has at most ${CONTEXT_BYTES_MAX} bytes; these are ${digits.length / 2}.`
    : undefined;
}
