// The little SQL that is put together by hand: names and texts in quotes, types, lists. Whatever
// comes from outside goes through here, so that no name and no path can end its quotes.

import type { Cell, Field, ValueType } from "../../value.ts";

/** How the engine keeps values of a type; times are instants, shown in UTC. */
const SQL_TYPES: Readonly<Record<ValueType, string>> = {
  BOOL: "BOOLEAN",
  INT32: "INTEGER",
  INT64: "BIGINT",
  FLOAT: "FLOAT",
  DOUBLE: "DOUBLE",
  STRING: "VARCHAR",
  BYTES: "BLOB",
  TIMESTAMP: "TIMESTAMP WITH TIME ZONE",
};

/** The engine's type for a type of values. */
export function sqlType(type: ValueType): string {
  return SQL_TYPES[type];
}

/** A name as an identifier, whatever characters it has. */
export function identifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Names as identifiers, with commas. */
export function identifiers(names: readonly string[]): string {
  return names.map(identifier).join(", ");
}

/**
 * A field's name as that of a column in a table of the engine's own. Such tables have a `rowid` and
 * columns of the engine's, and no field's name can be one of those.
 */
export function heldName(name: string): string {
  return identifier(`.${name}`);
}

/** A text as a literal. SQL texts end at a NUL, so those are put in as a function's result. */
export function literal(text: string): string {
  const parts = text.split("\0").map((part) => `'${part.replaceAll("'", "''")}'`);
  return parts.length === 1 ? parts.join("") : `(${parts.join(" || chr(0) || ")})`;
}

/** Texts as a list literal. */
export function literals(texts: readonly string[]): string {
  return `[${texts.map(literal).join(", ")}]`;
}

/** A value of a field as an expression of the field's type. */
export function cellLiteral({ type }: Field, cell: Cell): string {
  if (cell === null) {
    return `NULL::${sqlType(type)}`;
  }
  switch (type) {
    case "STRING":
      return literal(String(cell));
    case "BYTES":
      return `from_hex('${Buffer.from(cell as Uint8Array).toString("hex")}')`;
    case "TIMESTAMP":
      return `make_timestamptz(${BigInt(cell as number)}::BIGINT)`;
    case "BOOL":
    case "INT32":
    case "INT64":
    case "FLOAT":
    case "DOUBLE":
      return `'${String(cell)}'::${sqlType(type)}`;
  }
}
