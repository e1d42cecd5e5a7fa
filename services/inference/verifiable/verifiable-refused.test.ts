import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import {
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  PermissionDenied,
  ResourceExhausted,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import { createClient } from "../../common/rpc/client.ts";
import { ComputingEngine } from "../testing/computing-engine.ts";
import { entity, violationsOf } from "../testing/entities.ts";
import { meanModel, sameModels } from "../testing/test-models.ts";
import { ROW, roundedMean, useProofs } from "../testing/use-proofs.ts";
import { useServer } from "../testing/use-server.ts";

const BOTH = { verifiable: true, receipts: true };

describe("a verifiable prediction is refused", () => {
  it("where the deployment is not verifiable, or the server knows no proofs service", async () => {
    const request = { deployment: "mean", verifiable: true, rows: [ROW] };
    const { client, engine } = await useProofs({ settings: { receipts: true } });
    await expect(client.predict(request)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      reason: ErrorReason.STATE_FORBIDS,
      message: expect.stringContaining("plinth deployments update mean --verifiable"),
      violations: [{ type: "PROOFS", subject: "workspaces/default/deployments/mean" }],
    });
    expect(engine.seen).toEqual([]);
    const lone = new ComputingEngine([{ ...meanModel, proofs: { verifiable: true } }]);
    const without = createClient(InferenceService, await useServer(lone));
    await expect(without.predict(request)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("PLINTH_PROOFS_ADDRESS is not set"),
    });
    expect(lone.seen).toEqual([]);
  });

  it("with more rows than are proved, or a wait that cannot be", async () => {
    const { client, proofs } = await useProofs();
    const request = { deployment: "mean", verifiable: true };
    const rows = (count: number) => Array.from({ length: count }, () => ROW);
    expect((await client.predict({ ...request, rows: rows(64) })).predictions).toHaveLength(64);
    expect(await violationsOf(client.predict({ ...request, rows: rows(65) }))).toEqual([
      "65 rows came; of a verifiable request at most 64 are proved. Send several",
    ]);
    const entities = Array.from({ length: 65 }, () => entity("a"));
    expect(await violationsOf(client.predict({ ...request, entities }))).toEqual([
      "65 entities came; of a verifiable request at most 64 are proved. Send several",
    ]);
    const wait = (seconds: number, options = {}) =>
      client.predict(
        { ...request, rows: rows(1), proofWait: { seconds: BigInt(seconds), nanos: 0 } },
        options,
      );
    expect(await violationsOf(wait(-1))).toEqual(["proof_wait is -1 s; expected 0 to 600 s"]);
    expect(await violationsOf(wait(601))).toEqual(["proof_wait is 601 s; expected 0 to 600 s"]);
    const [late] = await violationsOf(wait(40, { timeoutMs: 20_000 }));
    expect(late).toMatch(/^proof_wait is 40 s, and the call's deadline is in (20|19\.\d+) s\./);
    const unasked = { deployment: "mean", rows: rows(1), proofWait: { seconds: 1n, nanos: 0 } };
    expect(await violationsOf(client.predict(unasked))).toEqual([
      "proof_wait came without verifiable: there is no proof to wait for. Set verifiable",
    ]);
    expect(proofs.asked).toHaveLength(1);
  });

  it("naming the row and input that the circuit does not take, as the caller counts rows", async () => {
    const { client, engine } = await useProofs();
    const rows = [ROW, { ...ROW, texture: 1.5 }];
    await expect(
      client.predict({ deployment: "mean", verifiable: true, rows }),
    ).rejects.toMatchObject({
      kind: "InvalidArgument",
      reason: ErrorReason.INVALID_FIELD,
      message: "rows[1].features[1] is 1.5; this circuit takes 0 to 1.",
      violations: [{ field: "rows[1].features[1]" }],
    });
    // What was not answered leaves no receipt: the model has not run.
    expect(engine.seen).toEqual([]);
    const picky = await useProofs({
      circuit: ({ features = [] }, row) => roundedMean({ features: [features[0]! * 2] }, row),
    });
    const entities = ["nobody", "b", "null", "a"].map(entity);
    await expect(
      picky.client.predict({ deployment: "mean", verifiable: true, entities }),
    ).rejects.toMatchObject({
      message: "entities[3].features[0] is 2; this circuit takes 0 to 1.",
      violations: [
        {
          field: "entities[3].features[0]",
          description: "entities[3].features[0] is 2; this circuit takes 0 to 1",
        },
      ],
    });
  });

  it.each([
    ["INT64", ["9007199254740993", 1]],
    ["UINT64", [1, "18446744073709551615"]],
  ] as const)("with an %s that is beyond what any circuit takes", async (datatype, values) => {
    const model = sameModels.find(({ deployment }) => deployment === `same-${datatype}`)!;
    const { client, engine } = await useProofs({
      models: [{ ...model, proofs: { verifiable: true } }],
    });
    const [small, big] = [{ x: [1, 2] }, { x: [...values] }];
    const predicted = client.predict({
      deployment: model.deployment,
      verifiable: true,
      rows: [small, big],
    });
    const large = values.find((value) => typeof value === "string");
    expect(await violationsOf(predicted)).toEqual([
      `rows[1].x: ${large} is beyond 2^53, which no circuit takes`,
    ]);
    expect(engine.seen).toEqual([]);
  });

  it("with a number that is not finite, naming each", async () => {
    const model = sameModels.find(({ deployment }) => deployment === "same-FP32")!;
    const { client } = await useProofs({ models: [{ ...model, proofs: { verifiable: true } }] });
    const rows = [{ x: [1, "NaN"] }, { x: [2, 3] }, { x: ["-Infinity", 4] }];
    const predicted = client.predict({ deployment: "same-FP32", verifiable: true, rows });
    expect(await violationsOf(predicted)).toEqual([
      "rows[0].x: NaN is not finite, which no circuit takes",
      "rows[2].x: -Infinity is not finite, which no circuit takes",
    ]);
  });

  it("of a model that takes texts", async () => {
    const model = sameModels.find(({ deployment }) => deployment === "same-BYTES")!;
    const { client } = await useProofs({ models: [{ ...model, proofs: { verifiable: true } }] });
    const rows = [{ x: ["a", "b"] }];
    await expect(
      client.predict({ deployment: "same-BYTES", verifiable: true, rows }),
    ).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining('"x"'),
    });
  });
});

