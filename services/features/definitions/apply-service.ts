// The part of an apply that is about feature services: pins what they take, and finds out whether a
// service that follows the newest versions really takes anything else than before.

import type { Draft } from "./apply-draft.ts";
import { lostFeatures } from "./broken-services.ts";
import { buildPlan } from "./build-plan.ts";
import { isSameCell } from "./default-value.ts";
import type {
  Definitions,
  FeatureService,
  FeatureView,
  Projection,
  Versioned,
} from "./definitions.ts";
import { aboutDifferences, fieldDifferences, projectionDifferences } from "./differences.ts";
import { entryOf, newestOf, suggestion, versionOf } from "./lookup.ts";
import { sourcesOf } from "./resolve.ts";
import type { DefinitionChange, WantedProjection, WantedService } from "./wanted.ts";

/** Puts a service in; faults go to the draft. The draft holds the views as they are to be. */
export function applyService(draft: Draft, wanted: WantedService, index: number): DefinitionChange {
  const kind = "featureServices";
  const { id, about, loggingSampleRate } = wanted;
  const { now, newUid } = draft.context;
  const known = entryOf(draft.current.featureServices, id);
  const before = known === undefined ? undefined : newestOf(known);
  const resolved = resolve(draft, wanted, `feature_services[${index}]`);
  if (resolved === undefined) {
    // It has faults, so that the apply as a whole is refused.
    return { kind, id, action: "unchanged", version: 0, differences: [] };
  }
  const isSame =
    before !== undefined && isSameService(draft.next, { before, wanted, after: resolved });
  const projections = isSame ? before.projections : resolved;
  const latest = known?.latestNumber ?? entryOf(draft.current.retiredNumbers ?? {}, id) ?? 0;
  const number = isSame ? before.number : latest + 1;
  const version: FeatureService = { number, createTime: now, projections };
  checkPlan(draft, version, `feature_services[${index}]`);
  const put = (definition: {
    readonly uid: string;
    readonly createTime: Date;
    readonly versions: readonly FeatureService[];
    readonly latestNumber: number;
  }) => {
    const service = { ...definition, about, loggingSampleRate, updateTime: now };
    draft.next = { ...draft.next, [kind]: { ...draft.next[kind], [id]: service } };
  };
  if (known === undefined || before === undefined) {
    put({ uid: newUid(), createTime: now, versions: [version], latestNumber: number });
    return { kind, id, action: "create", version: number, differences: [] };
  }
  const differences = isSame ? [] : projectionDifferences(before.projections, projections);
  const { loggingSampleRate: rate = 0 } = known;
  if (rate !== loggingSampleRate) {
    differences.push(`logging_sample_rate: ${rate} -> ${loggingSampleRate}`);
  }
  differences.push(...aboutDifferences(known.about, about));
  if (differences.length === 0) {
    return { kind, id, action: "unchanged", version: number, differences };
  }
  const versions = isSame ? known.versions : [...known.versions, version];
  put({ ...known, versions, latestNumber: Math.max(known.latestNumber, number) });
  return { kind, id, action: "update", version: number, differences };
}

/** The projections with versions and features filled in; undefined when there are faults. */
function resolve(
  draft: Draft,
  wanted: WantedService,
  path: string,
): readonly Projection[] | undefined {
  const projections: Projection[] = [];
  for (const [index, projection] of wanted.projections.entries()) {
    const resolved = pin(draft, projection, `${path}.projections[${index}]`);
    if (resolved !== undefined) {
      projections.push(resolved);
    }
  }
  return projections.length === wanted.projections.length ? projections : undefined;
}

