// Stores one batch of pushed rows: history first, then online, so that nothing is ever served that
// history does not know. Everything before the first write only looks.

import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  BadRows,
  type PushFeaturesRequest,
  PushFeaturesRequestSchema,
  PushTarget,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type Principal, requireWorkspace } from "../../common/auth/principal.ts";
import type { Clock } from "../../common/clock.ts";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { featureViewName } from "../../common/names.ts";
import type { ViewVersion } from "../definitions/definitions.ts";
import { viewOf } from "../definitions/resolve.ts";
import type { FeaturesDeps } from "../deps.ts";
import type { Receipt } from "../offline/batch-receipts.ts";
import type { Refusal } from "../offline/engine-tasks.ts";
import type { History } from "../offline/history.ts";
import { historyOf, shapeOf } from "../offline/view-history.ts";
import { badRows, checkBatch, withCreationTime } from "./check-batch.ts";

const BATCH_ID_LENGTH_MAX = 64;

export type PushDeps = Pick<FeaturesDeps, "definitions" | "online" | "offline" | "events"> & {
  readonly creation: CreationClock;
};

/** What became of a batch. */
export interface PushedBatch {
  readonly written: number;
  readonly refused: number;
  readonly refusals: readonly Refusal[];
}

/** Creation times of batches; no two of one process are the same, so that the later one wins. */
export class CreationClock {
  readonly #clock: Clock;
  #lastUs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Microseconds since the Unix epoch. */
  next(): number {
    this.#lastUs = Math.max(this.#lastUs + 1, this.#clock.now() * 1000);
    return this.#lastUs;
  }
}

/**
 * Stores the rows of a batch in the stores meant; durable in all of them when it resolves.
 * @throws InvalidArgument for bad columns, for bad rows unless they are to be skipped, and for a
 *   target that the view does not have; NotFound for the view; ResourceExhausted when too many rows
 *   wait to go into files.
 */
export async function pushBatch(
  deps: PushDeps,
  request: PushFeaturesRequest,
  principal: Principal,
): Promise<PushedBatch> {
  const name = featureViewName.parse(request.featureView, "feature_view");
  requireWorkspace(principal, name.workspace);
  checkBatchId(request.batchId);
  if (BadRows[request.badRows] === undefined) {
    throw invalid("bad_rows", `is ${request.badRows}, which this server does not know`);
  }
  const { view, stores, checked } = await deps.definitions.find(name.workspace, (definitions) => {
    const found = viewOf(definitions, name);
    const into = storesOf(found, request.target);
    return { view: found, stores: into, checked: checkBatch(found, request.columns) };
  });
  if (checked.refused > 0 && request.badRows !== BadRows.SKIP) {
    throw badRows(checked);
  }
  const { good, refused, refusals } = checked;
  if (good.rows > 0) {
    const history = historyOf(name.workspace, view);
    const createdUs = deps.creation.next();
    const receipt = await receiptOf(deps, history, { request, createdUs });
    const batch = withCreationTime(good, receipt?.createdUs ?? createdUs);
    if (stores.offline) {
      await deps.offline.append(history, shapeOf(view), batch, { receipt });
    }
    if (stores.online) {
      await deps.online.write(name.workspace, view, batch);
    }
  }
  deps.events.rowsPushed(request.featureView, { written: good.rows, refused });
  return { written: good.rows, refused, refusals };
}

async function receiptOf(
  deps: PushDeps,
  history: History,
  batch: { readonly request: PushFeaturesRequest; readonly createdUs: number },
): Promise<Receipt | undefined> {
  const { request, createdUs } = batch;
  const { batchId } = request;
  if (batchId === "") {
    return undefined;
  }
  const content = toBinary(PushFeaturesRequestSchema, { ...request, batchId: "" });
  const contentDigest = createHash("sha256").update(content).digest("hex");
  return deps.offline.claim(history, { batchId, contentDigest, createdUs });
}

function storesOf(
  { view, version }: ViewVersion,
  target: PushTarget,
): { readonly online: boolean; readonly offline: boolean } {
  const { online, offline } = version;
  switch (target) {
    case PushTarget.UNSPECIFIED:
      return { online, offline };
    case PushTarget.ONLINE:
      if (!online) {
        throw noSuchTarget(view, { wanted: "online", has: "offline" });
      }
      return { online, offline: false };
    case PushTarget.OFFLINE:
      if (!offline) {
        throw noSuchTarget(view, { wanted: "offline", has: "online" });
      }
      return { online: false, offline };
  }
  const description = `is ${target}, which this server does not know`;
  throw invalid("target", description);
}

function noSuchTarget(
  view: string,
  target: { readonly wanted: string; readonly has: string },
): InvalidArgument {
  return invalid(
    "target",
    `is ${target.wanted}, but view "${view}" keeps rows ${target.has} only; leave the target out, ` +
      `or set ${target.wanted} in the view's definition`,
  );
}

function checkBatchId(batchId: string): void {
  const length = [...batchId].length;
  if (length > BATCH_ID_LENGTH_MAX) {
    throw invalid("batch_id", `has ${length} characters; at most ${BATCH_ID_LENGTH_MAX}`);
  }
}

function invalid(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`${field} ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}
