// How people name models and versions on the command line: "churn", "churn/3", "churn@champion", or
// the full resource name; and the short form of full names in tables.

import { modelName, modelVersionName } from "../common/names.ts";
import { UsageError } from "./exit-codes.ts";
import type { Session } from "./session.ts";

const MODEL = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/;
const NUMBER = /^[1-9]\d{0,17}$/;
const ALIAS = /^[a-zA-Z0-9_-]{1,255}$/;

export interface VersionReference {
  /** `workspaces/default/models/churn` */
  readonly model: string;
  /** "3", "@champion" or "latest"; undefined when only the model was named. */
  readonly version: string | undefined;
}

/** @throws UsageError that shows the accepted forms. */
export function parseReference(text: string, workspace: string): VersionReference {
  const full = modelVersionName.match(text);
  if (full !== undefined) {
    const { workspace: own, model } = full;
    return { model: modelName.format({ workspace: own, model }), version: full.version };
  }
  if (modelName.match(text) !== undefined) {
    return { model: text, version: undefined };
  }
  const parts = /^([^/@]+)(?:\/([^/]+)|(@[^/@]+))?$/.exec(text);
  const model = parts?.[1] ?? "";
  const said = parts?.[2] ?? parts?.[3];
  const version = said === "@latest" ? "latest" : said;
  if (!MODEL.test(model) || (version !== undefined && !isVersion(version))) {
    throw new UsageError(
      `A version is named model/3, model@alias or model/latest, a model just model; got "${text}".`,
    );
  }
  return { model: modelName.format({ workspace, model }), version };
}

/** The full name of a version; a bare model means its latest one. */
export function parseVersion(text: string, workspace: string): string {
  const { model, version } = parseReference(text, workspace);
  return `${model}/versions/${version ?? "latest"}`;
}

/** The full name of a model. @throws UsageError when a version was named. */
export function parseModel(text: string, workspace: string): string {
  const { model, version } = parseReference(text, workspace);
  if (version !== undefined) {
    throw new UsageError(`Name a model here, without a version; got "${text}".`);
  }
  return model;
}

/** The name by number: aliases and `latest` are looked up first. */
export async function resolveVersion(session: Session, text: string): Promise<string> {
  const { version } = parseReference(text, session.workspace);
  if (version === undefined) {
    throw new UsageError(`Say which version: ${text}/3, ${text}@alias or ${text}/latest.`);
  }
  const name = parseVersion(text, session.workspace);
  if (NUMBER.test(version)) {
    return name;
  }
  return (await session.models.getModelVersion({ name }, session.call)).name;
}

/** "churn/3" for `workspaces/default/models/churn/versions/3`; other names keep their last part. */
export function shortName(name: string): string {
  const version = modelVersionName.match(name);
  return version === undefined
    ? (name.split("/").at(-1) ?? name)
    : `${version.model}/${version.version}`;
}

/** A version number. @throws UsageError */
export function parseVersionNumber(text: string): bigint {
  if (!NUMBER.test(text)) {
    throw new UsageError(`A version is a number such as 3; got "${text}".`);
  }
  return BigInt(text);
}

function isVersion(text: string): boolean {
  return text.startsWith("@") ? ALIAS.test(text.slice(1)) : NUMBER.test(text) || text === "latest";
}
