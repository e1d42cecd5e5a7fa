// Whether a metric is wrong, from the metric and what it is held against. Pure. A value that is
// missing is neither wrong nor right: "unknown".

import { Comparison } from "../../../gen/plinth/monitoring/v1/alert_pb.js";
import type { Condition } from "./alert-rule.ts";

const SIGMA_K_DEFAULT = 3;
const SIGMA_WINDOWS_DEFAULT = 30;
/** With fewer windows before it nothing is wrong. */
const SIGMA_WINDOWS_MIN = 3;

/** What was found of a metric in one window. */
export type Finding =
  | {
      readonly kind: "wrong" | "right";
      readonly value: number;
      /** What the value was held against; of several the one it is nearer to. */
      readonly bound: number;
      /** In words, without the metric's name: "0.31 > 0.1". */
      readonly words: string;
    }
  | { readonly kind: "unknown"; readonly why: string };

/** What conditions compare with, where it is known. */
export interface References {
  /** The same metric of the baseline. */
  readonly baseline?: number | undefined;
  /** The same metric of the windows before, newest first; windows without one left out. */
  readonly earlier?: readonly number[] | undefined;
}

/** How many windows before it a condition looks at; 0: none. */
export function earlierWanted(condition: Condition): number {
  return condition.kind === "sigma" ? condition.windows || SIGMA_WINDOWS_DEFAULT : 0;
}

/** What a condition finds of a value. */
export function find(
  condition: Condition,
  value: number | undefined,
  references: References,
): Finding {
  if (value === undefined || Number.isNaN(value)) {
    return { kind: "unknown", why: "the window has no such value" };
  }
  switch (condition.kind) {
    case "threshold":
      return compared(value, condition.comparison, { bound: condition.value, of: "" });
    case "baseline": {
      const { baseline } = references;
      if (baseline === undefined || Number.isNaN(baseline)) {
        return { kind: "unknown", why: "the baseline has no such value" };
      }
      const bound = baseline * (condition.factor ?? 1) + condition.offset;
      const of = ` (from ${shown(baseline)} in the baseline)`;
      return compared(value, condition.comparison, { bound, of });
    }
    case "sigma":
      return sigma(condition, value, references.earlier ?? []);
  }
}

/**
 * Mean and standard deviation of the windows before, as NannyML's default threshold has them:
 * the deviation is divided by n (numpy's nanstd, ddof 0), and a value is wrong strictly beyond.
 */
function sigma(
  condition: Extract<Condition, { readonly kind: "sigma" }>,
  value: number,
  earlier: readonly number[],
): Finding {
  const values = earlier.slice(0, earlierWanted(condition)).filter(Number.isFinite);
  if (values.length < SIGMA_WINDOWS_MIN) {
    const why = `only ${values.length} of the windows before have one; ${SIGMA_WINDOWS_MIN} are needed`;
    return { kind: "unknown", why };
  }
  const mean = meanOf(values);
  const std = Math.sqrt(meanOf(values.map((one) => (one - mean) ** 2)));
  const reach = (condition.k || SIGMA_K_DEFAULT) * std;
  const isUpward =
    condition.comparison === Comparison.GREATER ||
    (condition.comparison !== Comparison.LESS && value >= mean);
  const bound = isUpward ? mean + reach : mean - reach;
  const of = ` (${shown(mean)} ${isUpward ? "+" : "-"} ${condition.k || SIGMA_K_DEFAULT} x ${shown(std)})`;
  return compared(value, isUpward ? Comparison.GREATER : Comparison.LESS, { bound, of });
}

function compared(
  value: number,
  comparison: Comparison,
  against: { readonly bound: number; readonly of: string },
): Finding {
  const { bound, of } = against;
  const { holds, sign, negated } = comparing(value, comparison, bound);
  const words = `${shown(value)} ${holds ? sign : negated} ${shown(bound)}${of}`;
  return { kind: holds ? "wrong" : "right", value, bound, words };
}

function comparing(
  value: number,
  comparison: Comparison,
  bound: number,
): { readonly holds: boolean; readonly sign: string; readonly negated: string } {
  switch (comparison) {
    case Comparison.GREATER:
      return { holds: value > bound, sign: ">", negated: "<=" };
    case Comparison.GREATER_OR_EQUAL:
      return { holds: value >= bound, sign: ">=", negated: "<" };
    case Comparison.LESS:
      return { holds: value < bound, sign: "<", negated: ">=" };
    case Comparison.LESS_OR_EQUAL:
      return { holds: value <= bound, sign: "<=", negated: ">" };
    case Comparison.UNSPECIFIED:
      return { holds: false, sign: "?", negated: "?" };
  }
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** A number for people: six digits are plenty. */
function shown(value: number): string {
  return String(Number(value.toPrecision(6)));
}
