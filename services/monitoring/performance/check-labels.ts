// Labels and entities of requests, checked before anything is stored: every fault at once, by its
// place in the request.

import type { EntityKey, GroundTruth } from "../../../gen/plinth/monitoring/v1/performance_pb.js";
import { RequestFaults } from "../../common/request-faults.ts";
import { classKey } from "./class-key.ts";
import type { NewLabel } from "./label-book.ts";
import type { DeploymentFacts } from "./prediction-collections.ts";
import {
  type EntityKeys,
  entityKey,
  ID_BYTES_MAX,
  inferenceKey,
  JOIN_KEYS_MAX,
  partKeys,
} from "./reference.ts";

const LABELS_MAX = 10_000;
const ENTITIES_MAX = 1_000;
const NAME_BYTES_MAX = 512;
const LABEL_BYTES_MAX = 4096;
/** Classes that a message names. */
const CLASSES_SHOWN = 10;

/** What is known of the deployment; undefined: nothing yet, so any label may be right. */
export type LabelKnowledge =
  | Pick<DeploymentFacts, "tasks" | "classLabels" | "openClasses">
  | undefined;

/**
 * The labels of a request as they are to be stored. `deployment` is its key.
 * @throws InvalidArgument that names every fault, "labels[3].inference_id must ...".
 */
export function checkLabels(
  labels: readonly GroundTruth[],
  deployment: string,
  knowledge: LabelKnowledge,
): NewLabel[] {
  const faults = new RequestFaults();
  const count = labels.length;
  const fits = count >= 1 && count <= LABELS_MAX;
  faults.check(fits, "labels", `has ${count} entries; send 1 to ${LABELS_MAX}`);
  // What is too long is not looked through: its faults would be as many.
  const checked = (fits ? labels : []).map((label, at) => {
    const field = `labels[${at}]`;
    const key = checkKey(label, { field, deployment, faults });
    return { ...key, value: checkValue(label, { field, knowledge, faults }) };
  });
  faults.done();
  return checked;
}

/** The entities of a request. @throws InvalidArgument that names every fault. */
export function checkEntities(entities: readonly EntityKey[]): EntityKeys[] {
  const faults = new RequestFaults();
  const count = entities.length;
  const fits = count >= 1 && count <= ENTITIES_MAX;
  faults.check(fits, "entities", `has ${count} entries; send 1 to ${ENTITIES_MAX}`);
  for (const [at, entity] of (fits ? entities : []).entries()) {
    checkEntity(entity.joinKeys, `entities[${at}].join_keys`, faults);
  }
  faults.done();
  return entities.map(({ joinKeys }) => joinKeys);
}

function checkKey(
  label: GroundTruth,
  {
    field,
    deployment,
    faults,
  }: { readonly field: string; readonly deployment: string; readonly faults: RequestFaults },
): Omit<NewLabel, "value"> {
  const { key, row } = label;
  switch (key.case) {
    case "inferenceId": {
      checkText(key.value, { field: `${field}.inference_id`, bytesMax: ID_BYTES_MAX, faults });
      const by = inferenceKey(deployment, key.value);
      return { _id: `${by}/${row}`, by, time: 0, row };
    }
    case "entity": {
      const keys = key.value.joinKeys;
      const isFine = checkEntity(keys, `${field}.entity.join_keys`, faults);
      const time = checkTime(label, `${field}.event_time`, faults);
      const by = isFine ? entityKey(deployment, keys) : "";
      const parts = isFine ? partKeys(deployment, keys) : [];
      return { _id: `${by}/@${time}`, by, time, row: 0, ...(parts.length > 0 ? { parts } : {}) };
    }
    case undefined:
      faults.add({ field: `${field}.inference_id`, description: "must be set, or entity" });
      return { _id: "", by: "", time: 0, row };
  }
}

