import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import {
  Internal,
  InvalidArgument,
  NotFound,
  PermissionDenied,
  Unavailable,
  Unimplemented,
} from "../../common/errors/domain-error.ts";
import { createClient } from "../../common/rpc/client.ts";
import { ComputingEngine } from "../testing/computing-engine.ts";
import { cellMean, cells, entity, SERVICE, thrownBy, useEntities } from "../testing/entities.ts";
import { meanModel } from "../testing/test-models.ts";
import { useServer } from "../testing/use-server.ts";

describe("Predict by entity, refused", () => {
  it("says how to register a version that takes entities", async () => {
    const { client } = await useEntities();
    const refused = client.predict({ deployment: "plain", entities: [entity("a")] });
    await expect(refused).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("Register a version with model_version.feature_service"),
    });
  });

  it("says what to set where no features service is known", async () => {
    const client = createClient(InferenceService, await useServer(new ComputingEngine([cellMean])));
    const refused = client.predict({ deployment: "mean", entities: [entity("a")] });
    await expect(refused).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("PLINTH_FEATURES_ADDRESS"),
    });
  });

  it("reads no features of another workspace", async () => {
    const foreign = SERVICE.replace("default", "other");
    const { client, features } = await useEntities({
      ...meanModel,
      deployment: "foreign",
      featureService: foreign,
    });
    features.define({ ...cells, name: foreign });
    const refused = client.predict({ deployment: "foreign", entities: [entity("a")] });
    await expect(refused).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("deployed in workspaces/default"),
    });
    expect(features.definitionsRead).toEqual([]);
  });

  it("names every column that the service lacks or gives as another type, and asks once", async () => {
    const { engine, features, predict } = await useEntities();
    features.define({
      ...cells,
      outputs: [
        { name: "radius", type: ValueType.STRING },
        { name: "texture", type: ValueType.DOUBLE, default: 1e300 },
      ],
    });
    for (let i = 0; i < 2; i++) {
      const error = await thrownBy(predict(entity("a")));
      expect(error).toMatchObject({
        kind: "FailedPrecondition",
        violations: [{ type: "FEATURE_SERVICE" }],
      });
      expect(error.message).toContain('"radius" is STRING and the input "features" is FP32');
      expect(error.message).toContain('default of the feature "texture" is 1e+300, beyond');
      expect(error.message).toContain(
        'its column "mean area" is not a feature of the service, which gives "radius", "texture"',
      );
    }
    expect(features.definitionsRead).toHaveLength(1);
    expect(features.reads).toEqual([]);
    expect(engine.seen).toEqual([]);
  });

  it("predicts nothing while features are away, and goes on when they are back", async () => {
    const { engine, features, predict } = await useEntities();
    const away = new Unavailable("Secret driver text.", {
      reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
      retryAfterMs: 250,
    });
    const refused = {
      kind: "Unavailable",
      reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
      retryAfterMs: 250,
      message: expect.stringMatching(/^The features of .* cannot be read now.* retry\.$/),
    };
    features.failure = away;
    await expect(predict(entity("a"))).rejects.toMatchObject(refused);
    features.failure = undefined;
    expect((await predict(entity("a"))).predictions[0]?.label).toBe("malignant");
    features.failure = away;
    await expect(predict(entity("a"))).rejects.toMatchObject(refused);
    expect(engine.seen).toHaveLength(1);
  });

  it("says that nobody listens where the features service should be", async () => {
    const { features, predict } = await useEntities();
    await features[Symbol.asyncDispose]();
    await expect(predict(entity("a"))).rejects.toMatchObject({
      kind: "Unavailable",
      message: expect.not.stringContaining("127.0.0.1"),
    });
  });

  it.each([
    [NotFound, "FailedPrecondition", "does not have it (any more)"],
    [PermissionDenied, "FailedPrecondition", "PLINTH_MESH_SECRET"],
    [Unimplemented, "FailedPrecondition", "PLINTH_FEATURES_ADDRESS"],
    [InvalidArgument, "InvalidArgument", "The features service refused the entities: No."],
    [Internal, "Internal", "No."],
  ])("tells %o as %s", async (Class, kind, text) => {
    const { features, predict } = await useEntities();
    await predict(entity("a"));
    features.failure = new Class("No.", { reason: ErrorReason.INVALID_FIELD });
    await expect(predict(entity("a"))).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(text),
    });
  });

  it("takes no answer that is not what the definition says", async () => {
    const { features, predict } = await useEntities();
    features.spoil = (results) => results.reverse();
    const refused = { kind: "Unavailable", message: expect.stringContaining("other features") };
    await expect(predict(entity("a"))).rejects.toMatchObject(refused);
    features.spoil = (results) => {
      results[2]!.values = { name: "radius" };
    };
    await expect(predict(entity("a"))).rejects.toMatchObject(refused);
    features.spoil = (results) => results[0]!.statuses!.pop();
    await expect(predict(entity("a"))).rejects.toMatchObject(refused);
    features.spoil = undefined;
    expect((await predict(entity("a"))).predictions).toHaveLength(1);
    // Each wrong answer, and each retry of it, has the definition read again.
    expect(features.definitionsRead.length).toBeGreaterThanOrEqual(4);
  });
});
