// `plinth monitor` against the real mesh, started by `plinth up` in a process of its own: one
// deployment from its baseline to its report, in order. Events are of 2001, so nothing here waits
// for a window of today to close.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeModel } from "../common/testing/onnx-writer.ts";
import { fileFolder, shareMeshProcess } from "./testing.ts";

const folder = fileFolder();
const { run, json } = shareMeshProcess(join(folder, "data"));

const ROWS = 600;

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** x evenly from `from` to `to`; the model says y = x. */
function numbers(from: number, to: number): readonly number[] {
  return Array.from({ length: ROWS }, (_, index) => from + ((to - from) * index) / ROWS);
}

const model = file(
  "same.onnx",
  encodeModel({
    nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
    inputs: [{ name: "x", datatype: "FP64", shape: ["N"] }],
    outputs: [{ name: "y", datatype: "FP64", shape: ["N"] }],
  }),
);

describe("monitor, on the mesh", () => {
  it("keeps a version whose baseline cannot be made, and says how to try again", async () => {
    const wrong = file("wrong.csv", "z\n1\n");
    const { code, stdout, stderr } = await run(`models push same ${model} --baseline ${wrong}`);
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toContain("same/1 is registered and stays, without its baseline.");
    expect(stderr).toContain(`"plinth monitor baseline same/1 --file ${wrong}"`);
    expect(await json("models show same/1")).toMatchObject({ state: "STATE_READY" });
  });

  it("makes a baseline, and shows it", async () => {
    const lines = numbers(0, 10).map((x) => `${x},${x}`);
    const train = file("train.csv", `x,prediction.y\n${lines.join("\n")}\n`);
    const made = await run(`monitor baseline same 1 --file ${train}`);
    expect({ ...made, stdout: made.stdout.slice(0, 33) }).toEqual({
      code: 0,
      stderr: "",
      stdout: "The baseline of same/1: 600 rows,",
    });
    const { stdout } = await run("monitor baseline same 1");
    expect(stdout).toMatch(/^x +feature +numeric +600 .* 0 /m);
    expect(stdout).toMatch(/^prediction\.y +prediction +numeric +600 /m);
    expect(await run("models approve same/1")).toMatchObject({ code: 0 });
    expect(await run("deployments create same --model same --wait")).toMatchObject({ code: 0 });
    expect((await run("monitor settings same --lateness 1s")).stdout).toMatch(/up to 1s after/);
  });

  it("finds the hour in which the numbers moved", async () => {
    const predict = async (hour: number, values: readonly number[]) => {
      const rows = file(`rows-${hour}.csv`, `x\n${values.join("\n")}\n`);
      const time = `2001-02-01T0${hour}:30:00Z`;
      const { code, stderr } = await run(
        `predict same --file ${rows} --format csv --event-time ${time}`,
      );
      expect(code, stderr).toBe(0);
    };
    await predict(1, numbers(0, 10));
    await predict(2, numbers(8, 18));
    await predict(4, numbers(0, 10));
    await expect
      .poll(async () => (await json("monitor windows same")).windows, { timeout: 20_000 })
      .toMatchObject([
        { closed: false, rows: "600" },
        { closed: true, rows: "600", features: { drifted: 1, isDrifted: true } },
        { closed: true, rows: "600", features: { drifted: 0, isDrifted: false } },
      ]);
    const { stdout } = await run("monitor drift same");
    expect(stdout).toMatch(/^time: +2001-02-01 02:00Z to 03:00Z$/m);
    expect(stdout).toMatch(/^x +\S+ +\S+ +\S+ \S+ +DRIFTED, significant +600 +600 +80\.2%/m);
    const hour = "--from 2001-02-01T01:00:00Z --to 2001-02-01T02:00:00Z";
    expect(await run(`monitor drift same ${hour} --fail-on-drift`)).toMatchObject({ code: 0 });
    const psi = await json(`monitor drift same --last 2h --method psi --column x`);
    expect(psi.columns).toMatchObject([{ name: "x", drift: { method: "DRIFT_METHOD_PSI" } }]);
    expect(await run("monitor drift same --fail-on-drift")).toMatchObject({ code: 9 });
  });

  it("writes the report of it", async () => {
    const path = join(folder, "same.html");
    expect(await run(`monitor report same --html ${path}`)).toMatchObject({ code: 0, stderr: "" });
    const page = readFileSync(path, "utf8");
    expect(page).toContain("1 of 1 feature columns have drifted (100%)");
    expect(/NaN"|undefined/.exec(page)).toBeNull();
  });

  it("applies rules twice, and forgets them", async () => {
    const rules = file(
      "rules.yaml",
      'deployment: same\nrules: [{name: moved, metric: column_drift, column: x, when: "> 5"}]\n',
    );
    expect((await run(`monitor rules apply ${rules}`)).stdout).toMatch(/1 created\.\n$/);
    expect((await run(`monitor rules apply ${rules}`)).stdout).toMatch(/1 unchanged\.\n$/);
    const described = file("described.json", (await run("monitor rules --json")).stdout);
    expect((await run(`monitor rules apply ${described}`)).stdout).toMatch(/1 unchanged\.\n$/);
    expect(await run("monitor rules delete moved")).toMatchObject({ code: 0 });
    expect((await run("monitor alerts")).stderr).toBe("No alerts.\n");
  });
});
