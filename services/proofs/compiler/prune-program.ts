// Leaves out of a program what its output does not depend on: half of a layer that a Slice drops is
// not proved.

import { type FloatProgram, type FloatStep, stepSize } from "./float-program.ts";
import { type FloatRows, RowBuilder, rowCount } from "./float-rows.ts";

/** The same program with only the values that count; inputs stay. */
export function pruneProgram(program: FloatProgram): FloatProgram {
  const isLive = new Uint8Array(program.values);
  markRows(program.output.rows, isLive);
  for (const step of [...program.steps].reverse()) {
    markStep(step, isLive);
  }
  const inputs = program.inputs.reduce((sum, { size }) => sum + size, 0);
  const numbers = new Int32Array(program.values);
  for (let i = 0; i < inputs; i++) {
    numbers[i] = i;
  }
  let next = inputs;
  const steps: FloatStep[] = [];
  for (const step of program.steps) {
    const size = stepSize(step);
    const kept: number[] = [];
    for (let i = 0; i < size; i++) {
      if (isLive[step.first + i] === 1) {
        numbers[step.first + i] = next + kept.length;
        kept.push(i);
      }
    }
    if (kept.length > 0) {
      steps.push({ ...reduced(step, kept, numbers), first: next });
      next += kept.length;
    }
  }
  const whole = Array.from({ length: rowCount(program.output.rows) }, (_, i) => i);
  const output = { ...program.output, rows: pick(program.output.rows, whole, numbers) };
  return { inputs: program.inputs, steps, output, values: next };
}

function markRows(rows: FloatRows, isLive: Uint8Array, only?: (row: number) => boolean): void {
  for (let row = 0; row < rowCount(rows); row++) {
    if (only === undefined || only(row)) {
      for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
        isLive[rows.columns[entry]!] = 1;
      }
    }
  }
}

function markStep(step: FloatStep, isLive: Uint8Array): void {
  const isKept = (i: number) => isLive[step.first + i] === 1;
  switch (step.kind) {
    case "activate":
      markRows(step.rows, isLive, isKept);
      break;
    case "max": {
      const rows = new Uint8Array(rowCount(step.rows));
      for (let group = 0; group < stepSize(step); group++) {
        if (isKept(group)) {
          const range = step.members.subarray(step.groupStart[group], step.groupStart[group + 1]);
          for (const member of range) {
            rows[member] = 1;
          }
        }
      }
      markRows(step.rows, isLive, (row) => rows[row] === 1);
      break;
    }
    case "trees":
      break;
  }
}

function reduced(step: FloatStep, kept: readonly number[], numbers: Int32Array): FloatStep {
  switch (step.kind) {
    case "activate":
      return { ...step, rows: pick(step.rows, kept, numbers) };
    case "max": {
      const rows: number[] = [];
      const members: number[] = [];
      const groupStart = [0];
      const at = new Map<number, number>();
      for (const group of kept) {
        for (const row of step.members.subarray(
          step.groupStart[group],
          step.groupStart[group + 1],
        )) {
          const index = at.get(row) ?? rows.push(row) - 1;
          at.set(row, index);
          members.push(index);
        }
        groupStart.push(members.length);
      }
      return {
        ...step,
        rows: pick(step.rows, rows, numbers),
        groupStart: Int32Array.from(groupStart),
        members: Int32Array.from(members),
      };
    }
    case "trees":
      return {
        ...step,
        base: kept.map((score) => step.base[score]!),
        trees: step.trees.map(({ nodes }) => ({
          nodes: nodes.map((node) =>
            node.kind === "leaf"
              ? { kind: "leaf", scores: kept.map((score) => node.scores[score]!) }
              : node,
          ),
        })),
      };
  }
}

/** Some rows, over the new numbers. New numbers keep the order, so rows stay ascending. */
function pick(rows: FloatRows, kept: readonly number[], numbers: Int32Array): FloatRows {
  const builder = new RowBuilder();
  for (const row of kept) {
    for (let entry = rows.rowStart[row]!; entry < rows.rowStart[row + 1]!; entry++) {
      builder.entry(numbers[rows.columns[entry]!]!, rows.weights[entry]!);
    }
    builder.end(rows.bias[row]!);
  }
  return builder.rows();
}
