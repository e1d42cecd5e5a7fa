// The examples' four models, proved: a circuit is made over the API, a deployment answers with it, and
// the proof is checked by what needs no server: the exported key, and a contract in an EVM.

import type { JsonValue } from "@bufbuild/protobuf";
import { beforeAll, describe, expect, it } from "vitest";
import type { PredictResponse } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { CircuitOptions_OutputMode as OutputMode } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { ExportCircuitRequest_File as File } from "../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { ProofJob_State } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { durationOf } from "../../services/common/duration.ts";
import { readVerifyingFile } from "../../services/proofs/circuits/verifying-file.ts";
import { compiled, deployed } from "../../services/proofs/contract/testing/use-contract.ts";
import { readProofFile } from "../../services/proofs/proving/proof-file.ts";
import { verifyInference } from "../../services/proofs/verifier/verify-inference.ts";
import { type HeldOut, heldOutExamples } from "./held-out.ts";
import { exportText, makeCircuit } from "./use-circuits.ts";
import { shareMesh } from "./use-mesh.ts";
import { type Clients, clientsOn, untilServed } from "./use-models.ts";

interface Example {
  readonly deployment: string;
  readonly model: string;
  /** Pixels are whole numbers from 0 to 16 and need no data to calibrate with. */
  readonly range?: { readonly scaleBits: number; readonly low: number; readonly high: number };
  readonly outputMode?: OutputMode;
  readonly context?: Uint8Array;
}

const PIXELS = { scaleBits: 0, low: 0, high: 16 };
const CONTEXT = Uint8Array.from([0x0a, 0x11, 0xff]);
const ROWS = 2;
const PROOF_WAIT_MS = 60_000;
const TIMEOUT_MS = 240_000;

const EXAMPLES: readonly Example[] = [
  { deployment: "breast-cancer", model: "breast-cancer-logistic", context: CONTEXT },
  {
    deployment: "breast-cancer-forest",
    model: "breast-cancer-forest",
    outputMode: OutputMode.PACKED,
  },
  { deployment: "digits", model: "digits-mlp", range: PIXELS },
  {
    deployment: "digits-cnn",
    model: "digits-cnn",
    range: PIXELS,
    outputMode: OutputMode.ARGMAX,
  },
];

const heldOut = heldOutExamples();
const shared = shareMesh();

beforeAll(() => shared.current.seed());

describe("verifiable inference", () => {
  for (const example of EXAMPLES) {
    it(
      `of ${example.model}: answered, proved, checked offline and in the EVM`,
      async () => {
        const clients = clientsOn(shared.current.channel);
        const data = heldOut.find(({ deployment }) => deployment === example.deployment)!;
        const circuit = await circuitOf(clients, example, data);
        const answer = await predictVerifiable(clients, example, data);
        expect(answer.circuit).toBe(circuit);
        expectSameClasses(answer, data);
        const job = await clients.proofs.getProofJob({ name: answer.proofJob });
        expect(job).toMatchObject({
          state: ProofJob_State.SUCCEEDED,
          deployment: `workspaces/default/deployments/${example.deployment}`,
          inferenceId: answer.id,
          rowsDone: ROWS,
        });
        await expectProvedOffline(clients, { circuit, answer, data }, example);
        await expectProvedOnChain(clients, circuit, answer);
      },
      TIMEOUT_MS,
    );
  }
});

/** Makes and activates a circuit, and lets the deployment answer with it. */
async function circuitOf(clients: Clients, example: Example, data: HeldOut): Promise<string> {
  const { outputMode, context, range } = example;
  const [input, tensor] = Object.entries(data.inputs)[0]!;
  const floats = tensor.data.map(Number);
  const name = await makeCircuit(clients, {
    parent: `workspaces/default/models/${example.model}/versions/1`,
    options: {
      ...(outputMode === undefined ? {} : { outputMode }),
      ...(context === undefined ? {} : { context: true }),
      ...(range === undefined ? {} : { inputs: { [input]: range } }),
    },
    calibration: { rows: tensor.shape[0]!, inputs: [{ name: input, floats }] },
  });
  const deployment = `workspaces/default/deployments/${example.deployment}`;
  await clients.deployments.updateDeployment({
    deployment: { name: deployment, config: { proofs: { verifiable: true } } },
    updateMask: { paths: ["config.proofs"] },
  });
  await untilServed(clients, deployment);
  return name;
}

async function predictVerifiable(
  clients: Clients,
  example: Example,
  data: HeldOut,
): Promise<PredictResponse> {
  const { deployment, context } = example;
  const request = {
    deployment,
    rows: requestRows(data),
    verifiable: true,
    proofWait: durationOf(PROOF_WAIT_MS),
    ...(context === undefined ? {} : { context }),
  };
  return await clients.predictions.predict(request, { timeoutMs: 2 * PROOF_WAIT_MS });
}

