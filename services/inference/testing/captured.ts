// For tests of capturing: a version that nobody loaded, and inferences that no model ran.

import { ROOT_CONTEXT } from "@opentelemetry/api";
import type { CaptureIdentity } from "../capture/capture-buffer.ts";
import type { VersionCapture } from "../capture/version-capture.ts";
import type { InferRequest, InferResult, Servable } from "../engine.ts";
import type { Tensor } from "../tensor.ts";

/** x FP32 [N, 2] named a and b, y FP32 [N]. */
export const servable: Servable = {
  modelVersion: "workspaces/w/models/m/versions/1",
  version: "1",
  modelDigest: "0".repeat(64),
  signature: {
    inputs: [{ name: "x", datatype: "FP32", shape: [-1, 2] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [-1] }],
  },
  batched: true,
  maxBatchRows: 64,
  columns: ["a", "b"],
  classLabels: [],
  featureService: undefined,
  proofs: { verifiable: false, receipts: false },
};

export const identity: CaptureIdentity = {
  deployment: "workspaces/w/deployments/d",
  deploymentUid: "uid-d",
  modelVersionUid: "uid-m-1",
  servable,
};

/** A request and its answer; every value is the number. */
export function inference(
  id: string,
  value: number,
  options: { readonly rows?: number; readonly request?: Partial<InferRequest> } = {},
): readonly [InferRequest, InferResult] {
  const { rows = 1, request = {} } = options;
  const filled = (count: number): Uint8Array =>
    new Uint8Array(new Float32Array(count).fill(value).buffer);
  const x: Tensor = { name: "x", datatype: "FP32", shape: [rows, 2], data: filled(2 * rows) };
  const y: Tensor = { name: "y", datatype: "FP32", shape: [rows], data: filled(rows) };
  return [
    {
      id,
      servable,
      inputs: [x],
      outputs: [0],
      rows,
      priority: 5,
      deadlineMs: 0,
      trace: ROOT_CONTEXT,
      ...request,
    },
    { outputs: [y], queueMs: 0.5, computeMs: 0.25, batchRows: rows },
  ];
}

/** Records inferences of one row with these ids. */
export function recordIds(version: VersionCapture, ids: readonly string[], value = 1): void {
  for (const id of ids) {
    version.record(...inference(id, value), { arrivedMs: 1_000_000, batched: true });
  }
}

/** "a0", "a1" ... */
export function idsOf(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}
