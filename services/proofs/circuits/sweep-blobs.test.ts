import { existsSync, mkdirSync, utimesSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { openBlobStore } from "../../common/blobs/open.ts";
import type { References } from "../../common/blobs/sweep-unreferenced.ts";
import { useStore } from "../../common/documents/testing.ts";
import { FakeClock } from "../../common/testing/fake-clock.ts";
import { useFolder } from "../../common/testing/use-folder.ts";
import { BlobClaims } from "./blob-claims.ts";
import { CircuitFiles } from "./circuit-files.ts";
import { BlobSweeper } from "./sweep-blobs.ts";

const OLD = new Date(Date.now() - 26 * 3_600_000);

async function useSweeper(references: readonly References[] = []) {
  const folder = useFolder();
  const clock = new FakeClock();
  const blobs = await openBlobStore(`file:${join(folder, "blobs")}`);
  onTestFinished(async () => await blobs[Symbol.asyncDispose]());
  const claims = await BlobClaims.open(await useStore({ clock }), clock);
  const scratchDir = join(folder, "scratch");
  const files = new CircuitFiles({ blobs, claims, scratchDir });
  const events = { backgroundFailed: () => {} };
  const sweeper = new BlobSweeper({ blobs, claims, references, events, scratchDir });
  const store = async (text: string) => {
    const digest = await files.storeBytes(Buffer.from(text));
    utimesSync(await blobs.localPath(digest), OLD, OLD);
    return digest;
  };
  return { folder, scratchDir, clock, blobs, claims, files, sweeper, store };
}

describe("the sweep", () => {
  it("takes what nothing refers to, and nothing that was stored just now", async () => {
    const referenced: string[] = [];
    const rig = await useSweeper([
      async function* () {
        yield* referenced;
      },
    ]);
    const [kept, lost] = [await rig.store("kept"), await rig.store("lost")];
    referenced.push(kept);
    // Claimed: whoever stored it may be about to refer to it.
    expect(await rig.sweeper.sweep()).toBe(0);
    rig.clock.advance(3 * 3_600_000);
    const young = await rig.files.storeBytes(Buffer.from("young"));
    expect(await rig.sweeper.sweep()).toBe(1);
    const sizes = await Promise.all([kept, lost, young].map((d) => rig.blobs.size(d)));
    expect(sizes).toEqual([4, undefined, 5]);
  });

  it("lets who stores the same bytes again wait, and keeps what was claimed in between", async () => {
    let looks = 0;
    let stored: Promise<string> | undefined;
    const rig = await useSweeper([
      async function* () {
        looks += 1;
        // Marked by now, and not yet deleted.
        if (looks === 2) {
          stored = rig.files.storeBytes(Buffer.from("bytes"));
          await new Promise((resolve) => setTimeout(resolve, 120));
        }
        yield* [];
      },
    ]);
    const digest = await rig.store("bytes");
    rig.clock.advance(3 * 3_600_000);
    expect(await rig.sweeper.sweep()).toBe(1);
    expect(await stored).toBe(digest);
    expect(await rig.blobs.size(digest)).toBe(5);
    expect(looks).toBe(2);
  });

  it("takes the folders of processes that were killed as soon as it is started", async () => {
    const rig = await useSweeper();
    await using own = await rig.files.scratch("prove");
    const gone = join(
      rig.scratchDir,
      basename(own.path).replace(/\.[0-9a-f]{16}-/, `.${"0".repeat(16)}-`),
    );
    mkdirSync(gone);
    rig.sweeper.start();
    await expect.poll(() => existsSync(gone)).toBe(false);
    expect(existsSync(own.path)).toBe(true);
    await rig.sweeper[Symbol.asyncDispose]();
  });

  it("takes stages and folders that work left behind, of its own kind alone", async () => {
    const rig = await useSweeper();
    for (const name of ["proofs-compile-x", "history-y"]) {
      mkdirSync(join(rig.scratchDir, name), { recursive: true });
      utimesSync(join(rig.scratchDir, name), OLD, OLD);
    }
    await using young = await rig.files.scratch("compile");
    for (const id of ["proofs-1", "model-1"]) {
      await (await rig.blobs.stage(id))[Symbol.asyncDispose]();
      utimesSync(join(rig.folder, "blobs", "staging", id), OLD, OLD);
    }
    await rig.sweeper.sweep();
    expect(await rig.blobs.staleStages(1000)).toEqual(["model-1"]);
    expect(existsSync(join(rig.scratchDir, "proofs-compile-x"))).toBe(false);
    expect(existsSync(join(rig.scratchDir, "history-y"))).toBe(true);
    expect(existsSync(young.path)).toBe(true);
  });
});
