// Tells the registry which circuits its versions have, until it has been told: after each change,
// after a restart, and when the registry was away. What it is told is all that is there at the
// moment, so telling it twice, or by several replicas, does no harm.
//
// It also takes circuits out of use that must not be used any longer: of a version that was removed
// (another may have its name by now), and development keys where the workspace was marked production.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ModelCircuitSchema } from "../../../gen/plinth/registry/v1/model_version_pb.js";
import type { Clock } from "../../common/clock.ts";
import { FeedFollower, idOf } from "../../common/documents/follow-feed.ts";
import type { Change, Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { insertIfNew } from "../../common/documents/resource.ts";
import { NotFound } from "../../common/errors/domain-error.ts";
import { modelVersionName } from "../../common/names.ts";
import type { Channel } from "../../common/rpc/client.ts";
import type { ProofsEvents } from "../events.ts";
import { type Circuit, isDevelopment, isReady } from "./circuit.ts";
import { type CircuitStore, versionOf } from "./circuit-store.ts";
import { ModelSource } from "./model-source.ts";

/** As the registry's API promises. */
const CIRCUITS_MAX = 20;

/** Pauses after failures; the last one goes on. */
const RETRY_MS: readonly number[] = [1000, 5000, 15_000, 60_000];

/** How often it is looked whether versions and workspaces are still what they were. */
const RECHECK_MS = 300_000;

export interface CircuitReportsDeps {
  readonly circuits: CircuitStore;
  readonly documents: DocumentStore;
  readonly clock: Clock;
  readonly events: Pick<ProofsEvents, "backgroundFailed">;
  /** With the credential of a service; undefined: nobody is told. */
  readonly registry: Channel | undefined;
  /** For tests. */
  readonly retryMs?: readonly number[];
  readonly recheckMs?: number;
}

/** `_id` is the name of a version that the registry was told of, or is about to be. */
type Told = Document;

/** Owns what the registry has been told. */
export class CircuitReports implements AsyncDisposable {
  readonly #deps: CircuitReportsDeps;
  readonly #models: ModelSource;
  readonly #collection: Collection<Told>;
  readonly #stop = new AbortController();
  readonly #due = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  /** By version, what the registry was told last by this process. */
  readonly #told = new Map<string, string>();
  /** By circuit, what of it the registry is told. */
  readonly #seen = new Map<string, string>();
  #follower: AsyncDisposable | undefined;
  #recheck: NodeJS.Timeout | undefined;
  #work: Promise<void> | undefined;

  private constructor(deps: CircuitReportsDeps, collection: Collection<Told>) {
    this.#deps = deps;
    this.#models = new ModelSource(deps.registry);
    this.#collection = collection;
  }

  /** Opens it; nothing is told before `start`. */
  static async open(deps: CircuitReportsDeps): Promise<CircuitReports> {
    const spec = { name: "proof_circuit_reports", indexes: [] };
    return new CircuitReports(deps, await deps.documents.collection<Told>(spec));
  }

  /** Tells of every version once, and from now on of those that change. */
  start(): void {
    if (this.#follower !== undefined || !this.#models.isKnown || this.#stop.signal.aborted) {
      return;
    }
    const { circuits, events, recheckMs } = this.#deps;
    this.#follower = FeedFollower.begin(circuits.jobs, {
      changed: (change) => this.#changed(change),
      missed: () => void this.#all(),
      broke: (error) => events.backgroundFailed("circuit report", "feed", error),
    });
    void this.#all();
    this.#recheck = setInterval(() => void this.#all(), recheckMs ?? RECHECK_MS).unref();
  }

  /** Has the registry told of a version soon. Never throws. */
  soon(modelVersion: string): void {
    if (this.#models.isKnown && !this.#stop.signal.aborted) {
      this.#due.add(modelVersion);
      this.#work ??= this.#tellDue().finally(() => {
        this.#work = undefined;
        for (const name of this.#due) {
          this.soon(name);
        }
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#recheck);
    for (const timer of this.#timers.values()) {
      clearTimeout(timer);
    }
    await this.#follower?.[Symbol.asyncDispose]();
    await this.#work;
  }

  #changed(change: Change<Circuit>): void {
    const name = idOf(change);
    const shown = change.kind === "put" && isReady(change.document) ? shownOf(change.document) : "";
    // Most changes are progress, which the registry is not told.
    if (shown !== (this.#seen.get(name) ?? "")) {
      this.soon(versionOf(name));
    }
    if (shown === "") {
      this.#seen.delete(name);
    } else {
      this.#seen.set(name, shown);
    }
  }

  /** All versions that have circuits, or that the registry was told to have. */
  async #all(): Promise<void> {
    const { signal } = this.#stop;
    const { circuits, events } = this.#deps;
    try {
      const versions = new Set<string>();
      for await (const { _id } of this.#collection.find({}, { signal })) {
        versions.add(_id);
      }
      for await (const { modelVersion } of circuits.jobs.find({ state: "SUCCEEDED" }, signal)) {
        versions.add(modelVersion);
      }
      for (const modelVersion of versions) {
        this.soon(modelVersion);
      }
    } catch (error) {
      if (!signal.aborted) {
        events.backgroundFailed("circuit report", "*", error);
        this.#later("*", () => void this.#all());
      }
    }
  }

  /** One version after the other: after a restart it may be all of them. */
  async #tellDue(): Promise<void> {
    for (const modelVersion of this.#due) {
      if (this.#stop.signal.aborted) {
        return;
      }
      this.#due.delete(modelVersion);
      try {
        await this.#tell(modelVersion);
        this.#failures.delete(modelVersion);
      } catch (error) {
        if (!this.#stop.signal.aborted) {
          this.#deps.events.backgroundFailed("circuit report", modelVersion, error);
          this.#later(modelVersion, () => this.soon(modelVersion));
        }
      }
    }
  }

  #later(key: string, run: () => void): void {
    const pauses = this.#deps.retryMs ?? RETRY_MS;
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    clearTimeout(this.#timers.get(key));
    const again = () => {
      this.#timers.delete(key);
      run();
    };
    const pauseMs = pauses[Math.min(failures, pauses.length - 1)];
    this.#timers.set(key, setTimeout(again, pauseMs).unref());
  }

  /** Until nothing has changed while it was told: of two replicas the slower one may be last. */
  async #tell(modelVersion: string): Promise<void> {
    const { signal } = this.#stop;
    for (;;) {
      const circuits = await this.#usable(modelVersion);
      const text = circuits.map(shownOf).join("\n");
      if (text === this.#told.get(modelVersion)) {
        return;
      }
      const isKnown = (await this.#collection.findOne({ _id: modelVersion })) !== undefined;
      if (circuits.length === 0 && !isKnown) {
        return;
      }
      if (!isKnown) {
        // Before it is told, so that it is told of the last circuit's end whatever happens.
        await insertIfNew(this.#collection, { _id: modelVersion });
      }
      try {
        const report = { name: modelVersion, circuits: circuits.map(messageOf) };
        await this.#models.report(report, { signal });
      } catch (error) {
        if (!(error instanceof NotFound)) {
          throw error;
        }
      }
      if (circuits.length === 0) {
        this.#told.delete(modelVersion);
        await this.#collection.deleteOne(modelVersion);
        return;
      }
      this.#told.set(modelVersion, text);
    }
  }

  /** The circuits that the registry is told of, newest first; others are taken out of use. */
  async #usable(modelVersion: string): Promise<readonly Circuit[]> {
    const { circuits } = this.#deps;
    const ready = (await circuits.ofVersion(modelVersion)).filter(isReady);
    const uid = await this.#uidOf(modelVersion);
    const isUsed = ready.some((circuit) => circuit.active && isDevelopment(circuit));
    const isProduction = isUsed && uid !== undefined && (await this.#isProduction(modelVersion));
    const usable: Circuit[] = [];
    for (const circuit of ready) {
      const isOf = circuit.modelVersionUid === uid;
      const isActive = circuit.active && isOf && !(isProduction && isDevelopment(circuit));
      if (circuit.active && !isActive) {
        await circuits.deactivate(circuit);
      }
      if (isOf) {
        usable.push({ ...circuit, active: isActive });
      }
    }
    return usable.slice(0, CIRCUITS_MAX);
  }

  /** Undefined where there is no such version. */
  async #uidOf(modelVersion: string): Promise<string | undefined> {
    try {
      return (await this.#models.lookUp(modelVersion, { signal: this.#stop.signal })).uid;
    } catch (error) {
      if (error instanceof NotFound) {
        return undefined;
      }
      throw error;
    }
  }

  async #isProduction(modelVersion: string): Promise<boolean> {
    const { workspace } = modelVersionName.parse(modelVersion, "name");
    return await this.#models.isProduction(workspace, { signal: this.#stop.signal });
  }
}

/** What of a circuit the registry is told, as one line. */
function shownOf(circuit: Circuit): string {
  const { _id, active, key } = circuit;
  return JSON.stringify([_id, active, key?.zkey]);
}

function messageOf(circuit: Circuit): MessageInitShape<typeof ModelCircuitSchema> {
  const { _id, active, compiled, key } = circuit;
  return {
    circuit: _id,
    active,
    development: isDevelopment(circuit),
    modelCommitment: compiled?.model ?? "",
    circuitHash: compiled?.constraints ?? "",
    verifyingKeyHash: key?.record.verifyingKeyHash ?? "",
  };
}
