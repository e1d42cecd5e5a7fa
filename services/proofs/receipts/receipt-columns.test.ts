import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import {
  type LogReceiptsRequest,
  LogReceiptsRequestSchema,
  LogReceiptsResponseSchema,
} from "../../../gen/plinth/proofs/v1/receipt_service_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { SeededRandom } from "../../common/testing/seeded-random.ts";
import {
  decodeReceiptColumns,
  logReceiptsCodec,
  type ReceiptColumns,
  type Spans,
} from "./receipt-columns.ts";
import { batchOf } from "./testing/use-receipts.ts";

const bytesOf = (batch: LogReceiptsRequest) => toBinary(LogReceiptsRequestSchema, batch);

/** The columns as the generated codec would give them. */
function messageOf({ head, bytes, inferenceIds, contexts, ...columns }: ReceiptColumns) {
  const pieces = ({ starts, ends }: Spans) =>
    starts.map((start, i) => Buffer.from(bytes.subarray(start, ends[i])));
  return create(LogReceiptsRequestSchema, {
    ...head,
    inferenceIds: pieces(inferenceIds).map(String),
    timesUs: columns.timesUs.map(BigInt),
    rows: [...columns.rows],
    inputDigests: columns.inputDigests,
    outputDigests: columns.outputDigests,
    contexts: pieces(contexts),
  });
}

describe("receipt-columns", () => {
  it("says what the generated codec says, of random batches", () => {
    const random = new SeededRandom(7);
    for (let round = 0; round < 500; round++) {
      const count = random.below(40);
      const ids = Array.from({ length: count }, () => random.text(60));
      const batch = batchOf(1 + random.below(1_000), {
        sender: random.text(30),
        inferenceIds: ids,
        timesUs: ids.map(() => BigInt(random.uint32()) * BigInt(random.below(2 ** 20))),
        rows: ids.map(() => random.uint32()),
        contexts: random.below(2) === 0 ? [] : ids.map(() => Buffer.from(random.text(20))),
      });
      const bytes = bytesOf(batch);
      const message = messageOf(decodeReceiptColumns(bytes));
      expect(bytesOf(message), `round ${round}`).toEqual(bytes);
    }
  });

  it("takes fields in any order, numbers one by one and fields that it does not know", () => {
    const single = (field: number, value: number) => Buffer.of(field << 3, value);
    const packed = (field: number, ...values: number[]) =>
      Buffer.of((field << 3) | 2, values.length, ...values);
    const unknown = Buffer.of((15 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8, (15 << 3) | 5, 1, 2, 3, 4);
    const bytes = Buffer.concat([
      packed(8, 5),
      single(7, 1),
      unknown,
      packed(6, 0x61),
      packed(7, 2, 3),
      single(8, 6),
      packed(1, 0x73),
      single(8, 7),
      packed(6, 0x62),
    ]);
    expect(messageOf(decodeReceiptColumns(bytes))).toMatchObject({
      senderId: "s",
      inferenceIds: ["a", "b"],
      timesUs: [1n, 2n, 3n],
      rows: [5, 6, 7],
    });
  });

  it("ends within whatever bytes come", () => {
    const random = new SeededRandom(11);
    const bytes = bytesOf(
      batchOf(1, { count: 4, contexts: [1, 2, 3, 4].map((n) => Buffer.of(n)) }),
    );
    for (let round = 0; round < 5_000; round++) {
      const damaged = Buffer.from(bytes.subarray(0, random.below(bytes.length + 1)));
      for (let i = 0; i < 3 && damaged.length > 0; i++) {
        damaged[random.below(damaged.length)] = random.below(256);
      }
      let columns: ReceiptColumns;
      try {
        columns = decodeReceiptColumns(damaged);
      } catch {
        continue;
      }
      const { starts, ends } = columns.inferenceIds;
      starts.forEach((start, i) => {
        expect(start).toBeLessThanOrEqual(ends[i]!);
        expect(ends[i]).toBeLessThanOrEqual(damaged.length);
      });
    }
  });

  it("keeps nothing of more inferences than a batch has, and of heads that are none", () => {
    const many = Buffer.alloc(2_000_000);
    for (let i = 0; i < many.length; i += 2) many[i] = (6 << 3) | 2;
    expect(() => decodeReceiptColumns(many)).toThrow(/more than 1024/);
    const numbers = bytesOf(batchOf(1, { rows: new Array(5_000).fill(1) }));
    expect(() => decodeReceiptColumns(numbers)).toThrow(/more than 1024/);
    const head = bytesOf(batchOf(1, { deployment: "d".repeat(10_000) }));
    expect(() => decodeReceiptColumns(head)).toThrow(InvalidArgument);
  });

  it("answers as the generated codec does", () => {
    for (const answer of [
      { sequence: 1, firstIndex: 0 },
      { sequence: 300, firstIndex: 2 ** 40 },
    ]) {
      const { sequence, firstIndex } = fromBinary(
        LogReceiptsResponseSchema,
        logReceiptsCodec.encode(answer),
      );
      expect({ sequence: Number(sequence), firstIndex: Number(firstIndex) }).toEqual(answer);
    }
  });
});
