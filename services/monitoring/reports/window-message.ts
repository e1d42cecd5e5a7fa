// A window as callers see it.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WindowSchema } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import type { Target } from "../target.ts";
import type { WindowInfo } from "../windows/window-record.ts";
import { datasetDriftMessage } from "./drift-message.ts";
import { rangeMessage } from "./time-range.ts";

/** `labels`: that came for its predictions. */
export function windowMessage(
  target: Target,
  window: WindowInfo,
  labels: number,
): MessageInitShape<typeof WindowSchema> {
  const { totals, verdict } = window;
  const compared = verdict?.baseline === true ? verdict : undefined;
  return {
    deployment: target.deployment,
    modelVersion: target.modelVersion,
    shadow: window.shadow,
    range: rangeMessage(window),
    closed: window.closed,
    rows: BigInt(window.rows),
    inferences: BigInt(totals.inferences),
    lateRows: BigInt(totals.lateRows),
    droppedRows: BigInt(totals.droppedRows),
    sizeBytes: BigInt(window.sizeBytes),
    layoutId: window.layoutId,
    ...(compared === undefined
      ? {}
      : {
          features: datasetDriftMessage(compared.features),
          predictions: datasetDriftMessage(compared.predictions),
        }),
    labels: BigInt(labels),
    meanQueueMs: meanOf(totals.queueMs, totals.inferences),
    meanComputeMs: meanOf(totals.computeMs, totals.inferences),
  };
}

function meanOf(sum: number, count: number): number {
  return count === 0 ? 0 : sum / count;
}
