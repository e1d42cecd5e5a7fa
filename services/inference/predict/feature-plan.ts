// How a version's tensors are made of its feature service: worked out once, then used for every
// request. A version that cannot be served so is told why, in full, before any feature is read.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  FeatureService,
  OutputFeature,
} from "../../../gen/plinth/features/v1/feature_service_pb.js";
import type { ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import type { Servable } from "../engine.ts";
import { quote, quoteAll, showShape } from "../protocol/violations.ts";
import type { TensorSpec } from "../tensor.ts";
import { type RequestColumn, typeName } from "./entity-columns.ts";
import { type Conversion, conversionTo, type TensorElement } from "./feature-conversion.ts";
import { valueFromJson } from "./feature-values.ts";
import { jsonOf } from "./json-values.ts";

/** A feature that the model takes. */
export interface TakenFeature {
  /** Its place in what the service gives. */
  readonly index: number;
  readonly name: string;
  readonly type: ValueType;
  readonly conversion: Conversion;
  /** What the tensor gets where there is no value; undefined: the row cannot be predicted. */
  readonly fallback: TensorElement | undefined;
}

/** A tensor and the features it is made of, one a column. */
export interface PlannedInput {
  readonly spec: TensorSpec;
  readonly features: readonly TakenFeature[];
  /** Its shape with so many rows. */
  shape(rows: number): readonly number[];
}

/** What to ask the features service for, and what becomes of its answer. */
export interface FeaturePlan {
  /** `workspaces/w/featureServices/f/versions/2` */
  readonly featureService: string;
  readonly requestColumns: readonly RequestColumn[];
  /** Names of what the service gives, in its order. */
  readonly outputs: readonly string[];
  /** One a tensor, in the order of the signature. */
  readonly inputs: readonly PlannedInput[];
}

/**
 * @throws FailedPrecondition that names every column or input which the service does not give, or
 *   gives as something that the tensor cannot hold.
 */
export function planFeatures(servable: Servable, service: FeatureService): FeaturePlan {
  const faults: string[] = [];
  const inputs = servable.signature.inputs.map((spec) =>
    planInput({ spec, servable, service, faults }),
  );
  if (faults.length > 0) {
    const { modelVersion, featureService = service.name } = servable;
    const description = `${faults.join("; ")}. Register a version whose feature service fits it`;
    throw new FailedPrecondition(
      `${modelVersion} cannot be predicted from ${featureService}: ${description}.`,
      {
        reason: ErrorReason.STATE_FORBIDS,
        violations: [{ type: "FEATURE_SERVICE", subject: modelVersion, description }],
      },
    );
  }
  return {
    featureService: servable.featureService ?? service.name,
    requestColumns: service.requestColumns.map(({ name, valueType }) => ({
      name,
      type: valueType,
    })),
    outputs: service.outputFeatures.map(({ name }) => name),
    inputs,
  };
}

interface Planning {
  readonly spec: TensorSpec;
  readonly servable: Servable;
  readonly service: FeatureService;
  readonly faults: string[];
}

function planInput(planning: Planning): PlannedInput {
  const { spec, servable, faults } = planning;
  const { columns, batched, signature } = servable;
  if (columns.length > 0 && signature.inputs.length === 1) {
    const features = columns.flatMap((name) => take(name, "column", planning));
    return { spec, features, shape: (rows) => [rows, columns.length] };
  }
  const perRow = batched ? spec.shape.slice(1) : spec.shape;
  if (perRow.some((dimension) => dimension > 1)) {
    faults.push(
      `its input ${quote(spec.name)} takes ${showShape(perRow)} a row and a feature is one value: ` +
        "give the version columns, one a value",
    );
  }
  return {
    spec,
    features: take(spec.name, "input", planning),
    shape: (rows) => spec.shape.map((_, axis) => (axis === 0 ? rows : 1)),
  };
}

/** The feature of that name, or none and a fault. */
function take(name: string, noun: "column" | "input", planning: Planning): TakenFeature[] {
  const { spec, service, faults } = planning;
  const index = service.outputFeatures.findIndex((output) => output.name === name);
  const output = service.outputFeatures[index];
  if (output === undefined) {
    const given = quoteAll(service.outputFeatures.map((one) => one.name));
    faults.push(`its ${noun} ${quote(name)} is not a feature of the service, which gives ${given}`);
    return [];
  }
  const type = output.valueType;
  const found = conversionTo(type, spec.datatype);
  if ("becomes" in found) {
    faults.push(
      `the feature ${quote(name)} is ${typeName(type)} and the input ${quote(spec.name)} is ` +
        `${spec.datatype}: ${typeName(type)} may become ${found.becomes}`,
    );
    return [];
  }
  const { conversion } = found;
  const fallback = fallbackOf(output, conversion);
  if (typeof fallback === "object") {
    faults.push(`the default of the feature ${quote(name)} ${fallback.fault}`);
    return [];
  }
  return [{ index, name, type, conversion, fallback }];
}

function fallbackOf(
  { defaultValue, valueType }: OutputFeature,
  conversion: Conversion,
): TensorElement | undefined | { readonly fault: string } {
  const json = defaultValue === undefined ? null : jsonOf(defaultValue);
  if (json === null) {
    return undefined;
  }
  const result = valueFromJson(json, valueType);
  const fault = result.fault ?? conversion.fault?.(result.value);
  return fault === undefined && result.fault === undefined
    ? conversion.convert(result.value)
    : { fault: fault ?? "" };
}
