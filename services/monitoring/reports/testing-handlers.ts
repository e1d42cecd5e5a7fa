// For the tests of the report handlers: handlers over real stores, and windows of one version.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import {
  GetDriftReportRequestSchema,
  ListWindowsRequestSchema,
  WatchMetricsRequestSchema,
  type WatchMetricsResponseSchema,
} from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import type { DriftReport } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import { DriftReportSchema } from "../../../gen/plinth/monitoring/v1/report_pb.js";
import { anonymous, type Principal } from "../../common/auth/principal.ts";
import { lcg } from "../drift/testing.ts";
import { reportHandlers } from "./report-handlers.ts";
import {
  DEPLOYMENT,
  HOUR_US,
  START_US,
  type Stores,
  useStores,
  versionOf,
} from "./testing-stores.ts";

/** From the start of a window until it has closed. */
export const CLOSED_MS = 3_600_000 + 300_000;
export const V1 = versionOf(1);
export const V2 = versionOf(2);

/** Rows of a feature, a category and an output; `shift` is what drifts. */
export function rows(seed: number, size: number, shift = 0) {
  return {
    x: lcg(seed, size).map((u) => u + shift),
    kind: Array.from(lcg(seed + 1000, size), (u) => "abc"[Math.floor(3 * u)]!),
    "prediction.y": lcg(seed + 2000, size).map((u) => u * u),
  };
}

function contextOf(principal: Principal = anonymous, signal = new AbortController().signal) {
  return {
    path: "/test",
    signal,
    deadlineMs: Date.now() + 60_000,
    principal,
    header: () => undefined,
    trace: ROOT_CONTEXT,
  };
}

export async function useHandlers(extra: Partial<Parameters<typeof reportHandlers>[0]> = {}) {
  const stores = await useStores();
  const stopping = new AbortController();
  const handlers = reportHandlers({ ...stores, ...extra }, stopping.signal);
  return {
    ...stores,
    stopping,
    handlers,
    report: async (
      request: MessageInitShape<typeof GetDriftReportRequestSchema>,
      principal?: Principal,
    ): Promise<DriftReport> =>
      create(
        DriftReportSchema,
        await handlers.getDriftReport(
          create(GetDriftReportRequestSchema, { deployment: DEPLOYMENT, ...request }),
          contextOf(principal),
        ),
      ),
    list: (request: MessageInitShape<typeof ListWindowsRequestSchema>) =>
      handlers.listWindows(
        create(ListWindowsRequestSchema, { parent: DEPLOYMENT, ...request }),
        contextOf(),
      ),
    watch: (parent: string, signal?: AbortSignal) =>
      handlers.watchMetrics(
        create(WatchMetricsRequestSchema, { parent }),
        contextOf(anonymous, signal),
      ) as AsyncGenerator<MessageInitShape<typeof WatchMetricsResponseSchema>>,
  };
}

/** A baseline, a closed window of 1,000 rows like it, one that has drifted, and an open one. */
export async function seed(stores: Stores): Promise<void> {
  const { baseline, count, closeAfter } = stores;
  await baseline(V1, rows(1, 2000));
  await count({ version: V1, columns: rows(2, 1000), eventUs: START_US });
  await closeAfter(CLOSED_MS);
  await count({ version: V1, columns: rows(3, 800, 0.5), eventUs: START_US + HOUR_US });
  await closeAfter(CLOSED_MS);
  await count({ version: V1, columns: rows(4, 600), eventUs: START_US + 2 * HOUR_US });
}
