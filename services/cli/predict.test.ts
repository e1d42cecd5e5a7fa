// `plinth predict` for a few rows: one call.

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fileFolder, plinth, startPlinth } from "./testing.ts";
import { doubled, HEAD, numbersFile, useDouble } from "./testing-double.ts";

const folder = fileFolder();

describe("predict, a few rows", () => {
  it("prints a table, and version and timing on stderr", async () => {
    const address = await useDouble();
    const rows = ["--row", '{"x": 1}', "--row", '{"x": 21}'];
    const { code, stdout, stderr } = await plinth(["predict", "double", ...rows], { address });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "ROW   x  -> y\n  1   1     2\n  2  21    42\n",
    });
    expect(stderr).toMatch(/^double\/1: 2 rows; inference [0-9a-f-]{36}\n$/);
  });

  it.each([
    ["csv", "x\n3\n"],
    ["ndjson", '{"x": 3}\n'],
    ["json", '[{"x": 3}]'],
    ["json", '{"rows": [{"x": 3}]}'],
    ["json", '{\n  "rows": [{"x": 3}]\n}'],
  ])("tells %s on stdin by its first characters", async (_form, input) => {
    const address = await useDouble();
    const words = ["predict", "double", "--file", "-", "--json"];
    const { code, stdout } = await plinth(words, { address, input });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      predictions: [
        {
          row: 1,
          outputs: { y: 6 },
          modelVersion: "workspaces/default/models/double/versions/1",
          inferenceId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        },
      ],
      modelVersions: ["workspaces/default/models/double/versions/1"],
      rows: 1,
      complete: true,
    });
  });

  it("names the row and its line when the server refuses it, and predicts nothing", async () => {
    const address = await useDouble();
    const file = numbersFile(join(folder, "few.csv"), 5, { 3: "three" });
    const { code, stdout, stderr } = await plinth(["predict", "double", "--file", file], {
      address,
    });
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toContain(
      "The server refused row 3 (line 4).\n  - row 3 (line 4): x: expected a number",
    );
  });

  it("leaves bad rows out with --on-error skip and answers 8", async () => {
    const address = await useDouble();
    const file = numbersFile(join(folder, "skip.csv"), 5, { 2: "1,2", 4: "four" });
    const words = ["predict", "double", "--file", file, "--format", "csv", "--on-error", "skip"];
    const { code, stdout, stderr } = await plinth(words, { address });
    expect({ code, stdout }).toEqual({ code: 8, stdout: HEAD + doubled(1, 5, [2, 4]) });
    expect(stderr).toContain("row 2 (line 3) is skipped: 2 cells, expected 1");
    expect(stderr).toContain("row 4 (line 5) is skipped: x: expected a number");
  });

  it("says so when the input is empty or not there", async () => {
    const address = await useDouble();
    const empty = await plinth(["predict", "double", "--file", "-"], { address, input: "x\n" });
    expect(empty).toMatchObject({ code: 4, stdout: "" });
    expect(empty.stderr).toContain("The input has no rows.");
    const absent = await plinth(["predict", "double", "--file", "absent.csv"], { address });
    expect(absent).toMatchObject({ code: 3, stdout: "" });
    expect(absent.stderr).toContain('There is no file or folder "absent.csv".');
    const folderGiven = await plinth(["predict", "double", "--file", folder], { address });
    expect(folderGiven).toMatchObject({ code: 4 });
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("cancels the call at %s and answers %i", async (signal, expected) => {
    let arrived = (): void => undefined;
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    let cancelled = false;
    const address = await useDouble({
      predict: (_request, context) =>
        new Promise((_resolve, reject) => {
          arrived();
          context.signal.addEventListener("abort", () => {
            cancelled = true;
            reject(context.signal.reason);
          });
        }),
    });
    const { child, outcome } = startPlinth(["predict", "double", "--row", "{}"], { address });
    await arrival;
    child.kill(signal);
    expect(await outcome).toEqual({ code: expected, stdout: "", stderr: "Stopped.\n" });
    await expect.poll(() => cancelled).toBe(true);
  });

  it("gives up after --timeout and says how to allow more", async () => {
    const address = await useDouble({
      predict: (_request, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason));
        }),
    });
    const words = ["predict", "double", "--row", "{}", "--timeout", "300ms"];
    const { code, stdout, stderr } = await plinth(words, { address });
    expect({ code, stdout }).toEqual({ code: 5, stdout: "" });
    expect(stderr).toContain("Allow more time with --timeout");
  });
});
