// Labels and predictions that cross at the worst moments: what another replica does is put in just
// after one of the looks for references.

import { describe, expect, it } from "vitest";
import type {
  Collection,
  CollectionSpec,
  Document,
  DocumentStore,
} from "../../common/documents/port.ts";
import { useStore } from "../../common/documents/testing.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import {
  batchOf,
  countsOf,
  DEPLOYMENT,
  entityLabel,
  HOUR_US,
  labelOf,
  START_US,
  usePredictions,
} from "./testing.ts";

/** A real store that lets something happen after a look for references. */
class CrossedStore implements DocumentStore {
  readonly #store: DocumentStore;
  looks = 0;
  afterLook: (look: number) => Promise<unknown> = async () => {};

  constructor(store: DocumentStore) {
    this.#store = store;
  }

  async collection<T extends Document>(spec: CollectionSpec): Promise<Collection<T>> {
    const real = await this.#store.collection<T>(spec);
    if (spec.name !== "prediction_references") {
      return real;
    }
    const find: Collection<T>["find"] = (filter, options) => this.#look(real.find(filter, options));
    return new Proxy(real, {
      get: (target, name) => {
        const value: unknown = name === "find" ? find : Reflect.get(target, name);
        return typeof value === "function" && name !== "find" ? value.bind(target) : value;
      },
    });
  }

  ping(): Promise<void> {
    return this.#store.ping();
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async *#look<T>(found: AsyncIterable<T>): AsyncGenerator<T> {
    yield* found;
    await this.afterLook(++this.looks);
  }
}

/** Two replicas over one store, of which the first is crossed. */
async function useReplicas() {
  const clock = new FakeClock(START_US / 1000 + 3_600_000);
  const documents = await useStore({ clock });
  const crossed = new CrossedStore(documents);
  return {
    crossed,
    one: await usePredictions({ documents: crossed, clock }),
    other: await usePredictions({ documents, clock }),
  };
}

const BATCH = batchOf({ inferences: [{ id: "a", rows: [0.9] }], keys: { user: ["u"] } });
const LABELS = {
  inference: (value: string) => labelOf("a", value),
  entity: (value: string) => entityLabel({ user: "u" }, START_US + HOUR_US, value),
};

describe.each(["inference", "entity"] as const)("a label by %s", (kind) => {
  const label = LABELS[kind];

  it("meets a prediction that comes while it is looked for", async () => {
    for (const at of [1, 2]) {
      const { crossed, one, other } = await useReplicas();
      crossed.afterLook = async (look) => {
        if (look === at) {
          await other.predictions.keep(BATCH);
        }
      };
      await one.predictions.recordLabels(DEPLOYMENT, [label("yes")]);
      expect(crossed.looks).toBeGreaterThanOrEqual(2);
      expect(await countsOf(other), `after look ${at}`).toEqual([1, 1, 1]);
    }
  });

  it("is the one that is stored, when another one came meanwhile", async () => {
    for (const at of [1, 2]) {
      const { crossed, one, other } = await useReplicas();
      await other.predictions.keep(BATCH);
      crossed.afterLook = async (look) => {
        if (look === at) {
          await other.predictions.recordLabels(DEPLOYMENT, [label("no")]);
        }
      };
      await one.predictions.recordLabels(DEPLOYMENT, [label("yes")]);
      const [stored] = await Array.fromAsync(one.predictions.collections.labels.find({}));
      const accuracy = stored?.value === "yes" ? 1 : 0;
      expect(await countsOf(other), `after look ${at}`).toEqual([1, 1, accuracy]);
    }
  });

  it("is the newer one, when it is replaced while it is put on its prediction", async () => {
    const { crossed, one, other } = await useReplicas();
    await other.predictions.recordLabels(DEPLOYMENT, [label("yes")]);
    crossed.afterLook = async (look) => {
      if (look === 1) {
        await other.predictions.recordLabels(DEPLOYMENT, [label("no")]);
      }
    };
    await one.predictions.keep(BATCH);
    expect(await countsOf(other)).toEqual([1, 1, 0]);
    await one.predictions.keep({ ...BATCH, target: { ...BATCH.target, modelVersionUid: "v2" } });
    expect(await countsOf(other, 2)).toEqual([1, 1, 0]);
  });
});
