// Fills an empty mesh with the examples: features, models and deployments that the example.json
// files name, through the same RPCs that anyone uses. Each step is safe to repeat, so a start that
// was cut short goes on where it was.

import { existsSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { Deployment_State } from "../../gen/plinth/registry/v1/deployment_pb.js";
import { DeploymentService } from "../../gen/plinth/registry/v1/deployment_service_pb.js";
import { ModelService } from "../../gen/plinth/registry/v1/model_service_pb.js";
import {
  type ModelVersion,
  ModelVersion_Approval,
  ModelVersion_State,
} from "../../gen/plinth/registry/v1/model_version_pb.js";
import { DEFAULT_WORKSPACE } from "../common/auth/principal.ts";
import { AlreadyExists, Internal } from "../common/errors/domain-error.ts";
import { type Channel, createClient } from "../common/rpc/client.ts";
import type { Client } from "../common/rpc/context.ts";
import { uploadArtifact } from "../common/upload-artifact.ts";
import {
  applyDefinitions,
  type ExampleFeatures,
  type FeatureClients,
  featureClients,
  ingestFiles,
  newestFeatureService,
  type ReadDefinitions,
} from "./seed-features.ts";

interface ExampleModel {
  readonly model: string;
  readonly file: string;
  readonly description: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly parameters: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  /** The feature service that it reads; pinned to its newest version. Absent: it reads none. */
  readonly featureService?: string;
}

interface Example {
  readonly folder: string;
  readonly features?: ExampleFeatures;
  readonly models: readonly ExampleModel[];
  readonly deployments: readonly { readonly deployment: string; readonly model: string }[];
}

interface Clients {
  readonly models: Client<typeof ModelService>;
  readonly deployments: Client<typeof DeploymentService>;
  readonly features: FeatureClients;
}

const PARENT = `workspaces/${DEFAULT_WORKSPACE}`;

/** While this file is in the data folder, the examples are not complete. */
const MARKER = "examples-pending";

/** A deployment of a small model is served within this, or something is wrong. */
const READY_WITHIN_MS = 60_000;

/**
 * Whether the data folder is new, or the examples were begun in it and not finished. To be asked
 * before the store is opened.
 */
export async function wantsExamples(dataDir: string): Promise<boolean> {
  if (!existsSync(dataDir)) {
    return true;
  }
  const entries = await readdir(dataDir);
  return entries.length === 0 || entries.includes(MARKER);
}

export interface SeedOptions {
  readonly channel: Channel;
  readonly dataDir: string;
  /** The folder with one folder per example. */
  readonly examplesDir: string;
  readonly onStep: (text: string) => void;
  readonly readDefinitions: ReadDefinitions;
}

/**
 * Defines, registers and deploys every example; resolves when all are served and the features are
 * there to be read.
 */
export async function seedExamples(options: SeedOptions): Promise<void> {
  const { channel, dataDir, examplesDir } = options;
  const marker = join(dataDir, MARKER);
  await writeFile(marker, "The examples are being registered; the next start goes on.\n");
  const clients: Clients = {
    models: createClient(ModelService, channel),
    deployments: createClient(DeploymentService, channel),
    features: featureClients(channel),
  };
  const examples = await Promise.all((await exampleFolders(examplesDir)).map(readExample));
  for (const { folder, features } of examples) {
    if (features !== undefined) {
      const definitions = await options.readDefinitions(join(folder, features.definitions));
      await applyDefinitions(clients.features, definitions);
    }
  }
  // The rows come in while the models are tried out: neither needs the other.
  await Promise.all([
    ingestExamples(clients, examples),
    registerExamples(clients, examples, options.onStep),
  ]);
  await rm(marker, { force: true });
}

async function ingestExamples(clients: Clients, examples: readonly Example[]): Promise<void> {
  for (const { folder, features } of examples) {
    await ingestFiles(clients.features, folder, features?.ingest ?? []);
  }
}

async function registerExamples(
  clients: Clients,
  examples: readonly Example[],
  onStep: SeedOptions["onStep"],
): Promise<void> {
  const names: string[] = [];
  for (const { folder, models, deployments } of examples) {
    for (const model of models) {
      onStep(`registering ${model.model}`);
      await registerModel(clients, folder, model);
    }
    for (const { deployment, model } of deployments) {
      onStep(`deploying ${deployment}`);
      names.push(await deploy(clients, deployment, model));
    }
  }
  onStep("waiting for the deployments");
  await untilServed(clients, names);
}

async function exampleFolders(examplesDir: string): Promise<string[]> {
  const entries = await readdir(examplesDir, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(examplesDir, entry.name))
    .filter((folder) => existsSync(join(folder, "example.json")))
    .sort();
}

async function readExample(folder: string): Promise<Example> {
  const written = JSON.parse(await readFile(join(folder, "example.json"), "utf8"));
  return { ...(written as Omit<Example, "folder">), folder };
}

async function registerModel(clients: Clients, folder: string, example: ExampleModel) {
  const { models } = clients;
  const name = `${PARENT}/models/${example.model}`;
  const registered = await unlessThere(
    models.createRegisteredModel({
      parent: PARENT,
      modelId: example.model,
      registeredModel: { description: example.description, tags: example.tags },
    }),
  );
  if (registered === undefined) {
    const { modelVersions } = await models.listModelVersions({ parent: name, pageSize: 1 });
    if (modelVersions[0]?.approval === ModelVersion_Approval.APPROVED) {
      return;
    }
  }
  const path = join(folder, example.file);
  const upload = await uploadArtifact({ client: models, parent: PARENT, path });
  const created = await models.createModelVersion({
    parent: name,
    upload: upload.name,
    modelVersion: {
      description: example.description,
      metrics: example.metrics,
      parameters: example.parameters,
      artifact: { fileName: example.file },
      ...(await featureServiceOf(clients, example)),
    },
  });
  const version = await untilValidated(clients, created);
  await models.approveModelVersion({ name: version.name, comment: "example" });
  await models.setModelAlias({ name, alias: "champion", version: version.version });
}

async function featureServiceOf(
  clients: Clients,
  { featureService: service }: ExampleModel,
): Promise<{ readonly featureService?: string }> {
  if (service === undefined) {
    return {};
  }
  return { featureService: await newestFeatureService(clients.features, service) };
}

async function untilValidated(clients: Clients, created: ModelVersion): Promise<ModelVersion> {
  let last = created;
  for await (const version of clients.models.watchModelVersion({ name: created.name })) {
    last = version;
  }
  if (last.state !== ModelVersion_State.READY) {
    throw new Internal(
      `The example ${created.name} cannot be served: ${last.failure?.message ?? "no reason given"}`,
      { reason: ErrorReason.STATE_FORBIDS },
    );
  }
  return last;
}

async function deploy(clients: Clients, deployment: string, model: string): Promise<string> {
  await unlessThere(
    clients.deployments.createDeployment({
      parent: PARENT,
      deploymentId: deployment,
      deployment: {
        description: `Serves the example model ${model}.`,
        config: {
          targets: [{ modelVersion: `${PARENT}/models/${model}/versions/@champion`, weight: 100 }],
        },
      },
    }),
  );
  return `${PARENT}/deployments/${deployment}`;
}

async function untilServed(clients: Clients, names: readonly string[]): Promise<void> {
  const untilMs = Date.now() + READY_WITHIN_MS;
  for (const name of names) {
    while (true) {
      const { state } = await clients.deployments.getDeployment({ name });
      if (state === Deployment_State.READY) {
        break;
      }
      if (state === Deployment_State.FAILED || Date.now() > untilMs) {
        throw new Internal(`${name} is not served: its state is ${Deployment_State[state]}.`, {
          reason: ErrorReason.MODEL_NOT_READY,
        });
      }
      await sleep(50);
    }
  }
}

async function unlessThere<T>(created: Promise<T>): Promise<T | undefined> {
  try {
    return await created;
  } catch (error) {
    if (error instanceof AlreadyExists) {
      return undefined;
    }
    throw error;
  }
}
