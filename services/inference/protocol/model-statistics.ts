// What the engine counted, as Triton's ModelStatistics: perf_analyzer and dashboards read exactly
// this.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ModelStatisticsSchema,
  StatisticDurationSchema,
} from "../../../gen/inference/grpc_service_pb.js";
import type { Duration, VersionStatistics } from "../engine.ts";

/** The statistics of one version of a deployment. */
export function modelStatistics(
  name: string,
  version: string,
  statistics: VersionStatistics,
): MessageInitShape<typeof ModelStatisticsSchema> {
  return {
    name,
    version,
    lastInference: whole(statistics.lastInferenceMs),
    inferenceCount: whole(statistics.inferenceCount),
    executionCount: whole(statistics.executionCount),
    inferenceStats: {
      success: duration(statistics.success),
      fail: duration(statistics.fail),
      queue: duration(statistics.queue),
      computeInput: duration(statistics.computeInput),
      computeInfer: duration(statistics.computeInfer),
      computeOutput: duration(statistics.computeOutput),
      // There is no response cache; clients expect the fields all the same.
      cacheHit: {},
      cacheMiss: {},
    },
    batchStats: statistics.batches.map((batch) => ({
      batchSize: whole(batch.rows),
      computeInput: duration(batch.computeInput),
      computeInfer: duration(batch.computeInfer),
      computeOutput: duration(batch.computeOutput),
    })),
  };
}

function duration({ count, ns }: Duration): MessageInitShape<typeof StatisticDurationSchema> {
  return { count: whole(count), ns: whole(ns) };
}

function whole(value: number): bigint {
  return BigInt(Math.max(0, Math.round(value)));
}
