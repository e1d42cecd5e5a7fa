// Read plans that were worked out already. A plan holds for one state of a workspace's definitions,
// and every change of them is a new object: plans go with the object they were made from.

import type { Definitions } from "./definitions.ts";
import type { ReadPlan } from "./read-plan.ts";
import {
  type FeatureListRef,
  type FeatureServiceRef,
  planFeatureService,
  planFeatures,
} from "./resolve.ts";

/**
 * Features of all plans kept of one workspace; a caller that asks for ever new lists gets no more
 * room.
 */
const OUTPUTS_MAX = 100_000;

interface Plans {
  readonly byKey: Map<string, ReadPlan>;
  outputs: number;
}

/** Keeps plans. One for a process is enough. */
export class PlanCache {
  readonly #plans = new WeakMap<Definitions, Plans>();

  /** As planFeatureService, which throws where there is no plan. */
  featureService(definitions: Definitions, ref: FeatureServiceRef): ReadPlan {
    return this.#plan(definitions, ref.name, () => planFeatureService(definitions, ref));
  }

  /** As planFeatures, which throws where there is no plan. */
  features(definitions: Definitions, list: FeatureListRef): ReadPlan {
    // No name of a service begins so, and no reference that has a plan holds a line break: with
    // the count no two lists share a key.
    const head = list.fullNames ? "\nfull" : "\n";
    const key = `${head}${list.refs.length}\n${list.refs.join("\n")}`;
    return this.#plan(definitions, key, () => planFeatures(definitions, list));
  }

  #plan(definitions: Definitions, key: string, make: () => ReadPlan): ReadPlan {
    const known = this.#plans.get(definitions)?.byKey.get(key);
    if (known !== undefined) {
      return known;
    }
    const plan = make();
    const plans = this.#plans.get(definitions) ?? { byKey: new Map(), outputs: 0 };
    this.#plans.set(definitions, plans);
    plans.byKey.set(key, plan);
    plans.outputs += plan.outputs.length;
    // The first ones in go first: a map keeps the order in which they came.
    for (const [oldest, { outputs }] of plans.byKey) {
      if (plans.outputs <= OUTPUTS_MAX) {
        break;
      }
      plans.byKey.delete(oldest);
      plans.outputs -= outputs.length;
    }
    return plan;
  }
}
