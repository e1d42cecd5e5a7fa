// Services as processes of their own for the bench, and one model served under two names, so that
// what differs between the two is what is measured.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  Deployment_State,
  type DeploymentConfigSchema,
} from "../../gen/plinth/registry/v1/deployment_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import { type Channel, createClient } from "../../services/common/rpc/client.ts";
import { uploadArtifact } from "../../services/common/upload-artifact.ts";
import type { BenchModel } from "./models.ts";
import { addressLine, type Running, startServer } from "./process.ts";
import { ROOT } from "./tools.ts";

export const PARENT = "workspaces/default";
const READY_WITHIN_MS = 30_000;

/** Starts one service over a folder that its mesh shares, on any port unless one is said. */
export async function startService(options: {
  readonly service: string;
  readonly args: readonly string[];
  readonly listen?: string;
  readonly folder: string;
  readonly secret: string;
}): Promise<Running> {
  const { service, args, listen = "127.0.0.1:0", folder, secret } = options;
  return startServer({
    command: {
      command: process.execPath,
      args: [
        ...[join(ROOT, "bin", "plinth.mjs"), "serve", service, "--listen", listen, "--json"],
        ...["--data-dir", join(folder, service), ...args],
      ],
      env: {
        PLINTH_MESH_SECRET: secret,
        PLINTH_BLOBS: `file:${folder}/blobs`,
        PLINTH_LOG: "error",
      },
      cwd: folder,
    },
    ready: addressLine,
  });
}

type Config = Exclude<MessageInitShape<typeof DeploymentConfigSchema>, { $typeName: string }>;

/** Serves a model under each id with the configuration beside it; resolves when all do. */
export async function deploy(
  channel: Channel,
  { model, path }: { readonly model: BenchModel; readonly path: string },
  configs: Readonly<Record<string, Config>>,
): Promise<void> {
  const models = createClient(ModelService, channel);
  const deployments = createClient(DeploymentService, channel);
  const parent = `${PARENT}/models/${model.name}`;
  await models.createRegisteredModel({ parent: PARENT, modelId: model.name });
  const upload = await uploadArtifact({ client: models, parent: PARENT, path });
  const { name } = await models.createModelVersion({ parent, upload: upload.name });
  for await (const _ of models.watchModelVersion({ name })) {
    // Until it is validated.
  }
  await models.approveModelVersion({ name });
  const { maxBatchRows, instances: count, intraOpThreads } = model;
  const run = { batching: { maxBatchRows }, instances: { count, intraOpThreads } };
  for (const [deploymentId, config] of Object.entries(configs)) {
    const targets = [{ modelVersion: name, weight: 100 }];
    const deployment = { config: { ...config, ...run, targets } };
    await deployments.createDeployment({ parent: PARENT, deploymentId, deployment });
  }
  const deadline = performance.now() + READY_WITHIN_MS;
  for (const id of Object.keys(configs)) {
    const deployment = { name: `${PARENT}/deployments/${id}` };
    while ((await deployments.getDeployment(deployment)).state !== Deployment_State.READY) {
      if (performance.now() > deadline) {
        throw new Error("The model of the bench is not served.");
      }
      await sleep(50);
    }
  }
}

/** Processor time that a process has used, in seconds. */
export async function busySeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]!.split(" ");
  // utime and stime, in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
