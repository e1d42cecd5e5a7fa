// `plinth predict --verifiable`: the circuit's answers, the float model's beside them, and proofs.

import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import type {
  PredictRequest,
  PredictResponseSchema,
} from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { fileFolder, plinth } from "./testing.ts";
import { double, numbersFile, useDouble } from "./testing-double.ts";

const folder = fileFolder();
const CIRCUIT = "workspaces/default/models/double/versions/1/circuits/c1";
const WORDS = ["predict", "double", "--verifiable"];

function proofId(x: number): string {
  return String(x % 10).repeat(64);
}

/** A circuit that is a half too high; the proofs of the first rows are made when it is waited for. */
function proved(
  request: PredictRequest,
  { made = request.rows.length }: { readonly made?: number },
): MessageInitShape<typeof PredictResponseSchema> {
  const { id = "", modelVersion = "" } = double(request);
  const waits = request.proofWait !== undefined;
  return {
    id,
    modelVersion,
    circuit: CIRCUIT,
    proofJob: "workspaces/default/proofJobs/j1",
    predictions: request.rows.map(({ x }) => ({
      outputs: { y: Number(x) * 2 + 0.5 },
      floatOutputs: { y: Number(x) * 2, label: "even" },
    })),
    proofs: request.rows.slice(0, waits ? made : 0).map(({ x }, row) => ({
      name: `workspaces/default/proofs/${proofId(Number(x))}`,
      row,
      development: true,
    })),
  };
}

async function useProved(options: { readonly made?: number } = {}) {
  const seen: { readonly request: PredictRequest; readonly leftMs: number }[] = [];
  const address = await useDouble({
    async predict(request, { deadlineMs }) {
      seen.push({ request, leftMs: deadlineMs - Date.now() });
      return proved(request, options);
    },
    async *streamPredict(requests) {
      for await (const { request } of requests) {
        seen.push({ request: request!, leftMs: 0 });
        yield { id: request!.id, result: { case: "response", value: proved(request!, options) } };
      }
    },
  });
  return { address, seen };
}

describe("predict --verifiable", () => {
  it("shows the circuit's answer, the float model's beside it, and the proofs", async () => {
    const { address, seen } = await useProved({ made: 1 });
    const rows = ["--row", '{"x": 1}', "--row", '{"x": 21}'];
    const more = ["--context", "0x0a1B", "--wait", "40s"];
    const { code, stdout, stderr } = await plinth([...WORDS, ...rows, ...more], { address });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        "ROW   x  -> y  FLOAT y  FLOAT label  PROOF",
        "  1   1   2.5        2  even         1111111111111111…",
        "  2  21  42.5       42  even         being made",
        "",
      ].join("\n"),
    });
    expect(stderr.replace(/; inference [0-9a-f-]{36}/, "")).toBe(
      "double/1: 2 rows\n" +
        "1 of 2 rows proved with c1 so far: workspaces/default/proofJobs/j1\n" +
        "warning: the circuit's key is of a development set-up: whoever made it could have forged " +
        "these proofs.\n",
    );
    const [{ request, leftMs } = { request: undefined, leftMs: 0 }] = seen;
    expect(request).toMatchObject({ verifiable: true });
    expect([...request!.context]).toEqual([0x0a, 0x1b]);
    expect(durationMs(request!.proofWait!)).toBe(40_000);
    expect(request!.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(leftMs, "the call outlasts the wait").toBeGreaterThan(40_000);
  });

  it("says the job where nothing is waited for", async () => {
    const { address, seen } = await useProved();
    const { code, stderr } = await plinth([...WORDS, "--row", '{"x": 1}'], { address });
    expect(code).toBe(0);
    expect(stderr).toContain("1 row being proved with c1: workspaces/default/proofJobs/j1\n");
    expect(stderr).not.toContain("warning");
    expect(seen[0]?.request.proofWait).toBeUndefined();
  });

  it("writes all of it as JSON and CSV", async () => {
    const { address } = await useProved({ made: 1 });
    const rows = ["--row", '{"x": 1}', "--row", '{"x": 2}', "--wait", "1s"];
    const json = await plinth([...WORDS, ...rows, "--json"], { address });
    const proofJob = "workspaces/default/proofJobs/j1";
    expect(JSON.parse(json.stdout).predictions).toMatchObject([
      {
        outputs: { y: 2.5 },
        floatOutputs: { y: 2, label: "even" },
        circuit: CIRCUIT,
        proofJob,
        proof: `workspaces/default/proofs/${proofId(1)}`,
      },
      { outputs: { y: 4.5 }, floatOutputs: { y: 4 }, circuit: CIRCUIT, proofJob },
    ]);
    expect(JSON.parse(json.stdout).predictions[1].proof).toBeUndefined();
    const csv = await plinth([...WORDS, ...rows, "--format", "csv"], { address });
    const version = "workspaces/default/models/double/versions/1";
    expect(csv.stdout).toBe(
      "row,y,float:y,float:label,circuit,proof_job,proof,model_version\n" +
        `1,2.5,2,even,${CIRCUIT},${proofJob},workspaces/default/proofs/${proofId(1)},${version}\n` +
        `2,4.5,4,even,${CIRCUIT},${proofJob},,${version}\n`,
    );
  });

  it("sends at most 64 rows at a time, and streams more", async () => {
    const { address, seen } = await useProved();
    const few = numbersFile(join(folder, "few.csv"), 64);
    expect(await plinth([...WORDS, "--file", few], { address })).toMatchObject({ code: 0 });
    expect(seen.map(({ request }) => request.rows.length)).toEqual([64]);
    const many = numbersFile(join(folder, "many.csv"), 150);
    const words = [...WORDS, "--file", many, "--format", "csv", "--wait", "1s"];
    const { code, stdout, stderr } = await plinth(words, { address });
    expect(code).toBe(0);
    expect(stdout.split("\n")).toHaveLength(152);
    expect(seen.slice(1).map(({ request }) => request.rows.length)).toEqual([64, 64, 22]);
    expect(stderr).toContain("150 rows proved with c1: workspaces/default/proofJobs/j1\n");
  });

  it.each([
    [["--wait", "3s"], "--wait waits for proofs; ask for them with --verifiable."],
    [["--context", "abc"], "Expected bytes as hexadecimal digits"],
    [["--context", ""], "Expected bytes as hexadecimal digits"],
    [["--verifiable", "--wait", "soon"], "Expected a duration"],
  ])("answers 2 to %j", async (words, says) => {
    const all = ["predict", "double", "--row", "{}", ...words];
    const { code, stdout, stderr } = await plinth(all);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(says);
  });
});
