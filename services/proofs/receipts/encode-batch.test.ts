import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { LogReceiptsRequestSchema } from "../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { sha256 } from "../../common/receipts/sha256.ts";
import { checkColumns, encodeBatch, prefixOf } from "./encode-batch.ts";
import { serverTree } from "./node-hash.ts";
import { idHashesOf } from "./pending-batch.ts";
import { decodeReceiptColumns } from "./receipt-columns.ts";
import { ReceiptPage, unpackReceipts } from "./receipt-page.ts";
import { encodeReceipt } from "./testing/encode-receipt.ts";
import { START_US } from "./testing/inferences.ts";
import { SERVICE } from "./testing/start-receipts.ts";

const KEY_ID = "00112233445566778899aabbccddeeff";

/** The receipts that a batch holds, and how it was checked. */
function batchOf(inferences: readonly { readonly id: string; readonly context: string }[]) {
  const contexts = inferences.map(({ context }) => Buffer.from(context));
  const digests = (what: string) => inferences.map((_, i) => sha256(Buffer.from(`${what} ${i}`)));
  const [inputs, outputs] = [digests("input"), digests("output")];
  const message = create(LogReceiptsRequestSchema, {
    senderId: "sender",
    sequence: 3n,
    deployment: "workspaces/acme/deployments/churn",
    modelVersion: "workspaces/acme/models/churn/versions/3",
    modelDigest: sha256(Buffer.from("model")),
    inferenceIds: inferences.map(({ id }) => id),
    timesUs: inferences.map((_, i) => BigInt(START_US + i * 1_000_003)),
    rows: inferences.map((_, i) => i * 70_001),
    inputDigests: Buffer.concat(inputs),
    outputDigests: Buffer.concat(outputs),
    contexts,
  });
  const columns = checkColumns(
    decodeReceiptColumns(toBinary(LogReceiptsRequestSchema, message)),
    SERVICE,
  );
  const prefix = prefixOf(columns, KEY_ID);
  const receipts = inferences.map(({ id }, i) =>
    encodeReceipt(prefix, {
      timeUs: START_US + i * 1_000_003,
      rows: i * 70_001,
      inferenceId: id,
      context: contexts[i]!,
      inputDigest: inputs[i]!,
      outputDigest: outputs[i]!,
    }),
  );
  return { columns, prefix, receipts };
}

describe("encode-batch", () => {
  it("makes the receipts that are made one by one, of any lengths next to each other", () => {
    const texts = ["a", "bb", "a", "ü".repeat(500), "c", "d", "x".repeat(1_024), "e"];
    const contexts = ["", "order 7", "", "n".repeat(256), "n", "", "order 8", ""];
    const inferences = texts.map((id, i) => ({ id, context: contexts[i]! }));
    const { columns, prefix, receipts } = batchOf(inferences);
    const batch = encodeBatch(columns, prefix);
    expect(batch.uid).toBe("sender/3");
    expect(unpackReceipts(batch.page).map((one) => Buffer.from(one))).toEqual(
      receipts.map((one) => Buffer.from(one)),
    );
    const leaves = Buffer.concat(receipts.map((one) => serverTree.leaf(one)));
    expect(batch.leaves.equals(leaves)).toBe(true);
    expect(batch.ids.equals(idHashesOf(receipts))).toBe(true);
    const page = new ReceiptPage();
    for (const receipt of receipts) page.add(receipt);
    expect(Buffer.from(batch.page).equals(Buffer.from(page.bytes))).toBe(true);
  });

  it("leaves a batch as it was when the next one is made", () => {
    const one = batchOf([{ id: "one", context: "" }]);
    const batch = encodeBatch(one.columns, one.prefix);
    const other = batchOf([{ id: "two", context: "" }]);
    encodeBatch(other.columns, other.prefix);
    expect(unpackReceipts(batch.page).map((bytes) => Buffer.from(bytes))).toEqual(
      one.receipts.map((bytes) => Buffer.from(bytes)),
    );
  });
});
