// What monitoring found of feature views, kept apart from their definitions: a report is no change
// of a view. It lies under the view's uid, so a view that is made anew under its old name has none.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type {
  FeatureViewHealthSchema,
  FeatureViewHealth as HealthMessage,
} from "../../../gen/plinth/features/v1/feature_view_pb.js";
import type { Clock } from "../../common/clock.ts";
import type { Collection, Document, DocumentStore } from "../../common/documents/port.ts";
import { collect } from "../../common/documents/resource.ts";
import type { RequestFaults } from "../../common/request-faults.ts";

/** Older reports are left out: nobody monitors that deployment any more. */
const TTL_SECONDS = 30 * 86_400;
/** As many as a view may have. */
const FEATURES_MAX = 1000;
const NAME_LENGTH_MAX = 512;

/** One feature as a deployment saw it. */
export interface FeatureHealth {
  readonly feature: string;
  readonly missingRate: number;
  readonly outsideMaxAgeRate: number;
  /** Null: not measured. */
  readonly drifted: boolean | null;
}

/** What is said of one view by one deployment. */
export interface ViewHealth {
  readonly deployment: string;
  readonly modelVersion: string;
  readonly windowEndTime: Date | null;
  readonly rows: number;
  readonly features: readonly FeatureHealth[];
}

/** As stored; the id is the view's uid and the deployment's name. */
export interface ViewHealthRecord extends Document, ViewHealth {
  readonly viewUid: string;
  readonly reportTime: Date;
}

/** Owns the collection of reports. */
export class ViewHealthStore {
  readonly #collection: Collection<ViewHealthRecord>;
  readonly #clock: Clock;

  private constructor(collection: Collection<ViewHealthRecord>, clock: Clock) {
    this.#collection = collection;
    this.#clock = clock;
  }

  static async open(documents: DocumentStore, clock: Clock): Promise<ViewHealthStore> {
    const collection = await documents.collection<ViewHealthRecord>({
      name: "feature_view_health",
      indexes: [
        { keys: { viewUid: 1 } },
        { keys: { reportTime: 1 }, expireAfterSeconds: TTL_SECONDS },
      ],
    });
    return new ViewHealthStore(collection, clock);
  }

  /** Stores a report in place of the one before of the same deployment. */
  async put(viewUid: string, health: ViewHealth): Promise<void> {
    const reportTime = new Date(this.#clock.now());
    const _id = `${viewUid}/${health.deployment}`;
    await this.#collection.putOne({ _id, viewUid, reportTime, ...health });
  }

  /** The reports of a view, in the order of the deployments' names. */
  async of(viewUid: string): Promise<readonly ViewHealthRecord[]> {
    const since = new Date(this.#clock.now() - TTL_SECONDS * 1000);
    return collect(
      this.#collection.find({ viewUid, reportTime: { $gt: since } }, { sort: { _id: 1 } }),
    );
  }
}

/** A report as monitoring sends it; what is wrong is noted. Names are the handler's to check. */
export function fromViewHealth(
  message: HealthMessage | undefined,
  faults: RequestFaults,
): ViewHealth {
  const rows = Number(message?.rows ?? 0n);
  const isCount = rows >= 0 && Number.isSafeInteger(rows);
  faults.check(isCount, "health.rows", `is ${message?.rows}; a number of rows`);
  const features = message?.features ?? [];
  const count = features.length;
  faults.check(
    count <= FEATURES_MAX,
    "health.features",
    `has ${count} entries; at most ${FEATURES_MAX}`,
  );
  for (const [i, one] of features.slice(0, FEATURES_MAX).entries()) {
    const field = `health.features[${i}]`;
    faults.text(`${field}.feature`, one.feature, NAME_LENGTH_MAX);
    checkRate(`${field}.missing_rate`, one.missingRate, faults);
    checkRate(`${field}.outside_max_age_rate`, one.outsideMaxAgeRate, faults);
  }
  const end = message?.windowEndTime && timestampDate(message.windowEndTime);
  const isTime = end === undefined || !Number.isNaN(end.getTime());
  faults.check(isTime, "health.window_end_time", "is no time");
  return {
    deployment: message?.deployment ?? "",
    modelVersion: message?.modelVersion ?? "",
    windowEndTime: end ?? null,
    rows,
    features: features.map(({ feature, missingRate, outsideMaxAgeRate, drifted }) => ({
      feature,
      missingRate,
      outsideMaxAgeRate,
      drifted: drifted ?? null,
    })),
  };
}

/** A report as callers see it. */
export function toViewHealth(
  record: ViewHealthRecord,
): MessageInitShape<typeof FeatureViewHealthSchema> {
  const { deployment, modelVersion, windowEndTime } = record;
  return {
    deployment,
    modelVersion,
    ...(windowEndTime === null ? {} : { windowEndTime: timestampFromDate(windowEndTime) }),
    rows: BigInt(record.rows),
    features: record.features.map(({ drifted, ...feature }) => ({
      ...feature,
      ...(drifted === null ? {} : { drifted }),
    })),
    reportTime: timestampFromDate(record.reportTime),
  };
}

function checkRate(field: string, rate: number, faults: RequestFaults): void {
  faults.check(rate >= 0 && rate <= 1, field, `is ${rate}; a rate is from 0 to 1`);
}
