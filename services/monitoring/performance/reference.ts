// How labels find predictions. A kept row has a reference by its inference's id and one by its
// entity; a label has the same key. Keys are texts of one deployment; long ones are digests.

import { createHash } from "node:crypto";
import type { Document } from "../../common/documents/port.ts";

/** Longer keys go in as digests; the documents' index holds them. */
const KEY_LENGTH_MAX = 160;
/** Ids and key values that are longer are refused with labels and not referred to. */
export const ID_BYTES_MAX = 4096;
/** Of an entity. */
export const JOIN_KEYS_MAX = 32;

/** One row, or the rows of one inference, in one chunk. */
export interface Reference extends Document {
  /** Begins with the id of the chunk, or of the label. */
  readonly _id: string;
  /** inferenceKey, entityKey or partKey; its first letter says which. */
  readonly by: string;
  /** Event time, microseconds. */
  readonly time: number;
  /** Id of the chunk; empty where it refers to a label. */
  readonly chunk: string;
  /** Its first row in the chunk, and how many follow it there, itself among them. */
  readonly row: number;
  readonly count: number;
  /** What number that row has in its inference. */
  readonly first: number;
  /** Id of the label that waits. Absent: it refers to a chunk. */
  readonly label?: string;
  readonly expireTime: Date;
}

/** An entity: its join keys and their values. */
export type EntityKeys = Readonly<Record<string, string>>;

/** The key of an inference's id in a deployment, which is named as `{workspace}/{deployment}`. */
export function inferenceKey(deployment: string, inferenceId: string): string {
  return `i:${deployment}:${short(inferenceId)}`;
}

/** The key of an entity, the same in whatever order its join keys come. */
export function entityKey(deployment: string, keys: EntityKeys): string {
  return `e:${deployment}:${short(canonical(keys))}`;
}

/** The key by which entities of several join keys are found by one of them. */
export function partKey(deployment: string, joinKey: string, value: string): string {
  return `k:${deployment}:${short(canonical({ [joinKey]: value }))}`;
}

/** The keys of the parts of an entity of several join keys; none where it has one. */
export function partKeys(deployment: string, keys: EntityKeys): string[] {
  const entries = Object.entries(keys);
  return entries.length > 1 ? entries.map(([name, value]) => partKey(deployment, name, value)) : [];
}

/** A value of a join key as chunks keep it and erasures compare it. */
export function keptKeyText(value: string): string {
  return short(value);
}

/** Ids of the references to rows of a chunk. */
export function idsOfReferences(chunk: string) {
  return { $gte: `${chunk}/`, $lt: `${chunk}/~` };
}

function canonical(keys: EntityKeys): string {
  return JSON.stringify(Object.entries(keys).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** "#" followed by base64 of a digest; a short text that looks like one is a digest too. */
function short(text: string): string {
  const isPlain = text.length <= KEY_LENGTH_MAX && !text.startsWith("#") && !text.includes("\0");
  return isPlain && text.isWellFormed() ? text : `#${digest(text)}`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
