// For tests: the mean of three columns, proved by a circuit that rounds it to quarters, behind a
// real server over the test engine.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InferenceService } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { createClient } from "../../common/rpc/client.ts";
import type { ProofSettings } from "../engine.ts";
import { ComputingEngine, type TestModel } from "./computing-engine.ts";
import { cells, SERVICE } from "./entities.ts";
import { TestFeatures } from "./test-features.ts";
import { meanModel } from "./test-models.ts";
import { type TestCircuit, TestProofs } from "./test-proofs.ts";
import { useServer } from "./use-server.ts";

/** Refuses what is above 1, as a circuit refuses what it was not calibrated for. */
export const roundedMean: TestCircuit = ({ features = [] }, row) => {
  const above = features.findIndex((value) => value > 1);
  if (above >= 0) {
    const field = `rows[${row}].features[${above}]`;
    const description = `${field} is ${features[above]}; this circuit takes 0 to 1`;
    throw new InvalidArgument(`${description}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field, description }],
    });
  }
  const quarters = Math.round((features.reduce((sum, value) => sum + value, 0) / 3) * 4);
  const classIndex = quarters > 2 ? 1n : 0n;
  return {
    name: "probabilities",
    shape: [2n],
    integers: [String(4 - quarters), String(quarters)],
    scaleBits: 2,
    values: [1 - quarters / 4, quarters / 4],
    classIndex,
    classLabel: ["benign", "malignant"][Number(classIndex)]!,
  };
};

/** The float model says 0.6875 and malignant, the circuit 0.75. */
export const ROW = { radius: 0.8125, texture: 0.5, "mean area": 0.75 };

/** The deployment `mean` with these settings, features for it, and a proofs service. */
export async function useProofs(
  options: {
    readonly settings?: Partial<ProofSettings>;
    readonly models?: readonly TestModel[];
    readonly serves?: boolean;
    readonly circuit?: TestCircuit;
  } = {},
) {
  const settings = options.settings ?? { verifiable: true };
  const { circuit = roundedMean, serves = true } = options;
  const proofs = await TestProofs.start(circuit, { serves });
  const features = await TestFeatures.start(cells);
  const mean: TestModel = { ...meanModel, featureService: SERVICE, proofs: settings };
  const engine = new ComputingEngine([mean, ...(options.models ?? [])]);
  const channel = await useServer(engine, { features: features.channel, proofs: proofs.channel });
  const client = createClient(InferenceService, channel);
  return { proofs, engine, client };
}

/** Waits until something holds; the test's own limit ends it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
