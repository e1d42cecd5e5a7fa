// Adds the beacon to a ceremony: a public random number that nobody knew when the last party
// contributed. It keeps no secret and counts as no party; after it nobody contributes.

import { join } from "node:path";
import { withKey } from "../../common/documents/keyed-lock.ts";
import type { Stored } from "../../common/documents/port.ts";
import type { Circuit } from "../circuits/circuit.ts";
import type { CeremonyDeps } from "./ceremony-deps.ts";
import { requireCeremony, requireCurrentKey, requireOpenCeremony } from "./open-ceremony.ts";
import { ceremonyKey, powersOfTauOf, replaceKey } from "./take-contribution.ts";

/** A beacon that was checked to be one. */
export interface Beacon {
  /** Lower-case hex, 1 to 255 bytes. */
  readonly hash: string;
  /** It is hashed 2^this times. */
  readonly iterations: number;
  /** For the transcript: 1 to 64 printable ASCII characters. */
  readonly label: string;
}

/**
 * Applies it. The same beacon again changes nothing.
 *
 * @throws FailedPrecondition where no party contributed yet, or the ceremony is closed; Aborted
 *   (ETAG_MISMATCH) where another key is current.
 */
export async function applyBeacon(
  deps: CeremonyDeps,
  call: {
    /** Name of the circuit. */
    readonly circuit: string;
    readonly etag: string;
    readonly beacon: Beacon;
    readonly signal: AbortSignal;
  },
): Promise<Stored<Circuit>> {
  const { circuits, files, prover } = deps;
  const { hash, iterations, label } = call.beacon;
  return await withKey(ceremonyKey(call.circuit), async () => {
    call.signal.throwIfAborted();
    const current = requireCeremony(await circuits.get(call.circuit));
    const last = current.key.record.contributions.at(-1);
    const isApplied =
      last?.beaconHash === hash && last.beaconIterations === iterations && last.name === label;
    if (isApplied) return current;
    const ceremony = requireOpenCeremony(current);
    requireCurrentKey(ceremony, { etag: call.etag, what: "beacon" });
    await using scratch = await files.scratch("beacon");
    const { r1cs, zkey } = await files.proving(ceremony);
    const ptau = await powersOfTauOf(deps, ceremony);
    const to = join(scratch.path, "next.zkey");
    const record = await prover.beacon(
      { r1cs, zkey, ptau, to, name: label, beaconHash: hash, iterations },
      { signal: call.signal },
    );
    return await replaceKey(deps, ceremony, { what: "beacon", path: to, record });
  });
}
