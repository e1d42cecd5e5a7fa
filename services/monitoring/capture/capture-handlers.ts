// The call that inference servers bring captured inferences with. Batches of a stream are under way
// together, so that they become durable together; the answer comes when all are. What is wrong with
// one is told in the answer and does not hold up the others.

import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  CapturedBatch,
  CaptureInferencesRequest,
  CaptureService,
  CaptureStart,
} from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { type Principal, requireWorkspace } from "../../common/auth/principal.ts";
import type { Clock } from "../../common/clock.ts";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { deploymentName, modelVersionName } from "../../common/names.ts";
import type { ServiceHandlers } from "../../common/rpc/context.ts";
import type { MonitoringConfig } from "../config.ts";
import type { MonitoringEvents } from "../events.ts";
import { BATCH_WINDOWS_MAX } from "../windows/split-batch.ts";
import type { WindowStore } from "../windows/window-store.ts";
import { ByteBudget } from "./byte-budget.ts";
import { type BatchSender, decodeBatch, decodedBytes } from "./decode-batch.ts";
import type { DecodedBatch } from "./decoded-batch.ts";

/** Batches of one stream under way. */
const UNDER_WAY_MAX = 256;
const REFUSALS_SHOWN = 10;
/** Of the memory for sketches: what is decoded and not durable yet, of all streams. */
const MEMORY_SHARE = 0.25;
const SENDER = /^[a-zA-Z0-9-]{1,64}$/;
const REASON_LENGTH_MAX = 500;

export interface CaptureDeps {
  readonly config: Pick<MonitoringConfig, "columnsMax" | "memoryBytesMax">;
  readonly clock: Clock;
  readonly events: Pick<MonitoringEvents, "rowsNotCounted">;
  readonly windows: Pick<WindowStore, "count">;
  /** Keeps predictions for labels; the same batch twice changes nothing. */
  readonly predictions: { keep(batch: DecodedBatch): Promise<unknown> };
}

/** The handlers of the capture service. */
export function captureHandlers(deps: CaptureDeps): ServiceHandlers<typeof CaptureService> {
  const budget = new ByteBudget(deps.config.memoryBytesMax * MEMORY_SHARE);
  return {
    async captureInferences(requests, { principal }) {
      const stream = new CaptureStream({ ...deps, budget, principal });
      try {
        for await (const request of requests) {
          await stream.take(request);
          if (stream.hasFailed) {
            break;
          }
        }
      } finally {
        // Also when the caller left: nothing goes on behind an ended call.
        await stream.settled();
      }
      const { rows, refusedRows, refusals } = stream.finish();
      return {
        rows: BigInt(rows),
        refusedRows: BigInt(refusedRows),
        refusals: refusals.map(({ sequence, reason }) => ({ sequence, reason })),
        serverTime: timestampFromMs(deps.clock.now()),
      };
    },
  };
}

interface StreamDeps extends CaptureDeps {
  readonly budget: ByteBudget;
  readonly principal: Principal;
}

interface Totals {
  readonly rows: number;
  readonly refusedRows: number;
  readonly refusals: readonly { readonly sequence: bigint; readonly reason: string }[];
}

/** Owns the batches of one stream that are under way. */
class CaptureStream {
  readonly #deps: StreamDeps;
  readonly #underWay = new Set<Promise<void>>();
  readonly #refusals: { readonly sequence: bigint; readonly reason: string }[] = [];
  #sender: BatchSender | undefined;
  #rows = 0;
  #refusedRows = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(deps: StreamDeps) {
    this.#deps = deps;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Takes the next message; resolves when there is room for another one. */
  async take({ payload }: CaptureInferencesRequest): Promise<void> {
    switch (payload.case) {
      case "start":
        if (this.#sender !== undefined) {
          throw wrong("start", "comes once, as the first message of a stream");
        }
        this.#sender = senderOf(payload.value);
        return;
      case "batch":
        if (this.#sender === undefined) {
          throw wrong("payload", "of the first message must be a start, which says who sends");
        }
        await this.#begin(payload.value, this.#sender);
        return;
      case undefined:
        throw wrong("payload", "must be set in every message of the stream");
    }
  }

  /** Resolves when no batch is under way. */
  async settled(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  /** What became of the stream. @throws what its first failed batch did. */
  finish(): Totals {
    if (this.#failure !== undefined) {
      throw this.#failure.error;
    }
    if (this.#sender === undefined) {
      throw wrong("payload", "of the first message must be a start; the stream had no message");
    }
    return { rows: this.#rows, refusedRows: this.#refusedRows, refusals: this.#refusals };
  }

  async #begin(batch: CapturedBatch, sender: BatchSender): Promise<void> {
    requireReach(this.#deps.principal, batch);
    const room = await this.#deps.budget.take(decodedBytes(batch));
    const work = this.#count(batch, sender).finally(() => {
      room[Symbol.dispose]();
      this.#underWay.delete(work);
    });
    this.#underWay.add(work);
    if (this.#underWay.size >= UNDER_WAY_MAX) {
      await Promise.race(this.#underWay);
    }
  }

  /** Never throws. */
  async #count(batch: CapturedBatch, sender: BatchSender): Promise<void> {
    const { config, predictions, windows } = this.#deps;
    try {
      const decoded = decodeBatch(batch, { ...sender, columnsMax: config.columnsMax });
      await predictions.keep(decoded);
      const { counted, refused } = await windows.count(decoded);
      this.#rows += counted;
      if (refused > 0) {
        this.#note(batch, { rows: refused, reason: tooManyWindows(refused) });
      }
    } catch (error) {
      if (error instanceof InvalidArgument) {
        this.#refuse(batch, error);
      } else {
        this.#failure ??= { error };
      }
    }
  }

  #refuse(batch: CapturedBatch, { message }: InvalidArgument): void {
    const { deployment, rows } = batch;
    this.#note(batch, { rows, reason: message });
    if (deploymentName.match(deployment) !== undefined) {
      this.#deps.events.rowsNotCounted(deployment, "refused", rows);
    }
  }

  /** For the answer. */
  #note(
    { sequence }: CapturedBatch,
    { rows, reason }: { readonly rows: number; readonly reason: string },
  ): void {
    this.#refusedRows += rows;
    if (this.#refusals.length < REFUSALS_SHOWN) {
      this.#refusals.push({ sequence, reason: reason.slice(0, REASON_LENGTH_MAX) });
    }
  }
}

function tooManyWindows(rows: number): string {
  return (
    `${rows} of its rows fall into older windows than the ${BATCH_WINDOWS_MAX} newest that it has ` +
    "rows for, which are all that are counted. Send smaller batches, or make the windows of the " +
    "deployment longer."
  );
}

/** @throws PermissionDenied; names that are none are refused later. */
function requireReach(principal: Principal, batch: CapturedBatch): void {
  const names = [
    deploymentName.match(batch.deployment),
    modelVersionName.match(batch.modelVersion),
  ];
  for (const name of names) {
    if (name !== undefined) {
      requireWorkspace(principal, name.workspace);
    }
  }
}

function senderOf(start: CaptureStart): BatchSender {
  const { sender } = start;
  if (!SENDER.test(sender)) {
    throw wrong("start.sender", `must match ${SENDER.source}`);
  }
  const acknowledged = Number(start.acknowledgedSequence);
  if (!Number.isSafeInteger(acknowledged) || acknowledged < 0) {
    throw wrong("start.acknowledged_sequence", "must be a safe integer from 0");
  }
  return { sender, acknowledged };
}

function wrong(field: string, description: string): InvalidArgument {
  return new InvalidArgument(`${field} ${description}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field, description }],
  });
}
