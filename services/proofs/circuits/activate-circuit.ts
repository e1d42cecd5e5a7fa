// Makes a circuit the one that verifiable predictions of its version use, and closes its ceremony.

import { withKey } from "../../common/documents/keyed-lock.ts";
import type { Stored } from "../../common/documents/port.ts";
import { requireEtag } from "../../common/etag.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import { ceremonyKey } from "../ceremony/take-contribution.ts";
import { type Circuit, isDevelopment, isReady } from "./circuit.ts";
import { circuitEtag } from "./circuit-store.ts";
import type { CircuitDeps } from "./deps.ts";
import { developmentRefused } from "./development-key.ts";
import { type ModelSource, otherVersion } from "./model-source.ts";
import { usableKey } from "./usable-key.ts";

type ActivateDeps = Pick<CircuitDeps, "ceremony" | "circuits" | "events"> & {
  readonly models: ModelSource;
};

/**
 * Activates a circuit. One that is active stays so, and whoever repeats the call is told the same,
 * also at the same time.
 *
 * @throws NotFound; Aborted where it is no longer as the caller read it; FailedPrecondition where it
 *   has no key to be used (see CeremonyCloser, usableKey and developmentRefused) or its model version
 *   is gone
 */
export async function activateCircuit(
  deps: ActivateDeps,
  call: { readonly name: string; readonly etag: string },
  context: CallContext,
): Promise<Stored<Circuit>> {
  const { _id: name } = await deps.circuits.get(call.name);
  return await withKey(ceremonyKey(name), () =>
    activateInTurn(deps, { name, etag: call.etag }, context),
  );
}

async function activateInTurn(
  deps: ActivateDeps,
  { name, etag }: { readonly name: string; readonly etag: string },
  context: CallContext,
): Promise<Stored<Circuit>> {
  const { ceremony, circuits, events, models } = deps;
  context.signal.throwIfAborted();
  let circuit = await circuits.get(name);
  requireEtag(etag, circuitEtag(circuit), name);
  if (!(await models.hasVersionOf(circuit, { parent: context }))) {
    throw otherVersion(circuit.modelVersion);
  }
  if (
    isDevelopment(circuit) &&
    (await models.isProduction(circuit.workspace, { parent: context }))
  ) {
    throw developmentRefused(circuit._id, circuit.workspace);
  }
  if (circuit.state === "SUCCEEDED" && !isReady(circuit)) {
    const key = await ceremony.close(circuit, context.signal);
    circuit = await circuits.setKey(circuit._id, { ifVersion: circuit.version, key });
    events.ceremony(circuit._id, "closed");
  }
  usableKey(circuit);
  return await circuits.activate(circuit._id, etag === "" ? "" : circuitEtag(circuit));
}
