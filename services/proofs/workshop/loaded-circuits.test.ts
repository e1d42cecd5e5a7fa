import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { circuitHash } from "../circuit/circuit-hash.ts";
import { compileCircuit } from "../circuit/compile-circuit.ts";
import { mlpGraph } from "../circuit/testing.ts";
import { canonicalBytes } from "../compiler/canonical.ts";
import { bytesOf, LoadedCircuits } from "./loaded-circuits.ts";
import type { CircuitSource } from "./workshop-port.ts";

function useSource(seed: number): { readonly source: CircuitSource; readonly bytes: number } {
  const graph = mlpGraph([4, 3, 2], { seed });
  const bytes = canonicalBytes(graph);
  const modelCommitment = createHash("sha256").update(bytes).digest("hex");
  const circuit = compileCircuit(graph, { modelCommitment });
  const model = join(useFolder(), "model.json");
  writeFileSync(model, bytes);
  const hash = circuitHash(circuit.system);
  return {
    source: { circuitHash: hash, model, circuit: { modelCommitment } },
    bytes: bytesOf(circuit),
  };
}

describe("loaded-circuits", () => {
  it("keeps what was used last, as far as there is room", async () => {
    const [a, b, c] = [useSource(1), useSource(2), useSource(3)];
    const loaded = new LoadedCircuits(Math.max(a.bytes + b.bytes, a.bytes + c.bytes));
    const loads: string[] = [];
    const get = (one: typeof a, name: string) => loaded.get(one.source, () => loads.push(name));
    const first = await get(a, "a");
    await get(b, "b");
    expect(await get(a, "a")).toBe(first);
    await get(c, "c");
    await get(a, "a");
    expect(loads.join()).toBe("a,b,c");
    expect(loaded.count).toBe(2);
    await get(b, "b");
    expect(loads.join()).toBe("a,b,c,b");
  });

  it("keeps the one that was asked for, be it larger than all the room", async () => {
    const loaded = new LoadedCircuits(0);
    const [a, b] = [useSource(1), useSource(2)];
    const first = await loaded.get(a.source, () => undefined);
    expect(await loaded.get(a.source, () => undefined)).toBe(first);
    await loaded.get(b.source, () => undefined);
    expect(loaded.count).toBe(1);
  });

  it("loads a circuit beyond a limit that was lowered since", async () => {
    const { source } = useSource(1);
    const limited = { ...source, circuit: { ...source.circuit, constraintsMax: 10 } };
    const circuit = await new LoadedCircuits(0).get(limited, () => undefined);
    expect(circuit.report.constraints).toBeGreaterThan(10);
  });
});
