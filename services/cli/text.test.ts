import { InvalidArgumentError } from "commander";
import { describe, expect, it } from "vitest";
import { commaList, durationMs, keyNumbers, keyValues, wholeNumber } from "./command.ts";
import { continueCommand } from "./continue-advice.ts";
import { exitCodeOf, UsageError } from "./exit-codes.ts";
import { formatBytes } from "./progress.ts";
import { abridge, displayWidth, factLines, printable, tableLines } from "./table.ts";
import { parseShadow, parseTarget } from "./traffic.ts";
import { parseModel, parseVersion, shortName } from "./version-reference.ts";

describe("table", () => {
  it("aligns columns and cuts long cells", () => {
    const columns = [{ title: "NAME" }, { title: "N", align: "right" as const }];
    expect(
      tableLines(columns, [
        ["a", "1"],
        ["long", "1000"],
      ]),
    ).toEqual(["NAME     N", "a        1", "long  1000"]);
    const [, cut] = tableLines([{ title: "T" }], [["x".repeat(80)]]);
    expect(cut).toBe(`${"x".repeat(59)}…`);
  });

  it("counts wide characters as two cells", () => {
    expect(displayWidth("モデル")).toBe(6);
    expect(displayWidth("e\u0301")).toBe(1);
    expect(abridge("モデル", 5)).toBe("モデ…");
  });

  it("lets no text move the cursor", () => {
    expect(printable("a\u001b[2Jb\rc\u0007\u202ed")).toBe("ab c\ufffd\ufffdd");
    expect(
      factLines([
        ["name", "x\u001b[31my"],
        ["none", undefined],
      ]),
    ).toEqual(["name: xy"]);
  });
});

describe("option values", () => {
  it("reads durations", () => {
    expect(["250ms", "30s", "1.5m", "2h", "30d", "0"].map(durationMs)).toEqual([
      250, 30_000, 90_000, 7_200_000, 2_592_000_000, 0,
    ]);
    expect(() => durationMs("5")).toThrow(InvalidArgumentError);
  });

  it("reads key=value pairs and refuses doubles", () => {
    expect(keyValues(["a=1", "b=x=y"], "--tag")).toEqual({ a: "1", b: "x=y" });
    expect(keyNumbers(["auc=0.5"], "--metric")).toEqual({ auc: 0.5 });
    expect(() => keyValues(["a"], "--tag")).toThrow(UsageError);
    expect(() => keyValues(["a=1", "a=2"], "--tag")).toThrow("twice");
    expect(() => keyNumbers(["auc=NaN"], "--metric")).toThrow("must be a number");
  });

  it("reads lists and whole numbers", () => {
    expect(commaList("a, b")).toEqual(["a", "b"]);
    expect(() => commaList("a,,b")).toThrow(InvalidArgumentError);
    expect(wholeNumber(0, 9)("9")).toBe(9);
    expect(() => wholeNumber(0, 9)("1e1")).toThrow(InvalidArgumentError);
  });

  it("reads traffic targets and shadows", () => {
    expect(parseTarget("churn/3=90", "w")).toEqual({
      modelVersion: "workspaces/w/models/churn/versions/3",
      weight: 90,
    });
    expect(parseTarget("churn@champion", "w")).toEqual({
      modelVersion: "workspaces/w/models/churn/versions/@champion",
      weight: 1,
    });
    expect(parseShadow("churn=0.1", "w")).toEqual({
      modelVersion: "workspaces/w/models/churn/versions/latest",
      sampleRate: 0.1,
    });
    for (const wrong of ["churn=", "churn=-1", "churn=1.5", "=1"]) {
      expect(() => parseTarget(wrong, "w"), wrong).toThrow(UsageError);
    }
    expect(() => parseShadow("churn=2", "w")).toThrow(UsageError);
  });
});

describe("version-reference", () => {
  it.each([
    ["churn", "workspaces/w/models/churn/versions/latest"],
    ["churn/3", "workspaces/w/models/churn/versions/3"],
    ["churn/latest", "workspaces/w/models/churn/versions/latest"],
    ["churn@latest", "workspaces/w/models/churn/versions/latest"],
    ["churn@champion", "workspaces/w/models/churn/versions/@champion"],
    ["workspaces/v/models/m/versions/7", "workspaces/v/models/m/versions/7"],
    ["workspaces/v/models/m", "workspaces/v/models/m/versions/latest"],
  ])("reads %s", (text, name) => {
    expect(parseVersion(text, "w")).toBe(name);
  });

  it.each(["", "/3", "churn/", "churn/0", "churn/x", "churn@", "a b", "churn/3/4"])(
    "refuses %j",
    (text) => {
      expect(() => parseVersion(text, "w")).toThrow(UsageError);
    },
  );

  it("shortens names", () => {
    expect(shortName("workspaces/w/models/churn/versions/3")).toBe("churn/3");
    expect(shortName("workspaces/w/deployments/d")).toBe("d");
    expect(() => parseModel("churn/3", "w")).toThrow("without a version");
  });
});

describe("continue-advice", () => {
  it("repeats the words, replaces the place, leaves the key out and quotes for a shell", () => {
    const words = ["--api-key", "plk_x", "predict", "d", "--file", "my rows.csv", "--skip-rows=5"];
    expect(continueCommand(words, { skipRows: 1024, append: true })).toBe(
      "plinth predict d --file 'my rows.csv' --skip-rows 1024 --append",
    );
    expect(continueCommand(["predict", "it's"], { skipRows: 1, append: false })).toBe(
      "plinth predict 'it'\\''s' --skip-rows 1",
    );
  });
});

describe("exit codes", () => {
  it("tell the kinds of errors apart", () => {
    expect(exitCodeOf("NotFound")).toBe(3);
    expect(exitCodeOf("InvalidArgument")).toBe(4);
    expect(exitCodeOf("Unavailable")).toBe(5);
    expect(exitCodeOf("DeadlineExceeded")).toBe(5);
    expect(exitCodeOf("ResourceExhausted")).toBe(5);
    expect(exitCodeOf("Unauthenticated")).toBe(6);
    expect(exitCodeOf("PermissionDenied")).toBe(6);
    expect(exitCodeOf("AlreadyExists")).toBe(7);
    expect(exitCodeOf("FailedPrecondition")).toBe(7);
    expect(exitCodeOf("Aborted")).toBe(7);
    expect(exitCodeOf("Internal")).toBe(1);
  });
});

describe("progress", () => {
  it("writes sizes in binary units", () => {
    expect([0, 1023, 1024, 1536, 5 * 1024 ** 3].map(formatBytes)).toEqual([
      "0 B",
      "1023 B",
      "1.0 KiB",
      "1.5 KiB",
      "5.0 GiB",
    ]);
  });
});
