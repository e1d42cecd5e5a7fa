// One chunk while it is changed. Only what is touched is decoded, and encoded again.

import { decodeLabels, decodeRows, encodeLabels, encodeRows } from "./chunk-codec.ts";
import {
  type ChunkLabels,
  type ChunkRows,
  NONE,
  type NumberColumn,
  noLabels,
  type Predicted,
  TEXTS_MAX,
  type TextColumn,
  TextTable,
} from "./chunk-rows.ts";
import { classKey } from "./class-key.ts";
import type { ChunkRecord } from "./prediction-collections.ts";

/** What became of a label: put there, in place of another, not at all. */
export type Labelled = "joined" | "same" | "replaced" | "no-row" | "wrong-kind";

/** Owns a chunk's decoded rows and labels for the time of a change. */
export class ChunkDraft {
  readonly record: ChunkRecord;
  #rows: ChunkRows | undefined;
  #labels: ChunkLabels | undefined;
  #table: TextTable | undefined;
  #rowsChanged = false;
  #labelsChanged = false;

  constructor(record: ChunkRecord) {
    this.record = record;
  }

  get rows(): ChunkRows {
    this.#rows ??= decodeRows(this.record.data);
    return this.#rows;
  }

  /** Whether a row is there and was not erased. */
  has(row: number): boolean {
    return row < this.record.rows && this.rows.erased?.[row] !== 1;
  }

  /** Whether a row has a label. */
  isLabelled(row: number): boolean {
    const labels = this.#openLabels();
    return labels.task === "classification"
      ? labels.codes[row] !== NONE
      : !Number.isNaN(labels.values[row]);
  }

  /** Puts a label on a row. A number is the class of its text; a text that is a number is one. */
  label(row: number, value: string | number): Labelled {
    if (!this.has(row)) {
      return "no-row";
    }
    const labels = this.#openLabels();
    if (labels.task === "regression") {
      const number = typeof value === "number" ? value : numberOf(value);
      return Number.isFinite(number) ? this.#put(labels.values, row, number) : "wrong-kind";
    }
    const code = this.#table!.place(classKey(String(value)));
    return code >= TEXTS_MAX ? "wrong-kind" : this.#put(labels.codes, row, code);
  }

  /** Empties rows; their places stay. */
  erase(rows: readonly number[]): void {
    const chunk = this.rows;
    const erased = chunk.erased?.slice() ?? new Uint8Array(chunk.rows);
    for (const row of rows) {
      erased[row] = 1;
    }
    this.#eraseLabels(rows);
    this.#rows = {
      ...chunk,
      erased,
      predicted: withoutPredictions(chunk.predicted, erased),
      segments: chunk.segments.map((column) => withoutValues(column, erased)),
      keys: chunk.keys.map((column) => withoutTexts(column, erased)),
    };
    this.#rowsChanged = true;
  }

  /** The chunk to be stored; undefined where it is as it was. */
  changed(): ChunkRecord | undefined {
    if (!this.#rowsChanged && !this.#labelsChanged) {
      return undefined;
    }
    return {
      ...this.record,
      ...(this.#rowsChanged ? { data: encodeRows(this.rows) } : {}),
      ...(this.#labelsChanged ? { labels: encodeLabels(this.#withTexts()) } : {}),
    };
  }

  #put(column: Uint16Array | Float64Array, row: number, value: number): Labelled {
    const before = column[row]!;
    if (before === value) {
      return "same";
    }
    column[row] = value;
    this.#labelsChanged = true;
    const isNew = Number.isNaN(before) || (column instanceof Uint16Array && before === NONE);
    return isNew ? "joined" : "replaced";
  }

  #eraseLabels(rows: readonly number[]): void {
    const labels = this.#openLabels();
    for (const row of rows) {
      if (labels.task === "classification") {
        this.#labelsChanged ||= labels.codes[row] !== NONE;
        labels.codes[row] = NONE;
      } else {
        this.#labelsChanged ||= !Number.isNaN(labels.values[row]);
        labels.values[row] = Number.NaN;
      }
    }
  }

  #openLabels(): ChunkLabels {
    if (this.#labels === undefined) {
      const { predicted } = this.rows;
      const { rows, labels, task } = this.record;
      const classes = predicted.task === "classification" ? predicted.classes : [];
      this.#labels =
        labels.length === 0
          ? noLabels(task, rows)
          : decodeLabels(labels, { rows, classes: classes.length });
      const others = this.#labels.task === "classification" ? this.#labels.others : [];
      this.#table = new TextTable([...classes, ...others]);
    }
    return this.#labels;
  }

  /** The labels with the texts that came to them; those that no row has any more are left out. */
  #withTexts(): ChunkLabels {
    const labels = this.#openLabels();
    if (labels.task === "regression") {
      return labels;
    }
    const { predicted } = this.rows;
    const classes = predicted.task === "classification" ? predicted.classes : [];
    const texts = this.#table!.texts();
    const kept = new TextTable(classes);
    const codes = labels.codes.map((code) => (code === NONE ? NONE : kept.place(texts[code]!)));
    return { ...labels, others: kept.texts().slice(classes.length), codes };
  }
}

/** NaN where the text is no number. */
function numberOf(text: string): number {
  return text.trim() === "" ? Number.NaN : Number(text);
}

function withoutPredictions(predicted: Predicted, erased: Uint8Array): Predicted {
  if (predicted.task === "regression") {
    return {
      ...predicted,
      values: predicted.values.map((v, row) => (erased[row] ? Number.NaN : v)),
    };
  }
  const { scored } = predicted;
  return {
    ...predicted,
    codes: predicted.codes.map((code, row) => (erased[row] ? NONE : code)),
    scores: predicted.scores.map((score, at) => {
      return erased[Math.floor(at / scored)] ? Number.NaN : score;
    }),
  };
}

function withoutValues(
  column: TextColumn | NumberColumn,
  erased: Uint8Array,
): TextColumn | NumberColumn {
  return column.kind === "texts"
    ? withoutTexts(column, erased)
    : { ...column, values: column.values.map((v, row) => (erased[row] ? Number.NaN : v)) };
}

/** Texts that no row has any more go too. */
function withoutTexts(column: TextColumn, erased: Uint8Array): TextColumn {
  const table = new TextTable();
  const codes = column.codes.map((code, row) => {
    return code === NONE || erased[row] ? NONE : table.place(column.texts[code]!);
  });
  return { ...column, codes, texts: table.texts() };
}
