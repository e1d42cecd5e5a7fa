// The upload's client against a server that keeps bytes in memory and breaks streams on request.

import { createHash, randomBytes } from "node:crypto";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { anonymous } from "./auth/principal.ts";
import { FailedPrecondition, NotFound, Unavailable } from "./errors/domain-error.ts";
import { Channel, createClient } from "./rpc/client.ts";
import { bindService, type ServiceHandlers } from "./rpc/context.ts";
import { startRpcServer } from "./rpc/server.ts";
import { useFolder } from "./testing/use-folder.ts";
import { uploadArtifact } from "./upload-artifact.ts";

const NAME = "workspaces/default/uploads/u1";
const PARENT = "workspaces/default";
const MIB = 1024 * 1024;

interface Faults {
  /** Streams that break once they kept this many bytes more; by stream, from the first. */
  readonly breakAfter?: readonly number[];
  /** Called with the count of bytes held after each chunk. */
  readonly onHeld?: (bytes: number) => void;
}

async function useUploads(faults: Faults = {}) {
  const held: Buffer[] = [];
  const state = { sha256: "", sizeBytes: 0n, streams: 0, offsets: [] as number[], chunkMax: 0 };
  const bytes = (): Buffer => Buffer.concat(held);
  const upload = () => {
    const receivedBytes = BigInt(bytes().length);
    const { sha256, sizeBytes } = state;
    return { name: NAME, sha256, sizeBytes, receivedBytes, complete: receivedBytes === sizeBytes };
  };
  const handlers: Partial<ServiceHandlers<typeof ModelService>> = {
    async createUpload(request) {
      state.sha256 = request.sha256;
      state.sizeBytes = request.sizeBytes;
      return upload();
    },
    async getUpload(request) {
      if (request.name !== NAME) {
        throw new NotFound("no such upload", { reason: ErrorReason.RESOURCE_NOT_FOUND });
      }
      return upload();
    },
    async uploadArtifact(requests) {
      const room = faults.breakAfter?.[state.streams] ?? Number.POSITIVE_INFINITY;
      state.streams += 1;
      let kept = 0;
      for await (const { payload } of requests) {
        if (payload.case === "start") {
          expect(payload.value.offset).toBe(BigInt(bytes().length));
          state.offsets.push(Number(payload.value.offset));
        } else if (payload.case === "chunk") {
          state.chunkMax = Math.max(state.chunkMax, payload.value.length);
          held.push(Buffer.from(payload.value));
          kept += payload.value.length;
          faults.onHeld?.(bytes().length);
        }
        if (kept >= room) {
          throw new Unavailable("cut", { reason: ErrorReason.DRAINING, retryAfterMs: 1 });
        }
      }
      return upload();
    },
  };
  const binding = bindService(ModelService, handlers as ServiceHandlers<typeof ModelService>);
  const server = await startRpcServer({
    host: "127.0.0.1",
    port: 0,
    bindings: [binding],
    authenticate: () => anonymous,
  });
  const channel = new Channel({ address: server.address });
  onTestFinished(async () => {
    channel[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  return { client: createClient(ModelService, channel), state, bytes };
}

function useFile(size: number): { readonly path: string; readonly content: Buffer } {
  const content = randomBytes(size);
  const path = join(useFolder(), "model.onnx");
  writeFileSync(path, content);
  return { path, content };
}

describe("upload-artifact", () => {
  it("sends a file in chunks with its SHA-256 and reports progress", async () => {
    const { client, state, bytes } = await useUploads();
    const { path, content } = useFile(3 * MIB + 17);
    const progress: string[] = [];
    let last = 0;
    const upload = await uploadArtifact({
      client,
      parent: PARENT,
      path,
      onProgress: ({ phase, bytes: done, totalBytes }) => {
        expect(totalBytes).toBe(content.length);
        if (progress.at(-1) !== phase) {
          progress.push(phase);
        }
        last = done;
      },
    });
    expect(upload).toMatchObject({ name: NAME, complete: true });
    expect(bytes().equals(content)).toBe(true);
    expect(state.sha256).toBe(createHash("sha256").update(content).digest("hex"));
    expect(state.chunkMax).toBeLessThanOrEqual(MIB);
    expect(progress).toEqual(["hashing", "sending"]);
    expect(last).toBe(content.length);
  });

  it("goes on from the byte the server holds when the stream breaks", async () => {
    const { client, state, bytes } = await useUploads({ breakAfter: [MIB, 2 * MIB] });
    const { path, content } = useFile(5 * MIB);
    const retries: number[] = [];
    await uploadArtifact({
      client,
      parent: PARENT,
      path,
      onRetry: ({ fromByte }) => retries.push(fromByte),
    });
    expect(bytes().equals(content)).toBe(true);
    expect(state.offsets).toEqual([0, MIB, 3 * MIB]);
    expect(retries).toEqual([MIB, 3 * MIB]);
  });

  it("gives up after a bounded number of tries that brought nothing", async () => {
    const { client, state } = await useUploads({ breakAfter: Array(20).fill(0) });
    const { path } = useFile(MIB);
    await expect(uploadArtifact({ client, parent: PARENT, path, triesMax: 3 })).rejects.toThrow(
      /stopped at byte 0 of 1048576: 3 tries in a row/,
    );
    expect(state.streams).toBe(3);
  });

  it("resumes an upload begun earlier, with the same file only", async () => {
    const { client, state, bytes } = await useUploads({ breakAfter: [2 * MIB] });
    const { path, content } = useFile(4 * MIB);
    const broken = uploadArtifact({ client, parent: PARENT, path, triesMax: 0 });
    await expect(broken).rejects.toThrow(Unavailable);
    const other = useFile(4 * MIB);
    await expect(
      uploadArtifact({ client, parent: PARENT, path: other.path, resume: NAME }),
    ).rejects.toThrow(/was begun with another file/);
    const upload = await uploadArtifact({ client, parent: PARENT, path, resume: NAME });
    expect(upload.complete).toBe(true);
    expect(state.offsets).toEqual([0, 2 * MIB]);
    expect(bytes().equals(content)).toBe(true);
  });

  it("notices that the file changed between two tries", async () => {
    const file = useFile(4 * MIB);
    const faults = {
      breakAfter: [MIB],
      onHeld: (held: number) => held === MIB && appendFileSync(file.path, "more"),
    };
    const { client } = await useUploads(faults as Faults);
    const upload = uploadArtifact({ client, parent: PARENT, path: file.path });
    await expect(upload).rejects.toThrow(FailedPrecondition);
    await expect(upload).rejects.toThrow(/changed while it was being uploaded/);
  });

  it("stops when it is told to", async () => {
    const stop = new AbortController();
    const reason = new Error("stopped");
    const { client } = await useUploads({ onHeld: () => stop.abort(reason) });
    const { path } = useFile(8 * MIB);
    const upload = uploadArtifact({ client, parent: PARENT, path, signal: stop.signal });
    await expect(upload).rejects.toBe(reason);
  });

  it("refuses an empty file, a folder and one that is not there", async () => {
    const { client } = await useUploads();
    const folder = useFolder();
    writeFileSync(join(folder, "empty.onnx"), "");
    const send = (path: string) => uploadArtifact({ client, parent: PARENT, path });
    await expect(send(join(folder, "empty.onnx"))).rejects.toThrow(/is empty/);
    await expect(send(folder)).rejects.toThrow(/not a file/);
    await expect(send(join(folder, "absent"))).rejects.toThrow(/ENOENT/);
  });

  it("passes on what the server refuses, without another try", async () => {
    const { client, state } = await useUploads();
    const { path } = useFile(10);
    await expect(
      uploadArtifact({ client, parent: PARENT, path, resume: `${PARENT}/uploads/none` }),
    ).rejects.toThrow(NotFound);
    expect(state.streams).toBe(0);
  });
});
