import { describe, expect, it } from "vitest";
import type { Cell, Field, ValueType } from "../value.ts";
import { checkExpressions, compileTransform, isInputName } from "./expression.ts";

const INPUTS: readonly Field[] = [
  { name: "d", type: "DOUBLE" },
  { name: "i", type: "INT64" },
  { name: "n", type: "INT32" },
  { name: "s", type: "STRING" },
  { name: "t", type: "TIMESTAMP" },
  { name: "b", type: "BOOL" },
  { name: "y", type: "BYTES" },
  { name: "f", type: "FLOAT" },
];

/** What is wrong with an expression over them. */
function fault(expression: string, type: ValueType): string | undefined {
  return checkExpressions(INPUTS, [{ expression, type }])[0];
}

/** 2001-09-09T01:46:40Z */
const TIME_US = 1_000_000_000_000_000;

const ROW: Readonly<Record<string, Cell>> = {
  d: 2.5,
  i: 7,
  n: 3,
  s: "héllo😀",
  t: TIME_US,
  b: true,
  y: new Uint8Array([1, 255]),
  f: 0.5,
};

function compute(expression: string, type: ValueType, row: Readonly<Record<string, Cell>> = {}) {
  const transform = compileTransform({
    number: 1,
    createTime: new Date(0),
    inputs: INPUTS,
    features: [{ name: "out", type, expression, description: "" }],
  });
  const given = { ...ROW, ...row };
  const [column] = transform.evaluate(
    INPUTS.map(({ name }) => [given[name] ?? null]),
    1,
  );
  return column!.failed.length > 0 ? "failed" : column!.cells[0];
}

