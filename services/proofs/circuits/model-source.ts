// The models that circuits are made of: the registry's, asked over its API.

import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  ModelService,
  type ReportModelCircuitsRequestSchema,
} from "../../../gen/plinth/registry/v1/model_service_pb.js";
import {
  type ModelVersion,
  ModelVersion_State as State,
} from "../../../gen/plinth/registry/v1/model_version_pb.js";
import { Workspace_Environment as Environment } from "../../../gen/plinth/registry/v1/workspace_pb.js";
import { WorkspaceService } from "../../../gen/plinth/registry/v1/workspace_service_pb.js";
import { DataLoss, FailedPrecondition, NotFound } from "../../common/errors/domain-error.ts";
import { workspaceName } from "../../common/names.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { CallOptions, Client } from "../../common/rpc/context.ts";
import type { Circuit } from "./circuit.ts";

const CALL_TIMEOUT_MS = 10_000;

/** A version that a circuit can be made of. */
export interface SourceVersion {
  /** By number. */
  readonly name: string;
  readonly uid: string;
  /** Lower-case hex SHA-256 of the ONNX file. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly classLabels: readonly string[];
}

/** The registry, as the making of circuits needs it. */
export class ModelSource {
  readonly #models: Client<typeof ModelService> | undefined;
  readonly #workspaces: Client<typeof WorkspaceService> | undefined;

  /** @param registry with the credential of a service; undefined: none is reachable from here. */
  constructor(registry: Channel | undefined) {
    this.#models = registry && createClient(ModelService, registry);
    this.#workspaces = registry && createClient(WorkspaceService, registry);
  }

  /** Whether there is a registry at all. */
  get isKnown(): boolean {
    return this.#models !== undefined;
  }

  /**
   * The version that a name (a number, `@alias` or `latest`) stands for.
   * @throws NotFound; FailedPrecondition where it is not READY, or no registry is known
   */
  async version(name: string, options: CallOptions): Promise<SourceVersion> {
    const version = await this.lookUp(name, options);
    const { state, artifact, uid, classLabels } = version;
    if (state !== State.READY || artifact === undefined) {
      const description = `is ${State[state]}; a circuit is made of a version that is READY`;
      throw new FailedPrecondition(`${version.name} ${description}.`, {
        reason: ErrorReason.MODEL_NOT_READY,
        metadata: { resource: version.name },
        violations: [{ type: "STATE", subject: version.name, description }],
      });
    }
    const { sha256, sizeBytes } = artifact;
    return { name: version.name, uid, digest: sha256, sizeBytes: Number(sizeBytes), classLabels };
  }

  /**
   * Whether the version that a circuit was made of is still there: another may have its name. Where
   * no registry is known none is ever removed.
   */
  async hasVersionOf(
    { modelVersion, modelVersionUid }: Pick<Circuit, "modelVersion" | "modelVersionUid">,
    options: CallOptions,
  ): Promise<boolean> {
    if (!this.isKnown) {
      return true;
    }
    try {
      return (await this.lookUp(modelVersion, options)).uid === modelVersionUid;
    } catch (error) {
      if (error instanceof NotFound) {
        return false;
      }
      throw error;
    }
  }

  /** The version, whatever its state. @throws NotFound; FailedPrecondition */
  lookUp(name: string, options: CallOptions): Promise<ModelVersion> {
    return required(this.#models).getModelVersion({ name }, withTimeout(options));
  }

  /** Whether the workspace is marked production. @throws NotFound; FailedPrecondition */
  async isProduction(workspace: string, options: CallOptions): Promise<boolean> {
    const name = workspaceName.format({ workspace });
    const workspaces = required(this.#workspaces);
    const { environment } = await workspaces.getWorkspace({ name }, withTimeout(options));
    return environment === Environment.PRODUCTION;
  }

  /** Tells the registry which circuits a version has. */
  async report(
    request: MessageInitShape<typeof ReportModelCircuitsRequestSchema>,
    options: CallOptions,
  ): Promise<void> {
    await required(this.#models).reportModelCircuits(request, withTimeout(options));
  }

  /**
   * Writes the version's ONNX file to `path`.
   * @throws FailedPrecondition where it is larger than `bytesMax`; DataLoss where it is not the one
   *   of this digest
   */
  async download(
    version: Pick<SourceVersion, "name" | "digest">,
    to: { readonly path: string; readonly bytesMax: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const { name, digest } = version;
    const hash = createHash("sha256");
    let sizeBytes = 0;
    await using file = await open(to.path, "wx", 0o600);
    const parts = required(this.#models).downloadArtifact({ name }, { signal: to.signal });
    for await (const { chunk } of parts) {
      sizeBytes += chunk.length;
      if (sizeBytes > to.bytesMax) {
        throw tooLarge(name, to.bytesMax);
      }
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    if (hash.digest("hex") !== digest) {
      throw new DataLoss(
        `The file of ${name} is not the one that the circuit was asked for: its SHA-256 is not ` +
          `${digest}. Register the model again and make a circuit of that version.`,
        { reason: ErrorReason.DIGEST_MISMATCH, metadata: { resource: name } },
      );
    }
  }
}

/** The error where a circuit's version is gone. */
export function otherVersion(modelVersion: string): FailedPrecondition {
  const description = "was removed, and another may have its name now";
  return new FailedPrecondition(
    `The ${modelVersion} that the circuit is of ${description}. Make a circuit of the one that is ` +
      "there.",
    {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: modelVersion },
      violations: [{ type: "STATE", subject: modelVersion, description }],
    },
  );
}

/** A model beyond what circuits are made of. */
export function tooLarge(name: string, bytesMax: number): FailedPrecondition {
  const description = `has more than ${bytesMax} bytes, the most a circuit is made of`;
  return new FailedPrecondition(
    `The file of ${name} ${description} (PLINTH_PROOFS_MODEL_MAX). Take a smaller model.`,
    {
      reason: ErrorReason.STATE_FORBIDS,
      metadata: { resource: name },
      violations: [{ type: "SIZE", subject: name, description }],
    },
  );
}

function required<T>(client: T | undefined): T {
  if (client === undefined) {
    throw new FailedPrecondition(
      "This proofs service knows no registry to read models from. Start it in a mesh, or tell it " +
        "the registry's address.",
      { reason: ErrorReason.DEPENDENCY_UNAVAILABLE },
    );
  }
  return client;
}

function withTimeout(options: CallOptions): CallOptions {
  return { timeoutMs: CALL_TIMEOUT_MS, ...options };
}
