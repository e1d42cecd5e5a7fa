// `plinth features get`: the newest values of a feature service, or of single features, for some
// entities, with what became of each and how old it is.

import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { FeatureService } from "../../gen/plinth/features/v1/feature_service_pb.js";
import {
  type GetOnlineFeaturesResponse,
  GetOnlineFeaturesResponseSchema,
  type ViewFreshness,
} from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { FieldStatus, type Column as ValueColumn } from "../../gen/plinth/features/v1/value_pb.js";
import { NotFound } from "../common/errors/domain-error.ts";
import { UsageError } from "./exit-codes.ts";
import { cellText, typeOfColumn } from "./features-cells.ts";
import { entityColumns, readKeys } from "./features-columns.ts";
import { fullName, parseDefinition, shortFeatureName } from "./features-names.ts";
import { ageText, exactTime } from "./features-times.ts";
import { isView, referenceShape } from "./features-views.ts";
import { statusText } from "./prediction-features.ts";
import type { Session } from "./session.ts";
import type { Column } from "./table.ts";

export interface GetOptions {
  readonly entity?: readonly string[];
  readonly file?: string;
  readonly fullNames?: boolean;
}

/** The protocol's limit of one call. */
const ROWS_MAX = 1000;

/** `plinth features get` */
export async function getFeatures(
  session: Session,
  [references]: readonly [readonly string[]],
  options: GetOptions,
): Promise<void> {
  const { output, parent } = session;
  const name = serviceName(session, references);
  const service = name === undefined ? undefined : await findService(session, name);
  const listed = service === undefined ? await referenceShape(session, references) : undefined;
  const wanted = service?.requestColumns ?? listed?.columns ?? [];
  const { entity: pairs, file } = options;
  const rows = await readKeys(session, { pairs, file, option: "--entity", rowsMax: ROWS_MAX });
  const extras = file === undefined ? "refuse" : "leave-out";
  const entities = entityColumns(rows, wanted, { extras });
  const what =
    name === undefined
      ? { features: [...references], fullFeatureNames: options.fullNames ?? false }
      : { featureService: name };
  const response = await session.featureStore.getOnlineFeatures(
    { parent, entities, ...what },
    session.call,
  );
  if (output.json) {
    return output.message(GetOnlineFeaturesResponseSchema, response);
  }
  if (rows.length === 1) {
    const freshness =
      service === undefined
        ? freshnessOfViews(listed?.views ?? [], response)
        : freshnessOfService(service, response);
    printOne(session, response, freshness);
  } else {
    const keys = wanted.map(({ name, valueType }, index) => ({
      title: name,
      cell: (row: number) => cellText(entities[index]!, valueType, row),
    }));
    printMany(session, response, { keys, rows: rows.length });
  }
  if (service !== undefined) {
    output.note(`Read ${shortFeatureName(response.featureService)}.`);
  }
}

/** The full name of the service asked for, or undefined where features are listed. */
function serviceName(session: Session, references: readonly string[]): string | undefined {
  const listed = references.filter((text) => text.includes(":"));
  if (listed.length === references.length) {
    return undefined;
  }
  if (listed.length > 0 || references.length > 1) {
    throw new UsageError("Name one feature service, or features as view:feature.");
  }
  return fullName("service", references[0] ?? "", session.workspace);
}

/** @throws UsageError where a view has the name, else what the server says. */
async function findService(session: Session, name: string): Promise<FeatureService> {
  const { features, call } = session;
  try {
    return await features.getFeatureService({ name }, call);
  } catch (error) {
    const { id } = parseDefinition(name, session.workspace);
    const view = error instanceof NotFound && (await isView(session, id));
    throw view
      ? new UsageError(
          `${id} is a feature view. Name its features as ${id}:feature, or ${id}:* for all.`,
        )
      : error;
  }
}

/** Freshness by feature, in the order of the results; undefined for a computed one. */
type Freshness = readonly (ViewFreshness | undefined)[];

function freshnessOfViews(
  views: readonly string[],
  response: GetOnlineFeaturesResponse,
): Freshness {
  return views.map((id) => response.views.find((view) => view.featureView === id));
}

/** By projection: a view that is taken twice is read by other columns each time. */
function freshnessOfService(
  service: FeatureService,
  response: GetOnlineFeaturesResponse,
): Freshness {
  const ofView = (id: string): readonly ViewFreshness[] =>
    response.views.filter((view) => view.featureView === id);
  return service.outputFeatures.map(({ name, featureView }) => {
    const candidates = ofView(featureView);
    const projection = service.projections.find(
      (one) =>
        one.featureView === featureView &&
        one.features.some(({ feature, alias }) => (alias || feature) === name),
    );
    const columns = Object.values(projection?.joinKeys ?? {});
    return (
      candidates.find((view) => columns.every((column) => view.entityColumns.includes(column))) ??
      candidates[0]
    );
  });
}

function printOne(
  session: Session,
  response: GetOnlineFeaturesResponse,
  freshness: Freshness,
): void {
  const { output } = session;
  const nowS = Number(timestampNow().seconds);
  const columns: Column[] = [
    { title: "FEATURE" },
    { title: "VALUE", align: "right" },
    { title: "STATUS" },
    { title: "EVENT TIME" },
    { title: "AGE", align: "right" },
  ];
  const rows = response.results.map(({ values, statuses }, index) => {
    const status = statuses[0] ?? FieldStatus.UNSPECIFIED;
    const time = freshness[index]?.eventTimes[0];
    const known = time !== undefined && status !== FieldStatus.NOT_FOUND;
    return [
      values?.name ?? "",
      status === FieldStatus.PRESENT ? valueText(values, 0) : "",
      statusText(status),
      known ? exactTime(time) : "",
      known ? ageText(nowS - Number(time.seconds)) : "",
    ];
  });
  output.table(columns, rows, "No features.");
}

/** A line a row; a value that is not there shows why. */
function printMany(
  session: Session,
  response: GetOnlineFeaturesResponse,
  options: {
    readonly keys: readonly { readonly title: string; readonly cell: (row: number) => string }[];
    readonly rows: number;
  },
): void {
  const columns: Column[] = [
    ...options.keys.map(({ title }) => ({ title })),
    ...response.results.map(({ values }) => ({
      title: values?.name ?? "",
      align: "right" as const,
    })),
  ];
  const rows = Array.from({ length: options.rows }, (_, row) => [
    ...options.keys.map(({ cell }) => cell(row)),
    ...response.results.map(({ values, statuses }) => {
      const status = statuses[row] ?? FieldStatus.UNSPECIFIED;
      return status === FieldStatus.PRESENT ? valueText(values, row) : statusText(status);
    }),
  ]);
  session.output.table(columns, rows, "No features.");
}

function valueText(values: ValueColumn | undefined, row: number): string {
  return values === undefined ? "" : cellText(values, typeOfColumn(values), row);
}
