// Tells the registry what this server serves: soon after a change, and every few seconds, because a
// report that gets old is taken for a server that is gone.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  DeploymentService,
  DeploymentServingSchema,
} from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import type { Client } from "../../common/rpc/context.ts";

/** Changes come in bursts (one a version that becomes ready); one report is enough for a burst. */
const DEBOUNCE_MS = 100;

/** The registry forgets a server after 30 s. */
const REPEAT_MS = 10_000;

const TIMEOUT_MS = 5_000;

/** A server that stops does not wait longer to say so; the registry forgets it anyway. */
const LEAVE_TIMEOUT_MS = 300;

export type DeploymentServingInit = MessageInitShape<typeof DeploymentServingSchema>;

export interface ServingReporterOptions {
  readonly client: Pick<Client<typeof DeploymentService>, "reportServing">;
  readonly serverId: string;
  /** What is served at the moment of the call. */
  readonly read: () => DeploymentServingInit[];
}

/** Reports from construction to disposal; a report that fails is followed by the next one. */
export class ServingReporter implements AsyncDisposable {
  readonly #options: ServingReporterOptions;
  readonly #stop = new AbortController();
  readonly #repeat: NodeJS.Timeout;
  #debounce: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  #changedMeanwhile = false;

  constructor(options: ServingReporterOptions) {
    this.#options = options;
    this.#repeat = setInterval(() => this.#send(), REPEAT_MS);
    this.#repeat.unref();
  }

  /** Something changed: a report follows shortly. */
  changed(): void {
    if (!this.#stop.signal.aborted) {
      this.#debounce ??= setTimeout(() => {
        this.#debounce = undefined;
        this.#send();
      }, DEBOUNCE_MS);
    }
  }

  /** The last report: this server serves nothing any more. Never throws. */
  async leave(): Promise<void> {
    await this[Symbol.asyncDispose]();
    const { client, serverId } = this.#options;
    await client
      .reportServing({ serverId, deployments: [] }, { timeoutMs: LEAVE_TIMEOUT_MS })
      .catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#repeat);
    clearTimeout(this.#debounce);
    await this.#sending;
  }

  #send(): void {
    if (this.#sending !== undefined) {
      this.#changedMeanwhile = true;
      return;
    }
    this.#changedMeanwhile = false;
    const { client, serverId, read } = this.#options;
    const options = { signal: this.#stop.signal, timeoutMs: TIMEOUT_MS };
    this.#sending = client
      .reportServing({ serverId, deployments: read() }, options)
      .then(
        () => undefined,
        // The registry being away is reported by the watch; the next report makes up for this one.
        () => undefined,
      )
      .finally(() => {
        this.#sending = undefined;
        if (this.#changedMeanwhile) {
          this.changed();
        }
      });
  }
}
