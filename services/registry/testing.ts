// For tests: a registry on real stores, called through its handlers with a context made up for the
// call.

import { createHash } from "node:crypto";
import { create, type DescMethod, type DescService } from "@bufbuild/protobuf";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { onTestFinished } from "vitest";
import { ApiKeyService } from "../../gen/plinth/registry/v1/api_key_service_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import {
  type ModelVersion,
  ModelVersion_State,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import { WorkspaceService } from "../../gen/plinth/registry/v1/workspace_service_pb.js";
import { anonymous, type Principal } from "../common/auth/principal.ts";
import { openBlobStore } from "../common/blobs/open.ts";
import type { BlobStore } from "../common/blobs/port.ts";
import { type Clock, systemClock } from "../common/clock.ts";
import { parseSettings } from "../common/config.ts";
import type { DocumentStore } from "../common/documents/port.ts";
import { useStore } from "../common/documents/testing.ts";
import type { ServiceModule } from "../common/lifecycle.ts";
import type { CallContext, Client, ServiceBinding } from "../common/rpc/context.ts";
import { useFolder } from "../common/testing/use-folder.ts";
import { createRegistry } from "./app.ts";
import { type RegistryConfig, registrySettings } from "./config.ts";

/** The services of a registry, called as one principal. */
export interface RegistryCaller {
  readonly workspaces: Client<typeof WorkspaceService>;
  readonly models: Client<typeof ModelService>;
  readonly deployments: Client<typeof DeploymentService>;
  readonly keys: Client<typeof ApiKeyService>;
}

export interface TestRegistry extends RegistryCaller {
  readonly module: ServiceModule;
  readonly documents: DocumentStore;
  readonly blobs: BlobStore;
  readonly config: RegistryConfig;
  as(principal: Principal): RegistryCaller;
}

export interface TestRegistryOptions {
  readonly clock?: Clock;
  readonly config?: Partial<RegistryConfig>;
  readonly documents?: DocumentStore;
  readonly blobs?: BlobStore;
  /** False: nothing is validated or swept. */
  readonly isStarted?: boolean;
}

/** A registry that ends with the test; its own stores too. */
export async function useRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const clock = options.clock ?? systemClock;
  const documents = options.documents ?? (await useStore({ clock }));
  const blobs = options.blobs ?? (await useBlobs());
  const config = { ...parseSettings({}, registrySettings), ...options.config };
  const module = await createRegistry({ config, documents, blobs, clock });
  onTestFinished(async () => {
    await module[Symbol.asyncDispose]();
  });
  if (options.isStarted !== false) {
    await module.start();
  }
  const as = (principal: Principal) => callerOf(module, principal);
  return { module, documents, blobs, config, as, ...as(anonymous) };
}

/** Blobs in a folder that goes with the test. */
export async function useBlobs(): Promise<BlobStore> {
  const blobs = await openBlobStore(`file:${useFolder()}`);
  onTestFinished(async () => {
    await blobs[Symbol.asyncDispose]();
  });
  return blobs;
}

/** A context of a call by this principal. */
export function testContext(
  principal: Principal = anonymous,
  signal: AbortSignal = new AbortController().signal,
): CallContext {
  return {
    path: "/test",
    signal,
    deadlineMs: Date.now() + 60_000,
    principal,
    header: () => undefined,
    trace: ROOT_CONTEXT,
  };
}

/** Uploads the bytes in chunks; the name of the complete upload. */
export async function upload(
  registry: RegistryCaller,
  bytes: Uint8Array,
  options: { readonly parent?: string; readonly chunkBytes?: number } = {},
): Promise<string> {
  const { name } = await registry.models.createUpload({
    parent: options.parent ?? "workspaces/default",
    sha256: sha256(bytes),
    sizeBytes: BigInt(bytes.length),
  });
  await registry.models.uploadArtifact(uploadMessages(name, bytes, options));
  return name;
}

