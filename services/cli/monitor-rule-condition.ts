// The condition of an alert rule: `when: "> 0.3"`, `when: "> baseline * 2"`, `sigma: 3`, or the
// fields of the API by their names.

import { create } from "@bufbuild/protobuf";
import {
  type AlertRule,
  BaselineConditionSchema,
  Comparison,
  SigmaConditionSchema,
  ThresholdConditionSchema,
} from "../../gen/plinth/monitoring/v1/alert_pb.js";
import { type Fields, fieldsOf, type Keys, missing, numberOf, textOf } from "./features-fields.ts";
import { type Entry, type Fault, type Tree, whatCame } from "./features-tree.ts";
import { COMPARISONS } from "./monitor-alert-words.ts";

type Condition = Exclude<AlertRule["condition"], { case: undefined }>;

/** The keys of a rule that say when it is wrong; one of them stands there. */
export const CONDITIONS: Keys = { when: ["condition"], threshold: [], baseline: [], sigma: [] };

const NUMBER = "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?";
const THRESHOLD = new RegExp(`^(>=|<=|>|<)\\s*(${NUMBER})(%?)$`);
const BASELINE = new RegExp(
  `^(>=|<=|>|<)\\s*baseline(?:\\s*\\*\\s*(${NUMBER}))?(?:\\s*([+-])\\s*(${NUMBER}))?$`,
);

const FORMS = '"> 0.3" or "> baseline * 2 + 0.01"';

/** The one condition of a rule; undefined and noted where there is none, or more. */
export function conditionOf(tree: Tree, fields: Fields, faults: Fault[]): Condition | undefined {
  const said = Object.keys(CONDITIONS).flatMap((key) => {
    const entry = fields.get(key);
    return entry === undefined ? [] : [{ key, entry }];
  });
  const [first, second] = said;
  if (first === undefined) {
    const text = `the rule does not say when: one of when: ${FORMS}, threshold, baseline, sigma`;
    return missing(tree.at, text, faults);
  }
  if (second !== undefined) {
    const text = `${second.entry.key}: the rule says ${first.entry.key} already; it takes one`;
    return missing(second.entry.at, text, faults);
  }
  const { key, entry } = first;
  if (key === "sigma") {
    return sigmaOf(entry, faults);
  }
  if (entry.value.kind !== "map") {
    return ofText(entry, faults);
  }
  return key === "baseline" ? baselineOf(entry, faults) : thresholdOf(entry, faults);
}

function ofText(entry: Entry, faults: Fault[]): Condition | undefined {
  const said = textOf(entry, faults)?.trim();
  if (said === undefined) {
    return undefined;
  }
  const threshold = THRESHOLD.exec(said);
  if (threshold !== null) {
    const [, sign = "", number, percent] = threshold;
    const value = Number(number) / (percent === "%" ? 100 : 1);
    return thresholdCondition(sign, value);
  }
  const baseline = BASELINE.exec(said);
  if (baseline === null) {
    return missing(entry.value.at, `${entry.key}: expected ${FORMS}, got "${said}"`, faults);
  }
  const [, sign = "", factor, plus, offset] = baseline;
  const value = create(BaselineConditionSchema, {
    comparison: comparisonOf(sign),
    offset: Number(offset ?? 0) * (plus === "-" ? -1 : 1),
    ...(factor === undefined ? {} : { factor: Number(factor) }),
  });
  return { case: "baseline", value };
}

function thresholdCondition(sign: string, value: number): Condition {
  const comparison = comparisonOf(sign);
  return { case: "threshold", value: create(ThresholdConditionSchema, { comparison, value }) };
}

function thresholdOf(entry: Entry, faults: Fault[]): Condition | undefined {
  const keys = { comparison: [], value: [] };
  const fields = fieldsOf(entry.value, { what: "a threshold", keys }, faults);
  const comparison = comparisonAt(entry, fields, faults);
  const value = numberOf(fields?.get("value"), { whole: false }, faults);
  if (fields !== undefined && !fields.has("value")) {
    missing(entry.value.at, `${entry.key}: the value is missing`, faults);
  }
  return comparison === undefined || value === undefined
    ? undefined
    : { case: "threshold", value: create(ThresholdConditionSchema, { comparison, value }) };
}

function baselineOf(entry: Entry, faults: Fault[]): Condition | undefined {
  const keys = { comparison: [], factor: [], offset: [] };
  const fields = fieldsOf(entry.value, { what: "a condition", keys }, faults);
  const comparison = comparisonAt(entry, fields, faults);
  const factor = numberOf(fields?.get("factor"), { whole: false }, faults);
  const offset = numberOf(fields?.get("offset"), { whole: false }, faults) ?? 0;
  return comparison === undefined
    ? undefined
    : {
        case: "baseline",
        value: create(BaselineConditionSchema, {
          comparison,
          offset,
          ...(factor === undefined ? {} : { factor }),
        }),
      };
}

/** `sigma: 3`, or {k, windows, comparison}. */
function sigmaOf(entry: Entry, faults: Fault[]): Condition | undefined {
  if (entry.value.kind === "list") {
    const came = whatCame(entry.value);
    return missing(entry.value.at, `${entry.key}: expected a number, got ${came}`, faults);
  }
  const keys = { k: [], windows: [], comparison: [] };
  const fields =
    entry.value.kind === "map"
      ? fieldsOf(entry.value, { what: "a condition", keys }, faults)
      : new Map([["k", entry]]);
  const k = numberOf(fields?.get("k"), { whole: false }, faults) ?? 0;
  const windows = numberOf(fields?.get("windows"), { whole: true }, faults) ?? 0;
  const said = fields?.get("comparison");
  const comparison = said === undefined ? Comparison.UNSPECIFIED : comparisonWord(said, faults);
  const value = create(SigmaConditionSchema, { k, windows, ...(comparison && { comparison }) });
  return { case: "sigma", value };
}

function comparisonAt(
  entry: Entry,
  fields: Fields | undefined,
  faults: Fault[],
): Comparison | undefined {
  const said = fields?.get("comparison");
  return said === undefined
    ? missing(entry.value.at, `${entry.key}: the comparison is missing`, faults)
    : comparisonWord(said, faults);
}

function comparisonWord(entry: Entry, faults: Fault[]): Comparison | undefined {
  const said = textOf(entry, faults);
  if (said === undefined) {
    return undefined;
  }
  const word = said.toLowerCase().replace(/^comparison_/, "");
  const value = word === "unspecified" ? Comparison.UNSPECIFIED : COMPARISONS.get(word);
  const known = ">, >=, < or <=";
  return value ?? missing(entry.value.at, `${entry.key}: expected ${known}, got "${said}"`, faults);
}

function comparisonOf(sign: string): Comparison {
  return COMPARISONS.get(sign) ?? Comparison.UNSPECIFIED;
}
