// ReceiptService as the sender calls it: batches are encoded already and go out as they are, so that
// a batch that is sent again has the same bytes.

import { fromBinary } from "@bufbuild/protobuf";
import {
  LogReceiptsResponseSchema,
  ReceiptService,
} from "../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { CallOptions, Client } from "../../common/rpc/context.ts";

/** Sends encoded batches as one stream; gives the sequence of each that is logged, in order. */
export type SendReceipts = (
  batches: readonly Uint8Array[],
  options: CallOptions,
) => AsyncIterable<number>;

type Requests = Parameters<Client<typeof ReceiptService>["logReceipts"]>[0];

/** The proofs service behind a channel that carries a service's credential. */
export function receiptClient(channel: Channel): SendReceipts {
  const client = createClient(ReceiptService, channel, {
    logReceipts: {
      encode: (message) => message as Uint8Array,
      decode: (bytes) => fromBinary(LogReceiptsResponseSchema, bytes),
    },
  });
  return async function* send(batches, options) {
    const requests = inOrder(batches) as unknown as Requests;
    for await (const { sequence } of client.logReceipts(requests, options)) {
      yield Number(sequence);
    }
  };
}

async function* inOrder(batches: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* batches;
}
