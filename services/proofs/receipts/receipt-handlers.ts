// ReceiptService over the logs of the workspaces. Inference servers bring batches, which are
// answered once they are in the log for good; everybody else reads.

import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type Receipt as ReceiptMessage,
  ReceiptSchema,
  type ReceiptService,
} from "../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { type Principal, requireWorkspace } from "../../common/auth/principal.ts";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { workspaceName } from "../../common/names.ts";
import { decodePageToken, encodePageToken, pageSizeOf } from "../../common/page-token.ts";
import { sha256 } from "../../common/receipts/sha256.ts";
import type { ServiceHandlers } from "../../common/rpc/context.ts";
import { Undecodable } from "../../common/rpc/message-codec.ts";
import type { ProofsEvents } from "../events.ts";
import { answersInOrder } from "./answers-in-order.ts";
import { verifierKey } from "./checkpoint.ts";
import { checkColumns, encodeBatch, prefixOf } from "./encode-batch.ts";
import { proofText } from "./proof-text.ts";
import { decodeReceipt, TEXT_BYTES_MAX } from "./receipt.ts";
import { type LoggedBatch, logReceiptsCodec, type ReceiptColumns } from "./receipt-columns.ts";
import type { LoggedReceipt } from "./receipt-log.ts";
import type { ReceiptLogs } from "./receipt-logs.ts";

/** Batches of one stream under way: what it brings beyond is not read. */
const UNDER_WAY_MAX = 64;

export interface ReceiptDeps {
  readonly logs: ReceiptLogs;
  readonly events: Pick<ProofsEvents, "receiptsLogged">;
}

/** To be bound with the handlers. */
export const receiptCodecs = { logReceipts: logReceiptsCodec };

/** The handlers of the service, to be bound with `receiptCodecs`. */
export function receiptHandlers(deps: ReceiptDeps): ServiceHandlers<typeof ReceiptService> {
  const { logs } = deps;
  const signatureOf = ({ receipt }: LoggedReceipt): Uint8Array => {
    const { current } = logs.keys;
    return decodeReceipt(receipt).keyId === current.keyId
      ? current.sign(receipt)
      : new Uint8Array();
  };
  return {
    logReceipts(requests, { principal }) {
      // The codec gives and takes these in place of the messages.
      const batches = requests as AsyncIterable<unknown> as AsyncIterable<Batch>;
      const begin = (batch: Batch) => logBatch(deps, batch, principal);
      return answersInOrder(batches, begin, UNDER_WAY_MAX) as AsyncIterable<never>;
    },
    async getReceipts({ parent, inferenceId }, { principal }) {
      const workspace = reach(parent, principal);
      checkInferenceId(inferenceId);
      return logs.use(workspace, async (log) => {
        const found = await log.find(inferenceId);
        const receipts = found.map(async (entry) => {
          const evidence = proofText(await log.prove(entry.index));
          return { ...receiptMessage(entry), evidence, signature: signatureOf(entry) };
        });
        return { receipts: await Promise.all(receipts) };
      });
    },
    async listReceipts({ parent, pageSize, pageToken }, { principal }) {
      const workspace = reach(parent, principal);
      const limit = pageSizeOf(pageSize);
      const call = ["ListReceipts", parent];
      const [cursor] = decodePageToken(call, pageToken) ?? [];
      const before = typeof cursor === "number" ? { before: cursor } : {};
      const entries = await logs.use(workspace, (log) => log.list({ ...before, limit }));
      const last = entries.at(-1)?.index ?? 0;
      const isEnd = entries.length < limit || last === 0;
      return {
        receipts: entries.map(receiptMessage),
        nextPageToken: isEnd ? "" : encodePageToken(call, [last]),
      };
    },
    async getTreeHead({ parent }, { principal }) {
      const workspace = reach(parent, principal);
      return logs.use(workspace, async (log) => {
        const head = await log.head();
        const { current, publicKeys } = logs.keys;
        const others = publicKeys.filter(({ keyId }) => keyId !== current.keyId).toReversed();
        return {
          origin: log.origin,
          size: BigInt(head?.checkpoint.size ?? 0),
          checkpoint: head?.text ?? "",
          verifierKeys: [current, ...others].map(({ publicKey }) =>
            verifierKey(log.origin, publicKey, sha256),
          ),
        };
      });
    },
    async getConsistencyProof({ parent, oldSize }, { principal }) {
      const workspace = reach(parent, principal);
      return logs.use(workspace, async (log) => {
        const { path, checkpoint } = await log.proveConsistency(Number(oldSize));
        return { path: [...path], checkpoint };
      });
    },
  };
}

type Batch = ReceiptColumns | Undecodable;

async function logBatch(
  { logs, events }: ReceiptDeps,
  batch: Batch,
  principal: Principal,
): Promise<LoggedBatch> {
  if (batch instanceof Undecodable) {
    throw batch.error;
  }
  const columns = checkColumns(batch, principal);
  const { workspace, count, sequence } = columns;
  const firstIndex = await logs.use(workspace, (log) => {
    // The key may change while a batch waits: what signs the head need not be what stands in it.
    const prefix = prefixOf(columns, logs.keys.current.keyId);
    return log.append(encodeBatch(columns, prefix));
  });
  events.receiptsLogged(workspaceName.format({ workspace }), count);
  return { sequence, firstIndex };
}

/** The id of the workspace. @throws InvalidArgument, PermissionDenied */
function reach(parent: string, principal: Principal): string {
  const { workspace } = workspaceName.parse(parent, "parent");
  requireWorkspace(principal, workspace);
  return workspace;
}

function checkInferenceId(inferenceId: string): void {
  const length = Buffer.byteLength(inferenceId);
  if (length < 1 || length > TEXT_BYTES_MAX) {
    const description = `has ${length} bytes of UTF-8; expected 1 to ${TEXT_BYTES_MAX}`;
    throw new InvalidArgument(`inference_id ${description}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: "inference_id", description }],
    });
  }
}

function receiptMessage({ index, receipt }: LoggedReceipt): ReceiptMessage {
  const { timeUs, ...fields } = decodeReceipt(receipt);
  return create(ReceiptSchema, {
    index: BigInt(index),
    inferenceId: fields.inferenceId,
    deployment: fields.deployment,
    modelVersion: fields.modelVersion,
    modelDigest: fields.modelDigest,
    time: create(TimestampSchema, {
      seconds: BigInt(Math.floor(timeUs / 1_000_000)),
      nanos: (timeUs % 1_000_000) * 1_000,
    }),
    rows: fields.rows,
    context: fields.context,
    inputDigest: fields.inputDigest,
    outputDigest: fields.outputDigest,
  });
}
