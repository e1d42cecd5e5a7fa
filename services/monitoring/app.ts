// Puts the monitoring service together from its stores; the mesh and the tests all start it here.

import { AlertService } from "../../gen/plinth/monitoring/v1/alert_service_pb.js";
import { CaptureService } from "../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { MonitoringService } from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import type { BlobStore } from "../common/blobs/port.ts";
import type { Clock } from "../common/clock.ts";
import type { DocumentStore } from "../common/documents/port.ts";
import { Reachability } from "../common/documents/reachability.ts";
import type { ServiceModule } from "../common/lifecycle.ts";
import type { Channel } from "../common/rpc/client.ts";
import { bindService } from "../common/rpc/context.ts";
import { createLogger, type Logger } from "../common/telemetry/log.ts";
import { alertHandlers } from "./alerts/alert-handlers.ts";
import { AlertStore } from "./alerts/alert-store.ts";
import { Deliverer } from "./alerts/deliverer.ts";
import { AlertEvaluator } from "./alerts/evaluator.ts";
import { baselineHandlers } from "./baselines/baseline-handlers.ts";
import { BaselineStore } from "./baselines/baseline-store.ts";
import { BaselineLearner } from "./baselines/learn-baseline.ts";
import { captureHandlers } from "./capture/capture-handlers.ts";
import type { MonitoringConfig } from "./config.ts";
import { createEvents, type MonitoringEvents } from "./events.ts";
import { Feedback } from "./feedback/feedback.ts";
import { monitorHandlers } from "./monitors/monitor-handlers.ts";
import { MonitorStore } from "./monitors/monitor-store.ts";
import { performanceHandlers } from "./performance/performance-handlers.ts";
import { PredictionStore } from "./performance/prediction-store.ts";
import { Judge } from "./reports/judge.ts";
import { reportHandlers } from "./reports/report-handlers.ts";
import { PartStore } from "./windows/part-store.ts";
import { WindowStore } from "./windows/window-store.ts";

export interface CreateMonitoringDeps {
  readonly config: MonitoringConfig;
  readonly documents: DocumentStore;
  /** For profiles of this service alone. */
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** For files on their way; nothing in it outlives the process. */
  readonly scratchDir: string;
  /** To other services, with the credential of one; absent: not known here. */
  readonly registry: Channel | undefined;
  readonly features: Channel | undefined;
  /** Absent: nothing is logged. */
  readonly log?: Logger;
}

/**
 * A monitoring service over these stores, which stay the caller's to close. It serves calls at
 * once; windows are closed and judged and alerts delivered from `start` on.
 */
export async function createMonitoring(given: CreateMonitoringDeps): Promise<ServiceModule> {
  await using stack = new AsyncDisposableStack();
  const { config, clock, scratchDir, registry, features } = given;
  const events = createEvents(given.log ?? createLogger({ service: "monitoring", level: "off" }));
  const stores = await openStores(given, events, stack);
  const { monitors, learner, windows, predictions } = stores;
  const shared = { ...stores, config, clock, events, registry };
  const evaluator = stack.use(new AlertEvaluator({ ...shared, labels: predictions.changed }));
  const deliverer = stack.use(
    new Deliverer({
      ...shared,
      events: {
        ...events,
        actionTaken(alert, action) {
          events.actionTaken(alert, action);
          // A version that was just taken out of service has no alerts any more.
          void evaluator.lookForGone();
        },
      },
    }),
  );
  const feedback = stack.use(new Feedback({ ...shared, features }));
  const judge = stack.use(new Judge({ ...shared, alerts: evaluator, feedback }));
  const reachability = stack.use(new Reachability(given.documents));
  const stopping = new AbortController();
  const owned = stack.move();
  return {
    name: "monitoring",
    bindings: [
      bindService(CaptureService, captureHandlers(shared)),
      bindService(MonitoringService, {
        ...monitorHandlers({ monitors, registry }),
        ...baselineHandlers({ ...shared, scratchDir }),
        ...reportHandlers(shared, stopping.signal),
        ...performanceHandlers(shared),
      }),
      bindService(AlertService, alertHandlers(shared, stopping.signal)),
    ],
    async start() {
      reachability.start();
      learner.start();
      windows.start();
      judge.start();
      evaluator.start();
      deliverer.start();
      feedback.start();
    },
    ready: () => reachability.isReachable,
    async drain() {
      stopping.abort();
      await stores.parts.flush();
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await owned.disposeAsync();
    },
  };
}

async function openStores(
  { config, documents, blobs, clock }: CreateMonitoringDeps,
  events: MonitoringEvents,
  stack: AsyncDisposableStack,
) {
  const base = { config, documents, blobs, clock, events };
  const monitors = stack.use(await MonitorStore.open(documents, clock));
  const parts = stack.use(await PartStore.open(base));
  const baselines = stack.use(await BaselineStore.open(base));
  const learner = stack.use(new BaselineLearner({ ...base, parts, baselines, monitors }));
  const windows = stack.use(
    await WindowStore.open({ ...base, parts, baselines, learner, monitors }),
  );
  const predictions = await PredictionStore.open({ ...base, monitors, baselines });
  const alerts = await AlertStore.open(base);
  return { documents, monitors, parts, baselines, learner, windows, predictions, alerts };
}
