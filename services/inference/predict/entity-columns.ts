// The entities of a request as the columns that a feature service asks for. Every error names the
// row and the column, in the request's own terms: `entities[3].origin`.

import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import { type ColumnSchema, ValueType } from "../../../gen/plinth/features/v1/value_pb.js";
import { quote, type Violations } from "../protocol/violations.ts";
import { type FeatureValue, timestampInit, valueFromJson } from "./feature-values.ts";

/** A column that the caller gives. */
export interface RequestColumn {
  readonly name: string;
  readonly type: ValueType;
}

type ColumnInit = MessageInitShape<typeof ColumnSchema>;

/** More columns than this are not listed in an error. */
const COLUMNS_SHOWN_MAX = 12;

/** What stands where there is no value. */
const ZEROS: Readonly<Record<ValueType, FeatureValue>> = {
  [ValueType.UNSPECIFIED]: 0,
  [ValueType.BOOL]: false,
  [ValueType.INT32]: 0,
  [ValueType.INT64]: 0n,
  [ValueType.FLOAT]: 0,
  [ValueType.DOUBLE]: 0,
  [ValueType.STRING]: "",
  [ValueType.BYTES]: new Uint8Array(0),
  [ValueType.TIMESTAMP]: 0n,
};

/**
 * One column for each that is asked for, in that order. A null is sent on as one: request data may
 * be absent. Adds what is wrong to `violations`; the result means something only where nothing was
 * added.
 */
export function columnsFromEntities(
  entities: readonly JsonObject[],
  columns: readonly RequestColumn[],
  violations: Violations,
): ColumnInit[] {
  const lists = columns.map(() => [] as FeatureValue[]);
  const nulls = columns.map(() => [] as number[]);
  const known = new Set(columns.map(({ name }) => name));
  for (let row = 0; row < entities.length && !violations.full; row++) {
    const entity = entities[row]!;
    for (let i = 0; i < columns.length; i++) {
      const { name, type } = columns[i]!;
      const json = Object.hasOwn(entity, name) ? entity[name] : undefined;
      if (json === undefined) {
        const field = fieldOf(row, name);
        violations.add(field, `${field} is missing; ${wantedColumns(columns)}`);
      } else if (json === null) {
        nulls[i]!.push(row);
        lists[i]!.push(ZEROS[type]);
      } else {
        const result = valueFromJson(json, type);
        if (result.fault === undefined) {
          lists[i]!.push(result.value);
        } else {
          const field = fieldOf(row, name);
          violations.add(field, `${field}: ${result.fault}; ${wantedColumns(columns)}`);
        }
      }
    }
    for (const name of Object.keys(entity)) {
      if (!known.has(name)) {
        const field = fieldOf(row, name);
        violations.add(field, `${field}: there is no such column; ${wantedColumns(columns)}`);
      }
    }
  }
  return columns.map(({ name, type }, i) => columnOf(name, type, lists[i]!, nulls[i]!));
}

/** "INT64". */
export function typeName(type: ValueType): string {
  return ValueType[type] ?? String(type);
}

function wantedColumns(columns: readonly RequestColumn[]): string {
  const shown = columns.slice(0, COLUMNS_SHOWN_MAX);
  const list = shown.map(({ name, type }) => `${quote(name)} (${typeName(type)})`).join(", ");
  return `the feature service takes ${list}${columns.length > shown.length ? ", …" : ""}`;
}

function columnOf(
  name: string,
  type: ValueType,
  values: readonly FeatureValue[],
  nulls: number[],
): ColumnInit {
  switch (type) {
    case ValueType.BOOL:
      return { name, nulls, bools: values as boolean[] };
    case ValueType.INT32:
    case ValueType.INT64:
      return { name, nulls, ints: values.map((value) => BigInt(value as number | bigint)) };
    case ValueType.FLOAT:
    case ValueType.DOUBLE:
      return { name, nulls, doubles: values as number[] };
    case ValueType.STRING:
      return { name, nulls, strings: values as string[] };
    case ValueType.BYTES:
      return { name, nulls, bytesValues: values as Uint8Array[] };
    case ValueType.TIMESTAMP:
      return { name, nulls, timestamps: values.map((value) => timestampInit(value as bigint)) };
    case ValueType.UNSPECIFIED:
      return { name, nulls };
  }
}

function fieldOf(row: number, name: string): string {
  return /^[\w-]+$/.test(name) ? `entities[${row}].${name}` : `entities[${row}][${quote(name)}]`;
}
