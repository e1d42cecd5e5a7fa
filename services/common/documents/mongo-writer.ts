// What a collection in MongoDB does with a write, and the plain way of it: each write is one atomic
// command on one document. mongo-feed-writer.ts is the other way.
//
// FerretDB 1.24 is not atomic there: an update reads the document and writes it back by `_id`.
// Writes of one process to one document therefore queue up here (which spares MongoDB their
// conflicts too); compare-and-set between processes needs a real MongoDB.

import type { Document as Bson, Collection as BsonCollection } from "mongodb";
import { alreadyExists, notFound, versionMismatch } from "./document-errors.ts";
import { withKey } from "./keyed-lock.ts";
import { type Row, uniqueField, uniqueKeys } from "./mongo-encoding.ts";
import { isDuplicate } from "./mongo-errors.ts";
import { allOf, isHidden, visible } from "./mongo-query.ts";
import type { CollectionSpec, IfVersion } from "./port.ts";
import { indexLabel } from "./query.ts";

/**
 * Tries of a write that others keep getting in the way of. Each lost try means another's success.
 */
export const TRIES_MAX = 200;

/** The four writes of the port, on encoded fields. */
export interface Writer {
  insert(id: string, fields: Bson): Promise<Row>;
  replace(id: string, fields: Bson, condition: IfVersion): Promise<Row>;
  put(id: string, fields: Bson): Promise<Row>;
  delete(id: string, condition: IfVersion | undefined): Promise<boolean>;
}

export interface WriterParts {
  readonly rows: BsonCollection<Row>;
  readonly spec: CollectionSpec;
  readonly now: () => number;
}

/** Runs an update of a document after those of this process that came before. */
export function oneByOne<R>({ rows }: WriterParts, id: string, run: () => Promise<R>): Promise<R> {
  return withKey(`${rows.namespace}\0${id}`, run);
}

/** The first unique index whose key another document holds, with that document. */
export async function findHolder(
  parts: WriterParts,
  id: string,
  keys: Readonly<Record<string, string>>,
): Promise<{ readonly label: string; readonly row: Row } | undefined> {
  for (const index of parts.spec.indexes) {
    const key = keys[uniqueField(index)];
    if (key === undefined || key.startsWith("-")) continue;
    const filter = { [uniqueField(index)]: key, _id: { $ne: id } };
    const row = await parts.rows.findOne(filter, { readConcern: "local" });
    if (row !== null) return { label: indexLabel(index), row };
  }
  return undefined;
}

export class PlainWriter implements Writer {
  readonly #parts: WriterParts;

  constructor(parts: WriterParts) {
    this.#parts = parts;
  }

  async insert(id: string, fields: Bson): Promise<Row> {
    const row: Row = { _id: id, v: 1, r: 0, d: fields };
    const keys = uniqueKeys(this.#parts.spec, id, fields);
    await this.#freeing(id, keys, { idTaken: true }, async () => {
      await this.#parts.rows.insertOne({ ...row, ...keys });
    });
    return row;
  }

  async replace(id: string, fields: Bson, { ifVersion }: IfVersion): Promise<Row> {
    const keys = uniqueKeys(this.#parts.spec, id, fields);
    const filter = allOf([{ _id: id, v: ifVersion }, ...this.#visible()]);
    const { matchedCount } = await this.#freeing(id, keys, { idTaken: false }, () => {
      return this.#parts.rows.updateOne(filter, { $set: { d: fields, ...keys }, $inc: { v: 1 } });
    });
    if (matchedCount === 1) return { _id: id, v: ifVersion + 1, r: 0, d: fields };
    throw await this.#whyNot(id, ifVersion);
  }

  async put(id: string, fields: Bson): Promise<Row> {
    const keys = uniqueKeys(this.#parts.spec, id, fields);
    return this.#freeing(id, keys, { idTaken: false }, async () => {
      const stored = await this.#parts.rows.findOneAndUpdate(
        // Outside of the $and: FerretDB takes the _id of an upsert from the top of the filter only.
        { _id: id, ...allOf(this.#visible()) },
        { $set: { d: fields, ...keys }, $setOnInsert: { r: 0 }, $inc: { v: 1 } },
        { upsert: true, returnDocument: "after" },
      );
      return { _id: id, v: stored!.v, r: 0, d: fields };
    });
  }

  async delete(id: string, condition: IfVersion | undefined): Promise<boolean> {
    const version = condition === undefined ? [] : [{ v: condition.ifVersion }];
    const filter = allOf([{ _id: id }, ...version, ...this.#visible()]);
    const { deletedCount } = await oneByOne(this.#parts, id, () => {
      return this.#parts.rows.deleteOne(filter);
    });
    if (deletedCount === 1 || condition === undefined) return deletedCount === 1;
    const error = await this.#whyNot(id, condition.ifVersion);
    if (error.kind === "NotFound") return false;
    throw error;
  }

  /** Runs a write; where a key is taken by an expired document, removes that and runs it again. */
  #freeing<R>(
    id: string,
    keys: Readonly<Record<string, string>>,
    options: { readonly idTaken: boolean },
    run: () => Promise<R>,
  ): Promise<R> {
    return oneByOne(this.#parts, id, () => this.#tryFreeing(id, keys, options, run));
  }

  async #tryFreeing<R>(
    id: string,
    keys: Readonly<Record<string, string>>,
    options: { readonly idTaken: boolean },
    run: () => Promise<R>,
  ): Promise<R> {
    const { rows, spec } = this.#parts;
    for (let tries = 1; ; tries += 1) {
      try {
        return await run();
      } catch (error) {
        if (!isDuplicate(error) || tries === TRIES_MAX) throw error;
      }
      const same = await rows.findOne({ _id: id }, { readConcern: "local" });
      const now = this.#parts.now();
      if (same !== null && isHidden(spec, same, now)) {
        await rows.deleteOne({ _id: id, v: same.v });
        continue;
      }
      if (same !== null && options.idTaken) throw alreadyExists(spec.name, "_id");
      const holder = await findHolder(this.#parts, id, keys);
      if (holder === undefined) continue;
      if (!isHidden(spec, holder.row, now)) throw alreadyExists(spec.name, holder.label);
      await rows.deleteOne({ _id: holder.row._id, v: holder.row.v });
    }
  }

  async #whyNot(id: string, expected: number) {
    const { rows, spec } = this.#parts;
    const stored = await rows.findOne(allOf([{ _id: id }, ...this.#visible()]));
    if (stored === null) return notFound(spec.name, id);
    return versionMismatch(spec.name, id, { expected, stored: stored.v });
  }

  #visible() {
    return visible(this.#parts.spec, this.#parts.now());
  }
}
