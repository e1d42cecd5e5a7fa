// Powers of tau that were imported: the file as a blob, and a document that names it. The document
// is stored before the bytes become a blob, so that nobody sweeps them, and counts for nobody until
// all of the file was verified.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { BlobStore, Digest } from "../../common/blobs/port.ts";
import type { Clock } from "../../common/clock.ts";
import { withKey } from "../../common/documents/keyed-lock.ts";
import type { Collection, Document, DocumentStore, Stored } from "../../common/documents/port.ts";
import { notFound, withoutStamps } from "../../common/documents/resource.ts";
import {
  Aborted,
  AlreadyExists,
  FailedPrecondition,
  NotFound,
  ResourceExhausted,
} from "../../common/errors/domain-error.ts";
import { listPage } from "../../common/list-page.ts";

/** More than a workspace has circuits of different sizes; each may be of gigabytes. */
const FILES_MAX = 64;
const RETRY_FULL_MS = 60_000;

/** Writes of one document by several servers at once. */
const WRITE_TRIES = 20;

/** How long the bytes of an import stay whose server was lost; the same import goes on from them. */
const UNVERIFIED_TTL_MS = 24 * 3_600_000;

const ADVICE =
  "List what was imported with ListPowersOfTau, or import a file with ImportPowersOfTau.";

/** What an import brought; `_id` is the name of the powers of tau. */
export interface PowersOfTau extends Document {
  readonly workspace: string;
  readonly createTime: Date;
  readonly actor: string;
  readonly sizeBytes: number;
  /** Names the blob too. */
  readonly sha256: Digest;
  readonly blake2b512: string;
  /** Null until all of it was verified. */
  readonly power: number | null;
  /** Null once verified. */
  readonly expireTime: Date | null;
  /** While whoever deletes it looks for circuits that use it. */
  readonly deleting: boolean;
}

/** Powers of tau that keys may be made from. */
export type VerifiedPowersOfTau = Stored<PowersOfTau> & { readonly power: number };

/** A file of powers of tau on this machine. */
export interface PowersOfTauFile {
  /** Not to be changed. */
  readonly path: string;
  readonly sha256: Digest;
  readonly power: number;
}

/** What is known of a file before it is verified. */
export type NewPowersOfTau = Pick<
  PowersOfTau,
  "_id" | "workspace" | "actor" | "sizeBytes" | "sha256" | "blake2b512"
>;

/** Owns the collection. */
export class PowersOfTauStore {
  readonly #collection: Collection<PowersOfTau>;
  readonly #blobs: BlobStore;
  readonly #clock: Clock;
  /** By workspace, the names of files whose bytes come just now; one may come twice. */
  readonly #coming = new Map<string, string[]>();

  private constructor(
    collection: Collection<PowersOfTau>,
    { blobs, clock }: { readonly blobs: BlobStore; readonly clock: Clock },
  ) {
    this.#collection = collection;
    this.#blobs = blobs;
    this.#clock = clock;
  }

  /** Opens the collection, making what is missing. */
  static async open(
    documents: DocumentStore,
    options: { readonly blobs: BlobStore; readonly clock: Clock },
  ): Promise<PowersOfTauStore> {
    const collection = await documents.collection<PowersOfTau>({
      name: "proof_powers_of_tau",
      indexes: [
        { keys: { workspace: 1, createTime: 1 } },
        { keys: { sha256: 1 } },
        { keys: { expireTime: 1 }, expireAfterSeconds: 0 },
      ],
    });
    return new PowersOfTauStore(collection, options);
  }

  /** Verified powers of tau by their name. @throws NotFound */
  async get(name: string): Promise<VerifiedPowersOfTau> {
    const found = await this.#collection.findOne({ _id: name });
    if (found === undefined || !isVerified(found) || found.deleting) throw notFound(name, ADVICE);
    return found;
  }

