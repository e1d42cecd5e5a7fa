import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { ProverTurns } from "./prover-turns.ts";

const signal = new AbortController().signal;

/** Asks for a turn and notes when it comes; `done` ends it. */
function asker(turns: ProverTurns, order: string[]) {
  const ends: (() => void)[] = [];
  const ask = (name: string, priority = 5, stop: AbortSignal = signal) => {
    const workspace = name.slice(0, 1);
    return turns.take({ workspace, priority }, stop).then((turn) => {
      order.push(name);
      ends.push(() => turn[Symbol.dispose]());
    });
  };
  const endOne = async () => {
    ends.shift()?.();
    await nextTurn();
  };
  return { ask, endOne };
}

describe("prover-turns", () => {
  it("lets two rows begin, then by priority, then the workspace that waited longest", async () => {
    const order: string[] = [];
    const { ask, endOne } = asker(new ProverTurns(), order);
    for (const name of ["a1", "a2", "a3", "b1", "a4", "b2"]) {
      void ask(name);
    }
    void ask("c1", 9);
    void ask("d1", 1);
    await nextTurn();
    expect(order).toEqual(["a1", "a2"]);
    for (let row = 0; row < 6; row++) {
      await endOne();
    }
    expect(order).toEqual(["a1", "a2", "d1", "b1", "a3", "b2", "a4", "c1"]);
  });

  it("forgets a row that is not wanted any more, and does not give a turn back twice", async () => {
    const order: string[] = [];
    const turns = new ProverTurns();
    const { ask, endOne } = asker(turns, order);
    const turn = await turns.take({ workspace: "x", priority: 5 }, signal);
    void ask("a1");
    const stop = new AbortController();
    const gone = ask("a2", 5, stop.signal);
    void ask("a3");
    stop.abort(new Error("cancelled"));
    await expect(gone).rejects.toThrow("cancelled");
    turn[Symbol.dispose]();
    turn[Symbol.dispose]();
    void ask("a4");
    await nextTurn();
    expect(order).toEqual(["a1", "a3"]);
    await endOne();
    expect(order).toEqual(["a1", "a3", "a4"]);
    await expect(ask("a5", 5, AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
  });
});
