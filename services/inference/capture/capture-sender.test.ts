import { createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument, Unavailable } from "../../common/errors/domain-error.ts";
import { Channel } from "../../common/rpc/client.ts";
import { identity, idsOf, recordIds } from "../testing/captured.ts";
import { TestMonitoring } from "../testing/test-monitoring.ts";
import { makeCapture, until } from "../testing/use-capture.ts";
import type { Capture } from "./capture.ts";
import type { VersionCapture } from "./version-capture.ts";

function versionOf(capture: Capture): VersionCapture {
  const version = capture.version(identity);
  version.configure({ sampleRate: 1, maskedFields: [] });
  return version;
}

const unavailable = () =>
  new Unavailable("Not now.", { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs: 1 });

describe("capture-sender", () => {
  it("sends again what was not acknowledged: the same bytes, the same sequences", async () => {
    const monitoring = await TestMonitoring.start();
    let failures = 2;
    monitoring.answer = async () => {
      if (failures > 0) {
        failures -= 1;
        throw unavailable();
      }
      return {};
    };
    const capture = makeCapture(monitoring);
    const version = versionOf(capture);
    recordIds(version, idsOf("a", 3));
    await until(() => monitoring.streams.length >= 1);
    recordIds(version, idsOf("b", 2));
    await until(() => monitoring.rows === 5);
    const [first, second, third] = monitoring.streams;
    expect(second!.raw).toEqual(first!.raw);
    expect(third!.raw[0]).toEqual(first!.raw[0]);
    const { sender } = first!.start!;
    expect(sender).toMatch(/^[a-zA-Z0-9-]{1,64}$/);
    expect(monitoring.streams.every(({ start }) => start?.sender === sender)).toBe(true);
    expect(monitoring.taken.map(({ sequence }) => Number(sequence))).toEqual([1, 2]);
    expect(monitoring.ids).toEqual(["a0", "a1", "a2", "b0", "b1"]);
  });

  it("finds out with one batch whether monitoring is back, then brings the rest", async () => {
    const monitoring = await TestMonitoring.start();
    let failures = 2;
    monitoring.answer = async () => {
      if (failures > 0) {
        failures -= 1;
        throw unavailable();
      }
      return {};
    };
    const capture = makeCapture(monitoring, { intervalMs: 60_000 });
    const version = versionOf(capture);
    for (const name of ["a", "b", "c", "d"]) {
      recordIds(version, [name]);
      version.seal();
    }
    await capture.handOver();
    await until(() => monitoring.rows === 4);
    const sent = monitoring.streams.map(({ batches }) =>
      batches.map((one) => Number(one.sequence)),
    );
    expect(sent).toEqual([[1, 2, 3, 4], [1], [1], [2, 3, 4]]);
    expect(monitoring.ids).toEqual(["a", "b", "c", "d"]);
  });

  it("sends the same again after a connection broke in the middle of a stream", async () => {
    const monitoring = await TestMonitoring.start();
    const { answer } = monitoring;
    monitoring.answer = (_, { signal }) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    const capture = makeCapture(monitoring);
    recordIds(versionOf(capture), idsOf("a", 3));
    await until(() => monitoring.streams[0]?.raw.length === 1);
    await monitoring.stop();
    monitoring.answer = answer;
    await monitoring.comeBack();
    await until(() => monitoring.rows === 3);
    expect(monitoring.streams.at(-1)!.raw).toEqual(monitoring.streams[0]!.raw);
    expect(monitoring.taken.length).toBe(1);
  });

  it("says which sequences will not come again", async () => {
    const monitoring = await TestMonitoring.start();
    const capture = makeCapture(monitoring);
    const version = versionOf(capture);
    for (let i = 1; i <= 3; i++) {
      recordIds(version, [`r${i}`]);
      await until(() => monitoring.rows === i);
    }
    const told = monitoring.streams.map(({ start, batches }) => [
      Number(start!.acknowledgedSequence),
      Number(batches[0]!.sequence),
    ]);
    expect(told).toEqual([
      [0, 1],
      [1, 2],
      [2, 3],
    ]);
  });

  it("keeps rows while monitoring is away and brings them when it is back", async () => {
    const monitoring = await TestMonitoring.start();
    await monitoring.stop();
    const capture = makeCapture(monitoring);
    const version = versionOf(capture);
    recordIds(version, idsOf("a", 100));
    await sleep(50);
    recordIds(version, idsOf("b", 100));
    await monitoring.comeBack();
    await until(() => monitoring.rows === 200);
    expect(monitoring.ids).toEqual([...idsOf("a", 100), ...idsOf("b", 100)].sort());
    expect(new Set(monitoring.taken.map(({ sequence }) => sequence)).size).toBe(
      monitoring.taken.length,
    );
  });

  it("drops and counts what does not fit while monitoring hangs, and tells it after", async () => {
    const monitoring = await TestMonitoring.start();
    const gate = Promise.withResolvers<void>();
    monitoring.answer = async () => {
      await gate.promise;
      return {};
    };
    const capture = makeCapture(monitoring, { bytesMax: 2 ** 20 });
    const version = versionOf(capture);
    recordIds(version, ["first"]);
    await until(() => monitoring.streams.length === 1);
    const recorded = 200_000;
    for (let i = 0; i < 20; i++) {
      recordIds(version, idsOf(`r${i}-`, recorded / 20));
      await sleep(1);
      expect(capture.waitingBytes).toBeLessThan(2.1 * 2 ** 20);
    }
    expect(monitoring.streams.length).toBe(1);
    gate.resolve();
    await until(() => capture.waitingBytes === 0);
    recordIds(version, ["last"]);
    await until(() => monitoring.ids.includes("last"));
    const dropped = monitoring.taken.reduce((sum, batch) => sum + Number(batch.droppedRows), 0);
    expect(dropped).toBeGreaterThan(0);
    expect(monitoring.rows + dropped).toBe(recorded + 2);
  });

  it("does not send again what monitoring refused for good", async () => {
    const monitoring = await TestMonitoring.start();
    monitoring.answer = async ({ batches }) => ({
      refusedRows: 3n,
      refusals: [{ sequence: batches[0]!.sequence, reason: "too many columns" }],
    });
    const capture = makeCapture(monitoring);
    const version = versionOf(capture);
    recordIds(version, idsOf("a", 3));
    await until(() => capture.waitingBytes === 0);
    recordIds(version, ["b"]);
    await until(() => monitoring.ids.includes("b"));
    expect(monitoring.ids).toEqual(["a0", "a1", "a2", "b"]);
    expect(monitoring.streams.length).toBe(2);
  });

  it("goes on behind a stream that is refused as a whole", async () => {
    const monitoring = await TestMonitoring.start();
    monitoring.answer = async ({ batches }) => {
      if (batches.some(({ inferences }) => inferences!.ids.includes("bad"))) {
        throw new InvalidArgument("Nonsense.", { reason: ErrorReason.INVALID_FIELD });
      }
      return {};
    };
    const capture = makeCapture(monitoring);
    const version = versionOf(capture);
    recordIds(version, ["bad"]);
    await until(() => monitoring.streams.length === 1);
    recordIds(version, ["good"]);
    await until(() => monitoring.ids.includes("good"));
    expect(monitoring.ids).toEqual(["good"]);
  });

  it("gives up what waits where no monitoring service is served", async () => {
    const monitoring = await TestMonitoring.start({ serves: false });
    const capture = makeCapture(monitoring);
    const version = versionOf(capture);
    recordIds(version, idsOf("a", 1000));
    await until(() => capture.waitingBytes === 0);
    recordIds(version, idsOf("b", 1000));
    expect(capture.waitingBytes).toBe(0);
  });

  it("sends what is captured a last time when it drains", async () => {
    const monitoring = await TestMonitoring.start();
    const capture = makeCapture(monitoring, { intervalMs: 60_000 });
    const version = versionOf(capture);
    recordIds(version, idsOf("a", 10));
    await capture.drain();
    expect(monitoring.rows).toBe(10);
    version.release();
    expect(capture.waitingBytes).toBe(0);
  });

  it("sends at once what was sealed because it is much, also between two intervals", async () => {
    const monitoring = await TestMonitoring.start();
    const capture = makeCapture(monitoring, { intervalMs: 60_000 });
    recordIds(versionOf(capture), idsOf("a", 50_000));
    await until(() => monitoring.rows >= 32_768);
    expect(monitoring.taken.every(({ rows }) => rows >= 1_000)).toBe(true);
  });

  it("drains within its bound where monitoring takes connections and says nothing", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => {
      for (const socket of sockets) {
        socket.destroy();
      }
      silent.close();
    });
    const { port } = silent.address() as { port: number };
    const channel = new Channel({ address: `127.0.0.1:${port}` });
    onTestFinished(() => channel[Symbol.dispose]());
    const capture = makeCapture({ channel });
    recordIds(versionOf(capture), idsOf("a", 10));
    await until(() => sockets.length > 0);
    await capture.drain();
    // Without a bound it would be the 10 s of a stream, and the test would be over.
  }, 8000);
});
