import { describe, expect, it } from "vitest";
import { Alert_State, AlertAction_Kind } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { WatchAlertsResponse } from "../../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";
import type { AlertRecord } from "./alert.ts";
import { endedAlert } from "./apply-step.ts";
import { Deliverer } from "./deliverer.ts";
import { type AlertParts, acting, fire, ruleOf, useAlerts, webhooks } from "./testing/alerts.ts";
import { useReceiver } from "./testing/receivers.ts";
import { serveAlerts } from "./testing/service.ts";
import { watchAlerts } from "./watch-alerts.ts";

const PARENT = "workspaces/w";

/** The next `count` events; the stream stays open. */
async function take(
  stream: AsyncIterator<WatchAlertsResponse>,
  count: number,
): Promise<WatchAlertsResponse[]> {
  const events: WatchAlertsResponse[] = [];
  while (events.length < count) {
    const { value, done } = await stream.next();
    expect(done).toBeFalsy();
    events.push(value);
  }
  return events;
}

/** In short. */
function seen(events: readonly WatchAlertsResponse[]): string[] {
  return events.map(({ event }) => {
    switch (event.case) {
      case "alert":
        return `${event.value.name.slice(-4)} ${Alert_State[event.value.state]}`;
      case "retraining":
        return `${event.value.alert.slice(-4)} retraining`;
      default:
        return event.case ?? "nothing";
    }
  });
}

function short(alert: AlertRecord, what: string): string {
  return `${alert._id.slice(-4)} ${what}`;
}

async function resolve({ alerts }: AlertParts, { _id }: AlertRecord): Promise<void> {
  await alerts.change(_id, (alert) =>
    endedAlert(alert, { rule: ruleOf(), why: "over", now: alerts.now() }),
  );
}

