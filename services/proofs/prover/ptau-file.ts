// Reads what a .ptau file says of itself. snarkjs takes a file that is too small for a circuit
// without a word, writes a broken key and fails later; here the power and every section are checked
// before.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, InvalidArgument } from "../../common/errors/domain-error.ts";
import { BASE_ORDER, COORDINATE_BYTES, G1_BYTES, G2_BYTES } from "../verifier/curve-points.ts";
import { SectionFile } from "./section-file.ts";

/** Phase 1 of a set-up, ready for phase 2. */
export interface PtauInfo {
  /** Circuits with a domain of up to 2^power fit. */
  readonly power: number;
}

/** The largest there is, and the most that the field has a domain for. */
const POWER_MAX = 28;

const HEADER = 1;
const HEADER_BYTES = 4 + COORDINATE_BYTES + 8;

/**
 * Reads the header and checks the sections: powers (2 to 6), contributions (7), and the Lagrange
 * forms for every power (12 to 15), which phase 2 begins from.
 *
 * @throws InvalidArgument where the file is not one, whole, on BN254, prepared for phase 2.
 */
export async function readPtau(path: string): Promise<PtauInfo> {
  await using file = await SectionFile.open(path, "ptau");
  file.expectSize(HEADER, HEADER_BYTES);
  const header = await file.read(HEADER);
  const order = Buffer.from(header.subarray(4, 4 + COORDINATE_BYTES)).reverse();
  if (BigInt(`0x${order.toString("hex")}`) !== BASE_ORDER) {
    throw file.fault("it is of another curve than BN254");
  }
  const power = header.readUInt32LE(4 + COORDINATE_BYTES);
  if (power < 1 || power > POWER_MAX) throw file.fault(`it claims a power of ${power}`);
  const points = 2 ** power;
  file.expectSize(2, G1_BYTES * (2 * points - 1));
  file.expectSize(3, G2_BYTES * points);
  file.expectSize(4, G1_BYTES * points);
  file.expectSize(5, G1_BYTES * points);
  file.expectSize(6, G2_BYTES);
  if (file.size(7) === undefined) throw file.fault("it lists no contributions");
  if (file.size(12) === undefined) {
    throw file.fault('it is not prepared for phase 2 ("snarkjs powersoftau prepare phase2")');
  }
  file.expectSize(12, G1_BYTES * (4 * points - 1));
  file.expectSize(13, G2_BYTES * (2 * points - 1));
  file.expectSize(14, G1_BYTES * (2 * points - 1));
  file.expectSize(15, G1_BYTES * (2 * points - 1));
  return { power };
}

/**
 * Refuses a ptau that is too small for a circuit.
 *
 * @throws FailedPrecondition that names both powers.
 */
export function assertPtauFits(ptau: PtauInfo, neededPower: number): void {
  if (neededPower <= ptau.power) return;
  const description =
    `The circuit needs powers of tau up to 2^${neededPower}; this file goes up to ` +
    `2^${ptau.power}. Import a larger one (powersOfTau28_hez_final_${neededPower} or above).`;
  throw new FailedPrecondition(description, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type: "PTAU_TOO_SMALL", subject: "ptau", description }],
  });
}

/** An error that says what is wrong with powers of tau that are whole. */
export function ptauFault(what: string): InvalidArgument {
  return new InvalidArgument(`The .ptau file is not to be used: ${what}.`, {
    reason: ErrorReason.INVALID_FIELD,
  });
}
