import { describe, expect, it } from "vitest";
import { classifier, identity } from "../testing/graphs.ts";
import { fp32 } from "../testing/test-models.ts";
import { TestMonitoring } from "../testing/test-monitoring.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { DEPLOYMENT, target, until, useCapture } from "../testing/use-capture.ts";

const SECRET = 1234.5678;

async function useClassifier(maskedFields: string[], monitoring?: TestMonitoring) {
  const registry = new TestRegistry();
  registry.columns = ["radius", "texture", "mean area"];
  registry.classLabels = ["benign", "malignant"];
  const used = await useCapture({
    graphs: [classifier()],
    config: { targets: [target(1)], capture: { maskedFields } },
    registry,
    ...(monitoring && { monitoring }),
  });
  const ask = (id: string, ...values: number[]) =>
    used.open.modelInfer({
      modelName: DEPLOYMENT,
      id,
      inputs: [{ name: "x", datatype: "FP32", shape: [BigInt(values.length / 3), 3n] }],
      rawInputContents: [fp32(...values)],
    });
  return { ...used, ask };
}

const holds = (monitoring: TestMonitoring, bytes: Uint8Array): boolean =>
  monitoring.bytes.includes(Buffer.from(bytes));

describe("masked fields", () => {
  it("are never on the wire, and would be without the mask", async () => {
    const open = await useClassifier([]);
    await open.ask("r", 1, SECRET, 2, 3, SECRET, 4);
    await until(() => open.monitoring.rows === 2);
    expect(holds(open.monitoring, fp32(SECRET))).toBe(true);

    const masked = await useClassifier(["texture", "no such field"]);
    await masked.ask("r", 1, SECRET, 2, 3, SECRET, 4);
    await until(() => masked.monitoring.rows === 2);
    expect(holds(masked.monitoring, fp32(SECRET))).toBe(false);
    const [input] = masked.monitoring.taken[0]!.inputs;
    expect(input).toMatchObject({ rowShape: [2], columns: ["radius", "mean area"] });
    expect(Buffer.from(input!.contents)).toEqual(Buffer.from(fp32(1, 2, 3, 4)));
  });

  it("leave out a whole input, an output and all columns at once", async () => {
    const byInput = await useClassifier(["x", "label"]);
    await byInput.ask("r", 1, 2, 3);
    await until(() => byInput.monitoring.rows === 1);
    const [batch] = byInput.monitoring.taken;
    expect(batch!.inputs).toEqual([]);
    expect(batch!.outputs.map(({ name }) => name)).toEqual(["scores"]);

    const byColumns = await useClassifier(["radius", "texture", "mean area", "scores"]);
    await byColumns.ask("r", 1, 2, 3);
    await until(() => byColumns.monitoring.rows === 1);
    expect(byColumns.monitoring.taken[0]!.inputs).toEqual([]);
    expect(byColumns.monitoring.taken[0]!.outputs.map(({ name }) => name)).toEqual(["label"]);
  });

  it("leave out texts of a column, and a matrix that does not have as many columns as names", async () => {
    const registry = new TestRegistry();
    registry.columns = ["name", "city", "iban"];
    const { named, open, monitoring } = await useCapture({
      graphs: [identity("BYTES", ["N", "K"])],
      config: { targets: [target(1)], capture: { maskedFields: ["name", "iban", "y"] } },
      registry,
    });
    const row = { name: "Ada Lovelace", city: "London", iban: "GB33BUKB" };
    await named.predict({ deployment: DEPLOYMENT, id: "three", rows: [row, row] });
    const content = { bytesContents: [Buffer.from("Ada"), Buffer.from("GB33")] };
    await open.modelInfer({
      modelName: DEPLOYMENT,
      id: "two",
      inputs: [{ name: "x", datatype: "BYTES", shape: [1n, 2n], contents: content }],
    });
    await until(() => monitoring.rows === 3);
    expect(holds(monitoring, Buffer.from("Ada"))).toBe(false);
    expect(holds(monitoring, Buffer.from("GB33"))).toBe(false);
    const inputs = monitoring.taken.map((batch) => [batch.inferences!.ids, batch.inputs]);
    expect(inputs).toContainEqual([["two"], []]);
    const three = monitoring.taken.find((batch) => batch.inferences!.ids[0] === "three")!;
    expect(three.inputs[0]).toMatchObject({ rowShape: [1], columns: ["city"] });
    const london = Buffer.concat([Buffer.from([6, 0, 0, 0]), Buffer.from("London")]);
    expect(Buffer.from(three.inputs[0]!.contents)).toEqual(Buffer.concat([london, london]));
  });

  it("hold for what was captured before and waits, and are counted as dropped", async () => {
    const monitoring = await TestMonitoring.start();
    await monitoring.stop();
    const { ask, registry, engine, capture } = await useClassifier([], monitoring);
    for (let i = 0; i < 10; i++) {
      await ask(`before${i}`, 1, SECRET, 2);
    }
    const capturing = { maskedFields: ["texture"] };
    registry.deploy("d", { targets: [target(1)], capture: capturing });
    await until(() => engine.deployment("w", "d").revision === 2n);
    await ask("after", 1, SECRET, 2);
    await monitoring.comeBack();
    await until(() => monitoring.rows === 1);
    await engine.drain();
    await capture.drain();
    expect(monitoring.ids).toEqual(["after"]);
    expect(holds(monitoring, fp32(SECRET))).toBe(false);
    expect(monitoring.taken[0]).toMatchObject({ droppedRows: 10n });
  });

  it("hold at once, also while a new version that comes with them cannot be loaded", async () => {
    const { ask, registry, engine, monitoring } = await useClassifier([]);
    await registry.addVersion(2, Uint8Array.of(1, 2, 3), classifier());
    registry.deploy("d", { targets: [target(2)], capture: { maskedFields: ["texture"] } });
    await until(() => engine.deployment("w", "d").versions.some(({ state }) => state === "FAILED"));
    await ask("r", 1, SECRET, 2);
    await until(() => monitoring.rows === 1);
    expect(monitoring.taken[0]!.modelVersion).toBe("workspaces/w/models/m/versions/1");
    expect(holds(monitoring, fp32(SECRET))).toBe(false);
  });
});
