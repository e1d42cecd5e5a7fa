import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ModelCircuitSchema } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { circuitLines } from "./models-circuits.ts";
import { Output } from "./output.ts";

const output = new Output({ json: false, quiet: false, color: false });
const VERSION = "workspaces/default/models/delay/versions/3";

describe("models-circuits", () => {
  it("stands below a version: which is active, of which model, and what its key is worth", () => {
    const circuits = [
      { circuit: `${VERSION}/circuits/exact`, modelCommitment: "0123456789abcdef".repeat(4) },
      {
        circuit: `${VERSION}/circuits/dev`,
        active: true,
        development: true,
        modelCommitment: "ff".repeat(32),
        verifyingKeyHash: "abcd".repeat(16),
      },
    ].map((circuit) => create(ModelCircuitSchema, circuit));
    expect(circuitLines(output, circuits)).toEqual([
      "",
      "CIRCUIT          KEY          MODEL COMMITMENT   VERIFYING KEY",
      "exact                         0123456789abcdef…  none (PLONK)",
      "dev      active  DEVELOPMENT  ffffffffffffffff…  abcdabcdabcdabcd…",
    ]);
    expect(circuitLines(output, [])).toEqual([]);
  });
});
