// `plinth monitor labels`: which rows of a file become which labels, what is told of the others, and
// what happens when the stream breaks.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  LabelOutcome as Outcome,
  type RecordGroundTruthRequest,
} from "../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import type { GroundTruth } from "../../gen/plinth/monitoring/v1/performance_pb.js";
import { InvalidArgument, Unavailable } from "../common/errors/domain-error.ts";
import { fileFolder, plinth } from "./testing.ts";
import { DEPLOYMENT, day } from "./testing-flights.ts";
import { useMonitoring } from "./testing-monitor.ts";

const folder = fileFolder();

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** A server that takes labels; `outcome` says what becomes of each. */
function useLabels(outcome: (label: GroundTruth) => Outcome = () => Outcome.JOINED) {
  const requests: RecordGroundTruthRequest[] = [];
  const address = useMonitoring({
    async *streamGroundTruth(stream) {
      for await (const { request } of stream) {
        requests.push(request!);
        yield { response: { outcomes: request!.labels.map(outcome) } };
      }
    },
  });
  return { address, requests, labels: () => requests.flatMap((request) => request.labels) };
}

describe("monitor labels", () => {
  it("reads labels by inference id and says what became of them", async () => {
    const outcomes = [Outcome.JOINED, Outcome.JOINED, Outcome.REPLACED, Outcome.WAITING];
    let at = 0;
    const server = useLabels(() => outcomes[at++]!);
    const path = file(
      "ids.csv",
      "inference_id,row,label,note\na,0,late,x\na,1,7,y\nb,,late,z\nc,,on time,\n",
    );
    const { code, stdout, stderr } = await plinth(["monitor", "labels", "flights", path], {
      address: await server.address,
    });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout:
        "4 labels of flights were taken: 2 joined, 1 replaced another, 1 wait for their prediction.\n",
    });
    expect(stderr).toBe("Columns that say nothing here: note.\n");
    expect(server.requests[0]?.deployment).toBe(DEPLOYMENT);
    expect(server.labels()).toMatchObject([
      { key: { case: "inferenceId", value: "a" }, row: 0, value: { case: "label", value: "late" } },
      { key: { case: "inferenceId", value: "a" }, row: 1, value: { case: "label", value: "7" } },
      { key: { case: "inferenceId", value: "b" }, row: 0 },
      { key: { case: "inferenceId", value: "c" }, value: { case: "label", value: "on time" } },
    ]);
  });

  it("reads labels by entity and time, from columns of other names", async () => {
    const server = useLabels();
    const rows = [
      { origin: "ATL", flight: 12, departure: "2001-02-01T06:00:00Z", minutes: -3.5 },
      { origin: "SFO", flight: 7, departure: "2001-02-02", minutes: 12 },
    ];
    const input = rows.map((row) => JSON.stringify(row)).join("\n");
    const flags =
      "--key origin=airport --key flight --time-column departure --number-column minutes";
    const words = ["monitor", "labels", "flights", "-", ...flags.split(" "), "--json"];
    const { code, stdout } = await plinth(words, { address: await server.address, input });
    expect({ code, ...JSON.parse(stdout) }).toEqual({
      code: 0,
      deployment: DEPLOYMENT,
      joined: 2,
      replaced: 0,
      waiting: 0,
      noSuchRow: 0,
      badRows: 0,
    });
    expect(server.labels()).toMatchObject([
      {
        key: { case: "entity", value: { joinKeys: { airport: "ATL", flight: "12" } } },
        value: { case: "number", value: -3.5 },
        eventTime: day(0, 6),
      },
      { key: { value: { joinKeys: { airport: "SFO", flight: "7" } } }, eventTime: day(1) },
    ]);
  });

  it("leaves bad lines out, each by its place, and answers 8", async () => {
    const server = useLabels(({ row }) => (row === 9 ? Outcome.NO_SUCH_ROW : Outcome.JOINED));
    const lines = ["a,0,1.5", "b,x,2", ",0,3", "c,9,4", "d,0,four", "e,0,", "f,0,1,1"];
    const path = file("bad.csv", `inference_id,row,number\n${lines.join("\n")}\n`);
    const address = await server.address;
    const { code, stdout, stderr } = await plinth(["monitor", "labels", "flights", path], {
      address,
    });
    expect({ code, stdout }).toEqual({
      code: 8,
      stdout: "2 labels of flights were taken: 1 joined, 1 name no row, 5 bad rows left out.\n",
    });
    for (const text of [
      'row 2 (line 3) is skipped: row: expected a whole number from 0, got "x"',
      "row 3 (line 4) is skipped: inference_id: no value",
      "row 4 (line 5) is skipped: its prediction has no such row",
      'row 5 (line 6) is skipped: number: expected a number, got "four"',
      "row 6 (line 7) is skipped: number: no value",
      "row 7 (line 8) is skipped: 4 cells, expected 3",
    ]) {
      expect(stderr).toContain(text);
    }
    const stopped = await plinth(
      ["monitor", "labels", "flights", path, "--bad-rows", "reject", "--batch-size", "1"],
      { address },
    );
    expect(stopped).toMatchObject({ code: 4, stdout: "" });
    expect(stopped.stderr).toContain("row 2 (line 3): row: expected a whole number");
    expect(stopped.stderr).toContain("1 label of flights was taken.");
  });

  it("sends again what a broken stream had no answer for, and nothing else", async () => {
    let streams = 0;
    const seen: string[] = [];
    const answered: string[] = [];
    const address = await useMonitoring({
      async *streamGroundTruth(stream) {
        streams += 1;
        let batches = 0;
        for await (const { request } of stream) {
          batches += 1;
          const ids = request!.labels.map(({ key }) => String(key.value));
          seen.push(...ids);
          // The first stream breaks at its third batch, the second before its first answer.
          if ((streams === 1 && batches === 3) || streams === 2) {
            throw new Unavailable("going down", { reason: ErrorReason.DRAINING, retryAfterMs: 0 });
          }
          answered.push(...ids);
          yield { response: { outcomes: ids.map(() => Outcome.JOINED) } };
        }
      },
    });
    const ids = Array.from({ length: 57 }, (_, index) => `id-${index}`);
    const path = file("many.csv", `inference_id,label\n${ids.map((id) => `${id},x`).join("\n")}\n`);
    const words = ["monitor", "labels", "flights", path, "--batch-size", "5"];
    const { code, stdout } = await plinth(words, { address });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: "57 labels of flights were taken: 57 joined.\n",
    });
    expect(streams).toBe(3);
    expect(answered).toEqual(ids);
    expect(seen.length).toBeGreaterThan(ids.length);
  });

  it("names the lines that the server refuses", async () => {
    const address = await useMonitoring({
      async *streamGroundTruth(stream) {
        let batches = 0;
        for await (const { request } of stream) {
          batches += 1;
          if (batches === 2) {
            throw new InvalidArgument("Some labels do not fit.", {
              reason: ErrorReason.INVALID_FIELD,
              violations: [{ field: "labels[1].number", description: "the task wants classes" }],
            });
          }
          yield { response: { outcomes: request!.labels.map(() => Outcome.JOINED) } };
        }
      },
    });
    const path = file("refused.csv", "inference_id,label\na,1\nb,2\nc,3\nd,4\n");
    const words = ["monitor", "labels", "flights", path, "--batch-size", "2"];
    const { code, stdout, stderr } = await plinth(words, { address });
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toBe(
      "error: The server refused some labels.\n" +
        "  - row 4 (line 5): number: the task wants classes\n" +
        "  2 labels of flights were taken.\n" +
        "  Run the same command again: a label that is there already changes nothing.\n",
    );
  });

  it.each([
    ["a,b\n1,2\n", "", "No column of the input says what was right: label or number."],
    ["label\n1\n", "", "No column of the input says which prediction"],
    ["airport,label\nATL,1\n", "", "No column of the input says when: event_time"],
    ["inference_id,label\n1,2\n", "--id-column infernce_id", 'Did you mean "inference_id"?'],
    ["inference_id,label\n", "", "The input has no rows."],
  ])("says what %j lacks", async (input, flags, says) => {
    const server = useLabels();
    const more = flags === "" ? [] : flags.split(" ");
    const { code, stdout, stderr } = await plinth(["monitor", "labels", "flights", "-", ...more], {
      address: await server.address,
      input,
    });
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toContain(says);
    expect(server.labels()).toEqual([]);
  });
});
