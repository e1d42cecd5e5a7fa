// Whether the constraints leave a choice (choice.ts) one outcome. First that its wires can only be
// 0...01...1, so that there are as many outcomes as there are to choose from. Then that no two
// outcomes are possible for the same inputs: each outcome turns the range-checked rows into sums of
// known wires that must be from 0 to some maximum, and two outcomes exclude each other where one
// such sum is the other's negative but for a constant that the two ranges cannot bridge. For a
// threshold: x is at most 5, and x - 6 is at least 0. For an argmax: a - b is at least 0, and
// b - a - 1 is.

import { FIELD_ORDER, fromField, toField } from "../field.ts";
import type { ChoiceGroup } from "./choice.ts";
import type { WireRanges, WireRows } from "./constraint-index.ts";
import { booleanIn, isLinear } from "./constraint-index.ts";
import type { ConstraintSystem, LinearCombination } from "./constraint-system.ts";
import { constraintAt } from "./constraint-system.ts";
import type { ArcPremise } from "./outcome-arcs.ts";
import { areArcsApart } from "./outcome-arcs.ts";

/** What the check may rest on. */
export interface ChoiceFacts {
  readonly system: ConstraintSystem;
  readonly ranges: WireRanges;
  readonly inFactors: WireRows;
  readonly inResults: WireRows;
  readonly isKnown: (wire: number) => boolean;
}

/** A sum of known wires. */
type Form = ReadonlyMap<number, bigint>;

/** A sum that an outcome proves to be from 0 to `most`. */
interface Premise {
  readonly outcome: number;
  readonly constant: bigint;
  readonly most: bigint;
}

/** Whether at most one outcome satisfies the constraints, whatever the known wires are. */
export function isChoiceUnique(facts: ChoiceFacts, choice: ChoiceGroup): boolean {
  if (!isStaircase(facts, choice)) return false;
  const group = new Outcomes(facts, choice);
  if (excludesAllPairs(group, choice.count)) return true;
  group.derive();
  return excludesAllPairs(group, choice.count);
}

/**
 * Whether the first and last wire and every difference of neighbours are proved to be 0 or 1. The
 * wires then never fall and end at 1 at most; they are too few to go around the field.
 */
function isStaircase({ system, inFactors }: ChoiceFacts, { first, count }: ChoiceGroup): boolean {
  const last = count - 2;
  const isProved = new Set<string>();
  for (let i = 0; i <= last; i += 1) {
    for (const row of rowsOf(inFactors, first + i)) {
      const boolean = booleanIn(system, row);
      if (boolean) isProved.add(keyOf(formOf(boolean)));
    }
  }
  const single = (wire: number): boolean =>
    isProved.has(keyOf(new Map([[wire, 1n]]))) ||
    isProved.has(
      keyOf(
        new Map([
          [0, 1n],
          [wire, -1n],
        ]),
      ),
    );
  if (!single(first) || !single(first + last)) return false;
  for (let wire = first + 1; wire <= first + last; wire += 1) {
    if (
      !isProved.has(
        keyOf(
          new Map([
            [wire, 1n],
            [wire - 1, -1n],
          ]),
        ),
      )
    )
      return false;
  }
  return true;
}

/** What wires are under each outcome of a choice. */
class Outcomes {
  readonly facts: ChoiceFacts;
  readonly #choice: ChoiceGroup;
  /** Wires that follow from the choice and known wires, as forms for each outcome. */
  readonly #derived = new Map<number, readonly Form[]>();

  constructor(facts: ChoiceFacts, choice: ChoiceGroup) {
    this.facts = facts;
    this.#choice = choice;
  }

