// What those who watch a job are told, and that many cost little more than one.

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { ProofJob_State as State } from "../../../gen/plinth/proofs/v1/proof_pb.js";
import {
  type WatchProofResponse,
  WatchProofResponseSchema,
} from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import { openBlobStore } from "../../common/blobs/open.ts";
import { systemClock as clock } from "../../common/clock.ts";
import { requestStamp } from "../../common/documents/request-stamp.ts";
import { withoutStamps } from "../../common/documents/resource.ts";
import { useStore } from "../../common/documents/testing.ts";
import { proofName } from "../../common/names.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { CircuitFiles } from "../circuits/circuit-files.ts";
import { schemaOf } from "../verifier/testing/schemas.ts";
import { answersBytes } from "./job-parts.ts";
import { JobWatches, WATCHES_MAX } from "./job-watches.ts";
import { PROOF_FILE_KIND } from "./proof-file.ts";
import { openProofJobs, type ProofJob } from "./proof-job.ts";
import { ProofStore } from "./proof-store.ts";

const SCHEMA = schemaOf({ inputMode: "private", output: { shape: [2] } });

async function useWatches() {
  const folder = useFolder();
  const documents = await useStore({ clock });
  const blobs = await openBlobStore(`file:${join(folder, "blobs")}`);
  const files = new CircuitFiles({ blobs, scratchDir: join(folder, "scratch") });
  const jobs = await openProofJobs(documents, { clock, ttlMs: 60_000 });
  const proofs = await ProofStore.open(documents, files);
  await proofs.putSchema("h", SCHEMA);
  const reads = { proofs: 0, rows: 0 };
  const counted = Object.assign(Object.create(proofs) as ProofStore, {
    find: (name: string) => {
      reads.proofs += 1;
      return proofs.find(name);
    },
    schema: (hash: string) => proofs.schema(hash),
  });
  const counting = {
    storeBytes: (bytes: Uint8Array) => files.storeBytes(bytes),
    localPath: (digest: string) => {
      reads.rows += 1;
      return files.localPath(digest);
    },
  };
  const events = { backgroundFailed: () => {} };
  const deps = { jobs, proofs: counted, files: counting, clock, events };
  const watches = await JobWatches.open(deps);
  onTestFinished(async () => {
    await watches[Symbol.asyncDispose]();
    await blobs[Symbol.asyncDispose]();
  });
  return { files, jobs, proofs, reads, watches };
}

type Rig = Awaited<ReturnType<typeof useWatches>>;

async function addJob({ files, jobs }: Rig, rows: number, workspace = "w"): Promise<string> {
  const uid = randomUUID();
  const answers = Array.from({ length: rows }, (_, row) => ({ publicValues: [BigInt(row), 7n] }));
  const job = await jobs.create({
    name: `workspaces/${workspace}/proofJobs/${uid}`,
    uid,
    workspace,
    actor: "anonymous",
    stamp: requestStamp({ method: "m", parent: "p", requestId: "", bytes: Buffer.of() }),
    circuit: "c",
    answeredBy: { circuitUid: "u", modelCommitment: "m", circuitHash: "x", zkey: "z" },
    modelVersion: "v",
    deployment: "",
    inferenceId: "",
    rowCount: rows,
    rowsDone: 0,
    proofs: answers.map(() => null),
    development: true,
    schemaHash: "h",
    inputs: null,
    answers: { digest: await files.storeBytes(answersBytes(answers)) },
  });
  return job._id;
}

async function change({ jobs }: Rig, name: string, next: (job: ProofJob) => Partial<ProofJob>) {
  const { version, ...stored } = await jobs.get(name);
  const job = withoutStamps<ProofJob>({ ...stored, version });
  await jobs.collection.replaceOne({ ...job, ...next(job) }, { ifVersion: version });
}

