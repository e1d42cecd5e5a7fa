import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  CircuitOptionsSchema,
  CircuitOptions_Setup as Setup,
} from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import { wireOptionsOf, withDefaults } from "./options-of.ts";

describe("options-of", () => {
  it("spares terms where the prover will be PLONK, and constraints elsewhere", () => {
    const made = (setup: Setup) => {
      return wireOptionsOf(withDefaults(create(CircuitOptionsSchema, { setup })));
    };
    expect(made(Setup.UNIVERSAL)).toMatchObject({ inputMode: "public", sparse: true });
    for (const setup of [Setup.UNSPECIFIED, Setup.DEVELOPMENT, Setup.CEREMONY]) {
      expect(made(setup)).not.toHaveProperty("sparse");
    }
  });
});
