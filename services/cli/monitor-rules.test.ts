// `plinth monitor rules`: what a file may say, what is wrong with it and where, and that applying
// twice is applying once.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  AlertAction_Kind as ActionKind,
  type AlertRule,
  AlertRuleSchema,
  AlertScope,
  AlertSeverity,
  Comparison,
  Metric_Kind as Kind,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { InvalidArgument, NotFound } from "../common/errors/domain-error.ts";
import type { Fault } from "./features-tree.ts";
import { yamlTrees } from "./features-yaml.ts";
import { rulesOf } from "./monitor-rule-shape.ts";
import { fileFolder, plinth } from "./testing.ts";
import { type AlertHandlers, useMonitoring } from "./testing-monitor.ts";

const folder = fileFolder();
const PARENT = "workspaces/w";

function shape(text: string) {
  const faults: Fault[] = [];
  const trees = yamlTrees(text, "r.yaml", faults);
  const rules = trees.flatMap((tree) => rulesOf(tree, { parent: PARENT }, faults));
  return { rules, faults: faults.map((fault) => `${fault.at}: ${fault.text}`) };
}

const RULES = `deployment: flights
rules:
  - name: drift
    description: half of the features
    metric: feature_drift_share
    when: ">= 50%"
    for: 3h
    cool_down: 1d
    severity: critical
    webhooks: [https://hooks.example.com/a]
    actions: [mark_version, rollback_deployment]
  - name: missing
    deployment: others
    metric: missing_rate
    column: "*"
    when: "> baseline * 2 + 0.01"
    scope: all
  - name: latency
    metric: {kind: compute_ms, rows_min: 100}
    sigma: {k: 2.5, windows: 24, comparison: ">"}
`;

describe("monitor-rule-shape", () => {
  it("reads every short form", () => {
    const { rules, faults } = shape(RULES);
    expect(faults).toEqual([]);
    const [drift, missing, latency] = rules.map(({ rule }) => rule);
    expect(drift).toMatchObject({
      name: "workspaces/w/alertRules/drift",
      deployment: "workspaces/w/deployments/flights",
      metric: { kind: Kind.FEATURE_DRIFT_SHARE, column: "", rowsMin: 0n },
      condition: {
        case: "threshold",
        value: { comparison: Comparison.GREATER_OR_EQUAL, value: 0.5 },
      },
      forDuration: { seconds: 10_800n },
      coolDown: { seconds: 86_400n },
      severity: AlertSeverity.CRITICAL,
      webhooks: [{ url: "https://hooks.example.com/a", secret: "" }],
      actions: [{ kind: ActionKind.MARK_VERSION }, { kind: ActionKind.ROLLBACK_DEPLOYMENT }],
    });
    expect(missing).toMatchObject({
      deployment: "workspaces/w/deployments/others",
      metric: { kind: Kind.MISSING_RATE, column: "*" },
      condition: {
        case: "baseline",
        value: { comparison: Comparison.GREATER, factor: 2, offset: 0.01 },
      },
      scope: AlertScope.ALL,
    });
    expect(latency).toMatchObject({
      metric: { kind: Kind.COMPUTE_MS, rowsMin: 100n },
      condition: {
        case: "sigma",
        value: { k: 2.5, windows: 24, comparison: Comparison.GREATER },
      },
    });
  });

  it.each([
    ["when: '< -1.5e-3'", "threshold", { comparison: Comparison.LESS, value: -0.0015 }],
    ["threshold: '<= 3'", "threshold", { comparison: Comparison.LESS_OR_EQUAL, value: 3 }],
    ["threshold: {comparison: less, value: 3}", "threshold", { comparison: Comparison.LESS }],
    ["when: '> baseline'", "baseline", { comparison: Comparison.GREATER, offset: 0 }],
    ["baseline: '> baseline - 1'", "baseline", { offset: -1 }],
    ["baseline: {comparison: '>', factor: 0}", "baseline", { factor: 0 }],
    ["sigma: 4", "sigma", { k: 4, windows: 0, comparison: Comparison.UNSPECIFIED }],
  ])("takes %s", (line, kind, value) => {
    const { rules, faults } = shape(`name: r\ndeployment: d\nmetric: mean\ncolumn: x\n${line}`);
    expect(faults).toEqual([]);
    expect(rules[0]?.rule.condition).toMatchObject({ case: kind, value });
  });

  it("tells every fault of a file at once, with its place", () => {
    const { faults } = shape(`rules:
  - name: bad name
    metric: feature_drift_shar
    when: "more than 3"
    severty: critical
    for: soon
  - deployment: d
    metric: column_drift
    when: "> 1"
    sigma: 3
    webhooks: [ftp://x, {secret: a}]
    actions: [rollback]
  - name: third
    deployment: d
    metric: {kind: quantile, column: x}
  - name: fourth
    deployment: d
    metric: accuracy
    column: x
    when: "< baseline"
`);
    expect(faults).toEqual([
      'r.yaml:5:5: a rule has no "severty". Did you mean "severity"?',
      'r.yaml:2:11: name: expected letters, digits, ".", "_" and "-", got "bad name"',
      'r.yaml:3:13: metric: there is no "feature_drift_shar". Did you mean "feature_drift_share"?',
      'r.yaml:4:11: when: expected "> 0.3" or "> baseline * 2 + 0.01", got "more than 3"',
      'r.yaml:6:10: for: expected a duration such as "7d" or "12h", got "soon"',
      "r.yaml:2:5: the rule has no deployment; say it here, or once beside rules:",
      "r.yaml:7:5: the rule has no name",
      'r.yaml:8:13: column_drift needs a column: its name, or "*" for each of them',
      "r.yaml:10:5: sigma: the rule says when already; it takes one",
      'r.yaml:11:16: webhook: expected an http or https URL, got "ftp://x"',
      "r.yaml:11:25: the webhook has no url",
      'r.yaml:12:15: action: there is no "rollback". It is one of mark_version, ' +
        "rollback_deployment, stop_shadow, request_retraining",
      "r.yaml:15:13: quantile needs q, a number from 0 to 1",
      'r.yaml:13:5: the rule does not say when: one of when: "> 0.3" or "> baseline * 2 + 0.01", ' +
        "threshold, baseline, sigma",
      "r.yaml:19:5: accuracy is of no column",
      "r.yaml:16:5: only missing_rate, mean, quantile can be held against the baseline",
    ]);
  });

  it("takes one rule a document, a list, and nothing that is none", () => {
    const one = "name: a\ndeployment: d\nmetric: rows\nwhen: '< 1'\n";
    expect(
      shape(`${one}---\n${one.replace("name: a", "name: b")}`).rules.map(({ id }) => id),
    ).toEqual(["a", "b"]);
    expect(shape(`- {name: a, deployment: d, metric: rows, when: "< 1"}`).rules).toHaveLength(1);
    expect(shape("rules: 3").faults).toEqual([
      "r.yaml:1:8: rules: expected a list of rules, got 3",
    ]);
    expect(shape("just text").faults).toEqual([
      'r.yaml:1:1: expected a rule as a map, got "just text"',
    ]);
  });
});

