// Makes definitions so as they are wanted, all or none: works out what changes, says everything that
// is wrong with it, and refuses what would break a feature service. Pure; the order of definitions
// in the request does not matter.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  FailedPrecondition,
  type PreconditionViolation,
} from "../../common/errors/domain-error.ts";
import { entityName, featureViewName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import type { Field } from "../value.ts";
import type { ApplyContext, Draft } from "./apply-draft.ts";
import { applyService } from "./apply-service.ts";
import { brokenServices } from "./broken-services.ts";
import type { Definitions, FeatureView, OnDemandFeatureView, Versioned } from "./definitions.ts";
import {
  aboutDifferences,
  descriptionDifferences,
  fieldDifferences,
  onDemandDifferences,
  viewDifferences,
} from "./differences.ts";
import { entryOf, newestOf, suggestion } from "./lookup.ts";
import type {
  DefinitionChange,
  WantedDefinitions,
  WantedEntity,
  WantedOnDemandView,
  WantedView,
} from "./wanted.ts";

/** What an apply comes to. */
export interface Applied {
  /** The definitions given, themselves, when nothing changes. */
  readonly next: Definitions;
  /** One a definition wanted: entities, views, on-demand views, services, each in their order. */
  readonly changes: readonly DefinitionChange[];
}

/**
 * What an apply comes to.
 * @throws InvalidArgument with every fault; FailedPrecondition (RESOURCE_IN_USE) with every feature
 *   service that would break, and every view that keeps an entity's join keys.
 */
export function applyDefinitions(
  current: Definitions,
  wanted: WantedDefinitions,
  context: ApplyContext,
): Applied {
  const draft: Draft = { current, context, faults: new RequestFaults(), next: current };
  const inUse: PreconditionViolation[] = [];
  const changes = [
    ...wanted.entities.map((entity) => applyEntity(draft, entity, inUse)),
    ...wanted.featureViews.map((view, index) => applyView(draft, { view, index, wanted, inUse })),
    ...wanted.onDemandFeatureViews.map((view, index) => applyOnDemand(draft, view, index)),
  ];
  const services = wanted.featureServices.map((service, index) =>
    applyService(draft, service, index),
  );
  draft.faults.done();
  if (inUse.length > 0) {
    throw refused(inUse);
  }
  const all = [...changes, ...services];
  const isUnchanged = all.every(({ action }) => action === "unchanged");
  return { next: isUnchanged ? current : draft.next, changes: all };
}

function applyEntity(
  draft: Draft,
  wanted: WantedEntity,
  inUse: PreconditionViolation[],
): DefinitionChange {
  const { id, about, joinKeys } = wanted;
  const { now, newUid } = draft.context;
  const head = { kind: "entities", id, version: 0 } as const;
  const known = entryOf(draft.current.entities, id);
  const put = (uid: string, createTime: Date, keys: readonly Field[]) => {
    const entity = { uid, createTime, updateTime: now, about, joinKeys: keys };
    draft.next = { ...draft.next, entities: { ...draft.next.entities, [id]: entity } };
  };
  if (known === undefined) {
    put(newUid(), now, joinKeys);
    return { ...head, action: "create", differences: [] };
  }
  const keyDifferences = fieldDifferences("join_keys", known.joinKeys, joinKeys);
  const differences = [...keyDifferences, ...aboutDifferences(known.about, about)];
  if (differences.length === 0) {
    return { ...head, action: "unchanged", differences };
  }
  if (keyDifferences.length > 0) {
    const workspace = draft.current._id;
    const name = entityName.format({ workspace, entity: id });
    for (const [view, definition] of Object.entries(draft.current.featureViews)) {
      if (newestOf(definition).entities.includes(id)) {
        const subject = featureViewName.format({ workspace, view });
        const description = `has rows by the join keys of ${name} (${keyDifferences.join("; ")})`;
        inUse.push({ type: "RESOURCE_IN_USE", subject, description });
      }
    }
  }
  put(known.uid, known.createTime, keyDifferences.length > 0 ? joinKeys : known.joinKeys);
  return { ...head, action: "update", differences };
}

function applyView(
  draft: Draft,
  of: {
    readonly view: WantedView;
    readonly index: number;
    readonly wanted: WantedDefinitions;
    readonly inUse: PreconditionViolation[];
  },
): DefinitionChange {
  const { view: wanted, index, inUse } = of;
  const { id } = wanted;
  const path = `feature_views[${index}]`;
  const isTaken =
    entryOf(draft.current.onDemandFeatureViews, id) !== undefined ||
    of.wanted.onDemandFeatureViews.some((other) => other.id === id);
  draft.faults.check(!isTaken, `${path}.name`, `"${id}" is an on-demand feature view already`);
  const known = entryOf(draft.current.featureViews, id);
  const before = known === undefined ? undefined : newestOf(known);
  const isSameSet =
    before !== undefined &&
    before.entities.length === wanted.entities.length &&
    before.entities.every((entity) => wanted.entities.includes(entity));
  const { about: _about, id: _id, ...schema } = wanted;
  const after: FeatureView = {
    ...schema,
    number: (known?.latestNumber ?? 0) + 1,
    createTime: draft.context.now,
    entities: isSameSet ? before.entities : wanted.entities,
    joinKeys: joinKeysOf(draft, wanted, path),
  };
  checkFields(draft, { wanted, joinKeys: after.joinKeys, path });
  if (before !== undefined && !isSameSet) {
    const subject = featureViewName.format({ workspace: draft.current._id, view: id });
    const [was, now] = [before.entities, wanted.entities].map((list) => list.join(", "));
    const description = `has rows of ${was}: its entities cannot become ${now}`;
    inUse.push({ type: "RESOURCE_IN_USE", subject, description });
  }
  const differences = before === undefined ? [] : viewDifferences(before, after);
  if (before !== undefined && differences.length > 0) {
    inUse.push(...brokenServices(draft.current, { id, before, after }));
  }
  return putVersion(draft, { kind: "featureViews", wanted, known, after, differences });
}

function applyOnDemand(draft: Draft, wanted: WantedOnDemandView, index: number): DefinitionChange {
  const { id, inputs, features } = wanted;
  const isTaken = entryOf(draft.current.featureViews, id) !== undefined;
  const path = `on_demand_feature_views[${index}].name`;
  draft.faults.check(!isTaken, path, `"${id}" is a feature view already`);
  const known = entryOf(draft.current.onDemandFeatureViews, id);
  const after: OnDemandFeatureView = {
    number: (known?.latestNumber ?? 0) + 1,
    createTime: draft.context.now,
    inputs,
    features,
  };
  const differences = known === undefined ? [] : onDemandDifferences(newestOf(known), after);
  return putVersion(draft, { kind: "onDemandFeatureViews", wanted, known, after, differences });
}

/** Puts a view in: as a new one, a new version, or with other words about the same version. */
function putVersion<T extends FeatureView | OnDemandFeatureView>(
  draft: Draft,
  of: {
    readonly kind: "featureViews" | "onDemandFeatureViews";
    readonly wanted: WantedView | WantedOnDemandView;
    readonly known: Versioned<T> | undefined;
    readonly after: T;
    /** What asks for a new version. */
    readonly differences: readonly string[];
  },
): DefinitionChange {
  const { kind, wanted, known, after, differences } = of;
  const { id, about } = wanted;
  const { now, newUid } = draft.context;
  const put = (definition: Omit<Versioned<T>, "about" | "updateTime">) => {
    const entries = { ...draft.next[kind], [id]: { ...definition, about, updateTime: now } };
    draft.next = { ...draft.next, [kind]: entries };
  };
  if (known === undefined) {
    put({ uid: newUid(), createTime: now, versions: [after], latestNumber: after.number });
    return { kind, id, action: "create", version: after.number, differences: [] };
  }
  const newest = newestOf(known);
  const words = [
    ...descriptionDifferences(newest.features, after.features),
    ...aboutDifferences(known.about, about),
  ];
  const all = [...differences, ...words];
  const isNew = differences.length > 0;
  if (isNew) {
    put({ ...known, versions: [...known.versions, after], latestNumber: after.number });
  } else if (words.length > 0) {
    // Descriptions of features are no part of what a version does.
    const reworded = { ...newest, features: after.features };
    put({ ...known, versions: [...known.versions.slice(0, -1), reworded] });
  }
  const action = all.length > 0 ? "update" : "unchanged";
  return { kind, id, action, version: isNew ? after.number : newest.number, differences: all };
}

/** The join keys of a view's entities, sorted by name. */
function joinKeysOf(draft: Draft, wanted: WantedView, path: string): readonly Field[] {
  const keys = new Map<string, { readonly field: Field; readonly entity: string }>();
  for (const [index, id] of wanted.entities.entries()) {
    const entity = entryOf(draft.next.entities, id);
    if (entity === undefined) {
      const hint = suggestion(id, Object.keys(draft.next.entities));
      draft.faults.add({
        field: `${path}.entities[${index}]`,
        description: `"${id}" is no entity.${hint} Define it in the same request or before`,
      });
      continue;
    }
    for (const field of entity.joinKeys) {
      const other = keys.get(field.name.toLowerCase());
      const isSame =
        other === undefined || (other.field.name === field.name && other.field.type === field.type);
      draft.faults.check(
        isSame,
        `${path}.entities[${index}]`,
        `has the join key ${field.name} ${field.type}, and ${other?.entity} has ` +
          `${other?.field.name} ${other?.field.type}`,
      );
      keys.set(field.name.toLowerCase(), { field, entity: id });
    }
  }
  return [...keys.values()]
    .map(({ field }) => ({ name: field.name, type: field.type }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Join keys and features stand side by side in a row; the source names them. */
function checkFields(
  draft: Draft,
  of: {
    readonly wanted: WantedView;
    readonly joinKeys: readonly Field[];
    readonly path: string;
  },
): void {
  const { wanted, joinKeys, path } = of;
  const keys = new Set(joinKeys.map(({ name }) => name.toLowerCase()));
  for (const [index, { name }] of wanted.features.entries()) {
    draft.faults.check(
      !keys.has(name.toLowerCase()),
      `${path}.features[${index}].name`,
      `"${name}" is a join key of the view`,
    );
  }
  const fields = [...joinKeys, ...wanted.features].map(({ name }) => name);
  for (const [column, field] of wanted.source.fieldMapping) {
    draft.faults.check(
      fields.includes(field),
      `${path}.source.field_mapping[${JSON.stringify(column.slice(0, 80))}]`,
      `"${field}" is neither a join key nor a feature of the view.${suggestion(field, fields)}`,
    );
  }
}

/** An error travels in headers, which have little room; more say nothing that these do not. */
const SHOWN_MAX = 20;

function refused(violations: readonly PreconditionViolation[]): FailedPrecondition {
  const shown = violations.slice(0, SHOWN_MAX);
  const rest = violations.length - shown.length;
  const text = shown.map(({ subject, description }) => `${subject} ${description}`).join(". ");
  return new FailedPrecondition(
    `Nothing was changed. ${text}.${rest > 0 ? ` And ${rest} more.` : ""} Keep what is in use, or ` +
      "delete what uses it first.",
    { reason: ErrorReason.RESOURCE_IN_USE, violations: shown },
  );
}
