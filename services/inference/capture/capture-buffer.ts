// Inferences of one version that are alike, by column, until they are sealed into a batch: the same
// outputs, the same shapes of a row, the same features. Adding one is a few copies of bytes; the
// batch is in the form of the wire from the first one on.

import { create, toBinary } from "@bufbuild/protobuf";
import {
  CapturedBatchSchema,
  CapturedKeySchema,
  CapturedStatusesSchema,
} from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import type { FeatureNames, InferRequest, InferResult, Servable } from "../engine.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { GrowingBytes } from "./growing-bytes.ts";
import { type TensorBuffer, tensorBufferFor } from "./tensor-buffer.ts";
import { type Field, field, messageBytes } from "./wire-fields.ts";

/** Whose inferences they are. */
export interface CaptureIdentity {
  /** `workspaces/w/deployments/d` */
  readonly deployment: string;
  readonly deploymentUid: string;
  readonly modelVersionUid: string;
  readonly servable: Pick<
    Servable,
    "modelVersion" | "columns" | "classLabels" | "featureService" | "signature"
  >;
}

export interface CaptureBufferOptions {
  readonly identity: CaptureIdentity;
  /** Whether dimension 0 of the tensors counts rows. */
  readonly batched: boolean;
  readonly masked: ReadonlySet<string>;
  readonly budget: ByteBudget;
}

/** Longer ids and keys are nobody's: an inference is captured without them. */
export const NAME_CHARACTERS_MAX = 256;

const BATCH_FIELD = 2;
/** Numbers of a batch are written with their tag, field << 3. */
const SEQUENCE_TAG = 1 << 3;
const SHADOW_TAG = 6 << 3;
const BATCH_ROWS_TAG = 9 << 3;
const DROPPED_ROWS_TAG = 15 << 3;
const INFERENCES_FIELD = 10;
const INPUTS_FIELD = 11;
const OUTPUTS_FIELD = 12;
const STATUSES_FIELD = 13;
const KEYS_FIELD = 14;

/** Fields inside those; texts are written with their tag, field << 3 | 2. */
const ID_TAG = (1 << 3) | 2;
const ROWS_FIELD = 2;
const EVENT_TIMES_FIELD = 3;
const QUEUE_FIELD = 4;
const COMPUTE_FIELD = 5;
const ROUTING_KEY_TAG = (6 << 3) | 2;
const TENSOR_CONTENTS_FIELD = 5;
const STATUSES_CONTENTS_FIELD = 3;
const KEY_VALUE_TAG = (2 << 3) | 2;

interface StatusBuffer {
  /** Its index among the features of a request. */
  readonly place: number;
  readonly head: Uint8Array;
  readonly statuses: GrowingBytes;
}

interface KeyBuffer {
  /** Its index among the join keys of a request. */
  readonly place: number;
  readonly head: Uint8Array;
  readonly values: GrowingBytes;
}

/** What goes into a batch beside its rows. */
export interface SealOptions {
  readonly sequence: number;
  readonly shadow: boolean;
  readonly droppedRows: number;
}

/** Grows until it is sealed, then begins anew with the memory it has. */
export class CaptureBuffer {
  /** Rows in it. */
  rows = 0;
  /** Inferences in it. */
  count = 0;
  /** What every batch of it begins with, encoded. */
  readonly #head: Uint8Array;
  readonly #outputs: readonly number[];
  readonly #names: FeatureNames | undefined;
  readonly #batched: boolean;
  readonly #inputTensors: readonly TensorBuffer[];
  readonly #outputTensors: readonly TensorBuffer[];
  readonly #statuses: readonly StatusBuffer[];
  readonly #keys: readonly KeyBuffer[];
  readonly #ids: GrowingBytes;
  readonly #rowCounts: GrowingBytes;
  readonly #eventTimes: GrowingBytes;
  readonly #queueMs: GrowingBytes;
  readonly #computeMs: GrowingBytes;
  readonly #routingKeys: GrowingBytes;
  readonly #factBytes: GrowingBytes;
  readonly #all: readonly GrowingBytes[];
  #hasIds = false;