/** Stores the proof of a row, and tells of it with `more`; gives its name. */
async function prove(
  rig: Rig,
  name: string,
  of: { readonly row: number; readonly bytes?: number; readonly more?: Partial<ProofJob> },
): Promise<string> {
  const { row, bytes = 10, more = {} } = of;
  const { uid, workspace } = await rig.jobs.get(name);
  const { _id } = await rig.proofs.add({
    workspace,
    jobUid: uid,
    circuitUid: "u",
    createTime: new Date(),
    file: {
      version: 1,
      kind: PROOF_FILE_KIND,
      protocol: "plonk",
      circuit: "c",
      modelVersion: "v",
      inferenceId: "",
      row,
      proof: { protocol: "plonk", A: "1".repeat(bytes) },
      publicValues: [String(row), "7"],
      verifyingKeyHash: "",
      schemaHash: "h",
      modelCommitment: "m",
      circuitHash: "x",
      development: true,
      createTime: new Date().toISOString(),
    },
    timings: { queueMs: 0, witnessMs: 0, checkMs: 0, proveMs: 0, verifyMs: 0 },
  });
  await change(rig, name, (job) => ({
    proofs: job.proofs.with(row, proofName.parse(_id, "name").proof),
    rowsDone: job.rowsDone + 1,
    ...more,
  }));
  return _id;
}

const ENDED: Partial<ProofJob> = { state: "SUCCEEDED", endTime: new Date() };

/** What a watch has been told so far; `done` settles with its end. */
function watch({ watches }: Rig, name: string, signal = new AbortController().signal) {
  const told: WatchProofResponse[] = [];
  const done = (async () => {
    for await (const bytes of watches.watch(name, signal)) {
      told.push(fromBinary(WatchProofResponseSchema, bytes));
    }
  })();
  done.catch(() => {});
  return { told, done, proofs: () => told.flatMap(({ proofs }) => proofs) };
}

