// What the server refused of a push, told by the places of the rows in the input rather than in
// their batch.

import type { StreamPushFeaturesResponse } from "../../gen/plinth/features/v1/feature_store_service_pb.js";
import { type DomainError, InvalidArgument } from "../common/errors/domain-error.ts";
import { type Batch, placeInBatch } from "./features-push-rows.ts";
import { formatCount } from "./progress.ts";
import { place } from "./row-source.ts";
import { printable } from "./table.ts";

/** "rows[3].delay": the fourth row of the batch. */
const ROW_FIELD = /^rows\[(\d+)\](?:\.(.+))?$/;

/**
 * The rows that a refused batch names, or undefined when the error is about no rows.
 * The server says in the metadata which batch it is.
 */
export function serverFault(
  error: DomainError,
  batches: readonly Batch[],
): { readonly where: string; readonly lines: readonly string[] } | undefined {
  const batch = batches[Number(error.metadata.batch ?? "0")];
  if (!(error instanceof InvalidArgument) || batch === undefined) {
    return undefined;
  }
  const places: string[] = [];
  const lines: string[] = [];
  for (const { field, description } of error.violations) {
    const parts = ROW_FIELD.exec(field);
    if (parts !== null) {
      const where = place(placeInBatch(batch, Number(parts[1])));
      const column = parts[2] === undefined ? "" : `${parts[2]}: `;
      places.push(where);
      lines.push(`- ${where}: ${printable(column + description)}`);
    }
  }
  if (places.length === 0) {
    return undefined;
  }
  const rows = Number(error.metadata.rows_refused ?? places.length);
  const more = rows > 1 ? ` and ${formatCount(rows - 1)} more` : "";
  return { where: `${places[0]}${more}`, lines };
}

/** One line a refused row that the server tells of, and one for those it only counts. */
export function refusalLines(
  response: StreamPushFeaturesResponse,
  batches: readonly Batch[],
): readonly string[] {
  const lines = response.refusals.map(({ batch: index, refusal }) => {
    const batch = batches[Number(index)];
    const row = Number(refusal?.row ?? 0n);
    const where = batch === undefined ? `row ${row}` : place(placeInBatch(batch, row));
    const column = refusal?.column ? `${refusal.column}: ` : "";
    return `${where} is refused: ${printable(column + (refusal?.reason ?? ""))}`;
  });
  const rest = Number(response.rowsRefused) - lines.length;
  return rest > 0 ? [...lines, `and ${formatCount(rest)} more are refused.`] : lines;
}
