import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import { CircuitOptions_InputMode as InputMode } from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { ProofJob_State as State } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import { useFolder } from "../../common/testing/use-folder.ts";
import { smallPtau } from "../prover/testing/files.ts";
import { verifyInference } from "../verifier/verify-inference.ts";
import { proofFileBytes, readProofFile } from "./proof-file.ts";
import {
  addCircuit,
  layerOutput,
  logisticExample,
  request,
  rowsOfX,
  useProving,
  VERSION,
  watched,
} from "./testing/use-proving.ts";

describe("ProveInference", () => {
  it("answers at once with what is proved then, in a file that stands by itself", async () => {
    const principal = { id: "services/inference", workspace: "-", roles: [Role.SERVICE] };
    const rig = await useProving({ folder: useFolder(), principal });
    const { client, circuits } = rig;
    const { model, row } = logisticExample();
    const circuit = await addCircuit(rig, { model });
    rig.proving.start();
    const job = await client.proveInference({
      circuit: `${VERSION}/circuits/active`,
      rows: 1,
      inputs: [{ name: "features", floats: row(0) }],
      inferenceId: "i-1",
      deployment: "workspaces/w/deployments/d",
    });
    expect(job).toMatchObject({ circuit, modelVersion: VERSION, development: true, priority: 5 });
    expect(job.deployment).toBe("workspaces/w/deployments/d");
    const answer = job.rows[0]?.output;
    expect(answer?.after).toBe("sigmoid");
    const done = await watched(rig, job.name);
    expect(done).toMatchObject({ state: State.SUCCEEDED, rowsDone: 1, inferenceId: "i-1" });
    expect(done.rows[0]?.output).toEqual(answer);
    const proof = await client.getProof({ name: done.rows[0]!.proof });
    expect(proof.statement?.output).toEqual(answer);
    expect(proof).toMatchObject({ circuit, row: 0, inferenceId: "i-1", development: true });
    const inputs = proof.statement?.inputs[0]?.values ?? [];
    expect(Math.max(...inputs.map((value, i) => Math.abs(value - row(0)[i]!)))).toBeLessThan(1);

    const { file, calldata } = await client.exportProof({ name: proof.name });
    expect(proof.name).toBe(
      `workspaces/w/proofs/${createHash("sha256").update(file).digest("hex")}`,
    );
    const read = readProofFile(file);
    expect(Buffer.from(proofFileBytes(read))).toEqual(Buffer.from(file));
    const { compiled, key } = await circuits.get(circuit);
    const verified = verifyInference({
      ...read,
      verifyingKey: key?.record.verifyingKey,
      schema: compiled?.schema,
      expected: {
        vkHash: proof.verifyingKeyHash,
        schemaHash: proof.schemaHash,
        modelCommitment: proof.modelCommitment,
      },
    });
    expect(verified).toMatchObject({ valid: true });
    expect(calldata.length).toBeGreaterThan(256);
    const proofs = await client.listProofs({ parent: "workspaces/w", inferenceId: "i-1" });
    expect(proofs.proofs.map(({ name }) => name)).toEqual([proof.name]);
    expect(proofs.proofs[0]?.statement).toBeUndefined();
    await expect.poll(async () => (await circuits.get(circuit)).proveMs).toHaveLength(1);
  });

  it("proves every row, tells of each proof once, and leaves no witness behind", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client } = rig;
    const circuit = await addCircuit(rig);
    rig.proving.start();
    const rows = rowsOfX(7);
    const { name } = await client.proveInference(request(circuit, rows, { inferenceId: "many" }));
    const told: string[] = [];
    const states = new Set<State>();
    const watch = { parent: "workspaces/w", inferenceId: "many" };
    for await (const { proofJob, proofs } of client.watchProof(watch)) {
      states.add(proofJob!.state);
      told.push(...proofs.map((proof) => proof.name));
    }
    const job = await client.getProofJob({ name });
    expect(job.rows.map(({ output }) => output?.integers)).toEqual(
      rows.map((x) => layerOutput(1, x)),
    );
    expect(told.sort()).toEqual(job.rows.map(({ proof }) => proof).sort());
    expect(new Set(told).size).toBe(7);
    expect(states).toContain(State.SUCCEEDED);
    for (const [row, { proof: proofName }] of job.rows.entries()) {
      const { proof, publicValues, row: index } = await client.getProof({ name: proofName });
      expect(index).toBe(row);
      const verdict = await client.verifyProof({ circuit, proof, publicValues });
      expect(verdict).toMatchObject({ valid: true, reason: "", development: true });
    }
    const left = existsSync(rig.scratchDir) ? readdirSync(rig.scratchDir, { recursive: true }) : [];
    expect(left.filter((path) => /wtns|prove/.test(String(path)))).toEqual([]);
    const page = await client.listProofJobs({ parent: "workspaces/w" });
    expect(page.proofJobs).toMatchObject([{ name, rows: [], rowsDone: 7 }]);
  });

  it("commits to inputs under salts that it says, and forgets the inputs at the end", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, proving } = rig;
    const circuit = await addCircuit(rig, { inputMode: InputMode.COMMITTED, context: true });
    const context = Buffer.from("00ff10", "hex");
    const given = { context, salts: ["5", "6"] };
    const job = await client.proveInference(request(circuit, rowsOfX(2), given));
    expect(job.rows.map(({ salt }) => salt)).toEqual(["5", "6"]);
    const drawn = await client.proveInference(request(circuit, rowsOfX(2)));
    const salts = drawn.rows.map(({ salt }) => salt);
    expect(new Set(salts).size).toBe(2);
    expect((await proving.jobs.get(job.name)).inputs).not.toBeNull();
    proving.start();
    const done = await watched(rig, job.name);
    expect(done.state).toBe(State.SUCCEEDED);
    expect((await proving.jobs.get(job.name)).inputs).toBeNull();
    expect(done.rows.map(({ salt }) => salt)).toEqual(["5", "6"]);
    const { proof, publicValues, statement } = await client.getProof({ name: done.rows[0]!.proof });
    expect(statement?.inputs).toEqual([]);
    expect(statement?.inputCommitment).toMatch(/^[0-9]+$/);
    expect(Buffer.from(statement?.context ?? []).toString("hex")).toBe("ff10");
    const check = { circuit, proof, publicValues };
    expect(await client.verifyProof({ ...check, context })).toMatchObject({ valid: true });
    const other = Buffer.from("ff11", "hex");
    expect(await client.verifyProof({ ...check, context: other })).toMatchObject({
      valid: false,
      reason: "context-mismatch",
    });
    const again = await watched(rig, drawn.name);
    expect(again.rows.map(({ salt }) => salt)).toEqual(salts);
  });

  it("makes PLONK proofs, which it says it cannot verify", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client } = rig;
    const circuit = await addCircuit(rig, { ptau: await smallPtau(8) });
    rig.proving.start();
    const { name } = await client.proveInference(request(circuit, rowsOfX(1)));
    const done = await watched(rig, name);
    expect(done).toMatchObject({ state: State.SUCCEEDED, development: false });
    const proof = await client.getProof({ name: done.rows[0]!.proof });
    expect(proof.verifyingKeyHash).toBe("");
    expect(proof.statement?.output?.integers).toEqual(layerOutput(1, rowsOfX(1)[0]!));
    const { file, calldata } = await client.exportProof({ name: proof.name });
    expect(readProofFile(file)).toMatchObject({ protocol: "plonk", development: false });
    expect(calldata).toHaveLength(0);
    const { proof: bytes, publicValues } = proof;
    await expect(client.verifyProof({ circuit, proof: bytes, publicValues })).rejects.toThrow(
      /PLONK.*snarkjs/,
    );
  });

  it("keeps large parts in blobs, which are referred to as long as they are needed", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { blobs, circuits, client, proving } = rig;
    const circuit = await addCircuit(rig);
    const rows = rowsOfX(600);
    const { name } = await client.proveInference(request(circuit, rows));
    const job = await proving.jobs.get(name);
    const digests = [job.inputs?.digest, job.answers.digest];
    expect(digests.every((digest) => /^[0-9a-f]{64}$/.test(digest ?? ""))).toBe(true);
    expect(await Array.fromAsync(proving.referencedDigests())).toEqual(digests);
    const again = await client.proveInference(request(circuit, rows));
    const cancelled = await client.cancelProofJob({ name });
    expect(cancelled.state).toBe(State.CANCELLED);
    expect(cancelled.rows[599]?.output?.integers).toEqual(layerOutput(1, rows[599]!));
    const other = await proving.jobs.get(again.name);
    const left = [job.answers.digest, other.inputs?.digest];
    expect(new Set(await Array.fromAsync(proving.referencedDigests()))).toEqual(new Set(left));
    // Inputs are gone with their job, at once, and those of the other with the same rows are there.
    await expect.poll(() => blobs.size(job.inputs!.digest!)).toBeUndefined();
    for (const digest of left) {
      expect(await blobs.size(digest!)).toBeGreaterThan(0);
    }
    // However it ends: here as its circuit is gone.
    await circuits.remove(await circuits.get(circuit));
    proving.start();
    expect((await watched(rig, again.name)).state).toBe(State.FAILED);
    await expect.poll(() => blobs.size(other.inputs!.digest!)).toBeUndefined();
    expect(await blobs.size(other.answers.digest!)).toBeGreaterThan(0);
  });

  it("leaves inputs that cannot be removed to the sweeper", async () => {
    const failures: unknown[] = [];
    const rig = await useProving({
      folder: useFolder(),
      events: { backgroundFailed: (work, subject) => void failures.push([work, subject]) },
      blobs: (blobs) =>
        Object.assign(Object.create(blobs), {
          delete: () => Promise.reject(new Error("The disk cannot be written.")),
        }),
    });
    const circuit = await addCircuit(rig);
    const { name } = await rig.client.proveInference(request(circuit, rowsOfX(600)));
    expect((await rig.client.cancelProofJob({ name })).state).toBe(State.CANCELLED);
    await expect.poll(() => failures).toEqual([["proof inputs", name]]);
  });
});
