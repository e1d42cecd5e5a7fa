// Starts and stops OpenTelemetry: the one place that knows the SDK. Everything else records through
// @opentelemetry/api, which does nothing until this has run.
//
// - Traces are recorded only when an OTLP endpoint is configured; otherwise no provider is
//   registered and every span is a no-op.
// - Metrics are always recorded and rendered for Prometheus on demand (the gateway serves them);
//   with an endpoint they are pushed as well.
// - No context manager is registered: contexts are passed explicitly, so calls pay for no
//   AsyncLocalStorage. `context.active()` is therefore always the root.

import { randomUUID } from "node:crypto";
import { type DiagLogger, DiagLogLevel, diag, metrics, trace } from "@opentelemetry/api";
import { parseKeyPairsIntoRecord } from "@opentelemetry/core";
import { PrometheusSerializer } from "@opentelemetry/exporter-prometheus";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationType,
  InstrumentType,
  MeterProvider,
  MetricReader,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import {
  ATTR_SERVICE_INSTANCE_ID,
  ATTR_SERVICE_NAME,
  ATTR_SERVICE_VERSION,
} from "@opentelemetry/semantic-conventions";
import { LATENCY_BOUNDARIES_S } from "./buckets.ts";
import { openMetricExporter, openSpanExporter } from "./exporters.ts";
import { instrumentProducer } from "./instrument-producer.ts";
import type { Logger } from "./log.ts";
import { observeProcess } from "./process-metrics.ts";
import type { TelemetryConfig } from "./settings.ts";

/** What is still queued is given up when the collector does not take it within this time. */
const SHUTDOWN_MS = 3000;

export interface Telemetry extends AsyncDisposable {
  /** Every metric in the Prometheus text format 0.0.4 (`text/plain; version=0.0.4`). */
  metricsText(): Promise<string>;
}

export interface TelemetryOptions {
  /** "plinth-registry", "plinth-mesh" ... */
  readonly serviceName: string;
  readonly serviceVersion: string;
  readonly config: TelemetryConfig;
  /** Told of failed exports. Absent: they fail silently. */
  readonly log?: Logger;
}

let started: { readonly telemetry: Promise<Started>; users: number } | undefined;

