import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ResourceExhausted } from "../../common/errors/domain-error.ts";
import { entity } from "../testing/entities.ts";
import { ROW, until, useProofs } from "../testing/use-proofs.ts";

const VERSION = "workspaces/default/models/mean/versions/3";
const LOW = { radius: 0, texture: 0.1875, "mean area": 0 };

const seconds = (count: number) => ({ seconds: BigInt(count), nanos: 0 });

describe("a verifiable prediction", () => {
  it("is the circuit's answer, with the float model's beside it and the job that proves it", async () => {
    const { client } = await useProofs();
    const response = await client.predict({
      deployment: "mean",
      id: "mine",
      verifiable: true,
      rows: [ROW, LOW],
    });
    expect(response).toMatchObject({
      id: "mine",
      modelVersion: VERSION,
      circuit: `${VERSION}/circuits/c1`,
      proofJob: "workspaces/default/proofJobs/1",
      proofs: [],
      predictions: [
        {
          outputs: { probabilities: [0.25, 0.75] },
          label: "malignant",
          scores: { benign: 0.25, malignant: 0.75 },
          floatOutputs: { label: 1, probabilities: [0.3125, 0.6875] },
        },
        {
          outputs: { probabilities: [1, 0] },
          label: "benign",
          floatOutputs: { label: 0, probabilities: [0.9375, 0.0625] },
        },
      ],
    });
    expect(response.timing?.batchRows).toBe(2);
  });

  it("asks the active circuit with the very numbers that the model gets", async () => {
    const { client, proofs, engine } = await useProofs();
    await client.predict({
      deployment: "workspaces/default/deployments/mean",
      id: "mine",
      verifiable: true,
      priority: 2,
      context: Uint8Array.of(1, 2, 3),
      rows: [{ radius: 0.1, texture: 0, "mean area": 1 }],
    });
    const [asked] = proofs.asked;
    expect(asked).toMatchObject({
      circuit: `${VERSION}/circuits/active`,
      rows: 1,
      inferenceId: "mine",
      deployment: "workspaces/default/deployments/mean",
      priority: 2,
    });
    expect(asked?.inputs).toMatchObject([
      { name: "features", doubles: [Math.fround(0.1), 0, 1], floats: [] },
    ]);
    expect([...asked!.context]).toEqual([1, 2, 3]);
    expect(asked?.requestId).toMatch(/^[0-9a-f]{64}$/);
    expect([...engine.seen[0]!.context!]).toEqual([1, 2, 3]);
  });

  it("is proved once, however often it is asked for under its id, and anew for other rows", async () => {
    const { client, proofs } = await useProofs();
    const predict = (row: object, id = "mine") =>
      client.predict({ deployment: "mean", id, verifiable: true, rows: [row as typeof ROW] });
    const first = await predict(ROW);
    expect((await predict(ROW)).proofJob).toBe(first.proofJob);
    expect(proofs.jobs).toHaveLength(1);
    const others = [await predict(LOW), await predict(ROW, "yours"), await predict(ROW, "")];
    expect(new Set(others.map(({ proofJob }) => proofJob)).size).toBe(3);
    expect((await predict(ROW, "")).proofJob).not.toBe(others[2]?.proofJob);
    expect(proofs.jobs).toHaveLength(5);
  });

  it("takes entities; rows that have no features are not proved", async () => {
    const { client, proofs } = await useProofs();
    const entities = ["nobody", "b", "null", "a"].map(entity);
    const response = await client.predict({ deployment: "mean", verifiable: true, entities });
    const told = response.predictions.map(({ label, error }) => [label, error?.code]);
    expect(told).toEqual([
      ["", 3],
      ["benign", undefined],
      ["", 3],
      ["malignant", undefined],
    ]);
    expect(response.predictions[3]).toMatchObject({
      outputs: { probabilities: [0.25, 0.75] },
      floatOutputs: { label: 1 },
    });
    expect(response.predictions[0]?.floatOutputs).toBeUndefined();
    expect(proofs.asked[0]).toMatchObject({ rows: 2 });
  });

  it("answers without a proof for a request that asks for none", async () => {
    const { client, proofs } = await useProofs();
    const response = await client.predict({ deployment: "mean", rows: [ROW] });
    expect(response.predictions[0]?.outputs).toEqual({ label: 1, probabilities: [0.3125, 0.6875] });
    expect(response.predictions[0]?.floatOutputs).toBeUndefined();
    expect(response).toMatchObject({ proofJob: "", circuit: "" });
    expect(proofs.asked).toEqual([]);
  });
});

