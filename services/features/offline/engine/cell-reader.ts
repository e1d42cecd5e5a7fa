// How a column of a caller's file becomes values of a type: strict, so that nothing is rounded,
// guessed or cut off in silence, but for what a type cannot hold of a number or a time (a double in
// FLOAT is rounded, nanoseconds end at the microsecond). What a cell must be is decided here for
// each format; what is wrong with one that is not is said by cell-fault.ts.

import { type Field, KEY_BYTES_MAX, VALUE_BYTES_MAX, type ValueType } from "../../value.ts";
import type { TableFormat } from "../engine-tasks.ts";
import { sqlType } from "./sql.ts";

/** Times are microseconds in safe integers: the years 1685 to 2254. */
const MICROS_MAX = Number.MAX_SAFE_INTEGER;

/** SQL over one column of a table's relation. */
export interface CellReader {
  /** The value in the field's type, but TIMESTAMP as BIGINT microseconds; null where none can be. */
  readonly value: string;
  /** Whether the cell has something in it, which then has to be a value. */
  readonly given: string;
  /** The cell as the file has it, as text; null where nothing is given. */
  readonly text: string;
  /** Its length, for texts: bytes of UTF-8. */
  readonly bytes: string;
}

/** A column and how it is written. */
export interface CellSource {
  readonly format: TableFormat;
  /** In SQL terms. */
  readonly type: string;
  /** The column in the relation. */
  readonly ref: string;
}

/**
 * How the cells are read as the field; undefined when a Parquet column's type has no values of the
 * field's type.
 */
export function cellReader(
  source: CellSource,
  field: Field,
  options: { readonly key: boolean },
): CellReader | undefined {
  const converted = convert(source, field.type);
  if (converted === undefined) {
    return undefined;
  }
  const bytesMax = options.key ? KEY_BYTES_MAX : VALUE_BYTES_MAX;
  const given = isGiven(source);
  const plain = source.format === "ndjson" ? `(${source.ref} ->> '$')` : `${source.ref}::VARCHAR`;
  return {
    value: bounded(converted, field.type, bytesMax),
    given,
    text: `(CASE WHEN ${given} THEN ${source.ref}::VARCHAR END)`,
    bytes: `coalesce(strlen(${plain}), 0)`,
  };
}

/** A column that is all null, for a field that the file does not have. */
export function noCells(field: Field): CellReader {
  const type = field.type === "TIMESTAMP" ? "BIGINT" : sqlType(field.type);
  return { value: `NULL::${type}`, given: "false", text: "NULL::VARCHAR", bytes: "0" };
}

function isGiven({ format, ref }: CellSource): string {
  return format === "ndjson"
    ? `coalesce(json_type(${ref}) <> 'NULL', false)`
    : `(${ref} IS NOT NULL)`;
}

function convert(source: CellSource, type: ValueType): string | undefined {
  switch (source.format) {
    case "parquet":
      return fromParquet(source, type);
    case "csv":
      return fromText(source.ref, type);
    case "ndjson":
      return fromJson(source.ref, type);
  }
}

/** The value, but null where it is beyond what the service holds. */
function bounded(value: string, type: ValueType, bytesMax: number): string {
  switch (type) {
    case "STRING":
      return `(CASE WHEN strlen(${value}) <= ${bytesMax} THEN ${value} END)`;
    case "BYTES":
      return `(CASE WHEN octet_length(${value}) <= ${bytesMax} THEN ${value} END)`;
    case "TIMESTAMP":
      return `(CASE WHEN ${value} BETWEEN -${MICROS_MAX} AND ${MICROS_MAX} THEN ${value} END)`;
    case "BOOL":
    case "INT32":
    case "INT64":
    case "FLOAT":
    case "DOUBLE":
      return value;
  }
}

const WHOLE_TYPE = /^(U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|DECIMAL\(\d+,0\))$/;
const NUMBER_TYPE = /^(FLOAT|DOUBLE|DECIMAL\(.*\))$/;
const TEXT_TYPE = /^(VARCHAR|ENUM\(.*\)|JSON|UUID)$/s;
const TIME_TYPE = /^(TIMESTAMP|TIMESTAMP_S|TIMESTAMP_MS|TIMESTAMP WITH TIME ZONE)$/;
/** A Parquet column in which every value is null may have no type of its own. */
const NULL_TYPE = '"NULL"';

