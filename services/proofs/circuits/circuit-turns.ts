// Which circuit is made next. Workspaces take turns, so that whoever asks for a hundred circuits
// delays their own and not those of others.

import type { Clock } from "../../common/clock.ts";
import { type JobStore, priorityOf } from "../../common/jobs/job-store.ts";
import type { Circuit } from "./circuit.ts";

/** A circuit that nobody makes. */
interface Waiting {
  readonly name: string;
  readonly workspace: string;
  readonly priority: number;
  readonly createMs: number;
}

/** Remembers who had turns here; what waits, and what is made elsewhere, is read each time. */
export class CircuitTurns {
  readonly #jobs: JobStore<Circuit>;
  readonly #clock: Clock;
  /** When each workspace had its last turn, as a count of turns. */
  readonly #turns = new Map<string, number>();
  #turn = 0;

  constructor(jobs: JobStore<Circuit>, clock: Clock) {
    this.#jobs = jobs;
    this.#clock = clock;
  }

  /** One of its circuits is taken up now; others come before it the next time. */
  hadTurn(workspace: string): void {
    this.#turns.set(workspace, ++this.#turn);
  }

  /**
   * Names of circuits that nobody makes, best first: those whose worker fell silent, then of the
   * workspaces in turns the longest waiting. Whoever has fewer under way comes first.
   */
  async waiting(limit: number, signal: AbortSignal): Promise<readonly string[]> {
    const silent: Waiting[] = [];
    const underWay = new Map<string, number>();
    for await (const circuit of this.#jobs.find({ state: "RUNNING" }, signal)) {
      const { workspace, lease } = circuit;
      if ((lease?.until.getTime() ?? 0) <= this.#clock.now()) {
        silent.push(waitingOf(circuit));
      } else {
        underWay.set(workspace, (underWay.get(workspace) ?? 0) + 1);
      }
    }
    const queued = new Map<string, Waiting[]>();
    for await (const circuit of this.#jobs.find({ state: "QUEUED" }, signal)) {
      const { workspace } = circuit;
      const group = queued.get(workspace) ?? [];
      queued.set(workspace, group);
      group.push(waitingOf(circuit));
    }
    this.#forget(new Set([...queued.keys(), ...underWay.keys()]));
    return [...silent.toSorted(byAge), ...this.#inTurns(queued, underWay)]
      .slice(0, limit)
      .map(({ name }) => name);
  }

  /** Of each workspace its first in the first round, its next one in the next. */
  #inTurns(
    queued: ReadonlyMap<string, readonly Waiting[]>,
    underWay: ReadonlyMap<string, number>,
  ): readonly Waiting[] {
    const placed = [...queued].flatMap(([workspace, group]) =>
      group.toSorted(byAge).map((waiting, index) => ({
        waiting,
        round: index + (underWay.get(workspace) ?? 0),
        turn: this.#turns.get(workspace) ?? 0,
      })),
    );
    placed.sort((a, b) => a.round - b.round || a.turn - b.turn || byAge(a.waiting, b.waiting));
    return placed.map(({ waiting }) => waiting);
  }

  /** A workspace that has nothing to do is like one that never had. */
  #forget(wanted: ReadonlySet<string>): void {
    for (const workspace of this.#turns.keys()) {
      if (!wanted.has(workspace)) {
        this.#turns.delete(workspace);
      }
    }
  }
}

function waitingOf(circuit: Circuit): Waiting {
  const { _id: name, workspace, createTime } = circuit;
  return { name, workspace, priority: priorityOf(circuit), createMs: createTime.getTime() };
}

function byAge(a: Waiting, b: Waiting): number {
  return a.priority - b.priority || a.createMs - b.createMs;
}
