import { describe, expect, it } from "vitest";
import { useStore } from "../../common/documents/testing.ts";
import { FailedPrecondition } from "../../common/errors/domain-error.ts";
import type { Field } from "../value.ts";
import type { OfflineFile } from "./manifest.ts";
import { ManifestStore } from "./manifest-store.ts";

const HISTORY = { uid: "u", workspace: "w", view: "v" };
const COLUMNS: readonly Field[] = Array.from({ length: 1000 }, (_, n) => ({
  name: `feature_${n}`,
  type: "DOUBLE",
}));

function file(n: number, columns = COLUMNS): OfflineFile {
  return {
    digest: String(n).padStart(64, "0"),
    day: "2026-01-01",
    sizeBytes: 1_000_000,
    rows: n,
    minEventUs: -1,
    maxEventUs: 1_700_000_000_000_000,
    maxCreatedUs: 1_700_000_000_000_001,
    addedSnapshot: n,
    columns,
  };
}

describe("manifest-store", () => {
  it("gives back what was stored", async () => {
    const manifests = await ManifestStore.open(await useStore());
    const files = [file(1), file(2, [{ name: "a", type: "STRING" }]), file(3)];
    const retired = [{ digest: file(4).digest, time: new Date(5) }];
    const stored = await manifests.change(HISTORY, (current) => ({
      ...current,
      snapshot: 3,
      files,
      retired,
      absorbed: ["x"],
      joinKeys: ["a"],
      recentAdds: ["job"],
    }));
    expect(stored.files).toEqual(files);
    expect(await manifests.get(HISTORY)).toEqual(stored);
    for await (const manifest of manifests.all(new AbortController().signal)) {
      expect(manifest).toEqual(stored);
    }
  });

  it("loses no change of writers at the same time", async () => {
    const manifests = await ManifestStore.open(await useStore());
    const add = (n: number) =>
      manifests.change(HISTORY, (current) => ({ ...current, files: [...current.files, file(n)] }));
    await Promise.all(Array.from({ length: 20 }, (_, n) => add(n)));
    expect((await manifests.get(HISTORY)).files).toHaveLength(20);
  });

  it("holds tens of thousands of files, and says so when there are too many", async () => {
    const manifests = await ManifestStore.open(await useStore());
    const put = (count: number) =>
      manifests.change(HISTORY, (current) => ({
        ...current,
        files: Array.from({ length: count }, (_, n) => file(n)),
      }));
    await put(40_000);
    expect((await manifests.get(HISTORY)).files).toHaveLength(40_000);
    const error = await put(60_000).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FailedPrecondition);
    expect((error as Error).message).toMatch(
      /^The history of "v" would have more files .* Compact the view/,
    );
    expect((await manifests.get(HISTORY)).files).toHaveLength(40_000);
  });
});
