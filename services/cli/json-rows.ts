// Rows from NDJSON (one object a line, any length of file) and from JSON (one document, held
// whole).

import type { JsonObject } from "@bufbuild/protobuf";
import { CommandError, ExitCode } from "./exit-codes.ts";
import type { Bytes, SourceRow } from "./row-source.ts";

/**
 * A line longer than this is no row: without a limit a file without line breaks would fill memory.
 */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** A JSON document is parsed as a whole, so its size is bounded; NDJSON has no limit. */
const DOCUMENT_BYTES_MAX = 64 * 1024 * 1024;

/** Digits enough to leave the integers that a JSON number can carry. */
const LONG_NUMBER = /\d{16}/;

const NEWLINE = 0x0a;

/** One row a line; blank lines are passed over. */
export async function* ndjsonRows(bytes: Bytes): AsyncGenerator<SourceRow> {
  let ordinal = 0;
  for await (const { text, line } of lines(bytes)) {
    if (text === undefined) {
      ordinal += 1;
      yield { ordinal, line, fault: `longer than ${LINE_BYTES_MAX} bytes` };
      continue;
    }
    const clean = line === 1 ? text.replace(/^\ufeff/, "") : text;
    if (clean.trim() === "") {
      continue;
    }
    ordinal += 1;
    yield { ...parsed(clean), ordinal, line };
  }
}

/** The objects of an array, or of the `rows` of an object. */
export async function* jsonRows(bytes: Bytes): AsyncGenerator<SourceRow> {
  const document = parseJson(await whole(bytes));
  const rows: unknown = Array.isArray(document)
    ? document
    : (document as { rows?: unknown } | null)?.rows;
  if (!Array.isArray(rows)) {
    throw malformed('The JSON input is neither an array of objects nor {"rows": [...]}.');
  }
  for (const [index, row] of rows.entries()) {
    yield { ...checked(row), ordinal: index + 1 };
  }
}

async function whole(bytes: Bytes): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > DOCUMENT_BYTES_MAX) {
      throw malformed(
        `The JSON input is larger than ${DOCUMENT_BYTES_MAX / 1024 / 1024} MiB and would have to ` +
          "be held whole.",
        ["Make it NDJSON, which is streamed: jq -c '.[]' rows.json > rows.ndjson"],
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks)
    .toString("utf8")
    .replace(/^\ufeff/, "");
}

function parseJson(text: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    throw malformed(`The input is not JSON: ${(error as Error).message}.`);
  }
}

function malformed(message: string, advice: readonly string[] = []): CommandError {
  return new CommandError(message, { exitCode: ExitCode.invalidInput, advice });
}

function parsed(text: string): { readonly values: JsonObject } | { readonly fault: string } {
  try {
    return checked(parseExact(text));
  } catch (error) {
    return { fault: `not JSON: ${(error as Error).message}` };
  }
}

/** Integers beyond 2^53 become strings, as the protocol has them, instead of losing digits. */
function parseExact(text: string): unknown {
  if (!LONG_NUMBER.test(text)) {
    return JSON.parse(text);
  }
  const exact = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
    typeof value === "number" &&
    !Number.isSafeInteger(value) &&
    /^-?\d+$/.test(context?.source ?? "")
      ? context?.source
      : value;
  return JSON.parse(text, exact);
}

function checked(value: unknown): { readonly values: JsonObject } | { readonly fault: string } {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? { values: value as JsonObject }
    : { fault: 'expected an object such as {"age": 41}' };
}

interface Line {
  /** Absent: the line is too long. */
  readonly text: string | undefined;
  readonly line: number;
}

async function* lines(bytes: Bytes): AsyncGenerator<Line> {
  let parts: Buffer[] = [];
  let size = 0;
  let line = 0;
  const finished = (): Line => {
    line += 1;
    const text = size > LINE_BYTES_MAX ? undefined : Buffer.concat(parts).toString("utf8");
    parts = [];
    size = 0;
    return { text, line };
  };
  const keep = (part: Buffer): void => {
    size += part.length;
    if (size > LINE_BYTES_MAX) {
      parts = [];
    } else {
      parts.push(part);
    }
  };
  for await (const chunk of bytes) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      keep(chunk.subarray(from, at));
      yield finished();
      from = at + 1;
    }
    keep(chunk.subarray(from));
  }
  if (size > 0) {
    yield finished();
  }
}
