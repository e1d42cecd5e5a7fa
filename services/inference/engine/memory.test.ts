import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { dense } from "../testing/graphs.ts";
import { loadServable, requestOf, tensorOf } from "../testing/test-servable.ts";

const MIB = 1024 * 1024;

describe("memory", () => {
  it("comes back when a model of 100 MB is unloaded, and does not pile up", async () => {
    const graph = dense(5000);
    const unloaded: number[] = [];
    let loaded = 0;
    for (let round = 0; round < 3; round += 1) {
      const servable = await loadServable(graph);
      const row = tensorOf("x", "FP32", [1, 5000], new Array<number>(5000).fill(1));
      await Promise.all(
        Array.from({ length: 64 }, () => servable.infer(requestOf(servable, [row]))),
      );
      loaded = residentMiB();
      await servable[Symbol.asyncDispose]();
      unloaded.push(residentMiB());
    }
    // The weights are 95 MiB; the first round also brings what the process keeps for good.
    expect(loaded - unloaded.at(-1)!).toBeGreaterThan(80);
    expect(unloaded.at(-1)! - unloaded[0]!).toBeLessThan(60);
  });
});

function residentMiB(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage.rss() / MIB;
}
