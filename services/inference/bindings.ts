// What the inference service offers over an engine, ready to be put behind a server.

import type { Clock } from "../common/clock.ts";
import type { Channel } from "../common/rpc/client.ts";
import type { CallContext, ServiceBinding } from "../common/rpc/context.ts";
import type { InferenceConfig } from "./config.ts";
import type { Engine } from "./engine.ts";
import { FeatureReader } from "./predict/feature-rows.ts";
import { featureSource } from "./predict/feature-source.ts";
import { predictBinding } from "./predict/predict.ts";
import { openInferenceBinding } from "./protocol/open-inference.ts";
import { AnswerProver } from "./verifiable/answer-prover.ts";
import { proofSource } from "./verifiable/proof-source.ts";

export interface InferenceBindingOptions {
  /** Of this server, as ServerMetadata says it. */
  readonly serverVersion: string;
  readonly config: Omit<InferenceConfig, "engine" | "capture" | "receipts">;
  readonly clock: Clock;
  /** To the features service, with the credential of a service. Absent: none is set. */
  readonly features?: Channel | undefined;
  /** To the proofs service, with the same credential. Absent: none is set. */
  readonly proofs?: Channel | undefined;
  /**
   * Called with errors inside a stream that nobody foresaw, once each; the stream answers INTERNAL
   * and goes on. For the log.
   */
  readonly onUnforeseen: (error: unknown, context: CallContext) => void;
}

/** inference.GRPCInferenceService and plinth.inference.v1.InferenceService. */
export function inferenceBindings(
  engine: Engine,
  options: InferenceBindingOptions,
): ServiceBinding[] {
  const { config, clock, onUnforeseen, serverVersion } = options;
  const source =
    options.features === undefined ? undefined : featureSource(options.features, clock);
  const proofs = options.proofs === undefined ? undefined : proofSource(options.proofs, clock);
  const shared = {
    clock,
    onUnforeseen,
    streamWindow: {
      requestsMax: config.streamRequestsMax,
      bytesMax: config.streamBytesMax,
      shared: { bytes: 0, max: config.streamsBytesMax },
    },
  };
  return [
    openInferenceBinding(engine, {
      ...shared,
      serverVersion,
      requestRowsMax: config.requestRowsMax,
    }),
    predictBinding(engine, {
      ...shared,
      features: new FeatureReader(source, clock),
      prover: new AnswerProver(proofs, clock),
    }),
  ];
}
