import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import { Role } from "../../../gen/plinth/common/v1/options_pb.js";
import {
  type CaptureInferencesRequestSchema,
  CaptureService,
} from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import { anonymous } from "../../common/auth/principal.ts";
import { Channel, createClient } from "../../common/rpc/client.ts";
import { bindService, type Client } from "../../common/rpc/context.ts";
import { startRpcServer } from "../../common/rpc/server.ts";
import { createLogger } from "../../common/telemetry/log.ts";
import { createEvents } from "../events.ts";
import { draftLayout } from "../sketch/column-layout.ts";
import {
  MINUTE_US,
  type Replica,
  START_US,
  TARGET_ID,
  useReplica,
  useShared,
} from "../windows/testing.ts";
import { captureHandlers } from "./capture-handlers.ts";
import type { DecodedBatch } from "./decoded-batch.ts";
import { type BatchInit, bytesOf, captured, elementsOf } from "./testing.ts";

type Request = MessageInitShape<typeof CaptureInferencesRequestSchema>;

const KINDS = [
  { name: "x", kind: "numeric" },
  { name: "t", kind: "category" },
  { name: "prediction.p", kind: "numeric" },
] as const;

interface TestCapture {
  readonly client: Client<typeof CaptureService>;
  readonly replica: Replica;
  readonly kept: DecodedBatch[];
  rows(): Promise<number>;
}

/** The capture service behind a real server. */
async function useCapture(given: { readonly workspace?: string } = {}): Promise<TestCapture> {
  const shared = await useShared();
  const layout = draftLayout(KINDS);
  shared.layouts.push(layout);
  const replica = await useReplica(shared);
  const kept: DecodedBatch[] = [];
  const handlers = captureHandlers({
    config: { columnsMax: 1024, memoryBytesMax: 8 * 2 ** 20 },
    clock: shared.clock,
    events: createEvents(createLogger({ service: "monitoring", level: "off" })),
    windows: replica.windows,
    predictions: { keep: async (batch) => kept.push(batch) },
  });
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: [bindService(CaptureService, handlers)],
    authenticate: () => ({
      ...anonymous,
      roles: [Role.SERVICE],
      workspace: given.workspace ?? "-",
    }),
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  const rows = async () => {
    const target = await replica.windows.target(TARGET_ID);
    const range = { startUs: START_US - 1, endUs: START_US + 1e9 };
    return target === undefined
      ? 0
      : (await replica.windows.read(target, range, layout)).sketch.rows;
  };
  return { client: createClient(CaptureService, channel), replica, kept, rows };
}

function start(sender = "s", acknowledgedSequence = 0n): Request {
  return { payload: { case: "start", value: { sender, acknowledgedSequence } } };
}

function batch(more: BatchInit = {}): Request {
  return { payload: { case: "batch", value: captured(more) } };
}

async function* stream(...requests: readonly Request[]) {
  yield* requests;
}

