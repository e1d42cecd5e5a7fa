// For tests: inferences that differ, as batches that a log takes, made as the service makes them of
// what an inference server sends, and as the receipts that are to come of them.

import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { LogReceiptsRequestSchema } from "../../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { sha256 } from "../../../common/receipts/sha256.ts";
import { checkColumns, encodeBatch, prefixOf } from "../encode-batch.ts";
import type { PendingBatch } from "../pending-batch.ts";
import { type InferenceFacts, receiptPrefix } from "../receipt.ts";
import { decodeReceiptColumns } from "../receipt-columns.ts";
import type { SigningKeys } from "../signing-key.ts";
import { encodeReceipt } from "./encode-receipt.ts";
import { SERVICE } from "./start-receipts.ts";

export const WORKSPACE = "workspaces/acme";
export const MODEL_FILE = new TextEncoder().encode("the bytes of an ONNX file");

/** 2025-11-20T12:00:00Z in microseconds. */
export const START_US = 1_763_640_000_000_000;

const SUBJECT = {
  deployment: `${WORKSPACE}/deployments/churn`,
  modelVersion: `${WORKSPACE}/models/churn/versions/3`,
  modelDigest: sha256(MODEL_FILE),
};

/** Names the batches of this process, together with the number of batches before. */
const senderId = randomUUID();
let sent = 0n;

/** What is said of inference number `i`. */
export function factsOf(i: number): InferenceFacts {
  return {
    timeUs: START_US + i,
    rows: 1,
    inferenceId: `inference-${i}`,
    context: new Uint8Array(0),
    inputDigest: sha256(Buffer.from(`input ${i}`)),
    outputDigest: sha256(Buffer.from(`output ${i}`)),
  };
}

/** A batch of inferences, under a name that no other has where no number is given. */
export function batchOfFacts(
  keys: SigningKeys,
  facts: readonly InferenceFacts[],
  sequence = ++sent,
): PendingBatch {
  const message = create(LogReceiptsRequestSchema, {
    ...SUBJECT,
    senderId,
    sequence,
    inferenceIds: facts.map(({ inferenceId }) => inferenceId),
    timesUs: facts.map(({ timeUs }) => BigInt(timeUs)),
    rows: facts.map(({ rows }) => rows),
    inputDigests: Buffer.concat(facts.map(({ inputDigest }) => inputDigest)),
    outputDigests: Buffer.concat(facts.map(({ outputDigest }) => outputDigest)),
    contexts: facts.map(({ context }) => context),
  });
  const bytes = toBinary(LogReceiptsRequestSchema, message);
  const columns = checkColumns(decodeReceiptColumns(bytes), SERVICE);
  return encodeBatch(columns, prefixOf(columns, keys.current.keyId));
}

/** A batch of the inferences number `from` to, not with, `to`; absent: of one. */
export function batchOfInferences(keys: SigningKeys, from: number, to = from + 1): PendingBatch {
  return batchOfFacts(
    keys,
    Array.from({ length: to - from }, (_, i) => factsOf(from + i)),
  );
}

/** The receipt of inference number `i`. */
export function receiptOf(
  keys: SigningKeys,
  i: number,
  facts: Partial<InferenceFacts> = {},
): Uint8Array {
  const { keyId } = keys.current;
  const prefix = receiptPrefix({ ...SUBJECT, keyId, workspace: WORKSPACE });
  return encodeReceipt(prefix, { ...factsOf(i), ...facts });
}

/** Receipts number `from` to, not with, `to`. */
export function receiptsOf(keys: SigningKeys, from: number, to: number): Uint8Array[] {
  return Array.from({ length: to - from }, (_, i) => receiptOf(keys, from + i));
}
