// Takes a request for a circuit in. All that can be known to be wrong is said to the caller at once;
// the version is pinned here.

import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type CircuitOptions,
  CircuitOptionsSchema,
  CircuitOptions_Setup as Setup,
} from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import {
  type CreateCircuitRequest,
  CreateCircuitRequestSchema,
} from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { withKey } from "../../common/documents/keyed-lock.ts";
import type { Stored } from "../../common/documents/port.ts";
import { requestStamp } from "../../common/documents/request-stamp.ts";
import { NotFound, ResourceExhausted } from "../../common/errors/domain-error.ts";
import type { NewJob } from "../../common/jobs/job-store.ts";
import { circuitName, modelVersionName } from "../../common/names.ts";
import { RESOURCE_ID, RequestFaults } from "../../common/request-faults.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import { calibrationBytes, checkCalibration } from "./calibration-of.ts";
import type { Circuit } from "./circuit.ts";
import { ACTIVE_ID } from "./circuit-store.ts";
import type { CircuitDeps } from "./deps.ts";
import { developmentRefused } from "./development-key.ts";
import { type ModelSource, type SourceVersion, tooLarge } from "./model-source.ts";
import { checkOptions, storedOptions, withDefaults } from "./options-of.ts";

/** Circuits of a workspace that wait to be made; each may take minutes. */
const WAITING_MAX = 100;
const RETRY_FULL_MS = 60_000;

export type CreateDeps = Pick<CircuitDeps, "circuits" | "config" | "files" | "powersOfTau"> & {
  readonly models: ModelSource;
};

/**
 * Stores the circuit, QUEUED; a replay gives the first one.
 *
 * @throws InvalidArgument; NotFound; AlreadyExists; FailedPrecondition where the version is not
 *   READY or too large, or a development key is asked for in production; ResourceExhausted
 */
export async function createCircuit(
  deps: CreateDeps,
  request: CreateCircuitRequest,
  context: CallContext,
): Promise<Stored<Circuit>> {
  const { parent, circuitId, requestId, calibration } = request;
  const { workspace } = modelVersionName.parse(parent, "parent");
  requireWorkspace(context.principal, workspace);
  const asked = request.options ?? create(CircuitOptionsSchema);
  check(request, asked, workspace);
  const stamp = requestStamp({
    method: CreateCircuitRequestSchema.typeName,
    parent,
    requestId,
    bytes: toBinary(CreateCircuitRequestSchema, request),
  });
  const replayed = await deps.circuits.jobs.findReplayed(stamp);
  if (replayed !== undefined) {
    return replayed;
  }
  const options = withDefaults(asked);
  const version = await requireSource(deps, { parent, workspace, options }, context);
  const uid = randomUUID();
  const circuit = circuitId === "" ? `circuit-${uid.slice(0, 13)}` : circuitId;
  const job: NewJob<Circuit> = {
    name: nameOf(version.name, circuit),
    uid,
    workspace,
    actor: context.principal.id,
    stamp,
    modelVersion: version.name,
    modelVersionUid: version.uid,
    modelDigest: version.digest,
    options: storedOptions(options),
    calibrationData:
      calibration === undefined ? null : await deps.files.storeBytes(calibrationBytes(calibration)),
    active: false,
    compiled: null,
    key: null,
    proveMs: [],
  };
  // One after the other, so that each counts those before it.
  const stored = await withKey(`circuits that wait in ${workspace}`, async () => {
    await requireRoom(deps, workspace);
    return await deps.circuits.jobs.create(job);
  });
  await requireStillThere(deps, stored, options);
  return stored;
}

function check(request: CreateCircuitRequest, options: CircuitOptions, workspace: string): void {
  const { parent, circuitId, requestId, calibration } = request;
  const faults = new RequestFaults();
  faults.check(!parent.includes("/-"), "parent", "must name one version of one model");
  if (circuitId !== "") {
    faults.id("circuit_id", circuitId, RESOURCE_ID);
  }
  const isFree = circuitId !== ACTIVE_ID;
  faults.check(isFree, "circuit_id", `"${ACTIVE_ID}" stands for the active circuit of a version`);
  faults.requestId(requestId);
  checkOptions(faults, options, workspace);
  if (calibration !== undefined) {
    checkCalibration(faults, calibration);
  }
  faults.done();
}

/** The version, once everything that the circuit is made from is known to be there. */
async function requireSource(
  deps: CreateDeps,
  asked: {
    readonly parent: string;
    readonly workspace: string;
    readonly options: CircuitOptions;
  },
  context: CallContext,
): Promise<SourceVersion> {
  const { parent, workspace, options } = asked;
  const { config, models, powersOfTau } = deps;
  const version = await models.version(parent, { parent: context });
  if (version.sizeBytes > config.modelBytesMax) {
    throw tooLarge(version.name, config.modelBytesMax);
  }
  if (options.setup === Setup.DEVELOPMENT) {
    if (await models.isProduction(workspace, { parent: context })) {
      throw developmentRefused(version.name, workspace);
    }
  } else {
    await powersOfTau.get(options.powersOfTau);
  }
  await requireRoom(deps, workspace);
  return version;
}

async function requireRoom(
  { circuits }: Pick<CreateDeps, "circuits">,
  workspace: string,
): Promise<void> {
  const waiting = { workspace, state: "QUEUED" };
  if ((await circuits.jobs.collection.countDocuments(waiting)) >= WAITING_MAX) {
    throw new ResourceExhausted(
      `${WAITING_MAX} circuits of the workspace wait to be made, the most allowed. Wait for some, ` +
        "or delete those that are not needed.",
      { reason: ErrorReason.OVERLOADED, retryAfterMs: RETRY_FULL_MS },
    );
  }
}

/** Who deletes powers of tau looks for circuits after a mark; so the mark is looked for after this. */
async function requireStillThere(
  { circuits, powersOfTau }: CreateDeps,
  circuit: Stored<Circuit>,
  { setup, powersOfTau: name }: CircuitOptions,
): Promise<void> {
  if (setup === Setup.DEVELOPMENT) {
    return;
  }
  try {
    await powersOfTau.get(name);
  } catch (error) {
    if (error instanceof NotFound) {
      await circuits.jobs.cancel(circuit._id);
    }
    throw error;
  }
}

function nameOf(modelVersion: string, circuit: string): string {
  const { workspace, model, version } = modelVersionName.parse(modelVersion, "parent");
  return circuitName.format({ workspace, model, version, circuit });
}
