// What a prediction is asked for: rows of the model's columns, or entities of its feature service,
// for which the server reads the features. Entities are written without types, on the command line
// and in CSV; the feature service knows them, where this key may ask.

import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "../../gen/plinth/common/v1/error_reason_pb.js";
import { ValueType } from "../../gen/plinth/features/v1/value_pb.js";
import type { PredictResponse } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { DomainError, InvalidArgument } from "../common/errors/domain-error.ts";
import { cellValue } from "./csv-rows.ts";
import { UsageError } from "./exit-codes.ts";
import { columnOf } from "./features-cells.ts";
import type { Typed } from "./features-views.ts";
import { keyRows } from "./key-rows.ts";
import { badRowsOf, errorOfStatus } from "./predict-refused.ts";
import type { RequestInit } from "./predict-stream.ts";
import type { Answered } from "./prediction-writer.ts";
import {
  type BadRow,
  givenRows,
  type InputRow,
  isBad,
  openRows,
  type RowSource,
  type RowSourceOptions,
  type SourceRow,
} from "./row-source.ts";
import type { Session } from "./session.ts";

export interface PredictInputOptions extends RowSourceOptions {
  readonly entity?: readonly string[];
  readonly entities?: string;
  readonly version?: number;
}

/** Which field of the request the input goes into. */
export type InputKind = "rows" | "entities";

export interface PredictInput {
  readonly kind: InputKind;
  readonly source: RowSource;
}

/** One online read takes as many. */
export const ENTITIES_MAX = 1000;

/**
 * Opens what --row, --file, --entity or --entities names.
 * @throws UsageError unless it is exactly one of them.
 */
export async function openInput(
  session: Session,
  deployment: string,
  options: PredictInputOptions,
): Promise<PredictInput> {
  const { row, file, entity, entities, inputFormat, textColumns = [] } = options;
  if ([row, file, entity, entities].filter((one) => one !== undefined).length !== 1) {
    throw new UsageError(
      "Give the input as --row (repeatable) or --file <path>, or by entity key as " +
        "--entity key=value (repeatable) or --entities <path> (- for stdin).",
    );
  }
  if (entity === undefined && entities === undefined) {
    return { kind: "rows", source: await openRows(options, session.signal) };
  }
  const form = inputFormat === undefined ? {} : { inputFormat };
  const source =
    entities === undefined
      ? givenRows(
          keyRows(entity ?? [], "--entity").map((values, index) => ({
            values,
            ordinal: index + 1,
          })),
        )
      : await openRows({ file: entities, allText: true, ...form }, session.signal);
  const types = await columnTypes(session, deployment, options.version);
  return {
    kind: "entities",
    source: { ...source, rows: typedRows(source.rows, types, textColumns) },
  };
}

/** The rows or entities of a request. */
export function payloadOf(kind: InputKind, rows: readonly InputRow[]): RequestInit {
  const values = rows.map((row) => row.values);
  return kind === "rows" ? { rows: values } : { entities: values };
}

/** An answer without the rows that could not be predicted, and those with their faults. */
export interface SortedAnswer {
  /** Absent: no row was predicted. */
  readonly good: Answered | undefined;
  readonly bad: readonly BadRow[];
  /** What the bad rows would have been refused with, had they come alone. */
  readonly error: InvalidArgument | undefined;
}

/** Sets aside the rows whose features are missing. */
export function sortedOut(rows: readonly InputRow[], response: PredictResponse): SortedAnswer {
  const violations = response.predictions.flatMap(({ error }, index) => {
    const field = `entities[${index}]`;
    return error === undefined ? [] : [{ field, description: errorOfStatus(error).message }];
  });
  if (violations.length === 0) {
    return { good: { rows, response }, bad: [], error: undefined };
  }
  const error = new InvalidArgument("Features of some rows are missing.", {
    reason: ErrorReason.FEATURE_MISSING,
    violations,
  });
  const predicted = <T>(items: readonly T[]): T[] =>
    items.filter((_, index) => response.predictions[index]?.error === undefined);
  const left = {
    ...response,
    predictions: predicted(response.predictions),
    featureStatuses: response.featureStatuses.map((one) => ({
      ...one,
      statuses: predicted(one.statuses),
    })),
  };
  const good =
    left.predictions.length === 0 ? undefined : { rows: predicted(rows), response: left };
  return { good, bad: badRowsOf(error, rows), error };
}

/**
 * What the feature service of the deployed version asks for. Undefined where that cannot be found
 * out: this key may predict and no more, or the server will say what is wrong.
 */
async function columnTypes(
  session: Session,
  deployment: string,
  version: number | undefined,
): Promise<readonly Typed[] | undefined> {
  try {
    const { call } = session;
    const name = session.deploymentName(deployment);
    const { config } = await session.deployments.getDeployment({ name }, call);
    const targets = config?.targets.map(({ modelVersion }) => modelVersion) ?? [];
    const wanted =
      targets.find((target) => target.endsWith(`/versions/${version ?? ""}`)) ?? targets[0] ?? "";
    const { featureService } = await session.models.getModelVersion({ name: wanted }, call);
    const service = await session.features.getFeatureService({ name: featureService }, call);
    return service.requestColumns;
  } catch (error) {
    if (error instanceof DomainError) {
      return undefined;
    }
    throw error;
  }
}

async function* typedRows(
  rows: AsyncIterable<SourceRow>,
  types: readonly Typed[] | undefined,
  textColumns: readonly string[],
): AsyncGenerator<SourceRow> {
  const byName = new Map(types?.map(({ name, valueType }) => [name, valueType]));
  for await (const row of rows) {
    if (isBad(row)) {
      yield row;
      continue;
    }
    const values: JsonObject = {};
    for (const [name, value] of Object.entries(row.values)) {
      const asIs = typeof value !== "string" || textColumns.includes(name);
      values[name] = asIs ? value : typedValue(value, byName.get(name));
    }
    yield { ...row, values };
  }
}

/** What does not fit its type stays text; the server says what is wrong with it. */
function typedValue(text: string, valueType: ValueType | undefined): JsonValue {
  if (valueType === undefined) {
    return cellValue(text);
  }
  const { column, faults } = columnOf({ name: "", valueType }, [text]);
  if (faults.length > 0) {
    return text;
  }
  switch (valueType) {
    case ValueType.BOOL:
      return column.bools[0] ?? text;
    case ValueType.INT32:
    case ValueType.INT64: {
      const value = Number(column.ints[0]);
      return Number.isSafeInteger(value) ? value : text.trim();
    }
    case ValueType.FLOAT:
    case ValueType.DOUBLE: {
      const value = column.doubles[0] ?? Number.NaN;
      return Number.isFinite(value) ? value : String(value);
    }
    case ValueType.TIMESTAMP:
      return toJson(TimestampSchema, column.timestamps[0]!);
    default:
      return text;
  }
}
