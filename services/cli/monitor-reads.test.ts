// `plinth monitor` commands that look, against a server of fixed answers: what they ask, what they
// print, and what they tell the shell.

import type { ChildProcess } from "node:child_process";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  AcknowledgementSchema,
  AlertSchema,
  Alert_State as State,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import type { WatchAlertsResponseSchema } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { DriftMethod } from "../../gen/plinth/monitoring/v1/drift_pb.js";
import type {
  GetDriftReportRequest,
  ListWindowsRequest,
} from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { FailedPrecondition, Unavailable } from "../common/errors/domain-error.ts";
import { plinth, startPlinth } from "./testing.ts";
import { ALERTS, DEPLOYMENT, DRIFT, day, flights, VERSION, WINDOWS } from "./testing-flights.ts";
import { useMonitoring } from "./testing-monitor.ts";

function words(line: string): readonly string[] {
  return ["monitor", ...line.split(" ")];
}

/** Waits until the command has said it. */
function said(child: ChildProcess, pattern: RegExp): Promise<void> {
  return new Promise((resolve) => {
    let text = "";
    child.stdout?.on("data", (part: string) => {
      text += part;
      if (pattern.test(text)) {
        resolve();
      }
    });
  });
}

describe("monitor drift", () => {
  it("prints the verdict and the columns, the worst first, with both distributions", async () => {
    const address = await useMonitoring(flights.monitoring);
    const { code, stdout, stderr } = await plinth(words("drift flights"), { address });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.split("\n");
    expect(lines.slice(0, 8)).toEqual([
      "deployment:    flights",
      "version:       delay/3",
      "time:          2001-02-01 00:00Z to 2001-03-01 00:00Z",
      "rows:          12,480 in 28 windows",
      "compared with: the baseline of delay/3, 40,000 rows",
      "features:      DRIFTED: 3 of 5 columns (60%; drift from 50% on), 2 not measured",
      "predictions:   no drift: 1 of 2 columns (50%; drift from 60% on)",
      "left out:      2 windows that were counted against another baseline",
    ]);
    expect(stdout).toMatch(
      /^COLUMN +METHOD +VALUE +THRESHOLD +DRIFT +BASELINE N +CURRENT N +MISSING +NEW +BASELINE \| CURRENT$/m,
    );
    expect(lines[10]).toMatch(
      /^prediction\.probabilities\[1\] +kolmogorov_smirnov +3\.1e-9 +<= 0\.05 +DRIFTED, significant +40,000 +12,480 +\S+ \| \S+$/,
    );
    expect(stdout).toMatch(/^origin +jensen_shannon +0\.208 .* 1\.3% /m);
    expect(stdout).toMatch(/^snow_depth\S+ +wasserstein +too few: 122 of 500 +40,000 +122 +99%/m);
    expect(stdout).toContain("  origin_mean_delay: 12.4% missing (baseline 0.6%), 0.04% NaN\n");
    expect(stdout).toMatch(/^origin_mean_delay +airport_delays +12,480 +87\.6% +1% +2\.4% +9%$/m);
  });

  it("asks for what the options say", async () => {
    const asked: GetDriftReportRequest[] = [];
    const address = await useMonitoring({
      getDriftReport: async (request) => {
        asked.push(request);
        return DRIFT;
      },
      getMonitor: async ({ name }) => ({
        name,
        drift: {
          method: DriftMethod.WASSERSTEIN,
          datasetShare: 0.3,
          columns: [
            { column: "id", ignored: true },
            { column: "hour", threshold: 0.2 },
          ],
        },
      }),
      listWindows: async () => ({ windows: [WINDOWS[0]!] }),
    });
    const run = async (line: string) => {
      const { code, stderr } = await plinth(words(`${line} --json`), { address });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return asked.at(-1);
    };
    expect(await run("drift flights")).toMatchObject({
      deployment: DEPLOYMENT,
      modelVersion: "",
      columns: [],
      reference: { case: undefined },
    });
    expect(await run("drift flights --version delay/3 --column hour --column id")).toMatchObject({
      modelVersion: VERSION,
      columns: ["hour", "id"],
    });
    expect(
      await run("drift flights --version 3 --from 2001-02-01 --to 2001-02-02T12:00:00Z"),
    ).toMatchObject({
      modelVersion: "3",
      range: { startTime: { seconds: 980_985_600n }, endTime: { seconds: 981_115_200n } },
    });
    // The end of the newest window is 2001-03-02, whatever the clock here says.
    expect((await run("drift flights --last 36h"))?.range).toMatchObject({
      startTime: day(27, 12),
      endTime: day(29),
    });
    expect(
      await run("drift flights --against-from 2001-01-01 --against-to 2001-02-01"),
    ).toMatchObject({
      reference: { case: "referenceRange", value: { startTime: { seconds: 978_307_200n } } },
    });
    expect(await run("drift flights --against-version 2 --method psi")).toMatchObject({
      reference: { case: "referenceVersion", value: "2" },
      options: {
        method: DriftMethod.PSI,
        datasetShare: 0.3,
        columns: [{ column: "id", ignored: true }],
      },
    });
  });

  it("answers 9 for drift when asked to, of the data set or of a column", async () => {
    const calm = { ...DRIFT, features: { ...DRIFT.features, isDrifted: false } };
    const [drifted, still] = await Promise.all([
      useMonitoring(flights.monitoring),
      useMonitoring({ getDriftReport: async () => calm as typeof DRIFT }),
    ]);
    const codes = async (address: string) =>
      Promise.all(
        ["", " --fail-on-drift", " --fail-on-drift column"].map(async (flag) => {
          const { code } = await plinth(words(`drift flights${flag}`), { address });
          return code;
        }),
      );
    expect(await codes(drifted)).toEqual([0, 9, 9]);
    expect(await codes(still)).toEqual([0, 0, 9]);
  });

  it("tells what the server refuses, and that nothing was captured", async () => {
    const address = await useMonitoring({
      getDriftReport: async () => {
        throw new FailedPrecondition("delay/3 has no baseline yet: 12 of 5,000 rows.", {
          reason: ErrorReason.STATE_FORBIDS,
          violations: [],
        });
      },
      listWindows: async () => ({ windows: [] }),
    });
    const refused = await plinth(words("drift flights"), { address });
    expect(refused).toMatchObject({ code: 7, stdout: "" });
    expect(refused.stderr).toContain("delay/3 has no baseline yet: 12 of 5,000 rows.");
    const nothing = await plinth(words("drift flights --last 1h"), { address });
    expect(nothing).toMatchObject({ code: 3, stdout: "" });
    expect(nothing.stderr).toContain("Nothing of flights has been captured yet.");
  });
});

