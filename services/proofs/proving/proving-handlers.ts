// The handlers of ProofService.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type {
  ExportProofResponseSchema,
  ProofService,
  WatchProofRequest,
} from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { circuitName, proofJobName, proofName, workspaceName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import type { CallContext, ServiceHandlers } from "../../common/rpc/context.ts";
import { inferenceCalldata } from "../contract/contract-abi.ts";
import { fitsContract } from "../contract/export-contract.ts";
import { inferenceCallOf } from "../contract/inference-call.ts";
import { readProof } from "../verifier/proof-format.ts";
import { newestJob, shownJob } from "./job-view.ts";
import type { JobWatches } from "./job-watches.ts";
import { toProof, toProofJob } from "./proof-message.ts";
import { type ProveInferenceDeps, proveInference } from "./prove-inference.ts";
import type { ProofVerifier } from "./verify-proof.ts";

export interface ProvingHandlersDeps extends ProveInferenceDeps {
  readonly verifier: ProofVerifier;
  readonly watches: JobWatches;
}

/** Handlers over the stores, to be bound with `provingCodecs`. `stopping` ends the watches. */
export function provingHandlers(
  deps: ProvingHandlersDeps,
  stopping: AbortSignal,
): ServiceHandlers<typeof ProofService> {
  const { jobs, proofs, circuits, verifier, watches } = deps;
  return {
    async proveInference(request, context) {
      return await shownJob(deps, await proveInference(deps, request, context));
    },

    async getProofJob({ name }, context) {
      authorizeJob(name, context);
      return await shownJob(deps, await jobs.get(name));
    },

    async listProofJobs({ parent, pageSize, pageToken }, context) {
      const workspace = authorizeParent(parent, context);
      const page = await jobs.list({
        call: ["ListProofJobs", workspace],
        where: { workspace },
        pageSize,
        pageToken,
        signal: context.signal,
      });
      const proofJobs = page.items.map((job) => toProofJob(job));
      return { proofJobs, nextPageToken: page.nextPageToken };
    },

    watchProof(request, context) {
      const signal = AbortSignal.any([context.signal, stopping]);
      async function* messages() {
        yield* watches.watch(await watchedJob(deps, request, context), signal);
      }
      // The codec takes bytes in the place of messages.
      return messages() as AsyncIterable<unknown> as AsyncIterable<never>;
    },

    async cancelProofJob({ name }, context) {
      authorizeJob(name, context);
      const job = await jobs.cancel(name);
      deps.queue.noticed(job);
      return await shownJob(deps, job);
    },

    async getProof({ name }, context) {
      authorizeProof(name, context);
      const proof = await proofs.get(name);
      return toProof(proof, await proofs.schema(proof.schemaHash));
    },

    async listProofs({ parent, pageSize, pageToken, inferenceId, circuit }, context) {
      const workspace = authorizeParent(parent, context);
      if (circuit !== "") {
        const faults = new RequestFaults();
        const of = circuitName.parse(circuit, "circuit").workspace;
        faults.check(of === workspace, "circuit", `is not of workspace "${workspace}"`);
        faults.done();
      }
      const { signal } = context;
      const query = { workspace, inferenceId, circuit, pageSize, pageToken, signal };
      const page = await proofs.list(query);
      return {
        proofs: page.items.map((proof) => toProof(proof)),
        nextPageToken: page.nextPageToken,
      };
    },

    async exportProof({ name }, context) {
      authorizeProof(name, context);
      return await exported(deps, name);
    },

    async verifyProof({ circuit, ...request }, context) {
      requireWorkspace(context.principal, circuitName.parse(circuit, "circuit").workspace);
      return await verifier.verify(await circuits.get(circuit), request, context.signal);
    },

    async deleteProof({ name }, context) {
      authorizeProof(name, context);
      await proofs.delete(name);
      watches.forget(name);
      return {};
    },
  };
}

/** The file, and the calldata of the circuit's contract where there can be one. */
async function exported(
  { proofs }: Pick<ProvingHandlersDeps, "proofs">,
  name: string,
): Promise<MessageInitShape<typeof ExportProofResponseSchema>> {
  const { proof, publicValues, verifyingKeyHash, schemaHash } = await proofs.get(name);
  const file = await proofs.file(name);
  if (verifyingKeyHash === "") {
    return { file };
  }
  const schema = await proofs.schema(schemaHash);
  if (!fitsContract(schema)) {
    return { file };
  }
  const call = inferenceCallOf(schema, publicValues.map(BigInt), readProof(proof));
  return { file, calldata: inferenceCalldata("verifyInference", call) };
}

/** Name of the job that a watch is of. */
async function watchedJob(
  deps: ProvingHandlersDeps,
  { name, parent, inferenceId }: WatchProofRequest,
  context: CallContext,
): Promise<string> {
  if ((name === "") === (inferenceId === "")) {
    const description = "must be given, or inference_id with parent: one of them and not both";
    throw new InvalidArgument(`name ${description}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: "name", description }],
    });
  }
  if (name !== "") {
    authorizeJob(name, context);
    return name;
  }
  const workspace = authorizeParent(parent, context);
  const job = await newestJob(deps, { workspace, inferenceId, signal: context.signal });
  return job._id;
}

function authorizeParent(parent: string, context: CallContext): string {
  const { workspace } = workspaceName.parse(parent, "parent");
  requireWorkspace(context.principal, workspace);
  return workspace;
}

function authorizeJob(name: string, context: CallContext): void {
  requireWorkspace(context.principal, proofJobName.parse(name, "name").workspace);
}

function authorizeProof(name: string, context: CallContext): void {
  requireWorkspace(context.principal, proofName.parse(name, "name").workspace);
}
