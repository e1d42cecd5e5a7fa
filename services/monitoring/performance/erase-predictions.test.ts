import { describe, expect, it } from "vitest";
import { collect } from "../../common/documents/resource.ts";
import { decodeRows } from "./chunk-codec.ts";
import {
  batchOf,
  countsOf,
  DEPLOYMENT,
  entityLabel,
  HOUR_US,
  labelOf,
  START_US,
  type UsedPredictions,
  usePredictions,
} from "./testing.ts";

const signal = new AbortController().signal;

function erase(
  { predictions }: UsedPredictions,
  entities: readonly Readonly<Record<string, string>>[],
  options: { readonly dryRun?: boolean; readonly workspace?: string } = {},
) {
  const { dryRun = false, workspace = "w" } = options;
  return predictions.erase(workspace, { entities, dryRun, signal });
}

async function filled(): Promise<UsedPredictions> {
  const used = await usePredictions();
  for (const version of [1, 2]) {
    await used.predictions.keep(
      batchOf({
        version,
        inferences: [
          { id: "a", rows: [0.9, 0.8] },
          { id: "b", rows: [0.2] },
        ],
        keys: { user: ["alice", "bob", "alice"] },
        columns: { city: { kind: "category", values: ["Ulm", "Bonn", "Ulm"] } },
      }),
    );
  }
  const labels = [labelOf("a", "yes", 0), labelOf("a", "yes", 1), labelOf("b", "no")];
  await used.predictions.recordLabels(DEPLOYMENT, labels);
  return used;
}

/** All that is stored, as text. */
async function everything({ predictions }: UsedPredictions): Promise<string> {
  const { chunks, references, labels } = predictions.collections;
  const rows = await collect(chunks.find({}));
  return JSON.stringify([
    rows.map(({ data }) => decodeRows(data)),
    await collect(references.find({})),
    await collect(labels.find({})),
  ]);
}

describe("erasePredictions", () => {
  it("removes an entity's rows, references and labels, of all versions", async () => {
    const used = await filled();
    expect(await everything(used)).toContain("alice");
    expect(await erase(used, [{ user: "alice" }], { dryRun: true })).toEqual({
      predictions: 4,
      labels: 4,
    });
    expect(await countsOf(used, 1)).toEqual([3, 3, 1]);
    expect(await erase(used, [{ user: "alice" }])).toEqual({ predictions: 4, labels: 4 });
    expect(await countsOf(used, 1)).toEqual([1, 1, 1]);
    expect(await countsOf(used, 2)).toEqual([1, 1, 1]);
    const left = await everything(used);
    expect(left).not.toContain("alice");
    expect(left).not.toContain("i:w/d:b");
    expect(left).toContain("bob");
    expect(await erase(used, [{ user: "alice" }])).toEqual({ predictions: 0, labels: 0 });
    const window = { startUs: START_US, endUs: START_US + HOUR_US };
    expect(await used.predictions.labelCounts("du/v1", [window])).toEqual([1]);
  });

  it("leaves nothing that a label could be put on", async () => {
    const used = await filled();
    await erase(used, [{ user: "alice" }]);
    const labels = [labelOf("a", "no", 0), labelOf("a", "yes", 1), labelOf("b", "no")];
    const fates = await used.predictions.recordLabels(DEPLOYMENT, labels);
    expect(fates).toEqual(["no-row", "joined", "waiting"]);
    const entity = entityLabel({ user: "alice" }, START_US + 5, "no");
    expect(await used.predictions.recordLabels(DEPLOYMENT, [entity])).toEqual(["waiting"]);
    expect(await countsOf(used, 1)).toEqual([1, 1, 1]);
  });

  it("removes labels that wait, also of entities with further join keys", async () => {
    const used = await usePredictions();
    const { predictions } = used;
    const time = START_US + 5;
    await predictions.recordLabels(DEPLOYMENT, [
      entityLabel({ user: "alice" }, time, "yes"),
      entityLabel({ user: "alice", item: "x" }, time, "yes"),
      entityLabel({ user: "bob", item: "x" }, time, "yes"),
    ]);
    expect(await erase(used, [{ user: "alice" }])).toEqual({ predictions: 0, labels: 2 });
    const left = await everything(used);
    expect(left).not.toContain("alice");
    expect(left).toContain("bob");
    expect(await erase(used, [{ item: "x", user: "bob" }])).toEqual({ predictions: 0, labels: 1 });
    expect(await everything(used)).not.toContain("bob");
  });

  it("finds rows by some of their join keys, and leaves those with another value", async () => {
    const used = await usePredictions();
    const keys = { user: ["alice", "alice", "bob"], item: ["x", "y", "x"] };
    const inferences = [{ rows: [0.9, 0.9, 0.9] }];
    await used.predictions.keep(batchOf({ inferences, keys }));
    expect(await erase(used, [{ user: "alice", item: "y" }])).toEqual({
      predictions: 1,
      labels: 0,
    });
    expect(await erase(used, [{ item: "x" }], { dryRun: true })).toMatchObject({ predictions: 2 });
    expect(await erase(used, [{ user: "alice" }, { user: "nobody" }])).toMatchObject({
      predictions: 1,
    });
    expect(await everything(used)).not.toContain("alice");
    expect(await countsOf(used)).toEqual([1, 0, undefined]);
  });

  it("stays within the workspace", async () => {
    const used = await filled();
    expect(await erase(used, [{ user: "alice" }], { workspace: "other" })).toEqual({
      predictions: 0,
      labels: 0,
    });
    expect(await countsOf(used, 1)).toEqual([3, 3, 1]);
  });

  it("keeps erased rows erased when their batch comes again", async () => {
    const used = await usePredictions();
    const batch = batchOf({ inferences: [{ id: "a", rows: [0.9] }], keys: { user: ["alice"] } });
    await used.predictions.keep(batch);
    await erase(used, [{ user: "alice" }]);
    await used.predictions.keep(batch);
    expect(await countsOf(used)).toEqual([0, 0, undefined]);
    expect(await everything(used)).not.toContain("alice");
  });
});
