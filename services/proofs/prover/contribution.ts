// Contributions to the second phase of a set-up, as a .zkey file lists them: who took part, what
// each hash is that the party published, and whether it was a beacon.

import { createHash } from "node:crypto";
import { G1_BYTES, G2_BYTES } from "../verifier/curve-points.ts";
import { g1Uncompressed, g2Uncompressed } from "./montgomery-points.ts";

/** One step of the transcript. */
export interface Contribution {
  /** As the contributor gave it; printable ASCII, may be empty. */
  readonly name: string;
  /** A beacon is public: it makes a set-up unpredictable, but keeps no secret. */
  readonly kind: "party" | "beacon";
  /** Lower-case hex BLAKE2b-512: what the contributor's own program showed. */
  readonly hash: string;
  /** Of a beacon: lower-case hex. */
  readonly beaconHash?: string;
  /** Of a beacon: the hash was hashed 2^this times. */
  readonly beaconIterations?: number;
}

/** More parties than ceremonies of one model have; a file that claims more is not read on. */
const CONTRIBUTIONS_MAX = 512;

/**
 * A beacon is verified by doing its hashes again, about 2 microseconds each: of 2^20 that is some
 * seconds, of the 2^63 that the format allows, never.
 */
export const BEACON_ITERATIONS_MIN = 10;
export const BEACON_ITERATIONS_MAX = 20;

const NAME_BYTES_MAX = 64;
const TRANSCRIPT_BYTES = 64;
const KEY_BYTES = 3 * G1_BYTES + G2_BYTES + TRANSCRIPT_BYTES;

const PARTY = 0;
const BEACON = 1;

/** Parameters of a contribution, each with a number. */
const NAME_PARAMETER = 1;
const ITERATIONS_PARAMETER = 2;
const BEACON_PARAMETER = 3;

/** Whether a name can stand in a transcript. */
export function isContributorName(name: string): boolean {
  return /^[\x20-\x7e]{1,64}$/.test(name);
}

/**
 * Reads the list: a count, then each.
 *
 * @param fault makes the error of whoever reads.
 */
export function readContributions(bytes: Buffer, fault: (what: string) => Error): Contribution[] {
  if (bytes.length < 4) throw fault("its list of contributions is cut off");
  const count = bytes.readUInt32LE(0);
  if (count > CONTRIBUTIONS_MAX) throw fault(`it claims ${count} contributions`);
  let at = 4;
  const take = (size: number): Buffer => {
    if (at + size > bytes.length) throw fault("its list of contributions is cut off");
    at += size;
    return bytes.subarray(at - size, at);
  };
  const list = Array.from({ length: count }, () => readOne(take, fault));
  if (at !== bytes.length) throw fault("there is something behind its contributions");
  return list;
}

function readOne(take: (size: number) => Buffer, fault: (what: string) => Error): Contribution {
  const key = take(KEY_BYTES);
  const hash = contributionHash(key);
  const kind = take(4).readUInt32LE(0);
  const parameters = readParameters(take(take(4).readUInt32LE(0)), fault);
  const name = parameters.get(NAME_PARAMETER)?.toString("latin1") ?? "";
  if (name !== "" && !isContributorName(name)) {
    throw fault("the name of a contributor is not of up to 64 printable ASCII characters");
  }
  const iterations = parameters.get(ITERATIONS_PARAMETER)?.[0];
  const beacon = parameters.get(BEACON_PARAMETER);
  if (kind === PARTY && iterations === undefined && beacon === undefined) {
    return { name, kind: "party", hash };
  }
  if (kind !== BEACON || iterations === undefined || beacon === undefined || !beacon.length) {
    throw fault("a contribution is neither a party's nor a beacon");
  }
  if (iterations < BEACON_ITERATIONS_MIN || iterations > BEACON_ITERATIONS_MAX) {
    throw fault(
      `its beacon is of 2^${iterations} hashes; 2^${BEACON_ITERATIONS_MIN} to ` +
        `2^${BEACON_ITERATIONS_MAX} are taken`,
    );
  }
  const beaconHash = beacon.toString("hex");
  return { name, kind: "beacon", hash, beaconHash, beaconIterations: iterations };
}

/** Numbered parameters, ascending: a name or hash has its length before it, a number is a byte. */
function readParameters(
  bytes: Buffer,
  fault: (what: string) => Error,
): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  let at = 0;
  let last = 0;
  while (at < bytes.length) {
    const id = bytes[at++]!;
    if (id <= last || id > BEACON_PARAMETER) throw fault("a contribution has unknown parameters");
    last = id;
    const size = id === ITERATIONS_PARAMETER ? 1 : (bytes[at++] ?? 0);
    if (at + size > bytes.length || (id === NAME_PARAMETER && size > NAME_BYTES_MAX)) {
      throw fault("a contribution is cut off");
    }
    found.set(id, bytes.subarray(at, at + size));
    at += size;
  }
  return found;
}

/** Delta after it, the key of the contribution and its transcript, hashed as snarkjs does. */
function contributionHash(key: Buffer): string {
  const point = (index: number): Uint8Array =>
    g1Uncompressed(key.subarray(G1_BYTES * index, G1_BYTES * (index + 1)));
  const g2 = g2Uncompressed(key.subarray(3 * G1_BYTES, 3 * G1_BYTES + G2_BYTES));
  const hash = createHash("blake2b512");
  for (const part of [point(0), point(1), point(2), g2, key.subarray(-TRANSCRIPT_BYTES)]) {
    hash.update(part);
  }
  return hash.digest("hex");
}
