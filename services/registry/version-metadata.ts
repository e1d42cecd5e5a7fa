// Column names and class labels of a version: the caller's, else those the exporter wrote into the
// file. Wrong ones make the version FAILED: served, they would label answers with other people's
// names.

import type { GraphInfo, ValidationFailure } from "./sandbox-report.ts";
import type { Signature } from "./signature.ts";

const COLUMNS_KEY = "plinth.columns";
const CLASS_LABELS_KEY = "plinth.class_labels";

const COUNT_MAX = 10_000;

export interface VersionNames {
  readonly columns: readonly string[];
  readonly classLabels: readonly string[];
}

/**
 * The names to keep, or why they cannot be right. `given` are the caller's, empty where not said.
 */
export function resolveNames(
  given: VersionNames,
  graph: GraphInfo,
  signature: Signature,
): { readonly names: VersionNames } | { readonly failure: ValidationFailure } {
  const columns = given.columns.length > 0 ? given.columns : listIn(graph, COLUMNS_KEY);
  const labels = given.classLabels.length > 0 ? given.classLabels : listIn(graph, CLASS_LABELS_KEY);
  if (typeof columns === "string") {
    return { failure: bad(columns) };
  }
  if (typeof labels === "string") {
    return { failure: bad(labels) };
  }
  const misfit = columnsMisfit(columns, signature);
  return misfit === undefined
    ? { names: { columns, classLabels: labels } }
    : { failure: bad(misfit) };
}

/** What is wrong with a list of names by itself, or undefined. */
export function namesFault(names: readonly string[]): string | undefined {
  if (names.length > COUNT_MAX) {
    return `has ${names.length} entries; at most ${COUNT_MAX} are kept`;
  }
  const seen = new Set<string>();
  for (const name of names) {
    if (name === "" || name.length > 500) {
      return "has an entry that is empty or longer than 500 characters";
    }
    if (seen.has(name)) {
      return `has ${JSON.stringify(name)} twice`;
    }
    seen.add(name);
  }
  return undefined;
}

/** The list under a key of the file's metadata, or a text that says what is wrong with it. */
function listIn(graph: GraphInfo, key: string): readonly string[] | string {
  const text = Object.hasOwn(graph.metadata, key) ? graph.metadata[key] : undefined;
  if (text === undefined) {
    return [];
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (!Array.isArray(value) || !value.every((item) => typeof item === "string")) {
    return `the file's metadata "${key}" is not a JSON list of texts`;
  }
  const fault = namesFault(value);
  return fault === undefined ? value : `the file's metadata "${key}" ${fault}`;
}

function columnsMisfit(columns: readonly string[], signature: Signature): string | undefined {
  if (columns.length === 0) {
    return undefined;
  }
  const [input, ...others] = signature.inputs;
  if (input === undefined || others.length > 0) {
    return `there are columns, but the model has ${signature.inputs.length} inputs, not one`;
  }
  if (input.anyRank || (input.shape.length === 2 && input.shape[1] === -1)) {
    return undefined;
  }
  return input.shape.length === 2 && input.shape[1] === columns.length
    ? undefined
    : `there are ${columns.length} columns, but the input "${input.name}" ` +
        `has shape [${input.shape.join(", ")}]`;
}

function bad(what: string): ValidationFailure {
  return {
    reason: "BAD_METADATA",
    message:
      `${what[0]?.toUpperCase()}${what.slice(1)}. Push the file again with the right names in ` +
      "the request, or correct its metadata.",
  };
}
