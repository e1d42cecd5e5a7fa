// The OTLP exporters, loaded only where an endpoint is configured: a mesh that exports nothing does
// not pay for their start.

import type { PushMetricExporter } from "@opentelemetry/sdk-metrics";
import type { SpanExporter } from "@opentelemetry/sdk-trace";
import type { TelemetryConfig } from "./settings.ts";

/** The exporter for spans, or undefined where they go nowhere. */
export async function openSpanExporter(config: TelemetryConfig): Promise<SpanExporter | undefined> {
  const url = signalUrl(config, config.tracesEndpoint, "v1/traces");
  if (url === undefined || config.tracesExporter === "none") {
    return undefined;
  }
  const { OTLPTraceExporter } =
    config.protocol === "grpc"
      ? await import("@opentelemetry/exporter-trace-otlp-grpc")
      : await import("@opentelemetry/exporter-trace-otlp-proto");
  return new OTLPTraceExporter({ url });
}

/** The exporter for metrics, or undefined where they are only served. */
export async function openMetricExporter(
  config: TelemetryConfig,
): Promise<PushMetricExporter | undefined> {
  const url = signalUrl(config, config.metricsEndpoint, "v1/metrics");
  if (url === undefined || config.metricsExporter === "none") {
    return undefined;
  }
  const { OTLPMetricExporter } =
    config.protocol === "grpc"
      ? await import("@opentelemetry/exporter-metrics-otlp-grpc")
      : await import("@opentelemetry/exporter-metrics-otlp-proto");
  return new OTLPMetricExporter({ url });
}

/** A signal's own endpoint is used as it is; over HTTP the common one gets the signal's path. */
function signalUrl(
  config: TelemetryConfig,
  own: string | undefined,
  path: string,
): string | undefined {
  if (own !== undefined || config.endpoint === undefined || config.protocol === "grpc") {
    return own ?? config.endpoint;
  }
  return `${config.endpoint.replace(/\/+$/, "")}/${path}`;
}
