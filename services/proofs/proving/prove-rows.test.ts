import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { ProofJob_State as State } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import { withoutStamps } from "../../common/documents/resource.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { type ProofJob, requireSameCircuit } from "./proof-job.ts";
import { mustGiveWay } from "./prove-rows.ts";
import {
  addCircuit,
  layerOutput,
  request,
  rowsOfX,
  startProving,
  useProving,
  watched,
} from "./testing/use-proving.ts";

const SERVER = fileURLToPath(new URL("./testing/proving-server.ts", import.meta.url));

describe("proof jobs", () => {
  it("go on where the server stopped, with the proofs that there are", async () => {
    const folder = useFolder();
    const first = await startProving({ folder });
    const circuit = await addCircuit(first);
    const rows = rowsOfX(12);
    const { name } = await first.client.proveInference(request(circuit, rows));
    first.proving.start();
    const half = await watched(first, name, ({ rowsDone }) => rowsDone >= 3);
    await first[Symbol.asyncDispose]();
    const made = half.rows.map(({ proof }) => proof).filter((proof) => proof !== "");

    const second = await useProving({ folder });
    const waiting = await second.client.getProofJob({ name });
    expect(waiting.state).toBe(State.QUEUED);
    second.proving.start();
    const done = await watched(second, name);
    expect(done).toMatchObject({ state: State.SUCCEEDED, rowsDone: 12 });
    expect(done.rows.slice(0, made.length).map(({ proof }) => proof)).toEqual(made);
    const { proofs } = await second.client.listProofs({ parent: "workspaces/w", circuit });
    expect(proofs).toHaveLength(12);
  });

  it("go on when the server was killed; no row is proved twice", { timeout: 60_000 }, async () => {
    const folder = useFolder();
    const before = await startProving({ folder });
    const circuit = await addCircuit(before);
    const rows = rowsOfX(24);
    const { name } = await before.client.proveInference(request(circuit, rows));
    await before[Symbol.asyncDispose]();

    const server = spawn(process.execPath, ["--no-warnings", SERVER, folder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    onTestFinished(() => void server.kill("SIGKILL"));
    await once(server.stdout, "data");
    const after = await useProving({ folder, config: { jobPollMs: 100 } });
    await watched(after, name, ({ rowsDone }) => rowsDone >= 2);
    server.kill("SIGKILL");
    await once(server, "exit");
    const left = await after.client.getProofJob({ name });
    expect(left.rowsDone).toBeLessThan(24);
    after.proving.start();
    const done = await watched(after, name);
    expect(done).toMatchObject({ state: State.SUCCEEDED, rowsDone: 24 });
    const made = left.rows.map(({ proof }) => proof);
    const kept = done.rows.map(({ proof }, row) => (made[row] === "" ? "" : proof));
    expect(kept).toEqual(made);
    const { proofs } = await after.client.listProofs({ parent: "workspaces/w", circuit });
    expect(proofs.map((proof) => proof.name).sort()).toEqual(
      done.rows.map(({ proof }) => proof).sort(),
    );
  });

  it("take a proof that is there though its worker could not tell of it", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, proving } = rig;
    const circuit = await addCircuit(rig);
    const { name } = await client.proveInference(request(circuit, rowsOfX(2)));
    proving.start();
    const done = await watched(rig, name);
    // As if the worker had died between the last proof and its checkpoint; nothing can be proved
    // with these inputs, so the row must not be.
    const { version: _version, revision: _revision, ...job } = await proving.jobs.get(name);
    const [first = null] = job.proofs;
    await proving.jobs.delete(name);
    await proving.jobs.collection.insertOne({
      ...job,
      state: "QUEUED",
      endTime: null,
      expireTime: null,
      proofs: [first, null],
      rowsDone: 1,
      inputs: { bytes: new Uint8Array() },
      _id: `${name}-again`,
    });
    const again = await watched(rig, `${name}-again`);
    expect(again.state).toBe(State.SUCCEEDED);
    expect(again.rows.map(({ proof }) => proof)).toEqual(done.rows.map(({ proof }) => proof));
  });

  it("outlive the prover's process", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, prover } = rig;
    const circuit = await addCircuit(rig);
    const rows = rowsOfX(8);
    const { name } = await client.proveInference(request(circuit, rows));
    rig.proving.start();
    await watched(rig, name, ({ rowsDone }) => rowsDone >= 2);
    const lost = prover.processId;
    process.kill(lost!, "SIGKILL");
    const done = await watched(rig, name);
    expect(done).toMatchObject({ state: State.SUCCEEDED, rowsDone: 8 });
    expect(prover.processId).not.toBe(lost);
    expect(done.rows.map(({ output }) => output?.integers)).toEqual(
      rows.map((x) => layerOutput(1, x)),
    );
  });

  it("are proved by priority, and of one priority the workspaces in turns", async () => {
    const order: string[] = [];
    const rig = await useProving({
      folder: useFolder(),
      events: { proofMade: (circuit) => void order.push(circuit.split("/")[1]!) },
    });
    const { client } = rig;
    const many = await addCircuit(rig);
    const few = await addCircuit(rig, { workspace: "few", seed: 2 });
    const urgent = await addCircuit(rig, { workspace: "urgent", seed: 3 });
    const names: string[] = [];
    for (let job = 0; job < 10; job++) {
      names.push((await client.proveInference(request(many, rowsOfX(2, job)))).name);
    }
    const late = await client.proveInference(request(few, rowsOfX(3)));
    const first = await client.proveInference(request(urgent, rowsOfX(3), { priority: 1 }));
    expect([late.priority, first.priority]).toEqual([5, 1]);
    rig.proving.start();
    for (const name of [...names, late.name, first.name]) {
      expect((await watched(rig, name)).state).toBe(State.SUCCEEDED);
    }
    expect(order).toHaveLength(26);
    // Two rows are under way at once: one or two of others may come between.
    const lastOf = (workspace: string) => order.lastIndexOf(workspace);
    expect(lastOf("urgent")).toBeLessThan(8);
    expect(lastOf("few")).toBeLessThan(16);
    expect(lastOf("w")).toBeGreaterThan(20);
  });

  it("are cancelled while they wait and while they are at work, and keep what is done", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client } = rig;
    const circuit = await addCircuit(rig);
    const waiting = await client.proveInference(request(circuit, rowsOfX(2)));
    expect((await client.cancelProofJob({ name: waiting.name })).state).toBe(State.CANCELLED);
    const { name } = await client.proveInference(request(circuit, rowsOfX(200)));
    rig.proving.start();
    await watched(rig, name, ({ rowsDone }) => rowsDone >= 2);
    await client.cancelProofJob({ name });
    const done = await watched(rig, name);
    expect(done.state).toBe(State.CANCELLED);
    expect(done.rowsDone).toBeGreaterThanOrEqual(2);
    expect(done.rowsDone).toBeLessThan(200);
    const kept = done.rows.map(({ proof }) => proof).filter((proof) => proof !== "");
    expect(kept).toHaveLength(done.rowsDone);
    await client.getProof({ name: kept[0]! });
  });

  it("fail where what is proved is not what was answered", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, proving } = rig;
    const circuit = await addCircuit(rig);
    const { name } = await client.proveInference(request(circuit, rowsOfX(2)));
    const { version, revision: _, ...job } = await proving.jobs.get(name);
    const answers = Uint8Array.from(job.answers.bytes!);
    // The last byte of the second row's first value.
    answers[answers.length / 2 + 31]! ^= 1;
    const changed = { ...job, answers: { bytes: answers } };
    await proving.jobs.collection.replaceOne(changed, { ifVersion: version });
    proving.start();
    const done = await watched(rig, name);
    expect(done).toMatchObject({ state: State.FAILED, rowsDone: 1 });
    expect(done.error?.message).toContain("Row 1");
    expect(done.rows.map(({ proof }) => proof !== "")).toEqual([true, false]);
  });

  it("fail with what was wrong when the circuit is gone", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, circuits } = rig;
    const circuit = await addCircuit(rig);
    const { name } = await client.proveInference(request(circuit, rowsOfX(2)));
    await circuits.remove(await circuits.get(circuit));
    rig.proving.start();
    const done = await watched(rig, name);
    expect(done.state).toBe(State.FAILED);
    expect(done.error?.message).toContain(circuit);
    // What was answered can still be read.
    expect(done.rows[1]?.output?.integers).toEqual(layerOutput(1, rowsOfX(2)[1]!));
  });
});

