// The proofs. A proof's file is a blob, its document what finds it; the schema that says what its
// public values mean is kept by its hash, so that a proof can be read when its circuit is gone.

import { readFile } from "node:fs/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { Collection, Document, DocumentStore, Stored } from "../../common/documents/port.ts";
import { getDocument, insertIfNew, notFound } from "../../common/documents/resource.ts";
import { DataLoss } from "../../common/errors/domain-error.ts";
import { listPage, type Page } from "../../common/list-page.ts";
import { proofName } from "../../common/names.ts";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { proofBytes, readProof } from "../verifier/proof-format.ts";
import type { PartFiles } from "./job-parts.ts";
import { type ProofFile, proofFileBytes, proofFileId } from "./proof-file.ts";

/** Kept in memory; a schema has a few kilobytes. */
const SCHEMAS_KNOWN_MAX = 256;

/** `_id` is the proof's name; its id is the digest of its file's blob. */
export interface ProofDocument extends Document {
  readonly workspace: string;
  readonly createTime: Date;
  readonly circuit: string;
  /** A circuit that takes the name of one that was removed has another. */
  readonly circuitUid: string;
  readonly modelVersion: string;
  readonly inferenceId: string;
  readonly row: number;
  /** `{uid of the job}/{row}`: a row of a job has one proof, whoever made it. */
  readonly jobRow: string;
  /** Groth16: 256 bytes. PLONK: snarkjs' JSON. */
  readonly proof: Uint8Array;
  readonly publicValues: readonly string[];
  /** Empty with PLONK. */
  readonly verifyingKeyHash: string;
  readonly schemaHash: string;
  readonly modelCommitment: string;
  readonly development: boolean;
  readonly timings: RowTimings;
}

/** Milliseconds. */
export interface RowTimings {
  /** From the job's creation until the row's turn came. */
  readonly queueMs: number;
  readonly witnessMs: number;
  readonly checkMs: number;
  readonly proveMs: number;
  readonly verifyMs: number;
}

/** A proof to be stored. */
export interface NewProof {
  readonly workspace: string;
  readonly jobUid: string;
  readonly circuitUid: string;
  readonly createTime: Date;
  readonly file: ProofFile;
  readonly timings: RowTimings;
}

/** What a list asks for. */
export interface ProofQuery {
  readonly workspace: string;
  /** Empty: all. */
  readonly inferenceId: string;
  /** Empty: all. */
  readonly circuit: string;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly signal: AbortSignal;
}

/** `_id` is the hash of the schema. */
interface SchemaDocument extends Document {
  readonly schema: CircuitSchema;
}

/** Owns the collections. */
export class ProofStore {
  readonly #proofs: Collection<ProofDocument>;
  readonly #schemas: Collection<SchemaDocument>;
  readonly #files: PartFiles;
  /** They never change. */
  readonly #known = new Map<string, CircuitSchema>();

  private constructor(
    collections: {
      readonly proofs: Collection<ProofDocument>;
      readonly schemas: Collection<SchemaDocument>;
    },
    files: PartFiles,
  ) {
    this.#proofs = collections.proofs;
    this.#schemas = collections.schemas;
    this.#files = files;
  }

  /** Opens the collections, making what is missing. */
  static async open(documents: DocumentStore, files: PartFiles): Promise<ProofStore> {
    const proofs = await documents.collection<ProofDocument>({
      name: "proofs",
      indexes: [
        { keys: { workspace: 1, createTime: 1 } },
        { keys: { workspace: 1, inferenceId: 1, createTime: 1 } },
        { keys: { circuit: 1, createTime: 1 } },
        { keys: { circuitUid: 1, createTime: 1 } },
        { keys: { jobRow: 1 }, unique: true },
      ],
    });
    const schemas = await documents.collection<SchemaDocument>({
      name: "proof_schemas",
      indexes: [],
    });
    return new ProofStore({ proofs, schemas }, files);
  }

