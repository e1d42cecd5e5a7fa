import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { collectInstruments } from "../../common/telemetry/instruments.ts";
import { entity, SERVICE, thrownBy, useEntities, violationsOf } from "../testing/entities.ts";
import { scalarModel } from "../testing/test-models.ts";

describe("Predict by entity", () => {
  it("reads all features in one call and gives predictions, statuses, service and time", async () => {
    const { features, engine, predict } = await useEntities();
    const response = await predict(entity("a"), entity("b"));
    expect(response).toMatchObject({
      modelVersion: "workspaces/default/models/mean/versions/3",
      predictions: [
        { outputs: { label: 1, probabilities: [0.25, 0.75] }, label: "malignant" },
        { outputs: { label: 0, probabilities: [0.875, 0.125] }, label: "benign" },
      ],
      featureService: SERVICE,
      featureStatuses: [
        { feature: "mean area", statuses: [1, 1] },
        { feature: "unused", statuses: [1, 3] },
        { feature: "radius", statuses: [1, 1] },
        { feature: "texture", statuses: [1, 1] },
      ],
      timing: { batchRows: 2 },
    });
    expect(response.predictions.map(({ error }) => error)).toEqual([undefined, undefined]);
    expect(response.timing?.features?.nanos).toBeGreaterThan(0);
    expect(engine.seen).toHaveLength(1);
    await predict(entity("a"));
    expect(features.definitionsRead).toEqual([SERVICE]);
    expect(features.reads).toHaveLength(2);
    expect(features.reads[0]?.request).toMatchObject({
      parent: "workspaces/default",
      featureService: SERVICE,
      entities: [
        { name: "cell", strings: ["a", "b"] },
        { name: "scale", doubles: [1, 1] },
      ],
    });
  });

  it("still takes rows for a version with a feature service, without a read", async () => {
    const { client, features } = await useEntities();
    const rows = [{ radius: 1, texture: 1, "mean area": 0.25 }];
    const response = await client.predict({ deployment: "mean", rows });
    expect(response.predictions[0]?.label).toBe("malignant");
    expect(response).toMatchObject({ featureService: "", featureStatuses: [] });
    expect(response.timing?.features).toBeUndefined();
    expect(features.reads).toEqual([]);
  });

  it("predicts the rows that have their features, in place, and says what others lack", async () => {
    const { engine, predict } = await useEntities();
    const names = ["null", "a", "nobody", "c", "old", "b", "broken"];
    const response = await predict(...names.map(entity));
    expect(response.predictions.map(({ label }) => label)).toEqual([
      "",
      "malignant",
      "",
      "benign",
      "",
      "benign",
      "",
    ]);
    expect(engine.seen[0]).toMatchObject({ rows: 3, inputs: [{ shape: [3, 3] }] });
    expect(response.predictions.map(({ error }) => error?.message)).toEqual([
      'entities[0] {"cell":"null","scale":1}: feature "texture" is NULL_VALUE ' +
        "(none was pushed, or what it is computed from has none) and has no default.",
      undefined,
      'entities[2] {"cell":"nobody","scale":1}: feature "radius" is NOT_FOUND ' +
        "(the entity has no row) and has no default; " +
        'feature "texture" is NOT_FOUND (the entity has no row) and has no default.',
      undefined,
      'entities[4] {"cell":"old","scale":1}: feature "radius" is OUTSIDE_MAX_AGE ' +
        "(its newest row is older than the ttl) and has no default.",
      undefined,
      'entities[6] {"cell":"broken","scale":1}: feature "radius" could not be computed ' +
        "and has no default; " +
        'feature "texture" is NULL_VALUE ' +
        "(none was pushed, or what it is computed from has none) and has no default.",
    ]);
    expect(response.predictions[0]).toMatchObject({ error: { code: 3 }, label: "", scores: {} });
    expect(response.predictions[0]?.outputs).toBeUndefined();
    expect(response.featureStatuses[3]?.statuses).toEqual([2, 1, 3, 1, 1, 1, 2]);
  });

  it("fails as a whole when no row can be predicted, naming each", async () => {
    const { engine, predict } = await useEntities();
    const error = await thrownBy(predict(entity("nobody"), entity("old")));
    expect(error).toMatchObject({
      kind: "InvalidArgument",
      reason: ErrorReason.FEATURE_MISSING,
      violations: [{ field: "entities[0]" }, { field: "entities[1]" }],
      message: expect.stringMatching(
        /"radius" is NOT_FOUND.*; entities\[1\] .*OUTSIDE_MAX_AGE.*\.$/,
      ),
    });
    expect(engine.seen).toEqual([]);
  });

  it("takes rows or entities, one of the two, and not too many", async () => {
    const { client, features, predict } = await useEntities({
      ...scalarModel,
      featureService: SERVICE,
    });
    const rows = [{}];
    const entities = [entity("a")];
    expect(await violationsOf(client.predict({ deployment: "mean", rows, entities }))).toEqual([
      "1 rows and 1 entities came; send one of the two",
    ]);
    expect(await violationsOf(predict())).toEqual([
      "0 rows came; expected 1 to 1024, or as many entities, from which " +
        `workspaces/default/models/mean/versions/3 reads ${SERVICE}`,
    ]);
    expect(await violationsOf(predict(...Array(1001).fill(entity("a"))))).toEqual([
      "1001 entities came; expected 1 to 1000",
    ]);
    const two = client.predict({ deployment: "scalar", entities: [entity("a"), entity("b")] });
    expect(await violationsOf(two)).toEqual([
      "2 entities came; this model has no batch dimension and takes one a request",
    ]);
    expect(features.reads).toEqual([]);
    expect((await predict(...Array(1000).fill(entity("a")))).predictions).toHaveLength(1000);
  });

  it("names row, column and type of everything that is wrong with entities", async () => {
    const { features, predict } = await useEntities();
    const takes = 'the feature service takes "cell" (STRING), "scale" (DOUBLE)';
    const bad = predict(entity("a"), { cell: 7, scale: "x", more: 1 }, { scale: 1 });
    expect(await violationsOf(bad)).toEqual([
      `entities[1].cell: expected a text, got 7; ${takes}`,
      `entities[1].scale: expected a number, got "x"; ${takes}`,
      `entities[1].more: there is no such column; ${takes}`,
      `entities[2].cell is missing; ${takes}`,
    ]);
    expect(await violationsOf(predict(...Array(500).fill({})))).toHaveLength(20);
    expect(features.reads).toEqual([]);
  });

  it("sends null request data on as null", async () => {
    const { features, predict } = await useEntities();
    await predict({ cell: "a", scale: null }, entity("a"));
    expect(features.reads[0]?.request.entities[1]).toMatchObject({ doubles: [0, 1], nulls: [0] });
  });
});

