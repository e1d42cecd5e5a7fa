// What monitoring found, as other commands show it; and the live table on a terminal.

import { execFileSync, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { FeatureViewHealthSchema } from "../../gen/plinth/features/v1/feature_view_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { ModelHealth_State as Health } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { bindService, type ServiceHandlers } from "../common/rpc/context.ts";
import { viewHealthLines } from "./monitor-health.ts";
import { plinth, useServer } from "./testing.ts";
import { DEPLOYMENT, day, VERSION, WINDOWS } from "./testing-flights.ts";
import { useMonitoring } from "./testing-monitor.ts";

const BIN = fileURLToPath(new URL("../../bin/plinth.mjs", import.meta.url));

describe("monitor-health", () => {
  it("stands below a version in models show", async () => {
    const unused = Object.fromEntries(
      ModelService.methods.map(({ localName }) => [
        localName,
        () => Promise.reject(new Error("not part of this test")),
      ]),
    ) as unknown as ServiceHandlers<typeof ModelService>;
    const columns = ["hour", "origin", "c", "d", "e", "f", "g"];
    const address = await useServer(
      bindService(ModelService, {
        ...unused,
        getModelVersion: async () => ({
          name: VERSION,
          health: [
            {
              deployment: DEPLOYMENT,
              state: Health.DRIFTED,
              windowEndTime: day(28),
              rows: 446n,
              featureDriftShare: 0.6,
              driftedColumns: columns,
              liveMetrics: { accuracy: 0.81 },
              firingAlerts: ["workspaces/default/alerts/7f3a"],
            },
          ],
        }),
      }),
    );
    const { code, stdout } = await plinth(["models", "show", "delay/3"], { address });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^flights +DRIFTED +2001-03-01 00:00Z +446 +60% +1 +accuracy=0\.81 +hour, origin, c, d, e and 2 more$/m,
    );
  });

  it("stands below a view in features describe", () => {
    const health = create(FeatureViewHealthSchema, {
      deployment: DEPLOYMENT,
      modelVersion: VERSION,
      windowEndTime: day(28),
      rows: 446n,
      features: [
        { feature: "mean", missingRate: 0.12, outsideMaxAgeRate: 0.09, drifted: true },
        { feature: "flights" },
      ],
    });
    expect(viewHealthLines([])).toEqual([]);
    expect(viewHealthLines([health])).toEqual([
      "",
      "READ BY  VERSION  WINDOW END         ROWS  FEATURE  MISSING  TOO OLD  DRIFT",
      "flights  delay/3  2001-03-01 00:00Z   446  mean         12%       9%  DRIFTED",
      "flights  delay/3  2001-03-01 00:00Z   446  flights                    not measured",
    ]);
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

describe.skipIf(!terminalMaker())("monitor watch on a terminal", () => {
  it("draws over what it drew, and ends at Ctrl-C", async () => {
    let change = (): void => undefined;
    const drawn = new Promise<void>((resolve) => {
      change = resolve;
    });
    const metrics = (rows: bigint) => ({
      event: {
        case: "metrics" as const,
        value: {
          deployment: DEPLOYMENT,
          modelVersion: VERSION,
          window: { ...WINDOWS[0]!, rows } as (typeof WINDOWS)[number],
          closedWindow: WINDOWS[1]!,
          baselineState: 2,
        },
      },
    });
    const address = await useMonitoring({
      async *watchMetrics(_request, { signal }) {
        yield metrics(97n);
        await drawn;
        yield metrics(98n);
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    });
    const command = [process.execPath, BIN, "monitor", "watch", "flights", "--address", address];
    const child = spawn("script", ["-qefc", `stty cols 200; ${command.join(" ")}`, "/dev/null"], {
      stdio: "pipe",
    });
    let seen = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      const isOver = seen.includes(" 98 ");
      seen += part;
      if (seen.includes(" 97 ")) {
        change();
      }
      if (!isOver && seen.includes(" 98 ")) {
        child.stdin.write("\u0003");
      }
    });
    const code = await new Promise((resolve) => child.on("close", resolve));
    expect(code).toBe(130);
    expect(seen).toMatch(/DEPLOYMENT +VERSION +WINDOW +ROWS/);
    // Two lines up, to the beginning, all below erased.
    const [before, after] = seen.split("\u001b[2A\r\u001b[J");
    expect(before).toMatch(/ 97 .*4\/5 \(80%\) DRIFTED/);
    expect(after).toMatch(/ 98 .*4\/5 \(80%\) DRIFTED/);
  });
});