describe("a circuit that was removed, and whose name another has now", () => {
  it("proves nothing of what the other answered", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, circuits, proving } = rig;
    const name = await addCircuit(rig);
    const job = await client.proveInference(request(name, rowsOfX(2)));
    await circuits.remove(await circuits.get(name));
    // The same model, so that its proofs would say the very same: under another key.
    expect(await addCircuit(rig)).toBe(name);
    proving.start();
    const done = await watched(rig, job.name);
    expect(done).toMatchObject({ state: State.FAILED, rowsDone: 0 });
    expect(done.error?.message).toMatch(/was removed, and another has its name now/);
    const mine = await client.proveInference(request(name, rowsOfX(2)));
    expect((await watched(rig, mine.name)).state).toBe(State.SUCCEEDED);
  });

  it("leaves it neither its proofs nor its times", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, circuits, proving } = rig;
    const name = await addCircuit(rig);
    const first = await circuits.get(name);
    proving.start();
    await watched(rig, (await client.proveInference(request(name, rowsOfX(1)))).name);
    await expect.poll(async () => (await circuits.get(name)).proveMs).toHaveLength(1);
    expect(await proving.newestProof(first)).toMatchObject({ circuit: name });
    await circuits.remove(first);
    await addCircuit(rig);
    const second = await circuits.get(name);
    expect(second.proveMs).toEqual([]);
    expect(await proving.newestProof(second)).toBeUndefined();
  });

  it("is told apart from one whose key is another", async () => {
    const rig = await useProving({ folder: useFolder() });
    const { client, circuits, proving } = rig;
    const name = await addCircuit(rig);
    const { answeredBy } = await proving.jobs.get(
      (await client.proveInference(request(name, rowsOfX(1)))).name,
    );
    const circuit = await circuits.get(name);
    const job = { circuit: name, answeredBy };
    requireSameCircuit(job, circuit);
    const rekeyed = { ...circuit, key: { ...circuit.key!, zkey: "5".repeat(64) } };
    expect(() => requireSameCircuit(job, rekeyed)).toThrow(/has another key/);
  });
});

