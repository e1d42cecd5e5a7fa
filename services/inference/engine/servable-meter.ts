// What is measured of loaded versions: durations, batches, drops. Names follow OpenTelemetry's
// conventions. Every series is bound once and what stands at a moment is read at collection, so that
// a request costs a few additions. A version that is unloaded takes its series along.

import { isDeepStrictEqual } from "node:util";
import {
  type Attributes,
  type BatchObservableCallback,
  type Meter,
  metrics,
} from "@opentelemetry/api";
import { LATENCY_BOUNDARIES_S, ROWS_BOUNDARIES } from "../../common/telemetry/buckets.ts";
import {
  counter,
  type HistogramSeries,
  histogram,
  type Instrument,
} from "../../common/telemetry/instruments.ts";

/** Why a request never reached the model. */
export type DropReason = "overloaded" | "expired" | "cancelled" | "stopped" | "unreceipted";

/** What a servable holds at this moment. */
export interface ServableLoad {
  /** Requests waiting. */
  readonly queued: number;
  /** Requests given to an instance. */
  readonly running: number;
}

const requestDuration = histogram({
  name: "plinth.inference.request.duration",
  description: "Time from the queue to the answer.",
  unit: "s",
  boundaries: LATENCY_BOUNDARIES_S,
});
const queueDuration = histogram({
  name: "plinth.inference.queue.duration",
  description: "Time of answered requests outside the model.",
  unit: "s",
  boundaries: LATENCY_BOUNDARIES_S,
});
const runDuration = histogram({
  name: "plinth.inference.run.duration",
  description: "Time of one run of the model.",
  unit: "s",
  boundaries: LATENCY_BOUNDARIES_S,
});
const batchRows = histogram({
  name: "plinth.inference.batch.rows",
  description: "Rows of one run of the model.",
  unit: "{row}",
  boundaries: ROWS_BOUNDARIES,
});
const drops = counter({
  name: "plinth.inference.requests.dropped",
  description: "Requests that never reached the model, by reason.",
  unit: "{request}",
});
const instancesLost = counter({
  name: "plinth.inference.instances.lost",
  description: "Instances that crashed or hung.",
  unit: "{instance}",
});
const shadowFailures = counter({
  name: "plinth.inference.shadow.failures",
  description: "Copies sent to shadows that were not answered.",
  unit: "{request}",
});
const INSTRUMENTS: readonly Pick<Instrument<unknown>, "release">[] = [
  requestDuration,
  queueDuration,
  runDuration,
  batchRows,
  drops,
  instancesLost,
  shadowFailures,
];

/** The instruments of one engine; disposing it stops the observations. */
export interface InferenceMeter extends Disposable {
  servable(attributes: Attributes, load: () => ServableLoad): ServableMeter;
}

/** Call it after startTelemetry: what a meter made before observes is seen by nobody. */
export function createInferenceMeter(
  meter: Meter = metrics.getMeter("plinth.inference"),
): InferenceMeter {
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
      const servable = new ServableMeter(attributes, load, () => {
        servables.delete(servable);
        // A version that is loaded anew is there twice for a while.
        const { attributes: gone } = servable;
        if (![...servables].some((other) => isDeepStrictEqual(other.attributes, gone))) {
          for (const instrument of INSTRUMENTS) {
            instrument.release(gone);
          }
        }
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
  readonly #requestDuration: HistogramSeries;
  readonly #queueDuration: HistogramSeries;
  readonly #runDuration: HistogramSeries;
  readonly #batchRows: HistogramSeries;
  readonly #onDispose: () => void;
  readonly #dropped: Record<DropReason, number> = {
    overloaded: 0,
    expired: 0,
    cancelled: 0,
    stopped: 0,
    unreceipted: 0,
  };

  constructor(attributes: Attributes, load: () => ServableLoad, onDispose: () => void) {
    this.attributes = attributes;
    this.load = load;
    this.#requestDuration = requestDuration.bind(attributes);
    this.#queueDuration = queueDuration.bind(attributes);
    this.#runDuration = runDuration.bind(attributes);
    this.#batchRows = batchRows.bind(attributes);
    this.#onDispose = onDispose;
  }

  batchRan(rows: number, inferMs: number): void {
    this.#batchRows.record(rows);
    this.#runDuration.record(inferMs / 1000);
  }

  requestSucceeded(totalMs: number, queueMs: number): void {
    this.#requestDuration.record(totalMs / 1000);
    this.#queueDuration.record(queueMs / 1000);
  }

  /** @param errorType the reason in lower case: "model_run_failed". */
  requestFailed(errorType: string, totalMs: number): void {
    const attributes = { ...this.attributes, "error.type": errorType };
    requestDuration.bind(attributes).record(totalMs / 1000);
  }

  requestDropped(reason: DropReason): void {
    this.#dropped[reason] += 1;
    drops.bind({ ...this.attributes, "plinth.drop.reason": reason }).add(1);
  }

  instanceLost(): void {
    instancesLost.bind(this.attributes).add(1);
  }

  shadowFailed(): void {
    shadowFailures.bind(this.attributes).add(1);
  }

  /** Requests dropped for that reason so far. */
  dropped(reason: DropReason): number {
    return this.#dropped[reason];
  }

  [Symbol.dispose](): void {
    this.#onDispose();
  }
}
