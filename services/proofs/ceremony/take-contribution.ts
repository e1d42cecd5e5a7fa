// Takes a key back from a party that contributed to it. Nobody trusts the file: it counts once it is
// shown to follow from the constraints, the powers of tau and the current key, and replaces that by
// compare-and-set, so that of two parties who contributed to the same key one wins and neither loses
// anything.

import { open } from "node:fs/promises";
import { join } from "node:path";
import { mapFileError } from "../../common/blobs/blob-errors.ts";
import { withKey } from "../../common/documents/keyed-lock.ts";
import type { Stored } from "../../common/documents/port.ts";
import { Aborted } from "../../common/errors/domain-error.ts";
import type { Circuit } from "../circuits/circuit.ts";
import type { KeyRecord } from "../prover/key-record.ts";
import type { CeremonyDeps } from "./ceremony-deps.ts";
import {
  type CeremonyCircuit,
  type KeyChange,
  keyReplaced,
  requireCeremony,
  requireCurrentKey,
  requireOpenCeremony,
} from "./open-ceremony.ts";
import { type Chunks, receiveChunks } from "./receive-file.ts";

/** A contribution adds some 500 bytes to a key; a file may bring several. */
const ROOM_BYTES = 64 * 1024;

/** A contributed key on its way. */
export interface IncomingContribution {
  /** Name of the circuit. */
  readonly circuit: string;
  /** Of the key that was contributed to; empty: no guard. */
  readonly etag: string;
  readonly chunks: Chunks;
  readonly signal: AbortSignal;
}

/** A key that takes the place of the current one. */
interface NextKey {
  /** What was done to the key, for the log. */
  readonly what: KeyChange;
  readonly path: string;
  readonly record: KeyRecord;
}

/**
 * Takes the contributed key in the place of the current one. The current key again changes nothing:
 * it is the same call repeated.
 *
 * @throws FailedPrecondition where it does not follow, or no contributions are taken; Aborted
 *   (ETAG_MISMATCH) where another key is current; InvalidArgument where the file is no whole key.
 *   The current key stays then.
 */
export async function takeContribution(
  deps: CeremonyDeps,
  { circuit: name, etag, chunks, signal }: IncomingContribution,
): Promise<Stored<Circuit>> {
  const { circuits, files, prover } = deps;
  const before = requireOpenCeremony(await circuits.get(name));
  await using scratch = await files.scratch("contribution");
  const contributed = join(scratch.path, "contributed.zkey");
  const sha256 = await receiveKey(before, chunks, contributed);
  return await withKey(ceremonyKey(name), async () => {
    signal.throwIfAborted();
    const current = requireCeremony(await circuits.get(name));
    if (current.key.zkey === sha256) return current;
    const ceremony = requireOpenCeremony(current);
    requireCurrentKey(ceremony, { etag, what: "contribution" });
    const { r1cs, zkey } = await files.proving(ceremony);
    const ptau = await powersOfTauOf(deps, ceremony);
    const to = join(scratch.path, "next.zkey");
    const record = await prover.importContribution(
      { r1cs, zkey, ptau, contributed, to },
      { signal },
    );
    return await replaceKey(deps, ceremony, { what: "contribution", path: to, record });
  });
}

/** What calls that change one ceremony wait for. */
export function ceremonyKey(name: string): string {
  return `ceremony ${name}`;
}

/** Path of the powers of tau that a ceremony began with. @throws NotFound, DataLoss */
export async function powersOfTauOf(
  { ptaus }: Pick<CeremonyDeps, "ptaus">,
  { options }: Circuit,
): Promise<string> {
  return (await ptaus.file(String(options.powersOfTau ?? ""))).path;
}

/**
 * Puts the next key in the place of the one of the circuit as it was read.
 *
 * @throws Aborted where another was faster.
 */
export async function replaceKey(
  { circuits, clock, events, files }: CeremonyDeps,
  ceremony: CeremonyCircuit,
  { what, path, record }: NextKey,
): Promise<Stored<Circuit>> {
  const times = ceremony.key.contributionTimes;
  const added = record.contributions.slice(times.length).map(() => new Date(clock.now()));
  const zkey = await files.store(path);
  const contributionTimes = [...times, ...added];
  const key = { ...ceremony.key, zkey, record, contributionTimes, verified: false };
  try {
    const stored = await circuits.setKey(ceremony._id, { ifVersion: ceremony.version, key });
    events.ceremony(ceremony._id, what);
    return stored;
  } catch (error) {
    if (error instanceof Aborted) throw keyReplaced(ceremony._id, what);
    throw error;
  }
}

/** Writes what comes to a file; gives its SHA-256. */
async function receiveKey({ key }: CeremonyCircuit, chunks: Chunks, path: string): Promise<string> {
  await using file = await open(path, "wx", 0o600);
  const limit = {
    bytesMax: key.record.zkeyBytes + ROOM_BYTES,
    because: `the current key has ${key.record.zkeyBytes}, and a contribution adds some hundreds`,
  };
  const { sha256 } = await receiveChunks(chunks, limit, async (chunk) => {
    try {
      await file.writeFile(chunk);
    } catch (error) {
      throw mapFileError(error);
    }
  });
  return sha256;
}
