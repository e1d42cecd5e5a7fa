// For tests of predictions and labels: a real store, captured batches made by hand, and labels.

import type { DocumentStore } from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import type { ReadyBaseline } from "../baselines/baseline-store.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import { createEvents, type MonitoringEvents } from "../events.ts";
import { DEFAULT_SETTINGS, type MonitorSettings } from "../monitors/monitor-settings.ts";
import type { ColumnBatch } from "../sketch/column-batch.ts";
import type { TargetIdentity } from "../target.ts";
import type { NewLabel } from "./label-book.ts";
import { PredictionStore } from "./prediction-store.ts";
import { type EntityKeys, entityKey, inferenceKey, partKeys } from "./reference.ts";

export const HOUR_US = 3_600_000_000;
/** 2026-01-01T00:00:00Z, where the fake clock begins. */
export const START_US = Date.UTC(2026, 0, 1) * 1000;
export const DEPLOYMENT = "workspaces/w/deployments/d";
const KEY = "w/d";

/** Version 1 of the model answers; version 2 is its shadow. */
export function targetOf(version = 1): TargetIdentity {
  return {
    workspace: "w",
    deployment: DEPLOYMENT,
    deploymentUid: "du",
    modelVersion: `workspaces/w/models/m/versions/${version}`,
    modelVersionUid: `v${version}`,
  };
}

/** A target as it is measured. */
export function measuredTarget(version = 1, classLabels: readonly string[] = ["no", "yes"]) {
  return { _id: `du/v${version}`, ...targetOf(version), classLabels };
}

export interface UsedPredictions {
  readonly predictions: PredictionStore;
  readonly clock: FakeClock;
  /** May be replaced. */
  settings: MonitorSettings;
  baseline: ReadyBaseline | undefined;
  /** What was not kept, as the events had it. */
  readonly notKept: number[];
}

/** A store that ends with the running test. Its clock stands at 2026-01-01T01:00:00Z. */
export async function usePredictions(
  options: {
    readonly documents?: DocumentStore;
    readonly clock?: FakeClock;
    readonly predictionsRateMax?: number;
    readonly settings?: MonitorSettings;
  } = {},
): Promise<UsedPredictions> {
  const { clock = new FakeClock(START_US / 1000 + 3_600_000) } = options;
  const documents = options.documents ?? (await useStore({ clock }));
  const notKept: number[] = [];
  const events: MonitoringEvents = {
    ...createEvents(createLogger({ service: "monitoring", level: "off" })),
    predictionsNotKept: (_deployment, count) => notKept.push(count),
  };
  const used: { settings: MonitorSettings; baseline: ReadyBaseline | undefined } = {
    settings: options.settings ?? DEFAULT_SETTINGS,
    baseline: undefined,
  };
  const predictions = await PredictionStore.open({
    documents,
    clock,
    events,
    config: {
      predictionsRateMax: options.predictionsRateMax ?? 100_000,
      clockSkewMs: 300_000,
      memoryBytesMax: 64 * 2 ** 20,
    },
    monitors: { get: async () => used.settings },
    baselines: { ready: async () => used.baseline },
  });
  return Object.assign(used, { predictions, clock, notKept });
}

/** One inference of a batch. */
export interface GivenInference {
  readonly id?: string;
  readonly eventUs?: number;
  /** A row each: scores of "yes", or with `numbers` the predicted number. */
  readonly rows: readonly number[];
}

/** How batches of tests are made. */
export interface GivenBatch {
  readonly inferences: readonly GivenInference[];
  readonly sequence?: number;
  readonly sender?: string;
  readonly version?: number;
  readonly shadow?: boolean;
  /** True: the rows are numbers. */
  readonly numbers?: boolean;
  /** One value a row, by join key. */
  readonly keys?: Readonly<Record<string, readonly string[]>>;
  readonly columns?: Readonly<Record<string, ColumnBatch>>;
}

/** A batch of the classes "no" and "yes", or of numbers. */
export function batchOf(given: GivenBatch): DecodedBatch {
  const { inferences, version = 1, numbers = false, keys = {} } = given;
  const values = Float64Array.from(inferences.flatMap(({ rows }) => rows));
  const zeros = inferences.map(() => 0);
  const prediction: [string, ColumnBatch][] = numbers
    ? [["prediction.value", { kind: "numeric", values }]]
    : [
        ["prediction.scores.no", { kind: "numeric", values: values.map((score) => 1 - score) }],
        ["prediction.scores.yes", { kind: "numeric", values }],
        [
          "prediction.label",
          { kind: "category", values: [...values].map((score) => (score >= 0.5 ? "yes" : "no")) },
        ],
      ];
  return {
    sender: given.sender ?? "sender",
    sequence: given.sequence ?? 1,
    acknowledged: 0,
    target: targetOf(version),
    shadow: given.shadow ?? false,
    classLabels: numbers ? [] : ["no", "yes"],
    featureService: "",
    rows: values.length,
    inferences: {
      count: inferences.length,
      ids: inferences.map(({ id }) => id ?? ""),
      rows: inferences.map(({ rows }) => rows.length),
      eventUs: inferences.map(({ eventUs }) => eventUs ?? START_US),
      queueMs: zeros,
      computeMs: zeros,
    },
    columns: new Map([...Object.entries(given.columns ?? {}), ...prediction]),
    statuses: [],
    entityKeys: Object.entries(keys).map(([joinKey, list]) => ({ joinKey, values: list })),
    droppedRows: 0,
  };
}

/** A label of an inference. */
export function labelOf(id: string, value: string | number, row = 0): NewLabel {
  const by = inferenceKey(KEY, id);
  return { _id: `${by}/${row}`, by, time: 0, row, value };
}

/** A label of an entity. */
export function entityLabel(keys: EntityKeys, time: number, value: string | number): NewLabel {
  const by = entityKey(KEY, keys);
  const parts = partKeys(KEY, keys);
  return { _id: `${by}/@${time}`, by, time, row: 0, value, parts };
}

/** Predictions, labels, right ones of a version over all that is kept. */
export async function countsOf(
  { predictions }: UsedPredictions,
  version = 1,
): Promise<readonly [predictions: number, labelled: number, accuracy: number | undefined]> {
  const { overall } = await predictions.performanceOf(measuredTarget(version), {});
  const accuracy = overall?.classification?.accuracy;
  return [Number(overall?.predictions ?? 0), Number(overall?.labelled ?? 0), accuracy];
}
