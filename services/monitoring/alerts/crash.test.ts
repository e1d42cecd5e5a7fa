// Workers that die at any write, with the write done or not: what an alert causes comes out once,
// or for messages at least once, and nothing is left behind.

import { describe, expect, it } from "vitest";
import { AlertAction_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { FaultyStore } from "../windows/testing.ts";
import { AlertStore } from "./alert-store.ts";
import { Deliverer } from "./deliverer.ts";
import { fire, ruleOf, useAlerts, webhooks } from "./testing/alerts.ts";
import { isSigned, ok, status, useReceiver } from "./testing/receivers.ts";
import { config, StandInRegistry, version } from "./testing/registry.ts";

const { MARK_VERSION, ROLLBACK_DEPLOYMENT, STOP_SHADOW } = AlertAction_Kind;

describe("crash", () => {
  it("loses and doubles nothing, wherever a worker dies", async () => {
    // The first run counts the writes; in each other one the n-th write is a worker's last.
    const writes = await play({ dies: undefined, after: false });
    expect(writes).toBeGreaterThan(8);
    for (let nth = 1; nth <= writes; nth++) {
      await play({ dies: nth, after: false });
      await play({ dies: nth, after: true });
    }
  });

  it("survives a store that fails again and again", async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const random = new SeededRandom(seed);
      const fault = () => random.pick([undefined, undefined, "before", "after"] as const);
      await play({ dies: undefined, after: false, fault });
    }
  });
});

interface Fate {
  /** The write at which the first worker dies. */
  readonly dies: number | undefined;
  /** Whether that write is done. */
  readonly after: boolean;
  readonly fault?: FaultyStore["nextFault"];
}

/** One alert is worked off by a worker with this fate, then by one without; counts the writes. */
async function play(fate: Fate): Promise<number> {
  const parts = await useAlerts({ config: { webhookRetryMs: 1000, webhookTriesMax: 100 } });
  const registry = new StandInRegistry();
  registry.deploy(config([1], [2]), config([1], [3]), config([2], [1]));
  registry.tags.set(version(2), {});
  const channel = await registry.channel();
  const steady = await useReceiver();
  const flaky = await useReceiver((response, request, nth) =>
    nth < 3 ? status(500)(response, request, nth) : ok(response),
  );
  const rule = ruleOf({
    webhooks: webhooks(steady.url, flaky.url),
    actions: [MARK_VERSION, ROLLBACK_DEPLOYMENT, STOP_SHADOW],
  });
  const alert = await fire(parts, rule);
  const store = new FaultyStore(parts.documents);
  store.nextFault = () => {
    if (store.writes === fate.dies) {
      store.isDead = !fate.after;
      queueMicrotask(() => {
        store.isDead = true;
      });
      return fate.after ? "after" : "before";
    }
    return fate.fault?.();
  };
  const mortal = await AlertStore.open({ ...parts, documents: store });
  const work = async (alerts: AlertStore): Promise<void> => {
    await using worker = new Deliverer({ ...parts, alerts, registry: channel, random: () => 0 });
    for (let round = 0; round < 4; round++) {
      await worker.runDue();
      parts.clock.advance(60_000);
    }
  };
  await work(mortal);
  await work(parts.alerts);
  const { actions, deliveries, nextDueTime } = await parts.alerts.get(alert._id);
  const about = JSON.stringify(fate);
  expect(registry.changes.filter((change) => change === "rollback").length, about).toBe(1);
  expect(registry.live, about).toEqual([1]);
  expect(registry.tags.get(version(2)), about).toEqual({ "plinth.alert": rule._id });
  expect(
    actions.map(({ state }) => state),
    about,
  ).toEqual(["DONE", "DONE", "SKIPPED"]);
  expect(
    deliveries.map(({ state }) => state),
    about,
  ).toEqual(["DELIVERED", "DELIVERED"]);
  expect(nextDueTime, about).toBeNull();
  for (const [i, { received }] of [steady, flaky].entries()) {
    const ids = new Set(received.map(({ headers }) => headers["webhook-id"]));
    expect(ids, about).toEqual(new Set([deliveries[i]!.id]));
    expect(
      received.every((one) => isSigned(one, rule.webhooks[i]!.secret)),
      about,
    ).toBe(true);
  }
  return store.writes;
}
