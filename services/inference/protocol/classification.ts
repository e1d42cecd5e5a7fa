// Triton's classification extension: instead of scores, the best k classes of each row as BYTES
// "score:index" or "score:index:label".

import { type BytesTensor, ELEMENT_BYTES, type FixedTensor } from "../tensor.ts";
import { readNumber, viewOf } from "./numbers.ts";

/** Decimals of a score, as C's %f writes them. */
const SCORE_DECIMALS = 6;

/**
 * The best `count` classes of each row, best first; of equal scores the lower index, NaN last.
 * Where `batched`, dimension 0 counts rows; all that follows it is one row's classes.
 */
export function bestClasses(
  scores: FixedTensor,
  count: number,
  options: { readonly batched: boolean; readonly labels: readonly string[] },
): BytesTensor {
  const { batched, labels } = options;
  const datatype = scores.datatype;
  if (datatype === "BOOL") {
    throw new TypeError("BOOL outputs are refused before they get here");
  }
  const total = scores.data.length / ELEMENT_BYTES[datatype];
  const rows = batched ? (scores.shape[0] ?? 1) : 1;
  const classes = rows === 0 ? 0 : total / rows;
  const kept = Math.min(count, classes);
  const named = labels.length === classes;
  const view = viewOf(scores.data);
  const data: string[] = [];
  for (let row = 0; row < rows; row++) {
    const values = Array.from({ length: classes }, (_, index) => ({
      index,
      score: readNumber(view, datatype, row * classes + index),
    }));
    values.sort((a, b) => compare(b.score, a.score) || a.index - b.index);
    for (const { index, score } of values.slice(0, kept)) {
      data.push(`${show(score, datatype)}:${index}${named ? `:${labels[index]}` : ""}`);
    }
  }
  return { name: scores.name, datatype: "BYTES", shape: batched ? [rows, kept] : [kept], data };
}

function compare(a: number | bigint, b: number | bigint): number {
  const aIsNaN = Number.isNaN(a);
  const bIsNaN = Number.isNaN(b);
  if (aIsNaN || bIsNaN) {
    return aIsNaN === bIsNaN ? 0 : aIsNaN ? -1 : 1;
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function show(score: number | bigint, datatype: string): string {
  if (typeof score === "bigint" || !datatype.startsWith("FP")) {
    return score.toString();
  }
  if (Number.isFinite(score)) {
    return score.toFixed(SCORE_DECIMALS);
  }
  return Number.isNaN(score) ? "nan" : score > 0 ? "inf" : "-inf";
}
