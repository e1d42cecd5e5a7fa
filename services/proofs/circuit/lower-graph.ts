// From the steps of an integer graph to constraints. The value of a linear row stays a linear
// combination, which costs nothing, until something that needs a wire takes it; what would be
// written again and again becomes a wire first.

import {
  type ActivateStep,
  type IntegerGraph,
  type LinearStep,
  type MaxStep,
  resultCount,
  type Step,
  type TreesStep,
} from "../compiler/integer-graph.ts";
import type { Interval } from "./bounds.ts";
import { sizeOf } from "./bounds.ts";
import type { ChoiceGroup } from "./choice.ts";
import type { CircuitBuilder } from "./circuit-builder.ts";
import type { Coefficient, Term } from "./combination.ts";
import { constantIn, constantOf, gathered, ONE_WIRE, sumOf, wireOf } from "./combination.ts";
import type { LinearCombination } from "./constraint-system.ts";
import type { Bounded } from "./maximum.ts";
import { maximum } from "./maximum.ts";
import { activate } from "./rescale.ts";
import { treeScores } from "./trees.ts";

const EXACT_MAX = 2 ** 53;

/** Terms of a combination that is as short as a wire: a wire and a constant. */
const FREE_TERMS = 2;

/** What the steps left behind. */
export interface LoweredGraph {
  /** The values of graph.output, in order. */
  readonly outputs: readonly Bounded[];
  readonly choices: readonly ChoiceGroup[];
  /** Activations that give the same for every input. */
  readonly deadNeurons: number;
}

/**
 * Adds the constraints of all steps that the output depends on.
 *
 * @param inputs The values of the inputs, in order.
 * @param bounds Of every value of the graph.
 * @param options outputUses: how often the caller will take each value of the output;
 *   repeatedTermsMax: terms of a value that are written again rather than spared by a wire.
 */
export function lowerGraph(
  builder: CircuitBuilder,
  graph: IntegerGraph,
  inputs: readonly LinearCombination[],
  bounds: readonly Interval[],
  options: { readonly outputUses: number; readonly repeatedTermsMax: number },
): LoweredGraph {
  const { outputUses, repeatedTermsMax } = options;
  const uses = usesOf(graph, bounds.length, outputUses);
  const values = new Values(builder, { bounds, uses, repeatedTermsMax });
  for (const input of inputs) values.add(input);
  const choices: ChoiceGroup[] = [];
  let deadNeurons = 0;
  for (const step of graph.steps) {
    switch (step.kind) {
      case "linear":
        lowerLinear(values, step);
        break;
      case "activate":
        deadNeurons += lowerActivate(builder, values, step);
        break;
      case "max":
        lowerMax(builder, values, step);
        break;
      case "trees":
        choices.push(...lowerTrees(builder, values, step));
        break;
    }
  }
  const outputs = Array.from(graph.output.values, (value) => values.at(value));
  return { outputs, choices, deadNeurons };
}

/** The values so far; also flat, as dense rows read them. */
class Values {
  /** How often each value is taken by a step or the output that counts; 0: by none. */
  readonly uses: Int32Array;
  readonly #builder: CircuitBuilder;
  readonly #bounds: readonly Interval[];
  readonly #repeatedTermsMax: number;
  readonly #combinations: LinearCombination[] = [];
  /**
   * Where a value is a wire plus a constant: those. The wire is 0 where it is a constant alone, and
   * -1 where it is something else.
   */
  readonly wires: Int32Array;
  readonly constants: Float64Array;

  constructor(
    builder: CircuitBuilder,
    {
      bounds,
      uses,
      repeatedTermsMax,
    }: {
      readonly bounds: readonly Interval[];
      readonly uses: Int32Array;
      readonly repeatedTermsMax: number;
    },
  ) {
    this.#builder = builder;
    this.#bounds = bounds;
    this.#repeatedTermsMax = repeatedTermsMax;
    this.uses = uses;
    this.wires = new Int32Array(bounds.length).fill(-1);
    this.constants = new Float64Array(bounds.length);
  }

  get count(): number {
    return this.#combinations.length;
  }

  get isNextUsed(): boolean {
    return this.uses[this.count]! > 0;
  }

