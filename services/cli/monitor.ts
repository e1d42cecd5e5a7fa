// `plinth monitor`: the commands that look, and the group that the others join. What they do is in
// monitor-*.ts.

import { type Command, Option } from "commander";
import { durationMs, examples, limitOption, type Runtime, repeatable, runs } from "./command.ts";
import { alertCommands } from "./monitor-alert-commands.ts";
import { monitorDataCommands } from "./monitor-data-commands.ts";

/** Adds `plinth monitor ...`. */
export function monitorCommands(program: Command, runtime: Runtime): void {
  const monitor = program
    .command("monitor")
    .description("find drift, measure predictions against labels, raise alerts");
  driftCommand(monitor, runtime);
  performanceCommand(monitor, runtime);
  windowCommands(monitor, runtime);
  reportCommand(monitor, runtime);
  alertCommands(monitor, runtime);
  monitorDataCommands(monitor, runtime);
}

function versionAndRange(command: Command, whenAbsent: string): Command {
  return command
    .option("--version <n>", "version, as a number or model/3 (default: the one that answers)")
    .option("--from <time>", `from this event time on (default: ${whenAbsent})`)
    .option("--to <time>", "up to this event time; with --from")
    .option("--last <duration>", "the time up to the newest window, 24h or 7d", durationMs);
}

function driftCommand(monitor: Command, runtime: Runtime): void {
  const drift = monitor
    .command("drift")
    .summary("compare traffic with the baseline, a time or a version")
    .description(
      [
        "Compare what a version was given, and what it said, with its baseline: drift and data quality " +
          "of every column, from windows. Or with another time of the same version, or another version " +
          "at the same time.",
        "Every number names its method and threshold. Too few values are said so, and are no drift. " +
          "NEW is the share of values outside the baseline's range, or of categories it does not have.",
      ].join("\n\n"),
    )
    .argument("<deployment>", "id of the deployment");
  versionAndRange(drift, "the newest closed window")
    .option("--against-version <n>", "another version of the deployment, at the same time")
    .option("--against-from <time>", "another time of the same version, from here")
    .option("--against-to <time>", "up to here; with --against-from")
    .option(
      "--method <method>",
      "for all columns: psi, psi_deciles, kl_divergence, jensen_shannon, jensen_shannon_base2, hellinger, " +
        "wasserstein, kolmogorov_smirnov, chi_square, chi_square_contingency, z_test, auto",
    )
    .option("--column <name>", "only this column; repeatable", repeatable)
    .addOption(
      new Option(
        "--fail-on-drift [what]",
        "answer 9 when the data set has drifted, or (column) when any column has",
      ).choices(["dataset", "column"]),
    );
  examples(drift, [
    ["The newest closed window", "plinth monitor drift churn"],
    ["A week, by PSI", "plinth monitor drift churn --last 7d --method psi"],
    [
      "February against January",
      "plinth monitor drift churn --from 2001-02-01 --to 2001-03-01 --against-from 2001-01-01 " +
        "--against-to 2001-02-01",
    ],
    ["A shadow against what answers", "plinth monitor drift churn --version 4 --against-version 3"],
    ["In a pipeline", "plinth monitor drift churn --last 24h --fail-on-drift --json"],
  ]);
  runs(drift, runtime, async () => (await import("./monitor-drift.ts")).reportDrift);
}

function performanceCommand(monitor: Command, runtime: Runtime): void {
  const performance = monitor
    .command("performance")
    .summary("how good the predictions were")
    .description(
      "How good the predictions were, from the labels that have come (plinth monitor labels), over " +
        "all, per window and per segment; and what the scores of a calibrated classifier promise where " +
        "labels are late (CBPE), with its interval.",
    )
    .argument("<deployment>", "id of the deployment");
  versionAndRange(performance, "everything that is kept");
  examples(performance, [
    ["All there is", "plinth monitor performance churn"],
    ["One version, 30 days", "plinth monitor performance churn --version 3 --last 30d"],
  ]);
  runs(
    performance,
    runtime,
    async () => (await import("./monitor-performance.ts")).reportPerformance,
  );
}

function windowCommands(monitor: Command, runtime: Runtime): void {
  const windows = monitor
    .command("windows")
    .summary("list windows, newest first")
    .description("List what each version saw in each window of event time, newest first.")
    .argument("<deployment>", "id of the deployment");
  versionAndRange(windows, "all that are kept").addOption(limitOption());
  examples(windows, [
    ["All versions", "plinth monitor windows churn"],
    ["A day of one version", "plinth monitor windows churn --version 3 --last 24h"],
  ]);
  runs(windows, runtime, async () => (await import("./monitor-windows.ts")).listWindows);

  const watch = monitor
    .command("watch")
    .summary("follow what versions see, live")
    .description(
      "Show what each version of a deployment sees now and what the newest verdict is, and each " +
        "change, until Ctrl-C. A table on a terminal, a line a change elsewhere; with --json one JSON " +
        "value a line.",
    )
    .argument("<deployment>", 'id of the deployment, or "all"');
  examples(watch, [
    ["One", "plinth monitor watch churn"],
    ["All of the workspace, for a log", "plinth monitor watch all --json >> metrics.ndjson"],
  ]);
  runs(watch, runtime, async () => (await import("./monitor-watch.ts")).watchMetrics);
}

function reportCommand(monitor: Command, runtime: Runtime): void {
  const report = monitor
    .command("report")
    .summary("write an HTML report with plots")
    .description(
      "Write one HTML file with everything that is known of a version: drift with histograms, data " +
        "quality, windows over time, performance, alerts. The file needs nothing else: no network, no " +
        "script; it can be mailed, kept and printed.",
    )
    .argument("<deployment>", "id of the deployment")
    .requiredOption("--html <file>", "where to write it; - is stdout");
  versionAndRange(report, "the newest closed window")
    .option("--against-version <n>", "another version of the deployment, at the same time")
    .option("--against-from <time>", "another time of the same version, from here")
    .option("--against-to <time>", "up to here; with --against-from")
    .option("--method <method>", "for all columns, as of `plinth monitor drift`");
  examples(report, [
    ["The newest closed window", "plinth monitor report churn --html churn.html"],
    ["A month", "plinth monitor report churn --version 3 --last 30d --html churn.html"],
  ]);
  runs(report, runtime, async () => (await import("./monitor-report.ts")).writeReport);
}
