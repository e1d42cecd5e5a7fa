import * as peer from "poseidon-lite";
import { describe, expect, it } from "vitest";
import { FIELD_ORDER, toField } from "../field.ts";
import { firstViolation } from "./check-witness.ts";
import { CircuitBuilder } from "./circuit-builder.ts";
import { isAccepted } from "./forging.ts";
import { commitmentOf, commitWires, poseidon } from "./poseidon.ts";
import { undeterminedWires } from "./uniqueness.ts";

type Hash = (inputs: readonly bigint[]) => bigint;

const HASHES = Array.from({ length: 16 }, (_, i) => Reflect.get(peer, `poseidon${i + 1}`) as Hash);

/** Elements spread over the whole field. */
function elements(count: number, seed: bigint): bigint[] {
  return Array.from({ length: count }, (_, i) => (seed + BigInt(i)) ** 97n % FIELD_ORDER);
}

function committing(signals: number) {
  const shape = { outputs: 1, publicInputs: 0, privateInputs: signals + 1, constraintsMax: 10_000 };
  const builder = new CircuitBuilder(shape);
  const wires = Array.from({ length: signals }, (_, i) => builder.privateInput(1 + i));
  const commitment = commitWires(builder, builder.privateInput(0), wires);
  builder.assign(commitment, { into: builder.output(0) });
  return builder.finish();
}

describe("poseidon", () => {
  it("gives what another implementation gives, for 1 to 16 inputs", () => {
    HASHES.forEach((hash, i) => {
      for (const inputs of [
        elements(i + 1, 3n),
        new Array<bigint>(i + 1).fill(0n),
        new Array<bigint>(i + 1).fill(FIELD_ORDER - 1n),
      ]) {
        expect(poseidon(inputs), `${i + 1} inputs`).toBe(hash(inputs));
      }
    });
  });

  it("refuses no inputs, and 17", () => {
    expect(() => poseidon([])).toThrow(/1 to 16 inputs/);
    expect(() => poseidon(elements(17, 1n))).toThrow(/1 to 16 inputs/);
  });

  it("chains hashes for a commitment, the salt first", () => {
    const signals = elements(26, 11n);
    const salt = 12345678901234567890n;
    const first = HASHES[15]!([salt, ...signals.slice(0, 15)]);
    expect(commitmentOf(salt, signals)).toBe(HASHES[11]!([first, ...signals.slice(15)]));
    expect(commitmentOf(salt, signals.slice(0, 15))).toBe(first);
    expect(commitmentOf(salt, [])).toBe(HASHES[0]!([salt]));
    expect(commitmentOf(salt + 1n, signals)).not.toBe(commitmentOf(salt, signals));
  });

  it("proves the same in a circuit, with no wire left open", () => {
    for (const count of [1, 2, 15, 16, 26]) {
      const { system, program } = committing(count);
      const inputs = elements(count + 1, 5n);
      const witness = program.run(inputs);
      expect(firstViolation(system, witness)).toBeUndefined();
      expect(toField(BigInt(witness[1]!))).toBe(commitmentOf(inputs[0]!, inputs.slice(1)));
      expect(undeterminedWires(system)).toEqual([]);
    }
  });

  it("costs what its S-boxes cost", () => {
    // 8 full rounds of 17 and 13 but for the constant element of the first round, then 68 and 65.
    const boxes = 8 * 17 - 1 + 68 + (8 * 13 - 1 + 65);
    expect(committing(26).system.constraintCount).toBe(3 * boxes + 1);
  });

  it("accepts no other commitment, and no S-box that is off", () => {
    const { system, program } = committing(2);
    const inputs = elements(3, 5n);
    const honest = program.run(inputs);
    expect(isAccepted(system, inputs, new Map([[1, honest[1]!]]))).toBe(true);
    expect(isAccepted(system, inputs, new Map([[1, BigInt(honest[1]!) + 1n]]))).toBe(false);
    for (let wire = 5; wire < system.wires; wire += 7) {
      const off = new Map([
        [wire, BigInt(honest[wire]!) + 1n],
        [1, honest[1]!],
      ]);
      expect(isAccepted(system, inputs, off)).toBe(false);
    }
  });
});
