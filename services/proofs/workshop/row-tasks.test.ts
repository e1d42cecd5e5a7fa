import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { circuitHash } from "../circuit/circuit-hash.ts";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import { mlpGraph } from "../circuit/testing.ts";
import { canonicalBytes, modelCommitment } from "../compiler/canonical.ts";
import { FIELD_ORDER } from "../field.ts";
import { LoadedCircuits } from "./loaded-circuits.ts";
import { evaluateRows } from "./row-tasks.ts";

describe("row-tasks", () => {
  it("does rows until its turn is over, and one at least", async () => {
    const graph = mlpGraph([4, 3, 2], { seed: 1 });
    const circuit = { modelCommitment: modelCommitment(graph) };
    const model = join(useFolder(), "model.json");
    writeFileSync(model, canonicalBytes(graph));
    const hash = circuitHash(compileCircuit(graph, circuit).system);
    const rows = Array.from({ length: 50 }, (_, i) => ({ tensors: [Float64Array.of(i, 2, 3, 4)] }));
    const loaded = new LoadedCircuits(0);
    const evaluate = (turnMs: number, of = rows) => {
      const input = {
        circuit: { circuitHash: hash, model, circuit },
        rows: of,
        firstRow: 0,
        turnMs,
      };
      return evaluateRows(loaded, input, () => undefined);
    };
    const all = await evaluate(Number.POSITIVE_INFINITY);
    expect(all).toHaveLength(50);
    expect(all.flat().every((value) => value >= 0n && value < FIELD_ORDER)).toBe(true);
    expect(await evaluate(-1)).toEqual(all.slice(0, 1));
    expect(await evaluate(-1, rows.slice(7))).toEqual(all.slice(7, 8));
  });
});
