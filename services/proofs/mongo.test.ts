// That what the service stores, it finds again on a server that speaks the MongoDB protocol. What
// its collections promise beyond that is tested on SQLite, and the drivers have a suite of their own.

import { randomUUID } from "node:crypto";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import { ProofJob_State as State } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { startMongo } from "../../test/mongo-server.ts";
import { systemClock } from "../common/clock.ts";
import { openDocumentStore } from "../common/documents/open.ts";
import { useFolder } from "../common/testing/use-folder.ts";
import { BlobClaims } from "./circuits/blob-claims.ts";
import {
  addCircuit,
  layerOutput,
  request,
  rowsOfX,
  useProving,
  VERSION,
  watched,
} from "./proving/testing/use-proving.ts";
import { checkReceipt } from "./receipts/check-receipt.ts";
import { batchOfInferences } from "./receipts/testing/inferences.ts";
import { trustIn, useKeys, useLog } from "./receipts/testing/use-log.ts";

const server = await startMongo();

afterAll(async () => {
  await server?.stop();
});

if (server === undefined) {
  describe("proofs on MongoDB", () => {
    it.skip("no mongod or ferretdb here: run scripts/ci-mongo.sh to get one", () => {});
  });
} else {
  describe(`proofs on ${server.kind}`, () => onMongo(server.uri));
}

function onMongo(uri: string): void {
  /** A database; what is in it goes with the server. */
  const useDatabase = () => {
    const database = `t${randomUUID().replaceAll("-", "").slice(0, 20)}`;
    return async () => {
      const store = await openDocumentStore(uri + database);
      onTestFinished(async () => await store[Symbol.asyncDispose]());
      return store;
    };
  };

  it("makes the active circuit prove rows, and lists jobs and proofs", async () => {
    const open = useDatabase();
    const documents = await open();
    const rig = await useProving({ folder: useFolder(), documents });
    const { client, circuits } = rig;
    await addCircuit(rig, { id: "former" });
    const circuit = await addCircuit(rig, { id: "c" });
    expect((await circuits.active(VERSION))?._id).toBe(circuit);
    expect(await circuits.ofVersion(VERSION)).toMatchObject([
      { _id: circuit, active: true },
      { active: false },
    ]);
    const rows = rowsOfX(2);
    const inferenceId = "order-7";
    const job = await client.proveInference(request(circuit, rows, { inferenceId }));
    expect(rig.proving.waitingRows(await circuits.get(circuit))).toBe(2);
    rig.proving.start();
    const done = await watched(rig, job.name);
    expect(done).toMatchObject({ state: State.SUCCEEDED, rowsDone: 2 });
    expect(done.rows.map(({ output }) => output?.integers)).toEqual(
      rows.map((row) => layerOutput(1, row)),
    );
    const parent = "workspaces/w";
    const proofs: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listProofs({ parent, inferenceId, pageSize: 1, pageToken });
      proofs.push(...page.proofs.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    const made = done.rows.map(({ proof }) => `${parent}/proofs/${proof.split("/").at(-1)}`);
    expect(proofs.toSorted()).toEqual(made.toSorted());
    const { proofJobs } = await client.listProofJobs({ parent });
    expect(proofJobs.map(({ name }) => name)).toEqual([job.name]);
    // Of two times that are counted at once one may be lost.
    const times = async () => (await circuits.get(circuit)).proveMs;
    await expect.poll(times, { timeout: 10_000 }).not.toHaveLength(0);
  });

  it("logs receipts once, and proves them after a restart", async () => {
    const [open, keys] = [useDatabase(), await useKeys()];
    const first = await useLog(await open(), keys);
    const batch = batchOfInferences(keys, 0, 300);
    expect(await first.append(batch)).toBe(0);
    expect(await first.append(batchOfInferences(keys, 300, 310))).toBe(300);
    await first[Symbol.asyncDispose]();
    const second = await useLog(await open(), keys);
    expect(await second.append(batch)).toBe(0);
    expect((await second.head())?.checkpoint.size).toBe(310);
    for (const index of [0, 255, 256, 309]) {
      expect(checkReceipt(await second.prove(index), trustIn(keys)).valid, `${index}`).toBe(true);
      const found = await second.find(`inference-${index}`);
      expect(found.map((one) => one.index)).toEqual([index]);
    }
    expect((await second.list({ limit: 500 })).map(({ index }) => index)).toEqual(
      Array.from({ length: 310 }, (_, i) => 309 - i),
    );
  });

  it("claims blobs, and marks each for one sweeper", async () => {
    const open = useDatabase();
    const [one, other] = [await open(), await open()];
    const claims = await BlobClaims.open(one, systemClock);
    const { marks } = await BlobClaims.open(other, systemClock);
    const digest = "a".repeat(64);
    await claims.claim(digest);
    await claims.claim(digest);
    expect(await Array.fromAsync(claims.claimed())).toEqual([digest]);
    expect([await claims.marks.mark(digest), await marks.mark(digest)]).toEqual([true, false]);
    await claims.marks.unmark(digest);
    expect(await marks.mark(digest)).toBe(true);
  });
}
