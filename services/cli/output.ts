// Where a command's words go: results to stdout, in the form asked for; everything else (notes,
// progress, errors) to stderr, so that a pipe carries results and nothing else.

import { once } from "node:events";
import type { Writable } from "node:stream";
import { styleText } from "node:util";
import type { DescMessage, JsonValue, MessageShape } from "@bufbuild/protobuf";
import { type Column, tableLines } from "./table.ts";

/** The global options that shape what is printed. */
export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly color: boolean;
}

export type Tone = "good" | "bad" | "warn" | "dim" | "strong";

const STYLES = {
  good: "green",
  bad: "red",
  warn: "yellow",
  dim: "dim",
  strong: "bold",
} as const;

export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly #color: boolean;

  constructor(options: OutputOptions) {
    this.json = options.json;
    this.quiet = options.quiet;
    this.#color = options.color;
  }

  /** Whether a bar or a spinner on stderr would be seen and not be in the way. */
  get showsProgress(): boolean {
    return !this.quiet && process.stderr.isTTY === true;
  }

  /** Columns of the terminal that results go to; undefined: not a terminal, nothing is cut. */
  get lineWidth(): number | undefined {
    // A terminal that does not know its width says 0.
    return process.stdout.isTTY ? process.stdout.columns || undefined : undefined;
  }

  /**
   * Colours the text if stdout is a terminal that wants colours (NO_COLOR and --no-color say no).
   */
  tone(tone: Tone, text: string, stream: "stdout" | "stderr" = "stdout"): string {
    return this.#color ? styleText(STYLES[tone], text, { stream: process[stream] }) : text;
  }

  /** One line of the result. */
  line(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  lines(texts: readonly string[]): void {
    for (const text of texts) {
      this.line(text);
    }
  }

  /** A table of the result, or the sentence when it has no rows. */
  table(columns: readonly Column[], rows: readonly (readonly string[])[], empty: string): void {
    if (rows.length === 0) {
      this.note(empty);
      return;
    }
    const [head, ...body] = tableLines(columns, rows, { lineWidth: this.lineWidth });
    this.line(this.tone("strong", head ?? ""));
    this.lines(body);
  }

  /** The result as JSON, for programs. */
  value(value: JsonValue): void {
    this.line(JSON.stringify(value, undefined, 2));
  }

  /** A message as protobuf JSON; every field is there, also when it has its default value. */
  async message<D extends DescMessage>(schema: D, message: MessageShape<D>): Promise<void> {
    this.value(await messageJson(schema, message));
  }

  /** Something worth saying that is not the result. */
  note(text: string): void {
    if (!this.quiet) {
      process.stderr.write(`${text}\n`);
    }
  }

  /** Something the user must see, quiet or not. */
  warning(text: string): void {
    process.stderr.write(`${this.tone("warn", "warning:", "stderr")} ${text}\n`);
  }
}

/** Protobuf JSON with every field present, so that scripts need no "if it is there". */
export async function messageJson<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
): Promise<JsonValue> {
  const [{ createRegistry, toJson }, { file_google_rpc_error_details }] = await Promise.all([
    import("@bufbuild/protobuf"),
    import("../../gen/google/rpc/error_details_pb.js"),
  ]);
  // A job that failed carries a google.rpc.Status, whose details are of these types.
  const registry = createRegistry(file_google_rpc_error_details);
  return toJson(schema, message, { alwaysEmitImplicit: true, registry }) as JsonValue;
}

/** Writes, and waits when the other side is slower. */
export async function writeText(
  stream: Writable,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  if (!stream.write(text)) {
    await once(stream, "drain", { signal });
  }
}
