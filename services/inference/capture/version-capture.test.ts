import { fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  type CapturedBatch,
  CaptureInferencesRequestSchema,
} from "../../../gen/plinth/monitoring/v1/capture_service_pb.js";
import type { Tensor } from "../tensor.ts";
import { identity, idsOf, inference, recordIds } from "../testing/captured.ts";
import { CaptureQueue, type SealedBatch } from "./capture-queue.ts";
import { VersionCapture } from "./version-capture.ts";

const AT = { arrivedMs: 1_700_000_000_123.456, batched: true };

function useVersion({
  bytesMax = 2 ** 25,
  rowsRateMax = 1e9,
  sampleRate = 1,
  random = (): number => 0,
} = {}) {
  const queue = new CaptureQueue({ bytesMax, rowsRateMax }, () => undefined);
  const counts = { dropped: 0, errors: 0 };
  const version = new VersionCapture({
    identity,
    queue,
    random,
    onDropped: (rows) => {
      counts.dropped += rows;
    },
    onUnforeseen: () => {
      counts.errors += 1;
    },
    onReleased: () => undefined,
  });
  version.configure({ sampleRate, maskedFields: [] });
  return { version, queue, counts };
}

const batchOf = ({ bytes }: SealedBatch): CapturedBatch =>
  fromBinary(CaptureInferencesRequestSchema, bytes).payload.value as CapturedBatch;

/** Takes what is sealed out of the queue. */
function taken(queue: CaptureQueue): CapturedBatch[] {
  const batches = queue.head(Number.POSITIVE_INFINITY);
  queue.remove(batches);
  return batches.map(batchOf);
}

