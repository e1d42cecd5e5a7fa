// Predictions as JSON, NDJSON and CSV, written as they come; prediction-table.ts has the table.

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type {
  Prediction,
  PredictResponse,
  Timing,
} from "../../gen/plinth/inference/v1/inference_service_pb.js";
import { exactMs } from "./format.ts";
import { proofOfRow } from "./predict-proofs.ts";
import { featuresOfRow } from "./prediction-features.ts";
import type { ResultFile } from "./result-file.ts";
import type { InputRow } from "./row-source.ts";

/** Rows that were answered together. */
export interface Answered {
  readonly rows: readonly InputRow[];
  readonly response: PredictResponse;
}

export interface PredictionWriter {
  write(answered: Answered): Promise<void>;
  /** What ends the result; `complete` is false when rows are missing. */
  end(summary: { readonly complete: boolean }): Promise<void>;
}

export interface WriterOptions {
  readonly withInputs: boolean;
}

/** An array of this many values gets a column each in CSV; a longer one is one cell of JSON. */
const CSV_ELEMENTS_MAX = 64;

/** {"predictions": [...], "modelVersions": [...], "rows": n, "complete": true}, one row a line. */
export function jsonWriter(file: ResultFile, options: WriterOptions): PredictionWriter {
  const versions = new Set<string>();
  let rows = 0;
  let answers = 0;
  let timing: Timing | undefined;
  return {
    async write(answered) {
      answers += 1;
      timing = answered.response.timing;
      versions.add(answered.response.modelVersion);
      let text = "";
      for (const entry of entries(answered, options)) {
        text += `${rows === 0 ? '{"predictions": [' : ","}\n  ${JSON.stringify(entry)}`;
        rows += 1;
      }
      await file.write(text);
    },
    async end({ complete }) {
      const head = rows === 0 ? '{"predictions": [' : "\n";
      const modelVersions = JSON.stringify([...versions]);
      const times = answers === 1 && timing ? `, "timing": ${timingJson(timing)}` : "";
      await file.write(
        `${head}], "modelVersions": ${modelVersions}, "rows": ${rows}${times}, "complete": ${complete}}\n`,
      );
    },
  };
}

/** One object a line. */
export function ndjsonWriter(file: ResultFile, options: WriterOptions): PredictionWriter {
  return {
    async write(answered) {
      const lines = entries(answered, options).map((entry) => `${JSON.stringify(entry)}\n`);
      await file.write(lines.join(""));
    },
    async end() {},
  };
}

/** A header from the first answer, then one record a row; `row` is the row's place in the input. */
export function csvWriter(file: ResultFile, options: WriterOptions): PredictionWriter {
  let columns: readonly CsvColumn[] | undefined;
  return {
    async write({ rows, response }) {
      let text = "";
      if (columns === undefined) {
        columns = csvColumns({ rows, response }, options);
        text = file.continued ? "" : csvRecord(columns.map((column) => column.title));
      }
      for (const [index, row] of rows.entries()) {
        const prediction = response.predictions[index]!;
        text += csvRecord(columns.map((column) => column.value(row, prediction, response, index)));
      }
      await file.write(text);
    },
    async end() {},
  };
}

function timingJson(timing: Timing): string {
  const { queue, compute, total, batchRows } = timing;
  return JSON.stringify({
    queueMs: exactMs(queue),
    computeMs: exactMs(compute),
    totalMs: exactMs(total),
    batchRows,
  });
}

interface CsvColumn {
  readonly title: string;
  readonly value: (
    row: InputRow,
    prediction: Prediction,
    response: PredictResponse,
    index: number,
  ) => string;
}