describe("monitor performance", () => {
  it("prints truth beside estimate, the matrix, windows and segments", async () => {
    const address = await useMonitoring(flights.monitoring);
    const { code, stdout } = await plinth(words("performance flights"), { address });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^labelled: +9,360 \(75%\)$/m);
    expect(stdout).toMatch(/^accuracy +0\.8104 +0\.8161 +0\.8121 to 0\.8201$/m);
    expect(stdout).toMatch(/^log loss +0\.4129$/m);
    expect(stdout).toContain("0.8123 (0.8083 to 0.8163): the truth lies in it.");
    expect(stdout).toMatch(/^late +1,165 +1,375$/m);
    expect(stdout).toMatch(/^2001-02-01 00:00Z to \S+ \S+ +446 +100% +0\.842 .*0\.824 to 0\.866$/m);
    expect(stdout).toMatch(/^2001-02-28 00:00Z to \S+ \S+ +446 +0% +0\.7721 /m);
    expect(stdout).toMatch(/^origin ATL +3,100 +100% +0\.842 /m);
  });

  it("gives everything as JSON", async () => {
    const address = await useMonitoring(flights.monitoring);
    const { stdout } = await plinth(words("performance flights --json"), { address });
    const report = JSON.parse(stdout);
    expect(report.overall.classification.confusion).toEqual(["6210", "610", "1165", "1375"]);
    expect(report.task).toBe("TASK_TYPE_CLASSIFICATION");
  });
});