describe("watch-alerts", () => {
  it("sends what is active, then synced, then each change", async () => {
    const parts = await useAlerts();
    const { client } = await serveAlerts(parts);
    const first = await fire(parts, ruleOf(), { column: "a" });
    const over = await fire(parts, ruleOf(), { column: "b" });
    await resolve(parts, over);
    const stream = client.watchAlerts({ parent: PARENT })[Symbol.asyncIterator]();
    const snapshot = await take(stream, 2);
    expect(seen(snapshot)).toEqual([short(first, "FIRING"), "synced"]);
    expect(snapshot.map(({ resumeToken }) => resumeToken !== "")).toEqual([false, true]);
    const second = await fire(parts, acting(AlertAction_Kind.REQUEST_RETRAINING), { column: "c" });
    await resolve(parts, first);
    expect(seen(await take(stream, 3))).toEqual([
      short(second, "retraining"),
      short(second, "FIRING"),
      short(first, "RESOLVED"),
    ]);
    await stream.return?.();
  });

  it("resumes after any event, also with another server over the same store", async () => {
    const parts = await useAlerts();
    const { client } = await serveAlerts(parts);
    const stream = client.watchAlerts({ parent: PARENT })[Symbol.asyncIterator]();
    const [synced] = await take(stream, 1);
    const one = await fire(parts, ruleOf(), { column: "a" });
    const two = await fire(parts, acting(AlertAction_Kind.REQUEST_RETRAINING), { column: "b" });
    await resolve(parts, one);
    const events = await take(stream, 4);
    const all = [
      short(one, "FIRING"),
      short(two, "retraining"),
      short(two, "FIRING"),
      short(one, "RESOLVED"),
    ];
    expect(seen(events)).toEqual(all);
    await stream.return?.();
    const after = [synced!, ...events].map(({ resumeToken }) => resumeToken);
    // A request for retraining carries the token before it: who has seen only that gets it again.
    const rest = [all, all.slice(1), all.slice(1), all.slice(3), []];
    const other = await serveAlerts(await useAlerts({ documents: parts.documents }));
    for (const [i, resumeToken] of after.entries()) {
      const again = other.client.watchAlerts({ parent: PARENT, resumeToken });
      const resumed = again[Symbol.asyncIterator]();
      expect(seen(await take(resumed, rest[i]!.length))).toEqual(rest[i]);
      await resumed.return?.();
    }
  });

  it("refuses a token of another workspace or of nobody", async () => {
    const parts = await useAlerts();
    const { client } = await serveAlerts(parts);
    const stream = client.watchAlerts({ parent: PARENT })[Symbol.asyncIterator]();
    const [synced] = await take(stream, 1);
    await stream.return?.();
    const { resumeToken } = synced!;
    for (const call of [
      { parent: "workspaces/other", resumeToken },
      { parent: PARENT, resumeToken: "nonsense" },
      { parent: PARENT, resumeToken: Buffer.from('["alerts","w",1e9]').toString("base64url") },
      { parent: PARENT, resumeToken: Buffer.from('["alerts","w",-1]').toString("base64url") },
    ]) {
      await expect(Array.fromAsync(client.watchAlerts(call))).rejects.toThrow(FailedPrecondition);
    }
  });

  it("shows nothing of other workspaces, and nothing of leases", async () => {
    const parts = await useAlerts();
    const { client } = await serveAlerts(parts);
    const receiver = await useReceiver();
    const stream = client.watchAlerts({ parent: PARENT })[Symbol.asyncIterator]();
    await take(stream, 1);
    const rule = ruleOf({ webhooks: webhooks(receiver.url) });
    const alert = await fire(parts, rule);
    const foreign = await fire(parts, rule, { column: "x" });
    await parts.alerts.begin({
      ...foreign,
      _id: "workspaces/other/alerts/a",
      workspace: "other",
      series: "other",
    });
    await take(stream, 2);
    await using deliverer = new Deliverer({ ...parts, registry: undefined });
    await deliverer.runDue();
    await deliverer.runDue();
    // Each was claimed (quietly), then delivered.
    const events = await take(stream, 2);
    expect(seen(events).sort()).toEqual([short(alert, "FIRING"), short(foreign, "FIRING")].sort());
    const last = await fire(parts, rule, { column: "last" });
    expect(seen(await take(stream, 1))).toEqual([short(last, "FIRING")]);
    await stream.return?.();
  });

  it("shows a slow reader the newest state, and every request for retraining", async () => {
    const parts = await useAlerts();
    const stop = new AbortController();
    const watch = { workspace: "w", resumeToken: "", signal: stop.signal };
    const stream = watchAlerts(parts.alerts, watch);
    expect((await stream.next()).value?.event?.case).toBe("synced");
    const first = stream.next();
    const busy = await fire(parts, acting(AlertAction_Kind.REQUEST_RETRAINING), { column: "a" });
    expect((await first).value?.event?.case).toBe("retraining");
    for (let i = 0; i < 200; i++) {
      await parts.alerts.acknowledge(busy._id, { actor: "a", comment: `${i}` });
    }
    const other = await fire(parts, acting(AlertAction_Kind.REQUEST_RETRAINING), { column: "b" });
    await parts.alerts.acknowledge(busy._id, { actor: "a", comment: "last" });
    await parts.alerts.acknowledge(other._id, { actor: "a", comment: "last" });
    await expect.poll(() => parts.alerts.revision()).toBeGreaterThan(200);
    const events: string[] = [];
    let comments = 0;
    for await (const { event } of stream) {
      if (event?.case === "retraining") {
        events.push(`retraining ${event.value.alert}`);
      } else if (event?.case === "alert" && event.value.acknowledgement?.comment === "last") {
        comments += 1;
        events.push(`alert ${event.value.name}`);
      }
      if (comments === 2) {
        break;
      }
    }
    expect(events.filter((one) => one.startsWith("retraining"))).toEqual([
      `retraining ${other._id}`,
    ]);
    expect(events.slice(-2)).toEqual([`alert ${busy._id}`, `alert ${other._id}`]);
    stop.abort();
  });

  it("ends when the server stops", async () => {
    const { client, stop } = await serveAlerts(await useAlerts());
    const stream = client.watchAlerts({ parent: PARENT })[Symbol.asyncIterator]();
    await take(stream, 1);
    stop();
    expect((await stream.next()).done).toBe(true);
  });

  it("lists alerts newest first, by deployment and state, and acknowledges them", async () => {
    const parts = await useAlerts();
    const { client } = await serveAlerts(parts);
    const names: string[] = [];
    for (const column of ["a", "b", "c"]) {
      parts.clock.advance(1000);
      names.unshift((await fire(parts, ruleOf(), { column }))._id);
    }
    await resolve(parts, await parts.alerts.get(names[1]!));
    const page = await client.listAlerts({ parent: PARENT, pageSize: 2 });
    expect(page.alerts.map(({ name }) => name)).toEqual(names.slice(0, 2));
    const { nextPageToken: pageToken } = page;
    const rest = await client.listAlerts({ parent: PARENT, pageSize: 2, pageToken });
    expect(rest.alerts.map(({ name }) => name)).toEqual(names.slice(2));
    const filtered = client.listAlerts({ parent: PARENT, pageToken, states: [Alert_State.FIRING] });
    await expect(filtered).rejects.toThrow(InvalidArgument);
    const firing = await client.listAlerts({ parent: PARENT, states: [Alert_State.FIRING] });
    expect(firing.alerts.map(({ name }) => name)).toEqual([names[0], names[2]]);
    const none = await client.listAlerts({ parent: PARENT, deployment: `${PARENT}/deployments/x` });
    expect(none.alerts).toEqual([]);
    const odd = client.listAlerts({ parent: PARENT, states: [0], deployment: "x" });
    await expect(odd).rejects.toThrow(InvalidArgument);

    const call = { name: names[0]!, comment: "on it" };
    const acknowledged = await client.acknowledgeAlert(call);
    expect(acknowledged).toMatchObject({
      state: Alert_State.FIRING,
      acknowledgement: { actor: "anonymous", comment: "on it" },
    });
    parts.clock.advance(1000);
    expect(await client.acknowledgeAlert(call)).toEqual(acknowledged);
    const long = { name: names[0]!, comment: "x".repeat(2001) };
    await expect(client.acknowledgeAlert(long)).rejects.toThrow(InvalidArgument);
  });
});
