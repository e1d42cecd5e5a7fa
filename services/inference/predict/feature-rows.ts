// Entities to the tensors of a version: its feature service's columns, one online read for all rows
// of the request, and what came back put into place.

import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import type { FeatureService } from "../../../gen/plinth/features/v1/feature_service_pb.js";
import type { FeatureVector } from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import { FieldStatus } from "../../../gen/plinth/features/v1/value_pb.js";
import type { FeatureStatusesSchema } from "../../../gen/plinth/inference/v1/inference_service_pb.js";
import type { Clock } from "../../common/clock.ts";
import { FailedPrecondition, Unavailable } from "../../common/errors/domain-error.ts";
import { featureServiceVersionName, workspaceName } from "../../common/names.ts";
import type { CallContext } from "../../common/rpc/context.ts";
import type { FeatureNames, ReadFeatures, Servable } from "../engine.ts";
import { Violations } from "../protocol/violations.ts";
import { columnsFromEntities } from "./entity-columns.ts";
import { valuesOf } from "./feature-conversion.ts";
import { type FeatureMeter, featureMeter } from "./feature-meter.ts";
import { type FeaturePlan, planFeatures } from "./feature-plan.ts";
import type { FeatureSource } from "./feature-source.ts";
import { type FeatureTensors, tensorsFromFeatures } from "./feature-tensors.ts";
import { featureNames, readFeatures } from "./read-features.ts";

/** What entities come to. */
export interface FeatureRows extends FeatureTensors {
  readonly featureService: string;
  /** One a feature of the service, in its order. */
  readonly statuses: readonly MessageInitShape<typeof FeatureStatusesSchema>[];
  readonly readMs: number;
  /** For monitoring: of the rows that are in the tensors. */
  readonly features: ReadFeatures;
}

/** Entities to be predicted by one version. */
export interface FeatureRowsRequest {
  readonly entities: readonly JsonObject[];
  readonly servable: Servable;
  /** Of the deployment. */
  readonly workspace: string;
}

interface Prepared {
  readonly plan: FeaturePlan;
  readonly parent: string;
  readonly meter: FeatureMeter;
  readonly workspace: string;
  readonly outputFeatures: FeatureService["outputFeatures"];
  /** Known from the first answer on. */
  names: FeatureNames | undefined;
}

/** When it is worth asking again after an answer that does not fit. */
const RETRY_MS = 1_000;

/** Reads the features of predictions. What it keeps of a version goes with the version. */
export class FeatureReader {
  readonly #source: FeatureSource | undefined;
  readonly #clock: Clock;
  readonly #prepared = new WeakMap<Servable, Prepared | Promise<Prepared>>();

