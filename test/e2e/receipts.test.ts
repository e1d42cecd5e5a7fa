// Receipts through the whole mesh: what a caller holds is what the receipt says, checked by a script
// that shares nothing with Plinth, and a mesh that stops takes none along.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ModelInferResponse } from "../../gen/inference/grpc_service_pb.js";
import { encodeModel } from "../../services/common/testing/onnx-writer.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { classifier } from "../../services/inference/testing/graphs.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { shareMesh, useMesh } from "./use-mesh.ts";
import { type Clients, clientsOn, DEFAULT, rowsOf, serveModel } from "./use-models.ts";

const SCRIPT = "services/proofs/receipts/testing/check_digests.py";
const SERVICES = ["registry", "proofs", "inference"] as const;
const RECEIPTS = { config: { proofs: { receipts: true } } };

interface Held {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const mesh = shareMesh({}, SERVICES);
const clients = (): Clients => clientsOn(mesh.current.channel);

/** The receipts of an inference, once they are there. */
async function receiptsOf(inferenceId: string, on = clients()) {
  const call = { parent: DEFAULT, inferenceId };
  await expect
    .poll(async () => (await on.receipts.getReceipts(call)).receipts.length, { timeout: 20_000 })
    .toBeGreaterThan(0);
  return (await on.receipts.getReceipts(call)).receipts;
}

/** What the script says of a receipt and what its holder has; undefined without Python. */
async function scriptSays(
  inferenceId: string,
  held: { readonly inputs: readonly Held[]; readonly outputs: readonly Held[] },
): Promise<string | undefined> {
  const [receipt] = await receiptsOf(inferenceId);
  const { verifierKeys } = await clients().receipts.getTreeHead({ parent: DEFAULT });
  const folder = useFolder();
  const [file, proof] = [join(folder, "held.json"), join(folder, "receipt.tlog-proof")];
  const base64 = (tensors: readonly Held[]) =>
    tensors.map((tensor) => ({ ...tensor, data: Buffer.from(tensor.data).toString("base64") }));
  writeFileSync(
    file,
    JSON.stringify({ inputs: base64(held.inputs), outputs: base64(held.outputs) }),
  );
  writeFileSync(proof, receipt!.evidence);
  const { error, stdout, stderr } = spawnSync("python3", [SCRIPT, file, proof, verifierKeys[0]!], {
    encoding: "utf8",
  });
  return error === undefined ? (stdout + stderr).trim() : undefined;
}

function outputsOf({ outputs, rawOutputContents }: ModelInferResponse): Held[] {
  return outputs.map(({ name, datatype, shape }, i) => ({
    name,
    datatype,
    shape: shape.map(Number),
    data: rawOutputContents[i]!,
  }));
}

describe("receipts", () => {
  it("are of the tensors that a caller sent and got, says a script of its own", async (test) => {
    await serveModel(clients(), "classes", encodeModel(classifier()), RECEIPTS);
    const data = Buffer.from(Float32Array.of(1, 2, 3, -4, 5.5, 6).buffer);
    const input = { name: "x", datatype: "FP32", shape: [2, 3], data };
    const wanted = [[], [{ name: "scores" }], [{ name: "scores" }, { name: "label" }]];
    for (const [i, outputs] of wanted.entries()) {
      const reply = await clients().inference.modelInfer({
        modelName: "classes",
        id: `r${i}`,
        inputs: [{ ...input, shape: [2n, 3n] }],
        outputs,
        rawInputContents: [data],
      });
      const held = { inputs: [input], outputs: outputsOf(reply) };
      const said = await scriptSays(reply.id, held);
      test.skip(said === undefined, "there is no python3");
      expect(said).toBe(`r${i}`);
      const changed = Buffer.from(data);
      changed[0]! ^= 1;
      const inputs = [{ ...input, data: changed }];
      expect(await scriptSays(reply.id, { ...held, inputs })).toBe(
        "invalid: the receipt is of other inputs",
      );
      expect(await scriptSays(reply.id, { ...held, outputs: held.outputs.slice(1) })).toBe(
        "invalid: the receipt is of other outputs",
      );
    }
  });

  it("are of the numbers that Predict shows", async (test) => {
    await serveModel(clients(), "shown", encodeModel(classifier()), RECEIPTS);
    const context = Buffer.from("order 17");
    const reply = await clients().predictions.predict({
      deployment: "shown",
      rows: [{ x: [0.1, 2, 3] }, { x: [1e-7, -0.25, 4] }],
      context,
    });
    const column = (name: string) => reply.predictions.flatMap(({ outputs }) => outputs?.[name]);
    const floats = (values: readonly number[]) => Buffer.from(Float32Array.from(values).buffer);
    const labels = BigInt64Array.from(column("label") as number[], BigInt);
    const said = await scriptSays(reply.id, {
      inputs: [
        { name: "x", datatype: "FP32", shape: [2, 3], data: floats([0.1, 2, 3, 1e-7, -0.25, 4]) },
      ],
      outputs: [
        { name: "label", datatype: "INT64", shape: [2], data: new Uint8Array(labels.buffer) },
        {
          name: "scores",
          datatype: "FP32",
          shape: [2, 2],
          data: floats(column("scores") as number[]),
        },
      ],
    });
    test.skip(said === undefined, "there is no python3");
    expect(said).toBe(reply.id);
    const [receipt] = await receiptsOf(reply.id);
    expect(receipt).toMatchObject({ deployment: `${DEFAULT}/deployments/shown`, rows: 2 });
    expect(Buffer.from(receipt!.context)).toEqual(context);
  });
});

describe("a mesh that stops", () => {
  it("logs the receipts of all that it answered, and has them after its restart", async () => {
    const settings = { PLINTH_DATA_DIR: useFolder(), PLINTH_INFERENCE_RECEIPTS_INTERVAL: "10s" };
    const first = await useMesh(settings, SERVICES);
    const before = clientsOn(first.channel);
    await serveModel(before, "linear", linearModel(), RECEIPTS);
    const answered: string[] = [];
    let isStopping = false;
    const calling = [1, 2, 3, 4].map(async (caller) => {
      for (let i = 0; !isStopping || i < 50; i++) {
        const id = `${caller}-${i}`;
        const call = before.inference.modelInfer(rowsOf("linear", [[1, 2, 3, 4]], { id }));
        const failed = await call.then(
          () => answered.push(id) && undefined,
          (error: unknown) => error,
        );
        if (failed !== undefined) {
          expect(isStopping).toBe(true);
          return;
        }
      }
    });
    await expect.poll(() => answered.length).toBeGreaterThan(100);
    isStopping = true;
    await first.mesh.drain();
    await Promise.all(calling);
    await first.mesh[Symbol.asyncDispose]();
    const after = clientsOn((await useMesh(settings, SERVICES)).channel);
    const logged: string[] = [];
    for (let pageToken = "", isFirst = true; isFirst || pageToken !== ""; isFirst = false) {
      const page = await after.receipts.listReceipts({
        parent: DEFAULT,
        pageSize: 1_000,
        pageToken,
      });
      logged.push(...page.receipts.map(({ inferenceId }) => inferenceId));
      pageToken = page.nextPageToken;
    }
    expect(logged.sort()).toEqual(answered.sort());
  });
});
