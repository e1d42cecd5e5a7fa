// A captured batch as it came, to one that is checked whole and decoded by column. Whoever sends it
// is a service of ours, but ids, texts and times in it are callers': nothing is believed that is
// not checked, and nothing of a batch that is wrong anywhere is counted.

import type { CapturedBatch } from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import {
  deploymentName,
  featureServiceVersionName,
  featureViewName,
  modelVersionName,
} from "../../common/names.ts";
import type { TargetIdentity } from "../target.ts";
import { check, checkLength, refused, shown } from "./batch-faults.ts";
import type { DecodedBatch, DecodedInferences, DecodedStatuses } from "./decoded-batch.ts";
import { columnsOf } from "./name-columns.ts";
import { checkTensor, ELEMENT_BYTES } from "./tensor-values.ts";

const ROWS_MAX = 65_536;
/** Of all contents, texts and statuses together. */
const BYTES_MAX = 4 * 1024 * 1024;
const UID = /^[a-zA-Z0-9_-]{1,64}$/;
/** Longer ids are nobody's. */
const ID_LENGTH_MAX = 256;
const KEY_LENGTH_MAX = 1024;
const KEYS_MAX = 32;
const CLASS_LABELS_MAX = 10_000;
const LABEL_LENGTH_MAX = 256;
const FEATURE_LENGTH_MAX = 256;

/** Who sends, as the start of its stream says. */
export interface BatchSender {
  readonly sender: string;
  readonly acknowledged: number;
}

/** @throws InvalidArgument that says what is wrong with the batch. */
export function decodeBatch(
  batch: CapturedBatch,
  options: BatchSender & { readonly columnsMax: number },
): DecodedBatch {
  const { rows } = batch;
  const sequence = safeInteger("sequence", batch.sequence);
  check(sequence >= 1, "sequence", () => `is ${sequence}; the first one is 1`);
  check(rows >= 1 && rows <= ROWS_MAX, "rows", () => `is ${rows}; a batch has 1 to ${ROWS_MAX}`);
  const bytes = sizeOf(batch);
  check(bytes <= BYTES_MAX, "batch", () => `has ${bytes} bytes; at most ${BYTES_MAX} are taken`);
  const target = identityOf(batch);
  checkClassLabels(batch.classLabels);
  const { featureService } = batch;
  check(
    featureService === "" || featureServiceVersionName.match(featureService) !== undefined,
    "feature_service",
    () => `${shown(featureService)} does not look like ${featureServiceVersionName.pattern}`,
  );
  const inferences = inferencesOf(batch);
  const tensors = {
    inputs: batch.inputs.map((tensor, i) => checkTensor(`inputs[${i}]`, tensor, rows)),
    outputs: batch.outputs.map((tensor, i) => checkTensor(`outputs[${i}]`, tensor, rows)),
  };
  const { columnsMax, sender, acknowledged } = options;
  return {
    sender,
    sequence,
    acknowledged,
    target,
    shadow: batch.shadow,
    classLabels: batch.classLabels,
    featureService,
    rows,
    inferences,
    columns: columnsOf(tensors, { classLabels: batch.classLabels, columnsMax, rows }),
    statuses: statusesOf(batch, columnsMax),
    entityKeys: keysOf(batch),
    droppedRows: Number(batch.droppedRows < ROWS_SAFE ? batch.droppedRows : ROWS_SAFE),
  };
}

/** Sums of them stay exact. */
const ROWS_SAFE = 2n ** 40n;

/** About the memory that a batch takes once it is decoded. */
export function decodedBytes(batch: CapturedBatch): number {
  let bytes = 0;
  for (const { datatype, contents } of [...batch.inputs, ...batch.outputs]) {
    // Numbers become doubles; texts of a few bytes become objects.
    bytes += contents.length * (8 / (ELEMENT_BYTES.get(datatype) || 1));
  }
  return bytes + sizeOf(batch);
}

function identityOf(batch: CapturedBatch): TargetIdentity {
  const { deployment, deploymentUid, modelVersion, modelVersionUid } = batch;
  const { workspace } = deploymentName.parse(deployment, "deployment");
  const model = modelVersionName.parse(modelVersion, "model_version");
  check(
    workspace === model.workspace,
    "model_version",
    () => `is of workspace "${model.workspace}", its deployment of "${workspace}"`,
  );
  for (const [field, uid] of Object.entries({ deploymentUid, modelVersionUid })) {
    check(UID.test(uid), field, () => `${shown(uid)} does not match ${UID.source}`);
  }
  return { workspace, deployment, deploymentUid, modelVersion, modelVersionUid };
}

