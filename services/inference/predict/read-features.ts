// What monitoring is told of the features of a prediction: what became of each, and by which keys
// they were read. Of the rows that were predicted only.

import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import type { FeatureService } from "../../../gen/plinth/features/v1/feature_service_pb.js";
import type {
  GetOnlineFeaturesResponse,
  ViewFreshness,
} from "../../../gen/plinth/features/v1/feature_store_service_pb.js";
import type { ColumnSchema } from "../../../gen/plinth/features/v1/value_pb.js";
import { featureViewName } from "../../common/names.ts";
import type { FeatureNames, ReadFeatures } from "../engine.ts";

type ColumnInit = MessageInitShape<typeof ColumnSchema>;

/** @param views of an answer: they tell what is stored and which columns are keys. */
export function featureNames(
  {
    workspace,
    outputFeatures,
  }: { readonly workspace: string } & Pick<FeatureService, "outputFeatures">,
  views: readonly ViewFreshness[],
): FeatureNames {
  const stored = new Set(views.map(({ featureView }) => featureView));
  return {
    features: outputFeatures.map((output) => {
      const { name: feature, featureView: view } = output;
      return {
        name: feature,
        view: stored.has(view) ? featureViewName.format({ workspace, view }) : "",
      };
    }),
    joinKeys: [...new Set(views.flatMap(({ entityColumns }) => entityColumns))],
  };
}

/** @param rows those of the request that were predicted */
export function readFeatures(
  names: FeatureNames,
  { results }: Pick<GetOnlineFeaturesResponse, "results">,
  { columns, rows }: { readonly columns: readonly ColumnInit[]; readonly rows: readonly number[] },
): ReadFeatures {
  let keys: readonly (readonly string[])[] | undefined;
  return {
    names,
    statuses: results.map(({ statuses }) =>
      rows.length === statuses.length ? statuses : rows.map((row) => statuses[row]!),
    ),
    keys: () => {
      keys ??= names.joinKeys.map((name) => {
        const texts = textsOf(columns.find((column) => column.name === name));
        return rows.map((row) => texts[row] ?? "");
      });
      return keys;
    },
  };
}

/** As a label names an entity: whole numbers in decimal, times in RFC 3339, a null as nothing. */
function textsOf(column: ColumnInit | undefined): readonly string[] {
  if (column === undefined) {
    return [];
  }
  const { strings = [], ints = [], timestamps = [], nulls = [] } = column;
  const texts =
    strings.length > 0
      ? [...strings]
      : ints.length > 0
        ? ints.map(String)
        : timestamps.map((time) => toJson(TimestampSchema, create(TimestampSchema, time)));
  for (const row of nulls) {
    texts[row] = "";
  }
  return texts;
}
