import { describe, expect, it } from "vitest";
import { featureServiceName, featureServiceVersionName } from "../common/names.ts";
import { type FilterFields, parseFilter } from "./filter.ts";

interface Item {
  readonly name: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly score?: number;
  readonly isOld: boolean;
  readonly service: string;
}

const FIELDS: FilterFields<Item> = {
  name: { kind: "text", read: (item) => item.name },
  "tags.": { kind: "text", read: (item, key) => item.tags[key] },
  score: { kind: "number", read: (item) => item.score },
  old: { kind: "boolean", read: (item) => item.isOld },
  service: {
    kind: "resource",
    patterns: [featureServiceName, featureServiceVersionName],
    read: (item) => item.service,
  },
  state: { kind: "choice", options: ["READY"], read: () => "READY" },
};

const item: Item = {
  name: "credit",
  tags: { "a b": 'x"y', "mlflow.k": "v" },
  score: 2,
  isOld: false,
  service: "workspaces/w/featureServices/f/versions/2",
};

describe("filter", () => {
  it.each([
    ["", true],
    ['name = "credit"', true],
    ["name = credit", true],
    ["name!=credit", false],
    ['name : "cre*"', true],
    ['name : "cre"', false],
    ['tags."a b" = "x\\"y"', true],
    ["tags.mlflow.k = v", true],
    ["tags.none = v", false],
    ["tags.none != v", true],
    ["tags.none : *", false],
    ["score >= 2 AND score < 3", true],
    ["score > 2", false],
    ["score = 2e0", true],
    ["old = true", false],
    ['service = "workspaces/w/featureServices/f/versions/2"', true],
    ['service = "workspaces/w/featureServices/f/versions/20"', false],
    ["service = workspaces/w/featureServices/f", true],
    ["service = workspaces/w/featureServices/g", false],
    ["service != workspaces/w/featureServices/f", false],
    ['service = ""', false],
    ['service != ""', true],
    ["old != true AND state = ready", true],
  ])("%s is %s", (text, expected) => {
    expect(parseFilter(text, FIELDS).matches(item)).toBe(expected);
  });

  it("matches no comparison with a number that is not there", () => {
    const { score: _score, ...without } = item;
    expect(parseFilter("score != 5", FIELDS).matches(without)).toBe(false);
  });

  it.each([
    ["nothing = 1", '"nothing" is no field'],
    ["constructor = 1", "is no field"],
    ["name", "is no term"],
    ["name = a OR name = b", "must begin with AND"],
    ["name = a AND", "AND"],
    ["score : 2", ": cannot compare a number"],
    ["score = two", "two is not a number"],
    ["old = 1", "must be true or false"],
    ["service = f", "f must match workspaces/{workspace}/featureServices/{service} or "],
    ['service : "workspaces/w/*"', ": cannot compare a resource"],
    ["state = LOST", "must be one of READY"],
    ['name = "open', "is no term"],
    ["x".repeat(2001), "at most 2000"],
    [Array.from({ length: 21 }, () => "name = a").join(" AND "), "21st term"],
  ])("refuses %.40s", (text, why) => {
    expect(() => parseFilter(text, FIELDS)).toThrow(why);
  });
});
