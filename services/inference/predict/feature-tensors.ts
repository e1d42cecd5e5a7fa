// From the columns of an online read to the tensors of a model, without a step in between. A row
// that lacks a feature is left out and told why; the others keep their order.

import type { JsonObject } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { FeatureVector } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { quote } from "../protocol/violations.ts";
import type { FixedTensor, Tensor } from "../tensor.ts";
import { type TensorElement, valuesOf } from "./feature-conversion.ts";
import type { FeaturePlan, PlannedInput, TakenFeature } from "./feature-plan.ts";
import type { FeatureValue } from "./feature-values.ts";

/** What of a read goes to the model. */
export interface FeatureTensors {
  readonly tensors: readonly Tensor[];
  /** The rows that are in the tensors, in the order of the request. */
  readonly rows: readonly number[];
  /** Why the others are not, by row. */
  readonly failures: ReadonlyMap<number, InvalidArgument>;
}

/** An entity is cut here when it is quoted. */
const ENTITY_SHOWN_MAX = 200;
/** More features of one row are counted, not listed. */
const FEATURES_SHOWN_MAX = 5;

const STATUS_TEXTS: Readonly<Record<FieldStatus, string>> = {
  [FieldStatus.UNSPECIFIED]: "could not be computed",
  [FieldStatus.PRESENT]: "is PRESENT",
  [FieldStatus.NULL_VALUE]: "is NULL_VALUE (none was pushed, or what it is computed from has none)",
  [FieldStatus.NOT_FOUND]: "is NOT_FOUND (the entity has no row)",
  [FieldStatus.OUTSIDE_MAX_AGE]: "is OUTSIDE_MAX_AGE (its newest row is older than the ttl)",
};

type NumberArray = Record<number, number | bigint> & ArrayBufferView;

/** Typed arrays are little-endian wherever onnxruntime runs. */
const ARRAYS: Readonly<Record<FixedTensor["datatype"], new (length: number) => ArrayBufferView>> = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Float16Array,
  FP32: Float32Array,
  FP64: Float64Array,
};

/** The results of a read for `entities`, one a feature of the plan's service, as tensors. */
export function tensorsFromFeatures(
  plan: FeaturePlan,
  results: readonly FeatureVector[],
  entities: readonly JsonObject[],
): FeatureTensors {
  const faults = new Map<number, string[]>();
  const inputs = plan.inputs.map((input) => ({
    input,
    columns: input.features.map((feature) => readColumn(feature, results[feature.index]!, faults)),
  }));
  const failures = new Map<number, InvalidArgument>();
  const rows: number[] = [];
  for (let row = 0; row < entities.length; row++) {
    const texts = faults.get(row);
    if (texts === undefined) {
      rows.push(row);
    } else {
      failures.set(row, missing(row, entities[row]!, texts));
    }
  }
  return {
    tensors: inputs.map(({ input, columns }) => tensorOf(input, columns, rows)),
    rows,
    failures,
  };
}

/** The elements of a feature, by row. */
interface ElementColumn {
  readonly values: readonly FeatureValue[];
  readonly statuses: readonly FieldStatus[];
  readonly feature: TakenFeature;
}

/** Notes the rows that have no element. */
function readColumn(
  feature: TakenFeature,
  { values: column, statuses }: FeatureVector,
  faults: Map<number, string[]>,
): ElementColumn {
  const { fallback, type } = feature;
  const { fault } = feature.conversion;
  const values = column === undefined ? [] : valuesOf(column, type);
  for (let row = 0; row < statuses.length; row++) {
    const status = statuses[row]!;
    if (status === FieldStatus.PRESENT) {
      const text = fault?.(values[row]!);
      if (text !== undefined) {
        note(faults, row, `feature ${quote(feature.name)} ${text}`);
      }
    } else if (fallback === undefined) {
      const text = STATUS_TEXTS[status] ?? `has status ${status}`;
      note(faults, row, `feature ${quote(feature.name)} ${text} and has no default`);
    }
  }
  return { values, statuses, feature };
}

function note(faults: Map<number, string[]>, row: number, text: string): void {
  const texts = faults.get(row);
  if (texts === undefined) {
    faults.set(row, [text]);
  } else {
    texts.push(text);
  }
}

function missing(row: number, entity: JsonObject, texts: readonly string[]): InvalidArgument {
  const field = `entities[${row}]`;
  const shown = texts.slice(0, FEATURES_SHOWN_MAX).join("; ");
  const more = texts.length - FEATURES_SHOWN_MAX;
  const json = JSON.stringify(entity);
  const name = json.length > ENTITY_SHOWN_MAX ? `${json.slice(0, ENTITY_SHOWN_MAX)}…` : json;
  return new InvalidArgument(`${field} ${name}: ${shown}${more > 0 ? `; and ${more} more` : ""}.`, {
    reason: ErrorReason.FEATURE_MISSING,
    violations: texts
      .slice(0, FEATURES_SHOWN_MAX)
      .map((text) => ({ field, description: `${field} ${name}: ${text}` })),
  });
}

function tensorOf(
  { spec, shape }: PlannedInput,
  columns: readonly ElementColumn[],
  rows: readonly number[],
): Tensor {
  const { name, datatype } = spec;
  if (datatype === "BYTES") {
    const data: string[] = new Array(rows.length * columns.length);
    fill(data, columns, rows);
    return { name, datatype, shape: shape(rows.length), data };
  }
  const data = new ARRAYS[datatype](rows.length * columns.length);
  fill(data as NumberArray, columns, rows);
  return { name, datatype, shape: shape(rows.length), data: new Uint8Array(data.buffer) };
}

function fill(
  data: Record<number, TensorElement>,
  columns: readonly ElementColumn[],
  rows: readonly number[],
): void {
  const width = columns.length;
  for (let j = 0; j < width; j++) {
    const { values, statuses, feature } = columns[j]!;
    const { conversion, fallback } = feature;
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      data[i * width + j] =
        statuses[row] === FieldStatus.PRESENT ? conversion.convert(values[row]!) : fallback!;
    }
  }
}
