import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, hexToBytes } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { FIELD_ORDER, toField } from "../field.ts";
import { BASE_ORDER, wordBytes } from "../verifier/curve-points.ts";
import { proofBytes } from "../verifier/proof-format.ts";
import { signalCounts } from "../verifier/read-schema.ts";
import { packValues } from "../verifier/signal-encoding.ts";
import { SIGNED, schemaOf } from "../verifier/testing/schemas.ts";
import { simulatedSetup } from "../verifier/testing/simulated-setup.ts";
import { contractAbi, inferenceCalldata, proofCalldata } from "./contract-abi.ts";
import { contractVector } from "./contract-vector.ts";
import { CODE_BYTES_MAX, CONTRACT_PUBLIC_VALUES_MAX, exportContract } from "./export-contract.ts";
import { inferenceCallOf } from "./inference-call.ts";
import { fromVector, selectorOf, simulated } from "./testing/ready-contract.ts";
import { compiled, deployed, transactionGas } from "./testing/use-contract.ts";

/** What a verification may cost, and what each public value may add. */
const GAS_BASE_MAX = 190_000;
const GAS_PER_VALUE_MAX = 6_700;

describe("the exported contract", () => {
  it.each([1, 3, 36] as const)(
    "accepts snarkjs' proof of %i public values and refuses what differs from it",
    async (name) => {
      const { contract, schema, proof, values } = await fromVector(name);
      const { calls, event } = contractVector(schema, values, proof);
      expect(calls.length).toBeGreaterThan(9);
      for (const { name: what, calldata, expected } of calls) {
        const { outcome } = await contract.call(hexToBytes(calldata.slice(2)));
        if (expected === "true") expect(outcome, what).toBe("true");
        else expect(outcome, what).toMatch(/^(false|reverted)$/);
      }
      const call = inferenceCallOf(schema, values, proof);
      const { outcome, returned, logs } = await contract.call(
        inferenceCalldata("verifyInference", call),
      );
      expect(outcome).toBe("returned");
      expect(returned).toEqual(keccak_256(call.input));
      expect(logs).toHaveLength(1);
      const [, topics, data] = logs[0]!;
      expect(topics.map((topic) => `0x${bytesToHex(topic)}`)).toEqual(event.topics);
      expect(data).toEqual(
        wordBytes(
          [32n, BigInt(call.output.length), ...call.output].map((x) => BigInt.asUintN(256, x)),
        ),
      );
    },
    60_000,
  );

  it("has the interface that it is said to have", async () => {
    const { compiled: code, contract, vkHash } = await fromVector(3);
    expect(contractAbi(3)).toEqual(code.abi);
    const constants = {
      "DEV_SETUP()": wordBytes([1n]),
      "PUBLIC_VALUES()": wordBytes([3n]),
      "INPUT_BYTES()": wordBytes([4n]),
      "OUTPUT_VALUES()": wordBytes([1n]),
      "OUTPUT_SCALE_BITS()": wordBytes([8n]),
      "VERIFYING_KEY_HASH()": hexToBytes(vkHash),
      "MODEL_COMMITMENT()": hexToBytes("03".repeat(32)),
    };
    for (const [signature, expected] of Object.entries(constants)) {
      const { returned } = await contract.call(hexToBytes(selectorOf(signature)));
      expect(returned, signature).toEqual(expected);
    }
  });

  it.each([1, 3, 36] as const)("keeps to the gas and size budget with %i values", async (name) => {
    const { compiled: code, contract, schema, proof, values } = await fromVector(name);
    const budget = GAS_BASE_MAX + GAS_PER_VALUE_MAX * values.length;
    const direct = await contract.call(proofCalldata(proof, values));
    expect(direct.gas).toBeLessThan(budget);
    const call = inferenceCallOf(schema, values, proof);
    const whole = await contract.call(inferenceCalldata("checkInference", call));
    // Each tensor is packed, and perhaps held to a range, by calls of its own.
    expect(whole.gas).toBeLessThan(budget + 500 * schema.inputs.length);
    expect(code.code.length).toBeLessThan(CODE_BYTES_MAX);
    expect(transactionGas(proofCalldata(proof, values))).toBeLessThan(21_000 + 16 * 32 * 45);
  });

  it("is at most as long as a contract may be, and is refused where it would be longer", () => {
    const schemaWith = (outputs: number): CircuitSchema =>
      schemaOf({
        inputs: Array.from({ length: 64 }, (_, i) => ({ ...SIGNED, name: `f${i}`, shape: [1] })),
        hasContext: true,
        output: { shape: [outputs - 65] },
      });
    const { key } = simulatedSetup(CONTRACT_PUBLIC_VALUES_MAX, new SeededRandom(31));
    const options = { verifyingKey: key, isDevelopmentSetup: true };
    const most = schemaWith(CONTRACT_PUBLIC_VALUES_MAX);
    const { code } = compiled(exportContract({ ...options, schema: most }));
    expect(code.length).toBeLessThan(CODE_BYTES_MAX);
    const longer = simulatedSetup(CONTRACT_PUBLIC_VALUES_MAX + 1, new SeededRandom(32)).key;
    const more = schemaWith(CONTRACT_PUBLIC_VALUES_MAX + 1);
    expect(() => exportContract({ ...options, verifyingKey: longer, schema: more })).toThrow(
      "a contract takes 1 to 200",
    );
  });
});

