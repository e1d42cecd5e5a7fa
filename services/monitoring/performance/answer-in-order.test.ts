import { describe, expect, it } from "vitest";
import { answerInOrder } from "./answer-in-order.ts";

/** A promise and its ends. */
function gate() {
  return Promise.withResolvers<void>();
}

async function* listed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function drain<R>(answers: AsyncIterable<R>, into: R[]): Promise<void> {
  for await (const answer of answers) {
    into.push(answer);
  }
}

const turns = async () => {
  for (let turn = 0; turn < 10; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
};

describe("answerInOrder", () => {
  it("answers in order, whatever ends first", async () => {
    const gates = [gate(), gate(), gate()];
    const given: number[] = [];
    const done = drain(
      answerInOrder(listed([0, 1, 2]), 8, async (at) => {
        await gates[at]!.promise;
        return at;
      }),
      given,
    );
    gates[2]!.resolve();
    gates[1]!.resolve();
    await turns();
    expect(given).toEqual([]);
    gates[0]!.resolve();
    await done;
    expect(given).toEqual([0, 1, 2]);
  });

  it("answers while no further message comes", async () => {
    const next = gate();
    async function* requests() {
      yield 1;
      await next.promise;
      yield 2;
    }
    const given: number[] = [];
    const done = drain(
      answerInOrder(requests(), 8, async (x) => x),
      given,
    );
    await turns();
    expect(given).toEqual([1]);
    next.resolve();
    await done;
    expect(given).toEqual([1, 2]);
  });

  it("has no more than the limit under way", async () => {
    let underWay = 0;
    let most = 0;
    let taken = 0;
    async function* requests() {
      for (let at = 0; at < 50; at++) {
        taken += 1;
        yield at;
      }
    }
    const hold = gate();
    const given: number[] = [];
    const done = drain(
      answerInOrder(requests(), 3, async (at) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await hold.promise;
        underWay -= 1;
        return at;
      }),
      given,
    );
    await turns();
    expect(taken).toBeLessThanOrEqual(4);
    hold.resolve();
    await done;
    expect(given).toHaveLength(50);
    expect(most).toBe(3);
  });

  it("gives the answers before a failure, then it, and takes nothing more", async () => {
    const given: number[] = [];
    const worked: number[] = [];
    async function* requests() {
      yield* [0, 1, 2];
      await turns();
      yield* [3, 4];
    }
    const done = drain(
      answerInOrder(requests(), 8, async (at) => {
        worked.push(at);
        if (at === 2) {
          throw new Error("the third");
        }
        await turns();
        return at;
      }),
      given,
    );
    await expect(done).rejects.toThrow("the third");
    expect(given).toEqual([0, 1]);
    expect(worked).toEqual([0, 1, 2]);
  });

  it("ends what is under way when the caller leaves", async () => {
    let ended = 0;
    const answers = answerInOrder(listed([0, 1, 2]), 8, async (at) => {
      for (let turn = 0; turn < at; turn++) {
        await turns();
      }
      ended += 1;
      return at;
    });
    for await (const answer of answers) {
      expect(answer).toBe(0);
      break;
    }
    expect(ended).toBeGreaterThan(0);
    const before = ended;
    await turns();
    await turns();
    await turns();
    expect(ended).toBe(before);
  });

  it("throws what the requests throw, after the answers", async () => {
    async function* requests() {
      yield 1;
      throw new Error("the line broke");
    }
    const given: number[] = [];
    const done = drain(
      answerInOrder(requests(), 8, async (x) => x),
      given,
    );
    await expect(done).rejects.toThrow("the line broke");
    expect(given).toEqual([1]);
  });
});
