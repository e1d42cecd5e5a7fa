// The second phase of a production set-up: a key from public powers of tau, contributions of parties
// that do not trust each other, a beacon, and the check that all of it follows. The arithmetic is
// snarkjs'; what it does not look at is checked here before.

import { randomBytes } from "node:crypto";
import { stat } from "node:fs/promises";
import { powersOfTau, zKey } from "snarkjs";
import { domainPower, readCircuitSize } from "../circuit-size.ts";
import { type Contribution, isContributorName } from "../contribution.ts";
import { assertProductionKey, type KeyRecord, refused } from "../key-record.ts";
import { recordOfKey } from "../make-record.ts";
import type { ProverTasks, PtauRecord } from "../prover-tasks.ts";
import { assertPtauFits, ptauFault, readPtau } from "../ptau-file.ts";
import { fileDigest } from "../section-file.ts";
import { readZkey, type ZkeyInfo, zkeyProtocol } from "../zkey-file.ts";
import { theCurve } from "./curve.ts";
import { SnarkjsLog } from "./snarkjs-log.ts";

type Progress = (phase: string) => void;

const ENTROPY_BYTES = 64;

/**
 * Verifies phase 1: every contribution follows the one before, and every power the one before it.
 *
 * @throws InvalidArgument where it does not.
 */
export async function verifyPtau(
  { ptau }: ProverTasks["verify-ptau"]["input"],
  progress: Progress,
): Promise<PtauRecord> {
  const { power } = await readPtau(ptau);
  await theCurve();
  progress("verifying the powers of tau");
  const log = new SnarkjsLog();
  if ((await powersOfTau.verify(ptau, log)) !== true) {
    throw ptauFault(`the powers of tau do not follow from each other (${log.lastError})`);
  }
  return { power, bytes: (await stat(ptau)).size, hash: await fileDigest(ptau) };
}

/** The first key of phase 2: nobody has contributed to it, and anybody can forge proofs for it. */
export async function newKey(
  { r1cs, ptau, out }: ProverTasks["new-key"]["input"],
  progress: Progress,
): Promise<KeyRecord> {
  await assertFits(r1cs, ptau);
  await theCurve();
  progress("making the key");
  const log = new SnarkjsLog();
  if (!((await zKey.newZKey(r1cs, ptau, out, log)) instanceof Uint8Array)) {
    throw refused("KEY_NOT_MADE", `No key could be made of this circuit: ${log.lastError}.`);
  }
  return await recordOfKey(out, { setup: "ceremony", r1cs, ptau });
}

/** What a contributor does: the key times a number that nobody ever sees. */
export async function contribute(
  { zkey, out, name }: ProverTasks["contribute"]["input"],
  progress: Progress,
): Promise<{ readonly hash: string }> {
  if ((await zkeyProtocol(zkey)) === "plonk") {
    throw refused(
      "NO_CEREMONY",
      "This is a PLONK key: it has no secrets of its own, so that nobody contributes to it.",
    );
  }
  assertContributable(await readZkey(zkey));
  await theCurve();
  progress("contributing");
  // snarkjs adds randomness of its own, and would ask at the terminal if it were given none.
  await zKey.contribute(zkey, out, name, randomBytes(ENTROPY_BYTES).toString("hex"));
  const last = (await readZkey(out)).contributions.at(-1);
  if (!last) throw new Error("snarkjs made no contribution");
  return { hash: last.hash };
}

/**
 * Checks a key that came back from a contributor.
 *
 * @throws FailedPrecondition where it does not follow from the current key by contributions of
 *   parties.
 */
export async function acceptContribution(
  input: ProverTasks["accept-contribution"]["input"],
  progress: Progress,
): Promise<KeyRecord> {
  const before = await readZkey(input.zkey);
  assertContributable(before);
  const after = await readZkey(input.contributed);
  assertFollows(before, after);
  const { r1cs, ptau, contributed } = input;
  await verifyAgainstCircuit({ r1cs, ptau, zkey: contributed }, progress);
  return await recordOfKey(contributed, { setup: "ceremony", r1cs, ptau });
}

