// Whether services in other processes can do their work, asked of their grpc.health.v1 now and
// then: what a gateway that runs by itself says on /readyz.

import { setTimeout as sleep } from "node:timers/promises";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import { type Channel, createClient } from "../common/rpc/client.ts";

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 1000;

export class UpstreamHealth implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #watches: readonly Promise<void>[];
  readonly #serving: Record<string, boolean> = {};

  /** Channels by the name of the service behind them. */
  constructor(channels: Readonly<Record<string, Channel>>) {
    this.#watches = Object.entries(channels).map(([name, channel]) => this.#watch(name, channel));
  }

  /** Service by service; false before the first answer and while one does not answer. */
  state(): Readonly<Record<string, boolean>> {
    return this.#serving;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#watches);
  }

  async #watch(name: string, channel: Channel): Promise<void> {
    const { signal } = this.#stop;
    const health = createClient(Health, channel);
    this.#serving[name] = false;
    while (!signal.aborted) {
      try {
        const { status } = await health.check({}, { timeoutMs: TIMEOUT_MS, signal });
        this.#serving[name] = status === HealthCheckResponse_ServingStatus.SERVING;
      } catch {
        this.#serving[name] = false;
      }
      await sleep(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }
}
