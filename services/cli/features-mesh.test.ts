// `plinth features` against the real mesh, started by `plinth up` in a process of its own. The
// tests follow one set of features through its life, in order.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodeModel } from "../common/testing/onnx-writer.ts";
import { fileFolder, plinth, shareMeshProcess } from "./testing.ts";

const folder = fileFolder();
const mesh = shareMeshProcess(join(folder, "data"));
const { run, json } = mesh;

/** Rows of these tests are younger than a ttl of days. */
const HOUR_MS = 3_600_000;
const START_MS = Date.now() - 48 * HOUR_MS;

const DEFINITIONS = `kind: Entity
name: airport
joinKeys: {airport: string}
---
kind: FeatureView
name: delays
entities: [airport]
ttl: 7d
features:
  mean: double
  flights: {type: int64, default: 0}
source: {eventTimestampColumn: time, createdTimestampColumn: known, fieldMapping: {m: mean}}
---
kind: OnDemandFeatureView
name: departure
inputs: {departure: timestamp}
expressions: {hour: {type: int64, expression: departure.getHours()}}
---
kind: FeatureService
name: delay_model
projections:
  - {view: delays, joinKeys: {airport: origin}}
  - departure
loggingSampleRate: 1
`;

function file(name: string, text: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

function at(hours: number): string {
  return new Date(START_MS + hours * HOUR_MS).toISOString();
}

describe("definitions", () => {
  it("shows the plan, changes nothing under --dry-run, applies, and applies again", async () => {
    const path = file("features.yaml", DEFINITIONS);
    const dry = await run(`features apply ${path} --dry-run`);
    expect(dry).toEqual({
      code: 0,
      stderr: "",
      stdout:
        "CHANGE    DEFINITION           VERSION\n" +
        "+ create  entity/airport\n" +
        "+ create  view/delays          1\n" +
        "+ create  on-demand/departure  1\n" +
        "+ create  service/delay_model  1\n" +
        "4 to create.\n",
    });
    expect((await json("features list")).entities).toEqual([]);
    expect((await run(`features apply ${path}`)).stdout).toMatch(/\n4 created\.\n$/);
    const again = await json(`features apply ${path}`);
    expect(again.changes.map((one: { action: string }) => one.action)).toEqual(
      Array.from({ length: 4 }, () => "ACTION_UNCHANGED"),
    );
  });

  it("lists, describes, and applies again what describe --json says", async () => {
    const { stdout } = await run("features list");
    expect(stdout).toMatch(/^view +delays +1 +2 features of airport, ttl 7d/m);
    expect((await run("features list --kind service")).stdout).not.toContain("view ");
    const names = ["airport", "view/delays", "departure", "delay_model"];
    const described = await Promise.all(names.map((name) => json(`features describe ${name}`)));
    const all = file("described.json", JSON.stringify(described));
    const { changes } = await json(`features apply ${all} --dry-run`);
    expect(new Set(changes.map((one: { action: string }) => one.action))).toEqual(
      new Set(["ACTION_UNCHANGED"]),
    );
    expect((await run("features describe delays")).stdout).toMatch(/^history: +none yet$/m);
    expect(await run("features describe nothing")).toMatchObject({ code: 3, stdout: "" });
    expect(await run("features describe view/nothing")).toMatchObject({ code: 3, stdout: "" });
  });

  it("refuses a change that would break a service, and names it", async () => {
    const path = file("broken.yaml", DEFINITIONS.replace("mean: double", "mean: string"));
    const { code, stdout, stderr } = await run(`features apply ${path}`);
    expect({ code, stdout }).toEqual({ code: 7, stdout: "" });
    expect(stderr).toContain("featureServices/delay_model");
    expect(stderr).toContain("[RESOURCE_IN_USE]");
  });

  it("tells the server's findings by line and column", async () => {
    const text = DEFINITIONS.replace("getHours", "getHourz").replace("default: 0", "default: x");
    const { code, stderr } = await run(`features apply ${file("wrong.yaml", text)}`);
    expect(code).toBe(4);
    expect(stderr).toMatch(/wrong\.yaml:11:26: delays, features\.flights\.default_value: /);
    expect(stderr).toMatch(/wrong\.yaml:17:35: departure, features\.hour\.expression: /);
  });

  it("deletes only with --yes where nobody can be asked, and what is read not at all", async () => {
    await run(`features apply -`, { input: "kind: Entity\nname: spare\nvalueType: int64\n" });
    expect(await run("features delete spare")).toMatchObject({ code: 2, stdout: "" });
    expect(await run("features delete spare --yes")).toMatchObject({
      stdout: "entity/spare is deleted.\n",
    });
    expect(await run("features describe spare")).toMatchObject({ code: 3 });
    expect(await run("features delete view/delays --yes")).toMatchObject({ code: 7, stdout: "" });
  });
});

describe("values", () => {
  it("pushes a file, and again without any change", async () => {
    const rows = [
      `ATL,${at(1)},${at(1)},12.5,300,DL`,
      `SFO,${at(1)},${at(1)},,100,UA`,
      `"Zürich, CH",${at(2)},${at(2)},NaN,7,LX`,
    ];
    const path = file("rows.csv", `airport,time,known,m,flights,carrier\n${rows.join("\n")}\n`);
    const first = await run(`features push delays ${path}`);
    expect(first).toEqual({
      code: 0,
      stdout: "3 rows are stored in view/delays.\n",
      stderr: 'The view has no "carrier"; the column was left out.\n',
    });
    expect(await run(`features push delays ${path} --batch-size 2`)).toMatchObject({ code: 0 });
    await run(`features push delays ${path}`);
    const { status } = await json("features describe view/delays");
    expect(Number(status.offlineRows) + Number(status.pendingRows)).toBeGreaterThanOrEqual(3);
    await run("features compact delays");
    const compacted = await json("features describe view/delays");
    expect(compacted.status).toMatchObject({ offlineRows: "3", pendingRows: "0" });
  });

  it("names bad rows by their lines: nothing of the batch under reject, the others under skip", async () => {
    const good = `ORD,${at(1)},${at(1)},1,1`;
    const text = `airport,time,known,m,flights\n${good}\n,${at(1)},,2,2\nJFK,soon,,x,3\n`;
    const path = file("bad.csv", text);
    const rejected = await run(`features push delays ${path}`);
    expect(rejected).toMatchObject({ code: 4, stdout: "" });
    expect(rejected.stderr).toContain("- row 2 (line 3): airport: no value\n");
    expect(rejected.stderr).toContain("- row 3 (line 4): event_timestamp: expected a time such as");
    expect((await run("features get delays:mean --entity airport=ORD")).stdout).toMatch(
      /NOT_FOUND/,
    );
    const skipped = await run(`features push delays ${path} --bad-rows skip`);
    expect(skipped).toMatchObject({
      code: 8,
      stdout: "1 row is stored in view/delays; 2 were refused.\n",
    });
  });

  it("tells what the server refuses by the line of the file", async () => {
    const long = "x".repeat(600);
    const lines = [`A,${at(1)},1`, "", `${long},${at(1)},2`, `B,${at(1)},3`];
    const path = file("long.csv", `airport,time,m\n${lines.join("\n")}\n`);
    const rejected = await run(`features push delays ${path} --batch-size 1`);
    expect(rejected).toMatchObject({ code: 4, stdout: "" });
    expect(rejected.stderr).toMatch(
      /The server refused row 2 \(line 4\)\.\n {2}- row 2 \(line 4\): /,
    );
    const skipped = await run(`features push delays ${path} --bad-rows skip`);
    expect(skipped.code).toBe(8);
    expect(skipped.stderr).toMatch(/^warning: row 2 \(line 4\) is refused: airport: /m);
    expect(skipped.stdout).toBe("2 rows are stored in view/delays; 1 was refused.\n");
  });

  it("gets them: one entity with ages, several as a table, features by name", async () => {
    const one = await run(
      `features get delay_model --entity origin=ATL --entity departure=${at(0)}`,
    );
    expect(one.code).toBe(0);
    expect(one.stdout).toMatch(/^mean +12\.5 +PRESENT +\d{4}-\S+ \S+Z +1d 23h$/m);
    expect(one.stdout).toMatch(/^hour +\d+ +PRESENT$/m);
    const many = await plinth(
      [..."features get delays:mean delays:flights".split(" "), "--entity", "airport=SFO"].concat(
        "--entity",
        "airport=Zürich, CH",
        "--entity",
        "airport=ZZZ",
      ),
      { address: mesh.address },
    );
    expect(many.stdout).toBe(
      "airport           mean    flights\n" +
        "SFO         NULL_VALUE        100\n" +
        "Zürich, CH         NaN          7\n" +
        "ZZZ          NOT_FOUND  NOT_FOUND\n",
    );
    const file1 = file("keys.csv", "airport,other\nATL,1\n");
    const got = await json(`features get delays:* --file ${file1}`);
    expect(got.results).toMatchObject([
      { values: { name: "mean", doubles: [12.5] }, statuses: ["FIELD_STATUS_PRESENT"] },
      { values: { name: "flights", ints: ["300"] }, statuses: ["FIELD_STATUS_PRESENT"] },
    ]);
  });

  it("refuses a column of --row that the view has not, before it makes a feature null", async () => {
    const { code, stderr } = await run("features push delays --row airport=ORD,meen=1");
    expect(code).toBe(4);
    expect(stderr).toContain('The view has no "meen". Did you mean "mean"?\n');
    expect(stderr).toContain("Rows of the view have airport, time, known, m, flights.\n");
  });

  it("says how to name the features of a view that is named as a service", async () => {
    const { code, stderr } = await run("features get delays --entity airport=ATL");
    expect(code).toBe(2);
    expect(stderr).toContain("delays is a feature view. Name its features as delays:feature");
  });

  it("says what a service is asked with when a key is missing or mistyped", async () => {
    const { code, stderr } = await run("features get delay_model --entity orgin=ATL");
    expect(code).toBe(4);
    expect(stderr).toContain('There is no column "orgin". Did you mean "origin"?');
    expect(stderr).toContain("It takes origin (string), departure (timestamp).");
  });
});

describe("jobs", () => {
  it("compares what was served with history: the same, until rows come that were known before", async () => {
    const same = await run("features check-skew delay_model");
    expect(same.stdout).toBe(
      "service/delay_model@1: 1 kept reads compared with history, 0 differ.\n",
    );
    expect(same.code).toBe(0);
    const row = `airport=ATL,event_timestamp=${at(3)},created_timestamp=${at(3)},mean=99,flights=9`;
    await run(`features push delays --row ${row} --target offline`);
    const differs = await run("features check-skew delay_model");
    expect(differs.code, differs.stderr).toBe(1);
    expect(differs.stdout).toMatch(/^origin=ATL .* mean +12\.5 +PRESENT +99/m);
    expect(differs.stdout).toMatch(/: 1 kept reads compared with history, 1 differ\.\n$/);
  });

  it("ingests a file, and refuses a bad one as a whole or by row", async () => {
    const rows = Array.from({ length: 48 }, (_, i) => `ATL,${at(i)},${at(i)},${i},${i}`);
    const path = file("history.csv", `airport,time,known,m,flights\n${rows.join("\n")}\n`);
    const { code, stdout } = await run(`features ingest delays ${path}`);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^view\/delays: 48 rows read, 48 stored, 1 keys? written online\.\n$/);
    const bad = file("bad-file.csv", `airport,time,known,m\nATL,${at(1)},,x\nSFO,${at(1)},,1\n`);
    const failed = await run(`features ingest delays ${bad}`);
    expect(failed).toMatchObject({ code: 4, stdout: "" });
    expect(failed.stderr).toMatch(/error: jobs\/\S+ FAILED: 1 of 2 rows cannot be stored, and/);
    expect(failed.stderr).toMatch(
      /^ {2}- row 1: m: is "x"; .*leave bad ones out: --bad-rows skip/ms,
    );
    const skipped = await run(`features ingest delays ${bad} --bad-rows skip`);
    expect(skipped.code).toBe(8);
    expect(skipped.stdout).toMatch(/1 stored.*1 refused\.\n {2}row 1: m: /s);
    expect(await run(`features ingest nothing ${path}`)).toMatchObject({ code: 3, stdout: "" });
    expect(await run("features ingest delays absent.csv")).toMatchObject({ code: 3, stdout: "" });
  });

  it("materialises, and finds nothing to do the second time", async () => {
    expect(await run("features materialize delays")).toMatchObject({ code: 0 });
    const { stdout } = await run("features materialize delays");
    expect(stdout).toBe("view/delays: 0 rows read, 0 keys written online, 0 as new already.\n");
    const interval = `--from ${at(0)} --to ${at(48)} --rate 100000`;
    const again = await run(`features materialize delays ${interval}`);
    expect(again.stdout).toMatch(/0 keys written online/);
  });

  it("makes a training set without what was not known yet, and fetches it whole", async () => {
    const lines = [1, 10, 30].map((hour, i) => `ATL,${at(hour + 0.5)},${at(hour + 0.5)},${i}`);
    const entities = file("entities.csv", `origin,departure,when,label\n${lines.join("\n")}\n`);
    const out = join(folder, "train.csv");
    const { code, stdout, stderr } = await run(
      `features training-set delay_model --entities ${entities} --time-column when --out ${out}`,
    );
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(/^mean +3 +0 +0 +0 +100\.0%$/m);
    expect(stdout).toMatch(/^3 rows, 7 columns, /m);
    const [name] = /jobs\/\S+/.exec(stdout) ?? [""];
    expect(stderr).toContain(`--feature-service delay_model@1 --training-set ${name}`);
    const text = readFileSync(out, "utf8");
    expect(text.split("\n")[0]).toBe("origin,departure,when,label,mean,flights,hour");
    expect(text.split("\n")[2]).toMatch(/^ATL,.*,1,10\.0,10,\d+$/);
    const job = await json(`features job ${name}`);
    expect(job.trainingSet.result.sha256).toBe(createHash("sha256").update(text).digest("hex"));
    const copy = join(folder, "copy.csv");
    expect(await run(`features job ${name} --out ${copy}`)).toMatchObject({ code: 0 });
    expect(readFileSync(copy, "utf8")).toBe(text);
  });

  it("starts one without waiting, watches it, lists and deletes it", async () => {
    const started = await json("features materialize delays --no-wait");
    const id = started.name.split("/").at(-1);
    expect(await run(`features job ${id} --watch`)).toMatchObject({ code: 0 });
    expect((await run("features jobs")).stdout).toMatch(
      new RegExp(`^jobs/${id} +materialise view/delays +SUCCEEDED`, "m"),
    );
    expect(await run(`features job ${id} --delete`)).toMatchObject({
      stdout: `jobs/${id} is deleted.\n`,
    });
    expect(await run(`features job ${id}`)).toMatchObject({ code: 3, stdout: "" });
  });
});

