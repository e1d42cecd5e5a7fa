// What whole numbers cost a model, and how large its values become: the tables of a circuit's report.

import type {
  CalibrationReport,
  LayerReport,
  OutputError,
} from "../../gen/plinth/proofs/v1/calibration_pb.js";
import type { CircuitReport, StepHeadroom } from "../../gen/plinth/proofs/v1/circuit_pb.js";
import { formatNumber } from "./format.ts";
import { measureText } from "./monitor-words.ts";
import type { Output } from "./output.ts";
import { counted, formatCount } from "./progress.ts";
import { type Column, factLines, tableLines } from "./table.ts";

/** Rows of a table of outputs or steps; --json has all. */
const ROWS_SHOWN_MAX = 40;

const right = (title: string): Column => ({ title, align: "right" });

/** How far the circuit is from the float model. */
export function accuracyLines(output: Output, calibration: CalibrationReport): readonly string[] {
  const { samples, rows, refusedRows, metric, argmaxAgreement, outputs } = calibration;
  const of = samples === 0 ? "made-up rows" : "calibration rows";
  const title = `Whole numbers against the float model, on ${formatCount(rows)} ${of}`;
  const facts = factLines([
    [
      metric,
      metric === ""
        ? ""
        : `${formatNumber(calibration.floatMetric)} float model, ` +
          `${formatNumber(calibration.quantizedMetric)} circuit`,
    ],
    ["same class", argmaxAgreement === undefined ? "" : agreementText(argmaxAgreement)],
    [
      "refused",
      refusedRows === 0
        ? ""
        : `${counted(refusedRows, "row")} with values that the inputs do not take`,
    ],
    ["weight bits", String(calibration.weightBits || "")],
    ["errors", outputs.length === 0 ? "" : "in units of the output before its sigmoid or softmax"],
  ]);
  const columns = [
    right("OUTPUT"),
    ...["MAX ERROR", "MEAN", "RMS", "P99", "PROVED BOUND"].map(right),
  ];
  const cells = outputs.slice(0, ROWS_SHOWN_MAX).map(errorCells);
  const [head = "", ...body] = tableLines(columns, cells);
  const table = [output.tone("strong", head), ...body, ...moreLine(outputs.length)];
  return [output.tone("strong", title), ...facts, ...(outputs.length === 0 ? [] : table)];
}

/** 100 % only where it is. */
function agreementText(share: number): string {
  return share === 1 ? "100%" : `${(Math.floor(share * 100_000) / 1000).toFixed(3)}%`;
}

function errorCells({ max, mean, rms, p99, bound }: OutputError, index: number): readonly string[] {
  return [
    String(index),
    ...[max, mean, rms, p99].map(measureText),
    bound === 0 ? "" : measureText(bound),
  ];
}

/** How large values become, step by step. */
export function stepLines(
  output: Output,
  { headroom, deadNeurons }: CircuitReport,
  layers: readonly LayerReport[],
): readonly string[] {
  if (layers.length === 0) {
    return [];
  }
  // A node may become several steps of its name; both lists have them in order.
  const left = [...headroom];
  const headroomOf = ({ name }: LayerReport): StepHeadroom | undefined => {
    const at = left.findIndex(({ step }) => step === name);
    return at < 0 ? undefined : left.splice(at, 1)[0];
  };
  const columns: Column[] = [
    { title: "STEP" },
    { title: "KIND" },
    ...["VALUES", "BITS SEEN", "BITS POSSIBLE", "BITS SPARE", "DEAD", "CONSTANT"].map(right),
  ];
  const cells = layers
    .slice(0, ROWS_SHOWN_MAX)
    .map((layer) => layerCells(layer, headroomOf(layer)));
  const [head = "", ...body] = tableLines(columns, cells);
  const same = formatCount(Number(deadNeurons));
  const dead =
    deadNeurons === 0n ? [] : [`Activations that give the same for every input: ${same}`];
  return [output.tone("strong", head), ...body, ...moreLine(layers.length), ...dead];
}

function layerCells(layer: LayerReport, headroom: StepHeadroom | undefined): readonly string[] {
  const { values, bitsSeen, bitsMax, dead, constant } = layer;
  const some = (count: number): string => (count === 0 ? "" : formatCount(count));
  return [
    layer.name,
    layer.kind,
    formatCount(values),
    String(bitsSeen),
    String(bitsMax),
    headroom === undefined ? "" : String(headroom.spareBits),
    some(dead),
    some(constant),
  ];
}

function moreLine(count: number): readonly string[] {
  const rest = count - ROWS_SHOWN_MAX;
  return rest > 0 ? [`and ${formatCount(rest)} more; --json shows all`] : [];
}
