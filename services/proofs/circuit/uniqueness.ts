// Whether the inputs determine every wire. A wire that they do not is one that a prover may choose,
// and choosing is forging. Knowledge spreads over the constraints by three rules:
// - a row in which one wire is unknown, outside of a product, gives that wire;
// - a row whose unknown wires are digits (each from 0 to a proved maximum, each counting for more
//   than all below it together, all together less than p) gives all of them;
// - a choice is known once every two of its outcomes contradict each other (choice-proof.ts).
// Inputs count as given: what a circuit takes as an input it does not prove.

import { FIELD_ORDER } from "../field.ts";
import type { ChoiceGroup } from "./choice.ts";
import { isChoiceUnique } from "./choice-proof.ts";
import type { WireRanges, WireRows } from "./constraint-index.ts";
import { rangesOf, wireRows } from "./constraint-index.ts";
import type { ConstraintSystem } from "./constraint-system.ts";

/** More digits than bits of the field cannot be told apart. */
const DIGITS_MAX = 254;

/** The wires that the constraints leave open, ascending. */
export function undeterminedWires(
  system: ConstraintSystem,
  choices: readonly ChoiceGroup[] = [],
): number[] {
  const spread = new Spread(system);
  spread.run();
  let open = [...choices];
  for (let before = -1; open.length > 0 && open.length !== before; ) {
    before = open.length;
    open = open.filter((choice) => !spread.choose(choice));
    spread.run();
  }
  return spread.unknown();
}

/** What is known so far. */
class Spread {
  readonly #system: ConstraintSystem;
  readonly #ranges: WireRanges;
  readonly #isRanged: Uint8Array;
  readonly #inFactors: WireRows;
  readonly #inResults: WireRows;
  readonly #known: Uint8Array;
  /** Unknown entries of a and b, of c, and of c without a proved maximum, in each row. */
  readonly #factors: Int32Array;
  readonly #results: Int32Array;
  readonly #unranged: Int32Array;
  readonly #queue: number[] = [];
  readonly #isQueued: Uint8Array;

  constructor(system: ConstraintSystem) {
    const { a, b, c, constraintCount: rows } = system;
    this.#system = system;
    this.#ranges = rangesOf(system);
    this.#isRanged = new Uint8Array(system.wires);
    for (const wire of this.#ranges.keys()) this.#isRanged[wire] = 1;
    this.#inFactors = wireRows(system.wires, [a, b]);
    this.#inResults = wireRows(system.wires, [c]);
    this.#known = new Uint8Array(system.wires);
    this.#factors = new Int32Array(rows);
    this.#results = new Int32Array(rows);
    this.#unranged = new Int32Array(rows);
    this.#isQueued = new Uint8Array(rows);
    for (let row = 0; row < rows; row += 1) {
      const lengthOf = (start: Int32Array): number => start[row + 1]! - start[row]!;
      this.#factors[row] = lengthOf(a.rowStart) + lengthOf(b.rowStart);
      this.#results[row] = lengthOf(c.rowStart);
      for (let at = c.rowStart[row]!; at < c.rowStart[row + 1]!; at += 1) {
        if (this.#isRanged[c.wires[at]!] === 0) this.#unranged[row]! += 1;
      }
    }
    const firstInput = 1 + system.outputs;
    this.#learn(0);
    for (let i = 0; i < system.publicInputs + system.privateInputs; i += 1) {
      this.#learn(firstInput + i);
    }
    for (let row = 0; row < rows; row += 1) this.#enqueue(row);
  }

  /** Spreads until nothing more follows from single rows. */
  run(): void {
    for (let at = 0; at < this.#queue.length; at += 1) {
      const row = this.#queue[at]!;
      this.#isQueued[row] = 0;
      if (this.#results[row] === 0) continue;
      const open = this.#openIn(row);
      if (open.length === 1 || this.#areDigits(row, open))
        for (const wire of open) this.#learn(wire);
    }
    this.#queue.length = 0;
  }

  /** Learns the wires of a choice, where it is unique. */
  choose(choice: ChoiceGroup): boolean {
    const facts = {
      system: this.#system,
      ranges: this.#ranges,
      inFactors: this.#inFactors,
      inResults: this.#inResults,
      isKnown: (wire: number) => this.#known[wire] === 1,
    };
    if (!isChoiceUnique(facts, choice)) return false;
    for (let i = 0; i < choice.count - 1; i += 1) this.#learn(choice.first + i);
    return true;
  }

  unknown(): number[] {
    const wires: number[] = [];
    this.#known.forEach((known, wire) => {
      if (known === 0) wires.push(wire);
    });
    return wires;
  }

  #learn(wire: number): void {
    if (this.#known[wire] === 1) return;
    this.#known[wire] = 1;
    const isRanged = this.#isRanged[wire] === 1;
    for (let at = this.#inFactors.start[wire]!; at < this.#inFactors.start[wire + 1]!; at += 1) {
      const row = this.#inFactors.rows[at]!;
      this.#factors[row]! -= 1;
      this.#enqueue(row);
    }
    for (let at = this.#inResults.start[wire]!; at < this.#inResults.start[wire + 1]!; at += 1) {
      const row = this.#inResults.rows[at]!;
      this.#results[row]! -= 1;
      if (!isRanged) this.#unranged[row]! -= 1;
      this.#enqueue(row);
    }
  }

  /** Queues a row that may now say something. */
  #enqueue(row: number): void {
    const results = this.#results[row]!;
    if (this.#isQueued[row] === 1 || this.#factors[row] !== 0 || results === 0) return;
    if (results > 1 && (this.#unranged[row] !== 0 || results > DIGITS_MAX)) return;
    this.#isQueued[row] = 1;
    this.#queue.push(row);
  }

  #openIn(row: number): number[] {
    const { rowStart, wires } = this.#system.c;
    const open: number[] = [];
    for (let at = rowStart[row]!; at < rowStart[row + 1]!; at += 1) {
      if (this.#known[wires[at]!] === 0) open.push(wires[at]!);
    }
    return open;
  }

  #areDigits(row: number, open: readonly number[]): boolean {
    const { rowStart, wires, coefficients } = this.#system.c;
    const digits: { readonly weight: bigint; readonly most: bigint }[] = [];
    let bits = 0;
    for (const wire of open) bits += bitsOf(this.#ranges.get(wire));
    if (bits > DIGITS_MAX) return false;
    for (let at = rowStart[row]!; at < rowStart[row + 1]!; at += 1) {
      const wire = wires[at]!;
      if (this.#known[wire] === 1) continue;
      const weight = BigInt(this.#system.coefficients[coefficients[at]!]!);
      digits.push({ weight: weight < 0n ? -weight : weight, most: this.#ranges.get(wire)! });
    }
    digits.sort((p, q) => (p.weight < q.weight ? -1 : 1));
    let below = 0n;
    for (const { weight, most } of digits) {
      if (weight <= below) return false;
      below += weight * most;
    }
    return below < FIELD_ORDER;
  }
}

function bitsOf(most: bigint | undefined): number {
  if (most === undefined) return Number.POSITIVE_INFINITY;
  return most === 1n ? 1 : Math.log2(Number(most) + 1);
}
