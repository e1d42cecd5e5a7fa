// The handlers of CircuitService, but for those of ceremonies and powers of tau.

import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type CircuitService,
  type ExportCircuitResponseSchema,
  ExportCircuitRequest_File as File,
} from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import type { Stored } from "../../common/documents/port.ts";
import { DomainError } from "../../common/errors/domain-error.ts";
import { watchJob } from "../../common/jobs/watch-job.ts";
import { circuitName, modelVersionName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../../common/rpc/context.ts";
import { activateCircuit } from "./activate-circuit.ts";
import type { Circuit } from "./circuit.ts";
import { circuitMessage } from "./circuit-message.ts";
import { type CircuitQuery, circuitEtag, noActive } from "./circuit-store.ts";
import { createCircuit } from "./create-circuit.ts";
import { deleteCircuit } from "./delete-circuit.ts";
import type { CircuitDeps } from "./deps.ts";
import { exportCircuit } from "./export-circuit.ts";
import { ModelSource } from "./model-source.ts";

type Handlers = Pick<
  ServiceHandlers<typeof CircuitService>,
  | "createCircuit"
  | "getCircuit"
  | "listCircuits"
  | "watchCircuit"
  | "activateCircuit"
  | "deleteCircuit"
  | "exportCircuit"
>;

/** In the place of an id: all of them. */
const ALL = "-";

export type CircuitHandlersDeps = Omit<CircuitDeps, "workshop" | "prover" | "clock">;

/** Handlers over the circuits. `stopping` ends the watches. */
export function circuitHandlers(deps: CircuitHandlersDeps, stopping: AbortSignal): Handlers {
  const { circuits } = deps;
  const models = new ModelSource(deps.registry);
  return {
    async createCircuit(request, context) {
      const circuit = await createCircuit({ ...deps, models }, request, context);
      const [seen] = await circuits.seen([circuit]);
      return circuitMessage(seen!);
    },

    async getCircuit({ name }, context) {
      authorize(name, context);
      return circuitMessage(await current({ circuits, models }, name, context));
    },

    async listCircuits({ parent, pageSize, pageToken }, context) {
      const { workspace } = modelVersionName.parse(parent, "parent");
      requireWorkspace(context.principal, workspace);
      const { signal } = context;
      const scope = await scopeOf(models, parent, context);
      const page = await circuits.list({
        workspace,
        ...scope,
        parent,
        pageSize,
        pageToken,
        signal,
      });
      return {
        circuits: page.items.map((circuit) => circuitMessage(circuit, { isBrief: true })),
        nextPageToken: page.nextPageToken,
      };
    },

    async *watchCircuit({ name }, context) {
      authorize(name, context);
      const signal = AbortSignal.any([context.signal, stopping]);
      const { _id } = await current({ circuits, models }, name, context);
      for await (const stored of watchJob(circuits.jobs, _id, signal)) {
        const [circuit] = await circuits.seen([stored]);
        yield { circuit: circuitMessage(circuit!) };
      }
    },

    async activateCircuit(request, context) {
      authorize(request.name, context);
      return circuitMessage(await activateCircuit({ ...deps, models }, request, context));
    },

    async deleteCircuit(request, context) {
      authorize(request.name, context);
      await deleteCircuit(deps, request, context.signal);
      return {};
    },

    exportCircuit: (request, context) => download({ ...deps, models }, request, context),
  };
}

async function* download(
  deps: CircuitHandlersDeps & { readonly models: ModelSource },
  { name, file }: Parameters<Handlers["exportCircuit"]>[0],
  context: CallContext,
): AsyncGenerator<MessageInitShape<typeof ExportCircuitResponseSchema>> {
  authorize(name, context);
  const faults = new RequestFaults();
  faults.known("file", file, File);
  faults.done();
  const circuit = await current(deps, name, context);
  const { fileName, sizeBytes, sha256, chunks } = await exportCircuit(deps, circuit, file);
  const head = { fileName, sizeBytes: BigInt(sizeBytes), sha256, etag: circuitEtag(circuit) };
  yield { payload: { case: "file", value: head } };
  for await (const chunk of chunks) {
    yield { payload: { case: "chunk", value: chunk } };
  }
}

/**
 * A circuit as it is now: one of a version that was removed is active no longer, before it is taken
 * out of use. As stored while the registry cannot say.
 * @throws NotFound
 */
async function current(
  { circuits, models }: Pick<CircuitDeps, "circuits"> & { readonly models: ModelSource },
  name: string,
  context: CallContext,
): Promise<Stored<Circuit>> {
  const circuit = await circuits.get(name);
  if (!circuit.active) {
    return circuit;
  }
  const isOf = await models.hasVersionOf(circuit, { parent: context }).catch((error) => {
    context.signal.throwIfAborted();
    if (error instanceof DomainError) {
      return true;
    }
    throw error;
  });
  if (isOf) {
    return circuit;
  }
  if (name !== circuit._id) {
    throw noActive(name);
  }
  return { ...circuit, active: false };
}

/** Which circuits a parent with or without `-` stands for. */
async function scopeOf(
  models: ModelSource,
  parent: string,
  context: CallContext,
): Promise<Pick<CircuitQuery, "model" | "modelVersion">> {
  const { workspace, model, version } = modelVersionName.parse(parent, "parent");
  const faults = new RequestFaults();
  const isScope = model !== ALL || version === ALL;
  faults.check(isScope, "parent", 'must name the model of a version, or have "-" for both');
  faults.done();
  if (model === ALL) {
    return {};
  }
  if (version === ALL) {
    return { model: `workspaces/${workspace}/models/${model}` };
  }
  const isNumber = /^[1-9]\d*$/.test(version);
  return {
    modelVersion: isNumber ? parent : (await models.lookUp(parent, { parent: context })).name,
  };
}

function authorize(name: string, context: CallContext): void {
  requireWorkspace(context.principal, circuitName.parse(name, "name").workspace);
}
