// Proving as a whole: what it keeps, what it does in the background, and its handlers. The service
// opens one; several replicas share the work through the stores.

import type { ProofService } from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import type { BlobStore } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import type { DocumentStore } from "../../common/documents/port.ts";
import { JobRunner } from "../../common/jobs/job-runner.ts";
import type { JobStore } from "../../common/jobs/job-store.ts";
import type { Channel } from "../../common/rpc/client.ts";
import type { ServiceHandlers } from "../../common/rpc/context.ts";
import type { Circuit } from "../circuits/circuit.ts";
import type { CircuitFiles } from "../circuits/circuit-files.ts";
import type { CircuitStore } from "../circuits/circuit-store.ts";
import { ModelSource } from "../circuits/model-source.ts";
import type { ProofsConfig } from "../config.ts";
import type { ProofsEvents } from "../events.ts";
import type { Prover } from "../prover/prover-port.ts";
import type { Workshop } from "../workshop/workshop-port.ts";
import { CircuitGuard } from "./circuit-guard.ts";
import { JobWatches } from "./job-watches.ts";
import { digestsOfJob, openProofJobs, type ProofJob } from "./proof-job.ts";
import { ProofQueue } from "./proof-queue.ts";
import { type ProofDocument, ProofStore } from "./proof-store.ts";
import { HELD_MAX, proveRows } from "./prove-rows.ts";
import { ProverTurns } from "./prover-turns.ts";
import { provingHandlers } from "./proving-handlers.ts";
import { ProofVerifier } from "./verify-proof.ts";

export interface ProvingDeps {
  readonly config: Pick<ProofsConfig, "queueRowsMax" | "jobTtlMs" | "jobLeaseMs" | "jobPollMs">;
  readonly documents: DocumentStore;
  readonly clock: Clock;
  readonly events: ProofsEvents;
  readonly blobs: Pick<BlobStore, "delete">;
  readonly circuits: CircuitStore;
  readonly files: CircuitFiles;
  readonly workshop: Workshop;
  readonly prover: Prover;
  /** To the registry, with the credential of a service; undefined: none is reachable from here. */
  readonly registry: Channel | undefined;
}

/** Proving, opened. Disposing it ends the background work; the stores stay the caller's. */
export interface Proving extends AsyncDisposable {
  /** To be bound with `provingCodecs`. */
  readonly handlers: ServiceHandlers<typeof ProofService>;
  readonly jobs: JobStore<ProofJob>;
  readonly proofs: ProofStore;
  /** Begins to prove what waits. */
  start(): void;
  /** Ends watches and work; jobs that are not done are free for other replicas at once. */
  drain(): Promise<void>;
  /** The newest Groth16 proof of a circuit, if there is one. */
  newestProof(circuit: Pick<Circuit, "uid">): Promise<ProofDocument | undefined>;
  /** How many rows wait for their proofs under the key of a circuit. */
  waitingRows(circuit: Pick<Circuit, "uid">): number;
  /** Every blob that a job or a proof refers to; some come more than once. */
  referencedDigests(): AsyncGenerator<string>;
}

/** Opens the stores and the queue. Calls are served at once; proofs are made after `start`. */
export async function openProving(deps: ProvingDeps): Promise<Proving> {
  const { config, documents, clock, events, circuits, files, workshop, prover } = deps;
  await using stack = new AsyncDisposableStack();
  const jobs = await openProofJobs(documents, { clock, ttlMs: config.jobTtlMs });
  const proofs = await ProofStore.open(documents, files);
  const rowsMax = config.queueRowsMax;
  const freed = inputsRemover(deps);
  const queue = stack.use(await ProofQueue.open({ jobs, clock, events, rowsMax, freed }));
  const watches = stack.use(await JobWatches.open({ jobs, proofs, files, clock, events }));
  const turns = new ProverTurns();
  const guard = new CircuitGuard(new ModelSource(deps.registry), clock);
  const shared = { clock, events, circuits, files, workshop, prover, proofs, queue };
  const runner = stack.use(
    proofRunner(deps, { jobs, queue, run: proveRows({ ...shared, turns }) }),
  );
  const stopping = new AbortController();
  const verifier = new ProofVerifier(workshop);
  const owned = stack.move();
  return {
    handlers: provingHandlers({ ...shared, jobs, guard, verifier, watches }, stopping.signal),
    jobs,
    proofs,
    start() {
      queue.listen(() => runner.lookSoon());
      runner.start();
    },
    async drain() {
      stopping.abort();
      await runner.drain();
    },
    newestProof: ({ uid }) => proofs.newest(uid),
    waitingRows: ({ uid }) => queue.rowsOf(uid),
    async *referencedDigests() {
      // Jobs before proofs: what a job's worker stores meanwhile is claimed.
      for await (const job of jobs.collection.find({})) {
        yield* digestsOfJob(job);
      }
      yield* proofs.referencedDigests();
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await owned.disposeAsync();
    },
  };
}

/** Removes inputs that nobody needs any more: at once, and not with the next sweep. */
function inputsRemover({ blobs, events }: Pick<ProvingDeps, "blobs" | "events">) {
  return (digest: string, job: string): void => {
    // What cannot be removed now is swept.
    void blobs.delete(digest).catch((error) => {
      events.backgroundFailed("proof inputs", job, error);
    });
  };
}

function proofRunner(
  { clock, config, events }: ProvingDeps,
  parts: {
    readonly jobs: JobStore<ProofJob>;
    readonly queue: ProofQueue;
    readonly run: ReturnType<typeof proveRows>;
  },
): JobRunner<ProofJob> {
  const { jobs, queue, run } = parts;
  return new JobRunner<ProofJob>({
    jobs,
    run,
    jobsMax: HELD_MAX,
    leaseMs: config.jobLeaseMs,
    pollMs: config.jobPollMs,
    clock,
    waiting: (limit) => queue.waiting(limit),
    gotOn: (before, now) => now.rowsDone > before.rowsDone,
    events: {
      jobEnded(job) {
        queue.noticed(job);
        if (job.state === "FAILED") {
          events.proofJobFailed(job._id, job.circuit, job.error);
        }
      },
      backgroundFailed: (work, subject, error) => events.backgroundFailed(work, subject, error),
    },
  });
}
