// Bytes of sketches in documents of their own: those of closed windows, so that a list of windows
// need not read them, and those of parts that are too large for one document. They are written once
// and never changed; the document that names them decides whether they count. What nobody names
// (a writer lost or died) goes when its time has come.

import { randomUUID } from "node:crypto";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";

/** A document has at most 8 MiB, and bytes are a third longer in SQLite. */
const BLOCK_BYTES_MAX = 4 * 1024 * 1024;

/** Where bytes are. */
export interface BlocksRef {
  /** Another one for each put: equal ids are equal bytes. */
  readonly id: string;
  readonly blocks: number;
  /** Of all blocks. */
  readonly sizeBytes: number;
}

interface BlockDocument extends Document {
  readonly data: Uint8Array;
  readonly expireTime: Date;
}

/** Keeps bytes under ids of its own. */
export class SketchBlocks {
  readonly #collection: Collection<BlockDocument>;

  private constructor(collection: Collection<BlockDocument>) {
    this.#collection = collection;
  }

  static async open(documents: DocumentStore): Promise<SketchBlocks> {
    const collection = await documents.collection<BlockDocument>({
      name: "sketch_blocks",
      indexes: [{ keys: { expireTime: 1 }, expireAfterSeconds: 0 }],
    });
    return new SketchBlocks(collection);
  }

  /** Stores bytes until then. */
  async put(bytes: Uint8Array, expireTime: Date): Promise<BlocksRef> {
    const id = randomUUID();
    const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK_BYTES_MAX));
    for (let block = 0; block < blocks; block++) {
      const data = bytes.subarray(block * BLOCK_BYTES_MAX, (block + 1) * BLOCK_BYTES_MAX);
      await this.#collection.insertOne({ _id: `${id}/${block}`, data, expireTime });
    }
    return { id, blocks, sizeBytes: bytes.length };
  }

  /** The bytes; undefined where they were dropped or have expired. */
  async get({ id, blocks }: BlocksRef): Promise<Uint8Array | undefined> {
    const found: Uint8Array[] = [];
    for (let block = 0; block < blocks; block++) {
      const document = await this.#collection.findOne({ _id: `${id}/${block}` });
      if (document === undefined) {
        return undefined;
      }
      found.push(document.data);
    }
    return found.length === 1 ? found[0] : Buffer.concat(found);
  }

  /** Removes what no document names any more. */
  async drop({ id, blocks }: BlocksRef): Promise<void> {
    for (let block = 0; block < blocks; block++) {
      await this.#collection.deleteOne(`${id}/${block}`);
    }
  }
}