describe("Predict by entity, on the way", () => {
  it("carries the deadline and the trace on, and one definition serves all that wait", async () => {
    const { client, features } = await useEntities();
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const before = Date.now();
    const call = () =>
      client.predict(
        { deployment: "mean", entities: [entity("a")] },
        { timeoutMs: 20_000, headers: { traceparent } },
      );
    await Promise.all([call(), call(), call()]);
    expect(features.definitionsRead).toHaveLength(1);
    const { context } = features.reads[0]!;
    expect(context.deadlineMs).toBeGreaterThan(before + 10_000);
    expect(context.deadlineMs).toBeLessThanOrEqual(before + 21_000);
    expect(context.header("traceparent")).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-/);
  });

  it("ends at the deadline and when the caller leaves, and ends the read with it", async () => {
    const { client, engine, features, predict } = await useEntities();
    await predict(entity("a"));
    const gate = Promise.withResolvers<void>();
    features.gate = gate.promise;
    const request = { deployment: "mean", entities: [entity("a")] };
    await expect(client.predict(request, { timeoutMs: 50 })).rejects.toMatchObject({
      kind: "DeadlineExceeded",
    });
    const leave = new AbortController();
    const left = client.predict(request, { signal: leave.signal });
    await expect.poll(() => features.reads.length).toBe(3);
    leave.abort(new Error("Left."));
    await expect(left).rejects.toThrow("Left.");
    for (const { context } of features.reads.slice(1)) {
      await expect.poll(() => context.signal.aborted).toBe(true);
    }
    gate.resolve();
    expect(engine.seen).toHaveLength(1);
  });

  it("answers a stream in order, whatever becomes of each request", async () => {
    const { client, features } = await useEntities();
    async function* requests() {
      for (let i = 0; i < 300; i++) {
        const cell = i % 3 === 0 ? "nobody" : i % 3 === 1 ? "a" : "b";
        yield { request: { deployment: "mean", id: `${i}`, entities: [entity(cell)] } };
      }
    }
    const answers = await Array.fromAsync(client.streamPredict(requests()));
    expect(answers.map(({ id }) => id)).toEqual(Array.from({ length: 300 }, (_, i) => `${i}`));
    for (const [i, { result }] of answers.entries()) {
      const expected =
        i % 3 === 0
          ? { case: "error", value: { code: 3 } }
          : {
              case: "response",
              value: { predictions: [{ label: ["malignant", "benign"][(i % 3) - 1] }] },
            };
      expect(result).toMatchObject(expected);
    }
    expect(features.definitionsRead).toHaveLength(1);
  });

  it("counts what became of features", async () => {
    const { predict } = await useEntities();
    const counts = () =>
      Object.fromEntries(
        collectInstruments()
          .filter(({ spec }) => spec.name === "plinth.inference.feature.values")
          .flatMap(({ series }) => [...series])
          .filter(({ attributes }) => attributes["plinth.feature_service"] === SERVICE)
          .map(
            ({ attributes, value }) =>
              [String(attributes["plinth.feature.status"]), Number(value)] as const,
          ),
      );
    const before = counts();
    await predict(entity("a"), entity("nobody"), entity("null"));
    const after = counts();
    const grown = Object.entries(after).map(([status, n]) => [status, n - (before[status] ?? 0)]);
    expect(Object.fromEntries(grown)).toMatchObject({ present: 6, not_found: 5, null_value: 1 });
  });
});
