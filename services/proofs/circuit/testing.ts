// Integer graphs for tests, made from a seed, and plain arithmetic to hold circuits against.

import type {
  ActivateStep,
  InputEncoding,
  IntegerGraph,
  IntegerInput,
  LinearStep,
  Step,
  Tree,
  TreeNode,
} from "../compiler/integer-graph.ts";
import { largest } from "./bounds.ts";
import { firstViolation } from "./check-witness.ts";
import { compileCircuit } from "./compile-circuit.ts";
import type { CircuitInputs, CircuitOptions, CompiledCircuit } from "./compiled-circuit.ts";
import type { Witness } from "./constraint-system.ts";

/** Whole numbers below a bound, the same for the same seed. */
export type Random = (below: number) => number;

/** A generator of 32 bits (mulberry32). */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** A number from lo to hi, each as likely. */
export function between(random: Random, lo: number, hi: number): number {
  return lo + random(hi - lo + 1);
}

/** An input of `count` values from lo to hi. */
export function fixedInput(count: number, lo: number, hi: number): IntegerInput {
  return { name: "x", shape: [count], encoding: { kind: "fixed", scaleBits: 0, lo, hi } };
}

/** A linear step from rows of [value, weight] and a bias each. */
export function linearStep(
  rows: readonly (readonly (readonly [value: number, weight: number])[])[],
  bias: readonly number[] = rows.map(() => 0),
  name = "linear",
): LinearStep {
  const rowStart = Int32Array.from([0, ...rows.map((row) => row.length)]);
  for (let i = 1; i < rowStart.length; i += 1) rowStart[i]! += rowStart[i - 1]!;
  const entries = rows.flat();
  return {
    kind: "linear",
    name,
    rows: {
      rowStart,
      columns: Int32Array.from(entries, ([value]) => value),
      weights: Float64Array.from(entries, ([, weight]) => weight),
      bias: Float64Array.from(bias),
    },
  };
}

/** An activation of values that follow one another. */
export function activateStep(
  first: number,
  count: number,
  shiftBits: number,
  activation: ActivateStep["activation"],
): ActivateStep {
  const values = Int32Array.from({ length: count }, (_, i) => first + i);
  return { kind: "activate", name: activation.kind, values, shiftBits, activation };
}

/** A graph of one input whose output is the last `outputs` values. */
export function graphOf(
  inputs: readonly IntegerInput[],
  steps: readonly Step[],
  outputs: number,
  options: { readonly argmax?: boolean; readonly scaleBits?: number } = {},
): IntegerGraph {
  const count = valueCount(inputs, steps);
  return {
    compilerVersion: 1,
    inputs,
    steps,
    output: {
      name: "y",
      shape: [outputs],
      values: Int32Array.from({ length: outputs }, (_, i) => count - outputs + i),
      scaleBits: options.scaleBits ?? 0,
      after: "nothing",
      argmax: options.argmax ?? false,
      classLabels: [],
    },
  };
}

/** Layers of a multi-layer perceptron with ReLUs between them, weights up to 2^weightBits. */
export function mlpGraph(
  sizes: readonly number[],
  options: {
    readonly seed: number;
    readonly weightBits?: number;
    readonly lo?: number;
    readonly hi?: number;
  },
): IntegerGraph {
  const random = seeded(options.seed);
  const weightBits = options.weightBits ?? 8;
  const steps: Step[] = [];
  let first = 0;
  let next = sizes[0]!;
  for (let layer = 1; layer < sizes.length; layer += 1) {
    const reach = Math.max(1, Math.floor(2 ** weightBits / Math.sqrt(sizes[layer - 1]!)));
    const from = first;
    const rows = Array.from({ length: sizes[layer]! }, () =>
      Array.from({ length: sizes[layer - 1]! }, (_, i) => {
        const weight = between(random, -reach, reach);
        return [from + i, weight === 0 ? 1 : weight] as const;
      }),
    );
    const bias = rows.map(() => between(random, -(2 ** weightBits), 2 ** weightBits));
    steps.push(linearStep(rows, bias, `layer${layer}`));
    first = next;
    next += rows.length;
    if (layer + 1 < sizes.length) {
      steps.push(activateStep(first, rows.length, weightBits, { kind: "relu" }));
      first = next;
      next += rows.length;
    }
  }
  const input = fixedInput(sizes[0]!, options.lo ?? 0, options.hi ?? 255);
  return graphOf([input], steps, sizes.at(-1)!);
}