describe("monitor windows", () => {
  it("lists windows with their verdicts, and finds a version by number among them", async () => {
    const asked: ListWindowsRequest[] = [];
    const other = { ...WINDOWS[1]!, modelVersion: "workspaces/default/models/delay/versions/13" };
    const address = await useMonitoring({
      listWindows: async (request) => {
        asked.push(request);
        return { windows: [other, ...WINDOWS] };
      },
    });
    const { code, stdout } = await plinth(words("windows flights --version 3"), { address });
    expect(code).toBe(0);
    expect(stdout.trim().split("\n")).toHaveLength(30);
    expect(stdout).toMatch(/^delay\/3 +2001-03-01 00:00Z to 2001-03-02 00:00Z +open +97 /m);
    expect(stdout).toMatch(/^delay\/3 +2001-02-28 .* closed +402 +4\/5 \(80%\) DRIFTED +1\/2 /m);
    expect(stdout).not.toContain("delay/13");
    await plinth(words("windows flights --version delay/3"), { address });
    expect(asked.map(({ modelVersion }) => modelVersion)).toEqual(["", VERSION]);
  });
});

describe("monitor watch", () => {
  it("writes a line a change, goes on over a broken stream, and ends at Ctrl-C", async () => {
    let watches = 0;
    const metrics = {
      deployment: DEPLOYMENT,
      modelVersion: VERSION,
      window: WINDOWS[0]!,
      closedWindow: WINDOWS[1]!,
      baselineState: 2,
      activeAlerts: 1,
      time: day(28, 1),
    };
    const address = await useMonitoring({
      async *watchMetrics({ parent }, { signal }) {
        expect(parent).toBe("workspaces/default");
        watches += 1;
        yield { event: { case: "metrics" as const, value: metrics } };
        if (watches === 1) {
          throw new Unavailable("going down", {
            reason: ErrorReason.DRAINING,
            retryAfterMs: 0,
          });
        }
        yield { event: { case: "synced" as const, value: {} } };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    });
    const { child, outcome } = startPlinth(words("watch all"), { address });
    await said(child, /alert\n.*alert\n/);
    child.kill("SIGINT");
    const { code, stdout, stderr } = await outcome;
    const line =
      "2001-03-01 01:00:00Z  flights  delay/3  2001-03-01 00:00Z to 2001-03-02 00:00Z: 97 rows  " +
      "verdict on 2001-02-28 00:00Z to 2001-03-01 00:00Z: features 4/5 (80%) DRIFTED, " +
      "predictions 1/2 (50%)  1 active alert\n";
    expect({ code, stdout }).toEqual({ code: 130, stdout: line.repeat(2) });
    expect(stderr).toBe("The stream broke; opening it again.\nStopped.\n");
  });
});

describe("monitor alerts", () => {
  it("lists, and asks for states and a deployment", async () => {
    const asked: unknown[] = [];
    const address = await useMonitoring(
      {},
      {
        listAlerts: async ({ deployment, states }) => {
          asked.push({ deployment, states });
          return { alerts: [...ALERTS] };
        },
      },
    );
    const { code, stdout } = await plinth(words("alerts"), { address });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^7f3a +FIRING +critical +flights +delay\/3 +flights-drift +2001-03-01/m,
    );
    expect(stdout).toMatch(
      /^1b9e +RESOLVED +warning .* origin_mean_delay +2001-02-13 00:00Z +maria/m,
    );
    await plinth(words("alerts --state firing,Pending --deployment flights"), { address });
    expect(asked).toEqual([
      { deployment: "", states: [] },
      { deployment: DEPLOYMENT, states: [State.FIRING, State.PENDING] },
    ]);
    const wrong = await plinth(words("alerts --state fring"), { address });
    expect(wrong).toMatchObject({ code: 2, stdout: "" });
    expect(wrong.stderr).toContain('Did you mean "firing"?');
  });

  it("shows what was done and who was told, and acknowledges", async () => {
    const comments: string[] = [];
    const address = await useMonitoring(
      {},
      {
        getAlert: async () => ALERTS[0]!,
        acknowledgeAlert: async ({ name, comment }) => {
          expect(name).toBe("workspaces/default/alerts/7f3a");
          comments.push(comment);
          const seen = { actor: "maria", time: day(28, 2), comment };
          return create(AlertSchema, {
            ...create(AlertSchema, ALERTS[0]!),
            acknowledgement: create(AcknowledgementSchema, seen),
          });
        },
      },
    );
    const { stdout } = await plinth(words("alerts show 7f3a"), { address });
    expect(stdout).toMatch(/^value: +0\.6, held against 0\.5$/m);
    expect(stdout).toMatch(/^rollback_deployment +DONE +\S+ \S+ +revision 4 serves again/m);
    expect(stdout).toMatch(/^https:\S+ +alert\.firing +PENDING +1 +503 after 120 ms +2001-03-01/m);
    const ack = await plinth([...words("alerts ack alerts/7f3a --comment"), "on it"], { address });
    expect(ack.stdout).toMatch(/^seen by: +maria, 2001-03-01 02:00Z: on it$/m);
    expect(comments).toEqual(["on it"]);
  });

  it("follows from a token, and from a snapshot when that is no longer known", async () => {
    type Event = MessageInitShape<typeof WatchAlertsResponseSchema>;
    const tokens: string[] = [];
    const alert = (index: number) => ({ case: "alert" as const, value: ALERTS[index]! });
    const retraining = {
      alert: "workspaces/default/alerts/7f3a",
      deployment: DEPLOYMENT,
      modelVersion: VERSION,
      reason: "six of ten features drifted",
    };
    const address = await useMonitoring(
      {},
      {
        async *watchAlerts({ resumeToken }, { signal }): AsyncGenerator<Event> {
          tokens.push(resumeToken);
          if (tokens.length === 1) {
            yield { event: alert(0) };
            // The same again says nothing new.
            yield { event: alert(0), resumeToken: "t1" };
            throw new Unavailable("going down", { reason: ErrorReason.DRAINING, retryAfterMs: 0 });
          }
          if (resumeToken !== "") {
            throw new FailedPrecondition("The token is no longer known.", {
              reason: ErrorReason.RESUME_TOKEN_EXPIRED,
              violations: [],
            });
          }
          yield { event: alert(1) };
          yield { event: { case: "synced", value: {} }, resumeToken: "t2" };
          yield { event: { case: "retraining", value: retraining }, resumeToken: "t3" };
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
        },
      },
    );
    const { child, outcome } = startPlinth(words("alerts --follow"), { address });
    await said(child, /RETRAINING .*\n/);
    child.kill("SIGINT");
    const { code, stdout } = await outcome;
    expect(code).toBe(130);
    expect(tokens).toEqual(["", "t1", ""]);
    expect(stdout.split("\n")).toEqual([
      "2001-03-01 00:00:00Z  FIRING    critical  flights delay/3  flights-drift: " +
        "feature_drift_share is 0.6 (> 0.5)",
      "2001-03-01 00:00:00Z  DONE      rollback_deployment  flights delay/3  flights-drift: " +
        "revision 4 serves again, as revision 6",
      "2001-03-01 00:00:00Z  NOT TOLD  https://hooks.example.com/plinth  alert.firing: " +
        "503 after 120 ms",
      expect.stringMatching(/^2001-03-01 00:00:00Z {2}RESOLVED {2}warning .*\(seen by maria\)$/),
      "RETRAINING WANTED  flights delay/3: six of ten features drifted",
      "",
    ]);
  });
});
