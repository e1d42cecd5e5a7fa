// WatchMetrics: what every version looks like now, then each change. The stores are looked at every
// few seconds, once for all who watch; each version is read just before it is sent, so that a slow
// reader is shown what is so by then and nothing waits for it.

import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Baseline_State } from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import type {
  VersionMetricsSchema,
  WatchMetricsResponseSchema,
} from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import type { Clock } from "../../common/clock.ts";
import { ResourceExhausted } from "../../common/errors/domain-error.ts";
import type { Target } from "../target.ts";
import type { WindowInfo } from "../windows/window-record.ts";
import { newestOfEach } from "./choose-target.ts";
import type { ReportDeps } from "./report-sources.ts";
import type { SharedLooks } from "./shared-looks.ts";
import { timestampOf } from "./time-range.ts";
import { windowMessage } from "./window-message.ts";

/** Versions that one watch follows: those that were seen most recently. */
const VERSIONS_MAX = 500;
/** Open windows and closed ones that wait for their verdict; behind them is one that has it. */
const RECENT_MAX = 24;
/** Watches at once. */
const WATCHES_MAX = 200;
const RETRY_AFTER_MS = 5000;

type Metrics = MessageInitShape<typeof VersionMetricsSchema>;
type Event = MessageInitShape<typeof WatchMetricsResponseSchema>;

export interface WatchDeps extends ReportDeps {
  readonly clock: Clock;
}

/** Counts the watches that are open, and has what they look at. */
export interface OpenWatches {
  count: number;
  readonly looks: SharedLooks;
}

/**
 * Every version once, `synced`, then each version that has changed. Ends without error when the
 * signal aborts.
 * @throws ResourceExhausted where too many watch.
 */
export async function* watchMetrics(
  deps: WatchDeps,
  watch: {
    readonly workspace: string;
    /** Absent: all deployments. */
    readonly deployment: string | undefined;
    readonly signal: AbortSignal;
    readonly open: OpenWatches;
  },
): AsyncGenerator<Event> {
  const { signal, open } = watch;
  if (open.count >= WATCHES_MAX) {
    throw new ResourceExhausted(
      `${open.count} dashboards are watching already; at most ${WATCHES_MAX} may at once. ` +
        "Close some, or ask GetDriftReport from time to time.",
      { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS },
    );
  }
  open.count += 1;
  // What changed since a watch looked last is never older than that.
  const maxAgeMs = deps.config.watchIntervalMs / 2;
  const { workspace, deployment } = watch;
  try {
    let sent = new Map<string, string>();
    for (let round = 0; !signal.aborted; round++) {
      const targets = await open.looks.get(`of ${deployment ?? workspace}`, maxAgeMs, async () =>
        newestOfEach(await deps.windows.targets(workspace, deployment)),
      );
      const seen = new Map<string, string>();
      for (const target of targets.slice(0, VERSIONS_MAX)) {
        if (signal.aborted) {
          return;
        }
        const metrics = await open.looks.get(`at ${target._id}`, maxAgeMs, () =>
          metricsOf(deps, target),
        );
        const state = fingerprint(metrics);
        seen.set(target._id, state);
        if (sent.get(target._id) !== state) {
          yield { event: { case: "metrics", value: metrics } };
        }
      }
      sent = seen;
      if (round === 0) {
        yield { event: { case: "synced", value: {} } };
      }
      await sleep(deps.config.watchIntervalMs, undefined, { signal }).catch(() => {});
    }
  } finally {
    open.count -= 1;
    if (open.count === 0) {
      open.looks.clear();
    }
  }
}

async function metricsOf(deps: WatchDeps, target: Target): Promise<Metrics> {
  const listed = await deps.windows.list(target._id, {}, { limit: RECENT_MAX });
  const recent = listed.filter(({ level }) => level === "window");
  const newest = recent[0];
  const judged = recent.find((window) => window.closed && window.verdict !== undefined);
  const shown = [newest, judged].filter((window) => window !== undefined);
  const labels = await deps.predictions?.labelCounts(target._id, shown);
  const message = (window: WindowInfo | undefined) =>
    window && windowMessage(target, window, labels?.[shown.indexOf(window)] ?? 0);
  return {
    deployment: target.deployment,
    modelVersion: target.modelVersion,
    shadow: target.shadow,
    ...field("window", message(newest)),
    ...field("closedWindow", message(judged)),
    baselineState: await baselineState(deps, target),
    activeAlerts: (await deps.alerts?.active(target._id)) ?? 0,
    time: timestampOf(deps.clock.now() * 1000),
  };
}

async function baselineState(deps: WatchDeps, target: Target): Promise<Baseline_State> {
  const record = await deps.baselines.current(target.modelVersionUid);
  switch (record?.state) {
    case "ready":
      return Baseline_State.READY;
    case "learning":
    case "freezing":
      return Baseline_State.LEARNING;
    case "layout":
    case undefined:
      return Baseline_State.UNSPECIFIED;
  }
}

/** Everything but the time. */
function fingerprint({ time: _time, ...metrics }: Metrics): string {
  return JSON.stringify(metrics, (_key, value: unknown) =>
    typeof value === "bigint" ? `${value}` : value,
  );
}

function field<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: V };
}
