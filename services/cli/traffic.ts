// `--model churn/3=90` and `--shadow churn/4=0.1`: targets of a deployment as people type and read
// them.

import type { DeploymentConfig } from "../../gen/plinth/registry/v1/deployment_pb.js";
import { UsageError } from "./exit-codes.ts";
import { parseVersion, shortName } from "./version-reference.ts";

const WEIGHT_MAX = 1_000_000;

export interface Target {
  readonly modelVersion: string;
  readonly weight: number;
}

export interface Shadow {
  readonly modelVersion: string;
  readonly sampleRate: number;
}

/** One live target; the weight is 1 when none is given. */
export function parseTarget(text: string, workspace: string): Target {
  const { reference, share } = split(text);
  const weight = share === undefined ? 1 : Number(share);
  if (share === "" || !Number.isInteger(weight) || weight < 0 || weight > WEIGHT_MAX) {
    throw new UsageError(
      `--model must look like churn/3=90, the weight a whole number up to ${WEIGHT_MAX}; got "${text}".`,
    );
  }
  return { modelVersion: parseVersion(reference, workspace), weight };
}

/** One shadow; it gets a copy of every request when no rate is given. */
export function parseShadow(text: string, workspace: string): Shadow {
  const { reference, share } = split(text);
  const sampleRate = share === undefined ? 1 : Number(share);
  if (share === "" || !(sampleRate >= 0 && sampleRate <= 1)) {
    throw new UsageError(
      `--shadow must look like churn/4=0.1, the rate a number from 0 to 1; got "${text}".`,
    );
  }
  return { modelVersion: parseVersion(reference, workspace), sampleRate };
}

/** "churn/2 90%, churn/3 10%" */
export function trafficText(config: DeploymentConfig | undefined): string {
  const targets = config?.targets ?? [];
  const sum = targets.reduce((total, target) => total + target.weight, 0);
  return targets
    .map(({ modelVersion, weight }) => `${shortName(modelVersion)} ${percent(weight / sum)}`)
    .join(", ");
}

/** "churn/4 10%" */
export function shadowText(config: DeploymentConfig | undefined): string {
  return (config?.shadows ?? [])
    .map(({ modelVersion, sampleRate }) => `${shortName(modelVersion)} ${percent(sampleRate)}`)
    .join(", ");
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(3))}%`;
}

function split(text: string): { readonly reference: string; readonly share: string | undefined } {
  const at = text.lastIndexOf("=");
  return at < 0
    ? { reference: text, share: undefined }
    : { reference: text.slice(0, at), share: text.slice(at + 1) };
}
