// All watches of jobs in this process. They share one reader of the changes, and what they are told
// is encoded once for all of them: hundreds of watches of a job of a thousand rows cost the thread
// that answers little more than one.

import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { FeedFollower, idOf } from "../../common/documents/follow-feed.ts";
import type { Change } from "../../common/documents/port.ts";
import { notFound } from "../../common/documents/resource.ts";
import { ResourceExhausted } from "../../common/errors/domain-error.ts";
import { proofJobName, proofName } from "../../common/names.ts";
import type { ProofsEvents } from "../events.ts";
import { EncodedProofs } from "./encoded-proofs.ts";
import { type JobViewDeps, rowsOf } from "./job-view.ts";
import type { ProofJob } from "./proof-job.ts";
import { Shares } from "./shares.ts";
import { watchMessage } from "./watch-message.ts";
import { WatchedJob } from "./watched-job.ts";

/** Of a workspace, in this process. */
export const WATCHES_MAX = 256;
const RETRY_AFTER_MS = 5_000;

/** Bytes of proofs in a message, about. */
const PROOFS_BYTES_MAX = 1024 * 1024;

/** All watches of a job together are sent one message in so long. */
const MESSAGE_MS = 2;

export interface JobWatchesDeps extends JobViewDeps {
  readonly clock: Clock;
  readonly events: Pick<ProofsEvents, "backgroundFailed">;
}

/** Owns the watches; whoever opens one ends it by its signal. */
export class JobWatches implements AsyncDisposable {
  readonly #deps: JobWatchesDeps;
  readonly #encoded: EncodedProofs;
  readonly #watched = new Map<string, WatchedJob>();
  readonly #shares = new Shares(WATCHES_MAX);
  #follower: FeedFollower<ProofJob> | undefined;

  private constructor(deps: JobWatchesDeps) {
    this.#deps = deps;
    this.#encoded = new EncodedProofs(deps.proofs, deps.clock);
  }

  /** Follows the jobs from now on. */
  static async open(deps: JobWatchesDeps): Promise<JobWatches> {
    const watches = new JobWatches(deps);
    watches.#follower = await FeedFollower.start<ProofJob>(deps.jobs, {
      changed: (change) => watches.#changed(change),
      missed: () => watches.#missed(),
      broke: (error) => deps.events.backgroundFailed("proof watches", "*", error),
    });
    return watches;
  }

  /**
   * The job now and after each change, with the proofs that came since, until it has ended: encoded
   * WatchProofResponses. Ends without error when the signal aborts.
   * @throws NotFound; ResourceExhausted where the workspace has too many
   */
  async *watch(name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { workspace } = proofJobName.parse(name, "name");
    using _place = this.#shares.take(workspace) ?? tooMany(workspace);
    const watched = this.#join(name);
    try {
      let [told, change, isFirst] = [0, 0, true];
      for (;;) {
        const seen = await watched.after(change, signal);
        if (seen === undefined) {
          return;
        }
        const { job } = seen;
        let [parts, size]: [Uint8Array[], number] = [[], 0];
        for await (const part of this.#proofsOf(
          workspace,
          watched.order.slice(told, seen.proofs),
        )) {
          if (size > 0 && size + part.length > PROOFS_BYTES_MAX) {
            yield watchMessage(undefined, parts);
            [parts, size] = [[], 0];
          }
          parts.push(part);
          size += part.length;
        }
        const isWhole = isFirst || seen.isEnded;
        yield watchMessage(isWhole ? await watched.whole(job) : watched.brief(job), parts);
        if (seen.isEnded) {
          return;
        }
        [told, change, isFirst] = [seen.proofs, seen.change, false];
        // What changes meanwhile comes as one.
        await sleep(MESSAGE_MS * watched.watchers, undefined, { signal }).catch(() => {});
      }
    } finally {
      this.#leave(watched);
    }
  }

  /** Of a proof that was deleted. */
  forget(proof: string): void {
    this.#encoded.forget(proof);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#follower?.[Symbol.asyncDispose]();
  }

  /** Those that were not deleted since. */
  async *#proofsOf(workspace: string, ids: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const proof of ids) {
      const bytes = await this.#encoded.get(proofName.format({ workspace, proof }));
      if (bytes !== undefined) {
        yield bytes;
      }
    }
  }

  #join(name: string): WatchedJob {
    let watched = this.#watched.get(name);
    if (watched === undefined) {
      watched = new WatchedJob(name, (job) => rowsOf(this.#deps, job));
      this.#watched.set(name, watched);
      // Known before it is read: what changes in between is seen twice, not never.
      void this.#read(watched);
    }
    watched.watchers += 1;
    return watched;
  }

  #leave(watched: WatchedJob): void {
    watched.watchers -= 1;
    if (watched.watchers === 0) {
      this.#drop(watched);
    }
  }

  #drop(watched: WatchedJob): void {
    if (this.#watched.get(watched.name) === watched) {
      this.#watched.delete(watched.name);
    }
  }

  async #read(watched: WatchedJob): Promise<void> {
    try {
      watched.noticed(await this.#deps.jobs.get(watched.name));
    } catch (error) {
      this.#fail(watched, error);
    }
  }

  /** Its watches end; one that is opened later begins anew. */
  #fail(watched: WatchedJob, error: unknown): void {
    this.#drop(watched);
    watched.failed(error);
  }

  #changed(change: Change<ProofJob>): void {
    const watched = this.#watched.get(idOf(change));
    if (watched === undefined) {
      return;
    }
    if (change.kind === "put") {
      watched.noticed(change.document);
    } else {
      this.#fail(watched, notFound(change.id));
    }
  }

  #missed(): void {
    for (const watched of this.#watched.values()) {
      void this.#read(watched);
    }
  }
}

function tooMany(workspace: string): never {
  throw new ResourceExhausted(
    `${WATCHES_MAX} watches of proof jobs of workspace "${workspace}" are open already. Close those ` +
      "that nobody needs (one watch tells of all rows of a job), or ask now and then with " +
      "GetProofJob.",
    { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_AFTER_MS, metadata: { workspace } },
  );
}
