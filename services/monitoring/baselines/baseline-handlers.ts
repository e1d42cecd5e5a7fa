// GetBaseline and UploadBaseline. Which version is meant, and which columns it has, the registry
// knows.

import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import {
  BaselineFileFormat,
  type MonitoringService,
  type UploadBaselineRequest,
  type UploadBaselineStart,
} from "../../../gen/plinth/monitoring/v1/monitoring_service_pb.js";
import { ModelService } from "../../../gen/plinth/registry/v1/model_service_pb.js";
import { requireWorkspace } from "../../common/auth/principal.ts";
import { notFound } from "../../common/documents/resource.ts";
import {
  FailedPrecondition,
  InvalidArgument,
  Unavailable,
} from "../../common/errors/domain-error.ts";
import { baselineName, modelVersionName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import { type Channel, createClient } from "../../common/rpc/client.ts";
import type { CallContext, Client, ServiceHandlers } from "../../common/rpc/context.ts";
import { DEFAULT_SETTINGS } from "../monitors/monitor-settings.ts";
import type { MonitorStore } from "../monitors/monitor-store.ts";
import type { BaselineStore } from "./baseline-store.ts";
import { describedMessage, learningMessage, readyMessage } from "./convert-baseline.ts";
import type { BaselineLearner } from "./learn-baseline.ts";
import type { FileFormat } from "./make-profile.ts";
import { ProfileMaker } from "./profile-process.ts";
import { type UploadDeps, uploadBaseline } from "./upload-baseline.ts";

type Handlers = Pick<ServiceHandlers<typeof MonitoringService>, "getBaseline" | "uploadBaseline">;
type GetAnswer = Awaited<ReturnType<Handlers["getBaseline"]>>;

const FILE_NAME_LENGTH_MAX = 255;
const EXCLUDED_MAX = 2000;
const UPLOAD_ADVICE = "Upload one, or let it learn from what is served.";

const FORMATS: Readonly<Record<BaselineFileFormat, FileFormat | undefined>> = {
  [BaselineFileFormat.UNSPECIFIED]: undefined,
  [BaselineFileFormat.CSV]: "csv",
  [BaselineFileFormat.PARQUET]: "parquet",
};

export interface BaselineHandlersDeps extends UploadDeps {
  readonly baselines: BaselineStore;
  readonly learner: BaselineLearner;
  readonly monitors: Pick<MonitorStore, "get">;
  /** Absent: baselines that are there can be read, and none uploaded. */
  readonly registry: Channel | undefined;
}

/** The handlers of baselines. */
export function baselineHandlers(deps: BaselineHandlersDeps): Handlers {
  const { registry } = deps;
  const models = registry && createClient(ModelService, registry);
  const maker = new ProfileMaker();
  return {
    async getBaseline({ name }, context) {
      const modelVersion = authorized(name, "name", context);
      const known = await uidOf(deps, models, modelVersion, context);
      const baseline = known && (await describe(deps, known));
      if (baseline === undefined) {
        throw notFound(name, UPLOAD_ADVICE);
      }
      return baseline;
    },

    async uploadBaseline(requests, context) {
      const iterator = requests[Symbol.asyncIterator]();
      const start = startOf(await iterator.next());
      const modelVersion = authorized(start.name, "start.name", context);
      checkStart(start);
      if (models === undefined) {
        throw noRegistry(start.name);
      }
      const version = await models.getModelVersion({ name: modelVersion }, { parent: context });
      const stored = await uploadBaseline(deps, maker, {
        version,
        format: FORMATS[start.format],
        fileName: start.fileName,
        excluded: start.excludedColumns,
        chunks: { [Symbol.asyncIterator]: () => iterator },
        signal: context.signal,
      });
      return readyMessage(version.name, stored);
    },
  };
}

/** A version whose uid is known; `exists` where the registry has just said so. */
interface KnownVersion {
  readonly modelVersion: string;
  readonly modelVersionUid: string;
  readonly exists: boolean;
}

/** While the registry is away: the version of that name that is known here. */
async function uidOf(
  { baselines }: BaselineHandlersDeps,
  models: Client<typeof ModelService> | undefined,
  modelVersion: string,
  parent: CallContext,
): Promise<KnownVersion | undefined> {
  let failure: unknown;
  try {
    const version = await models?.getModelVersion({ name: modelVersion }, { parent });
    if (version !== undefined) {
      return { modelVersion: version.name, modelVersionUid: version.uid, exists: true };
    }
  } catch (error) {
    if (!(error instanceof Unavailable)) {
      throw error;
    }
    failure = error;
  }
  const record = await baselines.named(modelVersion);
  if (record === undefined && failure !== undefined) {
    throw failure;
  }
  return record && { modelVersion, modelVersionUid: record._id, exists: false };
}

/** Undefined: it has no baseline and learns none. */
async function describe(
  { baselines, learner, monitors }: BaselineHandlersDeps,
  { modelVersion, modelVersionUid, exists }: KnownVersion,
): Promise<GetAnswer | undefined> {
  const record = await baselines.fresh(modelVersionUid);
  if (record === undefined) {
    const { rows } = DEFAULT_SETTINGS.learning;
    return exists ? learningMessage(modelVersion, { rows: 0, rowsWanted: rows }) : undefined;
  }
  if (record.state === "learning" || record.state === "freezing") {
    const { learning } = await monitors.get(record.deployment);
    const rows = await learner.rowsSoFar(modelVersionUid);
    return learningMessage(modelVersion, { rows, rowsWanted: learning.rows });
  }
  const ready = await baselines.ready(modelVersionUid);
  return ready && describedMessage(ready);
}

function startOf(first: IteratorResult<UploadBaselineRequest>): UploadBaselineStart {
  const payload = first.done === true ? undefined : first.value.payload;
  if (payload?.case !== "start") {
    const description = "must be the first message of the stream";
    throw new InvalidArgument(`UploadBaseline: start ${description}.`, {
      reason: ErrorReason.INVALID_FIELD,
      violations: [{ field: "start", description }],
    });
  }
  return payload.value;
}

function checkStart({ format, fileName, excludedColumns }: UploadBaselineStart): void {
  const faults = new RequestFaults();
  faults.known("start.format", format, BaselineFileFormat);
  faults.text("start.file_name", fileName, FILE_NAME_LENGTH_MAX);
  const { length } = excludedColumns;
  const field = "start.excluded_columns";
  faults.check(length <= EXCLUDED_MAX, field, `has ${length} entries; at most ${EXCLUDED_MAX}`);
  faults.done();
}

/** The name of the version. */
function authorized(name: string, field: string, context: CallContext): string {
  const variables = baselineName.parse(name, field);
  requireWorkspace(context.principal, variables.workspace);
  return modelVersionName.format(variables);
}

function noRegistry(name: string): FailedPrecondition {
  const description =
    "this monitoring service knows no registry, which says what columns the version has";
  return new FailedPrecondition(`${name} cannot be made of a file: ${description}.`, {
    reason: ErrorReason.UNSUPPORTED,
    violations: [{ type: "REGISTRY", subject: name, description }],
  });
}
