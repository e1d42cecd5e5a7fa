// What is known of uploaded tables. A table's bytes are a blob of the same digest as its id; the
// document comes first and goes last, so that whoever sweeps blobs never takes one that is in use.

import type { Clock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore, Stored } from "../../common/documents/port.ts";
import { withoutStamps } from "../../common/documents/resource.ts";
import { Aborted, AlreadyExists, NotFound } from "../../common/errors/domain-error.ts";
import type { TableFormat } from "../offline/engine-tasks.ts";

/** `_id` is the table's name. */
export interface Table extends Document {
  readonly workspace: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly createTime: Date;
  readonly expireTime: Date;
  /** Null until its bytes are stored and were looked at. */
  readonly content: TableContent | null;
}

/** What is in the file. */
export interface TableContent {
  readonly format: TableFormat;
  readonly rows: number;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/** Owns the collection of tables. */
export class TableStore {
  readonly #tables: Collection<Table>;
  readonly #clock: Clock;

  private constructor(tables: Collection<Table>, clock: Clock) {
    this.#tables = tables;
    this.#clock = clock;
  }

  /** Opens the collection, making it where it is missing. */
  static async open(documents: DocumentStore, clock: Clock): Promise<TableStore> {
    const tables = await documents.collection<Table>({
      name: "feature_tables",
      indexes: [{ keys: { expireTime: 1 }, expireAfterSeconds: 0 }],
    });
    return new TableStore(tables, clock);
  }

  /** The table, also one that is still on its way in. */
  find(name: string): Promise<Stored<Table> | undefined> {
    return this.#tables.findOne({ _id: name });
  }

  /** Stores a table; one that is there keeps the later expiry, and gets new content if any. */
  async put(table: Omit<Table, "createTime">): Promise<Stored<Table>> {
    const createTime = new Date(this.#clock.now());
    while (true) {
      const found = await this.#tables.findOne({ _id: table._id });
      try {
        return found === undefined
          ? await this.#tables.insertOne({ ...table, createTime })
          : await this.#tables.replaceOne(
              {
                ...withoutStamps(found),
                content: table.content ?? found.content,
                expireTime: later(found.expireTime, table.expireTime),
              },
              { ifVersion: found.version },
            );
      } catch (error) {
        ifRaced(error);
      }
    }
  }

  /** Lets a table stay at least this much longer. False when it is gone. */
  async keep(name: string, ttlMs: number): Promise<boolean> {
    while (true) {
      const found = await this.#tables.findOne({ _id: name });
      if (found === undefined) {
        return false;
      }
      const expireTime = later(found.expireTime, new Date(this.#clock.now() + ttlMs));
      try {
        await this.#tables.replaceOne(
          { ...withoutStamps(found), expireTime },
          { ifVersion: found.version },
        );
        return true;
      } catch (error) {
        ifRaced(error);
      }
    }
  }

  /** Removes a table whose file turned out to be none, unless another upload made it one. */
  async drop(name: string): Promise<void> {
    const found = await this.#tables.findOne({ _id: name });
    if (found !== undefined && found.content === null) {
      await this.#tables.deleteOne(name, { ifVersion: found.version }).catch(ifRaced);
    }
  }

  /** The blobs of all tables. */
  async *digests(): AsyncGenerator<string> {
    for await (const { digest } of this.#tables.find({})) {
      yield digest;
    }
  }
}

function later(a: Date, b: Date): Date {
  return a > b ? a : b;
}

function ifRaced(error: unknown): void {
  const isRace =
    error instanceof Aborted || error instanceof AlreadyExists || error instanceof NotFound;
  if (!isRace) {
    throw error;
  }
}
