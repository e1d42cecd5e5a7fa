// An ApplyDefinitionsRequest in the domain's terms, each definition checked by itself and every
// fault noted with its place in the request.

import type { Duration } from "@bufbuild/protobuf/wkt";
import type { Entity } from "../../../gen/plinth/features/v1/entity_pb.js";
import type { ApplyDefinitionsRequest } from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import type {
  FeatureProjection,
  FeatureService,
} from "../../../gen/plinth/features/v1/feature_service_pb.js";
import type { BatchSource, FeatureView } from "../../../gen/plinth/features/v1/feature_view_pb.js";
import type { OnDemandFeatureView } from "../../../gen/plinth/features/v1/on_demand_feature_view_pb.js";
import { ValueType as TypeMessage } from "../../../gen/plinth/features/v1/value_pb.js";
import {
  entityName,
  featureServiceName,
  featureViewName,
  onDemandFeatureViewName,
} from "../../common/names.ts";
import { RESOURCE_ID, type RequestFaults, TAG_LIMITS } from "../../common/request-faults.ts";
import { EVENT_TIMESTAMP, type Field, type ValueType } from "../value.ts";
import { parseDefault } from "./default-value.ts";
import type { About, BatchSource as Source } from "./definitions.ts";
import { checkExpressions, isInputName } from "./expression.ts";
import { columnNameFault, fieldNameFault, type NameSet } from "./field-name.ts";
import type {
  WantedDefinitions,
  WantedEntity,
  WantedOnDemandView,
  WantedProjection,
  WantedService,
  WantedView,
} from "./wanted.ts";

const DEFINITIONS_MAX = 500;
const ENTITIES_MAX = 8;
const JOIN_KEYS_MAX = 8;
const FEATURES_MAX = 1000;
const ON_DEMAND_MAX = 100;
const PROJECTIONS_MAX = 100;
const MAPPINGS_MAX = 1000;
const OWNER_LENGTH_MAX = 200;
const COLUMN_LENGTH_MAX = 250;
/** Microseconds of times and spans have to stay exact in a double. */
const TTL_SECONDS_MAX = 100 * 366 * 86_400;
const TYPES = "BOOL, INT32, INT64, FLOAT, DOUBLE, STRING, BYTES, TIMESTAMP";
const KEY_TYPES: readonly ValueType[] = ["STRING", "INT32", "INT64", "TIMESTAMP"];

/** Where the faults go, and whose definitions they are. */
interface Reading {
  readonly workspace: string;
  readonly faults: RequestFaults;
}

/** The definitions wanted; to be used only when no fault was noted. */
export function fromApply(
  request: ApplyDefinitionsRequest,
  { workspace, faults }: Reading,
): WantedDefinitions {
  const reading = { workspace, faults };
  const each = <M extends { readonly name: string }, W extends { readonly id: string }>(
    field: string,
    messages: readonly M[],
    read: (reading: Reading, message: M, path: string) => W,
  ): W[] => {
    faults.check(
      messages.length <= DEFINITIONS_MAX,
      field,
      `has ${messages.length} definitions; at most ${DEFINITIONS_MAX} go in one call`,
    );
    const wanted = messages
      .slice(0, DEFINITIONS_MAX)
      .map((message, index) => read(reading, message, `${field}[${index}]`));
    for (const [index, { id }] of wanted.entries()) {
      const first = wanted.findIndex((other) => other.id === id);
      faults.check(first === index, `${field}[${index}].name`, `"${id}" is defined twice`);
    }
    return wanted;
  };
  return {
    entities: each("entities", request.entities, fromEntity),
    featureViews: each("feature_views", request.featureViews, fromView),
    onDemandFeatureViews: each(
      "on_demand_feature_views",
      request.onDemandFeatureViews,
      fromOnDemandView,
    ),
    featureServices: each("feature_services", request.featureServices, fromService),
  };
}

function fromEntity(reading: Reading, message: Entity, path: string): WantedEntity {
  const { faults } = reading;
  const id = idOf(reading, `${path}.name`, entityName.match(message.name)?.entity, message.name);
  checkWorkspace(reading, `${path}.name`, entityName.match(message.name));
  count(faults, `${path}.join_keys`, message.joinKeys.length, { min: 1, max: JOIN_KEYS_MAX });
  const names: NameSet = new Map();
  const joinKeys = message.joinKeys.map((field, index) => {
    const at = `${path}.join_keys[${index}]`;
    const joinKey = fieldOf(faults, at, field, names);
    const isKeyType = KEY_TYPES.includes(joinKey.type);
    faults.check(
      isKeyType || field.valueType === TypeMessage.UNSPECIFIED,
      `${at}.value_type`,
      `is ${joinKey.type}; a join key is one of ${KEY_TYPES.join(", ")}`,
    );
    return joinKey;
  });
  return { id, about: aboutOf(faults, message, path), joinKeys };
}

