import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { ModelInferResponse } from "../../../gen/inference/grpc_service_pb.js";
import { type RawTensor, tensorBytes } from "../../common/receipts/tensor-bytes.ts";
import { encodeModel } from "../../common/testing/onnx-writer.ts";
import { classifier, identity, lookUp, sumAndDifference } from "../testing/graphs.ts";
import { fp32, int64 } from "../testing/test-models.ts";
import { TestRegistry } from "../testing/test-registry.ts";
import { DEPLOYMENT, target, until } from "../testing/use-capture.ts";
import { useReceipts } from "../testing/use-receipts.ts";

const proofs = { receipts: true };

/** What anybody computes of the tensors that they hold. */
function digestOf(...tensors: RawTensor[]): string {
  return createHash("sha256")
    .update(Buffer.concat([...tensorBytes(tensors)]))
    .digest("hex");
}

/** The digest of a reply's tensors. */
function digestOfReply({ outputs, rawOutputContents }: ModelInferResponse): string {
  return digestOf(
    ...outputs.map(({ name, datatype, shape }, i) => ({
      name,
      datatype,
      shape: shape.map(Number),
      data: rawOutputContents[i]!,
    })),
  );
}

const text = (value: string) => ({ parameterChoice: { case: "stringParam" as const, value } });

const inferRequest = (id: string, ...values: number[]) => ({
  modelName: DEPLOYMENT,
  id,
  inputs: [{ name: "x", datatype: "FP32", shape: [BigInt(values.length / 3), 3n] }],
  rawInputContents: [fp32(...values)],
});

const inputDigest = (...values: number[]) =>
  digestOf({ name: "x", datatype: "FP32", shape: [values.length / 3, 3], data: fp32(...values) });

async function* inTurn<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

