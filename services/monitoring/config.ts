// The settings of the monitoring service.

import type { ConfigOf } from "../common/config.ts";
import { bytes, choice, duration, integer, uri } from "../common/setting.ts";

/** What an operator may set; every one has a default. */
export const monitoringSettings = {
  blobs: uri({
    env: "PLINTH_MONITORING_BLOBS",
    about:
      "Where the profiles of baselines live: file:<folder>. Default: the folder monitoring of the " +
      "data folder.",
    schemes: ["file"],
  }),
  columnsMax: integer({
    env: "PLINTH_MONITORING_COLUMNS_MAX",
    default: 1_024,
    min: 1,
    max: 2_000,
    about: "Columns of a version that are counted; a batch or a baseline with more is refused.",
  }),
  commitIntervalMs: duration({
    env: "PLINTH_MONITORING_COMMIT_INTERVAL",
    default: "200ms",
    min: "0s",
    max: "10s",
    about: "How long captured rows wait to be written together; their sender waits as long.",
  }),
  memoryBytesMax: bytes({
    env: "PLINTH_MONITORING_MEMORY_MAX",
    default: "64MiB",
    min: "8MiB",
    about: "Memory for sketches that are being counted or were read before, about.",
  }),
  clockSkewMs: duration({
    env: "PLINTH_MONITORING_CLOCK_SKEW_MAX",
    default: "5m",
    min: "0s",
    max: "24h",
    about: "Rows further in the future than this are not counted.",
  }),
  closeIntervalMs: duration({
    env: "PLINTH_MONITORING_CLOSE_INTERVAL",
    default: "2s",
    min: "50ms",
    max: "10m",
    about: "How often windows are looked for that can be closed and judged.",
  }),
  predictionsRateMax: integer({
    env: "PLINTH_MONITORING_PREDICTIONS_RATE_MAX",
    default: 2_000,
    min: 0,
    max: 1_000_000,
    about:
      "Inferences a second that are kept for labels; more are counted, but cannot be labelled.",
  }),
  baselineBytesMax: bytes({
    env: "PLINTH_MONITORING_BASELINE_MAX",
    default: "1GiB",
    min: "1KiB",
    about: "Largest file that a baseline may be made of.",
  }),
  watchIntervalMs: duration({
    env: "PLINTH_MONITORING_WATCH_INTERVAL",
    default: "2s",
    min: "50ms",
    max: "10m",
    about: "How often WatchMetrics looks for what has changed.",
  }),
  webhookTimeoutMs: duration({
    env: "PLINTH_MONITORING_WEBHOOK_TIMEOUT",
    default: "10s",
    min: "50ms",
    max: "5m",
    about: "How long a webhook may take to answer.",
  }),
  webhookTriesMax: integer({
    env: "PLINTH_MONITORING_WEBHOOK_TRIES_MAX",
    default: 8,
    min: 1,
    max: 100,
    about: "Attempts of one message to a webhook, with growing pauses; then it is given up.",
  }),
  webhookRetryMs: duration({
    env: "PLINTH_MONITORING_WEBHOOK_RETRY",
    default: "5s",
    min: "10ms",
    max: "1h",
    about: "Pause before the second attempt; each further one is twice as long, at most an hour.",
  }),
  webhookHosts: choice({
    env: "PLINTH_MONITORING_WEBHOOK_HOSTS",
    options: ["any", "public"],
    default: "any",
    about:
      "public: webhooks at loopback, private and link-local addresses are refused, for meshes whose " +
      "editors are not to reach the network around them.",
  }),
  alertTtlMs: duration({
    env: "PLINTH_MONITORING_ALERT_TTL",
    default: "180d",
    min: "1m",
    max: "3650d",
    about: "How long a resolved alert stays.",
  }),
};

export type MonitoringConfig = ConfigOf<typeof monitoringSettings>;
