// Makes the circuits that were asked for, a few at once. Every replica has one of these.

import { Circuit_State as State } from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { JobRunner } from "../../common/jobs/job-runner.ts";
import type { Circuit } from "./circuit.ts";
import { stateOf } from "./circuit-message.ts";
import { CircuitTurns } from "./circuit-turns.ts";
import type { CircuitDeps } from "./deps.ts";
import { makeCircuit } from "./make-circuit.ts";
import { ModelSource } from "./model-source.ts";

/** One is compiled while the key of another is made. */
const CIRCUITS_AT_ONCE = 2;

export type CircuitMakerDeps = Omit<CircuitDeps, "ceremony" | "newestProof" | "waitingRows"> & {
  /** The first pause after a failure that may pass; the next ones double. Absent: a second. */
  readonly backoffFirstMs?: number;
};

/** Owns the circuits that this replica makes. */
export class CircuitMaker implements AsyncDisposable {
  readonly #deps: CircuitMakerDeps;
  readonly #runner: JobRunner<Circuit>;
  readonly #settling = new Set<Promise<void>>();

  constructor(deps: CircuitMakerDeps) {
    const { config, clock, events, circuits, backoffFirstMs } = deps;
    this.#deps = deps;
    const turns = new CircuitTurns(circuits.jobs, clock);
    const make = makeCircuit({ ...deps, models: new ModelSource(deps.registry) });
    this.#runner = new JobRunner<Circuit>({
      jobs: circuits.jobs,
      waiting: (limit, signal) => turns.waiting(limit, signal),
      run: (job) => {
        turns.hadTurn(job.job.workspace);
        return make(job);
      },
      jobsMax: CIRCUITS_AT_ONCE,
      leaseMs: config.jobLeaseMs,
      pollMs: config.jobPollMs,
      clock,
      ...(backoffFirstMs === undefined ? {} : { backoffFirstMs }),
      events: {
        jobEnded: (circuit, durationMs) => {
          events.circuitEnded(circuit._id, { state: State[stateOf(circuit)], durationMs });
          this.#settle(circuit._id);
        },
        backgroundFailed: (work, subject, error) => events.backgroundFailed(work, subject, error),
      },
    });
  }

  /** Takes up what waits, from now on. */
  start(): void {
    this.#runner.start();
  }

  /** Looks for circuits that nobody makes. */
  lookSoon(): void {
    this.#runner.lookSoon();
  }

  /** Stops; what was begun goes on elsewhere, or here after a restart. */
  async drain(): Promise<void> {
    await this.#runner.drain();
    await Promise.all(this.#settling);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
  }

  /** Another may have been activated while this one was about to be the first. */
  #settle(name: string): void {
    const { circuits, events } = this.#deps;
    const settling = circuits
      .settle(name)
      .catch((error) => events.backgroundFailed("activation", name, error))
      .finally(() => this.#settling.delete(settling));
    this.#settling.add(settling);
  }
}
