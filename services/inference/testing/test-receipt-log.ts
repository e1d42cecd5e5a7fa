// A receipt log for tests: a real server that keeps what it is sent, and can refuse, hang, break off
// in the middle of a stream and be away.

import { onTestFinished } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  type LogReceiptsRequest,
  ReceiptService,
} from "../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import type { Principal } from "../../common/auth/principal.ts";
import { Channel } from "../../common/rpc/client.ts";
import { bindService, type ServiceBinding } from "../../common/rpc/context.ts";
import { type RpcServer, startRpcServer } from "../../common/rpc/server.ts";

/** Who sends. */
const SERVER: Principal = { id: "services/inference", workspace: "-", roles: [Role.SERVICE] };

/** One receipt as it was sent. */
export interface SentReceipt {
  readonly id: string;
  readonly deployment: string;
  readonly modelVersion: string;
  /** Hex. */
  readonly modelDigest: string;
  readonly timeUs: number;
  readonly rows: number;
  /** As text. */
  readonly context: string;
  /** Hex. */
  readonly input: string;
  readonly output: string;
}

export class TestReceiptLog {
  readonly channel: Channel;
  /** Every batch that came, those that were not answered and those that came again too. */
  readonly batches: LogReceiptsRequest[] = [];
  /** Called with each batch before it is answered; may throw, which ends the stream, or wait. */
  beforeAnswer: (batch: LogReceiptsRequest) => Promise<void> = async () => {};
  /** Batches that were logged, by sender and sequence. */
  readonly #logged = new Map<string, LogReceiptsRequest>();
  #server: RpcServer | undefined;
  #address = "";

  private constructor() {
    this.channel = new Channel({ address: () => this.#address });
  }

  /** Starts one that ends with the test. */
  static async start(): Promise<TestReceiptLog> {
    const log = new TestReceiptLog();
    await log.#listen(0);
    onTestFinished(async () => {
      log.channel[Symbol.dispose]();
      await log.stop();
    });
    return log;
  }

  /** What is logged, each once, in the order of the senders' batches. */
  get receipts(): SentReceipt[] {
    return [...this.#logged.values()].flatMap(receiptsOf);
  }

  /** Ids of what is logged, sorted. */
  get ids(): string[] {
    return this.receipts.map(({ id }) => id).sort();
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
      bindings: [this.#binding()],
      authenticate: () => SERVER,
    });
    this.#address = this.#server.address;
  }

  #binding(): ServiceBinding {
    const log = this;
    async function* logReceipts(requests: AsyncIterable<LogReceiptsRequest>) {
      for await (const batch of requests) {
        log.batches.push(batch);
        log.#logged.set(`${batch.senderId}/${batch.sequence}`, batch);
        await log.beforeAnswer(batch);
        yield { sequence: batch.sequence, firstIndex: 0n };
      }
    }
    return bindService(ReceiptService, { logReceipts } as never);
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function receiptsOf(batch: LogReceiptsRequest): SentReceipt[] {
  const { deployment, modelVersion } = batch;
  const digest = (all: Uint8Array, i: number) => hex(all.subarray(32 * i, 32 * i + 32));
  return batch.inferenceIds.map((id, i) => ({
    id,
    deployment,
    modelVersion,
    modelDigest: hex(batch.modelDigest),
    timeUs: Number(batch.timesUs[i]),
    rows: batch.rows[i] ?? 0,
    context: Buffer.from(batch.contexts[i] ?? []).toString(),
    input: digest(batch.inputDigests, i),
    output: digest(batch.outputDigests, i),
  }));
}