/** Rules as a server keeps them. */
function useRules(): { readonly handlers: AlertHandlers; readonly calls: string[] } {
  const rules = new Map<string, AlertRule>();
  const calls: string[] = [];
  const stored = (rule: AlertRule, kept: AlertRule | undefined, etag: string): AlertRule => {
    const secretOf = (url: string): string =>
      kept?.webhooks.some((hook) => hook.url === url) === true ? "" : "whsec_madeByTheServer";
    const shown = rule.webhooks.map(({ url, secret, ...rest }) => ({
      ...rest,
      url,
      secret: secret === "" ? secretOf(url) : "",
    }));
    const hidden = rule.webhooks.map((hook) => ({ ...hook, secret: "" }));
    rules.set(rule.name, { ...rule, etag, webhooks: hidden });
    return { ...rule, etag, webhooks: shown };
  };
  const handlers: AlertHandlers = {
    listAlertRules: async () => ({ alertRules: [...rules.values()] }),
    getAlertRule: async ({ name }) => {
      const rule = rules.get(name);
      if (rule === undefined) {
        throw new NotFound(`There is no rule ${name}.`, { reason: ErrorReason.RESOURCE_NOT_FOUND });
      }
      return rule;
    },
    createAlertRule: async ({ alertRuleId, alertRule }) => {
      calls.push(`create ${alertRuleId}`);
      if (alertRule?.metric?.kind === Kind.R2) {
        throw new InvalidArgument("The rule does not fit.", {
          reason: ErrorReason.INVALID_FIELD,
          violations: [
            { field: "alert_rule.metric.kind", description: "flights gives no numbers" },
          ],
        });
      }
      return stored(create(AlertRuleSchema, alertRule), undefined, "1");
    },
    updateAlertRule: async ({ alertRule }) => {
      const before = rules.get(alertRule?.name ?? "");
      expect(alertRule?.etag).toBe(before?.etag);
      calls.push(`update ${alertRule?.name.split("/").at(-1)}`);
      return stored(create(AlertRuleSchema, alertRule), before, `${before?.etag}+`);
    },
    deleteAlertRule: async ({ name }) => {
      calls.push(`delete ${name.split("/").at(-1)}`);
      rules.delete(name);
      return {};
    },
  };
  return { handlers, calls };
}

