// A monitoring service for tests: a real server that keeps what it is sent, byte by byte, and can
// refuse, hang, break off and be away.

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  type CapturedBatch,
  CaptureInferencesRequestSchema,
  CaptureService,
  type CaptureStart,
  CaptureInferencesResponseSchema as SCHEMA,
} from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import type { Principal } from "../../common/auth/principal.ts";
import { Channel } from "../../common/rpc/client.ts";
import { bindService, type CallContext, type ServiceBinding } from "../../common/rpc/context.ts";
import { type RpcServer, startRpcServer } from "../../common/rpc/server.ts";

type Response = MessageInitShape<typeof SCHEMA>;

/** Who sends. */
const SERVER: Principal = { id: "services/inference", workspace: "-", roles: [Role.SERVICE] };

/** What one stream brought. */
export interface CapturedStream {
  start: CaptureStart | undefined;
  readonly batches: CapturedBatch[];
  /** The batches' messages as they came. */
  readonly raw: Buffer[];
}

export class TestMonitoring {
  readonly channel: Channel;
  /** Every stream so far, those that were not acknowledged too. */
  readonly streams: CapturedStream[] = [];
  /** Batches of the streams that were acknowledged, in order. */
  readonly taken: CapturedBatch[] = [];
  /** What a stream is answered; may throw or wait. */
  answer: (stream: CapturedStream, context: CallContext) => Promise<Response> = async () => ({});
  readonly #serves: boolean;
  #server: RpcServer | undefined;
  #address = "";

  private constructor({ serves }: { readonly serves: boolean }) {
    this.#serves = serves;
    this.channel = new Channel({ address: () => this.#address });
  }

  /** Starts one that ends with the test. @param serves false: without the service. */
  static async start({ serves = true } = {}): Promise<TestMonitoring> {
    const monitoring = new TestMonitoring({ serves });
    await monitoring.#listen(0);
    onTestFinished(async () => {
      monitoring.channel[Symbol.dispose]();
      await monitoring.stop();
    });
    return monitoring;
  }

  /** Every byte that came. */
  get bytes(): Buffer {
    return Buffer.concat(this.streams.flatMap((stream) => stream.raw));
  }

  /** Ids of the inferences that were taken, sorted. */
  get ids(): string[] {
    return this.taken.flatMap((batch) => batch.inferences?.ids ?? []).sort();
  }

  /** Rows that were taken. */
  get rows(): number {
    return this.taken.reduce((sum, batch) => sum + batch.rows, 0);
  }

  /** Breaks every connection; nobody answers until `comeBack`. */
  async stop(): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    this.#server = undefined;
  }

  /** Listens again where it did. */
  async comeBack(): Promise<void> {
    await this.#listen(Number(this.#address.split(":")[1]));
  }

  async #listen(port: number): Promise<void> {
    this.#server = await startRpcServer({
      host: "127.0.0.1",
      port,
      bindings: this.#serves ? [this.#binding()] : [],
      authenticate: () => SERVER,
    });
    this.#address = this.#server.address;
  }

  #binding(): ServiceBinding {
    const captureInferences = async (
      requests: AsyncIterable<Buffer>,
      context: CallContext,
    ): Promise<Response> => {
      const stream: CapturedStream = { start: undefined, batches: [], raw: [] };
      this.streams.push(stream);
      for await (const bytes of requests) {
        const { payload } = fromBinary(CaptureInferencesRequestSchema, bytes);
        if (payload.case === "start") {
          stream.start = payload.value;
        } else if (payload.case === "batch") {
          stream.raw.push(bytes);
          stream.batches.push(payload.value);
        }
      }
      const response = await this.answer(stream, context);
      this.taken.push(...stream.batches);
      return { rows: BigInt(stream.batches.reduce((sum, one) => sum + one.rows, 0)), ...response };
    };
    return bindService(CaptureService, { captureInferences } as never, {
      captureInferences: {
        decode: (bytes) => Buffer.from(bytes),
        encode: (message) => toBinary(SCHEMA, create(SCHEMA, message as Response)),
      },
    });
  }
}
