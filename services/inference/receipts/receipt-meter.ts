// What is measured of receipts.

import { type Meter, metrics } from "@opentelemetry/api";

/** The instruments of one server; disposing it stops the observations. */
export interface ReceiptMeter extends Disposable {
  logged(receipts: number): void;
  lost(receipts: number): void;
  failed(errorType: string): void;
}

/** @param waitingBytes what all that waits takes at the moment */
export function createReceiptMeter(
  waitingBytes: () => number,
  meter: Meter = metrics.getMeter("plinth.inference"),
): ReceiptMeter {
  const name = (rest: string): string => `plinth.inference.receipts.${rest}`;
  const logged = meter.createCounter(name("logged"), {
    description: "Receipts that their log has acknowledged.",
    unit: "{receipt}",
  });
  const lost = meter.createCounter(name("lost"), {
    description: "Receipts of answered inferences that were lost.",
    unit: "{receipt}",
  });
  const failures = meter.createCounter(name("failures"), {
    description: "Streams of receipts that broke before all of them were acknowledged.",
    unit: "{stream}",
  });
  const waiting = meter.createObservableUpDownCounter(name("waiting_bytes"), {
    description: "Memory that receipts take until they are logged.",
    unit: "By",
  });
  const observe = (result: { observe(value: number): void }): void =>
    result.observe(waitingBytes());
  waiting.addCallback(observe);
  return {
    logged: (receipts) => logged.add(receipts),
    lost: (receipts) => lost.add(receipts),
    failed: (errorType) => failures.add(1, { "error.type": errorType }),
    [Symbol.dispose]: () => waiting.removeCallback(observe),
  };
}
