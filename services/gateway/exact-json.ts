// JSON without loss: integers beyond 2^53 come in as bigint and go out with all their digits. Node
// has the means since version 21 (the source text of a number, and raw JSON); TypeScript's types do
// not yet.

import type { DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { HttpFailure } from "./failure.ts";

interface ExactJson {
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
  rawJSON(text: string): unknown;
}

const exact = JSON as unknown as ExactJson;

/** A run of digits that may be an integer beyond 2^53. Most texts have none and need no reviver. */
const LONG_INTEGER = /(?<![\w.])\d{16,}(?![\d.eE])/;

/**
 * Parses a JSON text.
 * @throws HttpFailure 400 that says where the text stops being JSON.
 */
export function parseJson(text: string): unknown {
  try {
    return LONG_INTEGER.test(text) ? exact.parse(text, keepDigits) : JSON.parse(text);
  } catch (error) {
    const hint = /\b(NaN|-?Infinity)\b/.test(text)
      ? ' JSON has no NaN and no Infinity; send them as the strings "NaN", "Infinity", "-Infinity".'
      : "";
    const where = error instanceof SyntaxError ? error.message : "it is nested too deeply";
    throw new HttpFailure(400, `The body is not valid JSON: ${where}.${hint}`);
  }
}

/** JSON text of a value whose bigints are numbers. */
export function toJsonText(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === "bigint" ? exact.rawJSON(String(member)) : member,
  );
}

/**
 * A message as plain values under the field names of its proto, as Triton writes them: 64-bit
 * integers are numbers (bigint here), enums their names, unset fields their defaults, unset
 * messages left out.
 */
export function protocolForm(schema: DescMessage, message: Message): Record<string, unknown> {
  const values = message as unknown as Readonly<Record<string, unknown>>;
  const form: Record<string, unknown> = {};
  for (const field of schema.fields) {
    const value =
      field.oneof === undefined
        ? values[field.localName]
        : chosen(field, values[field.oneof.localName] as Choice);
    if (value !== undefined) {
      form[field.name] = fieldForm(field, value);
    }
  }
  return form;
}

interface Choice {
  readonly case: string | undefined;
  readonly value?: unknown;
}

function chosen(field: DescField, choice: Choice): unknown {
  return choice.case === field.localName ? choice.value : undefined;
}

function fieldForm(field: DescField, value: unknown): unknown {
  switch (field.fieldKind) {
    case "list":
      return (value as unknown[]).map((item) => elementForm(field, item));
    case "map":
      return Object.fromEntries(
        Object.entries(value as object).map(([key, item]) => [key, elementForm(field, item)]),
      );
    default:
      return elementForm(field, value);
  }
}

function elementForm(field: DescField, value: unknown): unknown {
  if (field.message !== undefined) {
    return protocolForm(field.message, value as Message);
  }
  if (field.enum !== undefined) {
    return field.enum.value[value as number]?.name ?? value;
  }
  return value instanceof Uint8Array ? base64Encode(value) : value;
}

function keepDigits(_key: string, value: unknown, context: { readonly source?: string }): unknown {
  const { source } = context;
  return typeof value === "number" &&
    !Number.isSafeInteger(value) &&
    source !== undefined &&
    /^-?\d+$/.test(source)
    ? BigInt(source)
    : value;
}
