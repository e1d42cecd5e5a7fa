// For tests: answers of a monitoring service that look like a month of flights: some columns drift,
// one is too small, one is hostile.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  AlertAction_Kind as ActionKind,
  ActionRecord_State as ActionState,
  type AlertSchema,
  AlertSeverity,
  Alert_State as AlertState,
  Delivery_State as DeliveryState,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import {
  type DriftResultSchema,
  DriftMethod as Method,
  DriftResult_Outcome as Outcome,
  DriftSeverity as Severity,
} from "../../gen/plinth/monitoring/v1/drift_pb.js";
import {
  type ColumnKind,
  ColumnKind as Kind,
  ColumnRole as Role,
  TaskType,
} from "../../gen/plinth/monitoring/v1/monitor_pb.js";
import type {
  PerformanceReportSchema,
  PerformanceSliceSchema,
} from "../../gen/plinth/monitoring/v1/performance_pb.js";
import type {
  ColumnBinsSchema,
  ColumnReportSchema,
  DriftReportSchema,
  WindowSchema,
} from "../../gen/plinth/monitoring/v1/report_pb.js";
import type { AlertHandlers, MonitoringHandlers } from "./testing-monitor.ts";

/** The deployment and the version that the answers are of. */
export const DEPLOYMENT = "workspaces/default/deployments/flights";
/** Its version. */
export const VERSION = "workspaces/default/models/delay/versions/3";
/** A name that a page must not obey. */
export const HOSTILE = '<script>alert("x")</script>';

const FEBRUARY = Date.UTC(2001, 1, 1);
const DAY_MS = 86_400_000;

/** A day of February 2001. */
export function day(index: number, hour = 0): Timestamp {
  return timestampFromDate(new Date(FEBRUARY + index * DAY_MS + hour * 3_600_000));
}

function bell(count: number, at: number, width: number, total: number): number[] {
  return Array.from({ length: count }, (_, index) =>
    Math.round((Math.exp(-(((index - at) / width) ** 2)) * total) / (width * 1.7725)),
  );
}

type Drift = MessageInitShape<typeof DriftResultSchema>;
type ColumnInit = MessageInitShape<typeof ColumnReportSchema>;

function measured(method: Method, value: number, severity: Severity, more: Drift = {}): Drift {
  return {
    outcome: Outcome.MEASURED,
    method,
    value,
    threshold: 0.1,
    comparison: ">=",
    drifted: value >= 0.1,
    severity,
    baselineSize: 40_000n,
    currentSize: 12_480n,
    ...more,
  };
}

interface Shape {
  readonly name: string;
  readonly role?: Role;
  readonly kind?: ColumnKind;
  readonly drift: Drift;
  readonly bins: MessageInitShape<typeof ColumnBinsSchema>;
  readonly quality?: ColumnInit["quality"];
  readonly profile?: ColumnInit["profile"];
}

function column({ name, role = Role.FEATURE, kind = Kind.NUMERIC, ...more }: Shape): ColumnInit {
  return { name, role, kind, quality: {}, ...more };
}

function numeric(from: number, to: number, was: readonly number[], is: readonly number[]) {
  const edges = Array.from(
    { length: was.length + 1 },
    (_, index) => from + ((to - from) * index) / was.length,
  );
  return { edges, reference: [...was], current: [...is] };
}

const { WASSERSTEIN, JENSEN_SHANNON, KOLMOGOROV_SMIRNOV } = Method;

