import { describe, expect, it } from "vitest";
import type { EachEncoding } from "../compiler/integer-graph.ts";
import { readSchema, schemaHash, signalCounts } from "./read-schema.ts";
import { Refusal } from "./refusal.ts";
import { BYTES, COLUMNS, ORDERED, SCORES, SIGNED, schemaOf } from "./testing/schemas.ts";

function reasonOf(schema: unknown): string | undefined {
  try {
    readSchema(schema);
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

describe("read-schema", () => {
  it("gives back what it was given, without fields that it does not know", () => {
    const schema = schemaOf({ inputs: [BYTES, SIGNED, ORDERED, COLUMNS], hasContext: true });
    expect(readSchema(JSON.parse(JSON.stringify(schema)))).toEqual(schema);
    expect(readSchema({ ...schema, more: 1 })).toEqual(schema);
  });

  it("hashes meaning, not the order of fields", () => {
    const schema = schemaOf();
    const reversed = Object.fromEntries(Object.entries(schema).reverse());
    const hash = schemaHash(schema);
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
    expect(schemaHash(reversed as unknown as typeof schema)).toBe(hash);
    const others = [
      schemaOf({ output: { scaleBits: 5 } }),
      schemaOf({ output: { classLabels: ["a"] } }),
      schemaOf({ inputs: [{ ...BYTES, shape: [20, 2] }] }),
      schemaOf({ modelCommitment: "cd".repeat(32) }),
    ];
    expect(new Set([hash, ...others.map(schemaHash)]).size).toBe(5);
  });

  it("counts the public values of each mode", () => {
    const inputs = [BYTES, SIGNED, ORDERED];
    expect(signalCounts(schemaOf({ inputs }))).toEqual({
      output: 3,
      inputs: [2, 1, 2],
      commitment: 0,
      context: 0,
      total: 8,
    });
    const packed = schemaOf({ outputMode: "packed", output: { bits: 100 }, hasContext: true });
    expect(signalCounts(packed)).toMatchObject({ output: 2, inputs: [2], context: 1, total: 5 });
    expect(signalCounts(schemaOf({ inputMode: "committed", inputs })).total).toBe(4);
    expect(signalCounts(schemaOf({ inputMode: "private", outputMode: "argmax" })).total).toBe(1);
  });

  it("takes lists of encodings for the values there are, each in bounds, and no others", () => {
    const encoding: EachEncoding = COLUMNS.encoding;
    const changed = (change: object) =>
      reasonOf(
        schemaOf({ inputs: [{ ...COLUMNS, encoding: { ...encoding, ...change } as never }] }),
      );
    expect(changed({})).toBeUndefined();
    const others = { ...COLUMNS, encoding: { ...encoding, scaleBits: [12, 0, -3, 4, 2] } };
    expect(schemaHash(schemaOf({ inputs: [others] }))).not.toBe(
      schemaHash(schemaOf({ inputs: [COLUMNS] })),
    );
    expect(changed({ scaleBits: 4 })).toBe("malformed");
    expect(changed({ lo: undefined })).toBe("malformed");
    expect(changed({ lo: encoding.lo.slice(1) })).toBe("malformed");
    expect(changed({ hi: [...encoding.hi, 9] })).toBe("malformed");
    for (const change of [
      { scaleBits: encoding.scaleBits.with(1, 1001) },
      { scaleBits: encoding.scaleBits.with(1, 0.5) },
      { lo: encoding.lo.with(1, 256) },
      { hi: encoding.hi.with(2, 32_768) },
      { hi: encoding.hi.with(4, 7 + 2 ** 16) },
      { hi: encoding.hi.with(4, Number.NaN) },
      { lo: (encoding.lo as readonly unknown[]).with(0, "0") },
      { lo: new Array(5) },
    ]) {
      expect(changed(change), JSON.stringify(change)).toBe("schema-mismatch");
    }
    expect(reasonOf(schemaOf({ inputs: [{ ...COLUMNS, offset: 1 }] }))).toBe("schema-mismatch");
    expect(reasonOf(schemaOf({ inputs: [{ ...COLUMNS, bits: 8 }] }))).toBe("schema-mismatch");
    expect(reasonOf(schemaOf({ inputs: [{ ...COLUMNS, shape: [6] }] }))).toBe("malformed");
  });

  it("refuses what contradicts itself or has no bounds", () => {
    const cases: unknown[] = [
      { ...schemaOf(), version: 2 },
      { ...schemaOf(), inputMode: "secret" },
      { ...schemaOf(), outputMode: "logits" },
      { ...schemaOf(), hasContext: "yes" },
      { ...schemaOf(), modelCommitment: "AB".repeat(32) },
      { ...schemaOf(), inputs: new Array(65).fill(BYTES) },
      schemaOf({ inputs: [{ ...BYTES, bits: 9 }] }),
      schemaOf({ inputs: [{ ...BYTES, bits: 64 }] }),
      schemaOf({ inputs: [{ ...BYTES, offset: 1 }] }),
      schemaOf({ inputs: [{ ...BYTES, offset: -1 }] }),
      schemaOf({ inputs: [{ ...BYTES, shape: [0] }] }),
      schemaOf({ inputs: [{ ...BYTES, shape: [1e9, 1e9] }] }),
      schemaOf({ inputs: [{ ...BYTES, shape: [1000, 1000] }] }),
      schemaOf({ inputs: [{ ...BYTES, shape: new Array(17).fill(1) }] }),
      schemaOf({ inputs: [{ ...BYTES, shape: [1.5] }] }),
      schemaOf({ inputs: [{ ...SIGNED, offset: 99 }] }),
      schemaOf({ inputs: [{ ...ORDERED, bits: 16 }] }),
      schemaOf({ inputs: [{ ...ORDERED, offset: 0x0080_0000 }] }),
      schemaOf({ output: { scaleBits: 0.5 } }),
      schemaOf({ output: { scaleBits: 5000 } }),
      schemaOf({ output: { offset: "0x1" } }),
      schemaOf({ output: { offset: "-0" } }),
      schemaOf({ outputMode: "packed", output: { bits: 0 } }),
      schemaOf({ outputMode: "packed", output: { bits: 249 } }),
      schemaOf({ outputMode: "threshold" }),
      { ...schemaOf(), output: { ...SCORES, after: "gelu" } },
      { ...schemaOf(), output: { ...SCORES, name: "x".repeat(1025) } },
    ];
    for (const schema of cases) {
      expect(reasonOf(schema), JSON.stringify(schema).slice(0, 200)).toBe("schema-mismatch");
    }
    for (const schema of [undefined, 1, [], { ...schemaOf(), inputs: 1 }]) {
      expect(reasonOf(schema)).toMatch(/malformed|schema-mismatch/);
    }
    expect(reasonOf(schemaOf())).toBeUndefined();
  });
});