/** The first held-out rows, by column name where the example has columns. */
function requestRows(data: HeldOut) {
  const [input, { shape, data: values }] = Object.entries(data.inputs)[0]!;
  const width = values.length / shape[0]!;
  return Array.from({ length: ROWS }, (_, row) => {
    const flat = values.slice(row * width, (row + 1) * width).map(Number);
    return data.rows?.[row] ?? { [input]: nested(flat, shape.slice(1)) };
  });
}

/** A flat list as lists in lists. */
function nested(flat: readonly number[], shape: readonly number[]): JsonValue {
  if (shape.length <= 1) return [...flat];
  const [first = 1, ...rest] = shape;
  const size = flat.length / first;
  return Array.from({ length: first }, (_, i) =>
    nested(flat.slice(i * size, (i + 1) * size), rest),
  );
}

/** The circuit's class is that of the training library, and so is the float model's. */
function expectSameClasses({ predictions }: PredictResponse, { outputs }: HeldOut): void {
  const labels = outputs.label?.data ?? [];
  for (const [row, { floatOutputs, label }] of predictions.entries()) {
    expect(floatOutputs).toMatchObject({ label: labels[row] });
    expect(label).not.toBe("");
  }
  const [first, second] = predictions;
  expect(first!.label === second!.label).toBe(labels[0] === labels[1]);
}

interface Answered {
  readonly circuit: string;
  readonly answer: PredictResponse;
  readonly data: HeldOut;
}

/** With the exported files alone; and not when anything of them is changed. */
async function expectProvedOffline(
  clients: Clients,
  { circuit, answer, data }: Answered,
  example: Example,
): Promise<void> {
  const key = readVerifyingFile(await exportText(clients, circuit, File.VERIFYING_KEY));
  const [, tensor] = Object.entries(data.inputs)[0]!;
  const width = tensor.data.length / tensor.shape[0]!;
  expect(answer.proofs).toHaveLength(ROWS);
  for (const { name, row } of answer.proofs) {
    const file = readProofFile((await clients.proofs.exportProof({ name })).file);
    const given = {
      proof: file.proof,
      publicValues: file.publicValues,
      verifyingKey: key.verifyingKey,
      schema: key.schema,
    };
    const proved = verifyInference(given);
    if (!proved.valid || proved.inputs.mode !== "public") {
      throw new Error(`${name} is not proved: ${JSON.stringify(proved)}`);
    }
    const { output, inputs, context } = proved;
    inputs.tensors[0]!.values.forEach((value, i) => {
      const column = tensor.data.filter((_, at) => at % width === i).map(Number);
      // 16 bits hold four to eight times the largest that was seen of a column.
      const largest = Math.max(...column.map(Math.abs));
      expect(Math.abs(value - column[row]!)).toBeLessThanOrEqual(largest * 2 ** -14);
    });
    const label = answer.predictions[row]!.label;
    expect(output.mode === "argmax" ? output.label : labelOf(output)).toBe(label);
    expect(context).toBe(example.context === undefined ? undefined : 0x0a11ffn);
    const [first, ...others] = file.publicValues;
    const changed = [(BigInt(first!) ^ 1n).toString(), ...others];
    expect(verifyInference({ ...given, publicValues: changed })).toMatchObject({ valid: false });
    const elsewhere = { ...given, expected: { vkHash: "0".repeat(64) } };
    expect(verifyInference(elsewhere)).toMatchObject({ reason: "verifying-key-mismatch" });
  }
}

function labelOf(output: object): string | undefined {
  return "predicted" in output ? (output.predicted as { label?: string }).label : undefined;
}

/** In a contract as solc makes it of what is exported; and not with changed calldata. */
async function expectProvedOnChain(
  clients: Clients,
  circuit: string,
  answer: PredictResponse,
): Promise<void> {
  const standardJson = JSON.parse(await exportText(clients, circuit, File.SOLC_INPUT));
  const contract = await deployed(compiled({ standardJson }));
  const { calldata } = await clients.proofs.exportProof({ name: answer.proofs[0]!.name });
  const verified = await contract.call(calldata);
  expect(verified.outcome).not.toBe("reverted");
  expect(verified.logs).toHaveLength(1);
  const vector = JSON.parse(await exportText(clients, circuit, File.TEST_VECTOR));
  for (const { name, calldata: hex, expected } of vector.calls) {
    const { outcome } = await contract.call(Buffer.from(hex.slice(2), "hex"));
    expect([name, outcome === "true" ? "true" : "refused"]).toEqual([name, expected]);
  }
}
