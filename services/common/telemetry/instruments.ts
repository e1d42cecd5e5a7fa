// Counters, gauges and histograms for hot paths. An instrument of the OpenTelemetry SDK sorts and
// serialises its attributes at every record (about 0.5 us, and once more for each reader); here a
// series is bound to its attributes once and a record is a few additions. They are collected and
// exported by the SDK like all others. A bound series may be made at any time, also before
// telemetry starts, and can be released, which the SDK's cannot: a model that was unloaded leaves
// nothing behind. For what is recorded rarely, or read at collection, use the meters of
// @opentelemetry/api.

import assert from "node:assert";
import type { Attributes } from "@opentelemetry/api";

/** Series of one instrument; further attributes share one series marked as the overflow. */
const SERIES_MAX = 2000;

const OVERFLOW: Attributes = { "otel.metric.overflow": true };

export interface InstrumentSpec {
  /** "plinth.inference.queue.wait" */
  readonly name: string;
  /** One sentence. */
  readonly description: string;
  /** "s", "By", "{row}" */
  readonly unit: string;
}

export interface HistogramSpec extends InstrumentSpec {
  /** Inclusive upper bounds in ascending order; a last bucket without a bound is implied. */
  readonly boundaries: readonly number[];
}

/** An instrument, by the attributes of its series. */
export interface Instrument<S> {
  /**
   * The series with these attributes, made when there is none. Keep it; binding is the slow part.
   */
  bind(attributes: Attributes): S;
  /**
   * Forgets every series that has these attributes, alone or among others; what is still recorded
   * on them goes nowhere.
   */
  release(attributes: Attributes): void;
}

export interface CounterSeries {
  /** Adds a number that is not negative. */
  add(amount: number): void;
}

export interface GaugeSeries {
  set(value: number): void;
  /** Changes the value by a number that may be negative. */
  add(amount: number): void;
}

export interface HistogramSeries {
  record(value: number): void;
}

/** The instrument with this name in the process, made by the first who asks. */
export function counter(spec: InstrumentSpec): Instrument<CounterSeries> {
  return family(spec, "counter", () => new Sum());
}

/** As `counter`, for a value that goes up and down. */
export function gauge(spec: InstrumentSpec): Instrument<GaugeSeries> {
  return family(spec, "gauge", () => new Sum());
}

/** As `counter`, for a distribution. */
export function histogram(spec: HistogramSpec): Instrument<HistogramSeries> {
  return family(spec, "histogram", () => new Distribution(spec.boundaries));
}

/** What a collection finds in one series. */
export interface SeriesSnapshot<V> {
  readonly attributes: Attributes;
  /** Milliseconds since the epoch when counting began. */
  readonly startMs: number;
  readonly value: V;
}

export interface DistributionValue {
  readonly boundaries: readonly number[];
  /** One more than there are boundaries. */
  readonly counts: readonly number[];
  readonly count: number;
  readonly sum: number;
  /** Absent in an empty distribution. */
  readonly min?: number;
  readonly max?: number;
}

export type InstrumentSnapshot =
  | {
      readonly kind: "counter" | "gauge";
      readonly spec: InstrumentSpec;
      readonly series: readonly SeriesSnapshot<number>[];
    }
  | {
      readonly kind: "histogram";
      readonly spec: InstrumentSpec;
      readonly series: readonly SeriesSnapshot<DistributionValue>[];
    };

/** Every instrument that has a series, in the order they were made. */
export function collectInstruments(): readonly InstrumentSnapshot[] {
  return [...families.values()]
    .filter((one) => one.series.size > 0)
    .map((one) => {
      const series = Array.from(one.series.values(), ({ attributes, startMs, cell }) => ({
        attributes,
        startMs,
        value: cell.read(),
      }));
      return { kind: one.kind, spec: one.spec, series } as InstrumentSnapshot;
    });
}

interface Cell {
  read(): number | DistributionValue;
}

interface Family {
  readonly kind: InstrumentSnapshot["kind"];
  readonly spec: InstrumentSpec;
  readonly series: Map<string, { attributes: Attributes; startMs: number; cell: Cell }>;
  readonly instrument: Instrument<unknown>;
}

/** One table for the process, as the process has one set of metrics. */
const families = new Map<string, Family>();

function family<S extends Cell>(
  spec: InstrumentSpec,
  kind: InstrumentSnapshot["kind"],
  make: () => S,
): Instrument<S> {
  const existing = families.get(spec.name);
  if (existing !== undefined) {
    assert(existing.kind === kind, `${spec.name} is already a ${existing.kind}`);
    return existing.instrument as Instrument<S>;
  }
  const series: Family["series"] = new Map();
  const instrument: Instrument<S> = {
    bind(attributes) {
      const own = keyOf(attributes);
      const full = !series.has(own) && series.size >= SERIES_MAX;
      const key = full ? keyOf(OVERFLOW) : own;
      let bound = series.get(key);
      if (bound === undefined) {
        const kept = full ? OVERFLOW : { ...attributes };
        bound = { attributes: kept, startMs: Date.now(), cell: make() };
        series.set(key, bound);
      }
      return bound.cell as S;
    },
    release(attributes) {
      const given = Object.entries(attributes);
      for (const [key, { attributes: held }] of series) {
        if (given.every(([name, value]) => held[name] === value)) {
          series.delete(key);
        }
      }
    },
  };
  families.set(spec.name, { kind, spec, series, instrument });
  return instrument;
}

function keyOf(attributes: Attributes): string {
  return JSON.stringify(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}

class Sum implements CounterSeries, GaugeSeries, Cell {
  #value = 0;

  add(amount: number): void {
    this.#value += amount;
  }

  set(value: number): void {
    this.#value = value;
  }

  read(): number {
    return this.#value;
  }
}

class Distribution implements HistogramSeries, Cell {
  readonly #boundaries: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = Number.NEGATIVE_INFINITY;

  constructor(boundaries: readonly number[]) {
    assert(
      boundaries.every((bound, index) => index === 0 || bound > boundaries[index - 1]!),
      "boundaries must ascend",
    );
    this.#boundaries = boundaries;
    this.#counts = new Float64Array(boundaries.length + 1);
  }

  record(value: number): void {
    const boundaries = this.#boundaries;
    let bucket = 0;
    // Some twenty boundaries at most, and the first ones are the usual ones: a scan beats a search.
    while (bucket < boundaries.length && value > boundaries[bucket]!) {
      bucket += 1;
    }
    this.#counts[bucket]! += 1;
    this.#sum += value;
    if (value < this.#min) {
      this.#min = value;
    }
    if (value > this.#max) {
      this.#max = value;
    }
  }

  read(): DistributionValue {
    const counts = [...this.#counts];
    const count = counts.reduce((total, one) => total + one, 0);
    const extremes = count === 0 ? {} : { min: this.#min, max: this.#max };
    return { boundaries: this.#boundaries, counts, count, sum: this.#sum, ...extremes };
  }
}
