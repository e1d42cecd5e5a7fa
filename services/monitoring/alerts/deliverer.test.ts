import { describe, expect, it, onTestFinished } from "vitest";
import type { AlertRecord, DeliveryRecord } from "./alert.ts";
import { endedAlert } from "./apply-step.ts";
import { Deliverer, type DelivererDeps } from "./deliverer.ts";
import { type AlertParts, fire, ruleOf, useAlerts, webhooks } from "./testing/alerts.ts";
import { hang, isSigned, ok, status, useReceiver } from "./testing/receivers.ts";

function useDeliverer(parts: AlertParts, given: Partial<DelivererDeps> = {}): Deliverer {
  const deliverer = new Deliverer({ ...parts, registry: undefined, random: () => 0, ...given });
  onTestFinished(async () => {
    await deliverer[Symbol.asyncDispose]();
  });
  return deliverer;
}

async function only(parts: AlertParts, alert: AlertRecord): Promise<DeliveryRecord> {
  const { deliveries } = await parts.alerts.get(alert._id);
  expect(deliveries).toHaveLength(1);
  return deliveries[0]!;
}

describe("deliverer", () => {
  it("delivers a message that a receiver can check, once", async () => {
    const parts = await useAlerts();
    const receiver = await useReceiver();
    const rule = ruleOf({ webhooks: webhooks(receiver.url) });
    const alert = await fire(parts, rule);
    const deliverer = useDeliverer(parts);
    await deliverer.runDue();
    await deliverer.runDue();
    expect(receiver.received).toHaveLength(1);
    const [message] = receiver.received;
    expect(isSigned(message!, rule.webhooks[0]!.secret)).toBe(true);
    expect(message?.headers["webhook-timestamp"]).toBe(String(parts.clock.now() / 1000));
    const body = JSON.parse(message?.body ?? "");
    expect(body).toMatchObject({
      type: "alert.firing",
      timestamp: "2026-01-01T00:00:00.000Z",
      data: {
        name: alert._id,
        rule: rule._id,
        deployment: "workspaces/w/deployments/d",
        modelVersion: "workspaces/w/models/m/versions/2",
        state: "STATE_FIRING",
        severity: "ALERT_SEVERITY_CRITICAL",
        value: 5,
        bound: 100,
      },
    });
    expect(message?.body).not.toContain("whsec_");
    expect(body.data.deliveries).toBeUndefined();
    const delivery = await only(parts, alert);
    expect(delivery).toMatchObject({ state: "DELIVERED", tries: 1, dueTime: null, secret: "" });
    expect(delivery.id).toBe(message?.headers["webhook-id"]);
    expect(delivery.attempts).toMatchObject([{ status: 200, error: "" }]);
    expect((await parts.alerts.get(alert._id)).bodies).toEqual([]);
  });

  it("tries again with growing pauses, under the same id, and keeps the history", async () => {
    const parts = await useAlerts({ config: { webhookRetryMs: 1000 } });
    const receiver = await useReceiver((response, request, nth) =>
      nth < 3 ? status(500)(response, request, nth) : ok(response),
    );
    const alert = await fire(parts, ruleOf({ webhooks: webhooks(receiver.url) }));
    const deliverer = useDeliverer(parts);
    await deliverer.runDue();
    expect((await only(parts, alert)).dueTime?.getTime()).toBe(parts.clock.now() + 1000);
    parts.clock.advance(999);
    await deliverer.runDue();
    expect(receiver.received).toHaveLength(1);
    parts.clock.advance(1);
    await deliverer.runDue();
    expect((await only(parts, alert)).dueTime?.getTime()).toBe(parts.clock.now() + 2000);
    parts.clock.advance(2000);
    await deliverer.runDue();
    const delivery = await only(parts, alert);
    expect(delivery.state).toBe("DELIVERED");
    expect(delivery.attempts.map((attempt) => attempt.status)).toEqual([500, 500, 200]);
    const ids = receiver.received.map(({ headers }) => headers["webhook-id"]);
    expect(new Set(ids)).toEqual(new Set([delivery.id]));
    const bodies = new Set(receiver.received.map(({ body }) => body));
    expect(bodies.size).toBe(1);
  });

  it("gives up after so many tries and keeps the last ten attempts", async () => {
    const parts = await useAlerts({ config: { webhookTriesMax: 12, webhookRetryMs: 10 } });
    const receiver = await useReceiver(status(500));
    const alert = await fire(parts, ruleOf({ webhooks: webhooks(receiver.url) }));
    const deliverer = useDeliverer(parts);
    for (let tries = 0; tries < 15; tries++) {
      await deliverer.runDue();
      parts.clock.advance(3_600_000);
    }
    expect(receiver.received).toHaveLength(12);
    const delivery = await only(parts, alert);
    expect(delivery).toMatchObject({ state: "FAILED", tries: 12, dueTime: null, secret: "" });
    expect(delivery.attempts).toHaveLength(10);
  });

  it("gives up at once where the endpoint is gone", async () => {
    const parts = await useAlerts();
    const receiver = await useReceiver(status(410));
    const alert = await fire(parts, ruleOf({ webhooks: webhooks(receiver.url) }));
    await useDeliverer(parts).runDue();
    expect(await only(parts, alert)).toMatchObject({ state: "FAILED", tries: 1 });
  });

  it("waits as long as the endpoint asks, up to an hour", async () => {
    const parts = await useAlerts();
    const minutes = await useReceiver(status(429, { "retry-after": "600" }));
    const days = await useReceiver(status(503, { "retry-after": "864000" }));
    const rule = ruleOf({ webhooks: webhooks(minutes.url, days.url) });
    const alert = await fire(parts, rule);
    await useDeliverer(parts).runDue();
    const { deliveries } = await parts.alerts.get(alert._id);
    const pauses = deliveries.map(({ dueTime }) => dueTime!.getTime() - parts.clock.now());
    expect(pauses).toEqual([600_000, 3_600_000]);
  });

  it("does not let endpoints that hang hold up the others", async () => {
    const parts = await useAlerts({ config: { webhookTimeoutMs: 300_000 } });
    const slow = await useReceiver(hang);
    const fast = await useReceiver();
    // More than one look reads.
    for (let i = 0; i < 520; i++) {
      await fire(parts, ruleOf({ webhooks: webhooks(slow.url) }), { column: `slow${i}` });
    }
    const alerts: AlertRecord[] = [];
    for (let i = 0; i < 20; i++) {
      const name = `workspaces/w/alertRules/fast${i}`;
      const rule = ruleOf({ _id: name, uid: name, webhooks: webhooks(fast.url) });
      alerts.push(await fire(parts, rule));
    }
    useDeliverer(parts).start();
    for (const { _id } of alerts) {
      await expect
        .poll(async () => (await parts.alerts.get(_id)).deliveries[0]?.state, { timeout: 10_000 })
        .toBe("DELIVERED");
    }
    expect(fast.received).toHaveLength(20);
    expect(fast.load.most).toBeLessThanOrEqual(2);
    // All the while as many as one host may have.
    expect(slow.received).toHaveLength(2);
  });

  it("goes on where another left off, at any point", async () => {
    const parts = await useAlerts({ config: { webhookTimeoutMs: 60_000 } });
    const started = Promise.withResolvers<void>();
    const receiver = await useReceiver((response, _, nth) =>
      nth === 1 ? started.resolve() : ok(response),
    );
    const alert = await fire(parts, ruleOf({ webhooks: webhooks(receiver.url) }));
    // Dies while it sends: it says nothing any more, so its claim runs out.
    const dying = useDeliverer(parts);
    dying.start();
    await started.promise;
    const heir = useDeliverer(parts);
    await heir.runDue();
    expect(receiver.received).toHaveLength(1);
    parts.clock.advance(60_000 + 15_000);
    await heir.runDue();
    expect(receiver.received).toHaveLength(2);
    const [first, second] = receiver.received;
    expect(first?.headers["webhook-id"]).toBe(second?.headers["webhook-id"]);
    expect(await only(parts, alert)).toMatchObject({ state: "DELIVERED" });
    await dying[Symbol.asyncDispose]();
    // What the first one learned of its own attempt changes nothing.
    expect(await only(parts, alert)).toMatchObject({ state: "DELIVERED", tries: 1 });
  });

  it("gives back what it is sending when it stops", async () => {
    const parts = await useAlerts({ config: { webhookTimeoutMs: 60_000 } });
    const started = Promise.withResolvers<void>();
    const receiver = await useReceiver((response, _, nth) =>
      nth === 1 ? started.resolve() : ok(response),
    );
    const alert = await fire(parts, ruleOf({ webhooks: webhooks(receiver.url) }));
    const first = useDeliverer(parts);
    first.start();
    await started.promise;
    await first[Symbol.asyncDispose]();
    expect(await only(parts, alert)).toMatchObject({ state: "PENDING", tries: 0, claim: "" });
    await useDeliverer(parts).runDue();
    expect(await only(parts, alert)).toMatchObject({ state: "DELIVERED", tries: 1 });
  });

  it("sends once where several replicas look at once", async () => {
    const parts = await useAlerts();
    const receiver = await useReceiver();
    for (let i = 0; i < 10; i++) {
      const name = `workspaces/w/alertRules/r${i}`;
      await fire(parts, ruleOf({ _id: name, uid: name, webhooks: webhooks(receiver.url) }));
    }
    const replicas = [1, 2, 3].map(() => useDeliverer(parts));
    for (const replica of replicas) {
      replica.start();
    }
    await expect.poll(() => receiver.received.length, { timeout: 10_000 }).toBe(10);
    await Promise.all(replicas.map((replica) => replica.runDue()));
    const ids = receiver.received.map(({ headers }) => headers["webhook-id"]);
    expect(new Set(ids).size).toBe(10);
    expect(ids).toHaveLength(10);
  });

  it("signs with the secret that the rule has by then", async () => {
    const parts = await useAlerts();
    const receiver = await useReceiver();
    const rule = ruleOf({ webhooks: webhooks(receiver.url) });
    await fire(parts, rule);
    const rotated = webhooks("", receiver.url)[1]!;
    const stored = await parts.alerts.rules.findOne({ _id: rule._id });
    await parts.alerts.rules.putOne({ ...stored!, webhooks: [rotated] });
    await useDeliverer(parts).runDue();
    expect(isSigned(receiver.received[0]!, rotated.secret)).toBe(true);
  });

  it("does not send to a webhook that the rule no longer has", async () => {
    const parts = await useAlerts();
    const receiver = await useReceiver();
    const rule = ruleOf({ webhooks: webhooks(receiver.url) });
    const alert = await fire(parts, rule);
    await parts.alerts.rules.putOne({ ...rule, webhooks: [] });
    await useDeliverer(parts).runDue();
    expect(receiver.received).toEqual([]);
    const delivery = await only(parts, alert);
    expect(delivery.state).toBe("FAILED");
    expect(delivery.attempts[0]?.error).toContain("no longer has this webhook");
  });

  it("tells the end of an alert whose rule is gone, with the secret that it had", async () => {
    const parts = await useAlerts();
    const receiver = await useReceiver();
    const rule = ruleOf({ webhooks: webhooks(receiver.url) });
    const alert = await fire(parts, rule);
    await parts.alerts.change(alert._id, (current) =>
      endedAlert(current, { rule, why: "gone", now: parts.alerts.now() }),
    );
    await parts.alerts.rules.deleteOne(rule._id);
    await useDeliverer(parts).runDue();
    const types = receiver.received.map(({ body }) => JSON.parse(body).type);
    expect(types.sort()).toEqual(["alert.firing", "alert.resolved"]);
    for (const message of receiver.received) {
      expect(isSigned(message, rule.webhooks[0]!.secret)).toBe(true);
    }
  });

  it("keeps a resolved alert while something is on its way, then for its time", async () => {
    const parts = await useAlerts({ config: { alertTtlMs: 60_000, webhookRetryMs: 3_600_000 } });
    const receiver = await useReceiver((response, request, nth) =>
      nth <= 2 ? status(500)(response, request, nth) : ok(response),
    );
    const rule = ruleOf({ webhooks: webhooks(receiver.url) });
    const alert = await fire(parts, rule);
    await parts.alerts.change(alert._id, (current) =>
      endedAlert(current, { rule, why: "gone", now: parts.alerts.now() }),
    );
    const deliverer = useDeliverer(parts);
    await deliverer.runDue();
    parts.clock.advance(3_600_000);
    expect((await parts.alerts.get(alert._id)).expireTime).toBeNull();
    await deliverer.runDue();
    const { expireTime } = await parts.alerts.get(alert._id);
    expect(expireTime?.getTime()).toBe(parts.clock.now() + 60_000);
    parts.clock.advance(60_001);
    await expect(parts.alerts.get(alert._id)).rejects.toThrow("There is no");
  });
});
