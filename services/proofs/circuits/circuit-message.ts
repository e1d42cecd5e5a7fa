// A circuit as the API shows it. Pure.

import { fromJson, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { CalibrationReportSchema } from "../../../gen/plinth/proofs/v1/calibration_pb.js";
import {
  CircuitReportSchema,
  type CircuitSchema,
  type ContributionSchema,
  type KeySetupSchema,
  KeySetup_Protocol as Protocol,
  Circuit_State as State,
} from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import type { Stored } from "../../common/documents/port.ts";
import { durationOf } from "../../common/duration.ts";
import { statusOf } from "../../common/jobs/job-error.ts";
import { type Circuit, isDevelopment, isReady, type KeyDocument } from "./circuit.ts";
import { circuitEtag } from "./circuit-store.ts";
import { optionsOf } from "./options-of.ts";

/** What a Groth16 proof takes on two cores, about: so much, and so much more a constraint. */
const PROVE_BASE_MS = 25;
const PROVE_CONSTRAINT_MS = 0.032;

/** Where the making of a circuit is. */
export function stateOf(circuit: Circuit): State {
  switch (circuit.state) {
    case "QUEUED":
      return State.QUEUED;
    case "RUNNING":
      return circuit.compiled === null ? State.COMPILING : State.SETTING_UP;
    case "SUCCEEDED":
      return isReady(circuit) ? State.READY : State.AWAITING_CONTRIBUTIONS;
    case "FAILED":
      return State.FAILED;
    case "CANCELLED":
      return State.CANCELLED;
  }
}

/** The message. `isBrief`: without layers and headroom, as lists show it. */
export function circuitMessage(
  circuit: Stored<Circuit>,
  { isBrief = false }: { readonly isBrief?: boolean } = {},
): MessageInitShape<typeof CircuitSchema> {
  const { compiled, key, progress, error } = circuit;
  return {
    name: circuit._id,
    uid: circuit.uid,
    createTime: timestampFromDate(circuit.createTime),
    updateTime: timestampFromDate(circuit.updateTime),
    etag: circuitEtag(circuit),
    state: stateOf(circuit),
    ...(circuit.state === "RUNNING" && progress !== null ? { progress: progressOf(progress) } : {}),
    ...(circuit.state === "FAILED" && error !== null ? { error: statusOf(error) } : {}),
    options: optionsOf(circuit.options),
    active: circuit.active,
    modelDigest: circuit.modelDigest,
    modelCommitment: compiled?.model ?? "",
    circuitHash: compiled?.constraints ?? "",
    schemaHash: compiled?.schemaHash ?? "",
    verifyingKeyHash: key?.record.verifyingKeyHash ?? "",
    ...(compiled === null
      ? {}
      : {
          calibration: calibrationOf(compiled.calibration, isBrief),
          report: reportOf(circuit, compiled.report, isBrief),
        }),
    ...(key === null ? {} : { setup: setupOf(key, isDevelopment(circuit)) }),
    actor: circuit.actor,
  };
}

function progressOf({ phase, done, total }: NonNullable<Circuit["progress"]>) {
  return { phase, done, total };
}

function calibrationOf(stored: JsonObject, isBrief: boolean) {
  const message = fromJson(CalibrationReportSchema, stored, { ignoreUnknownFields: true });
  return isBrief ? { ...message, layers: [] } : message;
}

function reportOf(circuit: Circuit, stored: JsonObject, isBrief: boolean) {
  const { key, proveMs } = circuit;
  const message = fromJson(CircuitReportSchema, stored, { ignoreUnknownFields: true });
  const expectedMs = proveMs.length > 0 ? medianOf(proveMs) : estimateMs(circuit, message);
  return {
    ...message,
    ...(isBrief ? { headroom: [] } : {}),
    keyBytes: BigInt(key?.record.zkeyBytes ?? 0),
    ...(expectedMs === undefined ? {} : { proveTime: durationOf(expectedMs) }),
    proofsMeasured: proveMs.length,
    ...(key === null ? {} : { setupTime: durationOf(key.setupMs) }),
  };
}

/** Undefined with PLONK, whose cost does not follow from the constraints. */
function estimateMs(
  { key }: Circuit,
  { constraints }: { readonly constraints: bigint },
): number | undefined {
  return key?.record.protocol === "plonk"
    ? undefined
    : PROVE_BASE_MS + PROVE_CONSTRAINT_MS * Number(constraints);
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function setupOf(
  { record, contributionTimes, verified }: KeyDocument,
  development: boolean,
): MessageInitShape<typeof KeySetupSchema> {
  return {
    protocol: record.protocol === "plonk" ? Protocol.PLONK : Protocol.GROTH16,
    development,
    keyHash: record.zkeyHash,
    powersOfTauHash: record.ptauHash ?? "",
    contributions: record.contributions.map((contribution, i) =>
      contributionOf(contribution, contributionTimes[i]),
    ),
    verified,
  };
}

function contributionOf(
  {
    name,
    kind,
    hash,
    beaconHash,
    beaconIterations,
  }: KeyDocument["record"]["contributions"][number],
  time: Date | undefined,
): MessageInitShape<typeof ContributionSchema> {
  return {
    name,
    beacon: kind === "beacon",
    hash,
    beaconHash: beaconHash ?? "",
    beaconIterations: beaconIterations ?? 0,
    ...(time === undefined ? {} : { time: timestampFromDate(time) }),
  };
}
