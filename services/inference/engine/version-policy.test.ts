import { describe, expect, it } from "vitest";
import {
  type Action,
  type DeploymentPlan,
  nextAction,
  type RevisionPlan,
  type ServableState,
} from "./version-policy.ts";

const READY: ServableState = { kind: "ready" };
const LOADING: ServableState = { kind: "loading" };
const failedUntil = (retryAtMs: number): ServableState => ({ kind: "failed", retryAtMs });

function revision(
  number: number,
  targets: Record<string, number>,
  shadows = "",
  uid = "u",
): RevisionPlan {
  return {
    uid,
    revision: BigInt(number),
    targets: Object.entries(targets).map(([key, weight]) => ({ key, weight })),
    shadows: shadows === "" ? [] : [shadows],
  };
}

function plan(
  desired: RevisionPlan | undefined,
  active: RevisionPlan | undefined,
  servables: Record<string, ServableState>,
): DeploymentPlan {
  return {
    name: "d",
    servables: new Map(Object.entries(servables)),
    ...(desired === undefined ? {} : { desired }),
    ...(active === undefined ? {} : { active }),
  };
}

const load = (key: string): Action => ({ kind: "load", deployment: "d", key });
const drain = (key: string): Action => ({ kind: "drain", deployment: "d", key });
const activate: Action = { kind: "activate", deployment: "d" };

describe("version-policy", () => {
  const one = revision(1, { x: 100 });
  const two = revision(2, { y: 100 });
  const cases: readonly {
    readonly it: string;
    readonly deployment: DeploymentPlan;
    readonly action: Action | undefined;
    readonly loading?: boolean;
    readonly held?: number;
  }[] = [
    { it: "loads what is wanted first", deployment: plan(one, undefined, {}), action: load("x") },
    {
      it: "loads one at a time",
      deployment: plan(one, undefined, {}),
      loading: true,
      action: undefined,
    },
    {
      it: "waits for a load",
      deployment: plan(one, undefined, { x: LOADING }),
      action: undefined,
    },
    {
      it: "lets the first revision answer once it is ready",
      deployment: plan(one, undefined, { x: READY }),
      action: activate,
    },
    {
      it: "rests when all is as wanted",
      deployment: plan(one, one, { x: READY }),
      action: undefined,
    },
    {
      it: "loads the new version beside the one that serves",
      deployment: plan(two, one, { x: READY }),
      action: load("y"),
    },
    {
      it: "keeps the old version while the new one loads",
      deployment: plan(two, one, { x: READY, y: LOADING }),
      action: undefined,
    },
    {
      it: "swaps when the new version is ready",
      deployment: plan(two, one, { x: READY, y: READY }),
      action: activate,
    },
    {
      it: "drains the old version after the swap",
      deployment: plan(two, two, { x: READY, y: READY }),
      action: drain("x"),
    },
    {
      it: "keeps the old revision when a version fails to load",
      deployment: plan(two, one, { x: READY, y: failedUntil(50) }),
      action: undefined,
    },
    {
      it: "tries a failed load again when it is due",
      deployment: plan(two, one, { x: READY, y: failedUntil(10) }),
      action: load("y"),
    },
    {
      it: "swaps only when every weighted target is ready",
      deployment: plan(revision(2, { x: 50, y: 50 }), one, { x: READY, y: failedUntil(50) }),
      action: undefined,
    },
    {
      it: "does not wait for targets without weight or for shadows",
      deployment: plan(revision(2, { x: 1, y: 0 }, "z"), one, {
        x: READY,
        y: LOADING,
        z: LOADING,
      }),
      action: activate,
    },
    {
      it: "lets what is ready answer where nothing serves yet",
      deployment: plan(revision(1, { x: 50, y: 50 }), undefined, {
        x: READY,
        y: failedUntil(50),
      }),
      action: activate,
    },
    {
      it: "loads the heaviest target first and shadows last",
      deployment: plan(revision(1, { x: 1, y: 99 }, "z"), undefined, {}),
      action: load("y"),
    },
    {
      it: "drops what only a superseded revision wanted, once it has loaded",
      deployment: plan(revision(3, { z: 1 }), one, { x: READY, y: READY, z: LOADING }),
      action: drain("y"),
    },
    {
      it: "leaves a superseded version alone while it loads",
      deployment: plan(revision(3, { z: 1 }), one, { x: READY, y: LOADING, z: READY }),
      action: activate,
    },
    {
      it: "drains everything of a deleted deployment",
      deployment: plan(undefined, undefined, { x: READY }),
      action: drain("x"),
    },
    {
      it: "refuses a load that the server has no room for",
      deployment: plan(two, one, { x: READY }),
      held: 4,
      action: { kind: "refuse", deployment: "d", key: "y" },
    },
    {
      it: "knows a deployment that was made anew under the same name",
      deployment: plan(revision(1, { y: 100 }, "", "v"), one, { x: READY, y: READY }),
      action: activate,
    },
    {
      it: "activates a change of weights or batching without any load",
      deployment: plan(revision(2, { x: 1 }), one, { x: READY }),
      action: activate,
    },
  ];
  for (const { it: name, deployment, action, loading = false, held = 1 } of cases) {
    it(name, () => {
      const snapshot = { deployments: [deployment], nowMs: 10, held, maxHeld: 4, loading };
      expect(nextAction(snapshot)).toEqual(action);
    });
  }

  it("frees memory of one deployment before it loads for another", () => {
    const wants = plan(one, undefined, {});
    const leaves = { ...plan(undefined, undefined, { z: READY }), name: "e" };
    expect(
      nextAction({ deployments: [wants, leaves], nowMs: 0, held: 1, maxHeld: 4, loading: false }),
    ).toEqual({ kind: "drain", deployment: "e", key: "z" });
  });
});
