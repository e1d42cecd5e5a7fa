// Which points of a key a thread has, read from the key's file. A thread takes blocks of points in
// turn, so that all of them have as many bits as numbers to multiply by; points at infinity, which a
// key has for each wire that is not in a matrix, add nothing and are left out.

import { readSync } from "node:fs";
import type { SectionPlace } from "../section-file.ts";
import type { ThreadStart } from "./prove-messages.ts";

/** Points of a thread, and what each is to be multiplied by. */
export interface PointShare {
  /** Affine, in Montgomery form, one after the other. */
  readonly points: Uint8Array;
  /** For each point the index of its scalar. */
  readonly scalars: Int32Array;
}

/** Points that follow each other in the file and go to one thread. */
const BLOCK_POINTS = 64;

/** What is read at once, in blocks. */
const PIECE_BLOCKS = 256;

/** Reads the bytes of a file from a place on. */
export function readPart(file: number, at: number, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size; ) {
    const read = readSync(file, bytes, done, size - done, at + done);
    if (read === 0) throw new Error("the key's file has become shorter");
    done += read;
  }
  return bytes;
}

/**
 * A thread's share of a section of points.
 *
 * @param firstScalar index of the scalar of the section's first point.
 */
export function readShare(
  file: number,
  section: SectionPlace,
  options: {
    readonly pointBytes: number;
    readonly firstScalar: number;
    readonly thread: ThreadStart;
  },
): PointShare {
  const { pointBytes, firstScalar, thread } = options;
  const isMine = (index: number): boolean =>
    Math.floor(index / BLOCK_POINTS) % thread.count === thread.index;
  return keepPoints(file, section, {
    pointBytes,
    scalarOf: (index) => (isMine(index) ? firstScalar + index : undefined),
  });
}

/** The points that have a scalar, in the order of the file, without those at infinity. */
export function keepPoints(
  file: number,
  section: SectionPlace,
  options: {
    readonly pointBytes: number;
    /** Index of the scalar of the point of this index; undefined for one that is not wanted. */
    readonly scalarOf: (index: number) => number | undefined;
  },
): PointShare {
  const { pointBytes, scalarOf } = options;
  const count = section.size / pointBytes;
  const pieces: Uint8Array[] = [];
  const scalars: number[] = [];
  const pieceBytes = PIECE_BLOCKS * BLOCK_POINTS * pointBytes;
  for (let from = 0; from < section.size; from += pieceBytes) {
    const piece = readPart(file, section.at + from, Math.min(pieceBytes, section.size - from));
    const words = new Uint32Array(piece.buffer);
    let kept = 0;
    const first = from / pointBytes;
    const end = Math.min(count, first + PIECE_BLOCKS * BLOCK_POINTS);
    for (let index = first; index < end; index += 1) {
      const scalar = scalarOf(index);
      const at = pointBytes * (index - first);
      if (scalar === undefined || isInfinity(words, at / 4, pointBytes / 4)) continue;
      piece.copyWithin(kept, at, at + pointBytes);
      kept += pointBytes;
      scalars.push(scalar);
    }
    pieces.push(piece.slice(0, kept));
  }
  return { points: Buffer.concat(pieces), scalars: Int32Array.from(scalars) };
}

/** The point at infinity is all zeros in the file. */
function isInfinity(words: Uint32Array, at: number, count: number): boolean {
  for (let i = 0; i < count; i += 1) if (words[at + i] !== 0) return false;
  return true;
}
