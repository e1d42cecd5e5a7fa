// Which circuit of a model version is active: one document a version, so that it is one write to
// change it.

import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { insertIfNew } from "../../common/documents/resource.ts";
import { Aborted, NotFound } from "../../common/errors/domain-error.ts";

const WRITE_TRIES = 50;

/** `_id` is the name of the version, by number. */
interface ActiveCircuit extends Document {
  /** Name of the circuit. */
  readonly circuit: string;
}

/** Owns the collection. */
export class ActiveCircuits {
  readonly #collection: Collection<ActiveCircuit>;

  private constructor(collection: Collection<ActiveCircuit>) {
    this.#collection = collection;
  }

  /** Opens the collection, making it where missing. */
  static async open(documents: DocumentStore): Promise<ActiveCircuits> {
    const spec = { name: "proof_active_circuits", indexes: [] };
    return new ActiveCircuits(await documents.collection<ActiveCircuit>(spec));
  }

  /** Name of the active circuit of a version, if any; it may be gone. */
  async of(modelVersion: string): Promise<string | undefined> {
    return (await this.#collection.findOne({ _id: modelVersion }))?.circuit;
  }

  /** Of many versions; those without one are not in it. */
  async ofAll(modelVersions: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    const names = [...new Set(modelVersions)];
    for await (const { _id, circuit } of this.#collection.find({ _id: { $in: names } })) {
      found.set(_id, circuit);
    }
    return found;
  }

  /** Makes it the active one. Gives the one that was, if any. */
  async set(modelVersion: string, name: string): Promise<string | undefined> {
    for (let tries = 1; ; tries++) {
      const before = await this.of(modelVersion);
      if (before === name || (await this.replace(modelVersion, { before, name }))) {
        return before;
      }
      if (tries === WRITE_TRIES) {
        throw new Error(`the active circuit of ${modelVersion} changes all the time`);
      }
    }
  }

  /** Writes the active one if it is still as it was; undefined: there is none. */
  async replace(
    modelVersion: string,
    { before, name }: { readonly before: string | undefined; readonly name: string },
  ): Promise<boolean> {
    const next = { _id: modelVersion, circuit: name };
    const stored = await this.#collection.findOne({ _id: modelVersion });
    if (stored?.circuit !== before) {
      return false;
    }
    if (stored === undefined) {
      return await insertIfNew(this.#collection, next);
    }
    return await happened(this.#collection.replaceOne(next, { ifVersion: stored.version }));
  }

  /** The version has none from now on, if it is still this one. */
  async clear(modelVersion: string, name: string): Promise<void> {
    const stored = await this.#collection.findOne({ _id: modelVersion });
    if (stored?.circuit === name) {
      await happened(this.#collection.deleteOne(modelVersion, { ifVersion: stored.version }));
    }
  }
}

/** Whether a write that compares the version was made. */
async function happened(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (error instanceof Aborted || error instanceof NotFound) {
      return false;
    }
    throw error;
  }
}
