// The development set-up: one party knows the secrets of a Groth16 key and makes it directly, in
// seconds where a ceremony takes minutes. Whoever knows them can prove anything, so the key is fit
// for development only; the owner of this process ends it right after, and their memory with it.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Curve } from "ffjavascript";
import type { ConstraintMatrix, ConstraintSystem } from "../../circuit/constraint-system.ts";
import { readR1cs } from "../../circuit/r1cs-file.ts";
import { FIELD_BYTES, FIELD_ORDER } from "../../field.ts";
import { domainPower } from "../circuit-size.ts";
import { inverse, lagrangeAt, power, scalarBytes } from "../scalar-field.ts";
import { theCurve } from "./curve.ts";
import { FixedBase } from "./fixed-base.ts";
import { type DevKeyPoints, writeZkey } from "./zkey-writer.ts";

/** What nobody may know after a set-up. */
interface Secrets {
  readonly tau: bigint;
  readonly alpha: bigint;
  readonly beta: bigint;
  readonly gamma: bigint;
  readonly delta: bigint;
}

/** Scalars of all points of a key, as bytes. */
interface KeyScalars {
  readonly ic: Uint8Array;
  readonly a: Uint8Array;
  readonly b: Uint8Array;
  readonly c: Uint8Array;
  readonly h: Uint8Array;
}

/** Makes a key of the circuit in the .r1cs file and writes it as a .zkey file. */
export async function devSetup(
  files: { readonly r1cs: string; readonly zkey: string },
  progress: (phase: string) => void,
): Promise<void> {
  progress("reading");
  const system = readR1cs(await readFile(files.r1cs));
  const exponent = domainPower(system);
  progress("scalars");
  const secrets = drawSecrets(exponent);
  const scalars = keyScalars(system, exponent, secrets);
  progress("points");
  const points = await multiplyAll(await theCurve(), scalars, secrets);
  for (const bytes of Object.values(scalars) as Uint8Array[]) bytes.fill(0);
  progress("writing");
  await writeZkey(files.zkey, { system, exponent, points });
}

/** gamma and delta are drawn apart: a key in which they are equal proves anything to anyone. */
function drawSecrets(exponent: number): Secrets {
  for (;;) {
    const [tau, alpha, beta, gamma, delta] = Array.from({ length: 5 }, drawScalar);
    const inDomain = power(tau!, 2n ** BigInt(exponent + 1)) === 1n;
    if (!inDomain && gamma !== delta) {
      return { tau: tau!, alpha: alpha!, beta: beta!, gamma: gamma!, delta: delta! };
    }
  }
}

/** 2 to p - 1, each as likely. */
function drawScalar(): bigint {
  const bytes = randomBytes(FIELD_BYTES);
  for (;;) {
    bytes[0]! &= 0x3f;
    const value = BigInt(`0x${bytes.toString("hex")}`);
    bytes.fill(0);
    if (value > 1n && value < FIELD_ORDER) return value;
    bytes.set(randomBytes(FIELD_BYTES));
  }
}

/**
 * The polynomials of the circuit at tau (Groth16, section 3.2): A, B, C of each wire are the sums of
 * its coefficients times the Lagrange polynomial of the row. Every public wire has a row of its own
 * in A beyond the constraints, so that none is left unbound.
 */
function keyScalars(system: ConstraintSystem, exponent: number, secrets: Secrets): KeyScalars {
  const { tau, alpha, beta } = secrets;
  const overGamma = inverse(secrets.gamma);
  const overDelta = inverse(secrets.delta);
  const rows = lagrangeAt(tau, { exponent, first: 0, step: 1, factor: 1n });
  const coefficients = system.coefficients.map(BigInt);
  const a = atTau(system, system.a, coefficients, rows);
  const b = atTau(system, system.b, coefficients, rows);
  const c = atTau(system, system.c, coefficients, rows);
  const publicWires = 1 + system.outputs + system.publicInputs;
  for (let wire = 0; wire < publicWires; wire += 1) {
    a[wire] = (a[wire]! + rows[system.constraintCount + wire]!) % FIELD_ORDER;
  }
  const combined = a.map((value, wire) => {
    const sum = (beta * value + alpha * b[wire]! + c[wire]!) % FIELD_ORDER;
    return (sum * (wire < publicWires ? overGamma : overDelta)) % FIELD_ORDER;
  });
  const odd = { exponent: exponent + 1, first: 1, step: 2, factor: overDelta };
  return {
    ic: scalarBytes(combined.slice(0, publicWires)),
    a: scalarBytes(a),
    b: scalarBytes(b),
    c: scalarBytes(combined.slice(publicWires)),
    h: scalarBytes(lagrangeAt(tau, odd)),
  };
}

/** For each wire the sum of coefficient times row. */
function atTau(
  system: ConstraintSystem,
  matrix: ConstraintMatrix,
  coefficients: readonly bigint[],
  rows: readonly bigint[],
): bigint[] {
  const sums = new Array<bigint>(system.wires).fill(0n);
  for (let row = 0; row < system.constraintCount; row += 1) {
    const value = rows[row]!;
    const end = matrix.rowStart[row + 1]!;
    for (let at = matrix.rowStart[row]!; at < end; at += 1) {
      const wire = matrix.wires[at]!;
      sums[wire] = sums[wire]! + value * coefficients[matrix.coefficients[at]!]!;
    }
  }
  return sums.map((sum) => ((sum % FIELD_ORDER) + FIELD_ORDER) % FIELD_ORDER);
}

async function multiplyAll(
  curve: Curve,
  scalars: KeyScalars,
  secrets: Secrets,
): Promise<DevKeyPoints> {
  const { ic, a, b, c, h } = scalars;
  const count = (2 * a.length + b.length + h.length) / FIELD_BYTES;
  const [g1, g2] = await Promise.all([
    FixedBase.of(curve, "G1", count),
    FixedBase.of(curve, "G2", b.length / FIELD_BYTES),
  ]);
  const { alpha, beta, gamma, delta } = secrets;
  const [header1, header2] = await Promise.all([
    g1.multiply(scalarBytes([alpha, beta, delta])),
    g2.multiply(scalarBytes([beta, gamma, delta])),
  ]);
  const [b2, pointsIc, pointsA, b1, pointsC, pointsH] = await Promise.all([
    g2.multiply(b),
    g1.multiply(ic),
    g1.multiply(a),
    g1.multiply(b),
    g1.multiply(c),
    g1.multiply(h),
  ]);
  return { header1, header2, ic: pointsIc, a: pointsA, b1, b2, c: pointsC, h: pointsH };
}