function fromView(reading: Reading, message: FeatureView, path: string): WantedView {
  const { faults } = reading;
  const parsed = featureViewName.match(message.name);
  const id = idOf(reading, `${path}.name`, parsed?.view, message.name);
  checkWorkspace(reading, `${path}.name`, parsed);
  count(faults, `${path}.entities`, message.entities.length, { min: 1, max: ENTITIES_MAX });
  const isUnique = new Set(message.entities).size === message.entities.length;
  faults.check(isUnique, `${path}.entities`, "names an entity twice");
  count(faults, `${path}.features`, message.features.length, { min: 1, max: FEATURES_MAX });
  const { online = true, offline = true } = message;
  faults.check(online || offline, `${path}.online`, "or offline must be true: rows go somewhere");
  const names: NameSet = new Map();
  return {
    id,
    about: aboutOf(faults, message, path),
    entities: [...message.entities],
    features: message.features.map((feature, index) => {
      const at = `${path}.features[${index}]`;
      const field = fieldOf(faults, at, feature, names);
      faults.description(`${at}.description`, feature.description);
      const parsedDefault = parseDefault(field.type, feature.defaultValue);
      const isKnown = feature.valueType !== TypeMessage.UNSPECIFIED;
      if ("fault" in parsedDefault && isKnown) {
        faults.note(`${at}.default_value`, parsedDefault.fault);
      }
      const defaultValue = "value" in parsedDefault ? parsedDefault.value : null;
      return { ...field, description: feature.description, defaultValue };
    }),
    ttlUs: ttlOf(faults, `${path}.ttl`, message.ttl),
    source: sourceOf(faults, `${path}.source`, message.source),
    online,
    offline,
  };
}

function fromOnDemandView(
  reading: Reading,
  message: OnDemandFeatureView,
  path: string,
): WantedOnDemandView {
  const { faults } = reading;
  const parsed = onDemandFeatureViewName.match(message.name);
  const id = idOf(reading, `${path}.name`, parsed?.view, message.name);
  checkWorkspace(reading, `${path}.name`, parsed);
  count(faults, `${path}.inputs`, message.inputs.length, { min: 0, max: ON_DEMAND_MAX });
  count(faults, `${path}.features`, message.features.length, { min: 1, max: ON_DEMAND_MAX });
  // A feature must not have the name of an input: in a service it would stand beside it.
  const names: NameSet = new Map();
  const inputs = message.inputs.slice(0, ON_DEMAND_MAX).map((input, index) => {
    const at = `${path}.inputs[${index}]`;
    const word = `"${input.name.slice(0, 100)}" is a word of CEL: give the feature an alias`;
    const field = fieldOf(faults, at, input, names);
    const isWord = fieldNameFault(input.name) === undefined && !isInputName(input.name);
    faults.check(!isWord, `${at}.name`, word);
    return field;
  });
  const features = message.features.slice(0, ON_DEMAND_MAX).map((feature, index) => {
    const at = `${path}.features[${index}]`;
    faults.description(`${at}.description`, feature.description);
    const { expression, description } = feature;
    return { ...fieldOf(faults, at, feature, names), expression, description };
  });
  const isTyped = [...message.inputs, ...message.features].every(
    ({ valueType }) => typeName(valueType) !== undefined,
  );
  if (isTyped) {
    for (const [index, fault] of checkExpressions(inputs, features).entries()) {
      faults.note(`${path}.features[${index}].expression`, fault);
    }
  }
  return { id, about: aboutOf(faults, message, path), inputs, features };
}

function fromService(reading: Reading, message: FeatureService, path: string): WantedService {
  const { faults } = reading;
  const parsed = featureServiceName.match(message.name);
  const id = idOf(reading, `${path}.name`, parsed?.service, message.name);
  checkWorkspace(reading, `${path}.name`, parsed);
  const { projections, loggingSampleRate } = message;
  count(faults, `${path}.projections`, projections.length, { min: 1, max: PROJECTIONS_MAX });
  faults.check(
    loggingSampleRate >= 0 && loggingSampleRate <= 1,
    `${path}.logging_sample_rate`,
    `is ${loggingSampleRate}; a share is a number from 0 to 1`,
  );
  return {
    id,
    about: aboutOf(faults, message, path),
    projections: projections
      .slice(0, PROJECTIONS_MAX)
      .map((projection, index) =>
        fromProjection(faults, projection, `${path}.projections[${index}]`),
      ),
    loggingSampleRate,
  };
}