/** Closes a ceremony with a number that was public only after the last contribution. */
export async function applyBeacon(
  input: ProverTasks["beacon"]["input"],
  progress: Progress,
): Promise<KeyRecord> {
  const { r1cs, ptau, zkey, out, name, beaconHash, iterations } = input;
  const before = await readZkey(zkey);
  assertContributable(before);
  if (before.contributions.length === 0) {
    throw refused(
      "NO_CONTRIBUTION",
      "A beacon alone protects nothing, because its number is public. Let at least one party " +
        "contribute before the beacon.",
    );
  }
  await theCurve();
  progress("applying the beacon");
  await zKey.beacon(zkey, out, name, beaconHash, iterations);
  const last = (await readZkey(out)).contributions.at(-1);
  if (last?.beaconHash !== beaconHash) throw new Error("snarkjs applied no beacon");
  return await recordOfKey(out, { setup: "ceremony", r1cs, ptau });
}

/** Verifies a key of a ceremony from the circuit on, and that it is fit for production. */
export async function verifyCeremonyKey(
  files: { readonly r1cs: string; readonly ptau: string; readonly zkey: string },
  progress: Progress,
): Promise<KeyRecord> {
  // The cheap reasons first: the whole check takes long.
  assertProductionKey(await readZkey(files.zkey));
  await verifyAgainstCircuit(files, progress);
  return await recordOfKey(files.zkey, {
    setup: "ceremony",
    r1cs: files.r1cs,
    ptau: files.ptau,
  });
}

async function verifyAgainstCircuit(
  files: { readonly r1cs: string; readonly ptau: string; readonly zkey: string },
  progress: Progress,
): Promise<void> {
  await assertFits(files.r1cs, files.ptau);
  await theCurve();
  progress("verifying the key from the circuit");
  const log = new SnarkjsLog();
  if ((await zKey.verifyFromR1cs(files.r1cs, files.ptau, files.zkey, log)) !== true) {
    throw refused(
      "KEY_DOES_NOT_FOLLOW",
      "The key does not follow from this circuit, these powers of tau and its contributions" +
        `${log.lastError === "" ? "" : ` (${log.lastError})`}. It is of another circuit, of other ` +
        "powers of tau, or was changed.",
    );
  }
}

async function assertFits(r1cs: string, ptau: string): Promise<void> {
  assertPtauFits(await readPtau(ptau), domainPower(await readCircuitSize(r1cs)));
}

/** A key of ours for development and one that a beacon has closed take no contributions. */
function assertContributable(key: ZkeyInfo): void {
  if (key.devMark) {
    throw refused(
      "DEV_SETUP",
      "This key comes from a development set-up; no contribution makes it fit for production. " +
        "Begin with a key made from public powers of tau.",
    );
  }
  if (key.contributions.some(({ kind }) => kind === "beacon")) {
    throw refused("CEREMONY_CLOSED", "The ceremony of this key was closed by its beacon.");
  }
}

function assertFollows(before: ZkeyInfo, after: ZkeyInfo): void {
  const isSameCircuit =
    before.circuitDigest === after.circuitDigest &&
    before.wires === after.wires &&
    before.publicValues === after.publicValues &&
    before.domain === after.domain;
  if (!isSameCircuit) {
    throw refused("KEY_OF_ANOTHER_CIRCUIT", "The contributed key is of another circuit.");
  }
  const kept = before.contributions.every((one, i) => isSame(one, after.contributions[i]));
  const added = after.contributions.slice(before.contributions.length);
  if (!kept || added.length === 0) {
    throw refused(
      "CONTRIBUTION_DOES_NOT_FOLLOW",
      "The contributed key does not continue the current one: its contributions begin otherwise " +
        "or nothing was added. Export the current key, contribute to that, and upload it before " +
        "anybody else does.",
    );
  }
  const unnamed = added.some(({ name, kind }) => kind !== "party" || !isContributorName(name));
  if (unnamed || after.verifyingKey.delta.equals(before.verifyingKey.delta)) {
    throw refused(
      "CONTRIBUTION_REFUSED",
      "Each contribution must be of a party, with its name, and change the key; a beacon is " +
        "applied by whoever runs the ceremony.",
    );
  }
}

function isSame(one: Contribution, other: Contribution | undefined): boolean {
  return one.hash === other?.hash && one.name === other.name && one.kind === other.kind;
}
