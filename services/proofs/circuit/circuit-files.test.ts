import * as snarkjs from "snarkjs";
import { afterAll, describe, expect, it } from "vitest";
import { FIELD_ORDER } from "../field.ts";
import { firstViolation } from "./check-witness.ts";
import { constraintAt } from "./constraint-system.ts";
import { readR1cs, writeR1cs } from "./r1cs-file.ts";
import { compiled, mlpGraph, witnessOf } from "./testing.ts";
import { readWitness, writeWitness } from "./witness-file.ts";

const VALUES = Array.from({ length: 33 }, (_, i) => (i * 91) % 256);
const CIRCUIT = compiled(mlpGraph([33, 5, 3], { seed: 12 }), {
  inputMode: "committed",
  outputMode: "argmax",
  context: true,
});
const WITNESS = witnessOf(CIRCUIT, VALUES, { salt: 3n, context: FIELD_ORDER - 1n });

afterAll(async () => {
  // Its worker threads keep the process alive.
  const { curve_bn128: curve } = globalThis as { curve_bn128?: { terminate(): Promise<void> } };
  await curve?.terminate();
});

type Check = (r1cs: object, wtns: object, logger: object) => Promise<boolean>;

/** What snarkjs says of a circuit and a witness. */
async function accepts(r1cs: Uint8Array, wtns: Uint8Array): Promise<boolean> {
  const { check } = Reflect.get(snarkjs, "wtns") as { readonly check: Check };
  const quiet = { info: () => undefined, warn: () => undefined, debug: () => undefined };
  return check({ type: "mem", data: r1cs }, { type: "mem", data: wtns }, quiet);
}

describe("circuit files", () => {
  it("are read back as they were", () => {
    const bytes = writeR1cs(CIRCUIT.system);
    const read = readR1cs(bytes);
    const { wires, outputs, publicInputs, privateInputs, constraintCount } = CIRCUIT.system;
    expect(read).toMatchObject({ wires, outputs, publicInputs, privateInputs, constraintCount });
    for (let row = 0; row < constraintCount; row += 1) {
      expect(constraintAt(read, row)).toEqual(constraintAt(CIRCUIT.system, row));
    }
    expect(writeR1cs(read)).toEqual(bytes);
    // From bytes that do not begin at a word, too.
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect(readR1cs(shifted.subarray(1))).toEqual(read);
    expect(readWitness(writeWitness(WITNESS))).toEqual(WITNESS);
  });

  it("are understood by snarkjs, which accepts the witness and refuses a wrong one", async () => {
    const r1cs = writeR1cs(CIRCUIT.system);
    expect(await accepts(r1cs, writeWitness(WITNESS))).toBe(true);
    for (const wire of [1, 2, 50, WITNESS.length - 1]) {
      const wrong = WITNESS.map((value, i) => (i === wire ? BigInt(value) + 1n : value));
      expect(firstViolation(CIRCUIT.system, wrong)).not.toBeUndefined();
      expect(await accepts(r1cs, writeWitness(wrong))).toBe(false);
    }
  });

  it("are refused where they are cut off, of another field or not in order", () => {
    const r1cs = writeR1cs(CIRCUIT.system);
    for (const size of [0, 3, 11, 40, 100, 1000, r1cs.length - 4]) {
      expect(() => readR1cs(r1cs.subarray(0, size))).toThrow(RangeError);
    }
    const changed = (at: number, value: number): Uint8Array => {
      const bytes = r1cs.slice();
      bytes[at] = value;
      return bytes;
    };
    expect(() => readR1cs(changed(0, 0))).toThrow(/no .r1cs file/);
    expect(() => readR1cs(changed(28, 2))).toThrow(/another field/);
    expect(() => readR1cs(changed(24 + 36 + 1, 0))).toThrow(RangeError);
    const wtns = writeWitness(WITNESS);
    expect(() => readWitness(wtns.subarray(0, wtns.length - 1))).toThrow(/cut off/);
    expect(() => readWitness(r1cs)).toThrow(/no .wtns file/);
    const large = wtns.slice();
    large.fill(255, large.length - 32);
    expect(() => readWitness(large)).toThrow(/no element of the field/);
  });
});
