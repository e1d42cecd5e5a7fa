// Circuits of registered models, from the call that asks for one to the files that others take away.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  CircuitOptions_InputMode as InputMode,
  CircuitOptions_OutputMode as OutputMode,
  CircuitOptions_Setup as Setup,
  Circuit_State as State,
} from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { ExportCircuitRequest_File as File } from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { useFolder } from "../../../services/common/testing/use-folder.ts";
import { readVerifyingFile } from "../../../services/proofs/circuits/verifying-file.ts";
import { beforeTask } from "./start-circuits.ts";
import {
  BYTES,
  exported,
  makeLinear,
  pushLinear,
  pushLogistic,
  useCircuits,
  useDoomed,
  useRegistryServer,
  watched,
} from "./use-circuits.ts";

const HELD_OUT = new URL("../../../examples/breast-cancer/logistic.heldout.json", import.meta.url);

/** The held-out rows, as calibration data. */
function calibrationRows() {
  const { inputs, outputs } = JSON.parse(readFileSync(HELD_OUT, "utf8"));
  const { shape, data } = inputs.features;
  return {
    rows: shape[0] as number,
    inputs: [{ name: "features", floats: data as number[] }],
    labels: outputs.label.data as number[],
  };
}

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

describe("circuits", { timeout: 120_000 }, () => {
  it("are made of a registered model, shown on the way, and taken away", {
    timeout: 120_000,
  }, async () => {
    const server = await useRegistryServer();
    const parent = await pushLogistic(server);
    const rig = await useCircuits(server);
    const { client } = rig;
    const created = await client.createCircuit({
      parent: parent.replace(/\d+$/, "latest"),
      circuitId: "first",
      calibration: calibrationRows(),
      options: { context: true },
    });
    expect(created).toMatchObject({ name: `${parent}/circuits/first`, state: State.QUEUED });
    expect(created.options).toMatchObject({
      weightBits: 12,
      activationBits: 12,
      leafBits: 24,
      inputMode: InputMode.PUBLIC,
      setup: Setup.DEVELOPMENT,
    });
    const { circuit, states } = await watched(rig, created.name);
    expect(states.at(-1)).toBe(State.READY);
    expect(states).toEqual(states.toSorted((a, b) => a - b));
    expect(circuit).toMatchObject({
      active: true,
      actor: "anonymous",
      modelDigest: sha256(readFileSync("examples/breast-cancer/logistic.onnx")),
      options: { outputMode: OutputMode.VALUES },
      calibration: { samples: 32, metric: "accuracy", weightBits: 12 },
      setup: { development: true, contributions: [], verified: false },
      report: { proofsMeasured: 0 },
    });
    expect(circuit.calibration?.argmaxAgreement).toBe(1);
    expect(Number(circuit.report?.constraints)).toBeGreaterThan(400);
    expect(Number(circuit.report?.keyBytes)).toBeGreaterThan(100_000);
    expect(await client.getCircuit({ name: `${parent}/circuits/active` })).toEqual(circuit);
    const { circuits } = await client.listCircuits({ parent });
    expect(circuits).toEqual([
      {
        ...circuit,
        calibration: { ...circuit.calibration, layers: [] },
        report: { ...circuit.report, headroom: [] },
      },
    ]);
  });

  it("are taken away as files that say what they are", async () => {
    const server = await useRegistryServer();
    const rig = await useCircuits(server);
    const circuit = await makeLinear(rig, { parent: await pushLinear(server), circuitId: "c" });
    const files = new Map<File, Awaited<ReturnType<typeof exported>>>();
    for (const file of [1, 2, 3, 4, 5, 6, 7] as File[]) {
      const found = await exported(rig, circuit.name, file);
      expect([found.head.sha256, Number(found.head.sizeBytes), found.head.etag]).toEqual([
        sha256(found.bytes),
        found.bytes.length,
        circuit.etag,
      ]);
      files.set(file, found);
    }
    expect(files.get(File.CONSTRAINTS)?.head.sha256).toBe(circuit.circuitHash);
    expect(files.get(File.PROVING_KEY)?.head.sha256).toBe(circuit.setup?.keyHash);
    expect(files.get(File.MODEL)?.head.sha256).toBe(circuit.modelCommitment);
    const verifying = readVerifyingFile(files.get(File.VERIFYING_KEY)?.bytes.toString() ?? "");
    expect(verifying).toMatchObject({
      verifyingKeyHash: circuit.verifyingKeyHash,
      schemaHash: circuit.schemaHash,
      modelCommitment: circuit.modelCommitment,
      circuitHash: circuit.circuitHash,
      development: true,
      setup: "dev-single-party",
    });
    expect(files.get(File.SOLIDITY)?.head.fileName).toBe("InferenceVerifier.sol");
    expect(files.get(File.SOLIDITY)?.bytes.toString()).toContain("DEVELOPMENT SET-UP");
    await expect(exported(rig, circuit.name, File.TRANSCRIPT)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("to which nobody contributes"),
    });
    await expect(exported(rig, circuit.name, File.TEST_VECTOR)).rejects.toMatchObject({
      message: expect.stringContaining("has no proof yet"),
    });
  });

  it("give a test vector of the newest proof", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const rig = await useCircuits(server, {
      newestProof: async (circuit) => {
        const { r1cs, zkey } = await rig.files.proving(circuit);
        await using scratch = await rig.files.scratch("test");
        const witness = `${scratch.path}/w.wtns`;
        const row = { tensors: [Float64Array.of(1, 2, 3, 255)] };
        await rig.workshop.witness(await rig.files.source(circuit), row, witness);
        return await rig.prover.prove({ r1cs, zkey, witness });
      },
    });
    const { name } = await makeLinear(rig, { parent, circuitId: "c" });
    const { bytes } = await exported(rig, name, File.TEST_VECTOR);
    const vector = JSON.parse(bytes.toString());
    expect(vector).toMatchObject({ contract: "InferenceVerifier" });
    expect(vector.calls[0]).toMatchObject({ expected: "true" });
  });

  it("go on after a restart with what was done", async () => {
    const server = await useRegistryServer();
    const parent = await pushLinear(server);
    const folder = useFolder();
    const doomed = await useDoomed(server, folder);
    const { name } = await doomed.client.createCircuit({ parent, circuitId: "c", options: BYTES });
    expect(await doomed.gone).toBe("SIGKILL");
    let compiled = 0;
    const rig = await useCircuits(server, {
      folder,
      config: { jobLeaseMs: 1000 },
      workshop: (workshop) =>
        beforeTask(workshop, "compile", () => {
          compiled += 1;
        }),
    });
    const before = await rig.client.getCircuit({ name });
    expect(before).toMatchObject({
      state: State.SETTING_UP,
      circuitHash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const { circuit } = await watched(rig, name);
    expect(circuit).toMatchObject({ state: State.READY, circuitHash: before.circuitHash });
    expect(compiled).toBe(0);
  });
});
