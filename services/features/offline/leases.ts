// Leases on histories, so that two replicas do not do the same work at once. They save work; they
// are not what correctness stands on, because a process can sleep past its lease and not know.

import type { Clock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore, Stored } from "../../common/documents/port.ts";
import { Aborted, AlreadyExists, NotFound } from "../../common/errors/domain-error.ts";

/** Renewed this often within its time, so that two failed renewals do not lose it. */
const RENEWALS_PER_LEASE = 4;

interface LeaseDocument extends Document {
  readonly owner: string;
  readonly until: Date;
}

/** Held until it is disposed. */
export interface Lease extends AsyncDisposable {
  /** Aborts when the lease was lost: stop, somebody else may have begun. */
  readonly signal: AbortSignal;
}

/** Owns the collection of leases. */
export class Leases {
  readonly #documents: Collection<LeaseDocument>;
  readonly #clock: Clock;
  readonly #leaseMs: number;

  private constructor(documents: Collection<LeaseDocument>, clock: Clock, leaseMs: number) {
    this.#documents = documents;
    this.#clock = clock;
    this.#leaseMs = leaseMs;
  }

  static async open(
    documents: DocumentStore,
    options: { readonly clock: Clock; readonly leaseMs: number },
  ): Promise<Leases> {
    const collection = await documents.collection<LeaseDocument>({
      name: "feature_leases",
      indexes: [],
    });
    return new Leases(collection, options.clock, options.leaseMs);
  }

  /** Takes a lease, which is renewed until it is disposed. Undefined: another owner holds it. */
  async acquire(id: string, owner: string): Promise<Lease | undefined> {
    const taken = await unlessRaced(this.#take(id, owner));
    return taken === undefined ? undefined : new HeldLease(this, taken);
  }

  /** How long a lease lasts without renewal. */
  get leaseMs(): number {
    return this.#leaseMs;
  }

  /** @throws Aborted, NotFound when it is somebody else's by now. */
  async renew(held: Stored<LeaseDocument>): Promise<Stored<LeaseDocument>> {
    return this.#documents.replaceOne(
      { _id: held._id, owner: held.owner, until: this.#until() },
      { ifVersion: held.version },
    );
  }

  async release(held: Stored<LeaseDocument>): Promise<void> {
    await unlessRaced(this.#documents.deleteOne(held._id, { ifVersion: held.version }));
  }

  async #take(id: string, owner: string): Promise<Stored<LeaseDocument> | undefined> {
    const wanted: LeaseDocument = { _id: id, owner, until: this.#until() };
    const current = await this.#documents.findOne({ _id: id });
    if (current === undefined) {
      return this.#documents.insertOne(wanted);
    }
    const isFree = current.until.getTime() < this.#clock.now() || current.owner === owner;
    return isFree ? this.#documents.replaceOne(wanted, { ifVersion: current.version }) : undefined;
  }

  #until(): Date {
    return new Date(this.#clock.now() + this.#leaseMs);
  }
}

class HeldLease implements Lease {
  readonly #leases: Leases;
  readonly #lost = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #held: Stored<LeaseDocument>;
  #renewing: Promise<void> | undefined;

  constructor(leases: Leases, held: Stored<LeaseDocument>) {
    this.#leases = leases;
    this.#held = held;
    this.#timer = setInterval(() => {
      this.#renewing ??= this.#renew().finally(() => {
        this.#renewing = undefined;
      });
    }, leases.leaseMs / RENEWALS_PER_LEASE).unref();
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#renewing;
    if (!this.#lost.signal.aborted) {
      // A store that is away must not hide how the work ended; the lease then ends by itself.
      await this.#leases.release(this.#held).catch(() => {});
    }
  }

  async #renew(): Promise<void> {
    try {
      this.#held = await this.#leases.renew(this.#held);
    } catch (error) {
      if (isRace(error)) {
        clearInterval(this.#timer);
        this.#lost.abort(error);
      }
      // While the store is away nobody can take it either.
    }
  }
}

function isRace(error: unknown): boolean {
  return error instanceof Aborted || error instanceof NotFound || error instanceof AlreadyExists;
}

/** The result, or undefined when another writer of the same document was faster. */
async function unlessRaced<T>(write: Promise<T>): Promise<T | undefined> {
  try {
    return await write;
  } catch (error) {
    if (isRace(error)) {
      return undefined;
    }
    throw error;
  }
}