describe("an answer that waits for its proofs", () => {
  async function useWaiting(options: { readonly wait?: number; readonly rows?: number } = {}) {
    const used = await useProofs();
    const { client, proofs } = used;
    const { wait = 20, rows = 2 } = options;
    const answer = client.predict({
      deployment: "mean",
      verifiable: true,
      proofWait: seconds(wait),
      rows: Array.from({ length: rows }, () => ROW),
    });
    answer.catch(() => undefined);
    await until(() => proofs.watching > 0);
    return { ...used, answer };
  }

  it("has all of them, by row, as soon as the last is made", async () => {
    const { proofs, answer } = await useWaiting();
    proofs.prove(1);
    proofs.prove(0);
    const { proofs: made, proofJob } = await answer;
    expect(made.map(({ row, name }) => [row, name])).toEqual([
      [0, "workspaces/default/proofs/1-0"],
      [1, "workspaces/default/proofs/1-1"],
    ]);
    expect(proofJob).toBe("workspaces/default/proofJobs/1");
    await until(() => proofs.watching === 0);
  });

  it("has those that were made when the time is over", async () => {
    const { proofs, answer } = await useWaiting({ wait: 1 });
    proofs.prove(1);
    const response = await answer;
    expect(response.proofs.map(({ row }) => row)).toEqual([1]);
    expect(response.predictions[0]?.label).toBe("malignant");
    await until(() => proofs.watching === 0);
  });

  it("has those that were made when the job ends without the others", async () => {
    const { proofs, answer } = await useWaiting();
    proofs.prove(0);
    proofs.fail();
    expect((await answer).proofs.map(({ row }) => row)).toEqual([0]);
  });

  it("is given although the proofs service goes away, and has what it says when it is back", async () => {
    const { proofs, answer } = await useWaiting();
    await proofs.stop();
    proofs.prove(0);
    await proofs.comeBack();
    await until(() => proofs.watching > 0);
    proofs.prove(1);
    expect((await answer).proofs.map(({ row }) => row)).toEqual([0, 1]);
  });

  it("asks again when too many watch", async () => {
    const { client, proofs } = await useProofs();
    proofs.watchFailure = new ResourceExhausted("Too many watches.", {
      reason: ErrorReason.OVERLOADED,
      retryAfterMs: 10,
    });
    const answer = client.predict({
      deployment: "mean",
      verifiable: true,
      proofWait: seconds(20),
      rows: [ROW],
    });
    await until(() => proofs.watchesRefused > 0);
    proofs.watchFailure = undefined;
    await until(() => proofs.watching > 0);
    proofs.prove(0);
    expect((await answer).proofs.map(({ row }) => row)).toEqual([0]);
  });

  it("is given without proofs when the proofs service stays away", async () => {
    const { proofs, answer } = await useWaiting({ wait: 1 });
    await proofs.stop();
    const response = await answer;
    expect(response.proofs).toEqual([]);
    expect(response.proofJob).not.toBe("");
  });

  it("stops to wait when the caller leaves", async () => {
    const { client, proofs } = await useProofs();
    const leaving = new AbortController();
    const answer = client.predict(
      { deployment: "mean", verifiable: true, proofWait: seconds(20), rows: [ROW] },
      { signal: leaving.signal },
    );
    answer.catch(() => undefined);
    await until(() => proofs.watching > 0);
    leaving.abort();
    await expect(answer).rejects.toThrow();
    await until(() => proofs.watching === 0);
  });
});

describe("a stream of verifiable predictions", () => {
  it("runs what comes after a request that waits, and answers in order", async () => {
    const { client, proofs, engine } = await useProofs();
    const request = { deployment: "mean", rows: [ROW] };
    async function* requests() {
      const proofWait = seconds(20);
      yield { request: { ...request, id: "waits", verifiable: true, proofWait } };
      yield { request: { ...request, id: "proved", verifiable: true } };
      yield {
        request: { ...request, id: "refused", verifiable: true, rows: [{ ...ROW, radius: 9 }] },
      };
      yield { request: { ...request, id: "plain" } };
    }
    const answers = Array.fromAsync(client.streamPredict(requests()));
    await until(() => proofs.watching > 0 && proofs.jobs.length === 2 && engine.seen.length === 3);
    proofs.prove(
      0,
      proofs.jobs.find(({ value }) => value.inferenceId === "waits"),
    );
    const [waits, proved, refused, plain] = await answers;
    expect(waits).toMatchObject({ id: "waits", result: { value: { proofs: [{ row: 0 }] } } });
    expect(proved).toMatchObject({ id: "proved", result: { value: { proofs: [] } } });
    expect(refused).toMatchObject({ id: "refused", result: { case: "error", value: { code: 3 } } });
    expect(plain).toMatchObject({ id: "plain", result: { value: { proofJob: "" } } });
  });
});
