// Ids of online documents: one text a workspace and an entity key, the same for everyone who names
// that key, and for no other. "default/airport/sATL", "default/destination,origin/sSFO/sATL".
//
// Documents of one set of join keys lie side by side, so that an erasure finds all keys with a given
// value by looking through the sets that have that join key.

import { createHash } from "node:crypto";
import { ErrorReason } from "../../../gen/plinth/common/v1/error_reason_pb.js";
import { InvalidArgument } from "../../common/errors/domain-error.ts";
import { type Cell, KEY_BYTES_MAX, type ValueType } from "../value.ts";

/** One join key's value. */
export interface KeyPart {
  readonly joinKey: string;
  readonly type: ValueType;
  readonly cell: Cell;
}

/** Ids have at most 1,024 characters; longer names or values are put in by their digests. */
const NAMES_LENGTH_MAX = 300;
const VALUES_LENGTH_MAX = 600;

/** What would end a part, or cannot be in an id. */
const ESCAPED = /[%/\0]/g;
const NEEDS_ESCAPE = /[%/\0]/;

/** What is wrong with a value as a join key, or undefined. */
export function keyFault(type: ValueType, cell: Cell): string | undefined {
  if (cell === null) return "has no value; a join key must have one";
  if (type !== "STRING" || typeof cell !== "string") return undefined;
  if (cell.length * 3 <= KEY_BYTES_MAX) return undefined;
  const bytes = Buffer.byteLength(cell);
  return bytes > KEY_BYTES_MAX
    ? `has ${bytes} bytes; a join key has at most ${KEY_BYTES_MAX}`
    : undefined;
}

/**
 * The document's id. `parts` must be sorted by joinKey.
 * @throws InvalidArgument for a value that cannot be a join key.
 */
export function entityKey(workspace: string, parts: readonly KeyPart[]): string {
  const names = parts.map((part) => part.joinKey);
  return entityIds(
    workspace,
    names,
  )(parts.map((part) => keyText(part.type, part.cell, part.joinKey)));
}

/** Makes ids of one set of join keys (sorted) from the texts of their values. */
export function entityIds(
  workspace: string,
  joinKeys: readonly string[],
): (texts: readonly string[]) => string {
  const prefix = keySetPrefix(workspace, joinKeys);
  return (texts) => {
    const values = texts.length === 1 ? texts[0]! : texts.join("/");
    return prefix + (values.length > VALUES_LENGTH_MAX ? digest(values) : values);
  };
}

/** What the ids of every document of these join keys (sorted) begin with, and no others. */
export function keySetPrefix(workspace: string, joinKeys: readonly string[]): string {
  const names = joinKeys.join(",");
  return `${workspace}/${names.length > NAMES_LENGTH_MAX ? digest(names) : names}/`;
}

/**
 * A join key's value as text, its type in front: whole numbers and texts never meet, INT32 and INT64
 * of one value do.
 * @throws InvalidArgument for a value that cannot be a join key.
 */
export function keyText(type: ValueType, cell: Cell, joinKey: string): string {
  const fault = keyFault(type, cell);
  if (fault !== undefined) throw badKey(joinKey, fault);
  switch (type) {
    case "STRING": {
      const text = cell as string;
      return `s${NEEDS_ESCAPE.test(text) ? text.replace(ESCAPED, percent) : text}`;
    }
    case "INT32":
    case "INT64":
      return `i${cell}`;
    case "TIMESTAMP":
      return `t${cell}`;
    case "BOOL":
    case "FLOAT":
    case "DOUBLE":
    case "BYTES":
      throw badKey(joinKey, `is ${type}; join keys are STRING, INT32, INT64 or TIMESTAMP`);
  }
}

function badKey(joinKey: string, fault: string): InvalidArgument {
  return new InvalidArgument(`Join key "${joinKey}" ${fault}.`, {
    reason: ErrorReason.INVALID_FIELD,
    violations: [{ field: joinKey, description: fault }],
  });
}

function percent(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

/** "#" begins no name and no value. */
function digest(text: string): string {
  return `#${createHash("sha256").update(text).digest("base64url")}`;
}
