// The methods of the Open Inference Protocol that Plinth leaves out on purpose: they say so, and
// why.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FailedPrecondition, Unimplemented } from "../../common/errors/domain-error.ts";

/** One handler each. */
export const refusedMethods = {
  repositoryModelLoad: refuseRepositoryChange,
  repositoryModelUnload: refuseRepositoryChange,
  systemSharedMemoryStatus: refuseSharedMemory,
  systemSharedMemoryRegister: refuseSharedMemory,
  systemSharedMemoryUnregister: refuseSharedMemory,
  cudaSharedMemoryStatus: refuseSharedMemory,
  cudaSharedMemoryRegister: refuseSharedMemory,
  cudaSharedMemoryUnregister: refuseSharedMemory,
  traceSetting: refuseSettings,
  logSettings: refuseSettings,
} as const;

/** RepositoryModelLoad and RepositoryModelUnload. */
async function refuseRepositoryChange(request: { readonly modelName: string }): Promise<never> {
  throw new FailedPrecondition(
    "The registry decides which models are loaded, not this call. " +
      "Create, update or delete the deployment instead (plinth deployments, or DeploymentService).",
    {
      reason: ErrorReason.STATE_FORBIDS,
      violations: [
        {
          type: "DECLARATIVE",
          subject: request.modelName,
          description: "Deployments say what is loaded; servers follow them.",
        },
      ],
    },
  );
}

/** SystemSharedMemory*, CudaSharedMemory*. */
async function refuseSharedMemory(): Promise<never> {
  throw new Unimplemented(
    "Shared memory is not offered. Send tensors in raw_input_contents; " +
      "they are not copied on arrival.",
    { reason: ErrorReason.UNSUPPORTED },
  );
}

/** TraceSetting, LogSettings. */
async function refuseSettings(): Promise<never> {
  throw new Unimplemented(
    "Trace and log settings cannot be changed by a call. Set them in the server's environment.",
    { reason: ErrorReason.UNSUPPORTED },
  );
}
