// `plinth monitor alerts|rules`: what they are called, take and explain.

import type { Command } from "commander";
import { commaList, examples, limitOption, type Runtime, runs } from "./command.ts";

const SYNTAX = `
Rules:
  deployment: churn                 # of all rules below that name none
  rules:
    - name: churn-drift
      description: more than a third of the features have drifted
      metric: feature_drift_share
      when: "> 0.33"                # or ">= 30%"
      for: 3h                       # windows in a row that are wrong; none: the first one
      cool_down: 1d
      severity: critical            # info, warning (default), critical
      webhooks: [https://hooks.example.com/plinth]   # or {url, secret: whsec_...}
      actions: [mark_version, rollback_deployment]   # stop_shadow, request_retraining
    - name: churn-missing
      metric: missing_rate
      column: "*"                   # each column, with an alert of its own
      when: "> baseline * 2 + 0.01" # missing_rate, mean, quantile
      scope: all                    # live (default), shadow, all
    - name: churn-latency
      metric: {kind: compute_ms, rows_min: 100}
      sigma: {k: 3, windows: 24, comparison: ">"}

Metrics: feature_drift_share, prediction_drift_share, rows, compute_ms, queue_ms;
  of a column: column_drift, column_drifted, missing_rate, type_violation_rate, range_violation_rate,
  unseen_rate, nan_rate, mean, quantile (with q), outside_max_age_rate;
  of labels: accuracy, precision, recall, f1, roc_auc, log_loss, mae, rmse, r2, label_coverage;
  without labels: estimated_accuracy.
One rule a document, a list of rules, and what \`rules describe --json\` prints are taken too.`;

/** Adds `plinth monitor alerts ...` and `plinth monitor rules ...`. */
export function alertCommands(monitor: Command, runtime: Runtime): void {
  const alerts = monitor.command("alerts").description("see, follow and acknowledge alerts");
  listCommand(alerts, runtime);
  seeCommands(alerts, runtime);
  const rules = monitor.command("rules").description("say when to raise alerts, and what to do");
  ruleCommands(rules, runtime);
  applyCommand(rules, runtime);
}

function listCommand(alerts: Command, runtime: Runtime): void {
  const list = alerts
    .command("list", { isDefault: true })
    .summary("list alerts, newest first, or follow them")
    .description(
      "List alerts, newest first; `list` may be left out. With --follow: what is active now, then " +
        "each change and each wish for a retraining, one a line, until Ctrl-C.",
    )
    .option("--deployment <id>", "only of this deployment")
    .option(
      "--state <states>",
      "only pending, firing or resolved ones; several with commas",
      commaList,
    )
    .option("--follow", "go on with what changes")
    .addOption(limitOption());
  examples(list, [
    ["What is wrong now", "plinth monitor alerts list --state firing,pending"],
    ["Follow a deployment", "plinth monitor alerts --deployment churn --follow"],
  ]);
  runs(list, runtime, async () => (await import("./monitor-alerts.ts")).listAlerts);
}

function seeCommands(alerts: Command, runtime: Runtime): void {
  const show = alerts
    .command("show")
    .description(
      "Show an alert: what was found, what was done, who was told and what they answered.",
    )
    .argument("<alert>", "id of the alert");
  examples(show, [["One", "plinth monitor alerts show 7f3a"]]);
  runs(show, runtime, async () => (await import("./monitor-alerts.ts")).showAlert);

  const ack = alerts
    .command("ack")
    .description("Say that somebody has seen an alert. It stays what it is.")
    .argument("<alert>", "id of the alert")
    .option("--comment <text>", "for others");
  examples(ack, [
    ["Seen", "plinth monitor alerts ack 7f3a --comment 'the airport moved; retraining runs'"],
  ]);
  runs(ack, runtime, async () => (await import("./monitor-alerts.ts")).acknowledge);
}

function ruleCommands(rules: Command, runtime: Runtime): void {
  const list = rules
    .command("list", { isDefault: true })
    .description("List alert rules by name; `list` may be left out.")
    .option("--deployment <id>", "only of this deployment")
    .addOption(limitOption());
  examples(list, [["All", "plinth monitor rules list"]]);
  runs(list, runtime, async () => (await import("./monitor-rules.ts")).listRules);

  const describe = rules
    .command("describe")
    .description("Show a rule. With --json it can be applied again.")
    .argument("<rule>", "id of the rule");
  examples(describe, [["One", "plinth monitor rules describe churn-drift"]]);
  runs(describe, runtime, async () => (await import("./monitor-rules.ts")).describeRule);

  const remove = rules
    .command("delete")
    .description("Remove a rule; its active alerts are resolved.")
    .argument("<rule>", "id of the rule");
  examples(remove, [["Remove", "plinth monitor rules delete churn-drift"]]);
  runs(remove, runtime, async () => (await import("./monitor-rules.ts")).deleteRule);
}

function applyCommand(rules: Command, runtime: Runtime): void {
  const apply = rules
    .command("apply")
    .summary("create and change rules from a file")
    .description(
      "Make the rules of a YAML file so; others stay as they are. Applying twice is applying once. " +
        "A webhook without a secret gets one from the server, which is printed once. Secrets of " +
        "webhooks that are there already cannot be compared and stay, unless --secrets sends them.",
    )
    .argument("<file>", ".yaml or .json; - is stdin")
    .option("--dry-run", "show what would change, and change nothing")
    .option("--secrets", "set the secrets of the file again");
  apply.addHelpText("after", SYNTAX);
  examples(apply, [
    ["See what would change", "plinth monitor rules apply rules.yaml --dry-run"],
    ["Change it", "plinth monitor rules apply rules.yaml"],
  ]);
  runs(apply, runtime, async () => (await import("./monitor-rules-apply.ts")).applyRules);
}