/**
 * Starts telemetry for the process. A second start while one runs shares it, whatever its options,
 * and the last disposal flushes and ends it. Instruments got from a meter of @opentelemetry/api
 * before the first start record nothing, for good; those of instruments.ts may be made at any time.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry> {
  started ??= { telemetry: start(options), users: 0 };
  const shared = started;
  shared.users += 1;
  let ended = false;
  const leave = async (): Promise<void> => {
    if (!ended) {
      ended = true;
      shared.users -= 1;
      if (shared.users === 0) {
        started = undefined;
        await shared.telemetry.then(
          (telemetry) => telemetry.stop(),
          () => {},
        );
      }
    }
  };
  try {
    const telemetry = await shared.telemetry;
    return { metricsText: telemetry.metricsText, [Symbol.asyncDispose]: leave };
  } catch (error) {
    await leave();
    throw error;
  }
}

interface Started {
  readonly metricsText: () => Promise<string>;
  readonly stop: () => Promise<void>;
}

async function start(options: TelemetryOptions): Promise<Started> {
  const { config } = options;
  const [spanExporter, metricExporter] = await Promise.all([
    openSpanExporter(config),
    openMetricExporter(config),
  ]);
  if (options.log !== undefined) {
    diag.setLogger(diagTo(options.log), {
      logLevel: DiagLogLevel.WARN,
      suppressOverrideMessage: true,
    });
  }
  const resource = describeProcess(options);
  const pull = new PullReader();
  const push = metricExporter && {
    exporter: metricExporter,
    metricProducers: [instrumentProducer],
    exportIntervalMillis: config.metricIntervalMs,
    exportTimeoutMillis: Math.min(config.metricIntervalMs, 30_000),
  };
  const meters = new MeterProvider({
    resource,
    readers: push === undefined ? [pull] : [pull, new PeriodicExportingMetricReader(push)],
    views: [
      {
        instrumentType: InstrumentType.HISTOGRAM,
        instrumentUnit: "s",
        aggregation: {
          type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM,
          options: { boundaries: [...LATENCY_BOUNDARIES_S] },
        },
      },
    ],
  });
  metrics.setGlobalMeterProvider(meters);
  const tracers = spanExporter && openTracers(config, resource, spanExporter);
  if (tracers !== undefined) {
    trace.setGlobalTracerProvider(tracers);
  }
  const processMetrics = observeProcess(meters.getMeter("plinth.process"));
  return {
    metricsText: () => pull.text(),
    stop: async () => {
      trace.disable();
      metrics.disable();
      await flush([tracers?.shutdown(), meters.shutdown()], options.log);
      processMetrics[Symbol.dispose]();
      diag.disable();
    },
  };
}

function openTracers(
  config: TelemetryConfig,
  resource: Resource,
  exporter: ConstructorParameters<typeof BatchSpanProcessor>[0]["exporter"],
): TracerProvider {
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: config.spanQueueMax,
    maxExportBatchSize: Math.min(config.spanBatchMax, config.spanQueueMax),
    scheduledDelayMillis: config.spanDelayMs,
  });
  return new TracerProvider({ resource, sampler: samplerOf(config), spanProcessors: [processor] });
}

function samplerOf(config: TelemetryConfig): Sampler {
  const parentBased = config.sampler.startsWith("parentbased_");
  const kind = config.sampler.replace("parentbased_", "");
  const root =
    kind === "always_on"
      ? new AlwaysOnSampler()
      : kind === "always_off"
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(config.samplerRatio);
  return parentBased ? new ParentBasedSampler({ root }) : root;
}

function describeProcess(options: TelemetryOptions): Resource {
  const { config } = options;
  return resourceFromAttributes({
    [ATTR_SERVICE_INSTANCE_ID]: randomUUID(),
    [ATTR_SERVICE_VERSION]: options.serviceVersion,
    ...parseKeyPairsIntoRecord(config.resourceAttributes),
    [ATTR_SERVICE_NAME]: config.serviceName ?? options.serviceName,
  });
}

/**
 * Collects when asked and renders for Prometheus; PrometheusExporter would bring its own server.
 */
class PullReader extends MetricReader {
  readonly #serializer = new PrometheusSerializer(undefined, false, undefined, false, true);

  constructor() {
    super({ metricProducers: [instrumentProducer] });
  }

  async text(): Promise<string> {
    const { resourceMetrics, errors } = await this.collect();
    for (const error of errors) {
      diag.error("A metric could not be collected", error);
    }
    const text = this.#serializer.serialize(resourceMetrics);
    return text.endsWith("\n") ? text : `${text}\n`;
  }

  protected override async onForceFlush(): Promise<void> {}

  protected override async onShutdown(): Promise<void> {}
}

/** Waits for the last exports; never throws, and not for long. */
async function flush(
  exports: readonly (Promise<void> | undefined)[],
  log: Logger | undefined,
): Promise<void> {
  const late = Promise.withResolvers<string>();
  const timer = setTimeout(late.resolve, SHUTDOWN_MS, `no answer within ${SHUTDOWN_MS} ms`);
  const done = Promise.all(exports).then(
    () => undefined,
    (error: unknown) => error,
  );
  const error = await Promise.race([done, late.promise]);
  clearTimeout(timer);
  if (error !== undefined) {
    log?.warn("The last telemetry could not be sent to the OTLP endpoint; it is lost.", { error });
  }
}

function diagTo(log: Logger): DiagLogger {
  const at =
    (level: "debug" | "warn" | "error") =>
    (message: string, ...details: unknown[]): void =>
      log[level](`OpenTelemetry: ${message}`, details.length > 0 ? { details } : undefined);
  return {
    error: at("error"),
    warn: at("warn"),
    info: at("debug"),
    debug: at("debug"),
    verbose: at("debug"),
  };
}
