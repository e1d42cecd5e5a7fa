import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useFolder } from "../../common/testing/use-folder.ts";
import { encodeProfile } from "../sketch/column-profile.ts";
import { makeProfile } from "./make-profile.ts";
import { ProfileMaker } from "./profile-process.ts";
import { FIXTURE_COLUMNS, fixturePath } from "./testing/rows.ts";

const forEver = new AbortController().signal;

function taskOf(path: string) {
  return { path, columns: FIXTURE_COLUMNS, excluded: [] };
}

/** A damage that sends the decoder on a loop of minutes. */
function endlessFile(): string {
  const bytes = readFileSync(fixturePath("pyarrow-v2-gzip.parquet"));
  bytes[493] = 181;
  const path = join(useFolder(), "endless");
  writeFileSync(path, bytes);
  return path;
}

describe("ProfileMaker", () => {
  it("makes the same profile as this process would, several one after the other", async () => {
    const task = taskOf(fixturePath("duckdb-zstd.parquet"));
    const maker = new ProfileMaker();
    const expected = encodeProfile(await makeProfile(task));
    const made = await Promise.all([maker.make(task, forEver), maker.make(task, forEver)]);
    expect(made.map(encodeProfile)).toEqual([expected, expected]);
  });

  it("tells what is wrong with a file, and goes on", async () => {
    const maker = new ProfileMaker();
    const path = join(useFolder(), "file");
    writeFileSync(path, "x;y\n1;2\n");
    await expect(maker.make(taskOf(path), forEver)).rejects.toMatchObject({
      kind: "InvalidArgument",
      violations: [{ field: "chunk" }],
      message: expect.stringContaining('one column named "x;y"'),
    });
    const next = await maker.make(taskOf(fixturePath("duckdb-zstd.parquet")), forEver);
    expect(next.baseline.rows).toBe(300);
  });

  it("gives up what takes for ever, and what nobody waits for", async () => {
    const task = taskOf(endlessFile());
    const late = new ProfileMaker(1500).make(task, forEver);
    await expect(late).rejects.toThrow("takes too long to be read");
    const stopping = new AbortController();
    const given = new ProfileMaker().make(task, stopping.signal);
    stopping.abort();
    await expect(given).rejects.toMatchObject({ kind: "Cancelled" });
  });

  it("refuses more files than may wait", async () => {
    const stopping = new AbortController();
    const task = taskOf(endlessFile());
    const maker = new ProfileMaker();
    const work = () => maker.make(task, stopping.signal);
    const waiting = Array.from({ length: 8 }, () => maker.admit(work));
    const outcomes = Promise.allSettled(waiting);
    await expect(maker.admit(work)).rejects.toMatchObject({
      kind: "ResourceExhausted",
    });
    stopping.abort();
    expect((await outcomes).map(({ status }) => status)).toEqual(Array(8).fill("rejected"));
    const next = maker.make(taskOf(fixturePath("duckdb-zstd.parquet")), forEver);
    expect((await maker.admit(() => next)).baseline.rows).toBe(300);
  });
});
