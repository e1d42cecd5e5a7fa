// `plinth predict` for many rows: one stream, and what is told when it breaks.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { PredictRequest } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { InvalidArgument, ResourceExhausted, Unavailable } from "../common/errors/domain-error.ts";
import { toStatus } from "../common/errors/status.ts";
import { fileFolder, plinth, startPlinth } from "./testing.ts";
import { answer, double, doubled, HEAD, numbersFile, useDouble } from "./testing-double.ts";

const folder = fileFolder();

describe("predict, many rows", () => {
  it("streams them in input order, within the window", async () => {
    let most = 0;
    let waiting = 0;
    const address = await useDouble({
      async *streamPredict(requests) {
        const queue: PredictRequest[] = [];
        const reading = (async () => {
          for await (const { request } of requests) {
            queue.push(request!);
            waiting += 1;
            most = Math.max(most, waiting);
          }
        })();
        let done = false;
        void reading.finally(() => {
          done = true;
        });
        while (!done || queue.length > 0) {
          const next = queue.shift();
          if (next !== undefined) {
            yield answer(next);
            waiting -= 1;
          }
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
      },
    });
    const file = numbersFile(join(folder, "many.csv"), 5000);
    const words = ["predict", "double", "--file", file, "--format", "csv"];
    const window = ["--in-flight", "3", "--batch-rows", "100"];
    const { code, stdout, stderr } = await plinth([...words, ...window], { address });
    expect(code).toBe(0);
    expect(stdout).toBe(HEAD + doubled(1, 5000));
    expect(stderr).toMatch(/^5,000 rows \([\d,]+ rows\/s\) answered by double\/1\.\n$/);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
  });

  it("tells how far it came when the stream breaks, and goes on from there as advised", async () => {
    let streams = 0;
    const seen: number[] = [];
    const address = await useDouble({
      async *streamPredict(requests) {
        streams += 1;
        let answers = 0;
        for await (const { request } of requests) {
          if (streams === 1 && answers === 4) {
            throw new Unavailable("The server is being replaced.", {
              reason: ErrorReason.DRAINING,
              retryAfterMs: 10,
            });
          }
          answers += 1;
          seen.push(Number(request?.rows[0]?.x));
          yield answer(request!);
        }
      },
    });
    const file = numbersFile(join(folder, "broken.csv"), 1000);
    const output = join(folder, "broken-out.csv");
    const words = ["predict", "double", "--file", file, "-o", output, "--batch-rows", "100"];
    const first = await plinth(words, { address });
    expect(first.code).toBe(5);
    expect(first.stderr).toContain("The stream broke: The server is being replaced.");
    expect(first.stderr).toContain(`400 rows were answered and written to ${output}.`);
    expect(readFileSync(output, "utf8")).toBe(HEAD + doubled(1, 400));
    expect(streams).toBe(1);
    const advice = /^ {4}plinth (predict .* --skip-rows 400 --append)$/m.exec(first.stderr)?.[1];
    const again = await plinth(advice!.split(" "), { address });
    expect(again.code).toBe(0);
    expect(readFileSync(output, "utf8")).toBe(HEAD + doubled(1, 1000));
    expect(seen).toEqual([1, 101, 201, 301, 401, 501, 601, 701, 801, 901]);
  });

  it("does not replace a result by one without its first rows", async () => {
    const output = join(folder, "kept.csv");
    writeFileSync(output, "precious\n");
    const file = numbersFile(join(folder, "rest.csv"), 10);
    const words = ["predict", "double", "--file", file, "-o", output, "--skip-rows", "5"];
    const { code, stderr } = await plinth(words, { address: await useDouble() });
    expect(code).toBe(2);
    expect(stderr).toContain("Add --append");
    expect(readFileSync(output, "utf8")).toBe("precious\n");
  });

  it("stops at a bad row after what came before it was answered and written", async () => {
    const address = await useDouble();
    const output = join(folder, "stopped.csv");
    const unreadable = numbersFile(join(folder, "unreadable.csv"), 1000, { 700: "1,2" });
    const words = ["predict", "double", "-o", output, "--batch-rows", "100", "--file"];
    const first = await plinth([...words, unreadable], { address });
    expect(first.code).toBe(4);
    expect(first.stderr).toContain("row 700 (line 701) cannot be read: 2 cells, expected 1");
    expect(readFileSync(output, "utf8")).toBe(HEAD + doubled(1, 699));
    const refused = numbersFile(join(folder, "refused.csv"), 1000, { 450: "x" });
    const second = await plinth([...words, refused], { address });
    expect(second.code).toBe(4);
    expect(second.stderr).toContain("The server refused row 450 (line 451).");
    expect(second.stderr).toContain("--skip-rows 400 --append");
    expect(readFileSync(output, "utf8")).toBe(HEAD + doubled(1, 400));
  });

  it("leaves out refused rows and keeps the order of the others", async () => {
    const file = numbersFile(join(folder, "holes.csv"), 1000, {
      1: "a",
      150: "b",
      151: "c",
      1000: "1,2",
    });
    const words = ["predict", "double", "--file", file, "--format", "csv", "--on-error", "skip"];
    const address = await useDouble();
    const { code, stdout, stderr } = await plinth([...words, "--batch-rows", "100"], { address });
    expect(code).toBe(8);
    expect(stdout).toBe(HEAD + doubled(1, 1000, [1, 150, 151, 1000]));
    expect(stderr).toContain("4 bad rows were skipped.");
  });

  it("finds a row that the server refuses without naming it, by halving", async () => {
    const blunt = (request: PredictRequest) => {
      if (request.rows.some(({ x }) => typeof x !== "number")) {
        throw new InvalidArgument("The input does not fit.", { reason: ErrorReason.INVALID_FIELD });
      }
      return double(request);
    };
    const address = await useDouble({
      async predict(request) {
        return blunt(request);
      },
      async *streamPredict(requests) {
        for await (const { request } of requests) {
          try {
            yield { id: request!.id, result: { case: "response", value: blunt(request!) } };
          } catch (error) {
            yield { id: request!.id, result: { case: "error", value: toStatus(error) } };
          }
        }
      },
    });
    const file = numbersFile(join(folder, "blunt.csv"), 600, { 333: "x" });
    const words = ["predict", "double", "--file", file, "--format", "csv", "--on-error", "skip"];
    const { code, stdout, stderr } = await plinth(words, { address });
    expect(code).toBe(8);
    expect(stdout).toBe(HEAD + doubled(1, 600, [333]));
    expect(stderr).toContain("row 333 (line 334) is skipped: The input does not fit.");
  });

  it("sends a batch again when the server was full, and says so", async () => {
    let refusals = 0;
    const full = new ResourceExhausted("The queue is full.", {
      reason: ErrorReason.OVERLOADED,
      retryAfterMs: 1,
    });
    const address = await useDouble({
      async *streamPredict(requests) {
        for await (const { request } of requests) {
          if (request!.id.endsWith("-2") && refusals === 0) {
            refusals += 1;
            yield { id: request!.id, result: { case: "error", value: toStatus(full) } };
          } else {
            yield answer(request!);
          }
        }
      },
    });
    const file = numbersFile(join(folder, "full.csv"), 1000);
    const { code, stdout, stderr } = await plinth(
      ["predict", "double", "--file", file, "--format", "csv"],
      { address },
    );
    expect({ code, stdout }).toEqual({ code: 0, stdout: HEAD + doubled(1, 1000) });
    expect(stderr).toContain("The server is full: 256 rows from row 257 (line 258) are sent again");
  });

  it("refuses an answer that has too few predictions instead of shifting rows", async () => {
    const address = await useDouble({
      async *streamPredict(requests) {
        for await (const { request } of requests) {
          const predictions = (double(request!).predictions ?? []).slice(1);
          yield { id: request!.id, result: { case: "response", value: { predictions } } };
        }
      },
    });
    const file = numbersFile(join(folder, "short.csv"), 1000);
    const words = ["predict", "double", "--file", file, "--format", "csv"];
    const { code, stdout, stderr } = await plinth(words, { address });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("255 predictions for 256 rows");
  });

  it("is cancelled by Ctrl-C: tells how far it came and answers 130", async () => {
    let cancelled = false;
    const address = await useDouble({
      async *streamPredict(requests, { signal }) {
        signal.addEventListener("abort", () => {
          cancelled = true;
        });
        let answers = 0;
        for await (const { request } of requests) {
          if (answers === 2) {
            await new Promise((_resolve, reject) => {
              signal.addEventListener("abort", () => reject(signal.reason));
            });
          }
          answers += 1;
          yield answer(request!);
        }
      },
    });
    const file = numbersFile(join(folder, "ctrl-c.csv"), 2000);
    const output = join(folder, "ctrl-c-out.csv");
    const words = ["predict", "double", "--file", file, "-o", output];
    const { child, outcome } = startPlinth(words, { address });
    while (sizeOf(output) < (HEAD + doubled(1, 512)).length) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    child.kill("SIGINT");
    const { code, stderr } = await outcome;
    expect(code).toBe(130);
    expect(stderr).toContain(`512 rows were answered and written to ${output}.`);
    expect(stderr).toContain("--skip-rows 512 --append");
    expect(readFileSync(output, "utf8")).toBe(HEAD + doubled(1, 512));
    expect(cancelled).toBe(true);
  });

  it("ends without a word when the reader of its pipe has seen enough", async () => {
    const file = numbersFile(join(folder, "head.csv"), 20_000);
    const words = ["predict", "double", "--file", file, "--format", "ndjson"];
    const { child, outcome } = startPlinth(words, { address: await useDouble() });
    child.stdout?.once("data", () => child.stdout?.destroy());
    const { code, stderr } = await outcome;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it("closes a JSON result that could not be finished, and says that it is not complete", async () => {
    const file = numbersFile(join(folder, "json.csv"), 1000, { 400: "x" });
    const words = ["predict", "double", "--file", file, "--json", "--batch-rows", "100"];
    const { code, stdout, stderr } = await plinth(words, { address: await useDouble() });
    expect(code).toBe(4);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ rows: 300, complete: false });
    expect(result.predictions).toHaveLength(300);
    expect(JSON.parse(stderr)).toMatchObject({ error: { exitCode: 4 } });
  });

  it("does not start when the result cannot be written", async () => {
    mkdirSync(join(folder, "taken.csv"));
    const file = numbersFile(join(folder, "taken-in.csv"), 1000);
    const words = ["predict", "double", "--file", file, "-o", join(folder, "taken.csv")];
    const { code, stderr } = await plinth(words, { address: await useDouble() });
    expect(code).toBe(4);
    expect(stderr).toContain("is a folder, not a file");
  });
});

function sizeOf(path: string): number {
  try {
    return readFileSync(path).length;
  } catch {
    return 0;
  }
}
