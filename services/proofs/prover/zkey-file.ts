// Reads what a .zkey file says of itself: its size, its verifying key and who contributed to it. The
// file may come from anybody, so every length is checked and every point of the verifying key is
// one of its group before any prover sees the file.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { FIELD_BYTES, FIELD_ORDER } from "../field.ts";
import { BASE_ORDER, g1FromBytes, g2FromBytes } from "../verifier/curve-points.ts";
import { Refusal } from "../verifier/refusal.ts";
import type { VerifyingKey } from "../verifier/verifying-key.ts";
import { PUBLIC_VALUES_MAX } from "../verifier/verifying-key.ts";
import { type Contribution, readContributions } from "./contribution.ts";
import { g1Uncompressed, g2Uncompressed } from "./montgomery-points.ts";
import { SectionFile, type SectionPlace } from "./section-file.ts";
import {
  CIRCUIT_DIGEST_BYTES,
  COUNT_BYTES,
  DEV_MARK,
  ENTRY_BYTES,
  G1_BYTES,
  G2_BYTES,
  HeaderPlace,
  ZkeySection,
} from "./zkey-format.ts";

/** snarkjs numbers the proof systems so. */
const GROTH16 = 1;
const PLONK = 2;

/** More wires than any prover of this kind takes. */
const WIRES_MAX = 2 ** 28;

/** A Groth16 key as its file describes it. */
export interface ZkeyInfo {
  readonly wires: number;
  readonly publicValues: number;
  readonly domain: number;
  readonly verifyingKey: VerifyingKey;
  /** Whether the file carries the mark of our development set-up. */
  readonly devMark: boolean;
  /** Lower-case hex: what the transcript of contributions begins with. */
  readonly circuitDigest: string;
  /** Oldest first. */
  readonly contributions: readonly Contribution[];
  /** Where its sections stand, by the names of ZkeySection. */
  readonly places: ZkeyPlaces;
}

/** Where each section stands in the file. */
export type ZkeyPlaces = Readonly<Record<keyof typeof ZkeySection, SectionPlace>>;

/** Which proof system a key is for. */
export async function zkeyProtocol(path: string): Promise<"groth16" | "plonk"> {
  await using file = await SectionFile.open(path, "zkey");
  return await protocolOf(file);
}

/**
 * Reads a Groth16 key's description.
 *
 * @throws InvalidArgument where the file is not one, whole, on BN254, with points of its groups.
 */
export async function readZkey(path: string): Promise<ZkeyInfo> {
  await using file = await SectionFile.open(path, "zkey");
  if ((await protocolOf(file)) !== "groth16") throw file.fault("it is not of protocol groth16");
  file.expectSize(ZkeySection.header, HeaderPlace.end);
  const header = await file.read(ZkeySection.header);
  checkField(file, header, 0, BASE_ORDER);
  checkField(file, header, 4 + FIELD_BYTES, FIELD_ORDER);
  const wires = header.readUInt32LE(HeaderPlace.counts);
  const publicValues = header.readUInt32LE(HeaderPlace.counts + 4);
  const domain = header.readUInt32LE(HeaderPlace.counts + 8);
  const isPower = domain >= 2 && Number.isInteger(Math.log2(domain));
  if (wires > WIRES_MAX || publicValues >= wires || publicValues > PUBLIC_VALUES_MAX || !isPower) {
    throw file.fault(`it claims ${wires} wires, ${publicValues} public, and a domain of ${domain}`);
  }
  await checkSizes(file, { wires, publicValues, domain });
  const ic = await file.read(ZkeySection.ic);
  const tail = await file.read(ZkeySection.contributions);
  const digest = tail.subarray(0, CIRCUIT_DIGEST_BYTES);
  return {
    wires,
    publicValues,
    domain,
    verifyingKey: verifyingKeyOf(header, ic),
    devMark: digest.equals(DEV_MARK),
    circuitDigest: digest.toString("hex"),
    contributions: readContributions(tail.subarray(CIRCUIT_DIGEST_BYTES), (what) =>
      file.fault(what),
    ),
    places: placesOf(file),
  };
}

function placesOf(file: SectionFile): ZkeyPlaces {
  const places = Object.entries(ZkeySection).map(([name, id]) => [name, file.place(id)]);
  return Object.fromEntries(places) as ZkeyPlaces;
}

async function protocolOf(file: SectionFile): Promise<"groth16" | "plonk"> {
  file.expectSize(ZkeySection.protocol, 4);
  const protocol = (await file.read(ZkeySection.protocol)).readUInt32LE(0);
  if (protocol === GROTH16) return "groth16";
  if (protocol === PLONK) return "plonk";
  throw file.fault("it is of a protocol other than groth16 and plonk");
}

async function checkSizes(
  file: SectionFile,
  counts: { readonly wires: number; readonly publicValues: number; readonly domain: number },
): Promise<void> {
  const { wires, publicValues, domain } = counts;
  const entries = (await file.read(ZkeySection.coefficients, COUNT_BYTES)).readUInt32LE(0);
  const sizes = [
    [ZkeySection.ic, G1_BYTES * (publicValues + 1)],
    [ZkeySection.coefficients, COUNT_BYTES + ENTRY_BYTES * entries],
    [ZkeySection.a, G1_BYTES * wires],
    [ZkeySection.b1, G1_BYTES * wires],
    [ZkeySection.b2, G2_BYTES * wires],
    [ZkeySection.c, G1_BYTES * (wires - publicValues - 1)],
    [ZkeySection.h, G1_BYTES * domain],
  ] as const;
  for (const [section, size] of sizes) file.expectSize(section, size);
}

function checkField(file: SectionFile, header: Buffer, at: number, order: bigint): void {
  const bytes = Buffer.from(header.subarray(at + 4, at + 4 + FIELD_BYTES)).reverse();
  if (header.readUInt32LE(at) !== FIELD_BYTES || BigInt(`0x${bytes.toString("hex")}`) !== order) {
    throw file.fault("it is of another curve than BN254");
  }
}

function verifyingKeyOf(header: Buffer, ic: Buffer): VerifyingKey {
  let at: number = HeaderPlace.alpha1;
  const take = (size: number): Buffer => {
    at += size;
    return header.subarray(at - size, at);
  };
  const g1 = (name: string): VerifyingKey["alpha"] =>
    g1FromBytes(name, g1Uncompressed(take(G1_BYTES)));
  const g2 = (name: string): VerifyingKey["beta"] =>
    g2FromBytes(name, g2Uncompressed(take(G2_BYTES)));
  try {
    const alpha = g1("the key's alpha");
    g1("the key's beta of the first group");
    const beta = g2("the key's beta");
    const gamma = g2("the key's gamma");
    g1("the key's delta of the first group");
    const delta = g2("the key's delta");
    const publicPoints = Array.from({ length: ic.length / G1_BYTES }, (_, i) => {
      const bytes = ic.subarray(G1_BYTES * i, G1_BYTES * (i + 1));
      return g1FromBytes(`the key's IC[${i}]`, g1Uncompressed(bytes));
    });
    return { alpha, beta, gamma, delta, publicPoints };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new InvalidArgument(`The .zkey file holds no verifying key: ${error.message}.`, {
      reason: ErrorReason.INVALID_FIELD,
      cause: error,
    });
  }
}
