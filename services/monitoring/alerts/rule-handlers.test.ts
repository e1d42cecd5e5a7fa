import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  Alert_State,
  AlertAction_Kind,
  type AlertRuleSchema,
  AlertScope,
  AlertSeverity,
  Comparison,
  Metric_Kind,
} from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import {
  Aborted,
  AlreadyExists,
  InvalidArgument,
  NotFound,
  PermissionDenied,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import { finishRemovals } from "./remove-rule.ts";
import { fire, useAlerts } from "./testing/alerts.ts";
import { config, DEPLOYMENT, StandInRegistry } from "./testing/registry.ts";
import { serveAlerts } from "./testing/service.ts";

const PARENT = "workspaces/w";
const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

type Rule = Exclude<MessageInitShape<typeof AlertRuleSchema>, { $typeName: string }>;

const MISSING: Rule = {
  deployment: DEPLOYMENT,
  metric: { kind: Metric_Kind.MISSING_RATE, column: "a" },
  condition: {
    case: "threshold",
    value: { comparison: Comparison.GREATER, value: 0.1 },
  },
};

async function setting() {
  const parts = await useAlerts();
  const registry = new StandInRegistry();
  registry.deploy(config([1]));
  const channel = await registry.channel();
  const { client } = await serveAlerts(parts, { registry: channel });
  const create = (alertRuleId: string, given: Rule = {}, requestId = "") =>
    client.createAlertRule({
      parent: PARENT,
      alertRuleId,
      alertRule: { ...MISSING, ...given },
      requestId,
    });
  return { ...parts, registry, channel, client, create };
}

/** The fields that a call is refused for. */
async function faults(call: Promise<unknown>): Promise<readonly string[]> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(InvalidArgument);
  return (error as InvalidArgument).violations.map(({ field }) => field).sort();
}

