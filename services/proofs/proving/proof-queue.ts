// All jobs that are not done, in memory: how many rows of a workspace wait, and which job is to be
// taken up next. Follows the collection, so that other replicas' jobs count too.
//
// Order: by priority, then the workspaces in turns, of each the longest waiting. Whoever has many
// jobs delays their own, not those of others.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import { FeedFollower, idOf } from "../../common/documents/follow-feed.ts";
import type { Stored } from "../../common/documents/port.ts";
import { ResourceExhausted } from "../../common/errors/domain-error.ts";
import { isEnded } from "../../common/jobs/job.ts";
import { type JobStore, priorityOf } from "../../common/jobs/job-store.ts";
import type { ProofsEvents } from "../events.ts";
import { isProvable, type ProofJob } from "./proof-job.ts";

/** A proof of a small model takes less; whoever is refused may try once a few are done. */
const RETRY_AFTER_MS = 5_000;

/** Jobs that have ended are remembered: news of them from before may come late. */
const ENDED_MAX = 10_000;

/** A job that is not done. */
interface Entry {
  readonly name: string;
  readonly circuitUid: string;
  readonly workspace: string;
  readonly priority: number;
  readonly createMs: number;
  readonly version: number;
  readonly rowsLeft: number;
  /** Undefined: it waits to be taken. */
  readonly leaseEndMs: number | undefined;
  /** Blob of its inputs; undefined: they stand in its document. */
  readonly inputs: string | undefined;
}

export interface ProofQueueDeps {
  readonly jobs: JobStore<ProofJob>;
  readonly clock: Clock;
  readonly events: Pick<ProofsEvents, "backgroundFailed">;
  /** Rows of a workspace that may wait. */
  readonly rowsMax: number;
  /** Told of each blob of inputs whose job has ended; in every replica, so perhaps once more. */
  readonly freed: (digest: string, job: string) => void;
}

/** Owns the view of the queue. */
export class ProofQueue implements AsyncDisposable {
  readonly #deps: ProofQueueDeps;
  readonly #entries = new Map<string, Entry>();
  /** Rows by workspace: of the entries, and of jobs that are being stored. */
  readonly #rows = new Map<string, number>();
  readonly #ended = new Set<string>();
  /** When each workspace had its last turn, as a count of turns. */
  readonly #turns = new Map<string, number>();
  #turn = 0;
  #follower: FeedFollower<ProofJob> | undefined;
  #onQueued: (() => void) | undefined;

  private constructor(deps: ProofQueueDeps) {
    this.#deps = deps;
  }