describe("expression", () => {
  const good: readonly (readonly [string, ValueType, Cell])[] = [
    ["double(i) / 60.0", "DOUBLE", 7 / 60],
    ["i * 1000000", "INT64", 7_000_000],
    ["i + 9007199254740992", "INT64", 9_007_199_254_740_999n],
    ["n + n", "INT32", 6],
    ["-7 / 2", "INT32", -3],
    ["-7 % 2", "INT32", -1],
    ["d / 0.0", "DOUBLE", Number.POSITIVE_INFINITY],
    ["0.0 / 0.0", "DOUBLE", Number.NaN],
    ["d / 3.0", "FLOAT", Math.fround(2.5 / 3)],
    ["f + d", "DOUBLE", 3],
    ["double('NaN')", "DOUBLE", Number.NaN],
    ["i > 5 && d < 3.0 ? 'late' : 'early'", "STRING", "late"],
    ["s + '!'", "STRING", "héllo😀!"],
    ["s.size()", "INT64", 6],
    ["s.contains('llo')", "BOOL", true],
    ["s in ['a', 'héllo😀']", "BOOL", true],
    ["{'a': 1.0, 'héllo😀': 2.0}[s]", "DOUBLE", 2],
    ["'a,b,c'.split(',')[1]", "STRING", "b"],
    ["[1, 2, 7].exists(x, x == i)", "BOOL", true],
    ["[1, 2, 3].map(x, x * i).size()", "INT64", 3],
    ["y.hex()", "STRING", "01ff"],
    ["y", "BYTES", new Uint8Array([1, 255])],
    ["t.getHours()", "INT32", 1],
    ["t.getHours('America/New_York')", "INT32", 21],
    ["t.getDayOfWeek()", "INT32", 0],
    ["t.getDayOfYear()", "INT32", 251],
    ["timestamp('2004-03-01T00:00:00Z').getDayOfYear()", "INT32", 60],
    ["timestamp('2003-03-01T00:00:00Z').getDayOfYear()", "INT32", 59],
    ["timestamp('2003-12-31T23:00:00Z').getFullYear('Asia/Tokyo')", "INT32", 2004],
    ["t + duration('1h30m')", "TIMESTAMP", TIME_US + 5_400_000_000],
    ["(t - timestamp('2001-09-08T00:00:00Z')).getHours()", "INT64", 25],
    ["math.log(math.exp(d))", "DOUBLE", 2.5],
    ["math.greatest(i, 3)", "INT64", 7],
    ["math.least(d, 3.0, 1.0)", "DOUBLE", 1],
    ["math.greatest(double('NaN'), d)", "DOUBLE", Number.NaN],
    ["math.round(-2.5)", "DOUBLE", -3],
    ["math.abs(0 - i)", "INT64", 7],
    ["math.isNaN(d)", "BOOL", false],
  ];
  it.each(good)("computes %s as %s", (expression, type, expected) => {
    expect(fault(expression, type)).toBeUndefined();
    expect(compute(expression, type)).toEqual(expected);
  });

  const failing: readonly (readonly [string, ValueType, Record<string, Cell>])[] = [
    ["i / 0", "INT64", {}],
    ["i % 0", "INT64", {}],
    ["i + 1", "INT64", { i: 2n ** 63n - 1n }],
    ["-i", "INT64", { i: -(2n ** 63n) }],
    ["i * 3000000000", "INT32", {}],
    ["int(d * 1e300)", "INT64", {}],
    ["int(d)", "INT64", { d: Number.NaN }],
    ["d * 1e300", "FLOAT", {}],
    ["s.substring(0, 6)", "STRING", {}],
    ["s.substring(3, 99)", "STRING", {}],
    ["{'a': 1.0}[s]", "DOUBLE", {}],
    ["{'a': 1.0}[s]", "DOUBLE", { s: "constructor" }],
    ["{'a': 1.0}[s]", "DOUBLE", { s: "__proto__" }],
    ["timestamp(s)", "TIMESTAMP", { s: "2001-01-31 06:00:00" }],
    ["timestamp(s)", "TIMESTAMP", { s: "2001-01-31T06:00:00" }],
    ["timestamp(i)", "TIMESTAMP", { i: 2n ** 62n }],
    ["int(s)", "INT64", { s: "7.5" }],
    ["y.at(5)", "INT64", {}],
    ["size(s)", "INT64", { s: "x".repeat(70_000) }],
  ];
  it.each(failing)("fails the row of %s as %s", (expression, type, row) => {
    expect(fault(expression, type)).toBeUndefined();
    expect(compute(expression, type, row)).toBe("failed");
  });

  const bad: readonly (readonly [string, ValueType, string])[] = [
    ["d + i", "DOUBLE", "is not valid CEL at character 1: no such overload: double + int"],
    ["d + i", "DOUBLE", "double + int. Ints and doubles do not mix: double(x) or int(x) makes"],
    ["i", "DOUBLE", "gives int; DOUBLE needs a double: double(...) makes one"],
    ["d", "INT32", "gives double; INT32 needs an int: int(...) makes one"],
    ["t", "INT64", "gives Timestamp; INT64 needs an int"],
    ["dd * 2.0", "DOUBLE", 'names "dd", which is no input. Did you mean "d"?'],
    ["i +", "INT64", "is not valid CEL at character 4"],
    ["", "INT64", "has 0 characters"],
    [`'${"a".repeat(2000)}'`, "STRING", "has 2002 characters; 1 to 2000"],
    [`${"(".repeat(200)}d${")".repeat(200)}`, "DOUBLE", "Exceeded maxDepth"],
    ["s.matches('(a+)+$')", "BOOL", "calls .matches(), which is not offered"],
    ["cel.bind(x, i, x + x)", "INT64", "calls .bind(), which is not offered"],
    ["dyn(i)", "INT64", "calls dyn(), which is not offered"],
    ["type(i) == int", "BOOL", "calls type(), which is not offered"],
    ["y.json()", "STRING", "calls .json(), which is not offered"],
    ["math.nothing(d)", "DOUBLE", "no matching overload for 'math.nothing(double)'"],
    ["math", "STRING", 'names "math", which is no input'],
    ["google.protobuf", "STRING", 'names "google", which is no input'],
    ["y + y", "BYTES", "joins two of bytes with +"],
    ["([i] + [i]).size()", "INT64", "joins two of list<int> with +"],
    ["duration(s) > duration('1h')", "BOOL", "takes a duration that is not written out"],
    ["t.getHours(s)", "INT64", "takes a time zone that is not written out"],
    ["t.getHours('Mars/Olympus')", "INT64", 'takes "Mars/Olympus", which is no time zone'],
    ["s.split('').exists(x, x == 'a')", "BOOL", "loops with exists() over what is not a list"],
    ["b ? d : 's'", "DOUBLE", "Ternary branches must have the same type"],
    [
      "[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(c, " +
        "[1,2,3,4,5,6,7,8,9,10].map(e, [1,2,3,4,5,6,7,8,9,10].map(g, g)))).size()",
      "INT64",
      "steps in its loops; at most 10000",
    ],
  ];
  it.each(bad)("refuses %s as %s", (expression, type, said) => {
    expect(fault(expression, type)).toContain(said);
  });

  it("gives none where an input that it names is none, and only there", () => {
    const transform = compileTransform({
      number: 1,
      createTime: new Date(0),
      inputs: [
        { name: "a", type: "DOUBLE" },
        { name: "c", type: "INT64" },
      ],
      features: [
        { name: "x", type: "DOUBLE", expression: "a * 2.0", description: "" },
        { name: "y", type: "INT64", expression: "10 / c", description: "" },
        { name: "z", type: "INT64", expression: "[1].map(a, a)[0]", description: "" },
      ],
    });
    expect(
      transform.evaluate(
        [
          [1, null, Number.NaN, 4],
          [null, 5, 0, 2n],
        ],
        4,
      ),
    ).toEqual([
      { cells: [2, null, Number.NaN, 8], failed: [] },
      { cells: [null, 2, null, 5], failed: [2] },
      { cells: [1, 1, 1, 1], failed: [] },
    ]);
  });

  it("does not carry a value from one row to the next", () => {
    const transform = compileTransform({
      number: 1,
      createTime: new Date(0),
      inputs: [{ name: "constructor", type: "STRING" }],
      features: [{ name: "x", type: "STRING", expression: "constructor + '!'", description: "" }],
    });
    expect(transform.evaluate([["a", null, "b"]], 3)[0]?.cells).toEqual(["a!", null, "b!"]);
  });

  it("is compiled once a version", () => {
    const version = {
      number: 1,
      createTime: new Date(0),
      inputs: [],
      features: [{ name: "x", type: "INT32", expression: "1", description: "" } as const],
    };
    expect(compileTransform(version)).toBe(compileTransform(version));
  });

  it("knows which names CEL keeps for itself", () => {
    const names = ["in", "true", "null", "for", "int", "math", "cel", "__proto__", "x", "class"];
    expect(names.filter(isInputName)).toEqual(["x", "class"]);
  });
});