  at(value: number): Bounded {
    const combination = this.#combinations[value];
    if (!combination) throw new RangeError(`value ${value} is taken before it is given`);
    return { value: combination, interval: this.#bounds[value]! };
  }

  /** Adds the next value; as a wire of its own where it is long and taken often. */
  add(combination: LinearCombination): void {
    const repeated = combination.wires.length * (this.uses[this.count]! - 1);
    if (repeated > this.#repeatedTermsMax) this.addWire(combination);
    else this.#keep(combination);
  }

  /** Adds the next value; as a wire of its own unless it is short. */
  addWire(combination: LinearCombination): void {
    const isLong = combination.wires.length > FREE_TERMS;
    const magnitude = Number(sizeOf(this.#bounds[this.count]!));
    this.#keep(isLong ? wireOf(this.#builder.assign(combination, { magnitude })) : combination);
  }

  /** Adds a value that nothing takes. */
  addUnused(): void {
    this.#keep(constantOf(0));
  }

  #keep(combination: LinearCombination): void {
    const { wires, coefficients } = combination;
    const constant = wires[0] === ONE_WIRE ? coefficients[0]! : 0;
    const rest = wires[0] === ONE_WIRE ? 1 : 0;
    const isSingle = wires.length === rest + 1 && coefficients[rest] === 1;
    const isConstant = wires.length === rest;
    if (typeof constant === "number" && (isSingle || isConstant)) {
      this.wires[this.count] = isSingle ? wires[rest]! : ONE_WIRE;
      this.constants[this.count] = constant;
    }
    this.#combinations.push(combination);
  }
}

function lowerLinear(values: Values, step: LinearStep): void {
  for (let row = 0; row < step.rows.bias.length; row += 1) {
    if (values.isNextUsed) values.add(rowOf(values, step, row));
    else values.addUnused();
  }
}

/** One row: in doubles where its columns are wires and its constant is safe, else exactly. */
function rowOf(values: Values, step: LinearStep, row: number): LinearCombination {
  const { rowStart, columns, weights, bias } = step.rows;
  const end = rowStart[row + 1]!;
  const wires: number[] = [ONE_WIRE];
  const coefficients: Coefficient[] = [0];
  let constant = bias[row]!;
  let size = Math.abs(constant);
  for (let at = rowStart[row]!; at < end; at += 1) {
    const column = columns[at]!;
    const wire = values.wires[column]!;
    if (wire < 0) return exactRow(values, step, row);
    const weight = weights[at]!;
    const shift = weight * values.constants[column]!;
    constant += shift;
    size += Math.abs(shift);
    if (wire === ONE_WIRE) continue;
    wires.push(wire);
    coefficients.push(weight);
  }
  if (size >= EXACT_MAX) return exactRow(values, step, row);
  coefficients[0] = constant + 0;
  return gathered(wires, coefficients);
}

function exactRow(values: Values, step: LinearStep, row: number): LinearCombination {
  const { rowStart, columns, weights, bias } = step.rows;
  const terms: Term[] = [[1, constantOf(bias[row]!)]];
  for (let at = rowStart[row]!; at < rowStart[row + 1]!; at += 1) {
    terms.push([weights[at]!, values.at(columns[at]!).value]);
  }
  return sumOf(terms);
}

function lowerActivate(builder: CircuitBuilder, values: Values, step: ActivateStep): number {
  let dead = 0;
  for (const value of step.values) {
    if (!values.isNextUsed) {
      values.addUnused();
      continue;
    }
    const { value: taken, interval } = values.at(value);
    const result = activate(builder, taken, interval, step);
    if (constantIn(result) !== undefined) dead += 1;
    values.addWire(result);
  }
  return dead;
}

function lowerMax(builder: CircuitBuilder, values: Values, step: MaxStep): void {
  for (let group = 0; group + 1 < step.groupStart.length; group += 1) {
    if (!values.isNextUsed) {
      values.addUnused();
      continue;
    }
    const members = step.values.subarray(step.groupStart[group]!, step.groupStart[group + 1]!);
    const { value } = maximum(
      builder,
      Array.from(members, (member) => values.at(member)),
    );
    values.addWire(value);
  }
}

function lowerTrees(
  builder: CircuitBuilder,
  values: Values,
  step: TreesStep,
): readonly ChoiceGroup[] {
  const isUsed = step.base.some((_, score) => values.uses[values.count + score]! > 0);
  if (!isUsed) {
    for (const _ of step.base) values.addUnused();
    return [];
  }
  const features = Array.from(step.features, (feature) => values.at(feature));
  const { scores, choices } = treeScores(builder, step, features);
  for (const score of scores) values.add(score);
  return choices;
}

/** How often each value is taken; a match of two takes it twice. */
function usesOf(graph: IntegerGraph, count: number, outputUses: number): Int32Array {
  const uses = new Int32Array(count);
  for (const value of graph.output.values) uses[value]! += outputUses;
  let end = count;
  for (const step of [...graph.steps].reverse()) {
    const start = end - resultCount(step);
    for (let i = 0; start + i < end; i += 1) {
      if (uses[start + i]! === 0) continue;
      for (const taken of takenBy(step, i)) uses[taken]! += step.kind === "max" ? 2 : 1;
      if (step.kind === "trees") break;
    }
    end = start;
  }
  return uses;
}

/** The values that result i of a step is made of. */
function takenBy(step: Step, index: number): Int32Array {
  switch (step.kind) {
    case "linear":
      return step.rows.columns.subarray(step.rows.rowStart[index]!, step.rows.rowStart[index + 1]!);
    case "activate":
      return step.values.subarray(index, index + 1);
    case "max":
      return step.values.subarray(step.groupStart[index]!, step.groupStart[index + 1]!);
    case "trees":
      return step.features;
  }
}
