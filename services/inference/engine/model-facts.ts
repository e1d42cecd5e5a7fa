// What the registry's record of a model version means for serving it. Pure.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type ModelVersion,
  ModelVersion_State,
} from "../../../gen/plinth/registry/v1/model_version_pb.js";
import type {
  Signature as ProtoSignature,
  TensorSpec as ProtoTensorSpec,
} from "../../../gen/plinth/registry/v1/signature_pb.js";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import { modelVersionName } from "../../common/names.ts";
import { DATATYPES, type Datatype, type Signature, type TensorSpec } from "../tensor.ts";

/** What serving needs to know of a version. */
export interface ModelFacts {
  /** `workspaces/w/models/m/versions/3` */
  readonly modelVersion: string;
  /** "3" */
  readonly version: string;
  readonly uid: string;
  /** Key of the bytes in the blob store. */
  readonly digest: string;
  readonly signature: Signature;
  readonly batched: boolean;
  readonly columns: readonly string[];
  readonly classLabels: readonly string[];
  /** `workspaces/w/featureServices/f/versions/2`, where it reads features. */
  readonly featureService: string | undefined;
}

/** @throws FailedPrecondition (STATE_FORBIDS) when the version is not one that can be served. */
export function toModelFacts(version: ModelVersion): ModelFacts {
  const { signature, artifact } = version;
  const isReady = version.state === ModelVersion_State.READY;
  if (!isReady || signature === undefined || artifact === undefined) {
    const state = ModelVersion_State[version.state];
    throw new FailedPrecondition(
      `${version.name} is ${state} in the registry; only a READY version can be served.`,
      { reason: ErrorReason.STATE_FORBIDS },
    );
  }
  return {
    modelVersion: version.name,
    version: modelVersionName.parse(version.name, "model_version.name").version,
    uid: version.uid,
    digest: artifact.sha256,
    signature: {
      inputs: signature.inputs.map((spec) => toTensorSpec(spec, version.name)),
      outputs: signature.outputs.map((spec) => toTensorSpec(spec, version.name)),
    },
    batched: isBatched(signature),
    columns: version.columns,
    classLabels: version.classLabels,
    featureService: version.featureService === "" ? undefined : version.featureService,
  };
}

/**
 * Whether dimension 0 is the batch: validation answered rows together as it did each alone, and the
 * dimension is open in every input and output.
 */
export function isBatched(signature: ProtoSignature): boolean {
  const specs = [...signature.inputs, ...signature.outputs];
  return signature.batchable && specs.every((spec) => spec.shape[0] === -1n);
}

function toTensorSpec(spec: ProtoTensorSpec, modelVersion: string): TensorSpec {
  if (!DATATYPES.includes(spec.datatype as Datatype)) {
    throw new FailedPrecondition(
      `${modelVersion} has a tensor "${spec.name}" of datatype "${spec.datatype}"; ` +
        `this server knows ${DATATYPES.join(", ")}.`,
      { reason: ErrorReason.UNSUPPORTED },
    );
  }
  return {
    name: spec.name,
    datatype: spec.datatype as Datatype,
    shape: spec.shape.map(Number),
    ...(spec.anyRank && { anyRank: true }),
  };
}
