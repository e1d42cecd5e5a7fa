// Calibration data from a file: rows like those that the model will see, at most as many as the
// protocol takes, spread evenly over the file; and the right answers, where a column holds them.

import type { JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import type { CalibrationDataSchema } from "../../gen/plinth/proofs/v1/calibration_pb.js";
import type { ModelVersion } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { bytesBar, formatCount } from "./progress.ts";
import { namesText, RowInputs, type RowValues, refused } from "./prove-inputs.ts";
import { type InputFormat, type InputRow, isBad, openRows, place } from "./row-source.ts";
import type { Session } from "./session.ts";
import { printable } from "./table.ts";

export interface CalibrationOptions {
  readonly calibration?: string;
  readonly inputFormat?: InputFormat;
  readonly labelColumn?: string;
}

/** As the protocol takes them. */
const ROWS_MAX = 10_000;
/** Of all rows together, their labels too: 8 MiB as doubles, which is what the service takes. */
const VALUES_MAX = 1024 * 1024;

interface Kept {
  readonly values: RowValues;
  readonly label: number | undefined;
}

/**
 * Reads the file that the options name; undefined where they name none.
 * @throws UsageError; CommandError with the place of a row that cannot be read or does not fit.
 */
export async function readCalibration(
  session: Session,
  version: ModelVersion,
  options: CalibrationOptions,
): Promise<MessageInitShape<typeof CalibrationDataSchema> | undefined> {
  const { calibration, labelColumn, inputFormat } = options;
  if (calibration === undefined) {
    if (labelColumn !== undefined || inputFormat !== undefined) {
      throw new UsageError("--label-column and --input-format go with --calibration.");
    }
    return undefined;
  }
  const inputs = new RowInputs(version, labelColumn === undefined ? [] : [labelColumn]);
  const labels = new LabelColumn(labelColumn, version.classLabels);
  const spread = new SpreadRows<Kept>();
  const source = await openRows(
    { file: calibration, ...(inputFormat === undefined ? {} : { inputFormat }) },
    session.signal,
  );
  const { showsProgress } = session.output;
  using bar = await bytesBar({
    show: showsProgress,
    title: source.title,
    total: source.totalBytes,
  });
  for await (const row of source.rows) {
    if (isBad(row)) {
      throw new CommandError(`${place(row)} cannot be read: ${row.fault}.`, {
        exitCode: ExitCode.invalidInput,
      });
    }
    if (spread.seen === 0) {
      noteUnknown(session, inputs.unknown(row));
    }
    const values = inputs.read(row);
    spread.limit(Math.floor(VALUES_MAX / values.reduce((sum, { length }) => sum + length, 1)));
    spread.add({ values, label: labels.read(row) });
    bar.update(source.bytesRead());
  }
  bar[Symbol.dispose]();
  const { kept, seen } = spread;
  if (kept.length === 0) {
    throw new CommandError(`${source.title} has no rows.`, { exitCode: ExitCode.invalidInput });
  }
  const rows = kept.length === seen ? "rows" : `of ${formatCount(seen)} rows, spread evenly`;
  session.output.note(`Calibration: ${formatCount(kept.length)} ${rows}.`);
  return {
    rows: kept.length,
    inputs: inputs.messages(kept.map(({ values }) => values)),
    labels: kept.flatMap(({ label }) => label ?? []),
  };
}

/** Every n-th of any number of rows, with n as small as the limit allows. */
export class SpreadRows<T> {
  #kept: T[] = [];
  #step = 1;
  #max = ROWS_MAX;
  /** Rows that came. */
  seen = 0;

  /** Makes the limit smaller; one row is always kept. */
  limit(max: number): void {
    this.#max = Math.max(1, Math.min(this.#max, max));
  }

  add(row: T): void {
    if (this.seen % this.#step === 0) {
      if (this.#kept.length >= this.#max) {
        this.#kept = this.#kept.filter((_, i) => i % 2 === 0);
        this.#step *= 2;
      }
      if (this.seen % this.#step === 0) {
        this.#kept.push(row);
      }
    }
    this.seen += 1;
  }

  get kept(): readonly T[] {
    return this.#kept;
  }
}

/** Reads the right answer of each row: a class by its label or index, or a value. */
class LabelColumn {
  readonly #name: string | undefined;
  readonly #classes: readonly string[];

  constructor(name: string | undefined, classes: readonly string[]) {
    this.#name = name;
    this.#classes = classes;
  }

  read(row: InputRow): number | undefined {
    const name = this.#name;
    if (name === undefined) {
      return undefined;
    }
    const value: JsonValue | undefined = Object.hasOwn(row.values, name)
      ? row.values[name]
      : undefined;
    if (value === undefined) {
      throw noColumn(name, Object.keys(row.values));
    }
    const text = typeof value === "object" ? "" : String(value).trim();
    const index = this.#classes.indexOf(text);
    const number = index >= 0 ? index : Number(text);
    if (text === "" || !Number.isFinite(number)) {
      const expected =
        this.#classes.length === 0
          ? "a number"
          : `one of ${namesText(this.#classes)}, or the index of a class`;
      throw refused(row, `${printable(name)}: expected ${expected}, got "${printable(text)}"`);
    }
    return number;
  }
}

function noteUnknown({ output }: Session, names: readonly string[]): void {
  if (names.length > 0) {
    const what =
      names.length === 1 ? "a column that the model does" : "columns that the model does";
    output.note(`Left out, ${what} not take: ${namesText(names)}.`);
  }
}

function noColumn(name: string, columns: readonly string[]): CommandError {
  const hint = didYouMean(name, columns);
  return new CommandError(`The calibration rows have no column "${printable(name)}".${hint}`, {
    exitCode: ExitCode.invalidInput,
    advice: hint === "" ? [`They have ${namesText(columns)}.`] : [],
  });
}
