// Follows the registry's deployments: a snapshot, then changes, resumed after every break from
// where it stopped. While the registry is away nothing is reported, so that the last known state
// serves on.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Deployment } from "../../../gen/plinth/registry/v1/deployment_pb.js";
import type { DeploymentService } from "../../../gen/plinth/registry/v1/deployment_service_pb.js";
import { DomainError } from "../../common/errors/domain-error.ts";
import { pause } from "../../common/pause.ts";
import type { Client } from "../../common/rpc/context.ts";

/** Wait before a new attempt: doubles from the first to the last, with jitter. */
const RECONNECT_MS_MIN = 100;
const RECONNECT_MS_MAX = 10_000;

/** A watch is begun anew after this, so that it finds new replicas of the registry. */
const WATCH_TIMEOUT_MS = 30 * 60_000;

export interface DeploymentWatchOptions {
  readonly client: Pick<Client<typeof DeploymentService>, "watchDeployments">;
  /** In [0, 1): jitter. */
  readonly random: () => number;
  /** A deployment as it is now. */
  readonly onDeployment: (deployment: Deployment) => void;
  readonly onDeleted: (name: string) => void;
  /** Everything known at the start has been reported. */
  readonly onSynced: () => void;
  /** The registry cannot be followed at the moment. */
  readonly onTrouble: (error: unknown) => void;
}

/** Watches from construction to disposal. */
export class DeploymentWatch implements AsyncDisposable {
  readonly #options: DeploymentWatchOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  /** Deployments reported and not deleted since. */
  readonly #known = new Set<string>();
  /** Names seen in a snapshot that is not complete. */
  #snapshot: Set<string> | undefined;
  #resumeToken = "";
  #failures = 0;

  constructor(options: DeploymentWatchOptions) {
    this.#options = options;
    this.#running = this.#follow();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#watchOnce(signal);
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        if (error instanceof DomainError && error.reason === ErrorReason.RESUME_TOKEN_EXPIRED) {
          this.#resumeToken = "";
        } else if (!isOwnTimeout(error)) {
          this.#options.onTrouble(error);
        }
      }
      await this.#pause(signal);
    }
  }

  async #watchOnce(signal: AbortSignal): Promise<void> {
    const request = { parent: "workspaces/-", resumeToken: this.#resumeToken };
    this.#snapshot = this.#resumeToken === "" ? new Set() : undefined;
    const events = this.#options.client.watchDeployments(request, {
      signal,
      timeoutMs: WATCH_TIMEOUT_MS,
    });
    for await (const { event, resumeToken } of events) {
      if (signal.aborted) {
        return;
      }
      this.#failures = 0;
      switch (event.case) {
        case "deployment":
          this.#known.add(event.value.name);
          this.#snapshot?.add(event.value.name);
          this.#options.onDeployment(event.value);
          break;
        case "deleted":
          this.#known.delete(event.value);
          this.#options.onDeleted(event.value);
          break;
        case "synced":
          this.#endSnapshot();
          break;
      }
      if (resumeToken !== "") {
        this.#resumeToken = resumeToken;
      }
    }
  }

  /** What was known before and is not in the snapshot was deleted while nobody watched. */
  #endSnapshot(): void {
    const gone = [...this.#known].filter((name) => this.#snapshot?.has(name) === false);
    this.#snapshot = undefined;
    for (const name of gone) {
      this.#known.delete(name);
      this.#options.onDeleted(name);
    }
    this.#options.onSynced();
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const backoffMs = Math.min(RECONNECT_MS_MIN * 2 ** this.#failures, RECONNECT_MS_MAX);
    this.#failures += 1;
    const waitMs = backoffMs * (0.5 + this.#options.random() / 2);
    await pause(waitMs, signal);
  }
}

function isOwnTimeout(error: unknown): boolean {
  return error instanceof DomainError && error.reason === ErrorReason.DEADLINE_EXCEEDED;
}