const COLUMNS: readonly ColumnInit[] = [
  column({
    name: "distance",
    drift: measured(WASSERSTEIN, 0.041, Severity.NONE),
    bins: numeric(0, 2600, bell(18, 5, 5, 40_000), bell(18, 5.2, 5, 12_480)),
  }),
  column({
    name: "hour",
    drift: measured(WASSERSTEIN, 0.148, Severity.MODERATE),
    bins: numeric(0, 24, bell(24, 13, 6, 40_000), bell(24, 15, 5, 12_480)),
    quality: { rangeViolationRate: 0.002 },
  }),
  column({
    name: "origin_mean_delay",
    drift: measured(WASSERSTEIN, 0.612, Severity.SIGNIFICANT),
    bins: numeric(-10, 60, bell(20, 5, 3, 40_000), bell(20, 9, 5, 12_480)),
    profile: {
      numeric: { min: -14, mean: 17.62, max: 71, quantiles: [{ q: 0.5, value: 16.4 }] },
    },
    quality: { missingRate: 0.124, referenceMissingRate: 0.006, nanRate: 0.0004 },
  }),
  column({
    name: "origin",
    kind: Kind.CATEGORICAL,
    drift: measured(JENSEN_SHANNON, 0.208, Severity.SIGNIFICANT),
    bins: {
      categories: ["ATL", "ORD", "DFW", "LAX", "PHX", "DEN", "DTW", "MSP", "other"],
      reference: [6200, 5900, 5600, 4300, 3900, 3100, 2800, 2500, 5700],
      current: [3100, 900, 2100, 1500, 1600, 700, 600, 500, 1480],
    },
    quality: { unseenRate: 0.013 },
  }),
  column({
    name: "is_weekend",
    kind: Kind.BOOLEAN,
    drift: measured(JENSEN_SHANNON, 0.012, Severity.NONE),
    bins: {
      categories: ["false", "true"],
      reference: [29_000, 11_000],
      current: [9000, 3480],
    },
  }),
  column({
    name: "snow_depth_at_the_airport_of_departure_in_centimetres",
    drift: {
      outcome: Outcome.TOO_FEW_SAMPLES,
      method: WASSERSTEIN,
      baselineSize: 40_000n,
      currentSize: 122n,
      sizeMin: 500n,
    },
    bins: numeric(0, 50, bell(12, 1, 2, 40_000), bell(12, 2, 2, 122)),
    quality: { missingRate: 0.99, referenceMissingRate: 0.02 },
  }),
  column({
    name: HOSTILE,
    kind: Kind.CATEGORICAL,
    drift: {
      outcome: Outcome.NOT_COMPARABLE,
      reason: "constant",
      baselineSize: 40_000n,
      currentSize: 12_480n,
    },
    bins: { categories: [HOSTILE], reference: [40_000], current: [12_480] },
  }),
  column({
    name: "prediction.label",
    role: Role.PREDICTION,
    kind: Kind.CATEGORICAL,
    drift: measured(JENSEN_SHANNON, 0.064, Severity.NONE),
    bins: { categories: ["on time", "late"], reference: [31_000, 9000], current: [8900, 3580] },
  }),
  column({
    name: "prediction.probabilities[1]",
    role: Role.PREDICTION,
    drift: measured(KOLMOGOROV_SMIRNOV, 3.1e-9, Severity.SIGNIFICANT, {
      threshold: 0.05,
      comparison: "<=",
      drifted: true,
      statistic: 0.087,
    }),
    bins: numeric(0, 1, bell(16, 3, 4, 40_000), bell(16, 5, 4.5, 12_480)),
  }),
];

/** A month of flights against what the model was trained on. */
export const DRIFT: MessageInitShape<typeof DriftReportSchema> = {
  deployment: DEPLOYMENT,
  modelVersion: VERSION,
  range: { startTime: day(0), endTime: day(28) },
  reference: `${VERSION}/baseline`,
  referenceRows: 40_000n,
  rows: 12_480n,
  windows: 28,
  otherLayoutWindows: 2,
  features: { columns: 7, measured: 5, drifted: 3, share: 0.6, threshold: 0.5, isDrifted: true },
  predictions: { columns: 2, measured: 2, drifted: 1, share: 0.5, threshold: 0.6 },
  columns: [...COLUMNS],
  freshness: [
    {
      feature: "origin_mean_delay",
      featureView: "airport_delays",
      rows: 12_480n,
      presentRate: 0.876,
      nullRate: 0.01,
      notFoundRate: 0.024,
      outsideMaxAgeRate: 0.09,
    },
  ],
};

/** A window a day, the newest open; newest first. */
export const WINDOWS: readonly MessageInitShape<typeof WindowSchema>[] = Array.from(
  { length: 29 },
  (_, index) => {
    const open = index === 28;
    const drifted = Math.min(4, Math.floor(index / 6));
    const rows = Math.round(446 + 60 * Math.sin(index * 0.9) + (index % 7 === 5 ? -120 : 0));
    return {
      deployment: DEPLOYMENT,
      modelVersion: VERSION,
      range: { startTime: day(index), endTime: day(index + 1) },
      closed: !open,
      rows: BigInt(open ? 97 : rows),
      inferences: BigInt(open ? 97 : rows),
      lateRows: index === 9 ? 14n : 0n,
      sizeBytes: 24_300n,
      layoutId: "7c1f",
      labels: BigInt(index < 21 ? rows : 0),
      meanQueueMs: 0.21,
      meanComputeMs: 1.32,
      ...(open
        ? {}
        : {
            features: {
              columns: 7,
              measured: 5,
              drifted,
              share: drifted / 5,
              threshold: 0.5,
              isDrifted: drifted / 5 >= 0.5,
            },
            predictions: {
              columns: 2,
              measured: 2,
              drifted: index > 20 ? 1 : 0,
              share: index > 20 ? 0.5 : 0,
              threshold: 0.6,
            },
          }),
    };
  },
).reverse();

type SliceInit = MessageInitShape<typeof PerformanceSliceSchema>;

