// The references of a chunk: by inference id one for each piece of an inference, by entity one for
// each row. Rows that have neither can get no label and have none.

import type { DecodedBatch } from "../capture/decoded-batch.ts";
import type { BuiltChunk } from "./build-chunks.ts";
import { deploymentKey } from "./deployment-key.ts";
import type { BatchPlan } from "./prediction-plan.ts";
import {
  type EntityKeys,
  entityKey,
  ID_BYTES_MAX,
  inferenceKey,
  JOIN_KEYS_MAX,
  partKeys,
  type Reference,
} from "./reference.ts";

/** A chunk, and which of its rows have been erased. */
type ReferredChunk = Pick<BuiltChunk, "id" | "pieces"> & {
  readonly erased: Uint8Array | undefined;
};

/** References to all rows that were not erased; the same batch and plan always give the same. */
export function referencesOf(
  batch: DecodedBatch,
  plan: BatchPlan,
  chunk: ReferredChunk,
): Reference[] {
  const deployment = deploymentKey(batch.target.deployment);
  const references: Reference[] = [];
  let row = 0;
  for (const piece of chunk.pieces) {
    const add = (by: string, name: string, rows: Pick<Reference, "row" | "count" | "first">) => {
      if (isGone(chunk.erased, rows)) {
        return;
      }
      references.push({
        _id: `${chunk.id}/${name}${rows.row}`,
        by,
        time: batch.inferences.eventUs[piece.inference]!,
        chunk: chunk.id,
        ...rows,
        expireTime: plan.predictionsExpire,
      });
    };
    const id = batch.inferences.ids[piece.inference] ?? "";
    if (id !== "" && fits(id)) {
      add(inferenceKey(deployment, id), "i", { row, count: piece.count, first: piece.first });
    }
    for (let at = 0; at < piece.count; at++) {
      const keys = entityOf(batch, piece.batchRow + at);
      const place = { row: row + at, count: 1, first: 0 };
      if (keys !== undefined) {
        add(entityKey(deployment, keys), "e", place);
        for (const [part, by] of partKeys(deployment, keys).entries()) {
          add(by, `k${part}.`, place);
        }
      }
    }
    row += piece.count;
  }
  return references;
}

function isGone(
  erased: Uint8Array | undefined,
  { row, count }: Pick<Reference, "row" | "count">,
): boolean {
  const marks = erased?.subarray(row, row + count) ?? [];
  return marks.length > 0 && marks.every((mark) => mark === 1);
}

function entityOf({ entityKeys }: DecodedBatch, batchRow: number): EntityKeys | undefined {
  const keys: Record<string, string> = {};
  let fitting = entityKeys.length <= JOIN_KEYS_MAX;
  for (const { joinKey, values } of entityKeys) {
    const value = values[batchRow] ?? "";
    if (value !== "") {
      keys[joinKey] = value;
      fitting &&= fits(value);
    }
  }
  return fitting && Object.keys(keys).length > 0 ? keys : undefined;
}

function fits(text: string): boolean {
  return text.length <= ID_BYTES_MAX && Buffer.byteLength(text) <= ID_BYTES_MAX;
}
