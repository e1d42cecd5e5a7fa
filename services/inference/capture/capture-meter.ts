// What is measured of capturing. Rows are added up first and told about once a second, so that what
// is dropped costs nothing on the path of an answer.

import { type Attributes, type Meter, metrics } from "@opentelemetry/api";

/** The instruments of one capture; disposing it stops the observations. */
export interface CaptureMeter extends Disposable {
  sent(rows: number): void;
  refused(rows: number): void;
  dropped(rows: number, attributes: Attributes): void;
  failed(errorType: string): void;
}

/** @param waitingBytes what all that waits takes at the moment */
export function createCaptureMeter(
  waitingBytes: () => number,
  meter: Meter = metrics.getMeter("plinth.inference"),
): CaptureMeter {
  const name = (rest: string): string => `plinth.inference.capture.${rest}`;
  const sent = meter.createCounter(name("sent_rows"), {
    description: "Captured rows that monitoring has taken.",
    unit: "{row}",
  });
  const refused = meter.createCounter(name("refused_rows"), {
    description: "Captured rows that monitoring refused for good.",
    unit: "{row}",
  });
  const dropped = meter.createCounter(name("dropped_rows"), {
    description: "Rows that were to be captured and were dropped before sending.",
    unit: "{row}",
  });
  const failures = meter.createCounter(name("failures"), {
    description: "Streams of captured rows that monitoring did not acknowledge.",
    unit: "{stream}",
  });
  const waiting = meter.createObservableUpDownCounter(name("waiting_bytes"), {
    description: "Memory that captured rows take until they are sent.",
    unit: "By",
  });
  const observe = (result: { observe(value: number): void }): void =>
    result.observe(waitingBytes());
  waiting.addCallback(observe);
  return {
    sent: (rows) => sent.add(rows),
    refused: (rows) => refused.add(rows),
    dropped: (rows, attributes) => dropped.add(rows, attributes),
    failed: (errorType) => failures.add(1, { "error.type": errorType }),
    [Symbol.dispose]: () => waiting.removeCallback(observe),
  };
}
