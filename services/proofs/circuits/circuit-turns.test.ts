import { describe, expect, it } from "vitest";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import type { Circuit } from "./circuit.ts";
import { CircuitTurns } from "./circuit-turns.ts";
import { useCircuitStore, VERSION } from "./testing/use-circuit-store.ts";

const { signal } = new AbortController();

async function useTurns() {
  const clock = new FakeClock();
  const { circuits, add } = await useCircuitStore(clock);
  const ask = async (id: string, workspace: string, change: Partial<Circuit> = {}) => {
    clock.advance(1000);
    await add(id, { workspace, state: "QUEUED", ...change });
  };
  const turns = new CircuitTurns(circuits.jobs, clock);
  const waiting = async (limit: number) =>
    (await turns.waiting(limit, signal)).map((name) => name.slice(`${VERSION}/circuits/`.length));
  return { clock, ask, turns, waiting };
}

describe("the turns of circuits", () => {
  it("go round the workspaces, of each the longest waiting first", async () => {
    const { ask, turns, waiting } = await useTurns();
    for (let i = 0; i < 30; i++) {
      await ask(`a${i}`, "a");
    }
    await ask("b0", "b");
    await ask("c0", "c");
    await ask("c1", "c");
    expect(await waiting(6)).toEqual(["a0", "b0", "c0", "a1", "c1", "a2"]);
    turns.hadTurn("a");
    expect((await waiting(3)).toSorted()).toEqual(["a0", "b0", "c0"]);
    expect((await waiting(3)).at(-1)).toBe("a0");
  });

  it("are first of those that have nothing under way, and of whom nobody hears any more", async () => {
    const { clock, ask, waiting } = await useTurns();
    const lease = (ms: number) => ({ owner: "o", until: new Date(clock.now() + ms) });
    await ask("a0", "a", { state: "RUNNING", lease: lease(3_600_000) });
    await ask("a1", "a");
    await ask("b0", "b");
    await ask("b1", "b", { state: "RUNNING", lease: lease(-1) });
    expect(await waiting(4)).toEqual(["b1", "b0", "a1"]);
    expect(await waiting(1)).toEqual(["b1"]);
  });
});