function pin(draft: Draft, wanted: WantedProjection, path: string): Projection | undefined {
  const { featureViews, onDemandFeatureViews } = draft.next;
  const refuse = (field: string, description: string) => {
    draft.faults.add({ field: `${path}.${field}`, description });
    return undefined;
  };
  const view = entryOf(featureViews, wanted.view);
  const onDemand = entryOf(onDemandFeatureViews, wanted.view);
  if (view === undefined && onDemand === undefined) {
    const known = [...Object.keys(featureViews), ...Object.keys(onDemandFeatureViews)];
    const hint = suggestion(wanted.view, known);
    return refuse("feature_view", `"${wanted.view}" is no feature view.${hint}`);
  }
  const definition = view ?? onDemand!;
  const version =
    wanted.version === 0
      ? newestOf<{ readonly number: number }>(definition)
      : versionOf<{ readonly number: number }>(definition, wanted.version);
  const found = definition.versions.find(({ number }) => number === version?.number);
  if (found === undefined) {
    const newest = newestOf<{ readonly number: number }>(definition).number;
    return refuse(
      "version",
      `${wanted.version} is none of "${wanted.view}"; the newest is ${newest}`,
    );
  }
  const names = found.features.map(({ name }) => name);
  const keys = view === undefined ? [] : newestOf(view).joinKeys.map(({ name }) => name);
  let isGood = true;
  for (const [index, [feature]] of wanted.features.entries()) {
    if (!names.includes(feature)) {
      const hint = suggestion(feature, names);
      refuse(`features[${index}].feature`, `"${feature}" is none of "${wanted.view}".${hint}`);
      isGood = false;
    }
  }
  for (const [joinKey] of wanted.joinKeys) {
    if (!keys.includes(joinKey)) {
      const hint = view === undefined ? " It is computed and has none." : suggestion(joinKey, keys);
      refuse("join_keys", `"${joinKey}" is no join key of "${wanted.view}".${hint}`);
      isGood = false;
    }
  }
  const features =
    wanted.features.length > 0 ? wanted.features : names.map((name) => [name, name] as const);
  const head = { view: wanted.view, version: found.number, features, joinKeys: wanted.joinKeys };
  if (view === undefined || !isGood) {
    return isGood ? { ...head, kind: "on-demand" } : undefined;
  }
  const lost = lostBy(view, head);
  return lost === undefined ? { ...head, kind: "view" } : refuse("version", lost);
}

/** Why a version of a view cannot be pinned any more: rows come by the newest one. */
function lostBy(
  view: Versioned<FeatureView>,
  { view: id, version, features }: Omit<Projection, "kind">,
): string | undefined {
  const [pinned, newest] = [versionOf(view, version)!, newestOf(view)];
  const names = features.map(([name]) => name);
  const lost = [
    ...lostFeatures(names, { pinned, newest }),
    ...(pinned.online && !newest.online ? ["rows online"] : []),
  ];
  return lost.length === 0
    ? undefined
    : `${version} of "${id}" has what version ${newest.number} has no longer: ${lost.join("; ")}`;
}

/**
 * Whether the newest version of a service already is what is wanted. Where the newest version of a
 * view is meant, an older one will do when it gives the same: types, defaults, expressions, ttl.
 */
function isSameService(
  definitions: Definitions,
  of: {
    readonly before: FeatureService;
    readonly wanted: WantedService;
    readonly after: readonly Projection[];
  },
): boolean {
  const { before, wanted, after } = of;
  if (before.projections.length !== after.length) {
    return false;
  }
  return before.projections.every((was, index) => {
    const now = after[index]!;
    const isSameChoice =
      was.view === now.view &&
      was.kind === now.kind &&
      JSON.stringify([was.features, was.joinKeys]) === JSON.stringify([now.features, now.joinKeys]);
    const follows = wanted.projections[index]?.version === 0;
    return (
      isSameChoice && (was.version === now.version || (follows && givesSame(definitions, was, now)))
    );
  });
}

function givesSame(definitions: Definitions, a: Projection, b: Projection): boolean {
  const chosen = new Set(a.features.map(([feature]) => feature));
  if (a.kind === "on-demand") {
    const [was, now] = [a, b].map(({ view, version }) =>
      versionOf(definitions.onDemandFeatureViews[view]!, version),
    );
    const expressions = [was, now].map((version) =>
      version?.features
        .filter(({ name }) => chosen.has(name))
        .map(({ name, type, expression }) => [name, type, expression])
        .sort(),
    );
    return (
      fieldDifferences("inputs", was?.inputs ?? [], now?.inputs ?? []).length === 0 &&
      JSON.stringify(expressions[0]) === JSON.stringify(expressions[1])
    );
  }
  const [was, now] = [a, b].map(({ view, version }) =>
    versionOf(definitions.featureViews[view]!, version),
  );
  return (
    was?.ttlUs === now?.ttlUs &&
    was?.online === now?.online &&
    was?.offline === now?.offline &&
    [...chosen].every((name) => {
      const [before, after] = [was, now].map((version) =>
        version?.features.find((feature) => feature.name === name),
      );
      return (
        before?.type === after?.type &&
        isSameCell(before?.defaultValue ?? null, after?.defaultValue ?? null)
      );
    })
  );
}

/** A service must be readable: its columns and outputs go together. */
function checkPlan(draft: Draft, version: FeatureService, path: string): void {
  const sources = sourcesOf(draft.next, version);
  const { faults } = buildPlan({ workspace: draft.current._id }, sources);
  for (const { source, description } of faults) {
    draft.faults.add({ field: `${path}.projections[${source}]`, description });
  }
}
