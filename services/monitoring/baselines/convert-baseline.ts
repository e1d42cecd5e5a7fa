// Baselines as callers see them. Pure.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  Baseline_Source,
  Baseline_State,
  type BaselineSchema,
} from "../../../gen/plinth/monitoring/v1/monitor_pb.js";
import { baselineName, modelVersionName } from "../../common/names.ts";
import { profileMessage } from "../reports/column-profile-message.ts";
import type { BaselineSource, StoredProfile } from "./baseline-record.ts";
import type { ReadyBaseline } from "./baseline-store.ts";

const SOURCES: Readonly<Record<BaselineSource, Baseline_Source>> = {
  dataset: Baseline_Source.DATASET,
  "first-inferences": Baseline_Source.FIRST_INFERENCES,
};

type Message = MessageInitShape<typeof BaselineSchema>;

/** A baseline, without its columns. */
export function readyMessage(modelVersion: string, profile: StoredProfile): Message {
  return {
    name: baselineNameOf(modelVersion),
    state: Baseline_State.READY,
    source: SOURCES[profile.source],
    createTime: timestampFromDate(profile.createTime),
    rows: BigInt(profile.rows),
    layoutId: profile.layoutId,
    sizeBytes: BigInt(profile.sizeBytes),
    fileName: profile.fileName,
  };
}

/** A baseline with what is known of each column, in the order of its layout. */
export function describedMessage(ready: ReadyBaseline): Message {
  const { layout, baseline } = ready;
  return {
    ...readyMessage(ready.modelVersion, ready),
    columns: layout.columns.map((column, place) => {
      return profileMessage(column, baseline.columns[place]!);
    }),
  };
}

/** A baseline that is being learned. */
export function learningMessage(
  modelVersion: string,
  learning: { readonly rows: number; readonly rowsWanted: number },
): Message {
  return {
    name: baselineNameOf(modelVersion),
    state: Baseline_State.LEARNING,
    source: Baseline_Source.FIRST_INFERENCES,
    rows: BigInt(learning.rows),
    rowsWanted: BigInt(learning.rowsWanted),
  };
}

/** The name of a version's baseline. */
function baselineNameOf(modelVersion: string): string {
  return baselineName.format(modelVersionName.parse(modelVersion, "model_version"));
}
