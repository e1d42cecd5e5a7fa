import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import { CircuitOptions_InputMode as InputMode } from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { withoutStamps } from "../../common/documents/resource.ts";
import type { DomainError, InvalidArgument } from "../../common/errors/domain-error.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import type { Circuit } from "../circuits/circuit.ts";
import {
  addCircuit,
  layerOutput,
  request,
  rowsOfX,
  useProving,
  VERSION,
  watched,
} from "./testing/use-proving.ts";

describe("ProveInference", () => {
  it("says at once what is wrong, and stores nothing", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, proving } = rig;
    const circuit = await addCircuit(rig);
    const [x] = rowsOfX(1);
    const fieldsOf = async (given: object): Promise<string[]> => {
      const asked = { ...request(circuit, [x!]), ...given };
      const error = await client.proveInference(asked).catch((e: InvalidArgument) => e);
      expect(error).toMatchObject({ kind: "InvalidArgument" });
      return (error as InvalidArgument).violations.map(({ field }) => field);
    };
    const input = (given: object) => ({ inputs: [{ name: "x", floats: x!, ...given }] });
    expect(await fieldsOf({ circuit: "c" })).toEqual(["circuit"]);
    expect(await fieldsOf({ rows: 0 })).toEqual(["rows"]);
    expect(await fieldsOf({ rows: 1001, priority: 10, requestId: "r".repeat(65) })).toEqual([
      "rows",
      "priority",
      "request_id",
    ]);
    expect(await fieldsOf({ inferenceId: "i".repeat(257) })).toEqual(["inference_id"]);
    expect(await fieldsOf({ deployment: "workspaces/v/deployments/d" })).toEqual(["deployment"]);
    expect(await fieldsOf({ context: Buffer.alloc(32) })).toEqual(["context"]);
    expect(await fieldsOf({ context: Buffer.of(1) })).toEqual(["context"]);
    expect(await fieldsOf({ salts: ["1"] })).toEqual(["salts"]);
    expect(await fieldsOf({ rows: 2 })).toEqual(["inputs[0].floats"]);
    expect(await fieldsOf({ inputs: [] })).toEqual(["inputs"]);
    expect(await fieldsOf(input({ name: "z" }))).toEqual(["inputs[0].name", "inputs"]);
    expect(await fieldsOf(input({ doubles: x }))).toEqual(["inputs[0]"]);
    expect(await fieldsOf(input({ floats: [1, 2, Number.NaN, 4] }))).toEqual([
      "inputs[0].floats[2]",
    ]);
    expect(await fieldsOf(input({ floats: [], doubles: [1, 2, 3, -Infinity] }))).toEqual([
      "inputs[0].doubles[3]",
    ]);
    const twice = { name: "x", floats: x };
    expect(await fieldsOf({ inputs: [twice, twice] })).toEqual(["inputs[1].name"]);
    // Its range is the circuit's own.
    await expect(
      client.proveInference({ ...request(circuit, [x!]), ...input({ floats: [1, 2, 3, 128] }) }),
    ).rejects.toThrow(/rows\[0\].*x/);
    const none = { ...request(`${VERSION}/circuits/none`, [x!]) };
    await expect(client.proveInference(none)).rejects.toMatchObject({ kind: "NotFound" });
    const other = { ...request(circuit, [x!]), modelDigest: "5".repeat(64) };
    await expect(client.proveInference(other)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      violations: [{ type: "MODEL_DIGEST", subject: circuit }],
    });
    expect(await Array.fromAsync(proving.jobs.collection.find({}))).toEqual([]);
    const doubles = input({ floats: [], doubles: x });
    const { rows } = await client.proveInference({ ...request(circuit, [x!]), ...doubles });
    expect(rows[0]?.output?.integers).toEqual(layerOutput(1, x!));
  });

  it("takes salts one a row and below the order of the field", async () => {
    const rig = await useProving({ folder: useFolder() });
    const circuit = await addCircuit(rig, { inputMode: InputMode.COMMITTED });
    const order = "21888242871839275222246405745257275088548364400416034343698204186575808495617";
    for (const salts of [["1"], ["1", "2", "3"], ["1", order], ["1", "-1"], ["1", "0x1"]]) {
      const asked = request(circuit, rowsOfX(2), { salts });
      await expect(rig.client.proveInference(asked)).rejects.toThrow(/^salts/);
    }
  });

  it("gives a replay the first answer", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client } = rig;
    const circuit = await addCircuit(rig, { inputMode: InputMode.COMMITTED });
    const asked = request(circuit, rowsOfX(2), { requestId: "r" });
    const [a, b] = await Promise.all([client.proveInference(asked), client.proveInference(asked)]);
    expect(b).toEqual(a);
    expect(await client.proveInference(asked)).toEqual(a);
    const other = { ...asked, priority: 3 };
    await expect(client.proveInference(other)).rejects.toMatchObject({ kind: "InvalidArgument" });
    expect((await client.listProofJobs({ parent: "workspaces/w" })).proofJobs).toHaveLength(1);
  });

  it("refuses a workspace that has too many rows waiting, and no other", async () => {
    const config = { queueRowsMax: 5 };
    const rig = await useProving({ folder: useFolder(), config });
    const { client } = rig;
    const circuit = await addCircuit(rig);
    const other = await addCircuit(rig, { workspace: "v" });
    const first = await client.proveInference(request(circuit, rowsOfX(3)));
    const answers = await Promise.allSettled(
      [1, 2, 3, 4].map((n) => client.proveInference(request(circuit, rowsOfX(1, n)))),
    );
    expect(answers.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
    const refused = answers.flatMap((a) => (a.status === "rejected" ? [a.reason] : []));
    expect(refused).toMatchObject([
      { kind: "ResourceExhausted", reason: ErrorReason.OVERLOADED },
      { kind: "ResourceExhausted", message: expect.stringContaining("5 rows") },
    ]);
    await client.proveInference(request(other, rowsOfX(5)));
    await client.cancelProofJob({ name: first.name });
    const next = await client.proveInference(request(circuit, rowsOfX(3)));
    rig.proving.start();
    await watched(rig, next.name);
    await expect
      .poll(() => client.proveInference(request(circuit, rowsOfX(5))).then(() => "taken"))
      .toBe("taken");
  });

  it("waits for a circuit to be ready", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { circuits, client } = rig;
    const circuit = await addCircuit(rig);
    const { version, ...stored } = await circuits.jobs.get(circuit);
    const change = async (next: Partial<Circuit>, ifVersion: number) => {
      const document = { ...withoutStamps<Circuit>({ ...stored, version }), ...next };
      return await circuits.jobs.collection.replaceOne(document, { ifVersion });
    };
    const running = await change({ state: "RUNNING", key: null }, version);
    const asked = request(circuit, rowsOfX(1));
    await expect(client.proveInference(asked)).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("RUNNING"),
    });
    const record = { ...stored.key!.record, setup: "ceremony" as const };
    const open = await change({ key: { ...stored.key!, record } }, running.version);
    await expect(client.proveInference(asked)).rejects.toThrow(/awaits contributions/);
    await change({ key: { ...stored.key!, record, verified: true } }, open.version);
    expect((await client.proveInference(asked)).development).toBe(false);
  });

  it("takes the name of a deployment from services alone", async () => {
    const folder = useFolder();
    const rig = await useProving({ folder });
    const circuit = await addCircuit(rig);
    const deployment = "workspaces/w/deployments/d";
    const asked = { ...request(circuit, rowsOfX(1)), deployment };
    await expect(rig.client.proveInference(asked)).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [
        { field: "deployment", description: expect.stringContaining("by inference servers alone") },
      ],
    });
    await rig[Symbol.asyncDispose]();
    const principal = { id: "services/inference", workspace: "-", roles: [Role.SERVICE] };
    const { client } = await useProving({ folder, principal });
    expect((await client.proveInference(asked)).deployment).toBe(deployment);
    const other = { ...asked, deployment: "workspaces/v/deployments/d" };
    await expect(client.proveInference(other)).rejects.toMatchObject({
      violations: [{ field: "deployment", description: expect.stringContaining("must be") }],
    });
  });

  it("serves nobody of another workspace", async () => {
    const folder = useFolder();
    const mine = await useProving({ folder });
    const circuit = await addCircuit(mine);
    mine.proving.start();
    const asked = request(circuit, rowsOfX(1), { inferenceId: "i" });
    const { name } = await mine.client.proveInference(asked);
    const proof = (await watched(mine, name)).rows[0]!.proof;
    const principal = { id: "workspaces/v/apiKeys/k", workspace: "v", roles: [Role.ADMIN] };
    const { client } = await useProving({ folder: useFolder(), principal });
    const parent = "workspaces/w";
    const inferenceId = "i";
    const calls: readonly Promise<unknown>[] = [
      client.proveInference(asked),
      client.getProofJob({ name }),
      client.listProofJobs({ parent }),
      Array.fromAsync(client.watchProof({ name })),
      Array.fromAsync(client.watchProof({ parent, inferenceId })),
      client.cancelProofJob({ name }),
      client.getProof({ name: proof }),
      client.listProofs({ parent }),
      client.listProofs({ parent: "workspaces/v", circuit }),
      client.exportProof({ name: proof }),
      client.verifyProof({ circuit }),
      client.deleteProof({ name: proof }),
    ];
    const kinds = (await Promise.allSettled(calls)).map((call) =>
      call.status === "rejected" ? (call.reason as DomainError).kind : "served",
    );
    // A list of one's own workspace by a circuit of another is a mistake in the request.
    expect(kinds.toSpliced(8, 1)).toEqual(Array.from({ length: 11 }, () => "PermissionDenied"));
    expect(kinds[8]).toBe("InvalidArgument");
  });
});

