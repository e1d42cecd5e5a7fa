// For tests: the receipts service with a client, and batches to send to it.

import { create } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import {
  type LogReceiptsRequest,
  LogReceiptsRequestSchema,
  type LogReceiptsResponse,
  ReceiptService,
} from "../../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { sha256 } from "../../../common/receipts/sha256.ts";
import { Channel, createClient } from "../../../common/rpc/client.ts";
import type { Client } from "../../../common/rpc/context.ts";
import { useFolder } from "../../../common/testing/use-folder.ts";
import { MODEL_FILE, START_US, WORKSPACE } from "./inferences.ts";
import { type StartReceiptsOptions, startReceipts } from "./start-receipts.ts";

export type ReceiptsClient = Client<typeof ReceiptService>;

/** The service; it ends with the test. */
export async function useReceipts(options: Partial<StartReceiptsOptions> = {}) {
  const started = await startReceipts({ folder: useFolder(), ...options });
  onTestFinished(() => started[Symbol.asyncDispose]());
  return { ...started, client: useReceiptsClient(started.address) };
}

/** A client; its channel is closed with the test. */
function useReceiptsClient(address: string): ReceiptsClient {
  const channel = new Channel({ address });
  onTestFinished(() => channel[Symbol.dispose]());
  return createClient(ReceiptService, channel);
}

/** Batch number `sequence` of a sender: inferences `<sender>-<sequence>-0` and so on. */
export function batchOf(
  sequence: number,
  { sender = "s", count = 3, ...fields }: BatchOptions = {},
): LogReceiptsRequest {
  const ids = Array.from({ length: count }, (_, i) => `${sender}-${sequence}-${i}`);
  const digests = (what: string) =>
    Buffer.concat(ids.map((id) => sha256(Buffer.from(`${what} of ${id}`))));
  return create(LogReceiptsRequestSchema, {
    senderId: sender,
    sequence: BigInt(sequence),
    deployment: `${WORKSPACE}/deployments/churn`,
    modelVersion: `${WORKSPACE}/models/churn/versions/3`,
    modelDigest: sha256(MODEL_FILE),
    inferenceIds: ids,
    timesUs: ids.map((_, i) => BigInt(START_US + sequence * 1_000 + i)),
    rows: ids.map((_, i) => i + 1),
    inputDigests: digests("input"),
    outputDigests: digests("output"),
    ...fields,
  });
}

export type BatchOptions = { readonly sender?: string; readonly count?: number } & Partial<
  Omit<LogReceiptsRequest, "$typeName" | "$unknown">
>;

/** Sends batches as one stream. */
export async function send(
  client: ReceiptsClient,
  batches: Iterable<LogReceiptsRequest>,
): Promise<LogReceiptsResponse[]> {
  async function* requests() {
    yield* batches;
  }
  return Array.fromAsync(client.logReceipts(requests()));
}
