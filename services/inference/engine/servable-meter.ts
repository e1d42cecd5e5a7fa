// What is measured of loaded versions: durations, batches, drops. Names follow OpenTelemetry's
// conventions. Attribute objects are made once, what stands at a moment is read at collection, so
// that a request costs two histogram records (about 0.5 us each) and a batch two more.

import {
  type Attributes,
  type BatchObservableCallback,
  type Counter,
  type Histogram,
  type Meter,
  metrics,
} from "@opentelemetry/api";
import { ROWS_BOUNDARIES } from "../../common/telemetry/buckets.ts";

/** Why a request never reached the model. */
export type DropReason = "overloaded" | "expired" | "cancelled" | "stopped" | "unreceipted";

/** What a servable holds at this moment. */
export interface ServableLoad {
  /** Requests waiting. */
  readonly queued: number;
  /** Requests given to an instance. */
  readonly running: number;
}

interface Instruments {
  readonly requestDuration: Histogram;
  readonly queueDuration: Histogram;
  readonly runDuration: Histogram;
  readonly batchRows: Histogram;
  readonly drops: Counter;
  readonly instancesLost: Counter;
  readonly shadowFailures: Counter;
}

/** The instruments of one engine; disposing it stops the observations. */
export interface InferenceMeter extends Disposable {
  servable(attributes: Attributes, load: () => ServableLoad): ServableMeter;
}

/** Call it after startTelemetry: instruments made before record nothing, for good. */
export function createInferenceMeter(
  meter: Meter = metrics.getMeter("plinth.inference"),
): InferenceMeter {
  const instruments = createInstruments(meter);
  const servables = new Set<ServableMeter>();
  const depth = meter.createObservableUpDownCounter("plinth.inference.queue.depth", {
    description: "Requests waiting for an instance.",
    unit: "{request}",
  });
  const running = meter.createObservableUpDownCounter("plinth.inference.requests.in_flight", {
    description: "Requests given to an instance.",
    unit: "{request}",
  });
  const observe: BatchObservableCallback = (result) => {
    for (const servable of servables) {
      const load = servable.load();
      result.observe(depth, load.queued, servable.attributes);
      result.observe(running, load.running, servable.attributes);
    }
  };
  meter.addBatchObservableCallback(observe, [depth, running]);
  return {
    servable(attributes, load) {
      const servable = new ServableMeter(instruments, attributes, load, () => {
        servables.delete(servable);
      });
      servables.add(servable);
      return servable;
    },
    [Symbol.dispose]: () => meter.removeBatchObservableCallback(observe, [depth, running]),
  };
}

/** Measures one servable until it is disposed. */
export class ServableMeter implements Disposable {
  readonly attributes: Attributes;
  readonly load: () => ServableLoad;
  readonly #instruments: Instruments;
  readonly #onDispose: () => void;
  readonly #byError = new Map<string, Attributes>();
  readonly #dropped: Record<DropReason, number> = {
    overloaded: 0,
    expired: 0,
    cancelled: 0,
    stopped: 0,
    unreceipted: 0,
  };

  constructor(
    instruments: Instruments,
    attributes: Attributes,
    load: () => ServableLoad,
    onDispose: () => void,
  ) {
    this.#instruments = instruments;
    this.attributes = attributes;
    this.load = load;
    this.#onDispose = onDispose;
  }

  batchRan(rows: number, inferMs: number): void {
    this.#instruments.batchRows.record(rows, this.attributes);
    this.#instruments.runDuration.record(inferMs / 1000, this.attributes);
  }

  requestSucceeded(totalMs: number, queueMs: number): void {
    this.#instruments.requestDuration.record(totalMs / 1000, this.attributes);
    this.#instruments.queueDuration.record(queueMs / 1000, this.attributes);
  }

  /** @param errorType the reason in lower case: "model_run_failed". */
  requestFailed(errorType: string, totalMs: number): void {
    let attributes = this.#byError.get(errorType);
    if (attributes === undefined) {
      attributes = { ...this.attributes, "error.type": errorType };
      this.#byError.set(errorType, attributes);
    }
    this.#instruments.requestDuration.record(totalMs / 1000, attributes);
  }

  requestDropped(reason: DropReason): void {
    this.#dropped[reason] += 1;
    this.#instruments.drops.add(1, { ...this.attributes, "plinth.drop.reason": reason });
  }

  instanceLost(): void {
    this.#instruments.instancesLost.add(1, this.attributes);
  }

  shadowFailed(): void {
    this.#instruments.shadowFailures.add(1, this.attributes);
  }

  /** Requests dropped for that reason so far. */
  dropped(reason: DropReason): number {
    return this.#dropped[reason];
  }

  [Symbol.dispose](): void {
    this.#onDispose();
  }
}

function createInstruments(meter: Meter): Instruments {
  const name = (rest: string): string => `plinth.inference.${rest}`;
  return {
    requestDuration: meter.createHistogram(name("request.duration"), {
      description: "Time from the queue to the answer.",
      unit: "s",
    }),
    queueDuration: meter.createHistogram(name("queue.duration"), {
      description: "Time of answered requests outside the model.",
      unit: "s",
    }),
    runDuration: meter.createHistogram(name("run.duration"), {
      description: "Time of one run of the model.",
      unit: "s",
    }),
    batchRows: meter.createHistogram(name("batch.rows"), {
      description: "Rows of one run of the model.",
      unit: "{row}",
      advice: { explicitBucketBoundaries: [...ROWS_BOUNDARIES] },
    }),
    drops: meter.createCounter(name("requests.dropped"), {
      description: "Requests that never reached the model, by reason.",
      unit: "{request}",
    }),
    instancesLost: meter.createCounter(name("instances.lost"), {
      description: "Instances that crashed or hung.",
      unit: "{instance}",
    }),
    shadowFailures: meter.createCounter(name("shadow.failures"), {
      description: "Copies sent to shadows that were not answered.",
      unit: "{request}",
    }),
  };
}
