// For tests: a model that reads features, a features service that has them, and a client of a real
// server over both.

import type { JsonObject } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { FieldStatus, ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { createClient } from "../../common/rpc/client.ts";
import { ComputingEngine, type TestModel } from "./computing-engine.ts";
import { type TestFeatureService, TestFeatures } from "./test-features.ts";
import { meanModel } from "./test-models.ts";
import { useServer } from "./use-server.ts";

export const SERVICE = "workspaces/default/featureServices/cells/versions/2";

/** Takes radius, texture and mean area. */
export const cellMean: TestModel = { ...meanModel, featureService: SERVICE };

/** Two of three features have no default; one that the model does not take has none either. */
export const cells: TestFeatureService = {
  name: SERVICE,
  requestColumns: [
    ["cell", ValueType.STRING],
    ["scale", ValueType.DOUBLE],
  ],
  outputs: [
    { name: "mean area", type: ValueType.DOUBLE, default: 0 },
    { name: "unused", type: ValueType.STRING },
    { name: "radius", type: ValueType.INT32 },
    { name: "texture", type: ValueType.FLOAT },
  ],
  table: {
    a: { radius: 1, texture: 1, "mean area": 0.25, unused: "x" },
    b: { radius: 0, texture: 0.375, "mean area": 0 },
    c: { radius: 0, texture: 0.375 },
    null: { radius: 1, texture: null, "mean area": 1 },
    old: { radius: { status: FieldStatus.OUTSIDE_MAX_AGE }, texture: 1, "mean area": 1 },
    broken: { radius: { status: FieldStatus.UNSPECIFIED }, texture: null, "mean area": 1 },
  },
};

/** The entity of a key. */
export const entity = (cell: string): JsonObject => ({ cell, scale: 1 });

/** A client of a real server over the test engine and a real features service. */
export async function useEntities(...models: readonly TestModel[]) {
  const features = await TestFeatures.start(cells);
  const engine = new ComputingEngine([cellMean, { ...meanModel, deployment: "plain" }, ...models]);
  const client = createClient(
    InferenceService,
    await useServer(engine, { features: features.channel }),
  );
  const predict = (...entities: JsonObject[]) => client.predict({ deployment: "mean", entities });
  return { client, engine, features, predict };
}

/** What a promise is rejected with. */
export async function thrownBy(refused: Promise<unknown>): Promise<Error> {
  return refused.then(
    () => expect.fail("nothing was thrown"),
    (error: unknown) => error as Error,
  );
}

/** The descriptions of an InvalidArgument. */
export async function violationsOf(refused: Promise<unknown>): Promise<string[]> {
  const error = await thrownBy(refused);
  expect(error).toBeInstanceOf(InvalidArgument);
  return (error as InvalidArgument).violations.map(({ description }) => description);
}
