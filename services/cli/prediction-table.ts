// Predictions as a table for people: a few inputs, the label, the best scores, the outputs. The
// widths come from the first rows, so that a long result can be printed while it arrives.

import type { JsonValue } from "@bufbuild/protobuf";
import type { Prediction } from "../../gen/plinth/inference/v1/inference_service_pb.js";
import type { Proof } from "../../gen/plinth/proofs/v1/proof_pb.js";
import { formatNumber, shortDigest } from "./format.ts";
import type { Output } from "./output.ts";
import { proofOfRow } from "./predict-proofs.ts";
import { type FeatureOfRow, featuresOfRow } from "./prediction-features.ts";
import type { Answered, PredictionWriter } from "./prediction-writer.ts";
import type { ResultFile } from "./result-file.ts";
import { abridge, type Column, columnWidths, printable, tableLine } from "./table.ts";

const INPUTS_MAX = 4;
const SCORES_MAX = 3;
const CELL_MAX = 40;

interface TableColumn extends Column {
  readonly cell: (
    row: Answered["rows"][number],
    prediction: Prediction,
    /** What became of the row's features. */
    features: readonly FeatureOfRow[],
    /** Undefined: it is not made yet, or was not asked for. */
    proof: Proof | undefined,
  ) => string;
}

/** Writes aligned lines; a heading comes first. */
export function tableWriter(file: ResultFile, output: Output): PredictionWriter {
  let columns: readonly TableColumn[] | undefined;
  let widths: readonly number[] = [];
  return {
    async write({ rows, response }) {
      const lines: string[] = [];
      const known = columns ?? tableColumns({ rows, response });
      const cells = rows.map((row, index) =>
        known.map((column) =>
          printable(
            column.cell(
              row,
              response.predictions[index]!,
              featuresOfRow(response, index),
              proofOfRow(response, index),
            ),
          ),
        ),
      );
      if (columns === undefined) {
        columns = known;
        widths = columnWidths(columns, cells);
        const titles = columns.map((column) => column.title);
        lines.push(output.tone("strong", cut(tableLine(titles, columns, widths), output)));
      }
      lines.push(...cells.map((row) => cut(tableLine(row, known, widths), output)));
      await file.write(`${lines.join("\n")}\n`);
    },
    async end() {},
  };
}

function cut(line: string, output: Output): string {
  return output.lineWidth === undefined ? line : abridge(line, output.lineWidth);
}

function tableColumns({ rows, response }: Answered): readonly TableColumn[] {
  const names = Object.keys(rows[0]?.values ?? {});
  const prediction = response.predictions[0]!;
  const columns: TableColumn[] = [
    { title: "ROW", align: "right", cell: (row) => String(row.ordinal) },
  ];
  for (const name of names.slice(0, INPUTS_MAX)) {
    const numeric = typeof rows[0]?.values[name] === "number";
    columns.push({
      title: abridge(printable(name), CELL_MAX),
      align: numeric ? "right" : "left",
      cell: (row) => valueText(row.values[name]),
    });
  }
  if (names.length > INPUTS_MAX) {
    columns.push({ title: `+${names.length - INPUTS_MAX} MORE`, cell: () => "…" });
  }
  if (prediction.label !== "") {
    columns.push({ title: "LABEL", cell: (_row, p) => p.label });
  }
  if (Object.keys(prediction.scores).length > 0) {
    columns.push({ title: "SCORES", cell: (_row, p) => scoresText(p.scores) });
  }
  if (response.featureService !== "") {
    columns.push({ title: "FEATURES", cell: (_row, _p, features) => featuresText(features) });
  }
  columns.push(...outputColumns(prediction));
  if (response.proofJob !== "") {
    columns.push({ title: "PROOF", cell: (_row, _p, _features, proof) => proofText(proof) });
  }
  return columns;
}

/** What the model says; of a verifiable answer what the circuit says, the float model beside it. */
function outputColumns({ outputs = {}, floatOutputs = {} }: Prediction): readonly TableColumn[] {
  const column = (mark: string, name: string, part: "outputs" | "floatOutputs"): TableColumn => {
    const first = valueText((part === "outputs" ? outputs : floatOutputs)[name]);
    return {
      title: `${mark} ${abridge(printable(name), CELL_MAX)}`,
      align: Number.isNaN(Number(first)) ? "left" : "right",
      cell: (_row, p) => valueText(p[part]?.[name]),
    };
  };
  const names = [...new Set([...Object.keys(outputs), ...Object.keys(floatOutputs)])];
  return names.flatMap((name) => [
    ...(name in outputs ? [column("->", name, "outputs")] : []),
    ...(name in floatOutputs ? [column("FLOAT", name, "floatOutputs")] : []),
  ]);
}

function proofText(proof: Proof | undefined): string {
  const id = proof?.name.slice(proof.name.lastIndexOf("/") + 1);
  return id === undefined ? "being made" : shortDigest(id);
}

/** Those that were not PRESENT; the model got their defaults. */
function featuresText(features: readonly FeatureOfRow[]): string {
  const missing = features.filter(({ status }) => status !== "PRESENT");
  return missing.length === 0
    ? "all"
    : missing.map(({ feature, status }) => `${feature} ${status}`).join(", ");
}

/** The best scores, best first. */
function scoresText(scores: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(scores).sort(([, a], [, b]) => b - a);
  const text = sorted
    .slice(0, SCORES_MAX)
    .map(([label, score]) => `${label} ${score.toFixed(3)}`)
    .join(", ");
  return sorted.length > SCORES_MAX ? `${text}, …` : text;
}

function valueText(value: JsonValue | undefined): string {
  if (value === undefined || value === null) {
    return "";
  }
  if (typeof value === "number") {
    return formatNumber(value);
  }
  if (Array.isArray(value)) {
    if (value.length === 1) {
      return valueText(value[0]);
    }
    return abridge(`[${value.map(valueText).join(", ")}]`, CELL_MAX);
  }
  return abridge(typeof value === "object" ? JSON.stringify(value) : String(value), CELL_MAX);
}
