// What happens to a job when the command that follows it is stopped, loses the server, or sees it
// fail; and the questions on a terminal.

import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  DefinitionChange_Action as Action,
  FeatureRegistryService,
} from "../../gen/plinth/features/v1/feature_registry_service_pb.js";
import { type JobSchema, Job_State as State } from "../../gen/plinth/features/v1/job_pb.js";
import { JobService } from "../../gen/plinth/features/v1/job_service_pb.js";
import { FieldStatus } from "../../gen/plinth/features/v1/value_pb.js";
import { InvalidArgument, Unavailable } from "../common/errors/domain-error.ts";
import { toStatus } from "../common/errors/status.ts";
import { bindService, type ServiceHandlers } from "../common/rpc/context.ts";
import { fileFolder, plinth, startPlinth, useServer } from "./testing.ts";

const BIN = fileURLToPath(new URL("../../bin/plinth.mjs", import.meta.url));
const NAME = "workspaces/default/jobs/7f";

const folder = fileFolder();

type JobInit = MessageInitShape<typeof JobSchema>;

function job(state: State, more: Partial<JobInit> = {}): JobInit {
  const value = { featureView: "workspaces/default/featureViews/delays" };
  return { name: NAME, state, work: { case: "materialization", value }, ...more } as JobInit;
}

const unused = (): never => {
  throw new Error("not part of this test");
};

const nothing = Object.fromEntries(
  JobService.methods.map((method) => [method.localName, unused]),
) as unknown as ServiceHandlers<typeof JobService>;

/** A server whose jobs do as these handlers say. */
function useJobs(handlers: Partial<ServiceHandlers<typeof JobService>>): Promise<string> {
  return useServer(
    bindService(JobService, {
      ...nothing,
      materializeFeatures: async () => job(State.QUEUED),
      ...handlers,
    }),
  );
}

const WORDS = ["features", "materialize", "delays"];

describe("a job that is followed", () => {
  /** A job that runs for ever, and what was done to it. */
  async function useEndless() {
    let watched = (): void => undefined;
    const watching = new Promise<void>((resolve) => {
      watched = resolve;
    });
    const cancelled: string[] = [];
    const address = await useJobs({
      async *watchJob(_request, { signal }) {
        yield { job: job(State.RUNNING, { progress: { phase: "writing", done: 1n, total: 2n } }) };
        watched();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
      async cancelJob({ name }) {
        cancelled.push(name);
        return job(State.CANCELLED);
      },
    });
    return { address, watching, cancelled };
  }

  it("goes on after Ctrl-C, and the way back is told", async () => {
    const { address, watching, cancelled } = await useEndless();
    const { child, outcome } = startPlinth(WORDS, { address });
    await watching;
    child.kill("SIGINT");
    expect(await outcome).toEqual({
      code: 130,
      stdout: "",
      stderr:
        "jobs/7f goes on by itself.\n" +
        'Watch it with "plinth features job jobs/7f --watch", ' +
        'stop it with "plinth features job jobs/7f --cancel".\n',
    });
    expect(cancelled).toEqual([]);
  });

  it("is cancelled by Ctrl-C under --cancel-on-interrupt", async () => {
    const { address, watching, cancelled } = await useEndless();
    const { child, outcome } = startPlinth([...WORDS, "--cancel-on-interrupt"], { address });
    await watching;
    child.kill("SIGINT");
    expect(await outcome).toEqual({
      code: 130,
      stdout: "",
      stderr: "Stopped; jobs/7f is cancelled.\n",
    });
    expect(cancelled).toEqual([NAME]);
  });

  it("goes on after --timeout", async () => {
    const { address } = await useEndless();
    const { code, stderr } = await plinth([...WORDS, "--timeout", "2s"], { address });
    expect(code).toBe(5);
    expect(stderr).toContain("jobs/7f has not ended yet; it goes on by itself.");
  });

  it("is watched again when the server was away for a moment", async () => {
    let watches = 0;
    const address = await useJobs({
      async *watchJob() {
        watches += 1;
        yield { job: job(State.RUNNING) };
        if (watches < 3) {
          throw new Unavailable("The server is stopping.", {
            reason: ErrorReason.DRAINING,
            retryAfterMs: 0,
          });
        }
        const result = { rowsRead: 9n, keysWritten: 3n, keysUnchanged: 1n };
        const featureView = "workspaces/default/featureViews/delays";
        const work = { case: "materialization" as const, value: { featureView, result } };
        yield { job: job(State.SUCCEEDED, { work }) };
      },
    });
    expect(await plinth(WORDS, { address })).toEqual({
      code: 0,
      stdout: "view/delays: 9 rows read, 3 keys written online, 1 as new already.\n",
      stderr: "",
    });
    expect(watches).toBe(3);
  });

  it("tells the error of one that FAILED, also in JSON with its details", async () => {
    const error = toStatus(
      new InvalidArgument("The file has no time.", {
        reason: ErrorReason.INVALID_FIELD,
        violations: [{ field: "table", description: "expected a column event_timestamp" }],
      }),
    );
    const address = await useJobs({
      async *watchJob() {
        yield { job: job(State.FAILED, { error }) };
      },
    });
    expect(await plinth(WORDS, { address })).toEqual({
      code: 4,
      stdout: "",
      stderr:
        "error: jobs/7f FAILED: The file has no time.\n  - table: expected a column event_timestamp\n",
    });
    const { code, stdout } = await plinth([...WORDS, "--json"], { address });
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ state: "STATE_FAILED", error: { code: 3 } });
  });

  it("shows where served values and history differ, and answers 1", async () => {
    const featureService = "workspaces/default/featureServices/delay_model/versions/1";
    const difference = {
      entity: [{ name: "origin", strings: ["ATL"] }],
      readTime: { seconds: 980_928_000n },
      feature: "mean",
      onlineValue: "12.5",
      offlineValue: "null",
      onlineStatus: FieldStatus.PRESENT,
    };
    const result = { rowsChecked: 40n, rowsDiffering: 1n, differences: [difference] };
    const work = { case: "skewCheck" as const, value: { featureService, result } };
    const address = await useJobs({ checkSkew: async () => job(State.SUCCEEDED, { work }) });
    expect(await plinth(["features", "check-skew", "delay_model"], { address })).toEqual({
      code: 1,
      stderr: "",
      stdout:
        "ENTITY      READ                  FEATURE  SERVED  STATUS   HISTORY\n" +
        "origin=ATL  2001-01-31 08:00:00Z  mean     12.5    PRESENT  null\n" +
        "service/delay_model@1: 40 kept reads compared with history, 1 differ.\n",
    });
  });

  it("answers 1 for one that somebody cancelled", async () => {
    const address = await useJobs({
      async *watchJob() {
        yield { job: job(State.CANCELLED) };
      },
    });
    const { code, stderr } = await plinth(WORDS, { address });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "error: jobs/7f was cancelled.\n" });
  });
});