  /** For inferences like this one. */
  constructor(request: InferRequest, result: InferResult, options: CaptureBufferOptions) {
    const { identity, batched, masked, budget } = options;
    const { columns } = identity.servable;
    const bytes = (): GrowingBytes => new GrowingBytes(budget);
    this.#head = headOf(identity);
    this.#batched = batched;
    this.#outputs = request.outputs;
    this.#names = request.features?.names;
    const named = request.inputs.length === 1 ? columns : [];
    const buffersFor = (tensors: InferRequest["inputs"], names: readonly string[]) =>
      tensors.flatMap((tensor, place) => {
        return tensorBufferFor({ place, tensor, batched, columns: names, masked, budget }) ?? [];
      });
    this.#inputTensors = buffersFor(request.inputs, named);
    this.#outputTensors = buffersFor(result.outputs, []);
    this.#statuses = (this.#names?.features ?? []).flatMap(({ name, view }, place) =>
      masked.has(name) ? [] : [{ place, head: statusesHead(name, view), statuses: bytes() }],
    );
    this.#keys = (this.#names?.joinKeys ?? []).flatMap((name, place) =>
      masked.has(name) ? [] : [{ place, head: keyHead(name), values: bytes() }],
    );
    this.#factBytes = bytes();
    this.#ids = bytes();
    this.#rowCounts = bytes();
    this.#eventTimes = bytes();
    this.#queueMs = bytes();
    this.#computeMs = bytes();
    this.#routingKeys = bytes();
    this.#all = [
      ...[...this.#inputTensors, ...this.#outputTensors].map(({ contents }) => contents),
      ...this.#statuses.map(({ statuses }) => statuses),
      ...this.#keys.map(({ values }) => values),
      this.#factBytes,
      this.#ids,
      this.#rowCounts,
      this.#eventTimes,
      this.#queueMs,
      this.#computeMs,
      this.#routingKeys,
    ];
  }

  /** Bytes written and not sealed. */
  get bytes(): number {
    let sum = 0;
    for (let i = 0; i < this.#all.length; i++) {
      sum += this.#all[i]!.length;
    }
    return sum;
  }

  /** Whether an inference is like those in it. */
  fits(request: InferRequest, result: InferResult, batched: boolean): boolean {
    const { rows } = request;
    return (
      batched === this.#batched &&
      request.features?.names === this.#names &&
      areEqual(request.outputs, this.#outputs) &&
      allFit(this.#inputTensors, request.inputs, rows) &&
      allFit(this.#outputTensors, result.outputs, rows)
    );
  }

  /** Requires that it fits. @param arrivedUs microseconds since 1970 */
  append(request: InferRequest, result: InferResult, arrivedUs: number): void {
    const { rows, features } = request;
    const id = nameOf(request.id);
    const routingKey = nameOf(request.routingKey ?? "");
    for (let i = 0; i < this.#inputTensors.length; i++) {
      const buffer = this.#inputTensors[i]!;
      buffer.append(request.inputs[buffer.place]!, rows);
    }
    for (let i = 0; i < this.#outputTensors.length; i++) {
      const buffer = this.#outputTensors[i]!;
      buffer.append(result.outputs[buffer.place]!, rows);
    }
    if (features !== undefined) {
      for (const { place, statuses } of this.#statuses) {
        statuses.list(features.statuses[place]!);
      }
      const keys = this.#keys.length === 0 ? [] : features.keys();
      for (const { place, values } of this.#keys) {
        for (const text of keys[place]!) {
          values.text(KEY_VALUE_TAG, text);
        }
      }
    }
    this.#ids.text(ID_TAG, id);
    this.#rowCounts.varint(rows);
    this.#eventTimes.zigzag(request.eventUs ?? arrivedUs);
    this.#queueMs.float(result.queueMs);
    this.#computeMs.float(result.computeMs);
    if (routingKey !== "" || this.#routingKeys.length > 0) {
      this.#appendRoutingKey(routingKey);
    }
    this.#hasIds ||= id !== "";
    this.rows += rows;
    this.count += 1;
  }

  /** From the first one on; those before it had none. */
  #appendRoutingKey(routingKey: string): void {
    const keys = this.#routingKeys;
    for (let i = keys.length === 0 ? 0 : this.count; i < this.count; i++) {
      keys.text(ROUTING_KEY_TAG, "");
    }
    keys.text(ROUTING_KEY_TAG, routingKey);
  }

  /** A CaptureInferencesRequest with all that is in it, encoded; then it is empty. */
  seal(options: SealOptions): Buffer {
    const facts = this.#facts(options);
    const bytes = messageBytes(field(BATCH_FIELD, this.#head, facts, ...this.#columns()));
    for (const one of this.#all) {
      one.reset();
    }
    this.#empty();
    return bytes;
  }

  /** Gives all memory back, with what was in it. */
  release(): void {
    for (const one of this.#all) {
      one.release();
    }
    this.#empty();
  }

  #empty(): void {
    this.rows = 0;
    this.count = 0;
    this.#hasIds = false;
  }

  /** What each batch says anew. */
  #facts({ sequence, shadow, droppedRows }: SealOptions): Uint8Array {
    const facts = this.#factBytes;
    facts.byte(SEQUENCE_TAG);
    facts.varint(sequence);
    facts.byte(BATCH_ROWS_TAG);
    facts.varint(this.rows);
    if (shadow) {
      facts.byte(SHADOW_TAG);
      facts.varint(1);
    }
    if (droppedRows > 0) {
      facts.byte(DROPPED_ROWS_TAG);
      facts.varint(droppedRows);
    }
    return facts.written;
  }

  #columns(): Field[] {
    const tensors = (number: number, buffers: readonly TensorBuffer[]): Field[] =>
      buffers.map(({ head, contents }) =>
        field(number, head, field(TENSOR_CONTENTS_FIELD, contents.written)),
      );
    return [
      field(
        INFERENCES_FIELD,
        ...(this.#hasIds ? [this.#ids.written] : []),
        field(ROWS_FIELD, this.#rowCounts.written),
        field(EVENT_TIMES_FIELD, this.#eventTimes.written),
        field(QUEUE_FIELD, this.#queueMs.written),
        field(COMPUTE_FIELD, this.#computeMs.written),
        this.#routingKeys.written,
      ),
      ...tensors(INPUTS_FIELD, this.#inputTensors),
      ...tensors(OUTPUTS_FIELD, this.#outputTensors),
      ...this.#statuses.map(({ head, statuses }) =>
        field(STATUSES_FIELD, head, field(STATUSES_CONTENTS_FIELD, statuses.written)),
      ),
      ...this.#keys.map(({ head, values }) => field(KEYS_FIELD, head, values.written)),
    ];
  }
}

function nameOf(text: string): string {
  return text.length > NAME_CHARACTERS_MAX ? "" : text;
}

function headOf({ deployment, deploymentUid, modelVersionUid, servable }: CaptureIdentity) {
  const { modelVersion, classLabels, featureService } = servable;
  const head = create(CapturedBatchSchema, {
    deployment,
    deploymentUid,
    modelVersion,
    modelVersionUid,
    classLabels: [...classLabels],
    featureService: featureService ?? "",
  });
  return toBinary(CapturedBatchSchema, head);
}

function statusesHead(feature: string, featureView: string): Uint8Array {
  return toBinary(CapturedStatusesSchema, create(CapturedStatusesSchema, { feature, featureView }));
}

function keyHead(joinKey: string): Uint8Array {
  return toBinary(CapturedKeySchema, create(CapturedKeySchema, { joinKey }));
}

function areEqual(one: readonly number[], other: readonly number[]): boolean {
  if (one === other) {
    return true;
  }
  if (one.length !== other.length) {
    return false;
  }
  for (let i = 0; i < one.length; i++) {
    if (one[i] !== other[i]) {
      return false;
    }
  }
  return true;
}

function allFit(
  buffers: readonly TensorBuffer[],
  tensors: InferRequest["inputs"],
  rows: number,
): boolean {
  for (let i = 0; i < buffers.length; i++) {
    const buffer = buffers[i]!;
    if (!buffer.fits(tensors[buffer.place]!, rows)) {
      return false;
    }
  }
  return true;
}
