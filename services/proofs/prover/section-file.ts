// Files of sections, as .zkey, .ptau and .r1cs are: what they say of their own lengths is checked
// against the file before anything else reads them. snarkjs does not check, and takes what is
// missing at the end of a file for zeros.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";

const FILE_HEAD_BYTES = 12;
const SECTION_HEAD_BYTES = 12;

/** Every format of this kind has fewer. */
const SECTIONS_MAX = 32;

/** What is read at once; the large sections are not read here at all. */
const READ_BYTES_MAX = 16 * 1024 * 1024;

/** Files that are made of sections. */
export type SectionedKind = "zkey" | "ptau" | "r1cs";

/** Where a section's content stands in its file, in bytes. */
export interface SectionPlace {
  readonly at: number;
  readonly size: number;
}

/** An open file whose sections lie within it, one after the other up to its end, each once. */
export class SectionFile implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #kind: string;
  readonly #sections: ReadonlyMap<number, SectionPlace>;

  private constructor(file: FileHandle, kind: string, sections: ReadonlyMap<number, SectionPlace>) {
    this.#file = file;
    this.#kind = kind;
    this.#sections = sections;
  }

  /**
   * Opens a file of this kind ("zkey", "ptau") and looks through its sections.
   *
   * @throws InvalidArgument where it is not such a file, whole.
   */
  static async open(path: string, kind: SectionedKind): Promise<SectionFile> {
    const file = await open(path, "r");
    try {
      return new SectionFile(file, kind, await sectionsOf(file, kind));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes of a section; undefined where the file has none of this number. */
  size(section: number): number | undefined {
    return this.#sections.get(section)?.size;
  }

  /**
   * Where a section stands, for whoever reads the file by other means.
   *
   * @throws InvalidArgument where it is missing.
   */
  place(section: number): SectionPlace {
    const found = this.#sections.get(section);
    if (!found) throw this.fault(`section ${section} is missing`);
    return found;
  }

  /**
   * @throws InvalidArgument where the section is missing or has another number of bytes.
   */
  expectSize(section: number, size: number): void {
    const found = this.size(section);
    if (found === undefined) throw this.fault(`section ${section} is missing`);
    if (found !== size) {
      throw this.fault(`section ${section} has ${found} bytes where ${size} are expected`);
    }
  }

  /** The bytes of a section, or the first of them. */
  async read(section: number, sizeMax = READ_BYTES_MAX): Promise<Buffer> {
    const found = this.place(section);
    const size = Math.min(found.size, sizeMax);
    if (size > READ_BYTES_MAX) throw this.fault(`section ${section} is too long to be true`);
    return await readAt(this.#file, found.at, size);
  }

  /** An error that says what is wrong with this file. */
  fault(what: string): InvalidArgument {
    return fileFault(this.#kind, what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** Lower-case hex hash of a file, read piece by piece. */
export async function fileDigest(
  path: string,
  algorithm: "sha256" | "blake2b512" = "sha256",
): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    hash.update(chunk as Buffer);
  }
  return hash.digest("hex");
}

async function sectionsOf(
  file: FileHandle,
  kind: string,
): Promise<ReadonlyMap<number, SectionPlace>> {
  const { size: fileSize } = await file.stat();
  const head = await readAt(file, 0, FILE_HEAD_BYTES);
  if (head.length < FILE_HEAD_BYTES || head.toString("latin1", 0, 4) !== kind) {
    throw fileFault(kind, "it does not begin like one");
  }
  const count = head.readUInt32LE(8);
  if (count > SECTIONS_MAX) throw fileFault(kind, `it claims to have ${count} sections`);
  const sections = new Map<number, SectionPlace>();
  let at = FILE_HEAD_BYTES;
  for (let i = 0; i < count; i += 1) {
    const sectionHead = await readAt(file, at, SECTION_HEAD_BYTES);
    if (sectionHead.length < SECTION_HEAD_BYTES) throw fileFault(kind, "it is cut off");
    const id = sectionHead.readUInt32LE(0);
    const size = Number(sectionHead.readBigUInt64LE(4));
    at += SECTION_HEAD_BYTES;
    if (sections.has(id)) throw fileFault(kind, `it has section ${id} twice`);
    if (at + size > fileSize) throw fileFault(kind, `it is cut off in section ${id}`);
    sections.set(id, { at, size });
    at += size;
  }
  if (at !== fileSize) throw fileFault(kind, "there is something behind its last section");
  return sections;
}

async function readAt(file: FileHandle, at: number, size: number): Promise<Buffer> {
  const bytes = Buffer.alloc(size);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await file.read(bytes, done, size - done, at + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** An error that says what is wrong with a file of this kind. */
export function fileFault(kind: string, what: string): InvalidArgument {
  return new InvalidArgument(
    `This is not a whole .${kind} file: ${what}. Get the file again and compare its hash.`,
    { reason: ErrorReason.INVALID_FIELD },
  );
}
