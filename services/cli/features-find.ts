// Finds a definition by what people call it: with its kind in one call, by its bare name among all
// kinds.

import type { Entity } from "../../gen/plinth/features/v1/entity_pb.js";
import type { FeatureService } from "../../gen/plinth/features/v1/feature_service_pb.js";
import type { FeatureView } from "../../gen/plinth/features/v1/feature_view_pb.js";
import type { OnDemandFeatureView } from "../../gen/plinth/features/v1/on_demand_feature_view_pb.js";
import { NotFound } from "../common/errors/domain-error.ts";
import { CommandError, ExitCode, UsageError } from "./exit-codes.ts";
import { KINDS, type Kind, nameOf, parseDefinition } from "./features-names.ts";
import type { Session } from "./session.ts";

/** A definition that was found, and its kind. */
export type Found =
  | { readonly kind: "entity"; readonly definition: Entity }
  | { readonly kind: "view"; readonly definition: FeatureView }
  | { readonly kind: "on-demand"; readonly definition: OnDemandFeatureView }
  | { readonly kind: "service"; readonly definition: FeatureService };

/**
 * The definition that is meant.
 * @throws what the server says when the kind was named; CommandError when no kind has the name;
 *   UsageError when several have.
 */
export async function findDefinition(session: Session, text: string): Promise<Found> {
  const reference = parseDefinition(text, session.workspace);
  if (reference.kind !== undefined) {
    if (reference.kind === "entity" && reference.version !== undefined) {
      throw new UsageError(`An entity has no versions; got "${text}".`);
    }
    return get(session, reference.kind, nameOf(reference.kind, reference));
  }
  const kinds = KINDS.filter((kind) => kind !== "entity" || reference.version === undefined);
  const tried = await Promise.all(
    kinds.map((kind) =>
      get(session, kind, nameOf(kind, reference)).catch((error: unknown) => {
        if (error instanceof NotFound) {
          return undefined;
        }
        throw error;
      }),
    ),
  );
  const found = tried.filter((one) => one !== undefined);
  if (found.length > 1) {
    const names = found.map(({ kind }) => `${kind}/${text}`);
    throw new UsageError(`"${text}" is the name of several. Say ${names.join(" or ")}.`);
  }
  if (found[0] === undefined) {
    throw new CommandError(`There is no definition "${text}" in ${session.parent}.`, {
      exitCode: ExitCode.notFound,
      advice: ['See "plinth features list".'],
    });
  }
  return found[0];
}

async function get(session: Session, kind: Kind, name: string): Promise<Found> {
  const { features, call } = session;
  switch (kind) {
    case "entity":
      return { kind, definition: await features.getEntity({ name }, call) };
    case "view":
      return { kind, definition: await features.getFeatureView({ name }, call) };
    case "on-demand":
      return { kind, definition: await features.getOnDemandFeatureView({ name }, call) };
    case "service":
      return { kind, definition: await features.getFeatureService({ name }, call) };
  }
}
