import { describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../monitors/monitor-settings.ts";
import type { ColumnBatch } from "../sketch/column-batch.ts";
import { predictedColumns } from "./predicted-columns.ts";

const TASK = DEFAULT_SETTINGS.task;
const numeric = (...values: number[]): ColumnBatch => {
  return { kind: "numeric", values: Float64Array.from(values) };
};
const category = (...values: string[]): ColumnBatch => ({ kind: "category", values });

function read(
  columns: Readonly<Record<string, ColumnBatch>>,
  classLabels: readonly string[] = [],
  task: Partial<typeof TASK> = {},
) {
  const given = { columns: new Map(Object.entries(columns)), classLabels };
  const reader = predictedColumns(given, { ...TASK, ...task });
  switch (reader?.task) {
    case "classification": {
      const scores = reader.scored.map((label, place) => [label, reader.scoreAt(0, place)]);
      return { class: reader.classAt(0), scores: Object.fromEntries(scores) };
    }
    case "regression":
      return { value: reader.valueAt(0) };
    case undefined:
      return undefined;
  }
}

describe("predictedColumns of a version with class labels", () => {
  const scores = { "prediction.p.no": numeric(0.25), "prediction.p.yes": numeric(0.75) };

  it("takes the class it names, and the scores of all classes", () => {
    const both = { ...scores, "prediction.label": category("no") };
    expect(read(both, ["no", "yes"])).toEqual({ class: "no", scores: { no: 0.25, yes: 0.75 } });
    expect(read(scores, ["no", "yes"])).toEqual({ class: "yes", scores: { no: 0.25, yes: 0.75 } });
  });

  it("takes a number as the label of its text, else as a place", () => {
    expect(read({ "prediction.label": numeric(1) }, ["no", "yes"])?.class).toBe("yes");
    expect(read({ "prediction.label": numeric(1) }, ["1", "2"])?.class).toBe("1");
    expect(read({ "prediction.label": numeric(9) }, ["a", "b"])?.class).toBe("9");
  });

  it("takes one score as the positive class's of two", () => {
    const one = { "prediction.p": numeric(0.75) };
    expect(read(one, ["no", "yes"])).toEqual({ class: "yes", scores: { no: 0.25, yes: 0.75 } });
    expect(read(one, ["no", "yes"], { positiveClass: "no" })).toEqual({
      class: "no",
      scores: { no: 0.75, yes: 0.25 },
    });
    expect(read(one, ["a", "b", "c"])).toBeUndefined();
  });

  it("takes the output that is asked for", () => {
    const two = {
      ...scores,
      "prediction.q.no": numeric(1),
      "prediction.q.yes": numeric(0),
    };
    expect(read(two, ["no", "yes"], { output: "q" })?.scores).toEqual({ no: 1, yes: 0 });
    expect(read(two, ["no", "yes"])?.scores).toEqual({ no: 0.25, yes: 0.75 });
  });

  it("has no class where there is none", () => {
    const nulls = Uint8Array.of(1);
    const columns = { "prediction.label": { ...category("yes"), nulls } as ColumnBatch };
    expect(read(columns, ["no", "yes"])).toEqual({ class: undefined, scores: {} });
    const none = {
      "prediction.p.no": numeric(Number.NaN),
      "prediction.p.yes": numeric(Number.NaN),
    };
    expect(read(none, ["no", "yes"])?.class).toBeUndefined();
  });
});

describe("predictedColumns of a version without class labels", () => {
  it("finds out what it predicts from its first output", () => {
    expect(read({ age: category("x"), "prediction.y": numeric(3) })).toEqual({ value: 3 });
    expect(read({ "prediction.y": category("cat") })).toEqual({ class: "cat", scores: {} });
    const truth = { kind: "bool", values: Uint8Array.of(1) } as const;
    expect(read({ "prediction.y": truth })).toEqual({ class: "true", scores: {} });
    expect(read({ age: numeric(1) })).toBeUndefined();
    expect(read({ "prediction.y": { kind: "counted", rows: 1 } })).toBeUndefined();
  });

  it("does as it is told", () => {
    const both = { "prediction.a": numeric(1), "prediction.b": numeric(2) };
    expect(read(both, [], { output: "b" })).toEqual({ value: 2 });
    expect(read({ "prediction.v.0": numeric(4) }, [], { output: "v" })).toEqual({ value: 4 });
    const type = "classification" as const;
    expect(read(both, [], { type })).toEqual({ class: "1", scores: {} });
    expect(read({ "prediction.a": numeric(0.75) }, [], { type })).toEqual({
      class: "1",
      scores: { 0: 0.25, 1: 0.75 },
    });
    expect(read({ "prediction.a": numeric(1) }, [], { type, output: "a" })).toEqual({
      class: "1",
      scores: { 0: 0, 1: 1 },
    });
    expect(read({ "prediction.y": numeric(3) }, ["a", "b"], { type: "regression" })).toEqual({
      value: 3,
    });
  });
});
