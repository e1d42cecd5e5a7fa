// Definitions to messages. Pure and total.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { EntitySchema } from "../../../gen/plinth/features/v1/entity_pb.js";
import {
  DefinitionChange_Action,
  type DefinitionChangeSchema,
} from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import type { FeatureServiceSchema } from "../../../gen/plinth/features/v1/feature_service_pb.js";
import type { FeatureViewSchema } from "../../../gen/plinth/features/v1/feature_view_pb.js";
import type { OnDemandFeatureViewSchema } from "../../../gen/plinth/features/v1/on_demand_feature_view_pb.js";
import { ValueType as TypeMessage } from "../../../gen/plinth/features/v1/value_pb.js";
import {
  entityName,
  featureServiceName,
  featureViewName,
  onDemandFeatureViewName,
} from "../../common/names.ts";
import { EVENT_TIMESTAMP, type Field } from "../value.ts";
import { toDefault } from "./default-value.ts";
import type {
  About,
  BatchSource,
  Definitions,
  Entity,
  FeatureService,
  FeatureView,
  OnDemandFeatureView,
  Versioned,
} from "./definitions.ts";
import { planVersion } from "./resolve.ts";
import type { DefinitionChange } from "./wanted.ts";

/** Whose definition it is, and its id. */
export interface Place {
  readonly workspace: string;
  readonly id: string;
}

/** A field as callers see it. */
function toField({ name, type }: Field): {
  readonly name: string;
  readonly valueType: TypeMessage;
} {
  return { name, valueType: TypeMessage[type] };
}

/** An entity as callers see it. */
export function toEntity(place: Place, entity: Entity): MessageInitShape<typeof EntitySchema> {
  return {
    name: entityName.format({ workspace: place.workspace, entity: place.id }),
    uid: entity.uid,
    createTime: timestampFromDate(entity.createTime),
    updateTime: timestampFromDate(entity.updateTime),
    joinKeys: entity.joinKeys.map(toField),
    ...aboutOf(entity.about),
  };
}

/** A version of a view as callers see it. */
export function toFeatureView(
  place: Place,
  definition: Versioned<FeatureView>,
  version: FeatureView,
): MessageInitShape<typeof FeatureViewSchema> {
  const { ttlUs, source } = version;
  return {
    name: featureViewName.format({ workspace: place.workspace, view: place.id }),
    ...headOf(definition, version),
    entities: [...version.entities],
    features: version.features.map((feature) => {
      const defaultValue = toDefault(feature.type, feature.defaultValue);
      return {
        ...toField(feature),
        description: feature.description,
        ...(defaultValue === undefined ? {} : { defaultValue }),
      };
    }),
    ...(ttlUs === 0 ? {} : { ttl: durationOfUs(ttlUs) }),
    ...aboutOf(definition.about),
    ...(isPlain(source) ? {} : { source: toSource(source) }),
    online: version.online,
    offline: version.offline,
  };
}

/** A version of an on-demand view as callers see it. */
export function toOnDemandFeatureView(
  place: Place,
  definition: Versioned<OnDemandFeatureView>,
  version: OnDemandFeatureView,
): MessageInitShape<typeof OnDemandFeatureViewSchema> {
  return {
    name: onDemandFeatureViewName.format({ workspace: place.workspace, view: place.id }),
    ...headOf(definition, version),
    inputs: version.inputs.map(toField),
    features: version.features.map((feature) => ({
      ...toField(feature),
      expression: feature.expression,
      description: feature.description,
    })),
    ...aboutOf(definition.about),
  };
}

/** A version of a service as callers see it, with what it takes and gives. */
export function toFeatureService(
  definitions: Definitions,
  of: {
    readonly id: string;
    readonly service: Versioned<FeatureService>;
    readonly version: FeatureService;
  },
): MessageInitShape<typeof FeatureServiceSchema> {
  const { id, service, version } = of;
  const workspace = definitions._id;
  const plan = planVersion(definitions, { workspace, id, service, version });
  return {
    name: featureServiceName.format({ workspace, service: id }),
    ...headOf(service, version),
    projections: version.projections.map((projection) => ({
      featureView: projection.view,
      version: BigInt(projection.version),
      features: projection.features.map(([feature, output]) => ({
        feature,
        alias: output === feature ? "" : output,
      })),
      joinKeys: Object.fromEntries(projection.joinKeys),
    })),
    ...aboutOf(service.about),
    loggingSampleRate: service.loggingSampleRate ?? 0,
    requestColumns: plan.requestColumns.map(toField),
    outputFeatures: plan.outputs.map((output) => {
      const defaultValue = toDefault(output.type, output.defaultValue);
      return {
        ...toField(output),
        featureView: output.view,
        version: BigInt(output.viewVersion),
        ...(defaultValue === undefined ? {} : { defaultValue }),
      };
    }),
  };
}

const ACTIONS = {
  create: DefinitionChange_Action.CREATE,
  update: DefinitionChange_Action.UPDATE,
  unchanged: DefinitionChange_Action.UNCHANGED,
} as const;

/** A change of a plan as callers see it. */
export function toChange(
  workspace: string,
  change: DefinitionChange,
): MessageInitShape<typeof DefinitionChangeSchema> {
  return {
    name: nameOf(workspace, change),
    action: ACTIONS[change.action],
    version: BigInt(change.version),
    differences: [...change.differences],
  };
}

/** The full name of what a change is of. */
export function nameOf(
  workspace: string,
  { kind, id }: Pick<DefinitionChange, "kind" | "id">,
): string {
  switch (kind) {
    case "entities":
      return entityName.format({ workspace, entity: id });
    case "featureViews":
      return featureViewName.format({ workspace, view: id });
    case "onDemandFeatureViews":
      return onDemandFeatureViewName.format({ workspace, view: id });
    case "featureServices":
      return featureServiceName.format({ workspace, service: id });
  }
}

function headOf(
  definition: { readonly uid: string; readonly createTime: Date },
  version: { readonly number: number; readonly createTime: Date },
): { uid: string; createTime: Timestamp; updateTime: Timestamp; version: bigint } {
  return {
    uid: definition.uid,
    createTime: timestampFromDate(definition.createTime),
    updateTime: timestampFromDate(version.createTime),
    version: BigInt(version.number),
  };
}

function aboutOf({ description, owner, tags }: About): {
  description: string;
  owner: string;
  tags: Record<string, string>;
} {
  return { description, owner, tags: Object.fromEntries(tags) };
}

function isPlain(source: BatchSource): boolean {
  return (
    source.eventTimestampColumn === EVENT_TIMESTAMP &&
    source.createdTimestampColumn === "" &&
    source.fieldMapping.length === 0
  );
}

function toSource(
  source: BatchSource,
): NonNullable<MessageInitShape<typeof FeatureViewSchema>["source"]> {
  const { eventTimestampColumn, createdTimestampColumn, fieldMapping } = source;
  return {
    eventTimestampColumn,
    createdTimestampColumn,
    fieldMapping: Object.fromEntries(fieldMapping),
  };
}

function durationOfUs(us: number): { seconds: bigint; nanos: number } {
  return { seconds: BigInt(Math.floor(us / 1e6)), nanos: (us % 1e6) * 1000 };
}
