// From names to what is to be read: a feature service or a list of `view:feature` becomes a read
// plan, a view's name becomes a version of it.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type FieldViolation,
  InvalidArgument,
  NotFound,
} from "../../common/errors/domain-error.ts";
import { featureServiceName, featureServiceVersionName } from "../../common/names.ts";
import { RESOURCE_ID } from "../../common/request-faults.ts";
import { buildPlan, type PlanFault, type PlanSource } from "./build-plan.ts";
import type { Definitions, FeatureService, Versioned, ViewVersion } from "./definitions.ts";
import {
  entryOf,
  newestOf,
  noSuch,
  noSuchText,
  noSuchVersion,
  suggestion,
  versionNamed,
  versionOf,
} from "./lookup.ts";
import type { ReadPlan } from "./read-plan.ts";

/** The most features that a list may name. */
const REFS_MAX = 1000;

/** A feature service as callers name it. */
export interface FeatureServiceRef {
  readonly workspace: string;
  /** Full name with or without version, or the bare id. */
  readonly name: string;
}

/** Features as callers list them. */
export interface FeatureListRef {
  readonly workspace: string;
  /** `view:feature` or `view:*`. */
  readonly refs: readonly string[];
  /** Outputs are named `view__feature`. */
  readonly fullNames: boolean;
}

/**
 * What a read of a feature service comes to: of the version in the name, else of the newest.
 * @throws NotFound with the nearest name; InvalidArgument when it is no such name or one of another
 *   workspace.
 */
export function planFeatureService(definitions: Definitions, ref: FeatureServiceRef): ReadPlan {
  const { workspace } = ref;
  const { id, number } = parseServiceName(ref);
  const service = entryOf(definitions.featureServices, id);
  if (service === undefined) {
    const known = Object.keys(definitions.featureServices);
    throw noSuch("feature service", { workspace, id, known });
  }
  const version = number === undefined ? newestOf(service) : versionNamed(service, number);
  if (version === undefined) {
    const name = featureServiceName.format({ workspace, service: id });
    throw noSuchVersion(name, number ?? 0, service);
  }
  return planVersion(definitions, { workspace, id, service, version });
}

/** The plan of one version of a service. It was checked when it was applied. */
export function planVersion(
  definitions: Definitions,
  of: {
    readonly workspace: string;
    readonly id: string;
    readonly service: Versioned<FeatureService>;
    readonly version: FeatureService;
  },
): ReadPlan {
  const { workspace, id, service, version } = of;
  const featureService = featureServiceVersionName.format({
    workspace,
    service: id,
    version: String(version.number),
  });
  const { loggingSampleRate = 0 } = service;
  const sources = sourcesOf(definitions, version);
  return buildPlan({ workspace, featureService, loggingSampleRate }, sources).plan;
}

/** Where the features of a service version come from. Its views cannot be deleted while it is. */
export function sourcesOf(
  definitions: Definitions,
  service: FeatureService,
): readonly PlanSource[] {
  return service.projections.map(({ view, kind, version, features, joinKeys }) => {
    const views = kind === "view" ? definitions.featureViews : definitions.onDemandFeatureViews;
    const definition = entryOf<Versioned<{ readonly number: number }>>(views, view);
    if (definition === undefined || versionOf(definition, version) === undefined) {
      throw new Error(`a feature service reads version ${version} of ${view}, which is gone`);
    }
    if (kind === "view") {
      const source = viewOf(definitions, { workspace: definitions._id, view, version });
      return { kind, source, features, joinKeys };
    }
    const { versions } = definitions.onDemandFeatureViews[view]!;
    return { kind, view, version: versions.find((v) => v.number === version)!, features };
  });
}

/**
 * What a read of a list of features comes to, of the newest versions of their views.
 * @throws NotFound with the nearest names; InvalidArgument for what is no reference or does not go
 *   together.
 */
export function planFeatures(definitions: Definitions, list: FeatureListRef): ReadPlan {
  const { workspace, refs, fullNames } = list;
  const violations: FieldViolation[] = [];
  if (refs.length === 0 || refs.length > REFS_MAX) {
    const description = `names ${refs.length} features; 1 to ${REFS_MAX} are possible`;
    throw invalid([{ field: "features", description }]);
  }
  const unknown: string[] = [];
  const sources: PlanSource[] = [];
  for (const [index, ref] of refs.entries()) {
    const colon = ref.indexOf(":");
    if (colon <= 0 || colon === ref.length - 1) {
      const description = `${JSON.stringify(ref.slice(0, 200))} is not like view:feature or view:*`;
      violations.push({ field: `features[${index}]`, description });
      continue;
    }
    const [view, feature] = [ref.slice(0, colon), ref.slice(colon + 1)];
    const source = sourceOf(definitions, { workspace, view, feature, fullNames });
    if (typeof source === "string") {
      unknown.push(source);
    } else {
      sources.push(source);
    }
  }
  if (violations.length > 0) {
    throw invalid(violations);
  }
  if (unknown.length > 0) {
    const text = unknown.slice(0, UNKNOWN_SHOWN).join(" ");
    throw new NotFound(text, { reason: ErrorReason.RESOURCE_NOT_FOUND });
  }
  const { plan, faults } = buildPlan({ workspace }, sources);
  if (faults.length > 0) {
    throw invalid(faults.map((fault) => listViolation(fault, list)));
  }
  return plan;
}

