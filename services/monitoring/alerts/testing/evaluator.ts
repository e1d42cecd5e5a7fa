// For tests: an evaluator over real windows, told of them by hand.

import { onTestFinished } from "vitest";
import type { DocumentStore } from "../../../common/documents/port.ts";
import type { Channel } from "../../../common/rpc/client.ts";
import type { AlertRecord } from "../alert.ts";
import type { AlertRuleRecord } from "../alert-rule.ts";
import { AlertEvaluator, type LabelChange } from "../evaluator.ts";
import { type AlertParts, ruleOf, useAlerts } from "./alerts.ts";
import { minute, type TestWindows, useWindows } from "./windows.ts";

/** Fewer than 100 rows are wrong. */
export const FEW = ruleOf();

export interface Setting extends AlertParts {
  readonly seen: TestWindows;
  readonly changes: LabelChange[];
  readonly evaluator: AlertEvaluator;
  /** Another replica; over other documents if given. */
  replica(documents?: DocumentStore): Promise<AlertEvaluator>;
  /** Tells the evaluator of these windows. */
  closed(...numbers: readonly number[]): Promise<void>;
  all(): Promise<AlertRecord[]>;
}

/** Rules over windows of one target, none yet. */
export async function setting(
  rules: readonly AlertRuleRecord[],
  given: { readonly shadow?: boolean; readonly registry?: Channel } = {},
): Promise<Setting> {
  const seen = await useWindows(given);
  const parts = await useAlerts({ documents: seen.shared.documents });
  for (const rule of rules) {
    await parts.alerts.rules.insertOne(rule);
  }
  const changes: LabelChange[] = [];
  const labels = {
    takeChanged: async (limit: number) => changes.slice(0, limit),
    seen: async (change: LabelChange) => void changes.splice(changes.indexOf(change), 1),
  };
  const replica = async (documents = seen.shared.documents) => {
    const { alerts } = await useAlerts({ documents });
    const registry = given.registry;
    const evaluator = new AlertEvaluator({ ...parts, ...seen, alerts, labels, registry });
    onTestFinished(() => evaluator[Symbol.asyncDispose]());
    return evaluator;
  };
  const evaluator = await replica();
  return {
    ...parts,
    seen,
    changes,
    evaluator,
    replica,
    async closed(...numbers) {
      for (const n of numbers) {
        await evaluator.windowClosed(await seen.target(), minute(n));
      }
    },
    async all() {
      const page = { pageSize: 1000, pageToken: "", signal: new AbortController().signal };
      const query = { workspace: "w", deployment: "", phases: [], ...page };
      const { items } = await parts.alerts.list(query);
      return items.toSorted((a, b) => a.windowEndUs - b.windowEndUs);
    },
  };
}
