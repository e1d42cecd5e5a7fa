import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { DriftMethod } from "../../../gen/plinth/monitoring/v1/drift_pb.js";
import {
  type Monitor,
  MonitorSchema,
  TaskType,
} from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { METHOD_RULES } from "../drift/drift-method.ts";
import {
  changeSettings,
  MONITOR_PATHS,
  type MonitorPath,
  monitorMessage,
} from "./convert-monitor.ts";
import { methodMessage } from "./drift-options.ts";
import { columnOptions, DEFAULT_SETTINGS, type MonitorSettings } from "./monitor-settings.ts";

type Init = Exclude<MessageInitShape<typeof MonitorSchema>, Monitor>;

const seconds = (count: number, nanos = 0) =>
  create(DurationSchema, { seconds: BigInt(count), nanos });
const DAY = 86_400;

function changed(init: Init, paths: readonly MonitorPath[] = MONITOR_PATHS): MonitorSettings {
  return changeSettings(DEFAULT_SETTINGS, create(MonitorSchema, init), new Set(paths));
}

function faultsOf(init: Init, paths?: readonly MonitorPath[]): readonly string[] {
  try {
    changed(init, paths);
  } catch (error) {
    if (error instanceof InvalidArgument) {
      return error.violations.map(({ field }) => field);
    }
    throw error;
  }
  return [];
}

const EVERYTHING: Init = {
  window: seconds(1, 500_000_000),
  allowedLateness: seconds(0),
  baselineLearning: { rows: 30n, disabled: true },
  drift: {
    method: DriftMethod.PSI,
    datasetShare: 0.25,
    columns: [
      { column: "a", method: DriftMethod.KOLMOGOROV_SMIRNOV, threshold: 0.01, sizeMin: 100n },
      { column: "b", ignored: true },
    ],
  },
  task: {
    type: TaskType.CLASSIFICATION,
    positiveClass: "late",
    output: "scores",
    scoreThreshold: 0.75,
    segmentColumns: ["carrier", "hour"],
  },
  retention: { windows: seconds(DAY), days: seconds(2 * DAY), predictions: seconds(3, 1_000_000) },
};

