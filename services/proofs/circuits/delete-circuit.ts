// Removes a circuit. One that is being made is stopped first, and goes once its worker has let go.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { Aborted, FailedPrecondition, NotFound } from "../../common/errors/domain-error.ts";
import { requireEtag } from "../../common/etag.ts";
import { isEnded } from "../../common/jobs/job.ts";
import { watchJob } from "../../common/jobs/watch-job.ts";
import type { Circuit } from "./circuit.ts";
import { type CircuitStore, circuitEtag } from "./circuit-store.ts";
import type { CircuitDeps } from "./deps.ts";

const TRIES = 20;

/**
 * Deletes a circuit and its key; blobs go with a later sweep.
 *
 * @throws NotFound; Aborted where it is no longer as the caller read it; FailedPrecondition where it
 *   is active or rows wait for their proofs, and that was not forced
 */
export async function deleteCircuit(
  { circuits, waitingRows }: Pick<CircuitDeps, "circuits" | "waitingRows">,
  { name, etag, force }: { readonly name: string; readonly etag: string; readonly force: boolean },
  signal: AbortSignal,
): Promise<void> {
  requireEtag(etag, circuitEtag(await circuits.jobs.get(name)), name);
  await stop(circuits, name, signal);
  for (let tries = 1; ; tries++) {
    const stored = await circuits.jobs.collection.findOne({ _id: name });
    if (stored === undefined) {
      return;
    }
    const [seen] = await circuits.seen([stored]);
    // Its document says so before the version's does: then it is being activated.
    if (!force && (stored.active || seen?.active === true)) {
      throw inUse(stored);
    }
    const rows = force ? 0 : waitingRows(stored);
    if (rows > 0) {
      throw awaited(stored, rows);
    }
    try {
      return await circuits.remove(stored);
    } catch (error) {
      // What happened in between is not what the caller saw; without a guard that is all the same.
      if (!(error instanceof Aborted) || tries === TRIES) {
        throw error;
      }
    }
  }
}

/** Ends the making of a circuit; resolves once nobody makes it. */
async function stop(circuits: CircuitStore, name: string, signal: AbortSignal): Promise<void> {
  const asked = await circuits.jobs.cancel(name);
  if (isEnded(asked)) {
    return;
  }
  try {
    for await (const job of watchJob(circuits.jobs, name, signal)) {
      if (isEnded(job)) {
        return;
      }
    }
  } catch (error) {
    if (!(error instanceof NotFound)) {
      throw error;
    }
  }
  signal.throwIfAborted();
}

function inUse({ _id: name, modelVersion }: Circuit): FailedPrecondition {
  const description =
    `is the active circuit of ${modelVersion}; activate another one first, or force it: ` +
    "verifiable predictions of the version are refused from then on";
  return new FailedPrecondition(`${name} ${description}.`, {
    reason: ErrorReason.RESOURCE_IN_USE,
    metadata: { resource: name },
    violations: [{ type: "ACTIVE", subject: name, description }],
  });
}

function awaited({ _id: name }: Circuit, rows: number): FailedPrecondition {
  const description =
    `was answered with, and ${rows} rows wait for their proofs; let them be proved first, cancel ` +
    "their jobs, or force it: what was answered is never proved then";
  return new FailedPrecondition(`${name} ${description}.`, {
    reason: ErrorReason.RESOURCE_IN_USE,
    metadata: { resource: name, rows_waiting: String(rows) },
    violations: [{ type: "PROOFS", subject: name, description }],
  });
}