/** The messages of an upload stream. */
export async function* uploadMessages(
  name: string,
  bytes: Uint8Array,
  options: { readonly offset?: number; readonly chunkBytes?: number } = {},
) {
  const offset = options.offset ?? 0;
  const size = options.chunkBytes ?? 1024 * 1024;
  yield { payload: { case: "start" as const, value: { name, offset: BigInt(offset) } } };
  for (let at = offset; at < bytes.length; at += size) {
    yield { payload: { case: "chunk" as const, value: bytes.subarray(at, at + size) } };
  }
}

/** Pushes a model file as the next version and waits for its validation. */
export async function push(
  registry: RegistryCaller,
  model: string,
  bytes: Uint8Array,
  fields: Parameters<Client<typeof ModelService>["createModelVersion"]>[0]["modelVersion"] = {},
): Promise<ModelVersion> {
  const parent = model.replace(/\/models\/.*/, "");
  const version = await registry.models.createModelVersion({
    parent: model,
    upload: await upload(registry, bytes, { parent }),
    modelVersion: fields,
  });
  return validated(registry, version.name);
}

/** Waits until a version is READY or FAILED. */
export async function validated(registry: RegistryCaller, name: string): Promise<ModelVersion> {
  let last: ModelVersion | undefined;
  for await (const version of registry.models.watchModelVersion({ name })) {
    last = version;
  }
  if (last === undefined || last.state === ModelVersion_State.VALIDATING) {
    throw new Error(`${name} was not validated`);
  }
  return last;
}

/** Makes a model in the default workspace; its name. */
export async function makeModel(
  registry: RegistryCaller,
  modelId: string,
  parent = "workspaces/default",
): Promise<string> {
  return (await registry.models.createRegisteredModel({ parent, modelId })).name;
}

/** Pushes a model file and approves it. */
export async function pushApproved(
  registry: RegistryCaller,
  model: string,
  bytes: Uint8Array,
): Promise<ModelVersion> {
  const { name } = await push(registry, model, bytes);
  return registry.models.approveModelVersion({ name });
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The next `count` items of a stream. */
export async function take<T>(stream: AsyncIterator<T>, count: number): Promise<T[]> {
  const items: T[] = [];
  while (items.length < count) {
    const next = await stream.next();
    if (next.done === true) {
      break;
    }
    items.push(next.value);
  }
  return items;
}

function callerOf(module: ServiceModule, principal: Principal): RegistryCaller {
  const client = <S extends DescService>(service: S): Client<S> => {
    const binding = module.bindings.find((one) => one.service === service);
    if (binding === undefined) {
      throw new Error(`${service.typeName} is not bound`);
    }
    return localClient(binding, principal) as Client<S>;
  };
  return {
    workspaces: client(WorkspaceService),
    models: client(ModelService),
    deployments: client(DeploymentService),
    keys: client(ApiKeyService),
  };
}

/** A client that calls the handlers in this process, with whole messages on both sides. */
function localClient(binding: ServiceBinding, principal: Principal): Record<string, unknown> {
  return Object.fromEntries(
    binding.service.methods.map((method) => [
      method.localName,
      (request: unknown, options?: { readonly signal?: AbortSignal }) =>
        callHandler(binding.handlers[method.localName], {
          method,
          request,
          context: testContext(principal, options?.signal),
        }),
    ]),
  );
}

type AnyHandler = (request: unknown, context: CallContext) => unknown;

function callHandler(
  handler: unknown,
  call: { readonly method: DescMethod; readonly request: unknown; readonly context: CallContext },
): unknown {
  const { method, request, context } = call;
  const input = (init: unknown) => create(method.input, init as Record<string, unknown>);
  const output = (init: unknown) => create(method.output, init as Record<string, unknown>);
  const run = handler as AnyHandler;
  const isClientStream = method.methodKind === "client_streaming";
  const sent = isClientStream ? mapped(request as AsyncIterable<unknown>, input) : input(request);
  return method.methodKind === "server_streaming"
    ? mapped(run(sent, context) as AsyncIterable<unknown>, output)
    : (run(sent, context) as Promise<unknown>).then(output);
}

async function* mapped(items: AsyncIterable<unknown>, map: (item: unknown) => unknown) {
  for await (const item of items) {
    yield map(item);
  }
}