function checkClassLabels(labels: readonly string[]): void {
  const { length } = labels;
  check(length <= CLASS_LABELS_MAX, "class_labels", () => {
    return `has ${length} labels; at most ${CLASS_LABELS_MAX}`;
  });
  const long = labels.find((label) => label.length > LABEL_LENGTH_MAX);
  check(long === undefined, "class_labels", () => {
    return `has ${shown(long ?? "")}; labels have at most ${LABEL_LENGTH_MAX} characters`;
  });
}

function inferencesOf(batch: CapturedBatch): DecodedInferences {
  const { inferences } = batch;
  if (inferences === undefined) {
    throw refused("inferences", "is not set");
  }
  const count = inferences.rows.length;
  const sum = inferences.rows.reduce((total, rows) => total + rows, 0);
  check(sum === batch.rows && inferences.rows.every((rows) => rows >= 1), "inferences.rows", () => {
    return `are ${sum} rows in ${count} inferences; expected ${batch.rows}, each with at least 1`;
  });
  checkLength("inferences.event_times_us", inferences.eventTimesUs.length, {
    count,
    orNone: false,
  });
  checkLength("inferences.ids", inferences.ids.length, { count, orNone: true });
  checkLength("inferences.queue_ms", inferences.queueMs.length, { count, orNone: true });
  checkLength("inferences.compute_ms", inferences.computeMs.length, { count, orNone: true });
  checkLength("inferences.routing_keys", inferences.routingKeys.length, { count, orNone: true });
  const none = new Array<number>(count).fill(0);
  return {
    count,
    ids:
      inferences.ids.length === 0
        ? new Array<string>(count).fill("")
        : inferences.ids.map((id) => (id.length > ID_LENGTH_MAX ? "" : id)),
    rows: inferences.rows,
    eventUs: inferences.eventTimesUs.map((time) => safeInteger("inferences.event_times_us", time)),
    queueMs: inferences.queueMs.length === 0 ? none : inferences.queueMs,
    computeMs: inferences.computeMs.length === 0 ? none : inferences.computeMs,
  };
}

function statusesOf(batch: CapturedBatch, featuresMax: number): readonly DecodedStatuses[] {
  const field = "feature_statuses";
  const { length } = batch.featureStatuses;
  check(length <= featuresMax, field, () => `has ${length} features; at most ${featuresMax}`);
  const features = new Set<string>();
  return batch.featureStatuses.map(({ feature, featureView, statuses }) => {
    check(feature !== "" && feature.length <= FEATURE_LENGTH_MAX, `${field}.feature`, () => {
      return `${shown(feature)} does not have 1 to ${FEATURE_LENGTH_MAX} characters`;
    });
    check(!features.has(feature), field, () => `has ${shown(feature)} twice`);
    features.add(feature);
    check(
      featureView === "" || featureViewName.match(featureView) !== undefined,
      `${field}.feature_view`,
      () => `${shown(featureView)} does not look like ${featureViewName.pattern}`,
    );
    checkLength(`${field}.statuses`, statuses.length, { count: batch.rows, orNone: false });
    // Views into the message would keep all of it.
    return { feature, featureView, statuses: new Uint8Array(statuses) };
  });
}

function keysOf(batch: CapturedBatch): DecodedBatch["entityKeys"] {
  const { length } = batch.entityKeys;
  check(length <= KEYS_MAX, "entity_keys", () => `has ${length} join keys; at most ${KEYS_MAX}`);
  return batch.entityKeys.map(({ joinKey, values }) => {
    check(joinKey !== "" && joinKey.length <= FEATURE_LENGTH_MAX, "entity_keys.join_key", () => {
      return `${shown(joinKey)} does not have 1 to ${FEATURE_LENGTH_MAX} characters`;
    });
    checkLength("entity_keys.values", values.length, { count: batch.rows, orNone: false });
    const bounded = values.map((value) => (value.length > KEY_LENGTH_MAX ? "" : value));
    return { joinKey, values: bounded };
  });
}

function sizeOf(batch: CapturedBatch): number {
  const texts = (list: readonly string[]) => list.reduce((sum, text) => sum + text.length, 0);
  let bytes = texts(batch.classLabels) + texts(batch.inferences?.ids ?? []);
  bytes += texts(batch.inferences?.routingKeys ?? []);
  for (const { contents, columns } of [...batch.inputs, ...batch.outputs]) {
    bytes += contents.length + texts(columns);
  }
  for (const { statuses } of batch.featureStatuses) {
    bytes += statuses.length;
  }
  for (const { values } of batch.entityKeys) {
    bytes += texts(values);
  }
  return bytes;
}

function safeInteger(field: string, value: bigint): number {
  const number = Number(value);
  check(Number.isSafeInteger(number), field, () => `is ${value}; expected a safe integer`);
  return number;
}
