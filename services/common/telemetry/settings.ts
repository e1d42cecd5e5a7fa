// The OpenTelemetry variables that are honoured. Names, defaults and meaning are those of the
// OpenTelemetry specification; further OTEL_EXPORTER_OTLP_ variables (headers, timeout,
// compression, certificates) are read by the exporters themselves.

import type { ConfigOf } from "../config.ts";
import { choice, decimal, integer, text, uri } from "../setting.ts";

const http = { schemes: ["http", "https"] } as const;
const protocols = ["http/protobuf", "grpc"] as const;
const exporters = ["otlp", "none"] as const;

export const telemetrySettings = {
  endpoint: uri({
    env: "OTEL_EXPORTER_OTLP_ENDPOINT",
    about: "Where traces and metrics are sent. Not set: nowhere; /metrics works either way.",
    ...http,
  }),
  tracesEndpoint: uri({
    env: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    about: "Where traces are sent, if elsewhere; the full URL.",
    ...http,
  }),
  metricsEndpoint: uri({
    env: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    about: "Where metrics are sent, if elsewhere; the full URL.",
    ...http,
  }),
  protocol: choice({
    env: "OTEL_EXPORTER_OTLP_PROTOCOL",
    options: protocols,
    default: "http/protobuf",
    about: "How they are sent.",
  }),
  tracesExporter: choice({
    env: "OTEL_TRACES_EXPORTER",
    options: exporters,
    default: "otlp",
    about: "none: traces are not sent though an endpoint is set.",
  }),
  metricsExporter: choice({
    env: "OTEL_METRICS_EXPORTER",
    options: exporters,
    default: "otlp",
    about: "none: metrics are not sent though an endpoint is set.",
  }),
  serviceName: text({ env: "OTEL_SERVICE_NAME", about: "Replaces the name of this service." }),
  resourceAttributes: text({
    env: "OTEL_RESOURCE_ATTRIBUTES",
    about: "More about this process: key1=value1,key2=value2.",
  }),
  sampler: choice({
    env: "OTEL_TRACES_SAMPLER",
    options: [
      "parentbased_always_on",
      "parentbased_always_off",
      "parentbased_traceidratio",
      "always_on",
      "always_off",
      "traceidratio",
    ],
    default: "parentbased_always_on",
    about: "Which traces are recorded.",
  }),
  samplerRatio: decimal({
    env: "OTEL_TRACES_SAMPLER_ARG",
    min: 0,
    max: 1,
    default: 1,
    about: "Share of traces recorded by the traceidratio samplers.",
  }),
  spanQueueMax: integer({
    env: "OTEL_BSP_MAX_QUEUE_SIZE",
    min: 1,
    max: 1_000_000,
    default: 8192,
    about: "Ended spans that wait to be sent; above it they are dropped.",
  }),
  spanBatchMax: integer({
    env: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    min: 1,
    max: 100_000,
    default: 512,
    about: "Spans sent at once.",
  }),
  spanDelayMs: integer({
    env: "OTEL_BSP_SCHEDULE_DELAY",
    min: 1,
    max: 600_000,
    default: 5000,
    about: "Milliseconds an ended span waits for others at most.",
  }),
  metricIntervalMs: integer({
    env: "OTEL_METRIC_EXPORT_INTERVAL",
    min: 100,
    max: 3_600_000,
    default: 60_000,
    about: "Milliseconds between two sendings of metrics.",
  }),
};

export type TelemetryConfig = ConfigOf<typeof telemetrySettings>;