function checkEntity(
  keys: Readonly<Record<string, string>>,
  field: string,
  faults: RequestFaults,
): boolean {
  const entries = Object.entries(keys);
  const fits = entries.length >= 1 && entries.length <= JOIN_KEYS_MAX;
  faults.check(fits, field, `has ${entries.length} entries; send 1 to ${JOIN_KEYS_MAX}`);
  const areFine = (fits ? entries : []).map(([name, value]) => {
    const place = `${field}[${JSON.stringify(name.slice(0, 80))}]`;
    const isName = name !== "" && Buffer.byteLength(name) <= NAME_BYTES_MAX;
    faults.check(isName, place, `must have a name of 1 to ${NAME_BYTES_MAX} bytes`);
    return checkText(value, { field: place, bytesMax: ID_BYTES_MAX, faults }) && isName;
  });
  return fits && areFine.every(Boolean);
}

function checkText(
  text: string,
  {
    field,
    bytesMax,
    faults,
  }: { readonly field: string; readonly bytesMax: number; readonly faults: RequestFaults },
): boolean {
  const bytes = text.length > bytesMax ? text.length : Buffer.byteLength(text);
  const fits = bytes >= 1 && bytes <= bytesMax;
  const wrong = bytes === 0 ? "is empty" : `has ${bytes} bytes or more; at most ${bytesMax}`;
  faults.check(fits, field, wrong);
  return fits;
}

function checkTime(label: GroundTruth, field: string, faults: RequestFaults): number {
  const { eventTime } = label;
  if (eventTime === undefined) {
    faults.add({ field, description: "must be set: which of the entity's predictions is meant" });
    return 0;
  }
  const micros = Number(eventTime.seconds) * 1e6 + Math.floor(eventTime.nanos / 1000);
  const isPart = eventTime.nanos >= 0 && eventTime.nanos < 1e9;
  const isTime = isPart && Number.isSafeInteger(micros);
  faults.check(isTime, field, "is no time whose microseconds since 1970 can be counted");
  return isTime ? micros : 0;
}

function checkValue(
  { value }: GroundTruth,
  {
    field,
    knowledge,
    faults,
  }: {
    readonly field: string;
    readonly knowledge: LabelKnowledge;
    readonly faults: RequestFaults;
  },
): string | number {
  switch (value.case) {
    case "label": {
      const bytes = Buffer.byteLength(value.value);
      const fits = bytes <= LABEL_BYTES_MAX;
      faults.check(fits, `${field}.label`, `has ${bytes} bytes; at most ${LABEL_BYTES_MAX}`);
      faults.note(`${field}.label`, fits ? labelFault(value.value, knowledge) : undefined);
      return fits ? classKey(value.value) : "";
    }
    case "number": {
      const isNumber = Number.isFinite(value.value);
      faults.check(isNumber, `${field}.number`, `is ${value.value}; a label is a finite number`);
      faults.note(`${field}.number`, isNumber ? numberFault(value.value, knowledge) : undefined);
      return value.value;
    }
    case undefined:
      faults.add({ field: `${field}.label`, description: "must be set, or number" });
      return "";
  }
}

/** A text can be the label of a number where it is one. */
function labelFault(label: string, knowledge: LabelKnowledge): string | undefined {
  const isRegression = knowledge?.tasks.length === 1 && knowledge.tasks[0] === "regression";
  const isNumber = label.trim() !== "" && Number.isFinite(Number(label));
  return isRegression && !isNumber
    ? `is ${JSON.stringify(label.slice(0, 80))}, but the deployment predicts numbers; send number`
    : undefined;
}

/** A number can be the label of a class where its text is one. */
function numberFault(number: number, knowledge: LabelKnowledge): string | undefined {
  const isClassifier = knowledge?.tasks.length === 1 && knowledge.tasks[0] === "classification";
  if (!isClassifier || knowledge.openClasses || knowledge.classLabels.includes(String(number))) {
    return undefined;
  }
  const { classLabels } = knowledge;
  const shown = classLabels.slice(0, CLASSES_SHOWN).map((label) => JSON.stringify(label));
  const rest = classLabels.length - shown.length;
  return (
    `is ${number}, but the deployment predicts one of ${shown.join(", ")}` +
    `${rest > 0 ? ` and ${rest} more` : ""}; send label`
  );
}
