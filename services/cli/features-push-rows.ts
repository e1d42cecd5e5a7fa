// From rows of a file to a batch of typed columns: names mapped as the view's source says, values
// made to fit, rows at fault set aside with their place.

import { createHash } from "node:crypto";
import { create, type JsonObject, toBinary } from "@bufbuild/protobuf";
import {
  type BadRows,
  type PushFeaturesRequest,
  PushFeaturesRequestSchema,
  type PushTarget,
} from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import { CommandError, ExitCode } from "./exit-codes.ts";
import { columnOf, type Written } from "./features-cells.ts";
import type { Typed, ViewShape } from "./features-views.ts";
import type { Output } from "./output.ts";
import type { BadRow, InputRow } from "./row-source.ts";
import { printable } from "./table.ts";

const EVENT_TIME = "event_timestamp";
const CREATED_TIME = "created_timestamp";

/** Hexadecimal digits of a batch's name: 160 bits, two different batches never meet. */
const BATCH_ID_LENGTH = 40;

/** Rows that stand one after the other in the input. */
interface Stretch {
  /** Of the batch, from 0. */
  readonly row: number;
  readonly ordinal: number;
  readonly line: number | undefined;
}

/** A batch on its way, and where its rows came from. */
export interface Batch {
  readonly request: PushFeaturesRequest;
  readonly rows: number;
  /** Where its rows stand in the input, ascending. */
  readonly stretches: readonly Stretch[];
}

/** What batches are made for. */
export interface BatchOptions {
  readonly shape: ViewShape;
  /** The event time of rows that say none. Absent: they must. */
  readonly now: Date | undefined;
  /** What becomes of columns that the view does not have. */
  readonly extras: "refuse" | "leave-out";
  readonly output: Output;
  readonly target: PushTarget;
  readonly badRows: BadRows;
}

/** Makes batches of rows, and keeps account of columns that it left out. */
export class BatchMaker {
  readonly #options: BatchOptions;
  /** Column of the input to field of the view. */
  readonly #names: ReadonlyMap<string, string>;
  readonly #fields: readonly Typed[];
  readonly #required: readonly string[];
  readonly #leftOut = new Set<string>();
  #checked = false;

