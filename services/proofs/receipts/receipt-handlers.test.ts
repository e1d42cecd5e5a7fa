import { describe, expect, it } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import type { Principal } from "../../common/auth/principal.ts";
import { useStore } from "../../common/documents/testing.ts";
import { sha256 } from "../../common/receipts/sha256.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { checkConsistency, checkReceipt, checkSignedReceipt } from "./check-receipt.ts";
import { fromBase64 } from "./checkpoint.ts";
import { parseProofText } from "./proof-text.ts";
import { MODEL_FILE, START_US, WORKSPACE } from "./testing/inferences.ts";
import { batchOf, type ReceiptsClient, send, useReceipts } from "./testing/use-receipts.ts";

const parent = WORKSPACE;

/** What a caller who pins the keys that the service names would trust. */
async function trust(client: ReceiptsClient) {
  const { origin, verifierKeys } = await client.getTreeHead({ parent });
  const publicKeys = verifierKeys.map((key) =>
    fromBase64(key.slice(origin.length + 10))!.subarray(1),
  );
  return { origin, publicKeys };
}

async function idsOf(client: ReceiptsClient): Promise<string[]> {
  const { receipts } = await client.listReceipts({ parent, pageSize: 1_000 });
  return receipts.map(({ inferenceId }) => inferenceId).toReversed();
}

