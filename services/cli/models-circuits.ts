// The circuits of a model version, in short: below the version.

import type { ModelCircuit } from "../../gen/plinth/registry/v1/model_version_pb.js";
import { shortDigest } from "./format.ts";
import type { Output } from "./output.ts";
import { tableLines } from "./table.ts";

/** A table of one line a circuit, newest first; none where there is none. */
export function circuitLines(output: Output, circuits: readonly ModelCircuit[]): readonly string[] {
  if (circuits.length === 0) {
    return [];
  }
  const titles = ["CIRCUIT", "", "KEY", "MODEL COMMITMENT", "VERIFYING KEY"];
  const rows = circuits.map((one) => [
    one.circuit.slice(one.circuit.lastIndexOf("/") + 1),
    one.active ? "active" : "",
    one.development ? "DEVELOPMENT" : "",
    shortDigest(one.modelCommitment),
    shortDigest(one.verifyingKeyHash) || "none (PLONK)",
  ]);
  const [head = "", ...body] = tableLines(
    titles.map((title) => ({ title })),
    rows,
  );
  return ["", output.tone("strong", head), ...body.map((line) => toned(output, line))];
}

/** Whoever made such a key could forge proofs: that must not be overlooked. */
function toned(output: Output, line: string): string {
  return line.replace(/\bDEVELOPMENT\b/, (word) => output.tone("warn", word));
}