describe("version-capture", () => {
  it("writes what decodes to what was recorded", () => {
    const { version, queue } = useVersion();
    const request = { routingKey: "ключ", eventUs: -1 };
    version.record(...inference("a", 1.5), AT);
    version.record(...inference("é".repeat(200), -2, { rows: 300, request }), AT);
    version.record(...inference("", 3), AT);
    version.seal();
    const [batch] = taken(queue);
    expect(batch).toMatchObject({ sequence: 1n, rows: 302, shadow: false, droppedRows: 0n });
    expect(batch!.inferences).toMatchObject({
      ids: ["a", "é".repeat(200), ""],
      rows: [1, 300, 1],
      eventTimesUs: [1_700_000_000_123_456n, -1n, 1_700_000_000_123_456n],
      queueMs: [0.5, 0.5, 0.5],
      computeMs: [0.25, 0.25, 0.25],
      routingKeys: ["", "ключ", ""],
    });
    const values = new Float32Array(new Uint8Array(batch!.outputs[0]!.contents).buffer);
    expect(values.length).toBe(302);
    expect([values[0], values[1], values[300], values[301]]).toEqual([1.5, -2, -2, 3]);
    expect(batch!.inputs[0]!.contents.length).toBe(302 * 8);
  });

  it("captures without them what has an id or a key that is none", () => {
    const { version, queue } = useVersion();
    const request = { routingKey: "k".repeat(300) };
    version.record(...inference("x".repeat(2 ** 20), 1, { request }), AT);
    version.record(...inference("y".repeat(256), 1), AT);
    version.seal();
    const [batch] = taken(queue);
    expect(batch!.inferences).toMatchObject({ ids: ["", "y".repeat(256)], routingKeys: [] });
  });

  it("seals before a batch holds too much, and never splits an inference", () => {
    const { version, queue } = useVersion();
    recordIds(version, idsOf("r", 40_000));
    version.record(...inference("large", 1, { rows: 60_000 }), AT);
    version.record(...inference("next", 1, { rows: 60_000 }), AT);
    version.seal();
    const sizes = queue.head(Number.POSITIVE_INFINITY).map(({ bytes }) => bytes.length);
    expect(Math.max(...sizes)).toBeLessThan(4 * 2 ** 20);
    const batches = taken(queue);
    expect(batches.map(({ sequence }) => Number(sequence))).toEqual(batches.map((_, i) => i + 1));
    const sum = batches.reduce((rows, batch) => rows + batch.rows, 0);
    expect(sum).toBe(160_000);
    for (const { rows, inferences } of batches) {
      expect(rows).toBeLessThanOrEqual(65_536);
      expect(inferences!.rows.reduce((all, one) => all + one, 0)).toBe(rows);
    }
  });

  it("takes no more rows than its pace allows, and owes what one inference took too much", async () => {
    const { version, queue, counts } = useVersion({ rowsRateMax: 200 });
    // A slice is ten rows.
    recordIds(version, idsOf("slice", 9));
    version.record(...inference("more than is left", 1, { rows: 11 }), AT);
    version.record(...inference("too late", 1), AT);
    expect(counts.dropped).toBe(1);
    queue.pace.start();
    onTestFinished(() => queue.pace[Symbol.dispose]());
    await expect.poll(() => queue.pace.take(1)).toBe(true);
    expect(queue.pace.take(10)).toBe(true);
    expect(queue.pace.take(1)).toBe(false);
  });

  it("counts what no batch can hold as dropped and tells it with the next batch", () => {
    const { version, queue, counts } = useVersion();
    version.record(...inference("too many rows", 1, { rows: 65_537 }), AT);
    const { shape } = inference("", 1)[0].inputs[0]!;
    const long: Tensor = { name: "x", datatype: "BYTES", shape, data: ["a", "x".repeat(2 ** 21)] };
    version.record(...inference("large", 1, { request: { inputs: [long] } }), AT);
    const [request, result] = inference("", 1, { rows: 2 });
    const [y] = result.outputs;
    const indivisible = { ...result, outputs: [{ ...y!, shape: [1], data: y!.data.slice(0, 4) }] };
    version.record(request, indivisible as typeof result, AT);
    expect(counts).toEqual({ dropped: 65_540, errors: 0 });
    recordIds(version, ["fits"]);
    version.seal();
    recordIds(version, ["fits too"]);
    version.seal();
    const dropped = taken(queue).map((batch) => Number(batch.droppedRows));
    expect(dropped).toEqual([65_540, 0]);
  });

  it("holds no more memory than its limit, however long nothing is sent", () => {
    const { version, queue, counts } = useVersion({ bytesMax: 2 ** 20 });
    recordIds(version, idsOf("inference-", 100_000));
    // What is over is at most the last doubling of the buffers of one kind.
    expect(queue.budget.used).toBeLessThan(2.1 * 2 ** 20);
    expect(counts.dropped).toBeGreaterThan(50_000);
    version.seal();
    const rows = taken(queue).reduce((sum, batch) => sum + batch.rows, 0);
    expect(rows + counts.dropped).toBe(100_000);
    version.turn();
    expect(queue.budget.used).toBe(0);
    recordIds(version, ["again"]);
    version.seal();
    expect(taken(queue)[0]!.droppedRows).toBe(BigInt(counts.dropped));
  });

  it("gives memory back where little is captured", () => {
    const { version, queue } = useVersion();
    recordIds(version, idsOf("many", 5000));
    const many = queue.budget.used;
    version.turn();
    taken(queue);
    recordIds(version, ["one"]);
    version.turn();
    taken(queue);
    expect(queue.budget.used).toBeLessThan(many / 10);
    version.turn();
    expect(queue.budget.used).toBe(0);
  });

  it("holds a bounded number of kinds of inferences at once", () => {
    const { version, queue, counts } = useVersion();
    for (let k = 1; k <= 20; k++) {
      const [request, result] = inference(`k${k}`, 1);
      const [x] = request.inputs;
      const wide = { ...x!, shape: [1, k], data: new Uint8Array(4 * k) };
      version.record({ ...request, inputs: [wide as typeof x & object] }, result, AT);
    }
    expect(counts.dropped).toBe(12);
    version.turn();
    expect(taken(queue).map((batch) => batch.inputs[0]!.rowShape[0])).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ]);
  });

  it("chooses by id alike everywhere, near the rate, and by the draw of copies without one", () => {
    const chosen = (sampleRate: number): string[] => {
      const { version, queue } = useVersion({ sampleRate });
      recordIds(version, idsOf("00000000-0000-4000-8000-", 10_000));
      version.seal();
      return taken(queue).flatMap((batch) => batch.inferences!.ids);
    };
    expect(chosen(0)).toEqual([]);
    expect(chosen(1).length).toBe(10_000);
    const half = chosen(0.5);
    // Five standard deviations of 10,000 draws are 250.
    expect(Math.abs(half.length - 5000)).toBeLessThan(250);
    expect(chosen(0.5)).toEqual(half);
    const tenth = chosen(0.1);
    expect(Math.abs(tenth.length - 1000)).toBeLessThan(150);
    expect(half).toEqual(expect.arrayContaining(tenth));
    const { version, queue } = useVersion({ sampleRate: 0.5, random: () => 0.7 });
    for (const captureDraw of [0.4, 0.6]) {
      for (const shadow of [false, true]) {
        const request = { captureDraw, shadow };
        version.record(...inference("", captureDraw, { request }), AT);
      }
    }
    version.record(...inference("", 0), AT);
    version.seal();
    expect(taken(queue).map(({ shadow, rows }) => [shadow, rows])).toEqual([
      [false, 1],
      [true, 1],
    ]);
  });

  it("captures nothing more once it is released, and hands over what it had", () => {
    const { version, queue } = useVersion();
    recordIds(version, ["a"]);
    version.release();
    version.configure({ sampleRate: 1, maskedFields: [] });
    recordIds(version, ["b"]);
    expect(taken(queue).flatMap((batch) => batch.inferences!.ids)).toEqual(["a"]);
    expect(queue.budget.used).toBe(0);
  });

  it("never throws into the path of an answer", () => {
    const { version, counts } = useVersion();
    const [request, result] = inference("a", 1);
    const broken = { ...request, inputs: undefined as never };
    expect(() => version.record(broken, result, AT)).not.toThrow();
    expect(counts).toEqual({ dropped: 1, errors: 1 });
  });
});
