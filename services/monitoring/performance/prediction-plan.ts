// What a captured batch becomes: chunks and references. The plan is stored before anything of the
// batch is, so that a batch that comes again is cut in the same way, whatever the settings, the
// clock and the pace say by then.

import type { Document } from "../../common/documents/port.ts";
import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { MonitorSettings, TaskSettings } from "../monitors/monitor-settings.ts";
import { targetId } from "../target.ts";
import { BATCH_WINDOWS_MAX } from "../windows/split-batch.ts";
import { placeOf } from "./prediction-pace.ts";

/** What was decided when a batch came first. */
export interface BatchPlan extends Document {
  /** Inferences whose place is below it are kept. */
  readonly keepBelow: number;
  readonly windowUs: number;
  /** Later inferences are in the future, and not kept. */
  readonly latestUs: number;
  readonly task: TaskSettings;
  /** When the predictions go. */
  readonly predictionsExpire: Date;
  /** When the batch will not be sent again. */
  readonly expireTime: Date;
}

/** How long a sender may take to send a batch again. */
const RESENT_MS_MAX = 86_400_000;

/** The name of a batch. */
export function batchId(batch: DecodedBatch): string {
  return `${targetId(batch.target)}/${batch.sender}/${batch.sequence}`;
}

/** The plan of a batch that comes now. */
export function planBatch(
  batch: DecodedBatch,
  now: {
    readonly nowMs: number;
    readonly clockSkewMs: number;
    readonly keepBelow: number;
    readonly settings: MonitorSettings;
  },
): BatchPlan {
  const { nowMs, settings } = now;
  return {
    _id: batchId(batch),
    keepBelow: now.keepBelow,
    windowUs: settings.windowUs,
    latestUs: (nowMs + now.clockSkewMs) * 1000,
    task: settings.task,
    predictionsExpire: new Date(nowMs + settings.retention.predictionsMs),
    expireTime: new Date(nowMs + Math.min(RESENT_MS_MAX, settings.retention.predictionsMs)),
  };
}

/** Where an inference stands when not all can be kept. */
export function inferencePlace(batch: DecodedBatch, inference: number): number {
  const id = batch.inferences.ids[inference] ?? "";
  return placeOf(id === "" ? `${batch.sender}/${batch.sequence}/${inference}` : id);
}

/** Inferences of one window: those that are kept, and rows of those that are not. */
export interface PlannedWindow {
  readonly startUs: number;
  readonly endUs: number;
  readonly inferences: readonly PlannedInference[];
  readonly notKept: number;
}

/** One inference of a batch, and where its rows begin there. */
export interface PlannedInference {
  readonly inference: number;
  readonly firstRow: number;
  readonly rows: number;
}

/**
 * The windows that inferences of the batch fall into, oldest first. As many of the newest as are
 * counted: what is refused there is not kept here, in each sending, but where the length of the
 * windows was changed and rows before and after it are in one batch.
 */
export function windowsOf(batch: DecodedBatch, plan: BatchPlan): PlannedWindow[] {
  const windows = new Map<number, { inferences: PlannedInference[]; notKept: number }>();
  const { inferences } = batch;
  let firstRow = 0;
  for (let inference = 0; inference < inferences.count; inference++) {
    const rows = inferences.rows[inference]!;
    const eventUs = inferences.eventUs[inference]!;
    if (rows > 0 && eventUs <= plan.latestUs) {
      const start = Math.floor(eventUs / plan.windowUs) * plan.windowUs;
      const window = windows.get(start) ?? { inferences: [], notKept: 0 };
      windows.set(start, window);
      if (inferencePlace(batch, inference) < plan.keepBelow) {
        window.inferences.push({ inference, firstRow, rows });
      } else {
        window.notKept += rows;
      }
    }
    firstRow += rows;
  }
  return [...windows]
    .sort(([a], [b]) => a - b)
    .slice(-BATCH_WINDOWS_MAX)
    .map(([startUs, window]) => ({ startUs, endUs: startUs + plan.windowUs, ...window }));
}
