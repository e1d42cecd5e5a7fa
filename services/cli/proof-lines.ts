// What a proof says, as lines for a terminal: the same words for what the server shows and for what
// was verified offline.

import type {
  ProvedInput,
  ProvedOutput,
  ProvedStatement,
} from "../../gen/plinth/proofs/v1/proof_pb.js";
import { formatNumber } from "./format.ts";
import { formatCount } from "./progress.ts";

/** Values that are shown of a list; --json has all. */
const VALUES_SHOWN_MAX = 12;

type Fact = readonly [string, string | undefined];

/** Facts of a statement, for factLines. */
export function statementFacts(statement: ProvedStatement): readonly Fact[] {
  const { output, inputs, inputCommitment, context } = statement;
  return [
    ...(output === undefined ? [] : outputFacts(output)),
    ...inputs.map(inputFact),
    ...(inputs.length > 0
      ? []
      : [["inputs", inputCommitment === "" ? PRIVATE : committedText(inputCommitment)] as const]),
    ...(context === undefined ? [] : [["context", contextText(context)] as const]),
  ];
}

const PRIVATE = "not shown: some inputs give this output";

/** What a circuit gives, in one cell: the class, whether it is reached, or the values. */
export function outputText(output: ProvedOutput): string {
  if (output.reached !== undefined) {
    return `${output.reached ? "reached" : "not reached"} (at least ${formatNumber(output.threshold)})`;
  }
  const values = output.after === "" ? output.values : output.valuesAfter;
  const shown = values.length === 0 ? "" : listText(values);
  const label = classText(output);
  return label === "" || shown === "" ? label || shown : `${label}  ${shown}`;
}

/** "malignant", "class 3"; "" where there are no classes. */
function classText({ classIndex, classLabel }: ProvedOutput): string {
  return classLabel !== "" ? classLabel : classIndex === undefined ? "" : `class ${classIndex}`;
}

function outputFacts(output: ProvedOutput): readonly Fact[] {
  const { name, shape, values, scaleBits, after, valuesAfter, classIndex, classLabel } = output;
  const title = shape.length === 0 ? name : `${name} [${shape.join(", ")}]`;
  if (output.reached !== undefined) {
    return [["output", `${title}: ${outputText(output)}`]];
  }
  const index = classLabel === "" || classIndex === undefined ? "" : ` (class ${classIndex})`;
  return [
    ["class", `${classText(output)}${index}`],
    [
      "output",
      values.length === 0
        ? title
        : `${title} = ${listText(values)}  (whole numbers / 2^${scaleBits})`,
    ],
    [
      `after ${after}`,
      valuesAfter.length === 0
        ? ""
        : `${listText(valuesAfter)}  (follows from the output; not proved)`,
    ],
  ];
}

function inputFact({ name, shape, values }: ProvedInput): Fact {
  return ["input", `${name} [${shape.join(", ")}] = ${listText(values)}`];
}

function committedText(commitment: string): string {
  return `not shown: those of the commitment ${commitment}`;
}

/** The bytes in hexadecimal; a proof holds them as one number, without zeros before it. */
export function contextText(context: Uint8Array): string {
  return context.length === 0 ? "0 (none)" : Buffer.from(context).toString("hex");
}

function listText(values: readonly number[]): string {
  const rest = values.length - VALUES_SHOWN_MAX;
  const shown = values.slice(0, VALUES_SHOWN_MAX).map(formatNumber).join(", ");
  return rest > 0 ? `${shown} and ${formatCount(rest)} more` : shown;
}