function fromParquet({ type: found, ref }: CellSource, type: ValueType): string | undefined {
  if (found === NULL_TYPE) {
    return noCells({ name: "", type }).value;
  }
  switch (type) {
    case "BOOL":
      return found === "BOOLEAN" ? ref : undefined;
    case "INT32":
    case "INT64":
      return WHOLE_TYPE.test(found) ? `try_cast(${ref} AS ${sqlType(type)})` : undefined;
    case "FLOAT":
    case "DOUBLE": {
      const isNumber = WHOLE_TYPE.test(found) || NUMBER_TYPE.test(found);
      return isNumber ? `try_cast(${ref} AS ${sqlType(type)})` : undefined;
    }
    case "STRING":
      return TEXT_TYPE.test(found) ? `${ref}::VARCHAR` : undefined;
    case "BYTES":
      return found === "BLOB" ? ref : undefined;
    case "TIMESTAMP":
      return parquetMicros(found, ref);
  }
}

function parquetMicros(found: string, ref: string): string | undefined {
  if (TIME_TYPE.test(found)) {
    return `epoch_us(CASE WHEN isfinite(${ref}) THEN ${ref} END)`;
  }
  if (found === "TIMESTAMP_NS") {
    // Down to the microsecond before it, also before 1970.
    const nanos = `epoch_ns(CASE WHEN isfinite(${ref}) THEN ${ref} END)`;
    return `((${nanos} - ((${nanos} % 1000) + 1000) % 1000) // 1000)`;
  }
  return found === "DATE" ? `epoch_us(CASE WHEN isfinite(${ref}) THEN ${ref} END)` : undefined;
}

/** pandas writes whole numbers of a column with gaps as "5.0". */
const WHOLE_TEXT = "^[+-]?[0-9]+(\\.0*)?$";
const NUMBER_TEXT = "^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([eE][+-]?[0-9]+)?$";
const NOT_FINITE_TEXT = "^[+-]?(nan|inf|infinity)$";
/** RFC 3339, or with a blank for the T, without offset, seconds or time of day. */
const TIME_TEXT =
  "^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}" +
  "(:[0-9]{2}(\\.[0-9]{1,9})?( ?(Z|UTC|[+-][0-9]{2}(:?[0-9]{2})?))?)?)?$";

function fromText(ref: string, type: ValueType): string {
  switch (type) {
    case "BOOL":
      return (
        `(CASE lower(${ref}) WHEN 'true' THEN true WHEN 'false' THEN false ` +
        "WHEN '1' THEN true WHEN '0' THEN false END)"
      );
    case "INT32":
    case "INT64": {
      const whole = `regexp_replace(${ref}, '\\.0*$', '')`;
      return `(CASE WHEN ${matches(ref, WHOLE_TEXT)} THEN try_cast(${whole} AS ${sqlType(type)}) END)`;
    }
    case "FLOAT":
    case "DOUBLE":
      return numberOfText(ref, type);
    case "STRING":
      return ref;
    case "BYTES":
      return `try(from_base64(${ref}))`;
    case "TIMESTAMP":
      return `(CASE WHEN ${matches(ref, TIME_TEXT)} THEN epoch_us(try_cast(${ref} AS TIMESTAMPTZ)) END)`;
  }
}

/** A number too large for the type would be an infinity, and is no value. */
function numberOfText(ref: string, type: "FLOAT" | "DOUBLE"): string {
  const cast = `try_cast(${ref} AS ${sqlType(type)})`;
  return (
    `(CASE WHEN ${matches(ref, NUMBER_TEXT)} THEN (CASE WHEN isfinite(${cast}) THEN ${cast} END) ` +
    `WHEN ${matches(`lower(${ref})`, NOT_FINITE_TEXT)} THEN ${cast} END)`
  );
}

function fromJson(ref: string, type: ValueType): string {
  const kind = `json_type(${ref})`;
  const text = `(${ref} ->> '$')`;
  const isNumber = `${kind} IN ('BIGINT', 'UBIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE')`;
  const isText = `${kind} = 'VARCHAR'`;
  const when = (condition: string, value: string): string => {
    return `(CASE WHEN ${condition} THEN ${value} END)`;
  };
  switch (type) {
    case "BOOL":
      return when(`${kind} = 'BOOLEAN'`, `(${text} = 'true')`);
    case "INT32":
      return when(isNumber, fromText(text, type));
    case "INT64":
      // As in JSON of protobuf: a text keeps digits that other readers of JSON would lose.
      return when(`(${isNumber} OR ${isText})`, fromText(text, type));
    case "FLOAT":
    case "DOUBLE": {
      const named = `(${isText} AND ${matches(`lower(${text})`, NOT_FINITE_TEXT)})`;
      return when(`(${isNumber} OR ${named})`, fromText(text, type));
    }
    case "STRING":
      return when(isText, text);
    case "BYTES":
    case "TIMESTAMP":
      return when(isText, fromText(text, type));
  }
}

function matches(text: string, pattern: string): string {
  return `regexp_matches(${text}, '${pattern}')`;
}
