// What is measured of a version goes with the last servable of it.

import { describe, expect, it } from "vitest";
import { collectInstruments } from "../../common/telemetry/instruments.ts";
import { createInferenceMeter } from "./servable-meter.ts";

/** Names of the instruments that have a series of a version, and those series. */
function seriesOf(version: string) {
  return collectInstruments().flatMap(({ spec, series }) => {
    const own = series.filter(({ attributes }) => attributes["plinth.model_version"] === version);
    return own.map(({ attributes, value }) => ({ name: spec.name, attributes, value }));
  });
}

describe("ServableMeter", () => {
  it("counts by version, and by error and reason", () => {
    using meter = createInferenceMeter();
    const attributes = { "plinth.deployment": "d", "plinth.model_version": "counts" };
    using servable = meter.servable(attributes, () => ({ queued: 0, running: 0 }));
    servable.batchRan(3, 20);
    servable.requestSucceeded(500, 30);
    servable.requestFailed("model_run_failed", 7);
    servable.requestDropped("expired");
    servable.requestDropped("expired");
    const name = (rest: string) => `plinth.inference.${rest}`;
    expect(seriesOf("counts")).toMatchObject([
      { name: name("request.duration"), attributes, value: { count: 1, sum: 0.5 } },
      {
        name: name("request.duration"),
        attributes: { ...attributes, "error.type": "model_run_failed" },
        value: { count: 1, sum: 0.007 },
      },
      { name: name("queue.duration"), attributes, value: { count: 1, sum: 0.03 } },
      { name: name("run.duration"), attributes, value: { count: 1, sum: 0.02 } },
      { name: name("batch.rows"), attributes, value: { count: 1, sum: 3, max: 3 } },
      {
        name: name("requests.dropped"),
        attributes: { ...attributes, "plinth.drop.reason": "expired" },
        value: 2,
      },
    ]);
    expect(servable.dropped("expired")).toBe(2);
  });

  it("keeps the series while a version is loaded anew, and leaves none when it is unloaded", () => {
    using meter = createInferenceMeter();
    const attributes = { "plinth.deployment": "d", "plinth.model_version": "anew" };
    const load = () => ({ queued: 0, running: 0 });
    const old = meter.servable(attributes, load);
    old.requestDropped("stopped");
    const next = meter.servable({ ...attributes }, load);
    old[Symbol.dispose]();
    next.batchRan(2, 1);
    next.requestFailed("model_run_failed", 1);
    const rows = seriesOf("anew").find(({ name }) => name === "plinth.inference.batch.rows");
    expect(rows).toMatchObject({ value: { count: 1, sum: 2 } });
    next[Symbol.dispose]();
    expect(seriesOf("anew")).toEqual([]);
  });
});
