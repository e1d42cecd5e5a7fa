import { describe, expect, it } from "vitest";
import { FieldStatus, ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import { classifier } from "../testing/graphs.ts";
import { type TestFeatureService, TestFeatures } from "../testing/test-features.ts";
import { fp32 } from "../testing/test-models.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { DEPLOYMENT, target, until, useCapture } from "../testing/use-capture.ts";

const SERVICE = "workspaces/w/featureServices/cells/versions/2";

const cells: TestFeatureService = {
  name: SERVICE,
  requestColumns: [
    ["cell", ValueType.STRING],
    ["scale", ValueType.DOUBLE],
  ],
  outputs: [
    { name: "mean area", type: ValueType.DOUBLE, default: 0, view: "sizes" },
    { name: "ratio", type: ValueType.DOUBLE },
    { name: "radius", type: ValueType.DOUBLE, view: "shapes" },
    { name: "texture", type: ValueType.DOUBLE, default: 7, view: "shapes" },
  ],
  table: {
    a: { radius: 1, texture: 2, "mean area": 3, ratio: 1 },
    b: { radius: 4, "mean area": null, ratio: 1 },
    c: { texture: 5, "mean area": 6, ratio: 1 },
  },
};

const { PRESENT, NULL_VALUE, NOT_FOUND } = FieldStatus;

async function useEntities(maskedFields: string[] = []) {
  const features = await TestFeatures.start(cells);
  const registry = new TestRegistry();
  registry.columns = ["radius", "texture", "mean area"];
  registry.classLabels = ["benign", "malignant"];
  registry.featureService = SERVICE;
  return useCapture({
    graphs: [classifier()],
    config: { targets: [target(1)], capture: { maskedFields } },
    registry,
    features: features.channel,
  });
}

const entity = (cell: string) => ({ cell, scale: 98.5 });

describe("capture of predictions by entity", () => {
  it("tells keys and statuses of the rows that were predicted, and nothing of request data", async () => {
    const { named, monitoring } = await useEntities();
    const answer = await named.predict({
      deployment: DEPLOYMENT,
      id: "p1",
      entities: [entity("b"), entity("c"), entity("a")],
    });
    expect(answer.predictions.map(({ error }) => error === undefined)).toEqual([true, false, true]);
    await until(() => monitoring.rows === 2);
    const [batch] = monitoring.taken;
    expect(batch).toMatchObject({ rows: 2, featureService: SERVICE });
    expect(batch!.inferences).toMatchObject({ ids: ["p1"], rows: [2] });
    expect(Buffer.from(batch!.inputs[0]!.contents)).toEqual(Buffer.from(fp32(4, 7, 0, 1, 2, 3)));
    expect(batch!.entityKeys).toMatchObject([{ joinKey: "cell", values: ["b", "a"] }]);
    const view = (id: string) => `workspaces/w/featureViews/${id}`;
    const statuses = batch!.featureStatuses.map((one) => [
      one.feature,
      one.featureView,
      [...one.statuses],
    ]);
    expect(statuses).toEqual([
      ["mean area", view("sizes"), [NULL_VALUE, PRESENT]],
      ["ratio", "", [PRESENT, PRESENT]],
      ["radius", view("shapes"), [PRESENT, PRESENT]],
      ["texture", view("shapes"), [NOT_FOUND, PRESENT]],
    ]);
    const scale = Buffer.from(new Float64Array([98.5]).buffer);
    expect(monitoring.bytes.includes(scale)).toBe(false);
    expect(monitoring.bytes.includes("98.5")).toBe(false);
  });

  it("keeps requests with rows apart from those with entities", async () => {
    const { named, monitoring } = await useEntities();
    const row = { radius: 1, texture: 2, "mean area": 3 };
    await Promise.all([
      named.predict({ deployment: DEPLOYMENT, id: "by row", rows: [row] }),
      named.predict({ deployment: DEPLOYMENT, id: "by entity", entities: [entity("a")] }),
      named.predict({ deployment: DEPLOYMENT, id: "by entity 2", entities: [entity("b")] }),
    ]);
    await until(() => monitoring.rows === 3);
    for (const batch of monitoring.taken) {
      const byEntity = batch.inferences!.ids[0] !== "by row";
      expect(batch.featureStatuses.length).toBe(byEntity ? 4 : 0);
      expect(batch.entityKeys.length).toBe(byEntity ? 1 : 0);
      for (const { statuses } of batch.featureStatuses) {
        expect(statuses.length).toBe(batch.rows);
      }
    }
  });

  it("never sends a masked join key or feature", async () => {
    const { named, monitoring } = await useEntities(["cell", "texture"]);
    await named.predict({ deployment: DEPLOYMENT, id: "p1", entities: [entity("a")] });
    await until(() => monitoring.rows === 1);
    const [batch] = monitoring.taken;
    expect(batch!.entityKeys).toEqual([]);
    expect(batch!.featureStatuses.map(({ feature }) => feature)).toEqual([
      "mean area",
      "ratio",
      "radius",
    ]);
    expect(batch!.inputs[0]!.columns).toEqual(["radius", "mean area"]);
    expect(Buffer.from(batch!.inputs[0]!.contents)).toEqual(Buffer.from(fp32(1, 3)));
  });
});