  /** @param source undefined where no features service is set. */
  constructor(source: FeatureSource | undefined, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /**
   * The tensors of the entities that have all their features, and why the others have not.
   * @throws InvalidArgument that names row and column of what is wrong, or when no row has all its
   *   features; FailedPrecondition when the version cannot be predicted by entity; Unavailable;
   *   DeadlineExceeded; Cancelled.
   */
  async rows(request: FeatureRowsRequest, context: CallContext): Promise<FeatureRows> {
    const { entities, servable } = request;
    const source = this.#requireSource(request);
    const kept = this.#prepared.get(servable);
    const prepared =
      kept !== undefined && "plan" in kept
        ? kept
        : await untilAborted(kept ?? this.#prepare(servable, source), context.signal);
    const { plan, parent, meter } = prepared;
    const violations = new Violations();
    const columns = columnsFromEntities(entities, plan.requestColumns, violations);
    violations.throwIfAny(ErrorReason.INVALID_FIELD);
    const startMs = this.#clock.monotonicMs();
    const { featureService } = plan;
    const answer = await source.read({ parent, featureService, entities: columns }, context);
    const readMs = this.#clock.monotonicMs() - startMs;
    const { results } = answer;
    if (!fits(plan, results, entities.length)) {
      this.#prepared.delete(servable);
      throw new Unavailable(
        `The features service answered with other features than ${featureService} gives. Retry.`,
        { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs: RETRY_MS },
      );
    }
    meter.read(results);
    const made = tensorsFromFeatures(plan, results, entities);
    throwIfNone(made);
    const statuses = results.map((vector, i) => ({
      feature: plan.outputs[i]!,
      statuses: vector.statuses,
    }));
    prepared.names ??= featureNames(prepared, answer.views);
    const features = readFeatures(prepared.names, answer, { columns, rows: made.rows });
    return { ...made, featureService, statuses, readMs, features };
  }

  #requireSource({ servable, workspace }: FeatureRowsRequest): FeatureSource {
    const { featureService, modelVersion } = servable;
    if (featureService === undefined) {
      throw forbidden(
        modelVersion,
        "it has no feature service, so it takes rows, not entities. Register a version with " +
          "model_version.feature_service set to workspaces/{workspace}/featureServices/{service}/" +
          "versions/{version}, and deploy that",
      );
    }
    const owner = featureServiceVersionName.match(featureService)?.workspace;
    if (owner !== workspace) {
      throw forbidden(
        modelVersion,
        `it reads ${featureService} and is deployed in workspaces/${workspace}; features are ` +
          "read in their own workspace only. Deploy it there",
      );
    }
    if (this.#source === undefined) {
      throw forbidden(
        modelVersion,
        `it reads ${featureService}, and this server knows no features service: ` +
          "PLINTH_FEATURES_ADDRESS is not set. Set it to host:port, or send rows",
      );
    }
    return this.#source;
  }

  /** One for all requests that wait for it; a failure to ask is not kept, a misfit is. */
  #prepare(servable: Servable, source: FeatureSource): Promise<Prepared> {
    const featureService = servable.featureService ?? "";
    const { workspace } = featureServiceVersionName.parse(featureService, "feature_service");
    const preparing = source.definition(featureService).then(
      (definition) => {
        const prepared = {
          plan: planFeatures(servable, definition),
          parent: workspaceName.format({ workspace }),
          meter: featureMeter(featureService),
          workspace,
          outputFeatures: definition.outputFeatures,
          names: undefined,
        };
        this.#prepared.set(servable, prepared);
        return prepared;
      },
      (error) => {
        this.#prepared.delete(servable);
        throw error;
      },
    );
    this.#prepared.set(servable, preparing);
    return preparing;
  }
}

/** Whether an answer is what the definition promised. */
function fits(plan: FeaturePlan, results: readonly FeatureVector[], rows: number): boolean {
  return (
    results.length === plan.outputs.length &&
    results.every(
      ({ values, statuses }, i) => values?.name === plan.outputs[i] && statuses.length === rows,
    ) &&
    plan.inputs.every(({ features }) =>
      features.every(({ index, type }) => {
        const { values, statuses } = results[index]!;
        return valuesOf(values!, type).length === rows || !statuses.includes(FieldStatus.PRESENT);
      }),
    )
  );
}

/** @throws InvalidArgument that names every row, when there is none to predict. */
function throwIfNone({ rows, failures }: FeatureTensors): void {
  if (rows.length > 0) {
    return;
  }
  const violations = new Violations();
  for (const {
    violations: [first],
    message,
  } of failures.values()) {
    violations.add(first?.field ?? "entities", message.slice(0, -1));
  }
  violations.throwIfAny(ErrorReason.FEATURE_MISSING);
}

function forbidden(modelVersion: string, description: string): FailedPrecondition {
  return new FailedPrecondition(`${modelVersion} cannot be predicted by entity: ${description}.`, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type: "FEATURE_SERVICE", subject: modelVersion, description }],
  });
}

/** Waits for work that goes on for others when this caller leaves. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    return Promise.reject(signal.reason);
  }
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  return promise;
}
