import { describe, expect, it } from "vitest";
import { contextText, readExpected, type Typed } from "./expected-values.ts";

const NOTHING: Typed = {
  modelCommitment: "",
  vkHash: "  ",
  schemaHash: "",
  circuitHash: "",
  context: "",
};

describe("expected-values", () => {
  it("expects nothing of what is empty", () => {
    expect(readExpected(NOTHING)).toEqual({ expected: {}, faults: {} });
  });

  it("reads hashes and contexts however they were copied", () => {
    const vkHash = ` 0x${"AB".repeat(16)}\n${"cd".repeat(16)} `;
    expect(readExpected({ ...NOTHING, vkHash, context: "0x0A 1b" })).toEqual({
      expected: { vkHash: `${"ab".repeat(16)}${"cd".repeat(16)}`, context: 0x0a1bn },
      faults: {},
    });
  });

  it.each([
    ["vkHash", "ab".repeat(31), "these are 62"],
    ["vkHash", "x".repeat(64), "0 to 9 and a to f"],
    ["modelCommitment", "0x", "0 to 9 and a to f"],
    ["context", "0a1", "two each"],
    ["context", "order 7", "two each"],
    ["context", "ab".repeat(32), "at most 31 bytes; these are 32"],
  ] as const)("says what is wrong with %s %s", (name, typed, said) => {
    const { expected, faults } = readExpected({ ...NOTHING, [name]: typed });
    expect(expected).toEqual({});
    expect(faults[name]).toContain(said);
  });

  it("shows a context as its bytes", () => {
    expect(contextText(0x0a1bn)).toBe("0a1b");
    expect(contextText(0xfffn)).toBe("0fff");
    expect(contextText(0n)).toBe("0 (none)");
  });
});
