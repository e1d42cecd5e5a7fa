// Writes a Groth16 key of our own set-up as a .zkey file that snarkjs and rapidsnark read.

import { type FileHandle, open } from "node:fs/promises";
import type { ConstraintSystem } from "../../circuit/constraint-system.ts";
import { FIELD_BYTES, FIELD_ORDER } from "../../field.ts";
import { BASE_ORDER } from "../../verifier/curve-points.ts";
import { power, scalarBytes } from "../scalar-field.ts";
import { COUNT_BYTES, DEV_MARK, ENTRY_BYTES, ZKEY_VERSION, ZkeySection } from "../zkey-format.ts";

/** Points of a key, affine and in Montgomery form. */
export interface DevKeyPoints {
  /** alpha, beta, delta. */
  readonly header1: Uint8Array;
  /** beta, gamma, delta. */
  readonly header2: Uint8Array;
  readonly ic: Uint8Array;
  readonly a: Uint8Array;
  readonly b1: Uint8Array;
  readonly b2: Uint8Array;
  readonly c: Uint8Array;
  readonly h: Uint8Array;
}

const G1_BYTES = 2 * FIELD_BYTES;
const G2_BYTES = 4 * FIELD_BYTES;
const GROTH16 = 1;

/** The prover multiplies a coefficient by R^-1 twice: R = 2^256. */
const R_SQUARED = power(2n, 512n);

/** Writes the file; there are no contributions in it, and the mark of a development set-up. */
export async function writeZkey(
  path: string,
  key: {
    readonly system: ConstraintSystem;
    /** The domain has 2^exponent elements. */
    readonly exponent: number;
    readonly points: DevKeyPoints;
  },
): Promise<void> {
  const { points, system } = key;
  const sections: readonly (readonly [number, () => Uint8Array])[] = [
    [ZkeySection.protocol, () => uint32(GROTH16)],
    [ZkeySection.header, () => header(system, key.exponent, points)],
    [ZkeySection.ic, () => points.ic],
    [ZkeySection.coefficients, () => coefficients(system)],
    [ZkeySection.a, () => points.a],
    [ZkeySection.b1, () => points.b1],
    [ZkeySection.b2, () => points.b2],
    [ZkeySection.c, () => points.c],
    [ZkeySection.h, () => points.h],
    [ZkeySection.contributions, () => Buffer.concat([DEV_MARK, uint32(0)])],
  ];
  const file = await open(path, "wx", 0o600);
  try {
    await writeAll(file, Buffer.concat([Buffer.from("zkey"), uint32(ZKEY_VERSION), uint32(10)]));
    for (const [id, content] of sections) {
      const bytes = content();
      const head = Buffer.alloc(12);
      head.writeUInt32LE(id, 0);
      head.writeBigUInt64LE(BigInt(bytes.length), 4);
      await writeAll(file, head);
      await writeAll(file, bytes);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

function header(system: ConstraintSystem, exponent: number, points: DevKeyPoints): Uint8Array {
  const { header1, header2 } = points;
  const g1 = (index: number): Uint8Array =>
    header1.subarray(G1_BYTES * index, G1_BYTES * (index + 1));
  const g2 = (index: number): Uint8Array =>
    header2.subarray(G2_BYTES * index, G2_BYTES * (index + 1));
  const publicCount = system.outputs + system.publicInputs;
  return Buffer.concat([
    uint32(FIELD_BYTES),
    scalarBytes([BASE_ORDER]),
    uint32(FIELD_BYTES),
    scalarBytes([FIELD_ORDER]),
    ...[system.wires, publicCount, 2 ** exponent].map(uint32),
    ...[g1(0), g1(1), g2(0), g2(1), g1(2), g2(2)],
  ]);
}

/**
 * The entries of A and B, and one of A for each public wire. Those of C are not stored: the prover
 * has C from A times B.
 */
function coefficients(system: ConstraintSystem): Uint8Array {
  const encoded = Buffer.from(
    scalarBytes(
      [...system.coefficients, 1].map((value) => {
        const scaled = (BigInt(value) * R_SQUARED) % FIELD_ORDER;
        return scaled < 0n ? scaled + FIELD_ORDER : scaled;
      }),
    ).buffer,
  );
  const publicWires = 1 + system.outputs + system.publicInputs;
  const count = system.a.wires.length + system.b.wires.length + publicWires;
  const bytes = Buffer.alloc(COUNT_BYTES + ENTRY_BYTES * count);
  bytes.writeUInt32LE(count, 0);
  let at = COUNT_BYTES;
  const put = (matrix: number, row: number, wire: number, coefficient: number): void => {
    bytes.writeUInt32LE(matrix, at);
    bytes.writeUInt32LE(row, at + 4);
    bytes.writeUInt32LE(wire, at + 8);
    const from = FIELD_BYTES * coefficient;
    encoded.copy(bytes, at + 12, from, from + FIELD_BYTES);
    at += ENTRY_BYTES;
  };
  for (let row = 0; row < system.constraintCount; row += 1) {
    for (const [index, { rowStart, wires, coefficients }] of [system.a, system.b].entries()) {
      const end = rowStart[row + 1]!;
      for (let i = rowStart[row]!; i < end; i += 1) put(index, row, wires[i]!, coefficients[i]!);
    }
  }
  const one = system.coefficients.length;
  for (let wire = 0; wire < publicWires; wire += 1) {
    put(0, system.constraintCount + wire, wire, one);
  }
  return bytes;
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) at += (await file.write(bytes, at)).bytesWritten;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