describe("receipts of an inference", () => {
  it("can be recomputed from a unary request and its reply", async () => {
    const { open, log } = await useReceipts({
      graphs: [classifier()],
      config: { targets: [target(1)], proofs },
    });
    const before = Date.now();
    const reply = await open.modelInfer({
      ...inferRequest("r1", 1, 2, 4, 3, 1, 8),
      parameters: { context: text("order é 7") },
    });
    const after = Date.now();
    await until(() => log.receipts.length === 1);
    const [receipt] = log.receipts;
    expect(receipt).toMatchObject({
      id: "r1",
      deployment: DEPLOYMENT,
      modelVersion: "workspaces/w/models/m/versions/1",
      rows: 2,
      context: "order é 7",
      input: inputDigest(1, 2, 4, 3, 1, 8),
      output: digestOfReply(reply),
    });
    const file = createHash("sha256").update(encodeModel(classifier())).digest("hex");
    expect(receipt!.modelDigest).toBe(file);
    expect(receipt!.timeUs).toBeGreaterThanOrEqual((before - 1) * 1000);
    expect(receipt!.timeUs).toBeLessThanOrEqual((after + 1) * 1000);
  });

  it("covers the outputs that were asked for, in any order, and typed contents alike", async () => {
    const { open, log } = await useReceipts({
      graphs: [sumAndDifference()],
      config: { targets: [target(1)], proofs },
    });
    const contents = (...fp32Contents: number[]) => ({ contents: { fp32Contents } });
    const matrix = { datatype: "FP32", shape: [1n, 2n] };
    // The inputs come in another order than the signature's.
    const inputs = [
      { name: "b", ...matrix, ...contents(1, 2) },
      { name: "a", ...matrix, ...contents(5, 7) },
    ];
    const wanted: readonly string[][] = [[], ["sum", "difference"], ["difference", "sum"], ["sum"]];
    for (const [i, names] of wanted.entries()) {
      const outputs = names.map((name) => ({ name }));
      await open.modelInfer({ modelName: DEPLOYMENT, id: `r${i}`, inputs, outputs });
    }
    await until(() => log.receipts.length === wanted.length);
    const tensor = (name: string, ...values: number[]) => ({
      name,
      datatype: "FP32",
      shape: [1, 2],
      data: fp32(...values),
    });
    const both = digestOf(tensor("sum", 6, 9), tensor("difference", 4, 5));
    const outputs = new Map(log.receipts.map(({ id, output }) => [id, output]));
    expect(outputs).toEqual(
      new Map([
        ["r0", both],
        ["r1", both],
        ["r2", both],
        ["r3", digestOf(tensor("sum", 6, 9))],
      ]),
    );
    const input = digestOf(tensor("a", 5, 7), tensor("b", 1, 2));
    expect(log.receipts.map((receipt) => receipt.input)).toEqual([input, input, input, input]);
  });

  it("covers texts, and tensors without a batch", async () => {
    const { open, log } = await useReceipts({
      graphs: [identity("BYTES", [2, 2]), identity("INT64", [3])],
      config: { targets: [target(1)], proofs },
    });
    const texts = ["a", "", "é€😀", "x".repeat(300)];
    const raw = Buffer.concat(
      texts.map((one) => {
        const bytes = Buffer.from(one);
        const length = Buffer.alloc(4);
        length.writeUInt32LE(bytes.length);
        return Buffer.concat([length, bytes]);
      }),
    );
    await open.modelInfer({
      modelName: DEPLOYMENT,
      id: "texts",
      inputs: [{ name: "x", datatype: "BYTES", shape: [2n, 2n] }],
      rawInputContents: [raw],
    });
    await until(() => log.receipts.length === 1);
    const tensor = { datatype: "BYTES", shape: [2, 2], data: raw };
    expect(log.receipts[0]).toMatchObject({
      rows: 1,
      input: digestOf({ name: "x", ...tensor }),
      output: digestOf({ name: "y", ...tensor }),
    });
  });

  it("is of what Predict shows, label and scores aside, with its context", async () => {
    const registry = new TestRegistry();
    registry.classLabels = ["benign", "malignant"];
    registry.columns = ["radius", "texture", "area"];
    const { named, log } = await useReceipts({
      graphs: [classifier()],
      config: { targets: [target(1)], proofs },
      registry,
    });
    const rows = [
      { radius: 1, texture: 2, area: 4 },
      { radius: 0.1, texture: 1, area: 8 },
    ];
    const context = Buffer.from("nonce");
    const all = await named.predict({ deployment: "workspaces/w/deployments/d", rows, context });
    const one = await named.predict({
      deployment: "workspaces/w/deployments/d",
      rows,
      outputs: ["label"],
      id: "mine",
    });
    await until(() => log.receipts.length === 2);
    const scores = all.predictions.flatMap(({ outputs }) => outputs?.scores as number[]);
    const labels = all.predictions.map(({ outputs }) => outputs?.label as number);
    const label = { name: "label", datatype: "INT64", shape: [2], data: int64(...labels) };
    const score = { name: "scores", datatype: "FP32", shape: [2, 2], data: fp32(...scores) };
    const [ofAll, ofOne] = [all.id, "mine"].map((id) =>
      log.receipts.find((receipt) => receipt.id === id),
    );
    expect(ofAll).toMatchObject({
      context: "nonce",
      rows: 2,
      input: inputDigest(1, 2, 4, 0.1, 1, 8),
      output: digestOf(label, score),
    });
    expect(one.predictions[0]!.label).not.toBe("");
    expect(ofOne).toMatchObject({ context: "", output: digestOf(label) });
  });

  it("has an id in the reply where the caller gave none", async () => {
    const { open, log, registry } = await useReceipts({
      graphs: [classifier()],
      config: { targets: [target(1)], proofs },
    });
    const { id } = await open.modelInfer(inferRequest("", 1, 2, 3));
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    await until(() => log.receipts.length === 1);
    expect(log.ids).toEqual([id]);
    registry.deploy("d", { targets: [target(1)] });
    await until(() => registry.reports.at(-1)?.deployments[0]?.revision === 2n);
    expect((await open.modelInfer(inferRequest("", 1, 2, 3))).id).toBe("");
  });

  it("is refused before it runs where id or context are longer than a receipt takes", async () => {
    const { open, named, log } = await useReceipts({
      graphs: [classifier()],
      config: { targets: [target(1)], proofs },
    });
    const refused = { kind: "InvalidArgument" };
    await expect(open.modelInfer(inferRequest("é".repeat(513), 1, 2, 3))).rejects.toMatchObject(
      refused,
    );
    const context = text("é".repeat(129));
    await expect(
      open.modelInfer({ ...inferRequest("a", 1, 2, 3), parameters: { context } }),
    ).rejects.toMatchObject(refused);
    await expect(
      named.predict({
        deployment: DEPLOYMENT,
        rows: [{ x: [1, 2, 3] }],
        context: Buffer.alloc(257),
      }),
    ).rejects.toMatchObject(refused);
    const longest = "é".repeat(512);
    await open.modelInfer({
      ...inferRequest(longest, 1, 2, 3),
      parameters: { context: text("é".repeat(128)) },
    });
    await until(() => log.receipts.length > 0);
    expect(log.receipts).toMatchObject([{ id: longest, context: "é".repeat(128) }]);
  });
});