  /** Adds the wires that rows give from the choice and known wires alone: products, then sums. */
  derive(): void {
    const pending = Array.from(
      { length: this.#choice.count - 1 },
      (_, i) => this.#choice.first + i,
    );
    for (const wire of pending) {
      const rows = [...rowsOf(this.facts.inFactors, wire), ...rowsOf(this.facts.inResults, wire)];
      for (const row of new Set(rows)) {
        const found = this.#solve(row);
        if (found !== undefined) pending.push(found);
      }
    }
  }

  /** The rows that a wire of the choice, or one derived from it, is in as part of a sum. */
  sumRows(): ReadonlySet<number> {
    const rows = new Set<number>();
    const { first, count } = this.#choice;
    for (let wire = first; wire < first + count - 1; wire += 1) this.#addRows(rows, wire);
    for (const wire of this.#derived.keys()) this.#addRows(rows, wire);
    return rows;
  }

  /** Whether a wire has a value that follows from the outcome and known wires. */
  isGiven(wire: number): boolean {
    return this.facts.isKnown(wire) || this.#isOwn(wire) || this.#derived.has(wire);
  }

  /** A combination of given wires under each outcome. */
  forms(of: LinearCombination): Form[] {
    const fixed = new Map<number, bigint>();
    const steps = new Array<bigint>(this.#choice.count).fill(0n);
    const derived: { readonly forms: readonly Form[]; readonly times: bigint }[] = [];
    of.wires.forEach((wire, i) => {
      const times = BigInt(of.coefficients[i]!);
      const forms = this.#derived.get(wire);
      if (this.#isOwn(wire)) steps[wire - this.#choice.first]! += times;
      else if (forms) derived.push({ forms, times });
      else add(fixed, wire, times);
    });
    // Wire i is 1 where the outcome is at most i.
    let constant = 0n;
    const all: Form[] = new Array(this.#choice.count);
    for (let outcome = this.#choice.count - 1; outcome >= 0; outcome -= 1) {
      constant += steps[outcome]!;
      const form = new Map(fixed);
      add(form, 0, constant);
      for (const { forms, times } of derived) {
        for (const [wire, value] of forms[outcome]!) add(form, wire, times * value);
      }
      all[outcome] = form;
    }
    return all;
  }

  #isOwn(wire: number): boolean {
    return wire >= this.#choice.first && wire < this.#choice.first + this.#choice.count - 1;
  }

  #addRows(rows: Set<number>, wire: number): void {
    for (const row of rowsOf(this.facts.inResults, wire)) {
      if (isLinear(this.facts.system, row)) rows.add(row);
    }
  }

  /** The one wire that a row gives, where it gives one. */
  #solve(row: number): number | undefined {
    const { a, b, c } = constraintAt(this.facts.system, row);
    if ([...a.wires, ...b.wires].some((wire) => !this.isGiven(wire))) return undefined;
    const open = c.wires.filter((wire) => !this.isGiven(wire));
    const at = c.wires.indexOf(open[0] ?? -1);
    const own = c.coefficients[at];
    if (open.length !== 1 || (own !== 1 && own !== -1)) return undefined;
    const rest = {
      wires: c.wires.filter((_, i) => i !== at),
      coefficients: c.coefficients.filter((_, i) => i !== at),
    };
    const left = this.forms(a);
    const right = this.forms(b);
    const solved: Form[] = [];
    for (const [outcome, of] of this.forms(rest).entries()) {
      const times = multiplied(left[outcome]!, right[outcome]!);
      if (!times) return undefined;
      const form = new Map<number, bigint>();
      for (const [wire, value] of times) add(form, wire, BigInt(own) * value);
      for (const [wire, value] of of) add(form, wire, -BigInt(own) * value);
      solved.push(form);
    }
    this.#derived.set(open[0]!, solved);
    return open[0];
  }
}

function excludesAllPairs(group: Outcomes, count: number): boolean {
  const premises = new Map<string, { readonly negative: string; readonly all: Premise[] }>();
  for (const row of group.sumRows()) addPremises(premises, group, row);
  for (const { negative, all } of premises.values()) {
    const ofNegative = premises.get(negative)?.all ?? [];
    if (all.length + ofNegative.length < count) continue;
    if (areArcsApart(bothSigns(all, ofNegative), count)) return true;
  }
  const excluded = new Uint8Array(count * count);
  for (const { negative, all } of premises.values()) {
    for (const one of all) {
      for (const other of premises.get(negative)?.all ?? []) {
        const most = one.most + other.most;
        if (most < FIELD_ORDER && toField(one.constant + other.constant) > most) {
          excluded[one.outcome * count + other.outcome] = 1;
        }
      }
    }
  }
  for (let one = 0; one < count; one += 1) {
    for (let other = 0; other < one; other += 1) {
      if (!excluded[one * count + other] && !excluded[other * count + one]) return false;
    }
  }
  return true;
}

/** What is said of a sum, and of its negative. */
function* bothSigns(
  all: readonly Premise[],
  ofNegative: readonly Premise[],
): Generator<ArcPremise> {
  for (const premise of all) yield { ...premise, sign: 1 };
  for (const premise of ofNegative) yield { ...premise, sign: -1 };
}

/** Reads a row as: given wires are a sum of wires that are not negative, so from 0 to a maximum. */
function addPremises(
  premises: Map<string, { readonly negative: string; readonly all: Premise[] }>,
  group: Outcomes,
  row: number,
): void {
  const { c } = constraintAt(group.facts.system, row);
  const given: { wires: number[]; coefficients: bigint[] } = { wires: [], coefficients: [] };
  let most = 0n;
  let sign = 0n;
  for (const [i, wire] of c.wires.entries()) {
    const coefficient = BigInt(c.coefficients[i]!);
    if (group.isGiven(wire)) {
      given.wires.push(wire);
      given.coefficients.push(coefficient);
      continue;
    }
    const range = group.facts.ranges.get(wire);
    const own = coefficient < 0n ? -1n : 1n;
    if (range === undefined || (sign !== 0n && sign !== own)) return;
    sign = own;
    most += own * coefficient * range;
  }
  if (most >= FIELD_ORDER) return;
  for (const [outcome, form] of group.forms(given).entries()) {
    const signed = new Map<number, bigint>();
    for (const [wire, value] of form) add(signed, wire, sign === 1n ? -value : value);
    const constant = signed.get(0) ?? 0n;
    signed.delete(0);
    const key = keyOf(signed);
    const negated = new Map([...signed].map(([wire, value]) => [wire, -value] as const));
    const entry = premises.get(key) ?? { negative: keyOf(negated), all: [] };
    entry.all.push({ outcome, constant, most });
    premises.set(key, entry);
  }
}

/** The product, where one of the two is a constant. */
function multiplied(a: Form, b: Form): Form | undefined {
  const isConstant = (form: Form): boolean => [...form.keys()].every((wire) => wire === 0);
  if (!isConstant(a) && !isConstant(b)) return undefined;
  const [constant, form] = isConstant(a) ? [a, b] : [b, a];
  const times = constant.get(0) ?? 0n;
  const result = new Map<number, bigint>();
  for (const [wire, value] of form) add(result, wire, times * value);
  return result;
}

function add(form: Map<number, bigint>, wire: number, value: bigint): void {
  const total = fromField(toField((form.get(wire) ?? 0n) + value));
  if (total === 0n) form.delete(wire);
  else form.set(wire, total);
}

function formOf({ wires, coefficients }: LinearCombination): Form {
  return new Map(wires.map((wire, i) => [wire, BigInt(coefficients[i]!)]));
}

function keyOf(form: Form): string {
  return [...form]
    .sort(([p], [q]) => p - q)
    .map(([wire, value]) => `${wire}:${value}`)
    .join();
}

function rowsOf({ start, rows }: WireRows, wire: number): Int32Array {
  return rows.subarray(start[wire]!, start[wire + 1]!);
}
