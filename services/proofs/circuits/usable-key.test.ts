import { describe, expect, it } from "vitest";
import { ExportCircuitRequest_File as File } from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { vector } from "../verifier/testing/vectors.ts";
import { activateCircuit } from "./activate-circuit.ts";
import type { Circuit } from "./circuit.ts";
import { exportCircuit } from "./export-circuit.ts";
import { keyDocument, useCircuitStore } from "./testing/use-circuit-store.ts";

/** The public values of the key are not those of its schema: what it is refused for comes before. */
async function attempts(change: Partial<Circuit>): Promise<readonly unknown[]> {
  const { circuits, add } = await useCircuitStore();
  const circuit = await add("c", change);
  const deps = {
    circuits,
    ceremony: { close: async () => circuit.key! },
    events: { ceremony: () => {} },
    models: { isProduction: async () => false, hasVersionOf: async () => true },
  } as unknown as Parameters<typeof activateCircuit>[0];
  const context = { signal: new AbortController().signal } as Parameters<typeof activateCircuit>[2];
  const exporting = { newestProof: async () => undefined } as unknown as Parameters<
    typeof exportCircuit
  >[0];
  const results = await Promise.allSettled([
    activateCircuit(deps, { name: circuit._id, etag: "" }, context),
    ...[File.VERIFYING_KEY, File.SOLIDITY, File.SOLC_INPUT, File.ABI, File.TEST_VECTOR].map(
      (file) => exportCircuit(exporting, circuit, file),
    ),
  ]);
  return results.map((result) =>
    result.status === "rejected" ? result.reason.violations?.[0]?.type : "taken",
  );
}

describe("a key that proofs can be forged with", () => {
  it("is neither activated nor exported", async () => {
    const { verifyingKey } = vector("no-contribution");
    const key = keyDocument("dev-single-party", { verifyingKey });
    expect(await attempts({ key })).toEqual(Array(6).fill("UNSOUND_KEY"));
  });

  it("is one whose ceremony nobody took part in, also where it was said to be verified", async () => {
    const beacon = { name: "b", kind: "beacon" as const, hash: "0" };
    const key = { ...keyDocument("ceremony", { contributions: [beacon] }), verified: true };
    expect(await attempts({ key })).toEqual(Array(6).fill("STATE"));
    const party = { name: "p", kind: "party" as const, hash: "0" };
    const taken = { ...keyDocument("ceremony", { contributions: [party] }), verified: true };
    expect((await attempts({ key: taken }))[0]).toBe("taken");
  });
});
