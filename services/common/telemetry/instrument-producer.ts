// Shows the instruments of instruments.ts to the SDK's metric readers as data of its own.

import { type Attributes, type HrTime, ValueType } from "@opentelemetry/api";
import { millisToHrTime } from "@opentelemetry/core";
import { emptyResource } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from "@opentelemetry/sdk-metrics";
import { collectInstruments, type InstrumentSnapshot, type SeriesSnapshot } from "./instruments.ts";

/** Values are cumulative, whatever temporality the exporter prefers. */
export const instrumentProducer: MetricProducer = {
  async collect() {
    const endTime = millisToHrTime(Date.now());
    const metrics = collectInstruments().map((instrument) => toMetricData(instrument, endTime));
    const scopeMetrics = [{ scope: { name: "plinth" }, metrics }];
    // The reader puts the process's resource in place of this one.
    return { resourceMetrics: { resource: emptyResource(), scopeMetrics }, errors: [] };
  },
};

function toMetricData(instrument: InstrumentSnapshot, endTime: HrTime): MetricData {
  const { name, description, unit } = instrument.spec;
  const common = {
    descriptor: { name, description, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  switch (instrument.kind) {
    case "counter": {
      const dataPoints = instrument.series.map((one) => point(one, one.value, endTime));
      return { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints };
    }
    case "gauge": {
      const dataPoints = instrument.series.map((one) => point(one, one.value, endTime));
      return { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
    }
    case "histogram": {
      const dataPoints = instrument.series.map((one) => {
        const { boundaries, counts, ...totals } = one.value;
        const buckets = { boundaries: [...boundaries], counts: [...counts] };
        return point(one, { buckets, ...totals }, endTime);
      });
      return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints };
    }
  }
}

function point<V>(
  series: SeriesSnapshot<unknown> & { readonly attributes: Attributes },
  value: V,
  endTime: HrTime,
): DataPoint<V> {
  const { attributes, startMs } = series;
  return { startTime: millisToHrTime(startMs), endTime, attributes, value };
}