describe("a job that another release stored", () => {
  it.each([
    ["what answered", ({ answeredBy: _, ...job }: ProofJob) => job],
    ["what was answered", (job: ProofJob) => ({ ...job, answers: null })],
    ["how many rows it has", ({ rowCount: _, ...job }: ProofJob) => job],
  ])("without %s fails and says so, and stops nobody", async (_, change) => {
    const folder = useFolder();
    const before = await startProving({ folder });
    const circuit = await addCircuit(before);
    const old = await before.client.proveInference(request(circuit, rowsOfX(3)));
    const { collection } = before.proving.jobs;
    const stored = await before.proving.jobs.get(old.name);
    const changed = change(withoutStamps<ProofJob>(stored)) as ProofJob;
    await collection.replaceOne(changed, { ifVersion: stored.version });
    await before[Symbol.asyncDispose]();

    const rig = await useProving({ folder, config: { queueRowsMax: 3 } });
    const { name } = await rig.client.proveInference(request(circuit, rowsOfX(3)));
    rig.proving.start();
    expect(await watched(rig, name)).toMatchObject({ state: State.SUCCEEDED });
    const ended = async () => (await rig.proving.jobs.get(old.name)).state;
    await expect.poll(ended, { timeout: 20_000 }).toBe("FAILED");
    const { error } = await rig.proving.jobs.get(old.name);
    expect(error).toMatchObject({ message: expect.stringContaining("Ask for the rows again") });
  });
});

describe("mustGiveWay", () => {
  const job = { workspace: "a", priority: 5 };
  const waits = (workspace: string, priority: number) => ({
    best: () => ({ workspace, priority }),
  });
  const full = new Map([
    ["a", 7],
    ["b", 1],
  ]);

  it.each([
    ["nobody waits", { best: () => undefined }, full, 99_999, false],
    ["there is room", waits("c", 1), new Map([["a", 1]]), 99_999, false],
    ["a better priority waits", waits("a", 4), full, 0, true],
    ["a worse priority waits", waits("c", 6), full, 99_999, false],
    ["a workspace has none at work", waits("c", 5), full, 0, true],
    ["a workspace has one at work already", waits("b", 5), full, 99_999, false],
    ["its own workspace waits", waits("a", 5), full, 99_999, false],
  ])("when %s", (_, queue, held, heldMs, expected) => {
    expect(mustGiveWay(queue, job, { held, heldMs })).toBe(expected);
  });

  it("keeps the only place of a workspace for a while", () => {
    const held = new Map([..."abdefghi"].map((workspace) => [workspace, 1]));
    expect(mustGiveWay(waits("c", 5), job, { held, heldMs: 29_999 })).toBe(false);
    expect(mustGiveWay(waits("c", 5), job, { held, heldMs: 30_000 })).toBe(true);
  });
});
