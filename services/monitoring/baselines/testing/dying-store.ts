// For tests: the document store as a process sees it that dies at one of its writes. What the
// process does from then on fails; what others see is what was written until then.

import type {
  Collection,
  CollectionSpec,
  Document,
  DocumentStore,
} from "../../../common/documents/port.ts";

/** When the process dies: at its n-th write (from 0), just before or just after it is durable. */
export interface Death {
  readonly atWrite: number;
  readonly when: "before" | "after";
}

export class DyingStore implements DocumentStore {
  readonly #inner: DocumentStore;
  readonly #death: Death | undefined;
  /** Writes so far. */
  writes = 0;
  isDead = false;

  /** Absent: it lives, and counts. */
  constructor(inner: DocumentStore, death?: Death) {
    this.#inner = inner;
    this.#death = death;
  }

  async collection<T extends Document>(spec: CollectionSpec): Promise<Collection<T>> {
    const inner = await this.#inner.collection<T>(spec);
    const write = <R>(act: () => Promise<R>): Promise<R> => this.#write(act);
    return {
      insertOne: (document) => write(() => inner.insertOne(document)),
      replaceOne: (document, condition) => write(() => inner.replaceOne(document, condition)),
      putOne: (document) => write(() => inner.putOne(document)),
      deleteOne: (id, condition) => write(() => inner.deleteOne(id, condition)),
      findOne: (filter) => this.#read(() => inner.findOne(filter)),
      find: (filter, options) => {
        this.#requireLife();
        return inner.find(filter, options);
      },
      countDocuments: (filter) => this.#read(() => inner.countDocuments(filter)),
      revision: () => inner.revision(),
      changes: (after, signal) => inner.changes(after, signal),
    };
  }

  ping(): Promise<void> {
    return this.#inner.ping();
  }

  /** The store is not its own. */
  async [Symbol.asyncDispose](): Promise<void> {}

  async #write<R>(act: () => Promise<R>): Promise<R> {
    this.#requireLife();
    const number = this.writes++;
    const dies = number === this.#death?.atWrite;
    if (dies && this.#death?.when === "after") {
      await act();
    }
    this.isDead ||= dies;
    this.#requireLife();
    const result = await act();
    this.#requireLife();
    return result;
  }

  async #read<R>(act: () => Promise<R>): Promise<R> {
    this.#requireLife();
    const result = await act();
    this.#requireLife();
    return result;
  }

  #requireLife(): void {
    if (this.isDead) {
      throw new Error("the process died");
    }
  }
}
