// Files of definitions that are wrong: every fault has its place and says what was expected.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CommandError } from "./exit-codes.ts";
import { loadDefinitions } from "./features-load.ts";
import { fileFolder } from "./testing.ts";

const folder = fileFolder();

const VIEW = "kind: FeatureView\nname: delays\nentities: [airport]\n";

/** The faults of a YAML text, without the folder. */
async function faultsOf(text: string, name = "f.yaml"): Promise<readonly string[]> {
  const path = join(folder, name);
  writeFileSync(path, text);
  const error = await loadDefinitions([path]).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  if (!(error instanceof CommandError)) {
    throw error ?? new Error("it was taken");
  }
  return error.advice.map((line) => line.replaceAll(`${folder}/`, ""));
}

describe("features-load, what is not", () => {
  it.each<[string, string, readonly string[]]>([
    [
      "no definition",
      "airport",
      [
        'f.yaml:1:1: expected a definition with kind (Entity, FeatureView, OnDemandFeatureView, FeatureService) and name, got "airport"',
      ],
    ],
    [
      "no kind",
      "name: airport",
      [
        "f.yaml:1:1: the definition has no kind; it is one of Entity, FeatureView, OnDemandFeatureView, FeatureService",
      ],
    ],
    [
      "a kind that is near",
      "kind: FeatureVeiw\nname: a",
      ['f.yaml:1:7: there is no kind "FeatureVeiw". Did you mean "FeatureView"?'],
    ],
    [
      "a kind that is not",
      "kind: Model\nname: a",
      [
        'f.yaml:1:7: there is no kind "Model". Kinds are Entity, FeatureView, OnDemandFeatureView, FeatureService',
      ],
    ],
    ["no name", "kind: Entity\nvalueType: string", ["f.yaml:1:1: the Entity has no name"]],
    [
      "a key that is near",
      `${VIEW}tll: 7d\nfeatures: {a: double}`,
      ['f.yaml:4:1: a FeatureView has no "tll". Did you mean "ttl"?'],
    ],
    [
      "a key that is not",
      "kind: Entity\nname: a\nvalueType: string\ncolour: red",
      [
        'f.yaml:4:1: an Entity has no "colour". It may have kind, name, description, owner, tags, joinKeys, valueType',
      ],
    ],
    [
      "a type that is near",
      `${VIEW}features: {mean: duoble}`,
      ['f.yaml:4:18: mean: there is no type "duoble". Did you mean "double"?'],
    ],
    [
      "a type of Feast's that is near, in the order of the lines",
      `kind: FeatureView\nname: a\nentities: [e]\nttl: 1 day\n${"# \n".repeat(6)}schema: [{name: f, dtype: Flaot32}]`,
      [
        'f.yaml:4:6: ttl: expected a duration such as "7d" or "12h", got "1 day"',
        'f.yaml:11:27: dtype: there is no type "Flaot32". Did you mean "float32"?',
      ],
    ],
    [
      "a type that is not",
      `${VIEW}features:\n  mean:\n    type: vector`,
      [
        'f.yaml:6:11: type: there is no type "vector". Types are bool, int32, int64, float, double, string, bytes, timestamp',
      ],
    ],
    [
      "no type",
      `${VIEW}features:\n  mean: {description: a}`,
      ["f.yaml:5:9: mean: the type is missing"],
    ],
    [
      "a ttl without a unit",
      `${VIEW}ttl: 7\nfeatures: {a: double}`,
      ['f.yaml:4:6: ttl: expected a duration such as "7d" or "12h", got 7'],
    ],
    [
      "yes for true",
      `${VIEW}online: yes\nfeatures: {a: double}`,
      ['f.yaml:4:9: online: expected true or false, got "yes"'],
    ],
    [
      "join keys without a type",
      "kind: Entity\nname: airport\njoinKeys: [airport]",
      [
        "f.yaml:3:1: joinKeys: the type is missing; write joinKeys: {airport: string}, or add valueType",
      ],
    ],
    [
      "no join keys",
      "kind: Entity\nname: airport",
      ["f.yaml:1:1: the Entity has no joinKeys; write joinKeys: {airport: string}"],
    ],
    [
      "features as a text",
      `${VIEW}features: mean`,
      ['f.yaml:4:11: features: expected {name: type} or a list of them, got "mean"'],
    ],
    [
      "a feature without a name",
      `${VIEW}features: [{type: double}]`,
      ["f.yaml:4:12: features: an item has no name"],
    ],
    [
      "a default of several values",
      `${VIEW}features: {a: {type: double, default: [1]}}`,
      ["f.yaml:4:39: default: expected one value, got a list"],
    ],
    [
      "a source with a path",
      `${VIEW}features: {a: double}\nsource: {path: a.parquet}`,
      [
        'f.yaml:5:10: a source has no "path". It may have eventTimestampColumn, createdTimestampColumn, fieldMapping',
      ],
    ],
    [
      "an expression that is missing",
      "kind: OnDemandFeatureView\nname: a\nexpressions: {h: int64}",
      ["f.yaml:3:18: h: the expression is missing"],
    ],
    [
      "a projection without a view",
      "kind: FeatureService\nname: a\nprojections: [{version: 2}]",
      ["f.yaml:3:15: the projection has no view"],
    ],
    [
      "a projection that is no name",
      "kind: FeatureService\nname: a\nprojections: [a b, 7]",
      [
        'f.yaml:3:15: expected view, view@3 or view:feature, got "a b"',
        "f.yaml:3:20: expected a projection as a map, got 7",
      ],
    ],
    [
      "projections as a map",
      "kind: FeatureService\nname: a\nprojections: {view: a}",
      ["f.yaml:3:14: projections: expected a list of views, got a map"],
    ],
    [
      "one key in two spellings",
      "kind: Entity\nname: a\njoinKeys: {a: string}\njoin_keys: {b: string}",
      ["f.yaml:4:1: join_keys: said before as joinKeys"],
    ],
    [
      "tags of lists",
      "kind: Entity\nname: a\nvalueType: string\ntags: {team: [a]}",
      ["f.yaml:4:14: team: expected a text, got a list"],
    ],
    [
      "two of one name",
      "kind: Entity\nname: a\nvalueType: string\n---\nkind: Entity\nname: a\nvalueType: string",
      ['f.yaml:5:1: "a" is defined twice; before at f.yaml:1:1'],
    ],
    ["a key twice", "kind: Entity\nname: a\nname: b", ["f.yaml:3:1: Map keys must be unique"]],
    [
      "broken YAML",
      "kind: Entity\nname: [a",
      [
        "f.yaml:2:9: Flow sequence in block collection must be sufficiently indented and end with a ]",
      ],
    ],
    [
      "a tag that is not known",
      "kind: Entity\nname: !!python/object a",
      ["f.yaml:2:7: Unresolved tag: tag:yaml.org,2002:python/object"],
    ],
    ["nothing", "# soon\n", ["f.yaml: the file has no definitions"]],
  ])("refuses %s", async (_what, text, faults) => {
    expect(await faultsOf(text)).toEqual(faults);
  });

  it("tells all faults of all files at once", async () => {
    const one = join(folder, "one.yaml");
    const two = join(folder, "two.yaml");
    writeFileSync(one, "kind: Entity\nname: a\n");
    writeFileSync(two, "kind: Entitie\nname: b\n");
    await expect(loadDefinitions([one, two])).rejects.toMatchObject({
      message: "The definitions have 2 faults; nothing was changed.",
      exitCode: 4,
      advice: [
        `${one}:1:1: the Entity has no joinKeys; write joinKeys: {airport: string}`,
        `${two}:1:7: there is no kind "Entitie". Did you mean "Entity"?`,
      ],
    });
  });

  it("names the place in what a module exports", async () => {
    const text = `export default [{kind: "FeatureView", name: "a", entities: ["e"], features: {f: "dubble"}}];`;
    expect(await faultsOf(text, "bad.mjs")).toEqual([
      'bad.mjs default[0].features.f: f: there is no type "dubble". Did you mean "double"?',
    ]);
    expect(await faultsOf("export const other = 1;", "other.mjs")).toEqual([
      "Export an array of them, as the default or as `definitions`.",
    ]);
    const self = "const a = {kind: 'Entity', name: 'a'}; a.tags = a; export default [a];";
    expect(await faultsOf(self, "self.mjs")).toContainEqual(
      expect.stringMatching(/more than 32 levels deep$/),
    );
    const calls = "export default [{kind: 'Entity', name: () => 'a'}];";
    expect((await faultsOf(calls, "calls.mjs"))[0]).toBe(
      "calls.mjs default[0].name: expected data, got a function",
    );
  });

  it("refuses aliases that multiply", async () => {
    const lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"];
    for (const [index, name] of [..."bcdefg"].entries()) {
      const before = "abcdefg"[index];
      lines.push(
        `${name}: &${name} [${Array.from({ length: 10 }, () => `*${before}`).join(", ")}]`,
      );
    }
    const faults = await faultsOf(`kind: Entity\nname: a\n${lines.join("\n")}`);
    expect(faults).toContainEqual(
      expect.stringMatching(/more than 100000 values; do aliases repeat\?$/),
    );
  });
});
