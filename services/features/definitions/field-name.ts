// What join keys, features, inputs and columns of requests may be called. All of them become columns
// of Parquet files, where letter case does not tell names apart.

import { CREATED_TIMESTAMP, EVENT_TIMESTAMP } from "../value.ts";

/** Names in use, by their lower-case form. */
export type NameSet = Map<string, string>;

/** What a column of kept reads that holds a feature's status ends with. */
const STATUS_SUFFIX = "__status";

const FIELD_NAME = /^[a-zA-Z_][a-zA-Z0-9_]{0,62}$/;
const RESERVED = [EVENT_TIMESTAMP, CREATED_TIMESTAMP];

/** The column of kept reads with the status of an output: "PRESENT", "NULL_VALUE" and so on. */
export function statusColumn(output: string): string {
  return output + STATUS_SUFFIX;
}

/** What is wrong with a name; undefined when it is good. */
export function fieldNameFault(name: string): string | undefined {
  const shown = JSON.stringify(name.slice(0, 100));
  if (!FIELD_NAME.test(name)) {
    return `${shown} must match ${FIELD_NAME.source.slice(1, -1)}`;
  }
  const folded = name.toLowerCase();
  if (RESERVED.includes(folded)) {
    return `${shown} is the name of a time that every row has`;
  }
  if (folded.startsWith("__") || folded.endsWith(STATUS_SUFFIX)) {
    return `${shown} begins with __ or ends with ${STATUS_SUFFIX}, which Plinth keeps for itself`;
  }
  return undefined;
}

/** As fieldNameFault, for a column of a request. */
export function columnNameFault(name: string): string | undefined {
  const fault = fieldNameFault(name);
  return fault === undefined ? undefined : `names the column ${fault}`;
}