describe("the contract of a table whose columns have ranges of their own", () => {
  const tableOf = (columns: number, output: number): CircuitSchema =>
    schemaOf({
      inputs: [
        {
          name: "table",
          shape: [columns],
          encoding: {
            kind: "fixed-each",
            scaleBits: Array.from({ length: columns }, (_, i) => i % 20),
            lo: new Array<number>(columns).fill(0),
            hi: Array.from({ length: columns }, (_, i) => (i % 2 === 0 ? 65_535 : 255)),
          },
          bits: 16,
          offset: 0,
        },
      ],
      output: { shape: [output] },
    });

  it.each([30, 150, 450])("keeps to the gas and size budget with %i columns", async (columns) => {
    const schema = tableOf(columns, 2);
    const { setup, contract, code } = await simulated(schema, columns);
    const lanes = Array.from({ length: columns }, (_, i) =>
      i % 2 === 0 ? 65_000 + (i % 500) : i % 256,
    );
    const values = [1n, 2n, ...packValues(lanes, 16)];
    const call = inferenceCallOf(schema, values, setup.prove(values));
    const { gas, outcome } = await contract.call(inferenceCalldata("checkInference", call));
    expect(outcome).toBe("true");
    expect(gas).toBeLessThan(GAS_BASE_MAX + GAS_PER_VALUE_MAX * values.length);
    expect(code.length).toBeLessThan(CODE_BYTES_MAX);
  });

  it("is as long as a contract may be at most, and is refused where it would be longer", () => {
    const signals = CONTRACT_PUBLIC_VALUES_MAX / 2;
    const exported = (columns: number, output: number) => {
      const schema = tableOf(columns, output);
      const { key } = simulatedSetup(signalCounts(schema).total, new SeededRandom(33));
      return exportContract({ verifyingKey: key, schema, isDevelopmentSetup: true });
    };
    const most = compiled(exported(15 * (signals - 1), 2));
    expect(most.code.length).toBeLessThan(CODE_BYTES_MAX);
    expect(() => exported(15 * (signals - 1), 3)).toThrow("a contract takes 1 to 200");
  });
});

describe("verifyProof on the chain", () => {
  it("is false for each public value changed, or named by its alias", async () => {
    for (const name of [3, 36] as const) {
      const { contract, proof, values } = await fromVector(name);
      // Each costs a pairing in the emulated machine, so not all of the 36.
      for (let i = 0; i < values.length; i += name === 3 ? 1 : 7) {
        const other = values.with(i, toField(values[i]! + 1n));
        expect((await contract.call(proofCalldata(proof, other))).outcome, `${i}`).toBe("false");
      }
      for (let i = 0; i < values.length; i += 1) {
        const alias = values.with(i, values[i]! + FIELD_ORDER);
        expect((await contract.call(proofCalldata(proof, alias))).outcome, `${i}`).toBe("false");
      }
    }
  });

  it("is false for points that are none, aliases of coordinates and the zero point", async () => {
    const { contract, proof, values } = await fromVector(3);
    const calldata = proofCalldata(proof, values);
    const bytes = proofBytes(proof);
    const withWords = (changes: Readonly<Record<number, bigint>>): Uint8Array => {
      const changed = calldata.slice();
      for (const [i, value] of Object.entries(changes)) {
        changed.set(wordBytes([value]), 4 + 32 * Number(i));
      }
      return changed;
    };
    const word = (i: number): bigint =>
      BigInt(`0x${bytesToHex(bytes.subarray(32 * i, 32 * i + 32))}`);
    for (let i = 0; i < 8; i += 1) {
      for (const value of [word(i) + 1n, word(i) + BASE_ORDER, 2n ** 256n - 1n]) {
        expect((await contract.call(withWords({ [i]: value }))).outcome, `word ${i}`).toBe("false");
      }
    }
    for (const zeros of [
      [0, 1],
      [2, 3, 4, 5],
      [6, 7],
      [0, 1, 2, 3, 4, 5, 6, 7],
    ]) {
      const changed = withWords(Object.fromEntries(zeros.map((i) => [i, 0n])));
      expect((await contract.call(changed)).outcome).toBe("false");
    }
    expect((await contract.call(calldata)).outcome).toBe("true");
  });

  it("refuses the zero point also where the equation holds with it", async () => {
    // alpha beta + l gamma = 0 in the exponents: A and C may be zero then.
    const setup = simulatedSetup(1, new SeededRandom(41), {
      alpha: 6n,
      beta: FIELD_ORDER - 1n,
      gamma: 2n,
      publicPoints: [1n, 2n],
    });
    const schema = schemaOf({ inputMode: "private", inputs: [], output: { shape: [1] } });
    const contract = await deployed(
      compiled(exportContract({ verifyingKey: setup.key, schema, isDevelopmentSetup: true })),
    );
    const good = proofCalldata(setup.prove([1n]), [1n]);
    expect((await contract.call(good)).outcome).toBe("true");
    const zero = good.slice();
    zero.fill(0, 4, 4 + 64);
    zero.fill(0, 4 + 192, 4 + 256);
    expect((await contract.call(zero)).outcome).toBe("false");
  });

  it("reverts where the calldata is too short", async () => {
    const { contract, proof, values } = await fromVector(3);
    const calldata = proofCalldata(proof, values);
    for (const length of [0, 3, 4, 36, calldata.length - 32, calldata.length - 1]) {
      expect((await contract.call(calldata.subarray(0, length))).outcome).toBe("reverted");
    }
  });
});