  /**
   * The file of verified powers of tau, checked against its hash.
   * @throws NotFound; DataLoss where the bytes on the disk are others.
   */
  async file(name: string): Promise<PowersOfTauFile> {
    const { sha256, power } = await this.get(name);
    return { path: await this.#blobs.localPath(sha256), sha256, power };
  }

  /** Those of a workspace that were verified, newest first. @throws InvalidArgument */
  async list(query: {
    readonly workspace: string;
    readonly pageSize: number;
    readonly pageToken: string;
    readonly signal: AbortSignal;
  }): Promise<{ readonly items: readonly VerifiedPowersOfTau[]; readonly nextPageToken: string }> {
    const { workspace, pageSize, pageToken, signal } = query;
    const page = await listPage(this.#collection, {
      call: ["ListPowersOfTau", workspace],
      pageSize,
      pageToken,
      where: { workspace },
      matches: (one) => isVerified(one) && !one.deleting,
      order: { field: "createTime", kind: "date", descending: true },
      signal,
    });
    return { ...page, items: page.items as readonly VerifiedPowersOfTau[] };
  }

  /** What an import left under this name, verified or not. */
  async find(name: string): Promise<Stored<PowersOfTau> | undefined> {
    const found = await this.#collection.findOne({ _id: name });
    return found?.deleting === true ? undefined : found;
  }

  /**
   * Makes room for a file before its bytes come; to be disposed once it is held, or not after all.
   * @throws ResourceExhausted where the workspace is full.
   */
  async reserve({
    _id: name,
    workspace,
  }: Pick<PowersOfTau, "_id" | "workspace">): Promise<Disposable> {
    // One after the other, so that each counts those before it.
    return await withKey(`room for powers of tau of ${workspace}`, async () => {
      const names = new Set(this.#coming.get(workspace));
      for await (const { _id } of this.#collection.find({ workspace })) names.add(_id);
      if (!names.has(name) && names.size >= FILES_MAX) throw full(workspace);
      this.#coming.set(workspace, [...(this.#coming.get(workspace) ?? []), name]);
      let isComing = true;
      return {
        [Symbol.dispose]: () => {
          if (isComing) this.#arrived(workspace, name);
          isComing = false;
        },
      };
    });
  }

  /**
   * Refers to bytes that are about to be committed and verified. Only what was not verified is
   * replaced; the same bytes are found as they are.
   * @throws AlreadyExists where the name is of another file; Aborted where it changes all the time.
   */
  async hold(file: NewPowersOfTau): Promise<Stored<PowersOfTau>> {
    return await this.#written(file._id, async () => {
      const before = await this.#collection.findOne({ _id: file._id });
      if (before !== undefined && isVerified(before) && !before.deleting) {
        if (before.sha256 === file.sha256) return before;
        throw nameTaken(before);
      }
      const document: PowersOfTau = {
        ...file,
        createTime: new Date(this.#clock.now()),
        power: null,
        expireTime: new Date(this.#clock.now() + UNVERIFIED_TTL_MS),
        deleting: false,
      };
      return before === undefined
        ? await this.#collection.insertOne(document)
        : await this.#collection.replaceOne(document, { ifVersion: before.version });
    });
  }

  /** The power of these bytes where anybody had them verified before. */
  async verifiedPower(sha256: Digest): Promise<number | undefined> {
    for await (const { power } of this.#collection.find({ sha256 })) {
      if (power !== null) return power;
    }
    return undefined;
  }

  /**
   * Makes what was held count. Twice is once.
   * @throws Aborted where the name was given to another file meanwhile.
   */
  async settle(held: Stored<PowersOfTau>, power: number): Promise<VerifiedPowersOfTau> {
    return await this.#written(held._id, async () => {
      const found = await this.#collection.findOne({ _id: held._id });
      if (found?.sha256 !== held.sha256 || found.deleting) throw overtaken(held._id);
      if (isVerified(found)) return found;
      const verified = { ...withoutStamps(found), power, expireTime: null };
      const stored = await this.#collection.replaceOne(verified, { ifVersion: found.version });
      return stored as VerifiedPowersOfTau;
    });
  }

  /** Lets go of bytes that are not to be used, unless another import holds them by now. */
  async release(held: Stored<PowersOfTau>): Promise<void> {
    try {
      await this.#collection.deleteOne(held._id, { ifVersion: held.version });
    } catch (error) {
      if (!(error instanceof Aborted || error instanceof NotFound)) throw error;
    }
  }