describe("rule-handlers", () => {
  it("makes a rule, and reads it as it was made", async () => {
    const { client, create } = await setting();
    const made = await create("r", {
      description: "too many holes",
      scope: AlertScope.ALL,
      metric: { kind: Metric_Kind.QUANTILE, column: "*", q: 0.95, rowsMin: 500n },
      condition: {
        case: "baseline",
        value: { comparison: Comparison.GREATER, factor: 1.5, offset: 2 },
      },
      forDuration: { seconds: 7200n },
      coolDown: { seconds: 3600n, nanos: 500_000_000 },
      severity: AlertSeverity.CRITICAL,
      webhooks: [{ url: "https://example.com/a", secret: SECRET }],
      actions: [{ kind: AlertAction_Kind.MARK_VERSION }],
      disabled: true,
      uid: "mine",
      etag: "mine",
    });
    expect(made).toMatchObject({
      name: "workspaces/w/alertRules/r",
      deployment: DEPLOYMENT,
      metric: { kind: Metric_Kind.QUANTILE, column: "*", q: 0.95, rowsMin: 500n },
      condition: { case: "baseline", value: { factor: 1.5, offset: 2 } },
      forDuration: { seconds: 7200n },
      coolDown: { seconds: 3600n, nanos: 500_000_000 },
      webhooks: [{ url: "https://example.com/a", secret: "" }],
      disabled: true,
    });
    expect(made.uid).not.toBe("mine");
    expect(await client.getAlertRule({ name: made.name })).toEqual(made);
    await expect(create("r")).rejects.toThrow(AlreadyExists);
  });

  it("gives a secret that it made back once, and in a replay", async () => {
    const { client, create } = await setting();
    const hooks = [{ url: "https://a.example/" }, { url: "https://b.example/", secret: SECRET }];
    const made = await create("r", { webhooks: hooks }, "id-1");
    const [own, given] = made.webhooks.map(({ secret }) => secret);
    expect(own).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(given).toBe("");
    const { name } = made;
    const read = await client.getAlertRule({ name });
    expect(read.webhooks.map(({ secret }) => secret)).toEqual(["", ""]);
    const { alertRules } = await client.listAlertRules({ parent: PARENT });
    expect(alertRules[0]?.webhooks.map(({ secret }) => secret)).toEqual(["", ""]);
    const again = await create("r", { webhooks: hooks }, "id-1");
    expect(again).toEqual(made);
    expect(await faults(create("r", {}, "id-1"))).toEqual(["request_id"]);
  });

  it("keeps the secret of a url, and makes one for a new url", async () => {
    const { alerts, client, create } = await setting();
    const { name } = await create("r", {
      webhooks: [{ url: "https://a.example/", secret: SECRET }],
    });
    const webhooks = [{ url: "https://b.example/" }, { url: "https://a.example/" }];
    const updated = await client.updateAlertRule({
      alertRule: { name, webhooks },
      updateMask: { paths: ["webhooks"] },
    });
    expect(updated.webhooks[0]?.secret).toMatch(/^whsec_/);
    expect(updated.webhooks[1]?.secret).toBe("");
    const stored = await alerts.rules.findOne({ _id: name });
    expect(stored?.webhooks[1]?.secret).toBe(SECRET);
    const same = await client.updateAlertRule({
      alertRule: { name, webhooks },
      updateMask: { paths: ["webhooks"] },
    });
    expect(same.webhooks.map(({ secret }) => secret)).toEqual(["", ""]);
    expect((await alerts.rules.findOne({ _id: name }))?.webhooks).toEqual(stored?.webhooks);
  });

  it("changes what the mask names, and nothing else", async () => {
    const { client, create } = await setting();
    const made = await create("r", { severity: AlertSeverity.CRITICAL });
    const { name, etag } = made;
    const updated = await client.updateAlertRule({
      alertRule: { name, etag, description: "new", severity: AlertSeverity.INFO },
      updateMask: { paths: ["description"] },
    });
    expect(updated).toMatchObject({ description: "new", severity: AlertSeverity.CRITICAL });
    const stale = { alertRule: { name, etag }, updateMask: { paths: ["disabled"] } };
    await expect(client.updateAlertRule(stale)).rejects.toThrow(Aborted);
    const all = await client.updateAlertRule({ alertRule: { ...MISSING, name } });
    expect(all).toMatchObject({ description: "", severity: AlertSeverity.UNSPECIFIED });
    const wrong = { alertRule: { name }, updateMask: { paths: ["deployment", "state"] } };
    expect(await faults(client.updateAlertRule(wrong))).toEqual([
      "update_mask.paths",
      "update_mask.paths",
    ]);
    const moved = { alertRule: { ...MISSING, name, deployment: `${DEPLOYMENT}2` } };
    expect(await faults(client.updateAlertRule(moved))).toEqual(["alert_rule.deployment"]);
  });

  it("checks a changed part against the parts that stay", async () => {
    const { client, create } = await setting();
    const { name } = await create("r", {
      condition: { case: "baseline", value: { comparison: Comparison.GREATER } },
    });
    const metric = { kind: Metric_Kind.ROWS };
    const call = { alertRule: { name, metric }, updateMask: { paths: ["metric"] } };
    expect(await faults(client.updateAlertRule(call))).toEqual(["alert_rule.condition"]);
  });

  it("tells every fault at once", async () => {
    const { create } = await setting();
    const twice = { url: "https://x.example/", secret: "short" };
    const call = create("-r", {
      deployment: "workspaces/other/deployments/d",
      description: "x".repeat(10_001),
      scope: 9 as AlertScope,
      severity: 9 as AlertSeverity,
      metric: { kind: Metric_Kind.QUANTILE, q: 1.5, rowsMin: -1n },
      condition: { case: "sigma", value: { k: -1, windows: 2, comparison: 2 } },
      forDuration: { seconds: -1n },
      coolDown: { seconds: 400n * 86_400n },
      webhooks: [twice, twice, { url: "ftp://x" }, { url: "https://u:p@x.example" }],
      actions: [{ kind: 0 }, { kind: 77 as AlertAction_Kind }],
    });
    expect(await faults(call)).toEqual([
      "alert_rule.actions[0].kind",
      "alert_rule.actions[1].kind",
      "alert_rule.cool_down",
      "alert_rule.deployment",
      "alert_rule.description",
      "alert_rule.for_duration",
      "alert_rule.metric.column",
      "alert_rule.metric.q",
      "alert_rule.metric.rows_min",
      "alert_rule.scope",
      "alert_rule.severity",
      "alert_rule.sigma.comparison",
      "alert_rule.sigma.k",
      "alert_rule.sigma.windows",
      "alert_rule.webhooks[0].secret",
      "alert_rule.webhooks[1].secret",
      "alert_rule.webhooks[1].url",
      "alert_rule.webhooks[2].url",
      "alert_rule.webhooks[3].url",
      "alert_rule_id",
    ]);
  });

  it.each<readonly [string, Rule, readonly string[]]>([
    ["no metric", { metric: {} }, ["alert_rule.metric.kind"]],
    [
      "a column where there is none",
      { metric: { kind: Metric_Kind.ROWS, column: "a" } },
      ["alert_rule.metric.column"],
    ],
    [
      "q where there is none",
      { metric: { kind: Metric_Kind.MEAN, column: "a", q: 0.5 } },
      ["alert_rule.metric.q"],
    ],
    ["no condition", { condition: { case: undefined } }, ["alert_rule.condition"]],
    [
      "no comparison",
      { condition: { case: "threshold", value: { value: 1 } } },
      ["alert_rule.threshold.comparison"],
    ],
    [
      "a bound that is no number",
      { condition: { case: "threshold", value: { comparison: 1, value: Number.NaN } } },
      ["alert_rule.threshold.value"],
    ],
    [
      "an endless factor and offset",
      {
        condition: {
          case: "baseline",
          value: { comparison: 1, factor: Infinity, offset: -Infinity },
        },
      },
      ["alert_rule.baseline.factor", "alert_rule.baseline.offset"],
    ],
    [
      "a baseline of what has none",
      {
        metric: { kind: Metric_Kind.COLUMN_DRIFT, column: "a" },
        condition: { case: "baseline", value: { comparison: 1 } },
      },
      ["alert_rule.condition"],
    ],
    [
      "too many webhooks",
      { webhooks: Array.from({ length: 11 }, (_, i) => ({ url: `https://x.example/${i}` })) },
      ["alert_rule.webhooks"],
    ],
    ["an action twice", { actions: [{ kind: 1 }, { kind: 1 }] }, ["alert_rule.actions[1].kind"]],
    [
      "too many actions",
      { actions: [1, 2, 3, 4, 1].map((kind) => ({ kind })) },
      ["alert_rule.actions"],
    ],
  ])("refuses %s", async (_, given, fields) => {
    const { create } = await setting();
    expect(await faults(create("r", given))).toEqual(fields);
  });

  it("refuses hosts that are not public where the mesh says so", async () => {
    const parts = await useAlerts({ config: { webhookHosts: "public" } });
    const { client } = await serveAlerts(parts);
    const webhooks = [{ url: "http://127.0.0.1/" }, { url: "https://example.com/" }];
    const call = client.createAlertRule({
      parent: PARENT,
      alertRuleId: "r",
      alertRule: { ...MISSING, webhooks },
    });
    expect(await faults(call)).toEqual(["alert_rule.webhooks[0].url"]);
  });

  it("needs the deployment", async () => {
    const { registry, create } = await setting();
    registry.revisions = [];
    await expect(create("r")).rejects.toThrow(NotFound);
    registry.isAway = true;
    await expect(create("r")).rejects.toThrow(Unavailable);
  });

  it("lists rules by name, in pages", async () => {
    const { client, create } = await setting();
    for (const id of ["c", "a", "b"]) {
      await create(id);
    }
    const first = await client.listAlertRules({ parent: PARENT, pageSize: 2 });
    expect(first.alertRules.map(({ name }) => name.at(-1))).toEqual(["a", "b"]);
    const pageToken = first.nextPageToken;
    const second = await client.listAlertRules({ parent: PARENT, pageSize: 2, pageToken });
    expect(second.alertRules.map(({ name }) => name.at(-1))).toEqual(["c"]);
    expect(second.nextPageToken).toBe("");
  });

  it("resolves the alerts of a rule that is removed, also when it was cut off", async () => {
    const { alerts, client, create, clock, config: settings, documents, events } = await setting();
    const parts = { alerts, clock, config: settings, documents, events };
    const hook = { url: "https://a.example/", secret: SECRET };
    const { name, etag } = await create("r", { webhooks: [hook] });
    const rule = await alerts.rules.findOne({ _id: name });
    const alert = await fire(parts, rule!);
    await client.updateAlertRule({
      alertRule: { name, description: "x" },
      updateMask: { paths: ["description"] },
    });
    await expect(client.deleteAlertRule({ name, etag })).rejects.toThrow(Aborted);
    await client.deleteAlertRule({ name });
    await expect(client.deleteAlertRule({ name })).rejects.toThrow(NotFound);
    const resolved = await client.getAlert({ name: alert._id });
    expect(resolved).toMatchObject({
      state: Alert_State.RESOLVED,
      summary: "The rule was removed.",
      deliveries: [{ event: "alert.firing" }, { event: "alert.resolved" }],
    });
    const next = await create("r");
    const marked = await alerts.rules.findOne({ _id: next.name });
    const other = await fire(parts, marked!, { hour: 1 });
    await alerts.rules.putOne({ ...marked!, deleting: true });
    await expect(client.getAlertRule({ name })).rejects.toThrow(NotFound);
    expect((await client.listAlertRules({ parent: PARENT })).alertRules).toEqual([]);
    await finishRemovals(alerts);
    expect(await alerts.rules.findOne({ _id: name })).toBeUndefined();
    expect((await alerts.get(other._id)).phase).toBe("RESOLVED");
  });

  it("keeps workspaces apart", async () => {
    const parts = await useAlerts();
    const principal = { id: "k", workspace: "other", roles: [Role.ADMIN] };
    const { client } = await serveAlerts(parts, { principal });
    const name = "workspaces/w/alertRules/r";
    const alert = "workspaces/w/alerts/a";
    const calls: readonly Promise<unknown>[] = [
      client.getAlertRule({ name }),
      client.listAlertRules({ parent: PARENT }),
      client.createAlertRule({ parent: PARENT, alertRuleId: "r", alertRule: MISSING }),
      client.updateAlertRule({ alertRule: { ...MISSING, name } }),
      client.deleteAlertRule({ name }),
      client.getAlert({ name: alert }),
      client.listAlerts({ parent: PARENT }),
      client.acknowledgeAlert({ name: alert }),
      Array.fromAsync(client.watchAlerts({ parent: PARENT })),
    ];
    for (const call of await Promise.allSettled(calls)) {
      expect(call.status === "rejected" && call.reason).toBeInstanceOf(PermissionDenied);
    }
    const foreign = { ...MISSING, deployment: DEPLOYMENT };
    const own = { parent: "workspaces/other", alertRuleId: "r", alertRule: foreign };
    expect(await faults(client.createAlertRule(own))).toEqual(["alert_rule.deployment"]);
  });
});
