// What a proof job carries: the rows that it proves and what was answered for them. Small parts
// stand in the job's document, which is written again with each proof; larger ones are blobs.

import { readFile } from "node:fs/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ProveInferenceRequest,
  ProveInferenceRequestSchema,
} from "../../../gen/plinth/proofs/v1/proof_service_pb.js";
import type { CircuitSchema } from "../circuit/circuit-schema.ts";
import type { CircuitFiles } from "../circuits/circuit-files.ts";
import { FIELD_BYTES } from "../field.ts";
import { wordBytes } from "../verifier/curve-points.ts";
import { signalCounts, valueCount } from "../verifier/read-schema.ts";
import type { RowInputs } from "../workshop/workshop-port.ts";
import { numberOfBytes } from "./statement-message.ts";

/** Larger parts are blobs. */
const INLINE_BYTES_MAX = 8 * 1024;

/** Bytes in a document, or the blob that has them. */
export type Part =
  | { readonly bytes: Uint8Array; readonly digest?: undefined }
  | { readonly digest: string; readonly bytes?: undefined };

/** One row as it was answered. */
export interface AnsweredRow {
  readonly publicValues: readonly bigint[];
  /** Where the inputs are committed to. */
  readonly salt?: bigint;
}

/** Where parts are kept that are too large for a document. */
export type PartFiles = Pick<CircuitFiles, "storeBytes" | "localPath">;

/** Keeps bytes; durable when it resolves, once the document is stored that the part stands in. */
export async function storePart(files: PartFiles, bytes: Uint8Array): Promise<Part> {
  return bytes.length <= INLINE_BYTES_MAX ? { bytes } : { digest: await files.storeBytes(bytes) };
}

/** @throws NotFound, DataLoss */
export async function readPart(files: PartFiles, part: Part): Promise<Uint8Array> {
  return part.bytes ?? (await readFile(await files.localPath(part.digest)));
}

/**
 * What is to be proved, as bytes: of the request no more than the rows. They are like those of no
 * other job, so that a blob of them can go with its job at once.
 */
export function inputsBytes(
  request: Pick<ProveInferenceRequest, "rows" | "inputs" | "context">,
  jobUid: string,
): Uint8Array {
  const { rows, inputs, context } = request;
  return toBinary(
    ProveInferenceRequestSchema,
    create(ProveInferenceRequestSchema, { rows, inputs, context, requestId: jobUid }),
  );
}

/** The way back. */
export function inputsOf(bytes: Uint8Array): ProveInferenceRequest {
  return fromBinary(ProveInferenceRequestSchema, bytes);
}

/** One row as the workshop takes it. The request was checked. */
export function rowInputs(
  schema: CircuitSchema,
  request: Pick<ProveInferenceRequest, "inputs" | "context">,
  at: { readonly row: number; readonly salt: bigint | undefined },
): RowInputs {
  const byName = new Map(request.inputs.map((input) => [input.name, input]));
  const tensors = schema.inputs.map(({ name, shape }) => {
    const { floats = [], doubles = [] } = byName.get(name) ?? {};
    const values = floats.length > 0 ? floats : doubles;
    const count = valueCount(shape);
    return Float64Array.from(values.slice(at.row * count, (at.row + 1) * count));
  });
  return {
    tensors,
    ...(at.salt === undefined ? {} : { salt: at.salt }),
    ...(schema.hasContext ? { context: numberOfBytes(request.context) } : {}),
  };
}

/** What was answered, as bytes: 32 of each number. */
export function answersBytes(rows: readonly AnsweredRow[]): Uint8Array {
  return wordBytes(
    rows.flatMap(({ publicValues, salt }) => [
      ...publicValues,
      ...(salt === undefined ? [] : [salt]),
    ]),
  );
}

/** The way back. */
export function answersOf(schema: CircuitSchema, bytes: Uint8Array): readonly AnsweredRow[] {
  return readRows(schema, bytes, signalCounts(schema).total);
}

/** As answersOf, of the public values those of the output alone: it is what is shown of a job. */
export function outputsOf(schema: CircuitSchema, bytes: Uint8Array): readonly AnsweredRow[] {
  return readRows(schema, bytes, signalCounts(schema).output);
}

function readRows(schema: CircuitSchema, bytes: Uint8Array, wanted: number): AnsweredRow[] {
  const { total } = signalCounts(schema);
  const isSalted = schema.inputMode === "committed";
  const perRow = total + (isSalted ? 1 : 0);
  const word = (index: number) =>
    numberOfBytes(bytes.subarray(index * FIELD_BYTES, (index + 1) * FIELD_BYTES));
  return Array.from({ length: bytes.length / FIELD_BYTES / perRow }, (_, row) => ({
    publicValues: Array.from({ length: wanted }, (__, i) => word(row * perRow + i)),
    ...(isSalted ? { salt: word(row * perRow + total) } : {}),
  }));
}
