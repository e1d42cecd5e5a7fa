// For tests: a prediction server whose model doubles `x`, and files of numbers for it.

import { writeFileSync } from "node:fs";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import {
  InferenceService,
  type PredictRequest,
  type PredictResponseSchema,
} from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { InvalidArgument } from "../common/errors/domain-error.ts";
import { toStatus } from "../common/errors/status.ts";
import { bindService, type ServiceHandlers } from "../common/rpc/context.ts";
import { useServer } from "./testing.ts";

/** Handlers of the inference service. */
export type Handlers = ServiceHandlers<typeof InferenceService>;

/** Answers 2x for each row; a row whose x is no number is refused by its place in the request. */
export function double(request: PredictRequest): MessageInitShape<typeof PredictResponseSchema> {
  const violations = request.rows.flatMap(({ x }, index) =>
    typeof x === "number" ? [] : [{ field: `rows[${index}].x`, description: "expected a number" }],
  );
  if (violations.length > 0) {
    throw new InvalidArgument("Some rows do not fit.", {
      reason: ErrorReason.TENSOR_MISMATCH,
      violations,
    });
  }
  return {
    id: request.id,
    modelVersion: "workspaces/default/models/double/versions/1",
    predictions: request.rows.map(({ x }) => ({ outputs: { y: Number(x) * 2 } })),
  };
}

/** The answer in a stream. */
export function answer(request: PredictRequest) {
  try {
    const value = double(request);
    return { id: request.id, result: { case: "response" as const, value } };
  } catch (error) {
    return { id: request.id, result: { case: "error" as const, value: toStatus(error) } };
  }
}

const well: Handlers = {
  async predict(request) {
    return double(request);
  },
  async *streamPredict(requests) {
    for await (const { request } of requests) {
      yield answer(request!);
    }
  },
};

/** A server that doubles, but for these handlers; ends with the test. */
export function useDouble(handlers: Partial<Handlers> = {}): Promise<string> {
  return useServer(bindService(InferenceService, { ...well, ...handlers }));
}

/** A CSV file of x = 1 to count, with the lines in `bad` instead of theirs. */
export function numbersFile(
  path: string,
  count: number,
  bad: Readonly<Record<number, string>> = {},
): string {
  const lines = Array.from({ length: count }, (_, index) => bad[index + 1] ?? `${index + 1}`);
  writeFileSync(path, `x\n${lines.join("\n")}\n`);
  return path;
}

/** The csv result that `double` gives for rows from..to. */
export function doubled(from: number, to: number, without: readonly number[] = []): string {
  const version = "workspaces/default/models/double/versions/1";
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
    .filter((row) => !without.includes(row))
    .map((row) => `${row},${row * 2},${version}\n`)
    .join("");
}

/** The first line of a csv result. */
export const HEAD = "row,y,model_version\n";