/** Complete trees over float32 features or whole ones, with leaves of a score each class. */
export function forestGraph(options: {
  readonly seed: number;
  readonly trees: number;
  readonly depth: number;
  readonly features: number;
  readonly classes: number;
  readonly encoding: InputEncoding;
  /** Thresholds of a feature to choose from; default: a new one at each node. */
  readonly thresholdsEach?: number;
}): IntegerGraph {
  const random = seeded(options.seed);
  const { encoding, classes } = options;
  const [lo, hi] = encoding.kind === "fixed" ? [encoding.lo, encoding.hi] : [0, 2 ** 32 - 1];
  const pool = Array.from({ length: options.features }, () =>
    Array.from({ length: options.thresholdsEach ?? 0 }, () => between(random, lo, hi)),
  );
  const tree = (): Tree => {
    const splits = 2 ** options.depth - 1;
    const nodes = Array.from({ length: 2 * splits + 1 }, (_, at): TreeNode => {
      if (at >= splits) {
        const scores = Array.from({ length: classes }, () => between(random, -5000, 5000));
        return { kind: "leaf", scores };
      }
      const feature = random(options.features);
      const own = pool[feature]!;
      const threshold = own.length > 0 ? own[random(own.length)]! : between(random, lo, hi);
      return { kind: "split", feature, threshold, ifTrue: 2 * at + 1, ifFalse: 2 * at + 2 };
    });
    return { nodes };
  };
  const step: Step = {
    kind: "trees",
    name: "trees",
    features: Int32Array.from({ length: options.features }, (_, i) => i),
    base: Array.from({ length: classes }, () => between(random, -100, 100)),
    trees: Array.from({ length: options.trees }, tree),
  };
  const input = { name: "x", shape: [options.features], encoding };
  return graphOf([input], [step], classes);
}

/** What a graph gives, by plain arithmetic: all its values. */
export function evaluate(graph: IntegerGraph, inputs: readonly number[]): bigint[] {
  const values = inputs.map(BigInt);
  for (const step of graph.steps) {
    switch (step.kind) {
      case "linear": {
        const { rowStart, columns, weights, bias } = step.rows;
        const given = [...values];
        bias.forEach((from, row) => {
          let total = BigInt(from);
          for (let at = rowStart[row]!; at < rowStart[row + 1]!; at += 1) {
            total += BigInt(weights[at]!) * given[columns[at]!]!;
          }
          values.push(total);
        });
        break;
      }
      case "activate":
        for (const value of step.values) values.push(activatedByDivision(values[value]!, step));
        break;
      case "max":
        for (let group = 0; group + 1 < step.groupStart.length; group += 1) {
          const of = [...step.values.slice(step.groupStart[group], step.groupStart[group + 1])];
          values.push(largest(of.map((value) => values[value]!)));
        }
        break;
      case "trees": {
        const scores = step.base.map(BigInt);
        for (const { nodes } of step.trees) {
          let node = nodes[0]!;
          while (node.kind === "split") {
            const isTrue = values[step.features[node.feature]!]! <= BigInt(node.threshold);
            node = nodes[isTrue ? node.ifTrue : node.ifFalse]!;
          }
          node.scores.forEach((score, i) => {
            scores[i]! += BigInt(score);
          });
        }
        values.push(...scores);
        break;
      }
    }
  }
  return values;
}

/** The output values by plain arithmetic. */
export function outputsOf(graph: IntegerGraph, inputs: readonly number[]): bigint[] {
  const values = evaluate(graph, inputs);
  return Array.from(graph.output.values, (value) => values[value]!);
}

/** A circuit of a graph, with a commitment that tests do not look at. */
export function compiled(
  graph: IntegerGraph,
  options: Omit<CircuitOptions, "modelCommitment"> = {},
): CompiledCircuit {
  return compileCircuit(graph, { modelCommitment: "0".repeat(64), ...options });
}

/** The witness of whole inputs; throws where it breaks a constraint. */
export function witnessOf(
  circuit: CompiledCircuit,
  values: readonly number[],
  secrets: Pick<CircuitInputs, "salt" | "context"> = {},
): Witness {
  const signals = circuit.encodeInputs({ tensors: [values], kind: "integers", ...secrets });
  const witness = circuit.program.run(signals);
  const violated = firstViolation(circuit.system, witness);
  if (violated !== undefined) throw new Error(`the witness breaks constraint ${violated}`);
  return witness;
}

/** The outputs of a circuit for whole inputs. */
export function provedOutputs(circuit: CompiledCircuit, values: readonly number[]): bigint[] {
  return witnessOf(circuit, values)
    .slice(1, 1 + circuit.system.outputs)
    .map(BigInt);
}

/** The formula of an activation, by division. */
function activatedByDivision(
  value: bigint,
  { shiftBits, activation }: Pick<ActivateStep, "shiftBits" | "activation">,
): bigint {
  const y = floorDivided(2n * value + 2n ** BigInt(shiftBits), 2n ** BigInt(shiftBits + 1));
  switch (activation.kind) {
    case "none":
      return y;
    case "relu":
      return y < 0n ? 0n : y;
    case "leaky-relu":
      return y < 0n ? floorDivided(y, 2n ** BigInt(activation.slopeBits)) : y;
    case "clip":
      if (y < BigInt(activation.lo)) return BigInt(activation.lo);
      return y > BigInt(activation.hi) ? BigInt(activation.hi) : y;
  }
}

function floorDivided(value: bigint, by: bigint): bigint {
  const rest = ((value % by) + by) % by;
  return (value - rest) / by;
}

function valueCount(inputs: readonly IntegerInput[], steps: readonly Step[]): number {
  let count = 0;
  for (const { shape } of inputs) count += shape.reduce((total, size) => total * size, 1);
  for (const step of steps) {
    if (step.kind === "linear") count += step.rows.bias.length;
    else if (step.kind === "activate") count += step.values.length;
    else if (step.kind === "max") count += step.groupStart.length - 1;
    else count += step.base.length;
  }
  return count;
}
