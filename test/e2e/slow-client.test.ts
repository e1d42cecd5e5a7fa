// A client that asks and never reads: what the server holds for it is bounded, and others are
// served.

import { once } from "node:events";
import type { ClientHttp2Stream } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { encodeModel } from "../../services/common/testing/onnx-writer.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { identity } from "../../services/inference/testing/graphs.ts";
import { linearModel } from "../../services/registry/test-models.ts";
import { begin, framed, inferBytes, MODEL_STREAM_INFER, useConnection } from "./raw-call.ts";
import { useChildMesh } from "./use-child-mesh.ts";
import { clientsOn, collect, firstOutput, rowsOf, serveModel } from "./use-models.ts";

const MIB = 1024 * 1024;

/** The stream's window of 64 MiB of requests, their answers, and what garbage collection leaves. */
const GROWTH_MAX = 250 * MIB;

/** A megabyte in and a megabyte out. */
const ECHO = framed(
  inferBytes({
    modelName: "echo",
    inputs: [{ name: "x", datatype: "FP32", shape: [1n, 262_144n] }],
    rawInputContents: [new Uint8Array(MIB)],
  }),
);

/** Writes until flow control stops it or there were so many; how many it wrote. */
async function writeUntilStuck(stream: ClientHttp2Stream, most: number): Promise<number> {
  for (let accepted = 0; accepted < most; accepted += 1) {
    const written = new Promise((resolve) => stream.write(ECHO, resolve));
    if ((await Promise.race([written, sleep(1000, "stuck")])) === "stuck") return accepted;
  }
  return most;
}

describe("a client that never reads", () => {
  it("is held to its window, and others are served", async () => {
    const mesh = await useChildMesh({ dataDir: useFolder() });
    const clients = clientsOn(mesh.channel);
    await serveModel(clients, "echo", encodeModel(identity("FP32", ["N", "M"])));
    await serveModel(clients, "linear", linearModel());
    const session = await useConnection(mesh.grpcAddress);
    const stream = begin(session, MODEL_STREAM_INFER);
    const before = mesh.residentBytes();
    // Flow control stops the client long before it is through.
    const accepted = await writeUntilStuck(stream, 600);
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(300);
    for (let index = 0; index < 50; index += 1) {
      const answer = await clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]]));
      expect(firstOutput(answer)).toEqual([10.5]);
    }
    expect(mesh.residentBytes() - before).toBeLessThan(GROWTH_MAX);

    // Once it reads, it gets its answers.
    const got = once(stream, "data");
    expect((await got)[0].length).toBeGreaterThan(0);
    session.destroy();
    const echo = clients.inference.modelInfer(rowsOf("echo", [[1, 2]]));
    expect(firstOutput(await echo)).toEqual([1, 2]);
  }, 60_000);

  it("on many streams is held to what all streams may have together", async () => {
    const env = { PLINTH_INFERENCE_STREAMS_BYTES_MAX: "100MiB" };
    const mesh = await useChildMesh({ dataDir: useFolder(), env });
    const clients = clientsOn(mesh.channel);
    await serveModel(clients, "echo", encodeModel(identity("FP32", ["N", "M"])));
    const before = mesh.residentBytes();
    const accepted = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const session = await useConnection(mesh.grpcAddress);
        return writeUntilStuck(begin(session, MODEL_STREAM_INFER), 200);
      }),
    );
    expect(Math.max(...accepted)).toBeLessThan(200);
    // Without the shared limit it is 80 MiB a stream and more.
    expect(mesh.residentBytes() - before).toBeLessThan(800 * MIB);
    async function* requests() {
      for (let index = 0; index < 20; index += 1) {
        yield rowsOf("echo", [[index]], { id: `${index}` });
      }
    }
    const answers = await collect(clients.inference.modelStreamInfer(requests()));
    expect(answers.map(({ inferResponse }) => firstOutput(inferResponse))).toEqual(
      Array.from({ length: 20 }, (_, index) => [index]),
    );
  }, 60_000);

  it("leaves the queue to others once its requests are through", async () => {
    const mesh = await useChildMesh({ dataDir: useFolder() });
    const clients = clientsOn(mesh.channel);
    await serveModel(clients, "linear", linearModel());
    const session = await useConnection(mesh.grpcAddress);
    const message = framed(inferBytes(rowsOf("linear", [[1, 1, 1, 1]])));
    const many = Buffer.concat(Array.from({ length: 1000 }, () => message));
    for (let index = 0; index < 50; index += 1) {
      begin(session, MODEL_STREAM_INFER).write(many);
    }
    const infer = () =>
      clients.inference.modelInfer(rowsOf("linear", [[1, 1, 1, 1]])).then(firstOutput, () => []);
    await expect.poll(infer, { timeout: 20_000 }).toEqual([10.5]);
    expect(session.destroyed).toBe(false);
  }, 30_000);
});