/** Only util-linux's `script` takes the command in -c. */
function terminalMaker(): boolean {
  try {
    return execFileSync("script", ["--version"], { encoding: "utf8" }).includes("util-linux");
  } catch {
    return false;
  }
}

describe.skipIf(!terminalMaker())("features apply on a terminal", () => {
  /** Runs it on a terminal of its own, and types this when it is asked. */
  async function typed(text: string) {
    const applied: boolean[] = [];
    const unusedHere = Object.fromEntries(
      FeatureRegistryService.methods.map((method) => [method.localName, unused]),
    ) as unknown as ServiceHandlers<typeof FeatureRegistryService>;
    const address = await useServer(
      bindService(FeatureRegistryService, {
        ...unusedHere,
        async applyDefinitions({ dryRun }) {
          applied.push(!dryRun);
          const name = "workspaces/default/entities/airport";
          return { changes: [{ name, action: Action.CREATE }] };
        },
      }),
    );
    const path = join(folder, "one.yaml");
    writeFileSync(path, "kind: Entity\nname: airport\nvalueType: string\n");
    const command = [process.execPath, BIN, "features", "apply", path, "--address", address];
    const child = spawn("script", ["-qefc", command.join(" "), "/dev/null"], { stdio: "pipe" });
    let seen = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      const asked = seen.includes("[y/N]");
      seen += part;
      if (!asked && seen.includes("[y/N]")) {
        child.stdin.write(text);
      }
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    return { code, seen, applied };
  }

  it("shows the plan, asks, and applies at y", async () => {
    const { code, seen, applied } = await typed("y\r");
    expect(seen).toContain("+ create");
    expect(seen).toContain("Apply 1 change? [y/N]");
    expect(seen).toContain("1 created.");
    expect({ code, applied }).toEqual({ code: 0, applied: [false, true] });
  });

  it("changes nothing at anything else", async () => {
    const { code, seen, applied } = await typed("\r");
    expect(seen).toContain("Nothing was changed.");
    expect({ code, applied }).toEqual({ code: 1, applied: [false] });
  });

  it("stops at Ctrl-C", async () => {
    const { code, applied } = await typed("\u0003");
    expect({ code, applied }).toEqual({ code: 130, applied: [false] });
  });
});