describe("monitor rules", () => {
  it("shows the plan, applies, tells made secrets once, and applies again for nothing", async () => {
    const { handlers, calls } = useRules();
    const address = await useMonitoring({}, handlers);
    const run = (line: string, input = "") =>
      plinth(["monitor", ...line.split(" ")], { address, input });
    const path = join(folder, "rules.yaml");
    writeFileSync(path, RULES);
    const dry = await run(`rules apply ${path} --dry-run`);
    expect(dry).toEqual({
      code: 0,
      stderr: "",
      stdout:
        "CHANGE    RULE     DEPLOYMENT\n" +
        "+ create  drift    flights\n" +
        "+ create  missing  others\n" +
        "+ create  latency  flights\n" +
        "3 to create.\n",
    });
    expect(calls).toEqual([]);
    const applied = await run(`rules apply ${path}`);
    expect(applied.stdout).toMatch(
      /\n3 created\.\ndrift: what is sent to https:\S+ is signed with whsec_madeByTheServer \(shown this once\)\.\n$/,
    );
    const again = await run(`rules apply ${path}`);
    expect(again.stdout).toMatch(/^= same +drift .*\n= same .*\n= same .*\n3 unchanged\.\n$/m);
    expect(calls).toEqual(["create drift", "create missing", "create latency"]);
    const changed = RULES.replace("for: 3h", "for: 2h").replace("critical", "warning");
    const plan = await run("rules apply -", changed);
    expect(plan.stdout).toBe(
      "CHANGE    RULE     DEPLOYMENT\n" +
        "~ update  drift    flights\n" +
        "          for: 3h -> 2h\n" +
        "          severity: critical -> warning\n" +
        "= same    missing  others\n" +
        "= same    latency  flights\n" +
        "1 updated, 2 unchanged.\n",
    );
    expect(calls.slice(3)).toEqual(["update drift"]);
  });

  it("lists, describes, applies what describe --json says, sends secrets only when asked, deletes", async () => {
    const { handlers, calls } = useRules();
    const address = await useMonitoring({}, handlers);
    const run = (line: string, input = "") =>
      plinth(["monitor", ...line.split(" ")], { address, input });
    const secret = RULES.replace(
      "[https://hooks.example.com/a]",
      "{url: https://h.example, secret: whsec_x}",
    );
    const made = await run("rules apply -", secret);
    expect(made.stdout).not.toContain("whsec_");
    expect((await run("rules apply -", secret)).stdout).toMatch(/3 unchanged\.\n$/);
    expect((await run("rules apply - --secrets", secret)).stdout).toMatch(/1 updated, 2 unchanged/);
    expect((await run("rules apply - --dry-run --json", secret)).stdout).not.toContain("whsec_x");
    const { stdout } = await run("rules");
    expect(stdout).toMatch(
      /^drift +flights +critical +feature_drift_share +>= 0\.5 +3h +mark_version, rollback_deployment +1$/m,
    );
    expect(stdout).toMatch(
      /^missing +others +warning +missing_rate of each column +> baseline \* 2 \+ 0\.01$/m,
    );
    const { stdout: json } = await run("rules describe latency --json");
    expect((await run("rules apply -", json)).stdout).toMatch(/^= same +latency/m);
    expect((await run("rules delete latency")).stdout).toBe("latency is deleted.\n");
    expect(await run("rules describe latency")).toMatchObject({ code: 3, stdout: "" });
    expect(calls.at(-1)).toBe("delete latency");
  });

  it("tells what the server refuses by its place in the file, and applies the others", async () => {
    const { handlers, calls } = useRules();
    const address = await useMonitoring({}, handlers);
    const path = join(folder, "refused.yaml");
    writeFileSync(path, RULES.replace("feature_drift_share", "r2"));
    const { code, stdout, stderr } = await plinth(["monitor", "rules", "apply", path], { address });
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toBe(
      "error: The rules have 1 fault. The others of the file are applied.\n" +
        `  ${path}:5:5: drift, metric.kind: flights gives no numbers\n`,
    );
    expect(calls).toEqual(["create drift", "create missing", "create latency"]);
  });

  it("refuses a file with faults before anything is sent", async () => {
    const { handlers, calls } = useRules();
    const address = await useMonitoring({}, handlers);
    const input = "rules: [{name: a, deployment: d, metric: rows, when: soon}]";
    const { code, stderr } = await plinth(["monitor", "rules", "apply", "-"], { address, input });
    expect(code).toBe(4);
    expect(stderr).toContain("The rules have 1 fault; nothing was changed.\n  stdin:1:54: when:");
    const twice = await plinth(["monitor", "rules", "apply", "-"], {
      address,
      input: `${RULES}  - {name: drift, metric: rows, when: "< 1"}\n`,
    });
    expect(twice.stderr).toContain("drift: said before at stdin:3:5");
    expect(calls).toEqual([]);
  });
});
