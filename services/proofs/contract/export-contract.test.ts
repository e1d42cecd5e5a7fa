import { describe, expect, it } from "vitest";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import { vector } from "../verifier/testing/vectors.ts";
import { readVerifyingKey } from "../verifier/verifying-key.ts";
import { exportContract } from "./export-contract.ts";

describe("the source of the contract", () => {
  const { schema, verifyingKey } = vector(3);
  const key = readVerifyingKey(verifyingKey);

  it("is the same for the same key and schema", () => {
    const options = { verifyingKey: key, schema, isDevelopmentSetup: true };
    const again = { ...options, schema: JSON.parse(JSON.stringify(schema)) };
    expect(exportContract(options).source).toBe(exportContract(again).source);
  });

  it("says loudly that a set-up is a development one, and only then", () => {
    const development = exportContract({ verifyingKey: key, schema, isDevelopmentSetup: true });
    const production = exportContract({ verifyingKey: key, schema, isDevelopmentSetup: false });
    expect(development.source).toContain("DEVELOPMENT SET-UP");
    expect(development.source).toContain("DEV_SETUP = true;");
    expect(production.source).not.toContain("DEVELOPMENT SET-UP");
    expect(production.source).toContain("DEV_SETUP = false;");
    for (const { source, standardJson } of [development, production]) {
      expect(
        source.startsWith("// SPDX-License-Identifier: Apache-2.0\npragma solidity 0.8.37;"),
      ).toBe(true);
      expect(standardJson.settings.optimizer).toEqual({ enabled: true, runs: 200 });
    }
  });

  it("lets no name of a model out of its comment", () => {
    const name = "x\n} contract Evil { fallback() external {} } /*\u202e\u2028*/ //";
    const hostile: CircuitSchema = {
      ...schema,
      inputs: schema.inputs.map((input) => ({ ...input, name })),
      output: { ...schema.output, name, classLabels: [name] },
    };
    const { source } = exportContract({
      verifyingKey: key,
      schema: hostile,
      isDevelopmentSetup: true,
    });
    const strip = (text: string): string => text.replace(/^\s*\/\/.*$/gm, "");
    const plain = exportContract({ verifyingKey: key, schema, isDevelopmentSetup: true });
    expect(strip(source)).toBe(strip(plain.source));
    expect(source).toMatch(/^[\n\x20-\x7e]*$/);
  });

  it("is not made for keys with which proofs are forged, or for another circuit's schema", () => {
    const unfinished = vector("no-contribution");
    expect(() =>
      exportContract({
        verifyingKey: readVerifyingKey(unfinished.verifyingKey),
        schema: unfinished.schema,
        isDevelopmentSetup: true,
      }),
    ).toThrow("anybody can forge proofs");
    expect(() =>
      exportContract({
        verifyingKey: key,
        schema: vector(36).schema,
        isDevelopmentSetup: true,
      }),
    ).toThrow("describes 36 public values, the verifying key is for 3");
  });
});
