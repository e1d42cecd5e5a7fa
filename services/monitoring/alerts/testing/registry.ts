// For tests: a registry in memory behind a real server, with one deployment whose configurations
// have numbers and a history as the registry's have, and versions that take tags.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import { ErrorReason } from "../../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  type DeploymentConfig,
  DeploymentConfigSchema,
  type DeploymentSchema,
} from "../../../../gen/plinth/registry/v1/deployment_pb.js";
import {
  DeploymentService,
  type RollbackDeploymentRequest,
  type UpdateDeploymentRequest,
} from "../../../../gen/plinth/registry/v1/deployment_service_pb.js";
import {
  ModelService,
  type UpdateModelVersionRequest,
} from "../../../../gen/plinth/registry/v1/model_service_pb.js";
import { anonymous } from "../../../common/auth/principal.ts";
import {
  Aborted,
  FailedPrecondition,
  NotFound,
  Unavailable,
} from "../../../common/errors/domain-error.ts";
import { Channel } from "../../../common/rpc/client.ts";
import { startRpcServer } from "../../../common/rpc/server.ts";

const W = "workspaces/w";
export const DEPLOYMENT = `${W}/deployments/d`;

/** The name of a version of the model `m`. */
export function version(number: number): string {
  return `${W}/models/m/versions/${number}`;
}

/** A configuration with these versions live and those as shadows. */
export function config(
  live: readonly number[],
  shadows: readonly number[] = [],
): MessageInitShape<typeof DeploymentConfigSchema> {
  return {
    targets: live.map((number) => ({ modelVersion: version(number), weight: 1 })),
    shadows: shadows.map((number) => ({ modelVersion: version(number), sampleRate: 1 })),
  };
}

interface Revision {
  readonly revision: bigint;
  readonly config: DeploymentConfig;
}

export class StandInRegistry {
  uid = "uid-d";
  /** Oldest first; empty: there is no deployment. */
  revisions: Revision[] = [];
  readonly tags = new Map<string, Readonly<Record<string, string>>>();
  /** Calls that changed something, by method. */
  readonly changes: string[] = [];
  /** Every call fails while this is true. */
  isAway = false;
  /** The next change is made, but its answer is lost. */
  losesAnswer = false;
  /** Versions that may not serve any more. */
  readonly archived = new Set<number>();
  /** Called before a change is looked at, as if somebody else came first. */
  beforeChange: (() => void) | undefined;

  deploy(...configs: readonly MessageInitShape<typeof DeploymentConfigSchema>[]): void {
    for (const one of configs) {
      this.#push(create(DeploymentConfigSchema, one));
    }
  }

  /** Numbers of the live versions now. */
  get live(): number[] {
    return numbers(this.#current.config.targets);
  }

  get shadows(): number[] {
    return numbers(this.#current.config.shadows);
  }

  get revision(): number {
    return Number(this.#current.revision);
  }

  /** A channel to it, closed with the test. */
  async channel(): Promise<Channel> {
    const deployments = {
      getDeployment: async () => this.#message(),
      rollbackDeployment: (request: RollbackDeploymentRequest) => this.#rollback(request),
      updateDeployment: (request: UpdateDeploymentRequest) => this.#update(request),
    };
    const models = {
      getModelVersion: async ({ name }: { readonly name: string }) => this.#version(name),
      updateModelVersion: (request: UpdateModelVersionRequest) => this.#tag(request),
    };
    const server = await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      authenticate: () => anonymous,
      bindings: [
        { service: DeploymentService, handlers: deployments, codecs: {} },
        { service: ModelService, handlers: models, codecs: {} },
      ],
    });
    const channel = new Channel({ address: server.address });
    onTestFinished(async () => {
      channel[Symbol.dispose]();
      await server[Symbol.asyncDispose]();
    });
    return channel;
  }

  get #current(): Revision {
    const current = this.revisions.at(-1);
    if (current === undefined) {
      throw new NotFound("There is no deployment.", { reason: ErrorReason.RESOURCE_NOT_FOUND });
    }
    return current;
  }

  #push(next: DeploymentConfig): void {
    const revision = BigInt(this.revisions.length + 1);
    this.revisions.push({ revision, config: next });
  }

  #check(): void {
    if (this.isAway) {
      throw away();
    }
  }

  #message(): MessageInitShape<typeof DeploymentSchema> {
    this.#check();
    const { revision, config: current } = this.#current;
    return {
      name: DEPLOYMENT,
      uid: this.uid,
      etag: `"${revision}"`,
      revision,
      config: current,
      history: this.revisions.slice(0, -1).toReversed().slice(0, 10),
    };
  }

  async #rollback({ revision, etag }: RollbackDeploymentRequest) {
    this.#begin(etag);
    const found = this.revisions.find((one) => one.revision === revision);
    return this.#change("rollback", found?.config ?? create(DeploymentConfigSchema));
  }

  async #update({ deployment }: UpdateDeploymentRequest) {
    this.#begin(deployment?.etag ?? "");
    const shadows = deployment?.config?.shadows ?? [];
    return this.#change("update", { ...this.#current.config, shadows });
  }

  #begin(etag: string): void {
    this.#check();
    this.beforeChange?.();
    this.beforeChange = undefined;
    if (etag !== `"${this.#current.revision}"`) {
      throw new Aborted("The deployment has changed.", { reason: ErrorReason.ETAG_MISMATCH });
    }
  }

  #change(method: string, next: DeploymentConfig): MessageInitShape<typeof DeploymentSchema> {
    const unfit = numbers(next.targets).filter((number) => this.archived.has(number));
    if (unfit.length > 0) {
      const text = `Version ${unfit} is archived.`;
      throw new FailedPrecondition(text, { reason: ErrorReason.STATE_FORBIDS });
    }
    this.#push(next);
    this.changes.push(method);
    this.#lose();
    return this.#message();
  }

  #version(name: string) {
    this.#check();
    const tags = this.tags.get(name);
    if (tags === undefined) {
      throw new NotFound(`No ${name}.`, { reason: ErrorReason.RESOURCE_NOT_FOUND });
    }
    return { name, uid: `uid-${name.split("/").at(-1)}`, etag: '"1"', tags };
  }

  async #tag({ modelVersion }: UpdateModelVersionRequest) {
    this.#check();
    const { name = "", tags = {} } = modelVersion ?? {};
    this.tags.set(name, tags);
    this.changes.push("tag");
    this.#lose();
    return this.#version(name);
  }

  #lose(): void {
    if (this.losesAnswer) {
      this.losesAnswer = false;
      throw away();
    }
  }
}

function numbers(list: readonly { readonly modelVersion: string }[]): number[] {
  return list.map(({ modelVersion }) => Number(modelVersion.split("/").at(-1)));
}

function away(): Unavailable {
  return new Unavailable("The registry is away.", {
    reason: ErrorReason.DEPENDENCY_UNAVAILABLE,
    retryAfterMs: 10,
  });
}
