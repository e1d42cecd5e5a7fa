// Proofs that snarkjs made; test/proofs/make-verifier-vectors.ts says how.

import { readFileSync } from "node:fs";
import type { CircuitSchema } from "../../circuit/circuit-schema.ts";
import type { ProofJson } from "../proof-format.ts";
import type { VerifyingKeyJson } from "../verifying-key.ts";

export interface Vector {
  readonly schema: CircuitSchema;
  readonly verifyingKey: VerifyingKeyJson;
  readonly proof: ProofJson;
  readonly publicValues: readonly string[];
}

/** By its number of public values; "no-contribution" is of a set-up that was not finished. */
export function vector(name: 1 | 3 | 36 | "no-contribution"): Vector {
  const files = {
    1: "one-public-value",
    3: "three-public-values",
    36: "thirty-six-public-values",
    "no-contribution": "no-contribution",
  };
  const url = new URL(`${files[name]}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as Vector;
}
