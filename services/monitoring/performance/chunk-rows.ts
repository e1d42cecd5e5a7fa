// Kept predictions as chunks hold them: by column, in arrays that are written and read as they
// stand. A row keeps its place for ever, because references and labels name it by that; a row that
// was erased stays as an empty place.

/** No class, no label, no text. */
export const NONE = 0xffff;
/** Different texts that a column of a chunk can hold. */
export const TEXTS_MAX = 0xff00;

/** What a model gives. */
export type Task = "classification" | "regression";

/** A text a row, by its place in `texts`; NONE: the row has none. */
export interface TextColumn {
  readonly kind: "texts";
  readonly name: string;
  readonly texts: readonly string[];
  readonly codes: Uint16Array;
}

/** A number a row; NaN: the row has none. */
export interface NumberColumn {
  readonly kind: "numbers";
  readonly name: string;
  readonly values: Float64Array;
}

/** Classes as they were predicted. */
export interface PredictedClasses {
  readonly task: "classification";
  /** Those that scores are of come first. */
  readonly classes: readonly string[];
  readonly codes: Uint16Array;
  /** How many of `classes` have a score; 0: none. */
  readonly scored: number;
  /** `scored` a row, row by row; NaN: none. */
  readonly scores: Float32Array;
}

/** Numbers as they were predicted; NaN: none. */
export interface PredictedNumbers {
  readonly task: "regression";
  readonly values: Float64Array;
}

export type Predicted = PredictedClasses | PredictedNumbers;

/** What a chunk holds besides labels. */
export interface ChunkRows {
  readonly rows: number;
  /** Rows of each inference that lie in this chunk, in order; together `rows`. */
  readonly inferenceRows: readonly number[];
  readonly predicted: Predicted;
  readonly segments: readonly (TextColumn | NumberColumn)[];
  /** Join keys and their values, of rows that had some. */
  readonly keys: readonly TextColumn[];
  /** 1 where the row was erased. Absent: nowhere. */
  readonly erased?: Uint8Array | undefined;
}

/** Labels of the rows of a chunk. */
export type ChunkLabels =
  /** By place in the chunk's classes, and behind them in `others`. */
  | {
      readonly task: "classification";
      readonly others: readonly string[];
      readonly codes: Uint16Array;
    }
  /** NaN: none. */
  | { readonly task: "regression"; readonly values: Float64Array };

/** No labels yet. */
export function noLabels(task: Task, rows: number): ChunkLabels {
  return task === "classification"
    ? { task, others: [], codes: new Uint16Array(rows).fill(NONE) }
    : { task, values: new Float64Array(rows).fill(Number.NaN) };
}

/** Gives texts their places, each once. */
export class TextTable {
  readonly #places = new Map<string, number>();

  constructor(texts: readonly string[] = []) {
    for (const text of texts) {
      this.place(text);
    }
  }

  /** NONE where the table is full. */
  place(text: string): number {
    const known = this.#places.get(text);
    if (known !== undefined || this.#places.size >= TEXTS_MAX) {
      return known ?? NONE;
    }
    this.#places.set(text, this.#places.size);
    return this.#places.size - 1;
  }

  /** Undefined: it has none. */
  find(text: string): number | undefined {
    return this.#places.get(text);
  }

  /** In the order of their places. */
  texts(): string[] {
    return [...this.#places.keys()];
  }
}