describe("receipt-handlers", () => {
  it("logs batches and gives each receipt with evidence that can be checked offline", async () => {
    const { client } = await useReceipts();
    const contexts = ["", "order 7", "x".repeat(256)].map((text) => Buffer.from(text));
    const answers = await send(client, [batchOf(1), batchOf(2, { contexts }), batchOf(3)]);
    expect(answers.map(({ sequence, firstIndex }) => [sequence, firstIndex])).toEqual([
      [1n, 0n],
      [2n, 3n],
      [3n, 6n],
    ]);
    const { receipts } = await client.getReceipts({ parent, inferenceId: "s-2-1" });
    expect(receipts).toHaveLength(1);
    const [{ evidence, $typeName: _, ...receipt }] = receipts as [(typeof receipts)[0]];
    expect(receipt).toMatchObject({
      index: 4n,
      inferenceId: "s-2-1",
      deployment: `${WORKSPACE}/deployments/churn`,
      modelVersion: `${WORKSPACE}/models/churn/versions/3`,
      rows: 2,
    });
    expect(receipt.time).toMatchObject({
      seconds: BigInt(Math.floor(START_US / 1e6)),
      nanos: 2_001_000,
    });
    expect(Buffer.from(receipt.context).toString()).toBe("order 7");
    expect(Buffer.from(receipt.inputDigest)).toEqual(sha256(Buffer.from("input of s-2-1")));
    expect(Buffer.from(receipt.outputDigest)).toEqual(sha256(Buffer.from("output of s-2-1")));
    const verdict = checkReceipt(parseProofText(evidence), await trust(client), {
      modelFile: MODEL_FILE,
      inferenceId: "s-2-1",
      context: Buffer.from("order 7"),
    });
    expect(verdict).toMatchObject({ valid: true });
    const signed = { receipt: parseProofText(evidence).receipt, signature: receipt.signature };
    expect(checkSignedReceipt(signed, await trust(client))).toMatchObject({ valid: true });
    const [other] = (await client.getReceipts({ parent, inferenceId: "s-2-2" })).receipts;
    const mixed = { ...signed, signature: other!.signature };
    expect(checkSignedReceipt(mixed, await trust(client))).toMatchObject({ valid: false });
    expect((await client.getReceipts({ parent, inferenceId: "nobody's" })).receipts).toEqual([]);
  });

  it("lists from the newest on, page by page, and proves that the log only grew", async () => {
    const { client } = await useReceipts();
    expect(await client.getTreeHead({ parent })).toMatchObject({ size: 0n, checkpoint: "" });
    await send(client, [batchOf(1)]);
    const older = (await client.getTreeHead({ parent })).checkpoint;
    await send(client, [batchOf(2), batchOf(3, { count: 1 })]);
    const pages: string[][] = [];
    let pageToken = "";
    do {
      const page = await client.listReceipts({ parent, pageSize: 3, pageToken });
      pages.push(page.receipts.map(({ inferenceId }) => inferenceId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(pages).toEqual([["s-3-0", "s-2-2", "s-2-1"], ["s-2-0", "s-1-2", "s-1-1"], ["s-1-0"]]);
    const { path, checkpoint } = await client.getConsistencyProof({ parent, oldSize: 3n });
    expect(checkpoint).toBe((await client.getTreeHead({ parent })).checkpoint);
    const claim = { older, newer: checkpoint, path };
    expect(checkConsistency(claim, await trust(client))).toMatchObject({ valid: true });
    for (const oldSize of [-1n, 8n, 2n ** 60n]) {
      const refused = client.getConsistencyProof({ parent, oldSize });
      await expect(refused).rejects.toMatchObject({ kind: "InvalidArgument" });
    }
  });

  it("keeps workspaces apart and reaches none that the caller's key does not", async () => {
    let principal: Principal = { id: "s", workspace: "-", roles: [Role.SERVICE] };
    const { client, logs } = await useReceipts({ principal: () => principal });
    const other = {
      deployment: "workspaces/other/deployments/d",
      modelVersion: "workspaces/other/models/m/versions/1",
    };
    const answers = await send(client, [batchOf(1), batchOf(2, other), batchOf(3)]);
    expect(answers.map(({ firstIndex }) => firstIndex)).toEqual([0n, 0n, 3n]);
    expect(logs.openCount).toBe(2);
    expect(await idsOf(client)).toHaveLength(6);
    principal = { id: "k", workspace: "acme", roles: [Role.SERVICE] };
    const forbidden = { kind: "PermissionDenied" };
    const parentOfOther = { parent: "workspaces/other" };
    await expect(send(client, [batchOf(4, other)])).rejects.toMatchObject(forbidden);
    await expect(client.listReceipts(parentOfOther)).rejects.toMatchObject(forbidden);
    await expect(client.getTreeHead(parentOfOther)).rejects.toMatchObject(forbidden);
    const inferenceId = "s-2-0";
    await expect(client.getReceipts({ ...parentOfOther, inferenceId })).rejects.toMatchObject(
      forbidden,
    );
    principal = { id: "k", workspace: "acme", roles: [Role.ADMIN] };
    await expect(send(client, [batchOf(4)])).rejects.toMatchObject(forbidden);
  });

  it("refuses what contradicts itself, and logs what came before it", async () => {
    const { client } = await useReceipts();
    const refused: readonly [Parameters<typeof batchOf>[1], string][] = [
      [{ senderId: "" }, "sender_id"],
      [{ senderId: "a/b" }, "sender_id"],
      [{ sequence: 0n }, "sequence"],
      [{ sequence: -1n }, "sequence"],
      [{ deployment: "churn" }, "deployment"],
      [{ modelVersion: `${WORKSPACE}/models/churn/versions/champion` }, "model_version"],
      [{ modelVersion: "workspaces/b/models/churn/versions/1" }, "model_version"],
      [{ modelDigest: Buffer.alloc(31) }, "model_digest"],
      [{ count: 0 }, "inference_ids"],
      [{ count: 1_025 }, "inference_ids"],
      [{ inferenceIds: ["a", "", "c"] }, "inference_ids[1]"],
      [{ inferenceIds: ["a", "b", "c".repeat(1_025)] }, "inference_ids[2]"],
      [{ inferenceIds: ["a", "b"] }, "times_us"],
      [{ timesUs: [1n, 2n, -3n] }, "times_us[2]"],
      [{ timesUs: [1n, 2n, 2n ** 53n] }, "times_us[2]"],
      [{ rows: [1, 2] }, "rows"],
      [{ inputDigests: Buffer.alloc(95) }, "input_digests"],
      [{ outputDigests: Buffer.alloc(128) }, "output_digests"],
      [{ contexts: [Buffer.alloc(1)] }, "contexts"],
      [{ contexts: [Buffer.alloc(0), Buffer.alloc(257), Buffer.alloc(0)] }, "contexts[1]"],
    ];
    for (const [i, [fields, field]] of refused.entries()) {
      const answers: bigint[] = [];
      const stream = client.logReceipts(
        inTurn([batchOf(1 + i), batchOf(1_000, fields), batchOf(2_000)]),
      );
      const error = await (async () => {
        for await (const { sequence } of stream) answers.push(sequence);
      })().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(error, field).toMatchObject({ kind: "InvalidArgument" });
      const { violations } = error as { violations: { field: string }[] };
      expect(
        violations.map((one) => one.field),
        field,
      ).toContain(field);
      expect(answers, field).toEqual([BigInt(1 + i)]);
    }
    expect(await idsOf(client)).toEqual(refused.flatMap((_, i) => batchOf(1 + i).inferenceIds));
  });

  it("takes the largest batch, with ids and contexts as long as they may be", async () => {
    const { client } = await useReceipts();
    const inferenceIds = Array.from({ length: 1_024 }, (_, i) => `é${i}`.padEnd(1_023, "x"));
    const contexts = inferenceIds.map((_, i) => Buffer.alloc(256, i));
    const batch = batchOf(1, { count: 1_024, inferenceIds, contexts });
    expect(await send(client, [batch])).toMatchObject([{ sequence: 1n, firstIndex: 0n }]);
    const { receipts } = await client.getReceipts({ parent, inferenceId: inferenceIds[1_000]! });
    expect(Buffer.from(receipts[0]!.context)).toEqual(contexts[1_000]);
  });
});

describe("receipts that are sent again", () => {
  it("are logged once: in one stream, in another, at once, by another replica", async () => {
    const [documents, folder] = [await useStore(), useFolder()];
    const one = await useReceipts({ documents, folder });
    const other = await useReceipts({ documents, folder });
    const batches = [batchOf(1), batchOf(2), batchOf(3)];
    const first = await send(one.client, [...batches, batches[1]!]);
    expect(first.map(({ firstIndex }) => firstIndex)).toEqual([0n, 3n, 6n, 3n]);
    const again = await Promise.all([
      send(one.client, batches),
      send(other.client, batches),
      send(other.client, [batchOf(4), batches[2]!]),
      send(one.client, [batchOf(4), batchOf(5)]),
      send(other.client, [batchOf(5), batchOf(4)]),
    ]);
    const places = new Map<bigint, Set<bigint>>();
    for (const { sequence, firstIndex } of again.flat()) {
      places.set(sequence, (places.get(sequence) ?? new Set()).add(firstIndex));
    }
    expect(places.get(1n)).toEqual(new Set([0n]));
    expect(places.get(2n)).toEqual(new Set([3n]));
    expect(places.get(3n)).toEqual(new Set([6n]));
    expect([...places.get(4n)!, ...places.get(5n)!].sort()).toEqual([12n, 9n]);
    expect((await idsOf(one.client)).sort()).toEqual(
      [1, 2, 3, 4, 5].flatMap((sequence) => batchOf(sequence).inferenceIds),
    );
    // The same number of another sender is another batch.
    expect(await send(one.client, [batchOf(1, { sender: "t" })])).toMatchObject([
      { firstIndex: 15n },
    ]);
  });

  it("are logged once after a restart, also under another key, and checked as they were", async () => {
    const folder = useFolder();
    const documents = await useStore();
    const before = await useReceipts({ documents, folder });
    await send(before.client, [batchOf(1)]);
    await before[Symbol.asyncDispose]();
    const after = await useReceipts({ documents, folder });
    await after.logs.keys.rotate();
    const answers = await send(after.client, [batchOf(1), batchOf(2)]);
    expect(answers.map(({ firstIndex }) => firstIndex)).toEqual([0n, 3n]);
    // The key that the first batch names signs nothing any more.
    for (const [inferenceId, signatureBytes] of [
      ["s-1-0", 0],
      ["s-2-2", 64],
    ] as const) {
      const { receipts } = await after.client.getReceipts({ parent, inferenceId });
      expect(receipts).toHaveLength(1);
      expect(receipts[0]!.signature).toHaveLength(signatureBytes);
      const evidence = parseProofText(receipts[0]!.evidence);
      expect(checkReceipt(evidence, await trust(after.client))).toMatchObject({ valid: true });
    }
  });

  it("are refused where the number was used for other inferences", async () => {
    const { client } = await useReceipts();
    await send(client, [batchOf(1)]);
    const others = [batchOf(1, { count: 4 }), batchOf(1, { inferenceIds: ["a", "b", "c"] })];
    for (const batch of others) {
      await expect(send(client, [batch])).rejects.toMatchObject({ kind: "InvalidArgument" });
    }
    expect(await idsOf(client)).toEqual(batchOf(1).inferenceIds);
  });
});

async function* inTurn<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
