// The circuits, as they are stored. Making one is a job (common/jobs); this adds what holds once a
// circuit is there: which one of a version is active, its key, how long its proofs take.
//
// Which one is active stands in a document of the version, so that one write changes it: there is
// never a moment with two, nor one with none while another takes over. `active` in a circuit's own
// document follows it, for those who watch; what this store gives out always says the former.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Clock } from "../../common/clock.ts";
import type {
  Collection,
  Document,
  DocumentStore,
  IfVersion,
  Stored,
} from "../../common/documents/port.ts";
import { notFound, updateDocument, withoutStamps } from "../../common/documents/resource.ts";
import { Aborted, NotFound } from "../../common/errors/domain-error.ts";
import { etagOf } from "../../common/etag.ts";
import { isEnded } from "../../common/jobs/job.ts";
import { JobStore } from "../../common/jobs/job-store.ts";
import type { Page } from "../../common/list-page.ts";
import { circuitName } from "../../common/names.ts";
import { ActiveCircuits } from "./active-circuits.ts";
import { type Circuit, digestsOf, isReady, type KeyDocument } from "./circuit.ts";
import { notYet } from "./circuit-files.ts";

/** In the place of a circuit's id: the one that is active. */
export const ACTIVE_ID = "active";

/** Of a circuit whose making was stopped, where whoever asked for it did not stay to remove it. */
const CANCELLED_TTL_MS = 3_600_000;

const PROVE_TIMES_MAX = 100;
const WRITE_TRIES = 20;

/** What a list asks for. */
export interface CircuitQuery {
  readonly workspace: string;
  /** Undefined: of all models. */
  readonly model?: string;
  /** Name of the version by number. Undefined: of all versions. */
  readonly modelVersion?: string;
  /** What the page token is bound to. */
  readonly parent: string;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly signal: AbortSignal;
}

/** `_id` is the circuit's uid. */
interface ProveTimes extends Document {
  readonly ms: readonly number[];
}

/** Owns the collection of circuits. */
export class CircuitStore {
  /** As stored: without what the version's document and the proofs say. */
  readonly jobs: JobStore<Circuit>;
  readonly #active: ActiveCircuits;
  readonly #times: Collection<ProveTimes>;
  readonly #clock: Clock;

  private constructor(
    parts: {
      readonly jobs: JobStore<Circuit>;
      readonly active: ActiveCircuits;
      readonly times: Collection<ProveTimes>;
    },
    clock: Clock,
  ) {
    this.jobs = parts.jobs;
    this.#active = parts.active;
    this.#times = parts.times;
    this.#clock = clock;
  }

  /** Opens the collections, making what is missing. */
  static async open(
    documents: DocumentStore,
    { clock }: { readonly clock: Clock },
  ): Promise<CircuitStore> {
    const jobs = await JobStore.open<Circuit>(documents, {
      collection: "proof_circuits",
      clock,
      indexes: [{ keys: { modelVersion: 1, createTime: 1 } }],
      expireAfterMs: ({ state }) => (state === "CANCELLED" ? CANCELLED_TTL_MS : undefined),
    });
    const active = await ActiveCircuits.open(documents);
    const times = await documents.collection<ProveTimes>({
      name: "proof_circuit_times",
      indexes: [],
    });
    return new CircuitStore({ jobs, active, times }, clock);
  }

  /** The circuit; the id `active` is the active one of its version. @throws NotFound */
  async get(name: string): Promise<Stored<Circuit>> {
    const modelVersion = versionOf(name);
    if (name === `${modelVersion}/circuits/${ACTIVE_ID}`) {
      const active = await this.active(modelVersion);
      if (active === undefined) {
        throw noActive(name);
      }
      return active;
    }
    const [circuit] = await this.seen([await this.jobs.get(name)]);
    return circuit!;
  }

  /** The active circuit of a version by number, if it has one that can be used. */
  async active(modelVersion: string): Promise<Stored<Circuit> | undefined> {
    const name = await this.#active.of(modelVersion);
    const stored =
      name === undefined ? undefined : await this.jobs.collection.findOne({ _id: name });
    const [circuit] = stored === undefined ? [] : await this.seen([stored]);
    return circuit?.active === true ? circuit : undefined;
  }

  /** One page, newest first. @throws InvalidArgument */
  async list(query: CircuitQuery): Promise<Page<Circuit>> {
    const { workspace, model, modelVersion, parent, ...page } = query;
    const { items, nextPageToken } = await this.jobs.list({
      ...page,
      call: ["ListCircuits", parent],
      where: modelVersion === undefined ? { workspace } : { modelVersion },
      matches: ({ modelVersion: one }) => model === undefined || one.startsWith(`${model}/`),
    });
    return { items: await this.seen(items), nextPageToken };
  }

  /** All circuits of a version, newest first. */
  async ofVersion(modelVersion: string): Promise<readonly Stored<Circuit>[]> {
    const sort = { createTime: -1 } as const;
    return this.seen(await Array.fromAsync(this.jobs.collection.find({ modelVersion }, { sort })));
  }