describe("capture-handlers", () => {
  it("answers when every batch of the stream is durable, and counts each once", async () => {
    const { client, kept, rows } = await useCapture();
    const requests = [start(), batch(), batch({ sequence: 2n }), batch()];
    const answer = await client.captureInferences(stream(...requests));
    expect(answer).toMatchObject({ rows: 9n, refusedRows: 0n, refusals: [] });
    expect(answer.serverTime).toMatchObject({ seconds: BigInt(START_US) / 1_000_000n });
    expect(await rows()).toBe(6);
    expect(kept.map(({ sequence }) => sequence)).toEqual([1, 2, 1]);
    expect(await client.captureInferences(stream(...requests))).toMatchObject({ rows: 9n });
    expect(await rows()).toBe(6);
    expect(await client.captureInferences(stream(start("s2"), batch()))).toMatchObject({
      rows: 3n,
    });
    expect(await rows()).toBe(9);
  });

  it.each<[string, readonly Request[], RegExp]>([
    ["no message", [], /the stream had no message/],
    ["no start", [batch()], /first message must be a start/],
    ["two starts", [start(), start()], /start comes once/],
    ["an empty message", [start(), {}], /must be set in every message/],
    ["a sender", [start("a b")], /start.sender must match/],
    ["a floor", [start("a", -1n)], /acknowledged_sequence must be a safe integer/],
  ])("refuses a stream with %s", async (_what, requests, message) => {
    const { client, rows } = await useCapture();
    const call = client.captureInferences(stream(...requests));
    await expect(call).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringMatching(message),
    });
    expect(await rows()).toBe(0);
  });

  it("says what is wrong with batches, and goes on with the others", async () => {
    const { client, rows } = await useCapture();
    const bad = Array.from({ length: 12 }, (_, i) => {
      return batch({ sequence: BigInt(i + 10), deploymentUid: "" });
    });
    const answer = await client.captureInferences(stream(start(), ...bad, batch()));
    expect(answer).toMatchObject({ rows: 3n, refusedRows: 36n });
    expect(answer.refusals).toHaveLength(10);
    expect(answer.refusals[0]).toMatchObject({
      sequence: 10n,
      reason: expect.stringMatching(/deploymentUid "" does not match/),
    });
    expect(await rows()).toBe(3);
  });

  it("bounds and refuses hostile payloads", async () => {
    const { client, rows, replica } = await useCapture();
    const many = Array.from({ length: 10_000 }, (_, i) => `c${i}`);
    const wide = bytesOf(new Float32Array(30_000).fill(Number.NaN));
    const long = "x".repeat(1_000_000);
    const answer = await client.captureInferences(
      stream(
        start(),
        // 10,000 columns, named and as tensors.
        batch({
          inputs: [
            { name: "x", datatype: "FP32", rowShape: [10_000], columns: many, contents: wide },
          ],
        }),
        batch({
          sequence: 2n,
          inputs: many.map((name) => ({
            name,
            datatype: "BOOL",
            contents: Uint8Array.of(1, 1, 1),
          })),
        }),
        // Names of a megabyte, and 12 MB in all.
        batch({
          sequence: 3n,
          inputs: [{ name: long, datatype: "BOOL", contents: Uint8Array.of(1, 1, 1) }],
        }),
        batch({
          sequence: 4n,
          inputs: [
            {
              name: "t",
              datatype: "BYTES",
              contents: elementsOf(long.repeat(4), long.repeat(4), long.repeat(4)),
            },
          ],
        }),
        // These are strange, but right.
        batch({
          sequence: 5n,
          inputs: [{ name: "t", datatype: "BYTES", contents: elementsOf(long, long, `${long}y`) }],
        }),
        batch({
          sequence: 6n,
          inputs: [
            {
              name: "x",
              datatype: "FP32",
              contents: bytesOf(new Float32Array(3).fill(Number.NaN)),
            },
          ],
        }),
        batch({
          sequence: 7n,
          inferences: { rows: [3], eventTimesUs: [BigInt(START_US)], ids: [long] },
        }),
      ),
    );
    expect(answer).toMatchObject({ rows: 9n, refusedRows: 12n });
    expect(answer.refusals.map(({ reason }) => reason)).toEqual([
      expect.stringContaining("have 10001 columns"),
      expect.stringContaining("have 10001 columns"),
      expect.stringContaining("names have 1 to 512 bytes"),
      expect.stringContaining("has 12"),
    ]);
    expect(await rows()).toBe(9);
    const [info] = await replica.windows.list(TARGET_ID, {});
    expect(info!.sizeBytes).toBeLessThan(2000);
  });

  it("refuses of a batch with too many windows the rows of the oldest", async () => {
    const { client, replica } = await useCapture();
    // Two rows a minute, from 1,026 minutes before on; the three oldest windows are too many.
    const minutes = Array.from({ length: 1027 }, (_, i) => i - 1026);
    const requests = [
      start(),
      batch({
        rows: 2054,
        inferences: {
          rows: minutes.map(() => 2),
          eventTimesUs: minutes.map((minute) => BigInt(START_US + minute * MINUTE_US)),
        },
        inputs: [{ name: "x", datatype: "FP32", contents: bytesOf(new Float32Array(2054)) }],
        outputs: [{ name: "p", datatype: "FP64", contents: bytesOf(new Float64Array(2054)) }],
      }),
    ];
    for (const _sending of ["first", "again"]) {
      const answer = await client.captureInferences(stream(...requests));
      expect(answer).toMatchObject({
        rows: 2048n,
        refusedRows: 6n,
        refusals: [{ sequence: 1n, reason: expect.stringMatching(/^6 of its rows fall into/) }],
      });
      const infos = await replica.windows.list(TARGET_ID, {});
      expect(infos.map(({ startUs, rows }) => [(startUs - START_US) / MINUTE_US, rows])).toEqual(
        minutes
          .slice(3)
          .map((minute) => [minute, 2])
          .toReversed(),
      );
    }
    expect(replica.notCounted).toEqual([
      ["refused", 6],
      ["refused", 6],
    ]);
  });

  it("does not let a key of one workspace write into another", async () => {
    const { client, rows } = await useCapture({ workspace: "v" });
    const call = client.captureInferences(stream(start(), batch()));
    await expect(call).rejects.toMatchObject({ kind: "PermissionDenied" });
    expect(await rows()).toBe(0);
  });

  it("fails the call when the store is away, and counts what is sent again once", async () => {
    const { client, replica, rows } = await useCapture();
    replica.store.nextFault = () => "after";
    const requests = [start(), batch(), batch({ sequence: 2n })];
    const call = client.captureInferences(stream(...requests));
    await expect(call).rejects.toMatchObject({ kind: "Unavailable" });
    replica.store.nextFault = () => undefined;
    expect(await client.captureInferences(stream(...requests))).toMatchObject({ rows: 6n });
    expect(await rows()).toBe(6);
  });
});
