// Finds definitions by id, and says what was probably meant when there is none. Ids come from
// people, and `constructor` is a good one: only what a document itself holds counts.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { NotFound } from "../../common/errors/domain-error.ts";
import { didYouMean } from "../../common/nearest-name.ts";
import type { Definitions, Versioned } from "./definitions.ts";

/** The definitions of a workspace that has none. */
export function emptyDefinitions(workspace: string): Definitions {
  return {
    _id: workspace,
    entities: {},
    featureViews: {},
    onDemandFeatureViews: {},
    featureServices: {},
  };
}

/** What stands under an id, or undefined. */
export function entryOf<T>(entries: Readonly<Record<string, T>>, id: string): T | undefined {
  return Object.hasOwn(entries, id) ? entries[id] : undefined;
}

/** The version of that number, or undefined where it never was or is gone. */
export function versionOf<T extends { readonly number: number }>(
  definition: Versioned<T>,
  number: number,
): T | undefined {
  return definition.versions.find((version) => version.number === number);
}

/** The version whose number a name ends with, or undefined. */
export function versionNamed<T extends { readonly number: number }>(
  definition: Versioned<T>,
  number: string,
): T | undefined {
  return definition.versions.find((version) => String(version.number) === number);
}

/** The newest version; every stored definition has one. */
export function newestOf<T>(definition: Versioned<T>): T {
  const newest = definition.versions.at(-1);
  if (newest === undefined) {
    throw new Error("a definition without versions was stored");
  }
  return newest;
}

/** " Did you mean x?" or " There are a, b." or nothing: for the end of a message. */
export function suggestion(name: string, known: readonly string[]): string {
  const near = didYouMean(name, known);
  if (near !== "") {
    return near;
  }
  const shown = [...known].sort().slice(0, SHOWN_MAX);
  const rest = known.length - shown.length;
  const list = `${shown.join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
  const are = known.length === 1 ? "is only" : "are";
  return known.length === 0 ? " There are none yet." : ` There ${are} ${list}.`;
}

const SHOWN_MAX = 10;

/** There is no such definition. `known` are the ids that there are. */
export function noSuch(
  kind: string,
  place: { readonly workspace: string; readonly id: string; readonly known: readonly string[] },
): NotFound {
  return new NotFound(noSuchText(kind, place), {
    reason: ErrorReason.RESOURCE_NOT_FOUND,
    metadata: { resource: place.id.slice(0, 200) },
  });
}

/** The message of noSuch. */
export function noSuchText(
  kind: string,
  place: { readonly workspace: string; readonly id: string; readonly known: readonly string[] },
): string {
  const { workspace, id, known } = place;
  return (
    `There is no ${kind} ${JSON.stringify(id.slice(0, 200))} in workspace "${workspace}".` +
    suggestion(id, known)
  );
}

/** There is no such version of a definition that there is. */
export function noSuchVersion(
  name: string,
  number: number | string,
  definition: Versioned<{ readonly number: number }>,
): NotFound {
  const numbers = definition.versions.map((version) => version.number);
  const shown = numbers.length > SHOWN_MAX ? [`... ${numbers.at(-1)}`] : numbers;
  return new NotFound(`${name} has no version ${number}; it has ${shown.join(", ")}.`, {
    reason: ErrorReason.RESOURCE_NOT_FOUND,
    metadata: { resource: `${name}/versions/${number}` },
  });
}
