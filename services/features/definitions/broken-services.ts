// Which feature services a change of a view would break. A service reads the version that it pins,
// but rows come by the newest one: what that no longer holds, the service no longer gets.

import type { PreconditionViolation } from "../../common/errors/domain-error.ts";
import { featureServiceName } from "../../common/names.ts";
import {
  type Definitions,
  type FeatureView,
  isReadableAs,
  type Projection,
} from "./definitions.ts";
import { entryOf, versionOf } from "./lookup.ts";

/** Reasons told of one service: an error travels in headers, which have little room. */
const REASONS_MAX = 3;

/** One violation for each service of which some version would break, with every reason. */
export function brokenServices(
  definitions: Definitions,
  change: { readonly id: string; readonly before: FeatureView; readonly after: FeatureView },
): readonly PreconditionViolation[] {
  const workspace = definitions._id;
  const violations: PreconditionViolation[] = [];
  for (const [id, service] of Object.entries(definitions.featureServices)) {
    const broken = new Map<string, number[]>();
    for (const { number, projections } of service.versions) {
      for (const projection of projections) {
        if (projection.kind === "view" && projection.view === change.id) {
          for (const reason of reasons(definitions, projection, change)) {
            broken.set(reason, [...new Set([...(broken.get(reason) ?? []), number])]);
          }
        }
      }
    }
    if (broken.size > 0) {
      const subject = featureServiceName.format({ workspace, service: id });
      const said = [...broken].map(([reason, numbers]) => `${versions(numbers)} ${reason}`);
      const rest = said.length - REASONS_MAX;
      const description =
        `reads "${change.id}": ${said.slice(0, REASONS_MAX).join("; ")}` +
        `${rest > 0 ? `; and ${rest} more` : ""}`;
      violations.push({ type: "RESOURCE_IN_USE", subject, description });
    }
  }
  return violations;
}

/** The feature services of which some version reads a view; their full names, in order. */
export function servicesOf(definitions: Definitions, view: string): readonly string[] {
  const workspace = definitions._id;
  return Object.entries(definitions.featureServices)
    .filter(([, { versions }]) =>
      versions.some(({ projections }) => projections.some((one) => one.view === view)),
    )
    .map(([service]) => featureServiceName.format({ workspace, service }))
    .sort();
}

function reasons(
  definitions: Definitions,
  projection: Projection,
  change: { readonly before: FeatureView; readonly after: FeatureView },
): readonly string[] {
  const { before, after } = change;
  const view = entryOf(definitions.featureViews, projection.view);
  const pinned = view === undefined ? undefined : versionOf(view, projection.version);
  const names = projection.features.map(([name]) => name);
  const lost = lostFeatures(names, { pinned: pinned ?? before, newest: after });
  const offLine = before.online && !after.online ? ["rows online"] : [];
  return [...lost, ...offLine].map((what) => `of it needs ${what}`);
}

/** What a reader of a pinned version no longer gets from rows of the newest one. */
export function lostFeatures(
  names: readonly string[],
  { pinned, newest }: { readonly pinned: FeatureView; readonly newest: FeatureView },
): readonly string[] {
  return names.flatMap((name) => {
    const [read, kept] = [pinned, newest].map((version) =>
      version.features.find((feature) => feature.name === name),
    );
    if (kept === undefined) {
      return [`${name}, which is gone then`];
    }
    return read === undefined || isReadableAs(read.type, kept.type)
      ? []
      : [`${name} as ${read.type}, which is ${kept.type} then`];
  });
}

function versions(numbers: readonly number[]): string {
  const shown = numbers.slice(-REASONS_MAX).join(", ");
  return `version ${numbers.length > REASONS_MAX ? `..., ${shown}` : shown}`;
}
