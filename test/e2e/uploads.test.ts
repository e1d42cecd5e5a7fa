// Large artifacts: bounded memory on both sides, connections that break, and what is refused.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { Channel } from "../../services/common/rpc/client.ts";
import { useFolder } from "../../services/common/testing/use-folder.ts";
import { uploadArtifact } from "../../services/common/upload-artifact.ts";
import { sha256, uploadMessages } from "../../services/registry/testing.ts";
import { residentBytes, useChildMesh } from "./use-child-mesh.ts";
import { shareMesh } from "./use-mesh.ts";
import { clientsOn, DEFAULT } from "./use-models.ts";

const MIB = 1024 * 1024;
const LARGE_BYTES = 500 * MIB;
/** What either side may grow while the file goes by: a third of the file. */
const GROWTH_MAX = 150 * MIB;

const shared = shareMesh({}, ["registry", "inference"]);

/** A file of random bytes at a few places and holes between them. */
async function sparseFile(sizeBytes: number): Promise<string> {
  const path = join(useFolder(), "large.onnx");
  await using file = await open(path, "w");
  for (let at = 0; at < sizeBytes; at += 50 * MIB) {
    await file.write(randomBytes(64 * 1024), 0, undefined, at);
  }
  await file.truncate(sizeBytes);
  return path;
}

/** A TCP proxy whose connections can be cut. */
async function useProxy(address: string) {
  const [host, port] = [address.split(":")[0]!, Number(address.split(":")[1])];
  const sockets = new Set<Socket>();
  let bytes = 0;
  const server = createServer((near) => {
    const far = connect(port, host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    near.on("data", (data) => {
      bytes += data.length;
    });
    near.pipe(far).pipe(near);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = () => {
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  onTestFinished(() => {
    cut();
    server.close();
  });
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Bytes that went from client to server. */
    bytes: () => bytes,
    cut,
  };
}

describe("a 500 MB artifact", () => {
  it("goes up with bounded memory on both sides, over connections that break", async () => {
    const path = await sparseFile(LARGE_BYTES);
    const mesh = await useChildMesh({ dataDir: useFolder() });
    const proxy = await useProxy(mesh.grpcAddress);
    using channel = new Channel({ address: proxy.address });
    const { models } = clientsOn(channel);
    const grown = { server: mesh.residentBytes(), client: residentBytes(process.pid) };
    const begun = { ...grown };
    const sample = () => {
      grown.server = Math.max(grown.server, mesh.residentBytes());
      grown.client = Math.max(grown.client, residentBytes(process.pid));
    };
    const cuts = [100 * MIB, 300 * MIB];
    const retries: number[] = [];
    const upload = await uploadArtifact({
      client: models,
      parent: DEFAULT,
      path,
      onProgress: ({ phase, bytes }) => {
        sample();
        if (phase === "sending" && bytes > (cuts[0] ?? Infinity)) {
          cuts.shift();
          proxy.cut();
        }
      },
      onRetry: ({ fromByte }) => retries.push(fromByte),
    });
    expect(upload).toMatchObject({ complete: true, receivedBytes: BigInt(LARGE_BYTES) });
    // It went on where it was and did not begin again.
    expect(retries.length).toBeGreaterThanOrEqual(2);
    expect(retries[0]).toBeGreaterThan(50 * MIB);
    expect(retries.at(-1)).toBeGreaterThan(250 * MIB);
    expect(proxy.bytes()).toBeLessThan(LARGE_BYTES * 1.2);
    expect(grown.server - begun.server).toBeLessThan(GROWTH_MAX);
    expect(grown.client - begun.client).toBeLessThan(GROWTH_MAX);
  }, 60_000);
});

describe("an upload", () => {
  const bytes = randomBytes(300_000);
  const models = () => clientsOn(shared.current.channel).models;
  const begin = (digest = sha256(bytes), size = bytes.length) =>
    models().createUpload({ parent: DEFAULT, sha256: digest, sizeBytes: BigInt(size) });

  it("of other bytes than were promised is refused, and can be sent again", async () => {
    const { name } = await begin();
    const other = uploadMessages(name, randomBytes(bytes.length));
    await expect(models().uploadArtifact(other)).rejects.toMatchObject({
      kind: "DataLoss",
      reason: ErrorReason.DIGEST_MISMATCH,
    });
    expect(await models().getUpload({ name })).toMatchObject({
      complete: false,
      receivedBytes: 0n,
    });
    expect((await models().uploadArtifact(uploadMessages(name, bytes))).complete).toBe(true);
  });

  it("of more bytes than were promised is refused", async () => {
    const { name } = await begin(sha256(bytes.subarray(0, 1000)), 1000);
    await expect(models().uploadArtifact(uploadMessages(name, bytes))).rejects.toMatchObject({
      kind: "InvalidArgument",
      message: expect.stringContaining("1000"),
    });
  });

  it("at another offset than the server holds is told where to go on", async () => {
    const { name } = await begin();
    const part = uploadMessages(name, bytes.subarray(0, 100_000));
    expect((await models().uploadArtifact(part)).receivedBytes).toBe(100_000n);
    for (const offset of [0, 50_000, 200_000]) {
      const sent = models().uploadArtifact(uploadMessages(name, bytes, { offset }));
      await expect(sent).rejects.toMatchObject({
        reason: ErrorReason.UPLOAD_OFFSET_MISMATCH,
        metadata: { received_bytes: "100000" },
      });
    }
    const rest = uploadMessages(name, bytes, { offset: 100_000 });
    expect((await models().uploadArtifact(rest)).complete).toBe(true);
  });

  it("that is not whole cannot become a version", async () => {
    const { name } = await begin();
    await models().uploadArtifact(uploadMessages(name, bytes.subarray(0, 100_000)));
    await models().createRegisteredModel({ parent: DEFAULT, modelId: "m" });
    const made = models().createModelVersion({ parent: `${DEFAULT}/models/m`, upload: name });
    await expect(made).rejects.toMatchObject({
      kind: "FailedPrecondition",
      message: expect.stringContaining("100000 of 300000"),
    });
  });

  it("with a size or digest that cannot be is refused before a byte is sent", async () => {
    for (const [digest, size] of [
      [sha256(bytes), -1],
      [sha256(bytes), 0],
      [sha256(bytes), 2 ** 50],
      ["abc", 10],
      ["Z".repeat(64), 10],
    ] as const) {
      await expect(begin(digest, size)).rejects.toMatchObject({ kind: "InvalidArgument" });
    }
  });
});
