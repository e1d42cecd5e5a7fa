// From what callers write for a version (a number, `@alias` or `latest`) to the version.

import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { Stored } from "../common/documents/port.ts";
import { findDocument, getDocument, notFound } from "../common/documents/resource.ts";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import { modelName, modelVersionName } from "../common/names.ts";
import { LATEST } from "./alias.ts";
import { type ModelVersion, valueAt } from "./model-version.ts";
import type { RegisteredModel, RegistryStore } from "./store.ts";

/** A version number as it stands in names. */
export const VERSION_NUMBER = /^[1-9]\d{0,14}$/;

export interface ResolvedVersion {
  readonly model: Stored<RegisteredModel>;
  readonly version: Stored<ModelVersion>;
}

/**
 * The version a name stands for. `latest` is the highest number that still exists.
 * @throws InvalidArgument when the last part is neither number, alias nor `latest`; NotFound
 */
export async function resolveVersion(
  store: RegistryStore,
  name: string,
  field: string,
): Promise<ResolvedVersion> {
  const { workspace, model: modelId, version: part } = modelVersionName.parse(name, field);
  const parent = modelName.format({ workspace, model: modelId });
  const model = await getDocument(store.models, parent);
  if (part === LATEST) {
    const version = await latestOf(store, parent);
    if (version === undefined) {
      throw notFound(name);
    }
    return { model, version };
  }
  if (!part.startsWith("@") && !VERSION_NUMBER.test(part)) {
    const description = "must end in a version number, @alias or latest";
    throw new InvalidArgument(`${field} ${description}; got ${JSON.stringify(name)}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field, description }],
    });
  }
  const number = part.startsWith("@") ? valueAt(model.aliases, part.slice(1)) : Number(part);
  const version =
    number === undefined
      ? undefined
      : await findDocument(store.versions, versionNameOf(parent, number));
  if (version === undefined) {
    throw notFound(name);
  }
  return { model, version };
}

/** The name of a model's version. */
export function versionNameOf(model: string, number: number): string {
  return `${model}/versions/${number}`;
}

/** The id, when the name is one of a version by number. */
export function isVersionByNumber(name: string): boolean {
  return VERSION_NUMBER.test(modelVersionName.match(name)?.version ?? "");
}

async function latestOf(
  store: RegistryStore,
  model: string,
): Promise<Stored<ModelVersion> | undefined> {
  for await (const version of store.versions.find({ model }, { sort: { number: -1 } })) {
    if (!version.deleting) {
      return version;
    }
  }
  return undefined;
}
