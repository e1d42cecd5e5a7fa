// The handlers of CircuitService that ceremonies consist of: powers of tau, contributions, beacons.

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { PowersOfTau as PowersOfTauMessage } from "../../../gen/plinth/proofs/v1/circuit_pb.js";
import type {
  CircuitService,
  ImportPowersOfTauStart,
  UploadContributionStart,
} from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { circuitName, powersOfTauName, workspaceName } from "../../common/names.ts";
import { RESOURCE_ID, RequestFaults } from "../../common/request-faults.ts";
import type { ServiceHandlers } from "../../common/rpc/context.ts";
import { circuitMessage } from "../circuits/circuit-message.ts";
import {
  BEACON_ITERATIONS_MAX,
  BEACON_ITERATIONS_MIN,
  isContributorName,
} from "../prover/contribution.ts";
import type { FileDigest } from "../prover/prover-port.ts";
import { applyBeacon, type Beacon } from "./apply-beacon.ts";
import type { CeremonyDeps } from "./ceremony-deps.ts";
import { importPowersOfTau } from "./import-powers-of-tau.ts";
import type { VerifiedPowersOfTau } from "./powers-of-tau-store.ts";
import { readStart } from "./receive-file.ts";
import { takeContribution } from "./take-contribution.ts";

type Handlers = ServiceHandlers<typeof CircuitService>;

/** The methods that are handled here. */
export type CeremonyHandlers = Pick<
  Handlers,
  | "importPowersOfTau"
  | "listPowersOfTau"
  | "deletePowersOfTau"
  | "uploadContribution"
  | "applyBeacon"
>;

/** Handlers over the stores of the proofs service. */
export function ceremonyHandlers(deps: CeremonyDeps): CeremonyHandlers {
  const { ptaus } = deps;
  return {
    async importPowersOfTau(requests, { principal, signal }) {
      const { start, chunks } = await readStart<ImportPowersOfTauStart>(requests);
      const { workspace } = workspaceName.parse(start.parent, "start.parent");
      requireWorkspace(principal, workspace);
      const faults = new RequestFaults();
      faults.id("start.powers_of_tau_id", start.powersOfTauId, RESOURCE_ID);
      const digest = digestOf(start, faults);
      faults.done();
      const name = powersOfTauName.format({ workspace, powersOfTau: start.powersOfTauId });
      const actor = principal.id;
      return powersOfTauMessage(
        await importPowersOfTau(deps, { name, workspace, actor, digest, chunks, signal }),
      );
    },

    async listPowersOfTau({ parent, pageSize, pageToken }, { principal, signal }) {
      const { workspace } = workspaceName.parse(parent, "parent");
      requireWorkspace(principal, workspace);
      const page = await ptaus.list({ workspace, pageSize, pageToken, signal });
      return { powersOfTau: page.items.map(powersOfTauMessage), nextPageToken: page.nextPageToken };
    },

    async deletePowersOfTau({ name }, { principal, signal }) {
      const { workspace } = powersOfTauName.parse(name, "name");
      requireWorkspace(principal, workspace);
      await ptaus.delete(name, () => userOf(deps, { workspace, name, signal }));
      return {};
    },

    async uploadContribution(requests, { principal, signal }) {
      const { start, chunks } = await readStart<UploadContributionStart>(requests);
      const { name: circuit, etag } = start;
      requireWorkspace(principal, circuitName.parse(circuit, "start.name").workspace);
      return circuitMessage(await takeContribution(deps, { circuit, etag, chunks, signal }));
    },

    async applyBeacon(request, { principal, signal }) {
      const { name: circuit, etag } = request;
      requireWorkspace(principal, circuitName.parse(circuit, "name").workspace);
      const beacon = beaconOf(request);
      return circuitMessage(await applyBeacon(deps, { circuit, etag, beacon, signal }));
    },
  };
}

/** What is shown of powers of tau. */
function powersOfTauMessage(found: VerifiedPowersOfTau): PowersOfTauMessage {
  return {
    $typeName: "plinth.proofs.v1.PowersOfTau",
    name: found._id,
    createTime: timestampFromDate(found.createTime),
    power: found.power,
    sizeBytes: BigInt(found.sizeBytes),
    sha256: found.sha256,
    actor: found.actor,
  };
}

/** Exactly one hash, in lower-case hex. */
function digestOf({ digest }: ImportPowersOfTauStart, faults: RequestFaults): FileDigest {
  if (digest.case === undefined) {
    faults.add({
      field: "start.digest",
      description: "must be said: the sha256 or blake2b512 that the publisher of the file names",
    });
    return { algorithm: "sha256", hex: "" };
  }
  const length = digest.case === "sha256" ? 64 : 128;
  const isHash = digest.value.length === length && /^[0-9a-f]+$/.test(digest.value);
  faults.check(isHash, `start.${digest.case}`, `must be ${length} lower-case hex digits`);
  return { algorithm: digest.case, hex: digest.value };
}

function beaconOf(request: {
  readonly beaconHash: string;
  readonly iterations: number;
  readonly label: string;
}): Beacon {
  const iterations = request.iterations === 0 ? BEACON_ITERATIONS_MIN : request.iterations;
  const label = request.label === "" ? "beacon" : request.label;
  const faults = new RequestFaults();
  const isHash = /^([0-9a-f]{2}){1,255}$/.test(request.beaconHash);
  faults.check(isHash, "beacon_hash", "must be 1 to 255 bytes in lower-case hex");
  const isIterations = iterations >= BEACON_ITERATIONS_MIN && iterations <= BEACON_ITERATIONS_MAX;
  const range = `${BEACON_ITERATIONS_MIN} to ${BEACON_ITERATIONS_MAX}`;
  faults.check(isIterations, "iterations", `is ${iterations}; must be ${range}, or 0`);
  faults.check(isContributorName(label), "label", "must be up to 64 printable ASCII characters");
  faults.done();
  return { hash: request.beaconHash, iterations, label };
}

/** A circuit whose key was, or will be, made from these powers of tau. */
async function userOf(
  { circuits }: CeremonyDeps,
  wanted: { readonly workspace: string; readonly name: string; readonly signal: AbortSignal },
): Promise<string | undefined> {
  const { workspace, name, signal } = wanted;
  const users = circuits.jobs.find({ workspace, "options.powersOfTau": name }, signal);
  for await (const { _id, state } of users) {
    if (state !== "FAILED" && state !== "CANCELLED") return _id;
  }
  return undefined;
}
