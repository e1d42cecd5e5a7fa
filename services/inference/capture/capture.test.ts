import { describe, expect, it } from "vitest";
import type { CapturedBatch } from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { classifier, identity } from "../testing/graphs.ts";
import { fp32, int64 } from "../testing/test-models.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { DEPLOYMENT, target, until, useCapture } from "../testing/use-capture.ts";

const COLUMNS = ["radius", "texture", "mean area"];

/** A registry whose versions have names for everything. */
function namedRegistry(): TestRegistry {
  const registry = new TestRegistry();
  registry.columns = COLUMNS;
  registry.classLabels = ["benign", "malignant"];
  return registry;
}

const inferRequest = (id: string, ...values: number[]) => ({
  modelName: DEPLOYMENT,
  id,
  inputs: [{ name: "x", datatype: "FP32", shape: [BigInt(values.length / 3), 3n] }],
  rawInputContents: [fp32(...values)],
});

const text = (value: string) => ({ parameterChoice: { case: "stringParam" as const, value } });

/** The batch that has an inference of that id, and its place in it. */
function find(batches: readonly CapturedBatch[], id: string) {
  for (const batch of batches) {
    const place = batch.inferences?.ids.indexOf(id) ?? -1;
    if (place >= 0) {
      return { batch, place };
    }
  }
  throw new Error(`Nothing of ${id} was captured.`);
}

