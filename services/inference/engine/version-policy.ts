// What to load, swap in and drain next, given what the deployments want and what is loaded. Pure: a
// snapshot in, one decision out; the engine acts on it and asks again. The rule is make before
// break: what serves goes on until all that replaces it is ready.

/** Identifies one servable: what is loaded where with which instance settings. */
export type ServableKey = string & { readonly brand?: "ServableKey" };

/** One configuration of a deployment in terms of servables. */
export interface RevisionPlan {
  /** Of the deployment: one that is made anew under an old name counts revisions anew. */
  readonly uid: string;
  readonly revision: bigint;
  readonly targets: readonly { readonly key: ServableKey; readonly weight: number }[];
  readonly shadows: readonly ServableKey[];
}

export type ServableState =
  | { readonly kind: "loading" }
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly retryAtMs: number };

export interface DeploymentPlan {
  readonly name: string;
  /** What the registry wants. Absent: the deployment is deleted. */
  readonly desired?: RevisionPlan;
  /** What answers now. Absent: nothing yet. */
  readonly active?: RevisionPlan;
  /** Everything held for this deployment except what drains already. */
  readonly servables: ReadonlyMap<ServableKey, ServableState>;
}

export interface PolicySnapshot {
  readonly deployments: readonly DeploymentPlan[];
  readonly nowMs: number;
  /** Servables held by this server, those that drain too. */
  readonly held: number;
  readonly maxHeld: number;
  /** A load is under way: loads happen one at a time. */
  readonly loading: boolean;
}

export type Action =
  | { readonly kind: "activate"; readonly deployment: string }
  | { readonly kind: "drain"; readonly deployment: string; readonly key: ServableKey }
  | { readonly kind: "load"; readonly deployment: string; readonly key: ServableKey }
  /** It should be loaded but the server holds all it may; ask again later. */
  | { readonly kind: "refuse"; readonly deployment: string; readonly key: ServableKey };

/**
 * The next thing to do, or undefined when there is nothing to do now. Swaps come before drains,
 * drains before loads, so that memory is freed before more is taken.
 */
export function nextAction(snapshot: PolicySnapshot): Action | undefined {
  for (const deployment of snapshot.deployments) {
    if (mayActivate(deployment)) {
      return { kind: "activate", deployment: deployment.name };
    }
  }
  for (const deployment of snapshot.deployments) {
    const key = keyToDrain(deployment);
    if (key !== undefined) {
      return { kind: "drain", deployment: deployment.name, key };
    }
  }
  if (snapshot.loading) {
    return undefined;
  }
  const kind = snapshot.held >= snapshot.maxHeld ? "refuse" : "load";
  for (const deployment of snapshot.deployments) {
    const key = keyToLoad(deployment, snapshot.nowMs);
    if (key !== undefined) {
      return { kind, deployment: deployment.name, key };
    }
  }
  return undefined;
}

/**
 * Whether the desired revision may answer. Beside a revision that serves: when every target with a
 * weight is ready. Where nothing serves: as soon as one target is, the traffic of the others goes
 * to it.
 */
function mayActivate(deployment: DeploymentPlan): boolean {
  const { desired, active, servables } = deployment;
  if (desired === undefined || isSameRevision(desired, active)) {
    return false;
  }
  const isReady = (key: ServableKey): boolean => servables.get(key)?.kind === "ready";
  const weighted = desired.targets.filter((target) => target.weight > 0);
  const activeServes = active?.targets.some((target) => isReady(target.key)) ?? false;
  return activeServes
    ? weighted.every((target) => isReady(target.key))
    : weighted.some((target) => isReady(target.key));
}

function isSameRevision(one: RevisionPlan, other: RevisionPlan | undefined): boolean {
  return one.uid === other?.uid && one.revision === other.revision;
}

function keyToDrain({ desired, active, servables }: DeploymentPlan): ServableKey | undefined {
  const needed = new Set<ServableKey>([
    ...keysOf(desired),
    // A deleted deployment serves no more, so that nothing of it is needed.
    ...(desired === undefined ? [] : keysOf(active)),
  ]);
  for (const [key, state] of servables) {
    if (!needed.has(key) && state.kind !== "loading") {
      return key;
    }
  }
  return undefined;
}

function keyToLoad({ desired, servables }: DeploymentPlan, nowMs: number): ServableKey | undefined {
  for (const key of keysOf(desired)) {
    const state = servables.get(key);
    if (state === undefined || (state.kind === "failed" && state.retryAtMs <= nowMs)) {
      return key;
    }
  }
  return undefined;
}

/** Every servable a revision needs: targets by descending weight, then shadows. */
function keysOf(plan: RevisionPlan | undefined): readonly ServableKey[] {
  if (plan === undefined) {
    return [];
  }
  const targets = plan.targets.toSorted((a, b) => b.weight - a.weight);
  return [...new Set([...targets.map((target) => target.key), ...plan.shadows])];
}
