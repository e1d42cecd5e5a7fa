// The handlers of ModelService that carry bytes in and out.

import { randomUUID } from "node:crypto";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import type { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { requireWorkspace } from "../common/auth/principal.ts";
import { InvalidArgument, ResourceExhausted } from "../common/errors/domain-error.ts";
import { modelVersionName, uploadName, workspaceName } from "../common/names.ts";
import { RequestFaults } from "../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../common/rpc/context.ts";
import { toUpload } from "./convert.ts";
import { now, type RegistryDeps } from "./deps.ts";
import { requireParentWorkspace } from "./parents.ts";
import { readUpload, receiveUpload } from "./receive-upload.ts";
import { resolveVersion } from "./resolve-version.ts";

type Handlers = ServiceHandlers<typeof ModelService>;

const SHA256 = /^[0-9a-f]{64}$/;
const UPLOADS_RETRY_AFTER_MS = 60_000;

/** Handlers over the registry's store and blobs. */
export function artifactHandlers(
  deps: RegistryDeps,
): Pick<Handlers, "createUpload" | "getUpload" | "uploadArtifact" | "downloadArtifact"> {
  return {
    createUpload: (request, context) => createUpload(deps, request, context),

    async getUpload({ name }, context) {
      requireWorkspace(context.principal, uploadName.parse(name, "name").workspace);
      return toUpload(await readUpload(deps, name));
    },

    async uploadArtifact(requests, context) {
      const stream = requests[Symbol.asyncIterator]();
      const first = await stream.next();
      const payload = first.done === true ? undefined : first.value.payload;
      if (payload?.case !== "start") {
        throw new InvalidArgument("The first message of UploadArtifact must hold `start`.", {
          reason: ErrorReason.INVALID_FIELD,
          violations: [{ field: "start", description: "must stand in the first message" }],
        });
      }
      const start = payload.value;
      const { workspace } = uploadName.parse(start.name, "start.name");
      requireWorkspace(context.principal, workspace);
      const chunks = { [Symbol.asyncIterator]: () => stream };
      return toUpload(await receiveUpload(deps, { start, chunks }));
    },

    downloadArtifact: (request, context) => download(deps, request, context),
  };
}

async function createUpload(
  deps: RegistryDeps,
  request: Parameters<Handlers["createUpload"]>[0],
  context: CallContext,
): ReturnType<Handlers["createUpload"]> {
  const { store, config } = deps;
  const { workspace } = workspaceName.parse(request.parent, "parent");
  requireWorkspace(context.principal, workspace);
  const sizeBytes = Number(request.sizeBytes);
  const max = config.uploadBytesMax;
  const faults = new RequestFaults();
  faults.check(SHA256.test(request.sha256), "sha256", "must be 64 lower-case hex digits");
  faults.check(sizeBytes >= 1 && sizeBytes <= max, "size_bytes", `must be from 1 to ${max}`);
  faults.done();
  await requireParentWorkspace(store, workspace);
  if ((await store.uploads.countDocuments({ workspace })) >= config.uploadsMax) {
    throw new ResourceExhausted(
      `The workspace has ${config.uploadsMax} open uploads, the most allowed. Finish some first; ` +
        "those that rest are removed in time.",
      { reason: ErrorReason.OVERLOADED, retryAfterMs: UPLOADS_RETRY_AFTER_MS },
    );
  }
  const uploadId = randomUUID();
  const stored = await store.uploads.insertOne({
    _id: uploadName.format({ workspace, upload: uploadId }),
    uploadId,
    workspace,
    createTime: now(deps),
    expireTime: new Date(deps.clock.now() + config.uploadTtlMs),
    sha256: request.sha256,
    sizeBytes,
    receivedBytes: 0,
    complete: false,
  });
  return toUpload(stored);
}

async function* download(
  deps: RegistryDeps,
  request: Parameters<Handlers["downloadArtifact"]>[0],
  context: CallContext,
): ReturnType<Handlers["downloadArtifact"]> extends AsyncIterable<infer T>
  ? AsyncGenerator<T>
  : never {
  const { workspace } = modelVersionName.parse(request.name, "name");
  requireWorkspace(context.principal, workspace);
  const { version } = await resolveVersion(deps.store, request.name, "name");
  const faults = new RequestFaults();
  let offset = Number(request.offset);
  const isInside = offset >= 0 && offset <= version.sizeBytes;
  faults.check(isInside, "offset", `must be from 0 to ${version.sizeBytes}`);
  faults.done();
  if (offset === version.sizeBytes) {
    return;
  }
  for await (const chunk of deps.blobs.read(version.sha256, offset)) {
    yield { offset: BigInt(offset), chunk };
    offset += chunk.length;
  }
}
