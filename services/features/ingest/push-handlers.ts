// The push calls. A stream keeps a few batches under way so that the disk's waits overlap; it takes
// the next message only when one of them is done, which slows a sender that is too fast.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  FeatureStoreService,
  StreamPushFeaturesRequest,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { DomainError, InvalidArgument } from "../../common/errors/domain-error.ts";
import type { CallContext, ServiceHandlers } from "../../common/rpc/context.ts";
import type { FeaturesDeps } from "../deps.ts";
import type { Refusal } from "../offline/engine-tasks.ts";
import { REFUSALS_SHOWN } from "./check-batch.ts";
import { CreationClock, type PushDeps, type PushedBatch, pushBatch } from "./push-batch.ts";

/** Batches of one stream under way; the API promises it. */
const UNDER_WAY_MAX = 8;

export type PushHandlerDeps = Pick<
  FeaturesDeps,
  "clock" | "definitions" | "online" | "offline" | "events"
>;

/** The handlers of both push calls. */
export function pushHandlers(
  given: PushHandlerDeps,
): Pick<ServiceHandlers<typeof FeatureStoreService>, "pushFeatures" | "streamPushFeatures"> {
  const deps: PushDeps = { ...given, creation: new CreationClock(given.clock) };
  return {
    async pushFeatures(request, { principal }) {
      const pushed = await pushBatch(deps, request, principal);
      return {
        rowsWritten: BigInt(pushed.written),
        rowsRefused: BigInt(pushed.refused),
        refusals: pushed.refusals.map(toRefusal),
      };
    },
    async streamPushFeatures(requests, context) {
      const { batches, written, refused, refusals } = await pushStream(deps, requests, context);
      return {
        batches: BigInt(batches),
        rowsWritten: BigInt(written),
        rowsRefused: BigInt(refused),
        refusals: refusals.map(({ batch, refusal }) => ({
          batch: BigInt(batch),
          refusal: toRefusal(refusal),
        })),
      };
    },
  };
}

interface PushedStream {
  readonly batches: number;
  readonly written: number;
  readonly refused: number;
  /** The first 100. */
  readonly refusals: readonly { readonly batch: number; readonly refusal: Refusal }[];
}

async function pushStream(
  deps: PushDeps,
  requests: AsyncIterable<StreamPushFeaturesRequest>,
  { principal }: Pick<CallContext, "principal">,
): Promise<PushedStream> {
  const total = new StreamTotal();
  const underWay = new Set<Promise<void>>();
  let batches = 0;
  try {
    for await (const { batch: request } of requests) {
      const batch = batches++;
      const push = (
        request === undefined ? Promise.reject(noBatch()) : pushBatch(deps, request, principal)
      )
        .then(
          (pushed) => total.add(batch, pushed),
          (error: unknown) => total.fail(batch, error),
        )
        .finally(() => underWay.delete(push));
      underWay.add(push);
      if (underWay.size >= UNDER_WAY_MAX) {
        await Promise.race(underWay);
      }
      if (total.hasFailed) {
        break;
      }
    }
  } finally {
    // Also when the caller left: nothing goes on behind an ended call.
    await Promise.all(underWay);
  }
  total.throwIfFailed();
  return { batches, ...total };
}

/** Sums up batches as they end, in whatever order. */
class StreamTotal {
  written = 0;
  refused = 0;
  refusals: { readonly batch: number; readonly refusal: Refusal }[] = [];
  #failure: { readonly batch: number; readonly error: unknown } | undefined;

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  add(batch: number, pushed: PushedBatch): void {
    this.written += pushed.written;
    this.refused += pushed.refused;
    if (pushed.refusals.length > 0) {
      const more = pushed.refusals.map((refusal) => ({ batch, refusal }));
      this.refusals = [...this.refusals, ...more]
        .sort((a, b) => a.batch - b.batch)
        .slice(0, REFUSALS_SHOWN);
    }
  }

  /** Of several failures the first batch's counts: all before it are stored. */
  fail(batch: number, error: unknown): void {
    if (this.#failure === undefined || batch < this.#failure.batch) {
      this.#failure = { batch, error };
    }
  }

  throwIfFailed(): void {
    if (this.#failure !== undefined) {
      throw ofBatch(this.#failure.error, this.#failure.batch);
    }
  }
}

/** The same error, saying which batch it is of. */
function ofBatch(error: unknown, batch: number): unknown {
  if (!(error instanceof DomainError)) {
    return error;
  }
  const before = batch === 1 ? "The 1 batch before it is" : `The ${batch} batches before it are`;
  const told = Object.create(
    Object.getPrototypeOf(error),
    Object.getOwnPropertyDescriptors(error),
  ) as DomainError;
  return Object.defineProperties(told, {
    message: { value: `Batch ${batch} (from 0): ${error.message} ${before} stored.` },
    metadata: { value: { ...error.metadata, batch: String(batch), batches_stored: String(batch) } },
  });
}

function noBatch(): InvalidArgument {
  const description = "must be set in every message of the stream";
  return new InvalidArgument(`batch ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: "batch", description }],
  });
}

function toRefusal({ row, column, reason }: Refusal) {
  return { row: BigInt(row), column, reason };
}
