// What the registry tells the people who run it: one function per business event, each a count or a
// duration and a log record. None of them throws.

import { counter, histogram } from "../common/telemetry/instruments.ts";
import type { Logger } from "../common/telemetry/log.ts";
import type { Approval } from "./model-version.ts";

const versions = counter({
  name: "plinth.registry.model_versions",
  unit: "{version}",
  description: "Model versions registered.",
});
const validations = histogram({
  name: "plinth.registry.validation.duration",
  unit: "s",
  description: "Time to load and try a model version, by outcome.",
  // From a small model on an idle machine to the longest time an operator may allow.
  boundaries: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600],
});
const interruptions = counter({
  name: "plinth.registry.validation.interruptions",
  unit: "{attempt}",
  description: "Validations that ended without a verdict and will be repeated.",
});
const uploaded = counter({
  name: "plinth.registry.upload.bytes",
  unit: "By",
  description: "Bytes of model files received.",
});
const decisions = counter({
  name: "plinth.registry.approvals",
  unit: "{decision}",
  description: "Approvals and rejections of model versions.",
});
const changes = counter({
  name: "plinth.registry.deployment_changes",
  unit: "{change}",
  description: "Deployments created, updated, rolled back and deleted.",
});
const freed = counter({
  name: "plinth.registry.artifacts_freed",
  unit: "{artifact}",
  description: "Model files whose bytes were removed because nothing referred to them.",
});
const sweepFailures = counter({
  name: "plinth.registry.sweep_failures",
  unit: "{sweep}",
  description: "Sweeps that could not be finished and will be repeated.",
});

export interface RegistryEvents {
  modelVersionRegistered(name: string): void;
  /** `outcome` is READY or the reason of the failure. */
  modelVersionValidated(
    name: string,
    result: { readonly outcome: string; readonly message: string; readonly durationMs: number },
  ): void;
  /** The attempt said nothing of the model: the sandbox, the store or the disk failed. */
  validationInterrupted(name: string, error: unknown): void;
  bytesUploaded(bytes: number): void;
  modelVersionDecided(name: string, approval: Approval, actor: string): void;
  deploymentChanged(
    name: string,
    kind: "created" | "updated" | "rolled_back" | "deleted",
    actor: string,
  ): void;
  artifactFreed(digest: string): void;
  sweepFailed(error: unknown): void;
}

/** The events of one registry, written to its log. */
export function createEvents(log: Logger): RegistryEvents {
  return {
    modelVersionRegistered(name) {
      versions.bind({}).add(1);
      log.info("Model version registered.", { "plinth.model_version": name });
    },
    modelVersionValidated(name, { outcome, message, durationMs }) {
      validations.bind({ "plinth.outcome": outcome }).record(durationMs / 1000);
      log.info("Model version validated.", {
        "plinth.model_version": name,
        "plinth.outcome": outcome,
        "plinth.message": message,
        "plinth.duration_ms": Math.round(durationMs),
      });
    },
    validationInterrupted(name, error) {
      interruptions.bind({}).add(1);
      log.warn("Validation interrupted; it will be repeated.", {
        "plinth.model_version": name,
        error,
      });
    },
    bytesUploaded(bytes) {
      uploaded.bind({}).add(bytes);
    },
    modelVersionDecided(name, approval, actor) {
      decisions.bind({ "plinth.approval": approval }).add(1);
      log.info("Model version decided.", {
        "plinth.model_version": name,
        "plinth.approval": approval,
        "plinth.actor": actor,
      });
    },
    deploymentChanged(name, kind, actor) {
      changes.bind({ "plinth.change": kind }).add(1);
      log.info("Deployment changed.", {
        "plinth.deployment": name,
        "plinth.change": kind,
        "plinth.actor": actor,
      });
    },
    artifactFreed(digest) {
      freed.bind({}).add(1);
      log.info("Artifact freed.", { "plinth.artifact": digest });
    },
    sweepFailed(error) {
      sweepFailures.bind({}).add(1);
      log.warn("Sweep failed; it will be repeated.", { error });
    },
  };
}
