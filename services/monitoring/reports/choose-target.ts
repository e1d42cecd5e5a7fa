// Which version of a deployment a request is about. People say its name, its number or nothing; and
// where nothing fits they are told which versions there are.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument, NotFound } from "../../common/errors/domain-error.ts";
import { modelVersionName } from "../../common/names.ts";
import type { RequestFaults } from "../../common/request-faults.ts";
import type { Target } from "../target.ts";

const NUMBER = /^[1-9][0-9]{0,8}$/;
/** Versions that a message names. */
const NAMED_MAX = 10;

/** Notes what is neither the name of a version nor its number; empty is neither and is fine. */
export function checkVersion(text: string, field: string, faults: RequestFaults): void {
  const fits = text === "" || NUMBER.test(text) || modelVersionName.match(text) !== undefined;
  faults.check(
    fits,
    field,
    `must be a version's number or look like "${modelVersionName.pattern}"`,
  );
}

/** The workspace that a version's name says; undefined where it says none. */
export function workspaceOfVersion(text: string): string | undefined {
  return modelVersionName.match(text)?.workspace;
}

/**
 * The target that is meant. `version`: a name, a number, or empty for the one that answered most
 * recently, shadows aside.
 * @throws NotFound that says which versions there are; InvalidArgument where a number is that of
 *   versions of several models.
 */
export function chooseTarget<T extends Target>(
  targets: readonly T[],
  asked: { readonly deployment: string; readonly version: string; readonly field: string },
): T {
  const { deployment, version, field } = asked;
  const known = newestOfEach(targets.filter((target) => target.deployment === deployment));
  if (known.length === 0) {
    throw nothing(
      `No inference of ${deployment} is known. It is there once a deployment of that name has ` +
        "answered a request that was captured: check the name, and its config.capture.",
      deployment,
    );
  }
  if (version === "") {
    const live = known.find(({ shadow }) => !shadow);
    if (live !== undefined) {
      return live;
    }
    throw nothing(
      `${deployment} has only shadows: ${shown(known)}. Name the one that is meant in ${field}.`,
      deployment,
    );
  }
  const isNumber = NUMBER.test(version);
  const found = known.filter(({ modelVersion }) =>
    isNumber ? modelVersion.endsWith(`/versions/${version}`) : modelVersion === version,
  );
  const [first, second] = found;
  if (first === undefined) {
    const what = isNumber ? `version ${version}` : version;
    throw nothing(
      `No inference of ${what} in ${deployment} is known. It has ${shown(known)}.`,
      deployment,
    );
  }
  if (second !== undefined) {
    throw new InvalidArgument(
      `${field} is ${version}, but ${deployment} has it of several models: ${shown(found)}. ` +
        "Give the whole name.",
      {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field, description: "is the number of versions of several models" }],
      },
    );
  }
  return first;
}

/** Most recently seen first; of a deployment that was made anew only what was seen last. */
export function newestOfEach<T extends Target>(targets: readonly T[]): readonly T[] {
  const newest = new Map<string, T>();
  for (const target of targets) {
    const key = `${target.deployment} ${target.modelVersion}`;
    const known = newest.get(key);
    if (known === undefined || known.lastSeen < target.lastSeen) {
      newest.set(key, target);
    }
  }
  return [...newest.values()].toSorted(
    (a, b) => b.lastSeen.getTime() - a.lastSeen.getTime() || (a._id < b._id ? -1 : 1),
  );
}

function shown(targets: readonly Target[]): string {
  const names = targets.map(
    ({ modelVersion, shadow }) => modelVersion + (shadow ? " (shadow)" : ""),
  );
  const rest = names.length - NAMED_MAX;
  return names.slice(0, NAMED_MAX).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

function nothing(message: string, resource: string): NotFound {
  return new NotFound(message, { reason: ErrorReason.RESOURCE_NOT_FOUND, metadata: { resource } });
}