describe("VerifyProof", () => {
  it("refuses what was changed, and proofs of other circuits, and says why", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client } = rig;
    const circuit = await addCircuit(rig);
    const other = await addCircuit(rig, { id: "other", seed: 2 });
    rig.proving.start();
    const { name } = await client.proveInference(request(circuit, rowsOfX(1)));
    const { rows } = await watched(rig, name);
    const { proof, publicValues } = await client.getProof({ name: rows[0]!.proof });
    const check = { circuit, proof, publicValues };
    expect(await client.verifyProof(check)).toMatchObject({ valid: true });
    const { file } = await client.exportProof({ name: rows[0]!.proof });
    const json = Buffer.from(JSON.stringify(JSON.parse(Buffer.from(file).toString()).proof));
    expect(await client.verifyProof({ ...check, proof: json })).toMatchObject({ valid: true });

    const values = publicValues.with(0, String(BigInt(publicValues[0]!) + 1n));
    const flipped = Uint8Array.from(proof).with(255, proof[255]! ^ 1);
    const [a, c] = [proof.subarray(0, 64), proof.subarray(192)];
    const swapped = Buffer.concat([c, proof.subarray(64, 192), a]);
    const refusals = [
      [{ ...check, publicValues: values }, "proof-invalid"],
      [{ ...check, proof: flipped }, "point-not-on-curve"],
      [{ ...check, proof: swapped }, "proof-invalid"],
      [{ ...check, proof: proof.subarray(1) }, "malformed"],
      [{ ...check, proof: Buffer.from("{}") }, "malformed"],
      [{ ...check, publicValues: publicValues.slice(1) }, "wrong-number-of-public-values"],
      [{ ...check, circuit: other }, "proof-invalid"],
      [{ ...check, context: Buffer.of(1) }, "context-mismatch"],
    ] as const;
    for (const [asked, reason] of refusals) {
      const answer = await client.verifyProof(asked);
      expect(answer).toMatchObject({ valid: false, reason });
      expect(answer.statement).toBeUndefined();
    }
    const long = { ...check, proof: Buffer.alloc(9_000) };
    await expect(client.verifyProof(long)).rejects.toMatchObject({ kind: "InvalidArgument" });
    const digits = { ...check, publicValues: publicValues.with(1, "1".repeat(78)) };
    await expect(client.verifyProof(digits)).rejects.toMatchObject({
      violations: [{ field: "public_values[1]" }],
    });
  });

  it("verifies away from the thread that answers, and 32 of a workspace at once", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, workshop } = rig;
    const circuit = await addCircuit(rig);
    const other = await addCircuit(rig, { workspace: "v" });
    rig.proving.start();
    const { name } = await client.proveInference(request(circuit, rowsOfX(1)));
    const { rows } = await watched(rig, name);
    const { proof, publicValues } = await client.getProof({ name: rows[0]!.proof });
    const check = { circuit, proof, publicValues };
    expect(workshop.verifyingId).toBeUndefined();
    const calls = Array.from({ length: 40 }, () => client.verifyProof(check));
    const answers = await Promise.allSettled([
      ...calls,
      client.verifyProof({ ...check, circuit: other }),
    ]);
    expect(workshop.verifyingId).toBeGreaterThan(0);
    expect(workshop.verifyingId).not.toBe(process.pid);
    const [mine, last] = [answers.slice(0, 40), answers[40]];
    const valid = mine.filter((one) => one.status === "fulfilled" && one.value.valid);
    expect(valid).toHaveLength(32);
    const refused = mine.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect(refused).toHaveLength(8);
    expect(refused[0]).toMatchObject({
      kind: "ResourceExhausted",
      reason: ErrorReason.OVERLOADED,
      message: expect.stringContaining("plinth proof verify"),
    });
    expect(last).toMatchObject({ status: "fulfilled", value: { valid: false } });
    expect(await client.verifyProof(check)).toMatchObject({ valid: true });
  });

  it("verifies a proof that was deleted: whoever has it has it", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, proving } = rig;
    const circuit = await addCircuit(rig);
    proving.start();
    const { name } = await client.proveInference(request(circuit, rowsOfX(1)));
    const proofName = (await watched(rig, name)).rows[0]!.proof;
    const { proof, publicValues } = await client.getProof({ name: proofName });
    expect(await proving.newestProof(await rig.circuits.get(circuit))).toMatchObject({
      _id: proofName,
    });
    await client.deleteProof({ name: proofName });
    await expect(client.getProof({ name: proofName })).rejects.toMatchObject({ kind: "NotFound" });
    await expect(client.deleteProof({ name: proofName })).rejects.toMatchObject({
      kind: "NotFound",
    });
    expect((await client.listProofs({ parent: "workspaces/w" })).proofs).toEqual([]);
    expect(await Array.fromAsync(proving.referencedDigests())).toEqual([]);
    const answer = await client.verifyProof({ circuit, proof, publicValues });
    expect(answer).toMatchObject({ valid: true });
    const watch = await Array.fromAsync(client.watchProof({ name }));
    expect(watch).toMatchObject([{ proofs: [], proofJob: { rowsDone: 1 } }]);
  });
});