  constructor(options: BatchOptions) {
    const { view, keys } = options.shape;
    const time = (name: string): Typed => ({ name, valueType: ValueType.TIMESTAMP });
    this.#options = options;
    this.#fields = [...keys, time(EVENT_TIME), time(CREATED_TIME), ...view.features];
    this.#required = [...keys.map(({ name }) => name), EVENT_TIME];
    const { source } = view;
    this.#names = new Map([
      ...this.#fields.map(({ name }) => [name, name] as const),
      ...Object.entries(source?.fieldMapping ?? {}),
      ...named(source?.eventTimestampColumn, EVENT_TIME),
      ...named(source?.createdTimestampColumn, CREATED_TIME),
    ]);
  }

  /** `workspaces/default/featureViews/airport_delays` */
  get viewName(): string {
    return this.#options.shape.view.name.replace(/\/versions\/.*$/, "");
  }

  /** The batch of the good rows, undefined when there are none, and the bad rows. */
  make(rows: readonly InputRow[]): {
    readonly batch: Batch | undefined;
    readonly bad: readonly BadRow[];
  } {
    const values = rows.map((row) => this.#mapped(row.values));
    this.#check(values);
    const faults = new Map<number, string[]>();
    const note = (row: number, fault: string): void => {
      faults.set(row, [...(faults.get(row) ?? []), fault]);
    };
    for (const name of this.#required) {
      for (const [row, { [name]: value }] of values.entries()) {
        if (value === undefined || value === null) {
          note(row, `${name}: no value`);
        }
      }
    }
    for (const field of this.#fields) {
      const made = columnOf(
        field,
        values.map((row) => row[field.name]),
      );
      for (const { row, fault } of made.faults) {
        note(row, fault);
      }
    }
    const bad = rows.flatMap((row, index) => {
      const fault = faults.get(index);
      return fault === undefined ? [] : [badRow(row, fault.join("; "))];
    });
    const good = rows.filter((_, index) => !faults.has(index));
    const goodValues = values.filter((_, index) => !faults.has(index));
    return { batch: good.length === 0 ? undefined : this.#batch(good, goodValues), bad };
  }

  /** Says which columns of the input the view does not have. */
  noteLeftOut(): void {
    const names = this.#fields.map(({ name }) => name);
    for (const column of this.#leftOut) {
      const hint = didYouMean(column, names);
      this.#options.output.note(
        `The view has no "${printable(column)}"; the column was left out.${hint}`,
      );
    }
  }

  #mapped(values: JsonObject): Record<string, Written> {
    const row: Record<string, Written> = {};
    for (const [column, value] of Object.entries(values)) {
      const name = this.#names.get(column);
      if (name === undefined && this.#options.extras === "refuse") {
        throw this.#unknown(column);
      } else if (name === undefined) {
        this.#leftOut.add(column);
      } else {
        row[name] = value;
      }
    }
    const { now } = this.#options;
    if (now !== undefined) {
      row[EVENT_TIME] ??= now.toISOString();
    }
    return row;
  }

  #unknown(column: string): CommandError {
    const hint = didYouMean(column, [...this.#names.keys()]);
    return new CommandError(`The view has no "${printable(column)}".${hint}`, {
      exitCode: ExitCode.invalidInput,
      advice: [this.#columnsText()],
    });
  }

  #columnsText(): string {
    const columns = this.#fields.map(({ name }) => this.#columnOf(name));
    return `Rows of the view have ${columns.join(", ")}.`;
  }

  /** A column that no row of the first batch has is missing from the file, not from its rows. */
  #check(values: readonly Readonly<Record<string, Written>>[]): void {
    if (this.#checked || values.length === 0) {
      return;
    }
    this.#checked = true;
    const missing = this.#required.filter((name) => !values.some((row) => row[name] !== undefined));
    if (missing.length > 0) {
      const columns = missing.map((name) => this.#columnOf(name));
      throw new CommandError(`The input has no column ${columns.join(", ")}.`, {
        exitCode: ExitCode.invalidInput,
        advice: [this.#columnsText()],
      });
    }
  }

  /** What the input calls a field. */
  #columnOf(field: string): string {
    return [...this.#names].findLast(([, name]) => name === field)?.[0] ?? field;
  }

  #batch(rows: readonly InputRow[], values: readonly Readonly<Record<string, Written>>[]): Batch {
    const columns = this.#fields
      .filter(({ name }) => values.some((row) => row[name] !== undefined))
      .map(
        (field) =>
          columnOf(
            field,
            values.map((row) => row[field.name]),
          ).column,
      );
    const { target, badRows } = this.#options;
    const request = create(PushFeaturesRequestSchema, {
      featureView: this.viewName,
      columns,
      target,
      badRows,
    });
    const content = toBinary(PushFeaturesRequestSchema, request);
    request.batchId = createHash("sha256").update(content).digest("hex").slice(0, BATCH_ID_LENGTH);
    return { request, rows: rows.length, stretches: stretchesOf(rows) };
  }
}

/** Where a row of a batch stands in the input. */
export function placeInBatch(batch: Batch, row: number): Omit<BadRow, "fault"> {
  const stretch = batch.stretches.findLast((one) => one.row <= row);
  const past = row - (stretch?.row ?? 0);
  const ordinal = (stretch?.ordinal ?? 1) + past;
  return stretch?.line === undefined ? { ordinal } : { ordinal, line: stretch.line + past };
}

function stretchesOf(rows: readonly InputRow[]): readonly Stretch[] {
  const stretches: Stretch[] = [];
  let previous: InputRow | undefined;
  for (const [index, row] of rows.entries()) {
    const follows =
      previous !== undefined &&
      row.ordinal === previous.ordinal + 1 &&
      row.line === (previous.line === undefined ? undefined : previous.line + 1);
    if (!follows) {
      stretches.push({ row: index, ordinal: row.ordinal, line: row.line });
    }
    previous = row;
  }
  return stretches;
}

function badRow(row: InputRow, fault: string): BadRow {
  const { ordinal, line } = row;
  return line === undefined ? { ordinal, fault } : { ordinal, line, fault };
}

function named(column: string | undefined, field: string): readonly (readonly [string, string])[] {
  return column === undefined || column === "" ? [] : [[column, field]];
}
