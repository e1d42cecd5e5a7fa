import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import { packedPerSignal } from "../circuit/circuit-schema.ts";
import { FIELD_ORDER, toField } from "../field.ts";
import { wordBytes } from "../verifier/curve-points.ts";
import { encodeFloat, packValues } from "../verifier/signal-encoding.ts";
import { BYTES, ORDERED, SIGNED, schemaOf } from "../verifier/testing/schemas.ts";
import { inferenceCalldata } from "./contract-abi.ts";
import { inferenceCallOf } from "./inference-call.ts";
import { inferenceContract } from "./inference-contract.ts";
import { errorOf, fromVector, selectorOf, simulated } from "./testing/ready-contract.ts";

const bytesOf = (value: number, size: number) =>
  Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** (size - 1 - i)) % 256);

describe("checkInference on the chain", () => {
  it("packs bytes, words and float keys as the circuit has them", async () => {
    const schema = schemaOf({ inputs: [BYTES, SIGNED, ORDERED], hasContext: true });
    const { setup, contract } = await simulated(schema, 51);
    const pixels = Array.from({ length: 40 }, (_, i) => (i * 37) % 256);
    const lanes = [-25, 0.25, 22.5].map((x) => encodeFloat(SIGNED.encoding, x) + 100);
    const floats = [0, -1.5, 3.25, 1e-45, -1e30, 7, 8, 9].map(Math.fround);
    const keys = floats.map((x) => encodeFloat(ORDERED.encoding, x));
    const values = [
      ...[toField(-5n), 0n, toField(-(FIELD_ORDER / 2n))],
      ...packValues(pixels, 8),
      ...packValues(lanes, 16),
      ...packValues(keys, 32),
      FIELD_ORDER - 1n,
    ];
    const proof = setup.prove(values);
    const call = inferenceCallOf(schema, values, proof);
    expect(call.input.length).toBe(40 + 6 + 32);
    expect(call.output).toEqual([-5n, 0n, -(FIELD_ORDER / 2n)]);
    const answer = await contract.call(inferenceCalldata("checkInference", call));
    expect(answer.outcome).toBe("true");

    const refusedInput = async (byte: number, bytes: readonly number[]): Promise<string> => {
      const input = call.input.slice();
      input.set(bytes, byte);
      const { outcome, returned } = await contract.call(
        inferenceCalldata("checkInference", { ...call, input }),
      );
      return outcome === "reverted" ? errorOf(returned) : outcome;
    };
    const outOfRange = selectorOf("InputOutOfRange(uint256)");
    // In range, and another input; above what the circuit was made for; -0, infinity, NaN.
    expect(await refusedInput(0, [1])).toBe("false");
    expect(await refusedInput(40, [0, 190])).toBe("false");
    expect(await refusedInput(40, [0, 191])).toBe(outOfRange);
    expect(await refusedInput(46, [0x7f, 0xff, 0xff, 0xff])).toBe(outOfRange);
    expect(await refusedInput(46, [0xff, 0x80, 0, 0])).toBe(outOfRange);
    expect(await refusedInput(74, [0, 0x7f, 0xff, 0xff])).toBe(outOfRange);
    expect(await refusedInput(46, [0x7f, 0xff, 0xff, 0xfe])).toBe("false");
  });

  it.each([8, 16, 32] as const)(
    "holds each number to a range of its own in lanes of %i bits, and tells which is beyond",
    async (bits) => {
      const random = new SeededRandom(bits);
      const perSignal = packedPerSignal(bits);
      const count = 2 * perSignal + 4;
      // Whole lanes at the ends of the first signal, one of a few numbers beside them; nothing to
      // check in the second; halves of lanes in the last, partly filled.
      const widths = Array.from({ length: count }, (_, i) =>
        i === 1 || i === perSignal - 2 ? 1 : i % (perSignal - 1) === 0 ? bits : bits - (i % 3),
      ).map((width, i) => (i >= perSignal && i < 2 * perSignal ? bits : width));
      const highs = widths.map((width, i) => 2 ** width - 1 - (width < bits ? i % 2 : 0));
      const lo = highs.map((_, i) => [0, -3, 1][i % 3]!);
      const encoding = {
        kind: "fixed-each" as const,
        scaleBits: highs.map((_, i) => i % 9),
        lo,
        hi: highs.map((high, i) => high + lo[i]!),
      };
      const before = { ...BYTES, shape: [3] };
      const each = { name: "each", shape: [count], encoding, bits, offset: 0 };
      const schema = schemaOf({ inputs: [before, each], output: { shape: [1] } });
      const { setup, contract } = await simulated(schema, 60 + bits);
      const valuesOf = (lanes: readonly number[]) => [
        7n,
        ...packValues([1, 2, 3], 8),
        ...packValues(lanes, bits),
      ];
      const answerTo = async (lanes: readonly number[]): Promise<string> => {
        const values = valuesOf(lanes);
        const good = inferenceCallOf(schema, valuesOf(highs), setup.prove(values));
        const input = Uint8Array.of(1, 2, 3, ...lanes.flatMap((lane) => bytesOf(lane, bits / 8)));
        const calldata = inferenceCalldata("checkInference", { ...good, input });
        const { outcome, returned } = await contract.call(calldata);
        return outcome === "reverted" ? bytesToHex(returned) : outcome;
      };
      expect(await answerTo(highs)).toBe("true");
      expect(await answerTo(highs.map(() => 0))).toBe("true");
      expect(await answerTo(highs.map((high) => random.below(high + 1)))).toBe("true");
      const refusal = (lane: number) =>
        selectorOf("InputOutOfRange(uint256)") +
        (3 + (lane * bits) / 8).toString(16).padStart(64, "0");
      for (const [lane, high] of highs.entries()) {
        if (high === 2 ** bits - 1) continue;
        // One too many beside lanes that are full, and all ones beside empty lanes.
        expect(await answerTo(highs.with(lane, high + 1)), `lane ${lane}`).toBe(refusal(lane));
        const alone = highs.map(() => 0).with(lane, 2 ** bits - 1);
        expect(await answerTo(alone), `lane ${lane}`).toBe(refusal(lane));
      }
      // Of several the first.
      expect(await answerTo(highs.with(1, 2).with(perSignal - 2, 2))).toBe(refusal(1));
    },
    60_000,
  );

  it("needs no check of lanes that are full", () => {
    const sourceOf = (highs: readonly number[]) =>
      inferenceContract(
        schemaOf({
          inputs: [
            {
              name: "each",
              shape: [highs.length],
              encoding: {
                kind: "fixed-each",
                scaleBits: highs.map((_, i) => i),
                lo: highs.map(() => 0),
                hi: highs,
              },
              bits: 16,
              offset: 0,
            },
          ],
        }),
      );
    expect(sourceOf([65_535, 65_535])).not.toContain("InputOutOfRange(from)");
    expect(sourceOf([65_535, 65_535])).toContain("///     1: round(x * 2^1) + 0, x * 2^1 from 0");
    expect(sourceOf([65_535, 65_535])).not.toContain("checkLanes");
    expect(sourceOf([300, 301])).not.toContain("checkRange");
    expect(sourceOf([300, 301])).toContain("checkLanes(publicValues[3], 16, ");
    expect(sourceOf(new Array(101).fill(300))).toContain("and so on: the schema");
  });

  it("packs outputs, negative ones too, and holds them to their range", async () => {
    const schema = schemaOf({
      inputMode: "private",
      inputs: [],
      outputMode: "packed",
      output: { bits: 100, offset: "1000000" },
    });
    const { setup, contract } = await simulated(schema, 52);
    const integers = [-1_000_000n, 5n, (1n << 100n) - 1_000_001n];
    const values = packValues(
      integers.map((x) => x + 1_000_000n),
      100,
    );
    const call = inferenceCallOf(schema, values, setup.prove(values));
    expect(call.output).toEqual(integers);
    const answerTo = async (output: readonly bigint[]): Promise<string> => {
      const answer = await contract.call(inferenceCalldata("checkInference", { ...call, output }));
      return answer.outcome === "reverted" ? errorOf(answer.returned) : answer.outcome;
    };
    expect(await answerTo(integers)).toBe("true");
    const outOfRange = selectorOf("OutputOutOfRange(uint256)");
    // Each would run over into the lane beside it and could make the same signals.
    expect(await answerTo(integers.with(0, -1_000_001n))).toBe(outOfRange);
    expect(await answerTo(integers.with(2, integers[2]! + 1n))).toBe(outOfRange);
    expect(await answerTo(integers.with(1, (1n << 255n) - 1n))).toBe(outOfRange);
    expect(await answerTo(integers.with(1, -(1n << 255n)))).toBe(outOfRange);
    expect(await answerTo(integers.with(1, 6n))).toBe("false");
  });

  it("takes one name for each output, also of the field", async () => {
    const { contract, schema, values, proof } = await fromVector(3);
    const call = inferenceCallOf(schema, values, proof);
    expect(call.output).toEqual([-612n]);
    const outOfRange = selectorOf("OutputOutOfRange(uint256)");
    for (const alias of [FIELD_ORDER - 612n, -612n - FIELD_ORDER, FIELD_ORDER / 2n + 1n]) {
      const { outcome, returned } = await contract.call(
        inferenceCalldata("checkInference", { ...call, output: [alias] }),
      );
      expect([outcome, errorOf(returned)]).toEqual(["reverted", outOfRange]);
    }
  });

  it("takes a class or a bit that there is", async () => {
    const hidden = { inputMode: "private", inputs: [] } as const;
    const cases = [
      { schema: schemaOf({ ...hidden, outputMode: "argmax" }), good: 2n, bad: 3n },
      {
        schema: schemaOf({ ...hidden, outputMode: "threshold", output: { threshold: "5" } }),
        good: 1n,
        bad: 2n,
      },
    ];
    for (const { schema, good, bad } of cases) {
      const { setup, contract } = await simulated(schema, 53);
      const call = inferenceCallOf(schema, [good], setup.prove([good]));
      const outcomeOf = async (output: readonly bigint[]): Promise<string> =>
        (await contract.call(inferenceCalldata("checkInference", { ...call, output }))).outcome;
      expect(await outcomeOf([good])).toBe("true");
      expect(await outcomeOf([good - 1n])).toBe("false");
      expect(await outcomeOf([bad])).toBe("reverted");
      expect(await outcomeOf([-1n])).toBe("reverted");
    }
  });

  it("takes a commitment as input, one name for each", async () => {
    const schema = schemaOf({ inputMode: "committed", outputMode: "argmax", hasContext: true });
    const { setup, contract } = await simulated(schema, 54);
    const values = [1n, FIELD_ORDER - 2n, 9n];
    const call = inferenceCallOf(schema, values, setup.prove(values));
    expect(call.input).toEqual(wordBytes([FIELD_ORDER - 2n]));
    const outcomeOf = async (input: Uint8Array): Promise<string> =>
      (await contract.call(inferenceCalldata("checkInference", { ...call, input }))).outcome;
    expect(await outcomeOf(call.input)).toBe("true");
    expect(await outcomeOf(wordBytes([FIELD_ORDER - 3n]))).toBe("false");
    expect(await outcomeOf(wordBytes([2n * FIELD_ORDER - 2n]))).toBe("false");
  });

  it("says what is wrong with a call", async () => {
    const { contract, schema, values, proof } = await fromVector(3);
    const call = inferenceCallOf(schema, values, proof);
    const answer = async (change: Partial<typeof call>): Promise<string> => {
      const calldata = inferenceCalldata("verifyInference", { ...call, ...change });
      const { outcome, returned } = await contract.call(calldata);
      return outcome === "reverted" ? errorOf(returned) : outcome;
    };
    expect(await answer({ input: call.input.subarray(1) })).toBe(
      selectorOf("InputLength(uint256,uint256)"),
    );
    expect(await answer({ input: new Uint8Array() })).toBe(
      selectorOf("InputLength(uint256,uint256)"),
    );
    expect(await answer({ output: [] })).toBe(selectorOf("OutputLength(uint256,uint256)"));
    expect(await answer({ context: FIELD_ORDER })).toBe(selectorOf("ContextOutOfRange()"));
    expect(await answer({ context: 1n })).toBe(selectorOf("ProofInvalid()"));
    expect(await answer({ output: [-611n] })).toBe(selectorOf("ProofInvalid()"));
    // A circuit without a context takes none.
    const one = await fromVector(1);
    const other = inferenceCallOf(one.schema, one.values, one.proof);
    const { outcome, returned } = await one.contract.call(
      inferenceCalldata("checkInference", { ...other, context: 1n }),
    );
    expect([outcome, errorOf(returned)]).toEqual(["reverted", selectorOf("ContextOutOfRange()")]);
    // 256 bytes of proof, no more and no less.
    const calldata = inferenceCalldata("checkInference", call);
    const at = calldata.length - 256 - 1;
    for (const length of [255, 0]) {
      const short = calldata.slice();
      short[at - 1] = 0;
      short[at] = length;
      const refused = await contract.call(short);
      expect([refused.outcome, errorOf(refused.returned)]).toEqual([
        "reverted",
        selectorOf("ProofLength(uint256,uint256)"),
      ]);
    }
  });
});
