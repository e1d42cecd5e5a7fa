// Where rows of an entity may stand: the histories of views that have its join keys, and the kept
// reads and training sets of feature services that read by them, maybe under other names. Pure.

import { featureServiceVersionName, featureViewName } from "../../common/names.ts";
import type { Definitions } from "../definitions/definitions.ts";
import { newestOf } from "../definitions/lookup.ts";
import type { ReadPlan } from "../definitions/read-plan.ts";
import { planFeatureService } from "../definitions/resolve.ts";
import { type History, readsHistory } from "../offline/history.ts";
import { historyOf } from "../offline/view-history.ts";
import type { Cells, Field } from "../value.ts";

/** Keys to look for: columns of one length, by name. */
export interface KeySet {
  readonly keyFields: readonly Field[];
  readonly keys: Readonly<Record<string, Cells>>;
}

/** One history and under which names the keys may stand in it. */
export interface ErasureTarget {
  readonly history: History;
  /** The view's name; undefined: kept reads. */
  readonly viewName: string | undefined;
  readonly keySets: readonly KeySet[];
  /** Whether rows may still come, kept a moment ago in the memory of a replica. */
  readonly isSampled: boolean;
}

/** Every history of the workspace that may have rows of the keys. */
export function erasureTargets(
  definitions: Definitions,
  workspace: string,
  keySet: KeySet,
): readonly ErasureTarget[] {
  const targets: ErasureTarget[] = [];
  for (const [view, definition] of Object.entries(definitions.featureViews)) {
    const version = newestOf(definition);
    const has = keySet.keyFields.every(({ name, type }) =>
      version.joinKeys.some((joinKey) => joinKey.name === name && joinKey.type === type),
    );
    if (has) {
      targets.push({
        history: historyOf(workspace, { view, uid: definition.uid, version }),
        viewName: featureViewName.format({ workspace, view }),
        keySets: [keySet],
        isSampled: false,
      });
    }
  }
  for (const plan of allPlans(definitions, workspace)) {
    const keySets = keySetsOf(plan, keySet);
    if (keySets.length > 0) {
      const history = readsHistory(workspace, plan.featureService ?? "");
      const isSampled = plan.loggingSampleRate > 0;
      targets.push({ history, viewName: undefined, keySets, isSampled });
    }
  }
  return targets;
}

/** The keys under the names that a plan's request columns give them; none where it has no such. */
export function keySetsOf(plan: ReadPlan, { keyFields, keys }: KeySet): readonly KeySet[] {
  const found = new Map<string, KeySet>();
  for (const { parts } of plan.keys) {
    const columns = keyFields.map(({ name }) => {
      const part = parts.find(({ joinKey }) => joinKey === name);
      return part === undefined ? undefined : plan.requestColumns[part.column];
    });
    const named = columns.filter((column) => column !== undefined);
    if (named.length === keyFields.length) {
      const entries = named.map(({ name }, index) => {
        return [name, keys[keyFields[index]?.name ?? ""] ?? []] as const;
      });
      const fields = named.map(({ name, type }) => ({ name, type }));
      found.set(JSON.stringify(fields), { keyFields: fields, keys: Object.fromEntries(entries) });
    }
  }
  return [...found.values()];
}

function allPlans(definitions: Definitions, workspace: string): readonly ReadPlan[] {
  return Object.entries(definitions.featureServices).flatMap(([service, { versions }]) =>
    versions.map(({ number }) =>
      planFeatureService(definitions, {
        workspace,
        name: featureServiceVersionName.format({ workspace, service, version: String(number) }),
      }),
    ),
  );
}