/** More say nothing that these do not. */
const UNKNOWN_SHOWN = 5;

/**
 * A version of a feature view: the one asked for, else the newest.
 * @throws NotFound with the nearest id, or with the versions that there are.
 */
export function viewOf(
  definitions: Definitions,
  ref: {
    readonly workspace: string;
    /** The view's id. */
    readonly view: string;
    readonly version?: number;
  },
): ViewVersion {
  const { workspace, view } = ref;
  const definition = entryOf(definitions.featureViews, view);
  if (definition === undefined) {
    if (entryOf(definitions.onDemandFeatureViews, view) !== undefined) {
      throw new NotFound(
        `${JSON.stringify(view)} is an on-demand feature view: it is computed and has no rows. ` +
          "Name a feature view.",
        { reason: ErrorReason.RESOURCE_NOT_FOUND, metadata: { resource: view } },
      );
    }
    const known = Object.keys(definitions.featureViews);
    throw noSuch("feature view", { workspace, id: view, known });
  }
  const version =
    ref.version === undefined ? newestOf(definition) : versionOf(definition, ref.version);
  if (version === undefined) {
    throw noSuchVersion(`Feature view "${view}"`, ref.version ?? 0, definition);
  }
  return { view, uid: definition.uid, version };
}

function parseServiceName({ workspace, name }: FeatureServiceRef): {
  readonly id: string;
  readonly number: string | undefined;
} {
  if (RESOURCE_ID.test(name)) {
    return { id: name, number: undefined };
  }
  const versioned = featureServiceVersionName.match(name);
  const parsed = versioned ?? featureServiceName.parse(name, "feature_service");
  if (parsed.workspace !== workspace) {
    const description = `is of workspace "${parsed.workspace}", and the call of "${workspace}"`;
    throw invalid([{ field: "feature_service", description }]);
  }
  return { id: parsed.service, number: versioned?.version };
}

/** The source of one reference, or the text that says what there is not. */
function sourceOf(
  definitions: Definitions,
  ref: {
    readonly workspace: string;
    readonly view: string;
    readonly feature: string;
    readonly fullNames: boolean;
  },
): PlanSource | string {
  const { view, feature } = ref;
  const stored = entryOf(definitions.featureViews, view);
  const onDemand = entryOf(definitions.onDemandFeatureViews, view);
  if (stored === undefined && onDemand === undefined) {
    const known = [
      ...Object.keys(definitions.featureViews),
      ...Object.keys(definitions.onDemandFeatureViews),
    ];
    return noSuchText("feature view", { workspace: ref.workspace, id: view, known });
  }
  const has = stored === undefined ? newestOf(onDemand!).features : newestOf(stored).features;
  const names = has.map(({ name }) => name);
  if (feature !== "*" && !names.includes(feature)) {
    const said = JSON.stringify(feature.slice(0, 200));
    return `Feature view "${view}" has no feature ${said}.${suggestion(feature, names)}`;
  }
  const features = (feature === "*" ? names : [feature]).map(
    (name) => [name, ref.fullNames ? `${view}__${name}` : name] as const,
  );
  return stored === undefined
    ? { kind: "on-demand", view, version: newestOf(onDemand!), features }
    : {
        kind: "view",
        source: { view, uid: stored.uid, version: newestOf(stored) },
        features,
        joinKeys: [],
      };
}

function listViolation({ source, description }: PlanFault, list: FeatureListRef): FieldViolation {
  const field = `features[${source}]`;
  const hint =
    list.fullNames || !description.startsWith("gives ") ? "" : " with full_feature_names";
  return { field, description: `(${list.refs[source]}) ${description}${hint}` };
}

function invalid(violations: readonly FieldViolation[]): InvalidArgument {
  const text = violations.map(({ field, description }) => `${field} ${description}`).join("; ");
  return new InvalidArgument(`${text}.`, { reason: ErrorReason.INVALID_FIELD, violations });
}
