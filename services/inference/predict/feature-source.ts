// The features service as Predict sees it: the definition of a feature service, and online reads by
// it. What goes wrong there is told in the terms of the prediction; features that cannot be read
// are never replaced by defaults.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { FeatureRegistryService } from "../../../gen/plinth/features/v1/feature_registry_service_pb.js";
import type { FeatureService } from "../../../gen/plinth/features/v1/feature_service_pb.js";
import {
  FeatureStoreService,
  type GetOnlineFeaturesRequestSchema,
  type GetOnlineFeaturesResponse,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import type { Clock } from "../../common/clock.ts";
import {
  DomainError,
  FailedPrecondition,
  InvalidArgument,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { CallContext } from "../../common/rpc/context.ts";

/** A definition is small and read once; past this the features service is taken to be away. */
const DEFINITION_TIMEOUT_MS = 10_000;

/** When it is worth asking again where the features service did not say. */
const RETRY_MS = 1_000;

/** The features service as predictions need it. */
export interface FeatureSource {
  /**
   * The definition of `workspaces/w/featureServices/f/versions/2`.
   * @throws FailedPrecondition when there is none; Unavailable.
   */
  definition(featureService: string): Promise<FeatureService>;
  /**
   * Reads online features on behalf of a call.
   * @throws FailedPrecondition; InvalidArgument for entities that the features service refuses;
   *   Unavailable; DeadlineExceeded; Cancelled.
   */
  read(
    request: MessageInitShape<typeof GetOnlineFeaturesRequestSchema> & { featureService: string },
    context: CallContext,
  ): Promise<GetOnlineFeaturesResponse>;
}

/** The features service behind a channel that carries a service's credential. */
export function featureSource(channel: Channel, clock: Clock): FeatureSource {
  const registry = createClient(FeatureRegistryService, channel);
  const store = createClient(FeatureStoreService, channel);
  return {
    async definition(featureService) {
      try {
        const options = { timeoutMs: DEFINITION_TIMEOUT_MS };
        return await registry.getFeatureService({ name: featureService }, options);
      } catch (error) {
        throw told(error, featureService, { isLate: false });
      }
    },
    async read(request, context) {
      try {
        return await store.getOnlineFeatures(request, { parent: context });
      } catch (error) {
        const isLate = context.signal.aborted || clock.now() >= context.deadlineMs;
        throw told(error, request.featureService, { isLate });
      }
    },
  };
}

/** An error of the features service as the caller of Predict is told it. */
function told(
  error: unknown,
  featureService: string,
  { isLate }: { readonly isLate: boolean },
): unknown {
  if (!(error instanceof DomainError)) {
    return error;
  }
  switch (error.kind) {
    case "Unavailable":
      return away(featureService, error, (error as Unavailable).retryAfterMs);
    case "DeadlineExceeded":
      // The caller's own deadline, or one of ours that is shorter.
      return isLate ? error : away(featureService, error, RETRY_MS);
    case "NotFound":
      return refused(
        featureService,
        error,
        "the features service does not have it (any more). Apply it again and register a new " +
          "version of the model with it",
      );
    case "Unauthenticated":
    case "PermissionDenied":
      return refused(
        featureService,
        error,
        "the features service does not let this server in. Set PLINTH_MESH_SECRET to the same " +
          "secret in every process of the mesh",
      );
    case "Unimplemented":
      return refused(
        featureService,
        error,
        "no features service is served at PLINTH_FEATURES_ADDRESS. Set it to one",
      );
    case "InvalidArgument":
      return new InvalidArgument(`The features service refused the entities: ${error.message}`, {
        reason: error.reason,
        violations: (error as InvalidArgument).violations,
        cause: error,
      });
    default:
      return error;
  }
}

function away(featureService: string, cause: unknown, retryAfterMs: number): Unavailable {
  return new Unavailable(
    `The features of ${featureService} cannot be read now: the features service is away or too ` +
      "slow. Nothing was predicted; retry.",
    { reason: ErrorReason.DEPENDENCY_UNAVAILABLE, retryAfterMs, cause },
  );
}

function refused(featureService: string, cause: unknown, description: string): FailedPrecondition {
  return new FailedPrecondition(`${featureService} cannot be read: ${description}.`, {
    reason: ErrorReason.STATE_FORBIDS,
    violations: [{ type: "FEATURE_SERVICE", subject: featureService, description }],
    cause,
  });
}
