// A batch that an inference server sent, checked and made into receipts: all of them in one piece of
// memory, each after the byte 0x00 with which it is hashed, so that no byte is copied twice.

import { isUtf8 } from "node:buffer";
import { type Principal, requireWorkspace } from "../../common/auth/principal.ts";
import { deploymentName, modelVersionName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import { HASH_BYTES } from "./merkle-tree.ts";
import { PendingBatch } from "./pending-batch.ts";
import {
  CONTEXT_BYTES_MAX,
  type ReceiptPrefix,
  ROWS_MAX,
  receiptPrefix,
  TEXT_BYTES_MAX,
} from "./receipt.ts";
import type { ReceiptColumns, Spans } from "./receipt-columns.ts";

const SENDER_ID = /^[a-zA-Z0-9-]{1,64}$/;

/** Every field of a receipt behind the prefix, without id and context. */
const FIXED_BYTES = 2 + 8 + 2 + 4 + 2 + 2 + 2 * (2 + HASH_BYTES);
const TIME_BYTES = 8;
const ROWS_BYTES = 4;

/** A batch that may be made into receipts. */
export interface CheckedColumns extends ReceiptColumns {
  /** The id of the workspace. */
  readonly workspace: string;
  readonly count: number;
  readonly sequence: number;
}

/** @throws InvalidArgument with all that is wrong; PermissionDenied. */
export function checkColumns(columns: ReceiptColumns, principal: Principal): CheckedColumns {
  const { head, inferenceIds, timesUs, rows, contexts } = columns;
  const { workspace } = deploymentName.parse(head.deployment, "deployment");
  const version = modelVersionName.parse(head.modelVersion, "model_version");
  requireWorkspace(principal, workspace);
  requireWorkspace(principal, version.workspace);
  const count = inferenceIds.starts.length;
  const sequence = Number(head.sequence);
  const faults = new RequestFaults();
  faults.id("sender_id", head.senderId, SENDER_ID);
  const isSequence = Number.isSafeInteger(sequence) && sequence >= 1;
  faults.check(isSequence, "sequence", `is ${head.sequence}; they count from 1`);
  faults.check(
    version.workspace === workspace,
    "model_version",
    `is of another workspace than the deployment, ${workspace}`,
  );
  faults.check(
    /^[1-9][0-9]*$/.test(version.version),
    "model_version",
    "must end in a version number, not an alias",
  );
  checkBytes(faults, "model_digest", head.modelDigest, HASH_BYTES);
  faults.check(count > 0, "inference_ids", "has none; a batch has one at least");
  checkNumbers(faults, "times_us", timesUs, { count, max: Number.MAX_SAFE_INTEGER });
  checkNumbers(faults, "rows", rows, { count, max: ROWS_MAX });
  checkBytes(faults, "input_digests", columns.inputDigests, count * HASH_BYTES);
  checkBytes(faults, "output_digests", columns.outputDigests, count * HASH_BYTES);
  const badId = firstOf(inferenceIds, (start, end) => {
    const length = end - start;
    return length < 1 || length > TEXT_BYTES_MAX || !isText(columns.bytes, start, end);
  });
  faults.check(
    badId < 0,
    `inference_ids[${badId}]`,
    `is not 1 to ${TEXT_BYTES_MAX} bytes of UTF-8`,
  );
  const contextCount = contexts.starts.length;
  faults.check(
    contextCount === 0 || contextCount === count,
    "contexts",
    `has ${contextCount} for ${count} inferences; one for each, or none`,
  );
  const badContext = firstOf(contexts, (start, end) => end - start > CONTEXT_BYTES_MAX);
  const context = `contexts[${badContext}]`;
  faults.check(badContext < 0, context, `has more than ${CONTEXT_BYTES_MAX} bytes`);
  faults.done();
  return { ...columns, workspace, count, sequence };
}

/** The bytes that receipts of such a batch begin with. */
export function prefixOf({ head, workspace }: CheckedColumns, keyId: string): ReceiptPrefix {
  const { deployment, modelVersion, modelDigest } = head;
  return receiptPrefix({
    keyId,
    workspace: `workspaces/${workspace}`,
    deployment,
    modelVersion,
    modelDigest,
  });
}

/** The receipts of a batch, named after its sender and sequence. */
export function encodeBatch(columns: CheckedColumns, prefix: ReceiptPrefix): PendingBatch {
  const { bytes, count, head, sequence, timesUs, rows, inferenceIds, contexts } = columns;
  const each = 1 + prefix.length + FIXED_BYTES;
  const size = count * each + lengthOf(inferenceIds) + lengthOf(contexts);
  // Not from Node's pool: views of it live as long as the batch waits.
  const target = Buffer.allocUnsafeSlow(size);
  const batch = new PendingBatch({ uid: `${head.senderId}/${sequence}`, count });
  batch.sharedBytes = prefix.length;
  let at = 0;
  for (let i = 0; i < count; i++) {
    const start = at;
    target[at] = 0;
    target.set(prefix, at + 1);
    at = putLength(target, at + 1 + prefix.length, TIME_BYTES);
    const time = timesUs[i]!;
    at = target.writeUInt32BE(Math.floor(time / 2 ** 32), at);
    at = target.writeUInt32BE(time % 2 ** 32, at);
    at = target.writeUInt32BE(rows[i]!, putLength(target, at, ROWS_BYTES));
    const idStart = at + 2 - start;
    at = putBytes(target, at, bytes, inferenceIds.starts[i]!, inferenceIds.ends[i]!);
    const idEnd = at - start;
    at = putBytes(target, at, bytes, contexts.starts[i] ?? 0, contexts.ends[i] ?? 0);
    const digest = i * HASH_BYTES;
    at = putBytes(target, at, columns.inputDigests, digest, digest + HASH_BYTES);
    at = putBytes(target, at, columns.outputDigests, digest, digest + HASH_BYTES);
    batch.addLeaf({ bytes: target.subarray(start, at), idStart, idEnd });
  }
  return batch;
}

function putLength(target: Buffer, at: number, length: number): number {
  target[at] = length >>> 8;
  target[at + 1] = length;
  return at + 2;
}

/** A field. They are short: a loop beats a call into native code. */
function putBytes(
  target: Buffer,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
): number {
  let to = putLength(target, at, end - start);
  for (let from = start; from < end; from++, to++) {
    target[to] = source[from]!;
  }
  return to;
}

function lengthOf({ starts, ends }: Spans): number {
  let length = 0;
  for (let i = 0; i < starts.length; i++) {
    length += ends[i]! - starts[i]!;
  }
  return length;
}

function checkBytes(
  faults: RequestFaults,
  field: string,
  bytes: Uint8Array,
  expected: number,
): void {
  const description = `has ${bytes.length} bytes; ${expected} are expected, ${HASH_BYTES} a digest`;
  faults.check(bytes.length === expected, field, description);
}

function checkNumbers(
  faults: RequestFaults,
  field: string,
  numbers: readonly number[],
  { count, max }: { readonly count: number; readonly max: number },
): void {
  const description = `has ${numbers.length} for ${count} inferences; one for each`;
  faults.check(numbers.length === count, field, description);
  const bad = numbers.findIndex((number) => !(number <= max));
  faults.check(bad < 0, `${field}[${bad}]`, `is not a whole number from 0 to ${max}`);
}

/** The first span for which it holds, or -1. */
function firstOf({ starts, ends }: Spans, holds: (start: number, end: number) => boolean): number {
  for (let i = 0; i < starts.length; i++) {
    if (holds(starts[i]!, ends[i]!)) return i;
  }
  return -1;
}

/** Ids are ASCII, which is found out faster here. */
function isText(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    if (bytes[i]! >= 0x80) return isUtf8(bytes.subarray(start, end));
  }
  return true;
}