describe("changeSettings", () => {
  it("takes the defaults for what is left out", () => {
    expect(changed({})).toEqual(DEFAULT_SETTINGS);
    expect(changed({ drift: {}, task: {}, retention: {}, baselineLearning: {} })).toEqual(
      DEFAULT_SETTINGS,
    );
  });

  it("takes everything, and gives it back", () => {
    const settings = changed(EVERYTHING);
    expect(settings).toEqual({
      windowUs: 1_500_000,
      latenessUs: 0,
      learning: { rows: 30, disabled: true },
      drift: {
        method: "psi",
        datasetShare: 0.25,
        columns: [
          {
            column: "a",
            method: "kolmogorov_smirnov",
            threshold: 0.01,
            sizeMin: 100,
            ignored: false,
          },
          { column: "b", ignored: true },
        ],
      },
      task: {
        type: "classification",
        positiveClass: "late",
        output: "scores",
        scoreThreshold: 0.75,
        segmentColumns: ["carrier", "hour"],
      },
      retention: { windowsMs: DAY * 1000, daysMs: 2 * DAY * 1000, predictionsMs: 3001 },
    });
    const time = new Date(0);
    const record = {
      _id: "d",
      uid: "u",
      version: 1,
      revision: 1,
      createTime: time,
      updateTime: time,
    };
    const message = create(MonitorSchema, monitorMessage("m", { ...record, settings }));
    expect(changeSettings(DEFAULT_SETTINGS, message, new Set(MONITOR_PATHS))).toEqual(settings);
    expect(message.createTime).toMatchObject({ seconds: 0n, nanos: 0 });
  });

  it("changes what the mask names, and nothing else", () => {
    const current = changed(EVERYTHING);
    const message = create(MonitorSchema, {
      window: seconds(2),
      drift: { method: 99 as DriftMethod },
    });
    const next = changeSettings(current, message, new Set<MonitorPath>(["window", "task"]));
    expect(next).toEqual({ ...current, windowUs: 2_000_000, task: DEFAULT_SETTINGS.task });
  });

  it("names every fault at once", () => {
    const faults = faultsOf({
      window: seconds(0, 999_999_999),
      allowedLateness: seconds(7 * DAY, 1000),
      baselineLearning: { rows: 29n },
      drift: {
        method: 99 as DriftMethod,
        datasetShare: 1.5,
        columns: [
          { column: "", threshold: Number.NaN },
          { column: "a", method: DriftMethod.Z_TEST, threshold: 1.5 },
          { column: "a", sizeMin: 0n },
        ],
      },
      task: { type: 9 as TaskType, scoreThreshold: -1, segmentColumns: ["x", "x"] },
      retention: { windows: seconds(0), days: seconds(-1), predictions: seconds(1, 1) },
    });
    expect(faults).toEqual([
      "monitor.window",
      "monitor.allowed_lateness",
      "monitor.baseline_learning.rows",
      "monitor.drift.method",
      "monitor.drift.dataset_share",
      "monitor.drift.columns[0].column",
      "monitor.drift.columns[0].threshold",
      "monitor.drift.columns[1].threshold",
      "monitor.drift.columns[2].column",
      "monitor.drift.columns[2].size_min",
      "monitor.task.type",
      "monitor.task.score_threshold",
      "monitor.task.segment_columns[1]",
      "monitor.retention.windows",
      "monitor.retention.days",
      "monitor.retention.predictions",
    ]);
  });

  it.each<[Init, readonly string[]]>([
    [{ window: seconds(1) }, []],
    [{ window: seconds(31 * DAY) }, []],
    [{ window: seconds(31 * DAY, 1000) }, ["monitor.window"]],
    [{ window: seconds(1, 1) }, ["monitor.window"]],
    [{ window: seconds(-1) }, ["monitor.window"]],
    [{ window: seconds(1, -1000) }, ["monitor.window"]],
    [{ allowedLateness: seconds(7 * DAY) }, []],
    [{ baselineLearning: { rows: 10_000_000n } }, []],
    [{ baselineLearning: { rows: 10_000_001n } }, ["monitor.baseline_learning.rows"]],
    [{ drift: { datasetShare: Number.NaN } }, ["monitor.drift.dataset_share"]],
    [{ task: { segmentColumns: Array.from("abcdefghi") } }, ["monitor.task.segment_columns"]],
    [{ retention: { windows: seconds(3599) } }, ["monitor.retention.windows"]],
    [
      {
        window: seconds(31 * DAY),
        retention: { days: seconds(30 * DAY), predictions: seconds(DAY) },
      },
      ["monitor.retention.days", "monitor.retention.predictions"],
    ],
    [{ retention: { days: seconds(3651 * DAY) } }, ["monitor.retention.days"]],
  ])("finds what is wrong with case %#", (init, faults) => {
    expect(faultsOf(init)).toEqual(faults);
  });

  it("bounds the columns, and refuses a window longer than what stays", () => {
    const columns = Array.from({ length: 1001 }, (_, i) => ({ column: `c${i}` }));
    expect(faultsOf({ drift: { columns } })).toEqual(["monitor.drift.columns"]);
    expect(faultsOf({ drift: { columns: columns.slice(1) } })).toEqual([]);
    const current = changed({ retention: { windows: seconds(3600) } });
    const message = create(MonitorSchema, { window: seconds(7200) });
    const change = () => changeSettings(current, message, new Set<MonitorPath>(["window"]));
    expect(change).toThrow("monitor.retention.windows is 3600 s, shorter than a window of 7200 s");
  });
});

describe("columnOptions", () => {
  it("are a column's own, else those for all", () => {
    const { drift } = changed(EVERYTHING);
    expect(columnOptions(drift, "a")).toEqual({
      method: "kolmogorov_smirnov",
      threshold: 0.01,
      sizeMin: 100,
      ignored: false,
    });
    expect(columnOptions(drift, "b")).toEqual({ method: "psi", ignored: true });
    expect(columnOptions(drift, "__proto__")).toEqual({ method: "psi", ignored: false });
    expect(columnOptions(DEFAULT_SETTINGS.drift, "a")).toEqual({ ignored: false });
  });
});

describe("methodMessage", () => {
  it("has a number of its own for each method", () => {
    const methods = Object.keys(METHOD_RULES) as (keyof typeof METHOD_RULES)[];
    const numbers = new Set(methods.map(methodMessage));
    expect(numbers.size).toBe(11);
    expect(methodMessage(undefined)).toBe(DriftMethod.UNSPECIFIED);
  });
});
