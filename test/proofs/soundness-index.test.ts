// Holds the table of soundness traps in the README of the proofs service to the tests that it
// names: a trap whose test was renamed or removed is not covered any more, and this says so.

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const FOLDER = "services/proofs/";
const README = readFileSync(`${FOLDER}README.md`, "utf8");
const [, section = ""] = README.split("## Where each soundness trap is tested");

/** Each row: the trap, and its tests by file. */
const rows = section
  .split("\n## ")[0]!
  .split("\n")
  .filter((line) => line.startsWith("| ") && line.includes(".test.ts"))
  .map((line) => {
    const [, trap = "", tests = ""] = line.split("|");
    const files = tests.split(";").map((part) => ({
      file: /`([^`]+\.test\.ts)`/.exec(part)?.[1] ?? "",
      titles: [...part.matchAll(/"([^"]+)"/g)].map(([, title]) => title!),
    }));
    return { trap: trap.trim(), files };
  });

describe("the soundness index", () => {
  it("names as many traps as there are", () => {
    expect(rows.length).toBeGreaterThanOrEqual(24);
  });

  it.each(rows)("names tests that there are: $trap", ({ files }) => {
    for (const { file, titles } of files) {
      expect(existsSync(FOLDER + file), `${file || "a part without a file"}`).toBe(true);
      expect(titles.length, file).toBeGreaterThan(0);
      const text = readFileSync(FOLDER + file, "utf8");
      for (const title of titles) expect(text, file).toContain(JSON.stringify(title));
    }
  });
});
