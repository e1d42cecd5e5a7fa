// Which columns the rows of a model version have, as its signature says: what a file is searched
// for. Captured batches have the same names by the same rules (capture/name-columns.ts).
//
//   features      the version's columns, or its inputs; `input.{name}` where a name begins with
//                 `prediction.`
//   predictions   `prediction.{output}`; `prediction.{output}.{class}` where an output has a number
//                 for each class; `prediction.label`, the predicted class

import type { ModelVersion } from "../../../gen/plinth/registry/v1/model_version_pb.js";
import type { TensorSpec } from "../../../gen/plinth/registry/v1/signature_pb.js";
import type { ColumnKind } from "../sketch/column-batch.ts";
import type { FileColumn } from "./table-file.ts";

const PREDICTION = "prediction.";
/** Before features whose names would pass for predictions. */
const INPUT = "input.";
/** The predicted class. */
const LABEL = "prediction.label";
/** Classes whose scores are columns; of more the output is only counted. */
const SCORES_MAX = 64;

/** The parts of a ModelVersion that say so. */
export type VersionShape = Pick<ModelVersion, "signature" | "columns" | "classLabels">;

/** All columns, features first, in the order of the version. */
export function versionColumns(version: VersionShape): readonly FileColumn[] {
  const { inputs = [], outputs = [] } = version.signature ?? {};
  const all = [...featureColumns(version, inputs), ...predictionColumns(version, outputs)];
  return [...new Map(all.map((column) => [column.name, column])).values()];
}

function featureColumns(version: VersionShape, inputs: readonly TensorSpec[]): FileColumn[] {
  const named = (name: string) => (name.startsWith(PREDICTION) ? INPUT + name : name);
  const [first] = inputs;
  if (version.columns.length > 0 && first !== undefined && inputs.length === 1) {
    return version.columns.map((name) => valueColumn(named(name), first.datatype));
  }
  return inputs.map((input) => tensorColumn(named(input.name), input));
}

function predictionColumns(
  { classLabels }: VersionShape,
  outputs: readonly TensorSpec[],
): FileColumn[] {
  const columns = outputs.flatMap((output) => outputColumns(output, classLabels));
  return outputs.some((output) => saysClass(output, classLabels.length))
    ? [...columns.filter(({ name }) => name !== LABEL), { name: LABEL, kind: "category" }]
    : columns;
}

function outputColumns(output: TensorSpec, classLabels: readonly string[]): FileColumn[] {
  const name = PREDICTION + output.name;
  const { length } = classLabels;
  return length <= SCORES_MAX && length !== 1 && hasEachClass(output, length)
    ? classLabels.map((label) => valueColumn(`${name}.${label}`, output.datatype))
    : [tensorColumn(name, output)];
}

/** One integer or text a row names the class itself; the highest of the scores does, too. */
function saysClass(output: TensorSpec, classes: number): boolean {
  const isFloat = output.datatype.startsWith("FP");
  const isLabel = valuesOfRow(output) === 1 && !isFloat && output.datatype !== "BOOL";
  return classes > 0 && (isLabel || (isFloat && hasEachClass(output, classes)));
}

/** Where the graph leaves it open, numbers with a fraction are taken for scores. */
function hasEachClass(output: TensorSpec, classes: number): boolean {
  const values = valuesOfRow(output);
  const mayBe = values === undefined && output.datatype.startsWith("FP");
  return classes > 0 && (values === classes || mayBe);
}

/** One value a row is counted as such; of more only the presence. */
function tensorColumn(name: string, tensor: TensorSpec): FileColumn {
  return valuesOfRow(tensor) === 1 ? valueColumn(name, tensor.datatype) : { name, kind: "counted" };
}

function valueColumn(name: string, datatype: string): FileColumn {
  const kind = kindOfDatatype(datatype);
  switch (datatype) {
    case "FP32":
      return { name, kind, precision: "single" };
    case "FP16":
      return { name, kind, precision: "half" };
    default:
      return { name, kind };
  }
}

/** How values of an Open Inference Protocol datatype are counted. */
function kindOfDatatype(datatype: string): ColumnKind {
  switch (datatype) {
    case "BOOL":
      return "bool";
    case "BYTES":
      return "category";
    default:
      return "numeric";
  }
}

/**
 * Values of one row, without the dimension of the rows; undefined where the graph leaves that open.
 * A tensor of any rank is taken for one value.
 */
function valuesOfRow({ shape, anyRank }: TensorSpec): number | undefined {
  if (anyRank) {
    return 1;
  }
  const sizes = shape.map(Number);
  const row = sizes[0] === -1 || sizes[0] === 1 ? sizes.slice(1) : sizes;
  return row.includes(-1) ? undefined : row.reduce((product, size) => product * size, 1);
}