function fromProjection(
  faults: RequestFaults,
  message: FeatureProjection,
  path: string,
): WantedProjection {
  const { featureView, version, features, joinKeys } = message;
  faults.id(`${path}.feature_view`, featureView, RESOURCE_ID);
  faults.check(
    version >= 0n && version <= Number.MAX_SAFE_INTEGER,
    `${path}.version`,
    `is ${version}; it is a version's number, or 0 for the newest`,
  );
  count(faults, `${path}.features`, features.length, { min: 0, max: FEATURES_MAX });
  for (const [joinKey, column] of Object.entries(joinKeys)) {
    const at = `${path}.join_keys[${JSON.stringify(joinKey.slice(0, 80))}]`;
    faults.note(at, columnNameFault(column));
  }
  return {
    view: featureView,
    version: Number(version),
    features: features.slice(0, FEATURES_MAX).map(({ feature, alias }, index) => {
      if (alias !== "") {
        faults.note(`${path}.features[${index}].alias`, fieldNameFault(alias));
      }
      return [feature, alias === "" ? feature : alias] as const;
    }),
    joinKeys: sortedPairs(joinKeys).filter(([joinKey, column]) => joinKey !== column),
  };
}

/** The id in a full name, or the text as it is; must be an id. */
function idOf(
  { faults }: Reading,
  field: string,
  parsed: string | undefined,
  name: string,
): string {
  const id = parsed ?? name;
  faults.id(field, id, RESOURCE_ID);
  return id;
}

function checkWorkspace(
  { workspace, faults }: Reading,
  field: string,
  parsed: { readonly workspace: string } | undefined,
): void {
  const isSame = parsed === undefined || parsed.workspace === workspace;
  faults.check(isSame, field, `is of workspace "${parsed?.workspace}", and parent "${workspace}"`);
}

function aboutOf(
  faults: RequestFaults,
  message: {
    readonly description: string;
    readonly owner: string;
    readonly tags: Readonly<Record<string, string>>;
  },
  path: string,
): About {
  const { description, owner, tags } = message;
  faults.description(`${path}.description`, description);
  faults.text(`${path}.owner`, owner, OWNER_LENGTH_MAX);
  faults.texts(`${path}.tags`, tags, TAG_LIMITS);
  return { description, owner, tags: sortedPairs(tags) };
}

/** A name and a type; `names` holds what stands beside it already. */
function fieldOf(
  faults: RequestFaults,
  path: string,
  message: { readonly name: string; readonly valueType: TypeMessage },
  names: NameSet,
): Field {
  const { name, valueType } = message;
  faults.note(`${path}.name`, fieldNameFault(name));
  const other = names.get(name.toLowerCase());
  const shown = JSON.stringify(name.slice(0, 100));
  faults.check(
    other === undefined,
    `${path}.name`,
    `${shown} is taken by ${JSON.stringify(other)}`,
  );
  names.set(name.toLowerCase(), name);
  const type = typeName(valueType);
  faults.check(type !== undefined, `${path}.value_type`, `must be one of ${TYPES}`);
  return { name, type: type ?? "BOOL" };
}

function typeName(type: TypeMessage): ValueType | undefined {
  const name = type === TypeMessage.UNSPECIFIED ? undefined : TypeMessage[type];
  return name as ValueType | undefined;
}

function ttlOf(faults: RequestFaults, field: string, ttl: Duration | undefined): number {
  const { seconds = 0n, nanos = 0 } = ttl ?? {};
  const fits =
    seconds >= 0n && nanos >= 0 && seconds <= TTL_SECONDS_MAX && nanos % 1000 === 0 && nanos < 1e9;
  faults.check(fits, field, "must be whole microseconds, not negative, at most 100 years");
  return Number(seconds) * 1e6 + nanos / 1000;
}

function sourceOf(faults: RequestFaults, path: string, source: BatchSource | undefined): Source {
  const {
    eventTimestampColumn = "",
    createdTimestampColumn = "",
    fieldMapping = {},
  } = source ?? {};
  faults.text(`${path}.event_timestamp_column`, eventTimestampColumn, COLUMN_LENGTH_MAX);
  faults.text(`${path}.created_timestamp_column`, createdTimestampColumn, COLUMN_LENGTH_MAX);
  const event = eventTimestampColumn === "" ? EVENT_TIMESTAMP : eventTimestampColumn;
  faults.check(
    event !== createdTimestampColumn,
    `${path}.created_timestamp_column`,
    "is the column of the event time: name another one, or none",
  );
  const mapping = sortedPairs(fieldMapping);
  count(faults, `${path}.field_mapping`, mapping.length, { min: 0, max: MAPPINGS_MAX });
  const targets = new Set<string>();
  for (const [column, field] of mapping) {
    const at = `${path}.field_mapping[${JSON.stringify(column.slice(0, 80))}]`;
    faults.check(column !== "", at, "names a column without a name");
    faults.text(at, column, COLUMN_LENGTH_MAX);
    faults.check(!targets.has(field), at, `is the second column for ${field.slice(0, 100)}`);
    targets.add(field);
  }
  return { eventTimestampColumn: event, createdTimestampColumn, fieldMapping: mapping };
}

function count(
  faults: RequestFaults,
  field: string,
  length: number,
  { min, max }: { readonly min: number; readonly max: number },
): void {
  faults.check(length >= min && length <= max, field, `has ${length} entries; ${min} to ${max}`);
}

function sortedPairs(map: Readonly<Record<string, string>>): (readonly [string, string])[] {
  return Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));
}
