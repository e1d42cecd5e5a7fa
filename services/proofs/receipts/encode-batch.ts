// A batch that an inference server sent, checked and made into receipts, one after the other: each is
// hashed and packed before the next one is made in the same memory, so that of a batch nothing is
// kept but what will be stored.

import { isUtf8 } from "node:buffer";
import { type Principal, requireWorkspace } from "../../common/auth/principal.ts";
import { deploymentName, modelVersionName } from "../../common/names.ts";
import { RequestFaults } from "../../common/request-faults.ts";
import { HASH_BYTES } from "./merkle-tree.ts";
import { PendingBatch } from "./pending-batch.ts";
import {
  CONTEXT_BYTES_MAX,
  RECEIPT_BYTES_MAX,
  type ReceiptPrefix,
  ROWS_MAX,
  receiptPrefix,
  TEXT_BYTES_MAX,
} from "./receipt.ts";
import type { ReceiptColumns, Spans } from "./receipt-columns.ts";

const SENDER_ID = /^[a-zA-Z0-9-]{1,64}$/;

/** Every field of a receipt behind the prefix, without id and context. */
const FIXED_BYTES = 2 + 8 + 2 + 4 + 2 + 2 + 2 * (2 + HASH_BYTES);
/** Of a receipt in a page. */
const ENTRY_HEAD_BYTES = 4;
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
  const own = count * (ENTRY_HEAD_BYTES + FIXED_BYTES);
  const pageBytesMax = prefix.length + own + lengthOf(inferenceIds) + lengthOf(contexts);
  const batch = new PendingBatch(`${head.senderId}/${sequence}`, { count, pageBytesMax });
  for (const desk of desks) desk.bytes.set(prefix, 1);
  for (let i = 0; i < count; i++) {
    const desk = desks[i % 2]!;
    const target = desk.bytes;
    const time = timesUs[i]!;
    let at = putLength(target, 1 + prefix.length, TIME_BYTES);
    at = putUint32(target, at, Math.floor(time / 2 ** 32));
    at = putUint32(target, at, time % 2 ** 32);
    at = putUint32(target, putLength(target, at, ROWS_BYTES), rows[i]!);
    const idStart = at + 2;
    const idEnd = putBytes(target, at, bytes, inferenceIds.starts[i]!, inferenceIds.ends[i]!);
    at = putBytes(target, idEnd, bytes, contexts.starts[i] ?? 0, contexts.ends[i] ?? 0);
    const digest = i * HASH_BYTES;
    at = putBytes(target, at, columns.inputDigests, digest, digest + HASH_BYTES);
    at = putBytes(target, at, columns.outputDigests, digest, digest + HASH_BYTES);
    const { receipt, leafInput } = desk.finish(at);
    batch.add({ receipt, leafInput, idStart, idEnd, sharedBytes: prefix.length });
  }
  return batch;
}

/** Where a receipt is made. Most are as long as the one before: its views are used again. */
class Desk {
  /** The byte 0x00 and the receipt. */
  readonly bytes = new Uint8Array(1 + RECEIPT_BYTES_MAX);
  leafInput: Uint8Array = this.bytes;
  receipt: Uint8Array = this.bytes.subarray(1);

  finish(length: number): this {
    if (this.leafInput.length !== length) {
      this.leafInput = this.bytes.subarray(0, length);
      this.receipt = this.bytes.subarray(1, length);
    }
    return this;
  }
}

/** One for the receipt that is made, one for that before, with which it is compared. */
const desks: readonly Desk[] = [new Desk(), new Desk()];

function putLength(target: Uint8Array, at: number, length: number): number {
  target[at] = length >>> 8;
  target[at + 1] = length;
  return at + 2;
}

function putUint32(target: Uint8Array, at: number, value: number): number {
  target[at] = value >>> 24;
  target[at + 1] = value >>> 16;
  target[at + 2] = value >>> 8;
  target[at + 3] = value;
  return at + 4;
}

/** A field. They are short: a loop beats a call into native code. */
function putBytes(
  target: Uint8Array,
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