describe("models by entity key", () => {
  it("pins the feature service of a training set, and says what was not the newest", async () => {
    const doubles = { datatype: "FP64", shape: ["N"] } as const;
    const path = file(
      "mean.onnx",
      encodeModel({
        nodes: [
          { op: "Identity", inputs: ["mean"], outputs: ["y"] },
          { op: "Identity", inputs: ["flights"], outputs: ["n"] },
        ],
        inputs: [
          { name: "mean", ...doubles },
          { name: "flights", datatype: "INT64", shape: ["N"] },
        ],
        outputs: [
          { name: "y", ...doubles },
          { name: "n", datatype: "INT64", shape: ["N"] },
        ],
      }),
    );
    const { jobs } = await json("features jobs");
    const { name } = jobs.find((job: { trainingSet?: object }) => job.trainingSet !== undefined);
    const service = "workspaces/default/featureServices/delay_model";
    const pushed = await json(
      `models push delay ${path} --approve --feature-service delay_model --training-set ${name}`,
    );
    expect(pushed).toMatchObject({
      featureService: `${service}/versions/1`,
      lineage: { featureService: service, trainingDatasets: [name] },
    });
    expect((await run("models show delay/1")).stdout).toMatch(/^features: +\S+\/versions\/1$/m);
    const absent = await run(`models push delay ${path} --feature-service delay_model@7`);
    expect(absent).toMatchObject({ code: 3, stdout: "" });
    expect(await run("deployments create delay --model delay --wait")).toMatchObject({ code: 0 });
  });

  it("predicts one entity, and refuses one whose feature is missing", async () => {
    const keys = `--entity origin=ATL --entity departure=${at(0)}`;
    const { code, stdout, stderr } = await run(`predict delay ${keys}`);
    expect(code, stderr).toBe(0);
    expect(stdout).toMatch(
      /^ROW +origin +departure +FEATURES +-> \w +-> \w\n +1 +ATL +\S+ +all +47 +47\n$/,
    );
    expect(stderr).toMatch(
      /features of service\/delay_model@1 [\d.]+ ms; inference [0-9a-f-]{36}\n$/,
    );
    const missing = await run(`predict delay --entity origin=ZZZ --entity departure=${at(0)}`);
    expect(missing).toMatchObject({ code: 4, stdout: "" });
    expect(missing.stderr).toMatch(/row 1: .*feature "mean" is NOT_FOUND .* has no default/);
  });

  it("predicts many, in one call and in a stream, and tells which row lacks what", async () => {
    const lines = Array.from({ length: 600 }, (_, i) =>
      i === 400 || i === 3 ? `ZZZ,${at(0)}` : `ATL,${at(0)}`,
    );
    const few = file("few.csv", `origin,departure\n${lines.slice(0, 5).join("\n")}\n`);
    const stopped = await run(`predict delay --entities ${few}`);
    expect(stopped).toMatchObject({ code: 4, stdout: "" });
    expect(stopped.stderr).toContain("- row 4 (line 5): ");
    const skip = "--on-error skip --format ndjson";
    const some = await run(`predict delay --entities ${few} ${skip}`);
    expect(some.code).toBe(8);
    const rows = some.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.map((row) => row.row)).toEqual([1, 2, 3, 5]);
    expect(rows[3].features).toEqual({ mean: "PRESENT", flights: "PRESENT", hour: "PRESENT" });
    const all = file("all.csv", `origin,departure\n${lines.join("\n")}\n`);
    const streamed = await run(`predict delay --entities ${all} --on-error skip --format csv`);
    expect(streamed.code).toBe(8);
    expect(streamed.stdout.split("\n")).toHaveLength(600);
    expect(streamed.stdout.split("\n")[0]).toBe("row,y,n,features_missing,model_version");
    expect(streamed.stderr).toMatch(/row 401 \(line 402\) is skipped: .*NOT_FOUND/);
  });
});

describe("erasure", () => {
  it("shows what would go, then removes it only with --yes where nobody can be asked", async () => {
    const dry = await run("features erase airport --key airport=ATL --dry-run");
    expect(dry.stdout).toMatch(/^online +1/m);
    expect(dry.stdout).toContain("A dry run: nothing was removed.");
    expect(await run("features erase airport --key airport=ATL")).toMatchObject({ code: 2 });
    const { code, stdout } = await run("features erase airport --key airport=ATL --yes");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^view\/delays +50 /m);
    expect(stdout).toContain("Looked again: 0 left.");
    expect((await run("features get delays:mean --entity airport=ATL")).stdout).toMatch(
      /NOT_FOUND/,
    );
  });
});