  /** Reads what is not done and follows it from there on. */
  static async open(deps: ProofQueueDeps): Promise<ProofQueue> {
    const queue = new ProofQueue(deps);
    // Followed before it is read: what changes in between is seen twice, not never.
    queue.#follower = await FeedFollower.start<ProofJob>(deps.jobs, {
      changed: (change) =>
        change.kind === "put" ? queue.noticed(change.document) : queue.#remove(idOf(change)),
      missed: () => void queue.#load(),
      broke: (error) => deps.events.backgroundFailed("proof queue", "*", error),
    });
    await queue.#read();
    return queue;
  }

  /**
   * Makes room for the rows of a job that is about to be stored; to be disposed when it is (and
   * `noticed`), or is not after all.
   * @throws ResourceExhausted where too many rows of the workspace wait
   */
  reserve(workspace: string, rows: number): Disposable {
    const { rowsMax } = this.#deps;
    const waiting = this.#rows.get(workspace) ?? 0;
    if (waiting + rows > rowsMax) {
      throw new ResourceExhausted(
        `${waiting} rows of workspace "${workspace}" wait for their proofs; with these ${rows} ` +
          `they would be more than ${rowsMax} (PLINTH_PROOFS_QUEUE_ROWS_MAX). Wait for some of ` +
          "them, or cancel jobs that nobody needs.",
        {
          reason: ErrorReason.OVERLOADED,
          retryAfterMs: RETRY_AFTER_MS,
          metadata: { workspace, rows_waiting: String(waiting), rows_max: String(rowsMax) },
        },
      );
    }
    this.#count(workspace, rows);
    return { [Symbol.dispose]: () => this.#count(workspace, -rows) };
  }

  /** Calls whoever takes jobs up when one waits. The runner hears of it here and not too early. */
  listen(onQueued: () => void): void {
    this.#onQueued = onQueued;
  }

  /** Rows of a workspace that wait for their proofs. */
  rowsWaiting(workspace: string): number {
    return this.#rows.get(workspace) ?? 0;
  }

  /** Rows that wait for their proofs under the key of a circuit. */
  rowsOf(circuitUid: string): number {
    const entries = [...this.#entries.values()];
    return entries.reduce((sum, e) => sum + (e.circuitUid === circuitUid ? e.rowsLeft : 0), 0);
  }

  /** A job as it was stored; what is older than what is known changes nothing. */
  noticed(job: Stored<ProofJob>): void {
    const known = this.#entries.get(job._id);
    if (this.#ended.has(job._id) || (known !== undefined && known.version >= job.version)) {
      return;
    }
    this.#remove(job._id);
    if (isEnded(job)) {
      this.#rememberEnded(job._id);
      if (known?.inputs !== undefined) {
        this.#deps.freed(known.inputs, job._id);
      }
    } else {
      this.#add({
        name: job._id,
        ...waitingPart(job),
        workspace: job.workspace,
        priority: priorityOf(job),
        createMs: job.createTime.getTime(),
        version: job.version,
        leaseEndMs: job.state === "QUEUED" ? undefined : job.lease?.until.getTime(),
        inputs: job.inputs?.digest,
      });
    }
  }

  /** A workspace has its turn now; others come before it the next time. */
  hadTurn(workspace: string): void {
    this.#turns.delete(workspace);
    this.#turns.set(workspace, ++this.#turn);
  }

  /** Names of jobs that nobody works on, best first: those whose worker fell silent, then others. */
  async waiting(limit: number): Promise<readonly string[]> {
    const now = this.#deps.clock.now();
    const isSilent = ({ leaseEndMs }: Entry) => leaseEndMs !== undefined && leaseEndMs <= now;
    const names = [...this.#inTurns(isSilent, limit), ...this.#inTurns(isQueued, limit)];
    return names.map(({ name }) => name);
  }

  /** The job that is to be taken up next, if one waits: what others may have to make room for. */
  best(): { readonly workspace: string; readonly priority: number } | undefined {
    return this.#inTurns(isQueued, 1)[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#follower?.[Symbol.asyncDispose]();
  }

  #inTurns(isWanted: (entry: Entry) => boolean, limit: number): readonly Entry[] {
    const groups = new Map<string, Entry[]>();
    for (const entry of this.#entries.values()) {
      if (isWanted(entry)) {
        const key = `${entry.priority} ${entry.workspace}`;
        const group = groups.get(key) ?? [];
        groups.set(key, group);
        insertByAge(group, entry, limit);
      }
    }
    // Of each workspace and priority its first job comes in the first round, the next in the next.
    const placed = [...groups.values()].flatMap((group) =>
      group.map((entry, round) => ({ entry, round, turn: this.#turns.get(entry.workspace) ?? 0 })),
    );
    placed.sort(
      (a, b) => a.entry.priority - b.entry.priority || a.round - b.round || a.turn - b.turn,
    );
    return placed.slice(0, limit).map(({ entry }) => entry);
  }

  #add(entry: Entry): void {
    this.#entries.set(entry.name, entry);
    this.#count(entry.workspace, entry.rowsLeft);
    if (isQueued(entry)) {
      this.#onQueued?.();
    }
  }

  #remove(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) {
      this.#entries.delete(name);
      this.#count(entry.workspace, -entry.rowsLeft);
    }
  }

  #rememberEnded(name: string): void {
    this.#ended.add(name);
    const [oldest] = this.#ended;
    if (this.#ended.size > ENDED_MAX && oldest !== undefined) {
      this.#ended.delete(oldest);
    }
  }

  #count(workspace: string, rows: number): void {
    const sum = (this.#rows.get(workspace) ?? 0) + rows;
    if (sum === 0) {
      this.#rows.delete(workspace);
    } else {
      this.#rows.set(workspace, sum);
    }
  }

  async #load(): Promise<void> {
    try {
      await this.#read();
    } catch (error) {
      this.#deps.events.backgroundFailed("proof queue", "*", error);
    }
  }

  async #read(): Promise<void> {
    const there = new Set<string>();
    const before = new Set(this.#entries.keys());
    const unfinished = { state: { $in: ["QUEUED", "RUNNING"] } };
    for await (const job of this.#deps.jobs.collection.find(unfinished)) {
      there.add(job._id);
      this.noticed(job);
    }
    for (const name of before) {
      if (!there.has(name)) {
        this.#remove(name);
      }
    }
  }
}

/** What of a job waits: no rows where they cannot be proved, of which whoever takes it says why. */
function waitingPart(job: ProofJob): Pick<Entry, "circuitUid" | "rowsLeft"> {
  return isProvable(job)
    ? { circuitUid: job.answeredBy.circuitUid, rowsLeft: job.rowCount - job.rowsDone }
    : { circuitUid: "", rowsLeft: 0 };
}

function isQueued({ leaseEndMs }: Entry): boolean {
  return leaseEndMs === undefined;
}

/** Keeps the oldest ones, in order. They come nearly in order. */
function insertByAge(group: Entry[], entry: Entry, limit: number): void {
  const at = group.findLastIndex(({ createMs }) => createMs <= entry.createMs) + 1;
  if (at < limit) {
    group.splice(at, 0, entry);
    group.length = Math.min(group.length, limit);
  }
}