describe("what the proofs service refuses", () => {
  const request = { deployment: "mean", verifiable: true, rows: [ROW] };
  const reason = ErrorReason.STATE_FORBIDS;

  it.each([
    [
      new NotFound("No circuit.", { reason: ErrorReason.RESOURCE_NOT_FOUND }),
      "FailedPrecondition",
      ErrorReason.RESOURCE_NOT_FOUND,
      "plinth circuits create",
    ],
    [
      new FailedPrecondition("It is still being made.", { reason }),
      "FailedPrecondition",
      reason,
      "It is still being made.",
    ],
    [
      new ResourceExhausted("10000 rows wait.", {
        reason: ErrorReason.OVERLOADED,
        retryAfterMs: 5000,
      }),
      "ResourceExhausted",
      ErrorReason.OVERLOADED,
      "10000 rows wait.",
    ],
    [
      new PermissionDenied("No.", { reason: ErrorReason.PERMISSION_DENIED }),
      "FailedPrecondition",
      reason,
      "PLINTH_MESH_SECRET",
    ],
  ])("comes through: %s", async (failure, kind, told, text) => {
    const { client, proofs } = await useProofs();
    proofs.failure = failure;
    await expect(client.predict(request)).rejects.toMatchObject({
      kind,
      reason: told,
      message: expect.stringContaining(text),
    });
  });

  it("comes through when it is away or not served, and nothing is answered", async () => {
    const { client, engine, proofs } = await useProofs();
    await proofs.stop();
    await expect(client.predict(request, { timeoutMs: 10_000 })).rejects.toMatchObject({
      kind: "Unavailable",
      reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
      message: expect.stringContaining("the proofs service is away"),
    });
    expect(engine.seen).toEqual([]);
    const draining = await useProofs();
    draining.proofs.failure = new Unavailable("Stopping.", {
      reason: ErrorReason.DRAINING,
      retryAfterMs: 77,
    });
    await expect(draining.client.predict(request)).rejects.toMatchObject({
      kind: "Unavailable",
      reason: ErrorReason.DRAINING,
    });
    const unserved = await useProofs({ serves: false });
    await expect(unserved.client.predict(request)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("PLINTH_PROOFS_ADDRESS"),
    });
  });
});

describe("what is refused of all rows", () => {
  it("names the input", async () => {
    const { client, proofs } = await useProofs();
    proofs.failure = new InvalidArgument("inputs[0].doubles has 3 values and must have 4.", {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: "inputs[0].doubles", description: "has 3 values and must have 4" }],
    });
    const refused = client.predict({ deployment: "mean", verifiable: true, rows: [ROW] });
    await expect(refused).rejects.toMatchObject({
      message: "features has 3 values and must have 4.",
      violations: [{ field: "features", description: "has 3 values and must have 4" }],
    });
  });
});

describe("the context of a request", () => {
  const bytes = (length: number) => new Uint8Array(length).fill(7);
  const request = { deployment: "mean", rows: [ROW] };

  it("needs a proof or a receipt to stand in", async () => {
    const { client } = await useProofs();
    const [fault] = await violationsOf(client.predict({ ...request, context: bytes(1) }));
    expect(fault).toContain("Set verifiable, or config.proofs.receipts of the deployment");
    const logged = await useProofs({ settings: { receipts: true } });
    await logged.client.predict({ ...request, context: bytes(256) });
    expect(logged.engine.seen[0]?.context).toEqual(Buffer.from(bytes(256)));
    expect(logged.proofs.asked).toEqual([]);
    expect(await violationsOf(logged.client.predict({ ...request, context: bytes(257) }))).toEqual([
      "context has 257 bytes; at most 256 are allowed",
    ]);
  });

  it("is bound into the proof, as far as it fits", async () => {
    const { client, proofs } = await useProofs();
    await client.predict({ ...request, verifiable: true, context: bytes(31) });
    expect(proofs.asked[0]?.context).toHaveLength(31);
    const long = client.predict({ ...request, verifiable: true, context: bytes(32) });
    expect(await violationsOf(long)).toEqual([
      "context has 32 bytes; at most 31 can be bound into a proof",
    ]);
  });

  it("with receipts is bound where the circuit has one, and no fault where it has none", async () => {
    const { client, proofs, engine } = await useProofs({ settings: BOTH });
    const verifiable = { ...request, verifiable: true };
    await client.predict({ ...verifiable, context: bytes(40) });
    expect(proofs.asked[0]?.context).toHaveLength(0);
    expect(engine.seen[0]?.context).toHaveLength(40);
    proofs.hasContext = true;
    await client.predict({ ...verifiable, context: bytes(20) });
    expect(proofs.asked[1]?.context).toHaveLength(20);
    expect(engine.seen[1]?.context).toHaveLength(20);
    const long = client.predict({ ...verifiable, context: bytes(40) });
    expect(await violationsOf(long)).toEqual([
      "context has 40 bytes; at most 31 can be bound into a proof",
    ]);
  });
});