  /** Keeps a schema; to be called before something refers to it. */
  async putSchema(hash: string, schema: CircuitSchema): Promise<void> {
    if (!this.#known.has(hash)) {
      await insertIfNew(this.#schemas, { _id: hash, schema });
      this.#remember(hash, schema);
    }
  }

  /** @throws DataLoss where it is gone: schemas are never removed. */
  async schema(hash: string): Promise<CircuitSchema> {
    const known = this.#known.get(hash);
    if (known !== undefined) {
      return known;
    }
    const found = await this.#schemas.findOne({ _id: hash });
    if (found === undefined) {
      throw new DataLoss(`The schema ${hash} is lost. Bring back the database's collection.`, {
        reason: ErrorReason.RESOURCE_NOT_FOUND,
        metadata: { schema: hash },
      });
    }
    this.#remember(hash, found.schema);
    return found.schema;
  }

  /**
   * Stores a proof, file first. Gives the one that is there where the row has one already; of two
   * that prove it at once both get the same.
   */
  async add(made: NewProof): Promise<ProofDocument> {
    const { workspace, jobUid, circuitUid, createTime, file, timings } = made;
    const jobRow = jobRowOf(jobUid, file.row);
    await this.#files.storeBytes(proofFileBytes(file));
    const document: ProofDocument = {
      _id: proofName.format({ workspace, proof: proofFileId(file) }),
      workspace,
      createTime,
      circuit: file.circuit,
      circuitUid,
      modelVersion: file.modelVersion,
      inferenceId: file.inferenceId,
      row: file.row,
      jobRow,
      proof: rawProof(file),
      publicValues: file.publicValues,
      verifyingKeyHash: file.verifyingKeyHash,
      schemaHash: file.schemaHash,
      modelCommitment: file.modelCommitment,
      development: file.development,
      timings,
    };
    const isNew = await insertIfNew(this.#proofs, document);
    const there = isNew ? undefined : await this.#proofs.findOne({ jobRow });
    return there ?? document;
  }

  /** The proof of a row of a job, if it has one. */
  ofRow(jobUid: string, row: number): Promise<Stored<ProofDocument> | undefined> {
    return this.#proofs.findOne({ jobRow: jobRowOf(jobUid, row) });
  }

  /** @throws NotFound */
  get(name: string): Promise<Stored<ProofDocument>> {
    return getDocument(this.#proofs, name);
  }

  /** The proof, unless it was deleted. */
  find(name: string): Promise<Stored<ProofDocument> | undefined> {
    return this.#proofs.findOne({ _id: name });
  }

  /** The file. @throws NotFound, DataLoss */
  async file(name: string): Promise<Uint8Array> {
    const { proof } = proofName.parse((await this.get(name))._id, "name");
    return await readFile(await this.#files.localPath(proof));
  }

  /** One page, newest first. @throws InvalidArgument */
  list(query: ProofQuery): Promise<Page<ProofDocument>> {
    const { workspace, inferenceId, circuit, ...page } = query;
    return listPage(this.#proofs, {
      ...page,
      call: ["ListProofs", workspace, inferenceId, circuit],
      where: {
        workspace,
        ...(inferenceId === "" ? {} : { inferenceId }),
        ...(circuit === "" ? {} : { circuit }),
      },
      matches: () => true,
      order: { field: "createTime", kind: "date", descending: true },
    });
  }

  /** The newest Groth16 proof of a circuit, if any. */
  async newest(circuitUid: string): Promise<Stored<ProofDocument> | undefined> {
    const options = { sort: { createTime: -1 }, limit: 1 } as const;
    const [found] = await Array.fromAsync(this.#proofs.find({ circuitUid }, options));
    return found?.verifyingKeyHash === "" ? undefined : found;
  }

  /** Removes a proof; its file goes when nothing refers to it. @throws NotFound */
  async delete(name: string): Promise<void> {
    if (!(await this.#proofs.deleteOne(name))) {
      throw notFound(name);
    }
  }

  /** Every blob that a proof refers to. */
  async *referencedDigests(): AsyncGenerator<string> {
    for await (const { _id } of this.#proofs.find({})) {
      yield _id.slice(_id.lastIndexOf("/") + 1);
    }
  }

  #remember(hash: string, schema: CircuitSchema): void {
    this.#known.set(hash, schema);
    const [oldest] = this.#known.keys();
    if (this.#known.size > SCHEMAS_KNOWN_MAX && oldest !== undefined) {
      this.#known.delete(oldest);
    }
  }
}

function jobRowOf(jobUid: string, row: number): string {
  return `${jobUid}/${row}`;
}

function rawProof({ protocol, proof }: ProofFile): Uint8Array {
  return protocol === "groth16"
    ? proofBytes(readProof(proof))
    : new TextEncoder().encode(JSON.stringify(proof));
}