describe("receipts", () => {
  it("are given for every message of both streams, and for none that failed", async () => {
    const { open, named, log } = await useReceipts({
      graphs: [lookUp()],
      config: { targets: [target(1)], proofs },
    });
    const message = (id: string, index: number, shape = [1n, 1n]) => ({
      modelName: DEPLOYMENT,
      id,
      inputs: [{ name: "x", datatype: "INT64", shape }],
      rawInputContents: [int64(index)],
    });
    const sent = Array.from({ length: 3_000 }, (_, i) => message(`m${i}`, i % 3));
    const bad = [message("out of range", 7), message("no such shape", 1, [1n])];
    const replies = await Array.fromAsync(
      open.modelStreamInfer(inTurn([...sent, ...bad, message("last", 1)])),
    );
    expect(replies.filter(({ errorMessage }) => errorMessage !== "")).toHaveLength(2);
    const requests = Array.from({ length: 50 }, (_, i) => ({
      request: { deployment: DEPLOYMENT, id: `p${i}`, rows: [{ x: [i % 3] }] },
    }));
    await Array.fromAsync(named.streamPredict(inTurn(requests)));
    const ids = [...sent.map(({ id }) => id), "last", ...requests.map(({ request }) => request.id)];
    await until(() => log.receipts.length >= ids.length);
    expect(log.ids).toEqual(ids.sort());
    for (const { id, input, output } of log.receipts.slice(0, 100)) {
      const index = Number(id.slice(1)) % 3;
      const shape = [1, 1];
      expect(input).toBe(digestOf({ name: "x", datatype: "INT64", shape, data: int64(index) }));
      const data = fp32([10, 20, 30][index]!);
      expect(output).toBe(digestOf({ name: "y", datatype: "FP32", shape, data }));
    }
    const counts = log.batches.map(({ inferenceIds }) => inferenceIds.length);
    expect(Math.max(...counts)).toBeLessThanOrEqual(1_024);
    const sequences = log.batches.map(({ sequence }) => Number(sequence));
    expect(sequences).toEqual(sequences.map((_, i) => i + 1));
  });

  it("are those of the version that answered; a shadow's copies have none", async () => {
    const { open, log } = await useReceipts({
      graphs: [classifier(), classifier(1)],
      config: {
        targets: [target(1)],
        shadows: [{ modelVersion: target(2).modelVersion, sampleRate: 1 }],
        proofs,
      },
    });
    const ids = Array.from({ length: 20 }, (_, i) => `r${i}`);
    for (const id of ids) await open.modelInfer(inferRequest(id, 1, 2, 3));
    // Whoever asks the shadow's version by its number is answered by it.
    await open.modelInfer({ ...inferRequest("asked", 1, 2, 3), modelVersion: "2" });
    await until(() => log.receipts.length > ids.length);
    expect(log.ids).toEqual([...ids, "asked"].sort());
    for (const { id, modelVersion } of log.receipts) {
      expect(modelVersion).toBe(target(id === "asked" ? 2 : 1).modelVersion);
    }
  });

  it("are taken of tensors of every size, and of many versions at once", async () => {
    const registry = new TestRegistry();
    registry.deploy("other", { targets: [target(1)], proofs });
    const { open, log } = await useReceipts({
      graphs: [identity("FP32", ["N", 3])],
      config: { targets: [target(1)], proofs },
      registry,
    });
    const rows = [1, 2, 100, 3_000, 12_000, 60_000, 5, 65_536, 1];
    const values = (count: number) =>
      Buffer.from(Float32Array.from({ length: count * 3 }, (_, i) => i / 7).buffer);
    const expected = new Map<string, string>();
    for (const [i, count] of rows.entries()) {
      for (const deployment of ["d", "other"]) {
        const id = `${deployment}-${i}`;
        const reply = await open.modelInfer({
          modelName: `workspaces/w/deployments/${deployment}`,
          id,
          inputs: [{ name: "x", datatype: "FP32", shape: [BigInt(count), 3n] }],
          rawInputContents: [values(count)],
        });
        expected.set(id, digestOfReply(reply));
      }
    }
    await until(() => log.receipts.length === expected.size);
    expect(new Map(log.receipts.map(({ id, output }) => [id, output]))).toEqual(expected);
    for (const { id, deployment } of log.receipts) {
      expect(deployment).toBe(`workspaces/w/deployments/${id.split("-")[0]}`);
    }
  });

  it("are not taken where the deployment asks for none, and from when it does on", async () => {
    const { open, log, registry } = await useReceipts({
      graphs: [classifier()],
      config: { targets: [target(1)] },
    });
    await open.modelInfer(inferRequest("before", 1, 2, 3));
    registry.deploy("d", { targets: [target(1)], proofs });
    await until(() => registry.reports.at(-1)?.deployments[0]?.revision === 2n);
    await open.modelInfer(inferRequest("after", 1, 2, 3));
    await until(() => log.receipts.length > 0);
    expect(log.ids).toEqual(["after"]);
  });

  it("are missed by nobody unawares: a server that knows no log does not answer", async () => {
    const { open } = await useReceipts({
      graphs: [classifier()],
      config: { targets: [target(1)], proofs },
      hasLog: false,
    });
    await expect(open.modelInfer(inferRequest("r", 1, 2, 3))).rejects.toMatchObject({
      kind: "Unavailable",
      message: expect.stringContaining("PLINTH_PROOFS_ADDRESS"),
    });
  });
});
