// How a deployment is monitored, as a file of settings says it: the short forms written out, every
// fault noted with its place.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ColumnDriftOptionsSchema,
  type MonitorSchema,
  TaskType,
} from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import { didYouMean } from "../common/nearest-name.ts";
import {
  durationValueOf,
  type Fields,
  fieldsOf,
  flagOf,
  type Keys,
  missing,
  numberOf,
  textOf,
  textsOf,
} from "./features-fields.ts";
import { type Entry, type Fault, type Tree, whatCame } from "./features-tree.ts";
import { METHODS, methodOf } from "./monitor-words.ts";

/** What of a monitor a file says. */
export type MonitorPart = Pick<
  MessageInitShape<typeof MonitorSchema>,
  "window" | "allowedLateness" | "baselineLearning" | "drift" | "task" | "retention"
>;

const KEYS: Keys = {
  window: [],
  allowedLateness: ["lateness"],
  baselineLearning: ["learning"],
  drift: [],
  task: [],
  retention: [],
};

/** What `settings --json` shows and a file need not say. */
const SET_BY_SERVER = ["name", "createTime", "updateTime", "etag"];

const LEARNING: Keys = { rows: [], disabled: [] };
const DRIFT: Keys = { method: [], columns: [], datasetShare: [] };
const COLUMN: Keys = { method: [], threshold: [], sizeMin: [], ignored: [] };
const TASK: Keys = {
  type: [],
  positiveClass: [],
  output: [],
  scoreThreshold: [],
  segmentColumns: ["segments"],
};
const RETENTION: Keys = { windows: [], days: [], predictions: [] };

const TASKS: Readonly<Record<string, TaskType>> = {
  classification: TaskType.CLASSIFICATION,
  regression: TaskType.REGRESSION,
};

/** The settings of a document; only what it names is there. */
export function settingsOf(tree: Tree, faults: Fault[]): MonitorPart {
  const what = { what: "a monitor", keys: KEYS, ignored: SET_BY_SERVER };
  const fields = fieldsOf(tree, what, faults) ?? new Map<string, Entry>();
  const window = durationValueOf(fields.get("window"), faults);
  const allowedLateness = durationValueOf(fields.get("allowedLateness"), faults);
  const learning = part(fields, "baselineLearning", LEARNING, faults);
  const drift = part(fields, "drift", DRIFT, faults);
  const task = part(fields, "task", TASK, faults);
  const retention = part(fields, "retention", RETENTION, faults);
  return {
    ...(window === undefined ? {} : { window }),
    ...(allowedLateness === undefined ? {} : { allowedLateness }),
    ...(learning === undefined ? {} : { baselineLearning: learningOf(learning, faults) }),
    ...(drift === undefined ? {} : { drift: driftOf(drift, faults) }),
    ...(task === undefined ? {} : { task: taskOf(task, faults) }),
    ...(retention === undefined ? {} : { retention: retentionOf(retention, faults) }),
  };
}

function part(fields: Fields, key: string, keys: Keys, faults: Fault[]): Fields | undefined {
  const entry = fields.get(key);
  return entry && fieldsOf(entry.value, { what: entry.key, keys }, faults);
}

function learningOf(fields: Fields, faults: Fault[]) {
  return {
    rows: BigInt(numberOf(fields.get("rows"), { whole: true }, faults) ?? 0),
    disabled: flagOf(fields.get("disabled"), faults) ?? false,
  };
}

function driftOf(fields: Fields, faults: Fault[]) {
  return {
    method: methodAt(fields.get("method"), faults),
    columns: columnsOf(fields.get("columns"), faults),
    datasetShare: numberOf(fields.get("datasetShare"), { whole: false }, faults) ?? 0,
  };
}

/** {distance: {method: psi}} or [{column: distance, method: psi}]. */
function columnsOf(entry: Entry | undefined, faults: Fault[]): ColumnInit[] {
  if (entry === undefined) {
    return [];
  }
  const { value, key } = entry;
  if (value.kind === "map") {
    return value.entries.flatMap((one) => {
      const fields = fieldsOf(one.value, { what: one.key, keys: COLUMN }, faults);
      return fields === undefined ? [] : [columnOf(one.key, fields, faults)];
    });
  }
  if (value.kind === "scalar") {
    const came = whatCame(value);
    return missing(value.at, `${key}: expected {column: {method: ...}}, got ${came}`, faults) ?? [];
  }
  return value.items.flatMap((item) => {
    const what = { what: `an item of ${key}`, keys: { column: ["name"], ...COLUMN } };
    const fields = fieldsOf(item, what, faults);
    const name = textOf(fields?.get("column"), faults);
    if (fields !== undefined && !fields.has("column")) {
      missing(item.at, `${key}: an item has no column`, faults);
    }
    return fields === undefined || name === undefined ? [] : [columnOf(name, fields, faults)];
  });
}

type ColumnInit = MessageInitShape<typeof ColumnDriftOptionsSchema>;

function columnOf(column: string, fields: Fields, faults: Fault[]): ColumnInit {
  const threshold = numberOf(fields.get("threshold"), { whole: false }, faults);
  const sizeMin = numberOf(fields.get("sizeMin"), { whole: true }, faults);
  return {
    column,
    method: methodAt(fields.get("method"), faults),
    ignored: flagOf(fields.get("ignored"), faults) ?? false,
    ...(threshold === undefined ? {} : { threshold }),
    ...(sizeMin === undefined ? {} : { sizeMin: BigInt(sizeMin) }),
  };
}

function methodAt(entry: Entry | undefined, faults: Fault[]) {
  const said = textOf(entry, faults)?.replace(/^DRIFT_METHOD_/, "");
  if (entry === undefined || said === undefined || said === "UNSPECIFIED") {
    return 0;
  }
  const method = methodOf(said);
  if (method === undefined) {
    const hint = didYouMean(said, METHODS) || ` Methods are ${METHODS.join(", ")}, auto`;
    missing(entry.value.at, `${entry.key}: there is no method "${said}".${hint}`, faults);
  }
  return method ?? 0;
}

function taskOf(fields: Fields, faults: Fault[]) {
  return {
    type: taskTypeAt(fields.get("type"), faults),
    positiveClass: textOf(fields.get("positiveClass"), faults) ?? "",
    output: textOf(fields.get("output"), faults) ?? "",
    scoreThreshold: numberOf(fields.get("scoreThreshold"), { whole: false }, faults) ?? 0,
    segmentColumns: textsOf(fields.get("segmentColumns"), faults) ?? [],
  };
}

function taskTypeAt(entry: Entry | undefined, faults: Fault[]): TaskType {
  const said = textOf(entry, faults);
  const word = said?.toLowerCase().replace(/^task_type_/, "") ?? "unspecified";
  const type = TASKS[word];
  if (type === undefined && entry !== undefined && !["unspecified", "auto"].includes(word)) {
    const known = Object.keys(TASKS).join(", ");
    missing(entry.value.at, `${entry.key}: expected ${known} or auto, got "${said}"`, faults);
  }
  return type ?? TaskType.UNSPECIFIED;
}

function retentionOf(fields: Fields, faults: Fault[]) {
  const windows = durationValueOf(fields.get("windows"), faults);
  const days = durationValueOf(fields.get("days"), faults);
  const predictions = durationValueOf(fields.get("predictions"), faults);
  return {
    ...(windows === undefined ? {} : { windows }),
    ...(days === undefined ? {} : { days }),
    ...(predictions === undefined ? {} : { predictions }),
  };
}