  /** Circuits as they were read, with what stands elsewhere: whether active, their times. */
  async seen(circuits: readonly Stored<Circuit>[]): Promise<Stored<Circuit>[]> {
    if (circuits.length === 0) {
      return [];
    }
    const active = await this.#active.ofAll(circuits.map(({ modelVersion }) => modelVersion));
    const times = new Map<string, readonly number[]>();
    for await (const { _id, ms } of this.#times.find({
      _id: { $in: circuits.map(({ uid }) => uid) },
    })) {
      times.set(_id, ms);
    }
    return circuits.map((circuit) => ({
      ...circuit,
      active: isReady(circuit) && active.get(circuit.modelVersion) === circuit._id,
      proveMs: times.get(circuit.uid) ?? [],
    }));
  }

  /**
   * Makes a circuit the active one of its version, in the place of the one that was. Again is no
   * change.
   * @throws NotFound; Aborted (ETAG_MISMATCH); FailedPrecondition where it is not ready
   */
  async activate(name: string, etag = ""): Promise<Stored<Circuit>> {
    // Written here first: whoever deletes the circuit as it was read before is refused.
    const circuit = await updateDocument(this.jobs.collection, { name, etag }, (current) => {
      if (!isReady(current)) {
        throw notYet(name, "cannot be activated, as it is not READY");
      }
      const updateTime = new Date(this.#clock.now());
      return current.active ? current : { ...current, active: true, updateTime };
    });
    const former = await this.#active.set(circuit.modelVersion, name);
    await this.settle(name);
    if (former !== undefined && former !== name) {
      await this.settle(former);
    }
    const activated = await this.jobs.collection.findOne({ _id: name });
    if (activated === undefined) {
      // Deleted meanwhile, by somebody who forced it.
      await this.#active.clear(circuit.modelVersion, name);
      throw notFound(name);
    }
    const [seen] = await this.seen([activated]);
    return seen!;
  }

  /**
   * Makes the circuit that is about to be ready the active one, where its version has none. One of
   * another version that had the name before counts for none. False: it has one.
   */
  async activateFirst({ _id: name, modelVersion, modelVersionUid }: Circuit): Promise<boolean> {
    const before = await this.#active.of(modelVersion);
    const there =
      before === undefined ? undefined : await this.jobs.collection.findOne({ _id: before });
    const isOf = there?.modelVersionUid === modelVersionUid;
    if (there !== undefined && isOf && (isReady(there) || !isEnded(there))) {
      return there._id === name;
    }
    const isFirst = await this.#active.replace(modelVersion, { before, name });
    if (isFirst && there !== undefined) {
      await this.settle(there._id);
    }
    return isFirst;
  }

  /** Takes a circuit out of use; its version has no active one then. Nothing where it is not. */
  async deactivate({ _id: name, modelVersion }: Circuit): Promise<void> {
    await this.#active.clear(modelVersion, name);
    await this.settle(name);
  }

  /**
   * Writes the key in the place of the one that was read.
   * @throws Aborted (ETAG_MISMATCH) where the circuit has changed since; NotFound
   */
  async setKey(
    name: string,
    { ifVersion, key }: IfVersion & { readonly key: KeyDocument },
  ): Promise<Stored<Circuit>> {
    const circuit = await this.jobs.get(name);
    const updateTime = new Date(this.#clock.now());
    const next: Circuit = { ...withoutStamps<Circuit>(circuit), key, updateTime };
    try {
      const [seen] = await this.seen([await this.jobs.collection.replaceOne(next, { ifVersion })]);
      return seen!;
    } catch (error) {
      if (error instanceof NotFound) {
        throw notFound(name);
      }
      throw error instanceof Aborted ? changedMeanwhile(name) : error;
    }
  }

  /**
   * Counts how long a proof of the circuit with this uid took. Best effort: it is no change of the
   * circuit, and of two at once one may be lost.
   */
  async addProveMs(uid: string, ms: number): Promise<void> {
    const times = await this.#times.findOne({ _id: uid });
    const kept = [...(times?.ms ?? []), Math.round(ms)].slice(-PROVE_TIMES_MAX);
    await this.#times.putOne({ _id: uid, ms: kept });
  }

  /**
   * Removes a circuit that has ended, if it is still as it was read; what is active stays.
   * @throws Aborted (ETAG_MISMATCH)
   */
  async remove(circuit: Stored<Circuit>): Promise<void> {
    await this.jobs.collection.deleteOne(circuit._id, { ifVersion: circuit.version });
    await this.#active.clear(circuit.modelVersion, circuit._id);
    await this.#times.deleteOne(circuit.uid);
  }

  /** Every blob that a circuit refers to; some come more than once. */
  async *referencedDigests(): AsyncGenerator<string> {
    for await (const circuit of this.jobs.collection.find({})) {
      yield* digestsOf(circuit);
    }
  }

  /** Brings `active` in a circuit's document up to what its version's says. */
  async settle(name: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      const stored = await this.jobs.collection.findOne({ _id: name });
      if (stored === undefined) {
        return;
      }
      const active = (await this.#active.of(stored.modelVersion)) === name;
      if (stored.active === active) {
        return;
      }
      // Looked at once more after the write: it may have changed before it.
      const updateTime = new Date(this.#clock.now());
      const next: Circuit = { ...withoutStamps<Circuit>(stored), active, updateTime };
      try {
        await this.jobs.collection.replaceOne(next, { ifVersion: stored.version });
      } catch (error) {
        const isRace = error instanceof Aborted || error instanceof NotFound;
        if (!isRace || tries === WRITE_TRIES) {
          throw error;
        }
      }
    }
  }
}

/** Name of the model version that a circuit is of. @throws InvalidArgument */
export function versionOf(name: string): string {
  circuitName.parse(name, "name");
  return name.replace(/\/circuits\/[^/]+$/, "");
}

/** The error where a version has no active circuit; `name` ends in `active`. */
export function noActive(name: string): NotFound {
  return notFound(name, "Create a circuit of the version, or activate one that is READY.");
}

/** Somebody else changed a circuit while something was done with what was read of it. */
function changedMeanwhile(name: string): Aborted {
  return new Aborted(
    `${name} was changed by another call meanwhile. Read it again and repeat the change.`,
    { reason: ErrorReason.ETAG_MISMATCH, metadata: { resource: name } },
  );
}

/** The etag of a circuit as it was read. */
export function circuitEtag({ uid, version }: Stored<Circuit>): string {
  return etagOf(uid, version);
}
