// Definitions sorted by kind, as a request has them; and those of one file, for whoever wants no
// more of files than that.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ApplyDefinitionsRequestSchema } from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { loadDefinitions } from "./features-load.ts";
import type { Shaped } from "./features-shape.ts";

/** The definitions of each kind, in their order. */
export type DefinitionLists = Pick<
  MessageInitShape<typeof ApplyDefinitionsRequestSchema>,
  "entities" | "featureViews" | "onDemandFeatureViews" | "featureServices"
>;

/**
 * The definitions in a file.
 * @throws CommandError that names the place of each fault.
 */
export async function readDefinitions(path: string): Promise<DefinitionLists> {
  return listsOf(await loadDefinitions([path]));
}

/** Definitions by kind. */
export function listsOf(definitions: readonly Shaped[]): DefinitionLists {
  return {
    entities: definitions.flatMap((one) => (one.list === "entities" ? [one.value] : [])),
    featureViews: definitions.flatMap((one) => (one.list === "featureViews" ? [one.value] : [])),
    onDemandFeatureViews: definitions.flatMap((one) =>
      one.list === "onDemandFeatureViews" ? [one.value] : [],
    ),
    featureServices: definitions.flatMap((one) =>
      one.list === "featureServices" ? [one.value] : [],
    ),
  };
}