function csvColumns(first: Answered, options: WriterOptions): readonly CsvColumn[] {
  const columns: CsvColumn[] = [{ title: "row", value: (row) => String(row.ordinal) }];
  const prediction = first.response.predictions[0]!;
  if (options.withInputs) {
    for (const name of Object.keys(first.rows[0]?.values ?? {})) {
      columns.push({ title: name, value: (row) => cellText(row.values[name]) });
    }
  }
  if (prediction.label !== "") {
    columns.push({ title: "label", value: (_row, p) => p.label });
  }
  for (const label of Object.keys(prediction.scores)) {
    columns.push({ title: `score:${label}`, value: (_row, p) => cellText(p.scores[label]) });
  }
  columns.push(
    ...outputColumns("", prediction.outputs, (p) => p.outputs),
    ...outputColumns("float:", prediction.floatOutputs, (p) => p.floatOutputs),
  );
  if (first.response.featureService !== "") {
    const value = (index: number, response: PredictResponse): string =>
      featuresOfRow(response, index)
        .filter(({ status }) => status !== "PRESENT")
        .map(({ feature, status }) => `${feature}=${status}`)
        .join(" ");
    columns.push({
      title: "features_missing",
      value: (_row, _p, response, i) => value(i, response),
    });
  }
  if (first.response.proofJob !== "") {
    columns.push(
      { title: "circuit", value: (_row, _p, response) => response.circuit },
      { title: "proof_job", value: (_row, _p, response) => response.proofJob },
      { title: "proof", value: (_row, _p, response, i) => proofOfRow(response, i)?.name ?? "" },
    );
  }
  columns.push({ title: "model_version", value: (_row, _p, response) => response.modelVersion });
  return columns;
}

/** A column an output, or one an element. */
function outputColumns(
  prefix: string,
  first: JsonObject | undefined,
  read: (prediction: Prediction) => JsonObject | undefined,
): CsvColumn[] {
  return Object.entries(first ?? {}).flatMap(([name, value]): CsvColumn[] => {
    if (!isFlatArray(value)) {
      return [{ title: prefix + name, value: (_row, p) => cellText(read(p)?.[name]) }];
    }
    return value.map((_, index) => ({
      title: prefix + (value.length === 1 ? name : `${name}[${index}]`),
      value: (_row, p) => cellText((read(p)?.[name] as JsonValue[] | undefined)?.[index]),
    }));
  });
}

function isFlatArray(value: JsonValue): value is JsonValue[] {
  return (
    Array.isArray(value) &&
    value.length <= CSV_ELEMENTS_MAX &&
    value.every((element) => typeof element !== "object")
  );
}

function cellText(value: JsonValue | undefined): string {
  if (value === undefined || value === null) {
    return "";
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function csvRecord(cells: readonly string[]): string {
  const quoted = cells.map((cell) =>
    /[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell,
  );
  return `${quoted.join(",")}\n`;
}

function entries({ rows, response }: Answered, options: WriterOptions): readonly JsonObject[] {
  return rows.map((row, index) => {
    const { label, scores, outputs, floatOutputs } = response.predictions[index]!;
    return {
      row: row.ordinal,
      ...(options.withInputs ? { inputs: row.values } : {}),
      ...(label === "" ? {} : { label }),
      ...(Object.keys(scores).length === 0 ? {} : { scores: jsonNumbers(scores) }),
      outputs: outputs ?? {},
      ...(floatOutputs === undefined ? {} : { floatOutputs }),
      ...(response.featureService === "" ? {} : { features: statusesJson(response, index) }),
      modelVersion: response.modelVersion,
      inferenceId: response.id,
      ...(response.proofJob === "" ? {} : proofJson(response, index)),
    };
  });
}

function statusesJson(response: PredictResponse, index: number): JsonObject {
  const features = featuresOfRow(response, index);
  return Object.fromEntries(features.map(({ feature, status }) => [feature, status]));
}

function proofJson(response: PredictResponse, index: number): JsonObject {
  const { circuit, proofJob } = response;
  const proof = proofOfRow(response, index);
  return { circuit, proofJob, ...(proof === undefined ? {} : { proof: proof.name }) };
}

/** NaN and the infinities as protobuf's JSON has them. */
function jsonNumbers(numbers: Readonly<Record<string, number>>): JsonObject {
  return Object.fromEntries(
    Object.entries(numbers).map(([key, value]) => [
      key,
      Number.isFinite(value) ? value : String(value),
    ]),
  );
}