describe("capture", () => {
  it("tells everything of a unary inference", async () => {
    const { open, monitoring } = await useCapture({
      graphs: [classifier()],
      config: { targets: [target(1)] },
      registry: namedRegistry(),
    });
    const before = Date.now();
    await open.modelInfer({
      ...inferRequest("r1", 1, 2, 4, 3, 1, 8),
      parameters: { routing_key: text("customer-7") },
    });
    const after = Date.now();
    await until(() => monitoring.rows === 2);
    const [batch] = monitoring.taken;
    expect(batch).toMatchObject({
      sequence: 1n,
      deployment: DEPLOYMENT,
      deploymentUid: "uid-d",
      modelVersion: "workspaces/w/models/m/versions/1",
      modelVersionUid: "uid-m-1",
      shadow: false,
      classLabels: ["benign", "malignant"],
      featureService: "",
      rows: 2,
      droppedRows: 0n,
      featureStatuses: [],
      entityKeys: [],
    });
    expect(batch!.inferences).toMatchObject({
      ids: ["r1"],
      rows: [2],
      routingKeys: ["customer-7"],
      queueMs: [expect.any(Number)],
      computeMs: [expect.any(Number)],
    });
    expect(batch!.inferences!.computeMs[0]).toBeGreaterThan(0);
    const eventUs = Number(batch!.inferences!.eventTimesUs[0]);
    expect(eventUs).toBeGreaterThanOrEqual((before - 1) * 1000);
    expect(eventUs).toBeLessThanOrEqual((after + 1) * 1000);
    expect(batch!.inputs).toMatchObject([
      { name: "x", datatype: "FP32", rowShape: [3], columns: COLUMNS },
    ]);
    expect(Buffer.from(batch!.inputs[0]!.contents)).toEqual(Buffer.from(fp32(1, 2, 4, 3, 1, 8)));
    expect(batch!.outputs).toMatchObject([
      { name: "label", datatype: "INT64", rowShape: [], columns: [] },
      { name: "scores", datatype: "FP32", rowShape: [2], columns: [] },
    ]);
    expect(Buffer.from(batch!.outputs[0]!.contents)).toEqual(Buffer.from(int64(0, 0)));
    expect(Buffer.from(batch!.outputs[1]!.contents)).toEqual(
      Buffer.from(fp32(1.5, 1.5, 2.75, 1.75)),
    );
  });

  it("captures every message of a stream, rows by name, and times that the caller says", async () => {
    const { open, named, monitoring } = await useCapture({
      graphs: [classifier()],
      config: { targets: [target(1)] },
      registry: namedRegistry(),
    });
    async function* messages() {
      for (let i = 0; i < 20; i++) {
        yield {
          ...inferRequest(`s${i}`, i, i, i),
          parameters: { event_time: text("2001-01-31T09:30:00.1234567Z") },
        };
      }
    }
    for await (const answer of open.modelStreamInfer(messages())) {
      expect(answer.errorMessage).toBe("");
    }
    const row = { radius: 1, texture: 2, "mean area": 3 };
    const answer = await named.predict({
      deployment: DEPLOYMENT,
      rows: [row, row, row],
      eventTime: { seconds: -86_400n, nanos: 1500 },
      outputs: ["label"],
    });
    await until(() => monitoring.rows === 23);
    expect(answer.id).not.toBe("");
    const ids = Array.from({ length: 20 }, (_, i) => `s${i}`);
    expect(monitoring.ids).toEqual([...ids, answer.id].sort());
    for (let i = 0; i < 20; i++) {
      const { batch, place } = find(monitoring.taken, `s${i}`);
      const contents = Buffer.from(batch.inputs[0]!.contents).subarray(place * 12, place * 12 + 12);
      expect(contents).toEqual(Buffer.from(fp32(i, i, i)));
      expect(batch.inferences!.eventTimesUs[place]).toBe(980_933_400_123_456n);
    }
    const { batch, place } = find(monitoring.taken, answer.id);
    expect(batch.inferences!.eventTimesUs[place]).toBe(-86_399_999_999n);
    expect(batch.inferences!.rows[place]).toBe(3);
    expect(batch.inferences!.routingKeys).toEqual([]);
  });

  it("refuses a time that is none, naming it", async () => {
    const { open, named } = await useCapture({
      graphs: [classifier()],
      config: { targets: [target(1)] },
    });
    const infer = (time: object) =>
      open.modelInfer({ ...inferRequest("r", 1, 2, 3), parameters: { event_time: time as never } });
    await expect(infer(text("yesterday"))).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringContaining('is "yesterday"; expected a time from 1900 to 2199'),
      violations: [{ field: 'parameters["event_time"]' }],
    });
    await expect(infer(text("2300-01-01T00:00:00Z"))).rejects.toMatchObject({
      kind: "InvalidArgument",
    });
    const number = { parameterChoice: { case: "int64Param", value: 1n } };
    await expect(infer(number)).rejects.toMatchObject({
      message: expect.stringContaining("must be string_param"),
    });
    const predict = (eventTime: { seconds: bigint; nanos?: number }) =>
      named.predict({ deployment: DEPLOYMENT, rows: [{ x: [1, 2, 3] }], eventTime });
    await expect(predict({ seconds: 10_000_000_000n })).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [{ field: "event_time" }],
    });
    await expect(predict({ seconds: 0n, nanos: -1 })).rejects.toMatchObject({
      violations: [{ field: "event_time" }],
    });
    await expect(infer(text("1900-01-01T00:00:00Z"))).resolves.toMatchObject({ id: "r" });
  });

  it("chooses by id, the same for a shadow's copy, and by one draw where there is none", async () => {
    const { open, engine, capture, monitoring } = await useCapture({
      graphs: [classifier(), classifier(100)],
      config: {
        targets: [target(1)],
        shadows: [{ modelVersion: target(2).modelVersion, sampleRate: 1 }],
        capture: { sampleRate: 0.5 },
      },
    });
    for (let i = 0; i < 200; i++) {
      await open.modelInfer(inferRequest(`id-${i}`, i, 0, 0));
      await open.modelInfer(inferRequest("", 1000 + i, 0, 0));
    }
    await engine.drain();
    await capture.drain();
    const valuesOf = (shadow: boolean): number[] =>
      monitoring.taken
        .filter((batch) => batch.shadow === shadow)
        .flatMap((batch) => {
          const bytes = Buffer.from(batch.inputs[0]!.contents);
          return Array.from({ length: batch.rows }, (_, row) => bytes.readFloatLE(row * 12));
        })
        .sort((a, b) => a - b);
    const live = valuesOf(false);
    expect(valuesOf(true)).toEqual(live);
    const withId = live.filter((value) => value < 1000).length;
    // 200 draws with p = 0.5: five standard deviations are 35.
    expect(Math.abs(withId - 100)).toBeLessThan(36);
    expect(Math.abs(live.length - withId - 100)).toBeLessThan(36);
    const idsOf = (shadow: boolean): string[] =>
      monitoring.taken
        .flatMap((batch) => (batch.shadow === shadow ? batch.inferences!.ids : []))
        .filter((id) => id !== "")
        .sort();
    expect(idsOf(true)).toEqual(idsOf(false));
    expect(idsOf(true).length).toBe(withId);
    const version = monitoring.taken.find(({ shadow }) => shadow)!;
    expect(version.modelVersion).toBe("workspaces/w/models/m/versions/2");
    expect(version.modelVersionUid).toBe("uid-m-2");
  });

  it("captures nothing at a rate of 0, and what is answered after it is raised", async () => {
    const { open, monitoring, registry, engine, capture } = await useCapture({
      graphs: [classifier()],
      config: { targets: [target(1)], capture: { sampleRate: 0 } },
    });
    await open.modelInfer(inferRequest("before", 1, 2, 3));
    expect(capture.waitingBytes).toBe(0);
    registry.deploy("d", { targets: [target(1)], capture: { sampleRate: 1 } });
    await until(() => engine.deployment("w", "d").revision === 2n);
    await open.modelInfer(inferRequest("after", 1, 2, 3));
    await until(() => monitoring.rows > 0);
    expect(monitoring.ids).toEqual(["after"]);
  });

  it("keeps other outputs and other shapes of rows apart, and texts as they travel", async () => {
    const { named, monitoring } = await useCapture({
      graphs: [identity("BYTES", ["N", "K"])],
      config: { targets: [target(1)] },
    });
    const words = (id: string, shape: [number, number], ...values: string[]) =>
      named.predict({
        deployment: DEPLOYMENT,
        id,
        rows: Array.from({ length: shape[0] }, (_, i) => ({
          x: values.slice(i * shape[1], (i + 1) * shape[1]),
        })),
      });
    await Promise.all([
      words("narrow", [2, 1], "é", "b"),
      words("wide", [1, 3], "a", "", "long ".repeat(60)),
      words("narrow again", [1, 1], "c"),
    ]);
    await until(() => monitoring.rows === 4);
    const narrow = monitoring.taken.filter(({ inputs }) => inputs[0]!.rowShape[0] === 1);
    expect(narrow.flatMap((one) => one.inferences!.ids).sort()).toEqual(["narrow", "narrow again"]);
    const { batch } = find(monitoring.taken, "wide");
    expect(batch.rows).toBe(1);
    expect(batch.inputs[0]).toMatchObject({ datatype: "BYTES", rowShape: [3] });
    const long = "long ".repeat(60);
    const expected = Buffer.concat([
      Buffer.from([1, 0, 0, 0]),
      Buffer.from("a"),
      Buffer.from([0, 0, 0, 0, 44, 1, 0, 0]),
      Buffer.from(long),
    ]);
    expect(Buffer.from(batch.inputs[0]!.contents)).toEqual(expected);
    expect(Buffer.from(batch.outputs[0]!.contents)).toEqual(expected);
  });

  it("captures no failure", async () => {
    const { open, monitoring } = await useCapture({
      graphs: [classifier()],
      config: { targets: [target(1)] },
    });
    await expect(
      open.modelInfer({ ...inferRequest("bad", 1, 2, 3), rawInputContents: [fp32(1)] }),
    ).rejects.toThrow();
    await open.modelInfer(inferRequest("good", 1, 2, 3));
    await until(() => monitoring.rows > 0);
    expect(monitoring.ids).toEqual(["good"]);
  });
});