  /**
   * Removes powers of tau that nobody uses; their bytes go with the next sweep. It is marked before
   * it is looked who uses it, so that nobody begins to in between.
   *
   * @param userOf gives the name of somebody who uses it.
   * @throws NotFound; FailedPrecondition (RESOURCE_IN_USE); Aborted where it was imported again
   *   meanwhile.
   */
  async delete(name: string, userOf: () => Promise<string | undefined>): Promise<void> {
    try {
      await withKey(`deletion of ${name}`, () => this.#delete(name, userOf));
    } catch (error) {
      throw isOvertaken(error) ? deletionOvertaken(name) : error;
    }
  }

  /** Every blob that is referred to. */
  async *referencedDigests(): AsyncGenerator<Digest> {
    for await (const { sha256 } of this.#collection.find({})) yield sha256;
  }

  async #delete(name: string, userOf: () => Promise<string | undefined>): Promise<void> {
    const found = await this.#collection.findOne({ _id: name });
    if (found === undefined || !isVerified(found)) throw notFound(name, ADVICE);
    const unmarked = withoutStamps<PowersOfTau>(found);
    const marked = await this.#collection.replaceOne(
      { ...unmarked, deleting: true },
      { ifVersion: found.version },
    );
    try {
      const user = await userOf();
      if (user !== undefined) throw inUse(name, user);
    } catch (error) {
      const free = { ...unmarked, deleting: false };
      await this.#collection.replaceOne(free, { ifVersion: marked.version });
      throw error;
    }
    await this.#collection.deleteOne(name, { ifVersion: marked.version });
  }

  #arrived(workspace: string, name: string): void {
    const names = this.#coming.get(workspace) ?? [];
    const left = names.toSpliced(names.indexOf(name), 1);
    if (left.length === 0) this.#coming.delete(workspace);
    else this.#coming.set(workspace, left);
  }

  /** Reads and writes again where another import of the same name was faster. */
  async #written<T>(name: string, write: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await write();
      } catch (error) {
        if (!isOvertaken(error)) throw error;
        if (tries === WRITE_TRIES) throw overtaken(name);
      }
    }
  }
}

/** Whether the store itself refused a write, as the document is not as it was read. */
function isOvertaken(error: unknown): boolean {
  const isRace =
    error instanceof Aborted || error instanceof AlreadyExists || error instanceof NotFound;
  return isRace && error.metadata.collection !== undefined;
}

function isVerified<T extends PowersOfTau>(found: T): found is T & { readonly power: number } {
  return found.power !== null;
}

/** The error where a name is of another file. */
export function nameTaken({ _id: name, sha256 }: PowersOfTau): AlreadyExists {
  return new AlreadyExists(
    `${name} exists already and is another file, with the SHA-256 ${sha256}. Choose another id.`,
    { reason: ErrorReason.RESOURCE_EXISTS, metadata: { resource: name } },
  );
}

function overtaken(name: string): Aborted {
  return new Aborted(
    `${name} was given to another file while this one was verified. Choose another id, or import ` +
      "the file again.",
    { reason: ErrorReason.ETAG_MISMATCH, metadata: { resource: name } },
  );
}

function deletionOvertaken(name: string): Aborted {
  return new Aborted(
    `${name} was imported again while it was deleted, and stays. Delete it again if it is not ` +
      "wanted.",
    { reason: ErrorReason.ETAG_MISMATCH, metadata: { resource: name } },
  );
}

function full(workspace: string): ResourceExhausted {
  return new ResourceExhausted(
    `The workspace ${workspace} has ${FILES_MAX} powers of tau, the most allowed. Delete some ` +
      "that no circuit uses first; a larger file does for smaller circuits too.",
    { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_FULL_MS },
  );
}

function inUse(name: string, user: string): FailedPrecondition {
  const description = `${user} uses it; delete that circuit first`;
  return new FailedPrecondition(`${name} cannot be deleted: ${description}.`, {
    reason: ErrorReason.RESOURCE_IN_USE,
    metadata: { resource: name, used_by: user },
    violations: [{ type: "IN_USE", subject: name, description }],
  });
}
