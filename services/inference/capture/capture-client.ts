// CaptureService as the sender calls it: batches are encoded already and go out as they are, so that
// a batch that is sent again has the same bytes.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  CaptureInferencesRequestSchema,
  type CaptureInferencesResponse,
  CaptureInferencesResponseSchema,
  CaptureService,
} from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { CallOptions, Client } from "../../common/rpc/context.ts";

/** Who sends, and what will not come again. */
export interface CaptureStart {
  readonly sender: string;
  readonly acknowledgedSequence: number;
}

/** Sends encoded requests as one stream. @throws what a client throws. */
export type SendCaptured = (
  start: CaptureStart,
  batches: readonly Uint8Array[],
  options: CallOptions,
) => Promise<CaptureInferencesResponse>;

type Requests = Parameters<Client<typeof CaptureService>["captureInferences"]>[0];

/** Monitoring behind a channel that carries a service's credential. */
export function captureClient(channel: Channel): SendCaptured {
  const client = createClient(CaptureService, channel, {
    captureInferences: {
      encode: (message) => message as Uint8Array,
      decode: (bytes) => fromBinary(CaptureInferencesResponseSchema, bytes),
    },
  });
  return (start, batches, options) => {
    async function* requests(): AsyncGenerator<Uint8Array> {
      yield startBytes(start);
      yield* batches;
    }
    return client.captureInferences(requests() as unknown as Requests, options);
  };
}

function startBytes({ sender, acknowledgedSequence }: CaptureStart): Uint8Array {
  const start = { sender, acknowledgedSequence: BigInt(acknowledgedSequence) };
  const request = create(CaptureInferencesRequestSchema, {
    payload: { case: "start", value: start },
  });
  return toBinary(CaptureInferencesRequestSchema, request);
}