describe("a watch", () => {
  it("has the rows at the beginning and the end, and in between what is new", async () => {
    const rig = await useWatches();
    const name = await addJob(rig, 3);
    const { told, done, proofs } = watch(rig, name);
    await expect.poll(() => told).toHaveLength(1);
    const made = [await prove(rig, name, { row: 1 })];
    await expect.poll(() => proofs()).toHaveLength(1);
    made.push(await prove(rig, name, { row: 0 }));
    await expect.poll(() => proofs()).toHaveLength(2);
    made.push(await prove(rig, name, { row: 2, more: ENDED }));
    await done;
    expect(proofs().map((proof) => proof.name)).toEqual(made);
    expect(proofs().map(({ statement }) => statement?.output?.integers)).toEqual([
      ["1", "7"],
      ["0", "7"],
      ["2", "7"],
    ]);
    const [first, last] = [told[0], told.at(-1)];
    expect(told.map(({ proofJob }) => proofJob?.rowsDone)).toEqual([0, 1, 2, 3]);
    expect(told.map(({ proofJob }) => proofJob?.rows.length)).toEqual([3, 0, 0, 3]);
    expect(first?.proofJob?.rows.map(({ output }) => output?.integers)).toEqual([
      ["0", "7"],
      ["1", "7"],
      ["2", "7"],
    ]);
    expect(last?.proofJob).toMatchObject({ state: State.SUCCEEDED, name });
    expect(last?.proofJob?.rows.map(({ proof }) => proof)).toEqual([made[1], made[0], made[2]]);
    // One that comes after the end has all in one.
    const late = watch(rig, name);
    await late.done;
    expect(late.told).toMatchObject([{ proofJob: { rowsDone: 3 } }]);
    expect(late.proofs()).toHaveLength(3);
  });

  it("is told of a change of nobody's concern never", async () => {
    const rig = await useWatches();
    const name = await addJob(rig, 2);
    const { told } = watch(rig, name);
    await expect.poll(() => told).toHaveLength(1);
    const lease = { owner: "o", until: new Date(Date.now() + 60_000) };
    await change(rig, name, () => ({ lease }));
    await prove(rig, name, { row: 0 });
    await expect.poll(() => told.at(-1)?.proofJob?.rowsDone).toBe(1);
    expect(told).toHaveLength(2);
  });

  it("is read and encoded once for all who watch", async () => {
    const rig = await useWatches();
    const name = await addJob(rig, 20);
    const all = Array.from({ length: 100 }, () => watch(rig, name));
    await expect.poll(() => all.every(({ told }) => told.length > 0)).toBe(true);
    const made: string[] = [];
    for (let row = 0; row < 20; row++) {
      made.push(await prove(rig, name, { row, ...(row === 19 ? { more: ENDED } : {}) }));
    }
    await Promise.all(all.map(({ done }) => done));
    for (const { proofs } of all) {
      expect(proofs().map((proof) => proof.name)).toEqual(made);
    }
    expect(rig.reads).toEqual({ proofs: 20, rows: 1 });
  });

  it("of many large proofs has them in several messages, and the job in the last", async () => {
    const rig = await useWatches();
    const name = await addJob(rig, 12);
    for (let row = 0; row < 12; row++) {
      const more = row === 11 ? { more: ENDED } : {};
      await prove(rig, name, { row, bytes: 300 * 1024, ...more });
    }
    const { told, done, proofs } = watch(rig, name);
    await done;
    expect(told.map((one) => one.proofs.length)).toEqual([3, 3, 3, 3]);
    expect(told.map(({ proofJob }) => proofJob?.rows.length)).toEqual([
      undefined,
      undefined,
      undefined,
      12,
    ]);
    expect(proofs().map(({ row }) => row)).toEqual(Array.from({ length: 12 }, (_, row) => row));
  });

  it("is told nothing of a proof that was deleted", async () => {
    const rig = await useWatches();
    const name = await addJob(rig, 3);
    const first = watch(rig, name);
    const gone = await prove(rig, name, { row: 0 });
    await expect.poll(() => first.proofs()).toHaveLength(1);
    await rig.proofs.delete(gone);
    rig.watches.forget(gone);
    const left = await prove(rig, name, { row: 2 });
    const second = watch(rig, name);
    await expect.poll(() => second.proofs().map((proof) => proof.name)).toEqual([left]);
  });

  it("ends with its caller, and where the job is gone", async () => {
    const rig = await useWatches();
    const none = watch(rig, `workspaces/w/proofJobs/${randomUUID()}`);
    await expect(none.done).rejects.toMatchObject({ kind: "NotFound" });
    const name = await addJob(rig, 1);
    const leaving = new AbortController();
    const left = watch(rig, name, leaving.signal);
    const stays = watch(rig, name);
    await expect.poll(() => left.told.length + stays.told.length).toBe(2);
    leaving.abort();
    await left.done;
    await rig.jobs.collection.deleteOne(name);
    await expect(stays.done).rejects.toMatchObject({ kind: "NotFound" });
  });

  it("is refused where its workspace has too many, until one is closed", async () => {
    const rig = await useWatches();
    const name = await addJob(rig, 1);
    const closing = Array.from({ length: WATCHES_MAX }, () => new AbortController());
    const open = closing.map(({ signal }) => watch(rig, name, signal));
    await expect.poll(() => open.every(({ told }) => told.length > 0)).toBe(true);
    await expect(watch(rig, name).done).rejects.toMatchObject({
      kind: "ResourceExhausted",
      reason: ErrorReason.OVERLOADED,
      message: expect.stringContaining("GetProofJob"),
    });
    const other = watch(rig, await addJob(rig, 1, "v"));
    await expect.poll(() => other.told).toHaveLength(1);
    closing[0]!.abort();
    await open[0]!.done;
    const next = watch(rig, name);
    await expect.poll(() => next.told).toHaveLength(1);
  });
});
