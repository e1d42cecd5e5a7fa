import { describe, expect, it, onTestFinished } from "vitest";
import { AlertAction_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { AlertRecord, StoredAction } from "./alert.ts";
import { Deliverer } from "./deliverer.ts";
import { type AlertParts, acting, fire, ruleOf, useAlerts } from "./testing/alerts.ts";
import { config, StandInRegistry, version } from "./testing/registry.ts";

const { MARK_VERSION, ROLLBACK_DEPLOYMENT, STOP_SHADOW, REQUEST_RETRAINING } = AlertAction_Kind;
const RULE = "workspaces/w/alertRules/r";

interface Setting extends AlertParts {
  readonly registry: StandInRegistry;
  /** A worker of its own. */
  deliverer(): Deliverer;
  /** The only action of an alert. */
  action(alert: AlertRecord): Promise<StoredAction>;
}

async function setting(): Promise<Setting> {
  const parts = await useAlerts();
  const registry = new StandInRegistry();
  registry.tags.set(version(2), { team: "a" });
  const channel = await registry.channel();
  return {
    ...parts,
    registry,
    deliverer() {
      const deliverer = new Deliverer({ ...parts, registry: channel, random: () => 0 });
      onTestFinished(async () => {
        await deliverer[Symbol.asyncDispose]();
      });
      return deliverer;
    },
    async action({ _id }) {
      const { actions } = await parts.alerts.get(_id);
      expect(actions).toHaveLength(1);
      return actions[0]!;
    },
  };
}

describe("run-action", () => {
  it("tags the version, and keeps its other tags", async () => {
    const { registry, ...s } = await setting();
    const alert = await fire(s, acting(MARK_VERSION));
    await s.deliverer().runDue();
    await s.deliverer().runDue();
    expect(registry.tags.get(version(2))).toEqual({ team: "a", "plinth.alert": RULE });
    expect(registry.changes).toEqual(["tag"]);
    expect(await s.action(alert)).toMatchObject({ state: "DONE", tries: 1, dueTime: null });
  });

  it("marks nothing where the version is gone or another", async () => {
    const { registry, ...s } = await setting();
    registry.tags.delete(version(2));
    const alert = await fire(s, acting(MARK_VERSION));
    await s.deliverer().runDue();
    expect(await s.action(alert)).toMatchObject({ state: "SKIPPED" });
    registry.tags.set(version(3), {});
    expect(registry.changes).toEqual([]);
  });

  it("goes back to the newest configuration without the version", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([1, 2]), config([3], [2]), config([2]), config([2, 3]));
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    await s.deliverer().runDue();
    await s.deliverer().runDue();
    expect(registry.changes).toEqual(["rollback"]);
    expect(registry.live).toEqual([3]);
    expect(registry.shadows).toEqual([2]);
    const action = await s.action(alert);
    expect(action).toMatchObject({ state: "DONE", plan: null });
    expect(action.detail).toBe("Went back to the configuration of revision 3.");
  });

  it("passes over a configuration that the registry refuses", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([3]), config([2]));
    registry.archived.add(3);
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    await s.deliverer().runDue();
    expect(registry.live).toEqual([1]);
    expect(await s.action(alert)).toMatchObject({ state: "DONE" });
  });

  it("fails where there is nothing to go back to, and says why", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([2]), config([2, 3]));
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    await s.deliverer().runDue();
    const action = await s.action(alert);
    expect(action.state).toBe("FAILED");
    expect(action.detail).toContain("there is none in its history");
    const refused = await setting();
    refused.registry.deploy(config([1]), config([2]));
    refused.registry.archived.add(1);
    const other = await fire(refused, acting(ROLLBACK_DEPLOYMENT));
    await refused.deliverer().runDue();
    const { state, detail } = await refused.action(other);
    expect(state).toBe("FAILED");
    expect(detail).toContain("revision 1: Version 1 is archived.");
  });

  it.each([
    ["no longer serves", (r: StandInRegistry) => r.deploy(config([2]), config([1]))],
    ["is a shadow only", (r: StandInRegistry) => r.deploy(config([1]), config([3], [2]))],
    ["has no deployment any more", () => undefined],
    [
      "is in a deployment made anew",
      (r: StandInRegistry) => {
        r.uid = "another";
        r.deploy(config([1]), config([2]));
      },
    ],
  ])("skips the rollback of a version that %s", async (_, arrange) => {
    const { registry, ...s } = await setting();
    arrange(registry);
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    await s.deliverer().runDue();
    expect(registry.changes).toEqual([]);
    expect(await s.action(alert)).toMatchObject({ state: "SKIPPED" });
  });

  it("does not roll back twice when the answer was lost", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([3]), config([2]));
    registry.losesAnswer = true;
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    await s.deliverer().runDue();
    expect(registry.live).toEqual([3]);
    expect(await s.action(alert)).toMatchObject({ state: "PENDING", tries: 1 });
    s.clock.advance(60_000);
    await s.deliverer().runDue();
    expect(registry.changes).toEqual(["rollback"]);
    const action = await s.action(alert);
    expect(action).toMatchObject({ state: "DONE", tries: 2 });
    expect(action.detail).toBe("Went back to the configuration of revision 2.");
  });

  it("does not roll back again what people have undone since", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([2]));
    registry.losesAnswer = true;
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    await s.deliverer().runDue();
    registry.deploy(config([2]));
    s.clock.advance(60_000);
    await s.deliverer().runDue();
    expect(registry.changes).toEqual(["rollback"]);
    expect(registry.live).toEqual([2]);
    expect(await s.action(alert)).toMatchObject({ state: "DONE" });
  });

  it("leaves a deployment that somebody changed after the plan was written", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([2]));
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    // The worker died after it had written down what it was about to do.
    await s.alerts.change(alert._id, (current) => ({
      ...current,
      actions: current.actions.map((action) => ({
        ...action,
        plan: { revision: 2, to: 1, configDigest: "of something else" },
      })),
    }));
    registry.deploy(config([2, 3]));
    await s.deliverer().runDue();
    expect(registry.changes).toEqual([]);
    const action = await s.action(alert);
    expect(action.state).toBe("SKIPPED");
    expect(action.detail).toContain("Somebody changed the deployment");
  });

  it("goes on with a plan of which nothing was done", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([2]));
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    await s.alerts.change(alert._id, (current) => ({
      ...current,
      actions: current.actions.map((action) => ({
        ...action,
        claim: "of a worker that died",
        dueTime: new Date(s.clock.now() + 60_000),
        plan: { revision: 2, to: 1, configDigest: "never made" },
      })),
    }));
    await s.deliverer().runDue();
    expect(registry.changes).toEqual([]);
    s.clock.advance(60_000);
    await s.deliverer().runDue();
    expect(registry.live).toEqual([1]);
    expect(await s.action(alert)).toMatchObject({ state: "DONE" });
  });

  it("looks again where somebody was faster", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([2]));
    registry.beforeChange = () => registry.deploy(config([2, 3]));
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    await s.deliverer().runDue();
    expect(registry.changes).toEqual([]);
    expect(await s.action(alert)).toMatchObject({ state: "PENDING", plan: null });
    s.clock.advance(60_000);
    await s.deliverer().runDue();
    expect(registry.live).toEqual([1]);
    expect(await s.action(alert)).toMatchObject({ state: "DONE" });
  });

  it("rolls back once where two rules and three workers want it", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([3]), config([2]));
    const one = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    const other = { ...acting(ROLLBACK_DEPLOYMENT), _id: `${RULE}2`, uid: "uid-r2" };
    const two = await fire(s, other);
    const workers = [s.deliverer(), s.deliverer(), s.deliverer()];
    for (let round = 0; round < 4; round++) {
      await Promise.all(workers.map((worker) => worker.runDue()));
      s.clock.advance(60_000);
    }
    expect(registry.changes).toEqual(["rollback"]);
    const states = [(await s.action(one)).state, (await s.action(two)).state];
    expect(states.sort()).toEqual(["DONE", "SKIPPED"]);
  });

  it("takes a version out of the shadows, once", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1], [2, 3]));
    registry.losesAnswer = true;
    const alert = await fire(s, acting(STOP_SHADOW));
    await s.deliverer().runDue();
    registry.deploy(config([1], [2, 3]));
    s.clock.advance(60_000);
    await s.deliverer().runDue();
    expect(registry.changes).toEqual(["update"]);
    // Somebody made it a shadow again; that is theirs to decide.
    expect(registry.shadows).toEqual([2, 3]);
    expect(await s.action(alert)).toMatchObject({ state: "DONE" });
    const live = await setting();
    live.registry.deploy(config([2], [3]));
    const none = await fire(live, acting(STOP_SHADOW));
    await live.deliverer().runDue();
    expect(await live.action(none)).toMatchObject({ state: "SKIPPED" });
    expect(live.registry.changes).toEqual([]);
  });

  it("tries for an hour while the registry is away, then gives up", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([2]));
    registry.isAway = true;
    const alert = await fire(s, acting(ROLLBACK_DEPLOYMENT));
    const deliverer = s.deliverer();
    await deliverer.runDue();
    const pending = await s.action(alert);
    expect(pending).toMatchObject({ state: "PENDING", detail: "The registry is away." });
    s.clock.advance(3_599_000);
    await deliverer.runDue();
    expect(await s.action(alert)).toMatchObject({ state: "PENDING", tries: 2 });
    s.clock.advance(60_000);
    await deliverer.runDue();
    const action = await s.action(alert);
    expect(action).toMatchObject({ state: "FAILED", dueTime: null });
    expect(action.detail).toBe("Given up after an hour: The registry is away.");
  });

  it("fails where no registry is known", async () => {
    const parts = await useAlerts();
    const alert = await fire(parts, acting(ROLLBACK_DEPLOYMENT));
    await using deliverer = new Deliverer({ ...parts, registry: undefined });
    await deliverer.runDue();
    const { actions } = await parts.alerts.get(alert._id);
    expect(actions).toMatchObject([{ state: "FAILED" }]);
  });

  it("asks for retraining by firing, and does the others beside", async () => {
    const { registry, ...s } = await setting();
    registry.deploy(config([1]), config([2]));
    const rule = ruleOf({ actions: [REQUEST_RETRAINING, MARK_VERSION, ROLLBACK_DEPLOYMENT] });
    const alert = await fire(s, rule);
    expect(alert.actions.map(({ state }) => state)).toEqual(["DONE", "PENDING", "PENDING"]);
    await s.deliverer().runDue();
    const { actions } = await s.alerts.get(alert._id);
    expect(actions.map(({ state }) => state)).toEqual(["DONE", "DONE", "DONE"]);
    expect(registry.changes).toEqual(["tag", "rollback"]);
  });
});