function slice(index: number): SliceInit {
  const accuracy = 0.842 - 0.0032 * index + 0.008 * Math.sin(index * 1.7);
  const estimate = (value: number) => ({ value, lower: value - 0.021, upper: value + 0.021 });
  const isLabelled = index < 21;
  return {
    range: { startTime: day(index), endTime: day(index + 1) },
    predictions: 446n,
    labelled: isLabelled ? 446n : 0n,
    coverage: isLabelled ? 1 : 0,
    ...(isLabelled
      ? {
          classification: {
            accuracy,
            precision: accuracy - 0.11,
            recall: accuracy - 0.2,
            f1: accuracy - 0.16,
            rocAuc: accuracy + 0.03,
            logLoss: 1.2 - accuracy,
          },
        }
      : {}),
    estimated: {
      accuracy: estimate(0.845 - 0.0027 * index),
      rocAuc: estimate(0.87 - 0.002 * index),
    },
  };
}

const interval = (value: number) => ({ value, lower: value - 0.004, upper: value + 0.004 });

/** How good the delays were predicted; the last week has no labels yet. */
export const PERFORMANCE: MessageInitShape<typeof PerformanceReportSchema> = {
  deployment: DEPLOYMENT,
  modelVersion: VERSION,
  range: { startTime: day(0), endTime: day(28) },
  task: TaskType.CLASSIFICATION,
  classLabels: ["on time", "late"],
  positiveClass: "late",
  overall: {
    predictions: 12_480n,
    labelled: 9360n,
    coverage: 0.75,
    classification: {
      accuracy: 0.8104,
      precision: 0.702,
      recall: 0.6113,
      f1: 0.6535,
      rocAuc: 0.8391,
      logLoss: 0.4129,
      confusion: [6210n, 610n, 1165n, 1375n],
      calibrationError: 0.0231,
    },
    estimated: {
      accuracy: interval(0.8161),
      precision: interval(0.71),
      recall: interval(0.62),
      f1: interval(0.662),
      rocAuc: interval(0.845),
      accuracyOfLabelled: interval(0.8123),
      confirmed: true,
    },
  },
  windows: Array.from({ length: 28 }, (_, index) => slice(index)),
  segments: ["ATL", "ORD", "DFW", "other"].map((segment, index) => ({
    ...slice(index * 3),
    segmentColumn: "origin",
    segment,
    predictions: BigInt(3100 - index * 500),
  })),
};

const ALERT: MessageInitShape<typeof AlertSchema> = {
  name: "workspaces/default/alerts/7f3a",
  rule: "workspaces/default/alertRules/flights-drift",
  deployment: DEPLOYMENT,
  modelVersion: VERSION,
  severity: AlertSeverity.CRITICAL,
  state: AlertState.FIRING,
  summary: "feature_drift_share is 0.6 (> 0.5)",
  value: 0.6,
  bound: 0.5,
  windowEndTime: day(28),
  createTime: day(27),
  fireTime: day(28),
  updateTime: day(28),
  actions: [
    {
      kind: ActionKind.ROLLBACK_DEPLOYMENT,
      state: ActionState.DONE,
      detail: "revision 4 serves again, as revision 6",
      time: day(28),
    },
  ],
  deliveries: [
    {
      id: "msg_1",
      url: "https://hooks.example.com/plinth",
      event: "alert.firing",
      state: DeliveryState.PENDING,
      tries: 1,
      attempts: [{ time: day(28), status: 503, duration: { seconds: 0n, nanos: 120_000_000 } }],
      nextAttemptTime: day(28, 1),
    },
  ],
};

/** One that fires, one that is over. */
export const ALERTS: readonly MessageInitShape<typeof AlertSchema>[] = [
  ALERT,
  {
    ...ALERT,
    name: "workspaces/default/alerts/1b9e",
    rule: "workspaces/default/alertRules/flights-missing",
    state: AlertState.RESOLVED,
    severity: AlertSeverity.WARNING,
    column: "origin_mean_delay",
    summary: "missing_rate of origin_mean_delay is 0.031 (> 0.022)",
    value: 0.031,
    bound: 0.022,
    fireTime: day(12),
    acknowledgement: { actor: "maria", time: day(12, 2), comment: "the feed was late" },
    actions: [],
    deliveries: [],
  },
];

/** Handlers that give the answers above. */
export const flights: {
  readonly monitoring: MonitoringHandlers;
  readonly alerts: AlertHandlers;
} = {
  monitoring: {
    getDriftReport: async () => DRIFT,
    getPerformance: async () => PERFORMANCE,
    listWindows: async () => ({ windows: [...WINDOWS] }),
  },
  alerts: { listAlerts: async () => ({ alerts: [...ALERTS] }) },
};
