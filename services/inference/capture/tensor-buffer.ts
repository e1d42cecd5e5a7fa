// The rows of one input or output over many inferences. What is masked is never copied: a whole
// tensor is left out, of a matrix of named columns only the other columns are taken.

import { create, toBinary } from "@bufbuild/protobuf";
import { CapturedTensorSchema } from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { ELEMENT_BYTES, type Tensor } from "../tensor.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/** Elements of a row from one index to another. */
interface Run {
  readonly from: number;
  readonly to: number;
}

export interface TensorBufferOptions {
  /** Its index among the tensors of a request or an answer. */
  readonly place: number;
  /** The first one of its kind: name, datatype and shape of a row come from it. */
  readonly tensor: Tensor;
  /** Whether dimension 0 counts rows. */
  readonly batched: boolean;
  /** Names of the values of a row; empty where they have none. */
  readonly columns: readonly string[];
  readonly masked: ReadonlySet<string>;
  readonly budget: ByteBudget;
}

/** One input or output of a capture buffer. Made by tensorBufferFor. */
export class TensorBuffer {
  readonly place: number;
  /** The captured tensor without its contents, encoded. */
  readonly head: Uint8Array;
  readonly contents: GrowingBytes;
  readonly #rowShape: readonly number[];
  readonly #batched: boolean;
  /** Elements of a row as it comes. */
  readonly #width: number;
  /** What of a row is taken. Absent: all of it. */
  readonly #runs: readonly Run[] | undefined;

  constructor(options: TensorBufferOptions) {
    const { tensor, batched, columns, masked } = options;
    this.place = options.place;
    this.contents = new GrowingBytes(options.budget);
    this.#batched = batched;
    this.#rowShape = batched ? tensor.shape.slice(1) : tensor.shape;
    this.#width = productOf(this.#rowShape);
    const isNamed = columns.length > 0 && columns.length === this.#width;
    const kept = isNamed ? columns.filter((name) => !masked.has(name)) : [];
    const isPart = isNamed && kept.length < columns.length;
    this.#runs = isPart ? runsOf(columns, masked) : undefined;
    const { name, datatype } = tensor;
    const rowShape = isPart ? [kept.length] : [...this.#rowShape];
    this.head = toBinary(
      CapturedTensorSchema,
      create(CapturedTensorSchema, { name, datatype, rowShape, columns: kept }),
    );
  }

  /** Whether a tensor has so many rows of the same shape. */
  fits({ shape }: Tensor, rows: number): boolean {
    const rowShape = this.#rowShape;
    const offset = this.#batched ? 1 : 0;
    if (shape.length !== rowShape.length + offset || (this.#batched ? shape[0] : 1) !== rows) {
      return false;
    }
    for (let i = 0; i < rowShape.length; i++) {
      if (shape[i + offset] !== rowShape[i]) {
        return false;
      }
    }
    return true;
  }

  /** Requires that it fits. */
  append(tensor: Tensor, rows: number): void {
    const runs = this.#runs;
    if (tensor.datatype === "BYTES") {
      this.#appendTexts(tensor.data, rows);
    } else if (runs === undefined) {
      this.contents.raw(tensor.data);
    } else {
      const size = ELEMENT_BYTES[tensor.datatype];
      const step = this.#width * size;
      for (let row = 0, start = 0; row < rows; row++, start += step) {
        for (let i = 0; i < runs.length; i++) {
          const { from, to } = runs[i]!;
          this.contents.part(tensor.data, start + from * size, start + to * size);
        }
      }
    }
  }

  #appendTexts(texts: readonly string[], rows: number): void {
    const runs = this.#runs ?? [{ from: 0, to: this.#width }];
    for (let row = 0; row < rows; row++) {
      for (const { from, to } of runs) {
        for (let i = from; i < to; i++) {
          this.contents.element(texts[row * this.#width + i]!);
        }
      }
    }
  }
}

/** A buffer for what may be sent of a tensor; undefined where nothing may. */
export function tensorBufferFor(options: TensorBufferOptions): TensorBuffer | undefined {
  const { tensor, batched, columns, masked } = options;
  const width = productOf(batched ? tensor.shape.slice(1) : tensor.shape);
  // Where names and values do not match up, nobody knows which value a mask means.
  const hidden = columns.filter((name) => masked.has(name)).length;
  const isHidden = hidden > 0 && (hidden === columns.length || columns.length !== width);
  return masked.has(tensor.name) || isHidden ? undefined : new TensorBuffer(options);
}

function productOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

function runsOf(columns: readonly string[], masked: ReadonlySet<string>): Run[] {
  const runs: Run[] = [];
  for (let from = 0; from < columns.length; from++) {
    let to = from;
    while (to < columns.length && !masked.has(columns[to]!)) {
      to += 1;
    }
    if (to > from) {
      runs.push({ from, to });
      from = to;
    }
  }
  return runs;
}
