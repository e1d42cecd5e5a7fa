// How people name definitions and jobs on the command line: "view/airport_delays",
// "service/delay_model@3", the bare name, or the full resource name.

import {
  entityName,
  featureServiceName,
  featureServiceVersionName,
  featureViewName,
  featureViewVersionName,
  jobName,
  onDemandFeatureViewName,
  onDemandFeatureViewVersionName,
} from "../common/names.ts";
import { didYouMean } from "../common/nearest-name.ts";
import { UsageError } from "./exit-codes.ts";
import type { Session } from "./session.ts";

/** The kinds of definitions, as they are typed. */
export const KINDS = ["entity", "view", "on-demand", "service"] as const;
/** One of them. */
export type Kind = (typeof KINDS)[number];

/** What each kind may be called as well. */
const SPELLINGS: Readonly<Record<Kind, readonly string[]>> = {
  entity: ["entities"],
  view: ["views", "feature-view", "feature-views", "featureview", "featureviews"],
  "on-demand": [
    "on-demand-view",
    "on-demand-views",
    "on-demand-feature-view",
    "ondemandfeatureview",
    "ondemandfeatureviews",
    "odfv",
  ],
  service: ["services", "feature-service", "feature-services", "featureservice", "featureservices"],
};

const COLLECTIONS: Readonly<Record<Kind, string>> = {
  entity: "entities",
  view: "featureViews",
  "on-demand": "onDemandFeatureViews",
  service: "featureServices",
};

const ID = /^[a-zA-Z_][a-zA-Z0-9_.-]{0,127}$/;
const VERSION = /^[1-9]\d{0,17}$/;
const JOB = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;

/** What a name on the command line stands for. */
export interface Reference {
  /** Absent: only the name was said. */
  readonly kind: Kind | undefined;
  readonly id: string;
  /** Absent: the newest. */
  readonly version: string | undefined;
  readonly workspace: string;
}

/** @throws UsageError that shows the accepted forms. */
export function parseDefinition(text: string, workspace: string): Reference {
  const full = matchFull(text);
  if (full !== undefined) {
    return full;
  }
  const parts = /^(?:([^/@]+)\/)?([^/@]+)(?:@([^/@]+))?$/.exec(text);
  const [, said, id = "", version] = parts ?? [];
  const kind = said === undefined ? undefined : kindOf(said);
  if (!ID.test(id) || (version !== undefined && !VERSION.test(version))) {
    throw new UsageError(
      `A definition is named view/airport_delays, service/delay_model@3 or just by its name; got "${text}".`,
    );
  }
  return { kind, id, version, workspace };
}

/** A kind by any of its names. @throws UsageError with the nearest one. */
export function kindOf(text: string): Kind {
  const said = text.toLowerCase().replaceAll("_", "-");
  const kind = KINDS.find((one) => one === said || SPELLINGS[one].includes(said));
  if (kind === undefined) {
    const hint = didYouMean(said, KINDS);
    throw new UsageError(`Kinds are ${KINDS.join(", ")}; got "${text}".${hint}`);
  }
  return kind;
}

/** The full name of a definition of one kind: "airport", "entity/airport" or the full name. */
export function fullName(kind: Kind, text: string, workspace: string): string {
  const reference = parseDefinition(text, workspace);
  if (reference.kind !== undefined && reference.kind !== kind) {
    throw new UsageError(`Name ${articled(kind)} here; got "${text}".`);
  }
  return nameOf(kind, reference);
}

/** As fullName, where versions make no sense. */
export function unversionedName(kind: Kind, text: string, workspace: string): string {
  if (parseDefinition(text, workspace).version !== undefined) {
    throw new UsageError(`Name ${articled(kind)} without a version here; got "${text}".`);
  }
  return fullName(kind, text, workspace);
}

/** The resource name that a reference stands for when it is of this kind. */
export function nameOf(kind: Kind, reference: Reference): string {
  const { workspace, id, version } = reference;
  const name = `workspaces/${workspace}/${COLLECTIONS[kind]}/${id}`;
  return version === undefined ? name : `${name}/versions/${version}`;
}

/** "view/airport_delays", with "@3" where the name has a version; other names keep their end. */
export function shortFeatureName(name: string): string {
  const parts = matchFull(name);
  if (parts?.kind === undefined) {
    const job = jobName.match(name);
    return job === undefined ? (name.split("/").at(-1) ?? name) : `jobs/${job.job}`;
  }
  const version = parts.version === undefined ? "" : `@${parts.version}`;
  return `${parts.kind}/${parts.id}${version}`;
}

/** The full name of a job: "materialize-7f", "jobs/materialize-7f" or the full name. */
export function jobReference(session: Session, text: string): string {
  if (jobName.match(text) !== undefined) {
    return text;
  }
  const id = text.startsWith("jobs/") ? text.slice("jobs/".length) : text;
  if (!JOB.test(id)) {
    throw new UsageError(`A job is named jobs/<id> or <id>; got "${text}".`);
  }
  return `${session.parent}/jobs/${id}`;
}

function articled(kind: Kind): string {
  return `${/^[aeio]/.test(kind) ? "an" : "a"} ${kind === "on-demand" ? "on-demand view" : kind}`;
}

function matchFull(text: string): Reference | undefined {
  const entity = entityName.match(text);
  if (entity !== undefined) {
    return { kind: "entity", id: entity.entity, version: undefined, workspace: entity.workspace };
  }
  const view = featureViewVersionName.match(text) ?? featureViewName.match(text);
  if (view !== undefined) {
    return reference("view", view.view, view);
  }
  const onDemand =
    onDemandFeatureViewVersionName.match(text) ?? onDemandFeatureViewName.match(text);
  if (onDemand !== undefined) {
    return reference("on-demand", onDemand.view, onDemand);
  }
  const service = featureServiceVersionName.match(text) ?? featureServiceName.match(text);
  return service === undefined ? undefined : reference("service", service.service, service);
}

function reference(
  kind: Kind,
  id: string,
  rest: { readonly workspace: string; readonly version?: string },
): Reference {
  return { kind, id, version: rest.version, workspace: rest.workspace };
}
