// Rows of named JSON values as the tensors of a model. Every error names the row and the column or
// input, in the request's own terms: `rows[3].radius`.

import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Servable } from "../engine.ts";
import { elementCount } from "../protocol/check-shape.ts";
import { viewOf, writeNumber } from "../protocol/numbers.ts";
import { quote, quoteAll, showShape, type Violations } from "../protocol/violations.ts";
import { ELEMENT_BYTES, type Tensor, type TensorSpec } from "../tensor.ts";
import { type Element, elementFromJson, showJson } from "./json-values.ts";

/** Inputs in the order of the signature. */
export interface RowTensors {
  readonly tensors: readonly Tensor[];
  /** As InferRequest.rows: 1 where the model is not batched. */
  readonly rows: number;
}

/**
 * The inputs that rows mean: columns where the version has them (and a row does not name the input
 * itself), else one value or nested list for each input, without the batch dimension. Adds what is
 * wrong to `violations`; the result means something only where nothing was added.
 */
export function tensorsFromRows(
  rows: readonly JsonObject[],
  servable: Servable,
  violations: Violations,
): RowTensors {
  const { signature, batched, columns } = servable;
  const only = signature.inputs.length === 1 ? signature.inputs[0] : undefined;
  if (!batched && rows.length !== 1) {
    violations.add(
      "rows",
      `${rows.length} rows came; this model has no batch dimension and takes one row a request`,
    );
    return { tensors: [], rows: 0 };
  }
  const byColumn =
    only !== undefined &&
    columns.length > 0 &&
    !(rows[0] !== undefined && Object.hasOwn(rows[0], only.name) && !columns.includes(only.name));
  const tensors = byColumn
    ? [fromColumns(rows, only, columns, violations)]
    : fromInputs(rows, servable, violations);
  return { tensors, rows: batched ? rows.length : 1 };
}

function fromColumns(
  rows: readonly JsonObject[],
  spec: TensorSpec,
  columns: readonly string[],
  violations: Violations,
): Tensor {
  const elements: Element[] = [];
  for (let i = 0; i < rows.length && !violations.full; i++) {
    const row = rows[i]!;
    for (const column of columns) {
      addElement(elements, own(row, column), spec, at(i, column), violations);
    }
    checkNames(row, i, columns, "column", violations);
  }
  return tensorOf(spec, [rows.length, columns.length], elements, violations);
}

function fromInputs(
  rows: readonly JsonObject[],
  { signature, batched }: Servable,
  violations: Violations,
): Tensor[] {
  const names = signature.inputs.map((spec) => spec.name);
  for (let i = 0; i < rows.length && !violations.full; i++) {
    checkNames(rows[i]!, i, names, "input", violations);
  }
  return signature.inputs.map((spec) => {
    const wanted = batched ? spec.shape.slice(1) : spec.shape;
    const elements: Element[] = [];
    let shape: readonly number[] | undefined;
    for (let i = 0; i < rows.length && !violations.full; i++) {
      const field = at(i, spec.name);
      const value = own(rows[i]!, spec.name);
      if (value === undefined) {
        violations.add(field, `${field}: this input is missing`);
        continue;
      }
      shape ??= spec.anyRank === true ? nestingOf(value) : shapeOf(value, wanted);
      // A single element may come without its brackets.
      const lone = !Array.isArray(value) && shape.length > 0 && elementCount(shape) === 1;
      flatten(
        lone ? nested(value, shape.length) : value,
        { shape, spec, field },
        elements,
        violations,
      );
    }
    const dimensions = shape ?? wanted.map((dimension) => Math.max(0, dimension));
    return tensorOf(
      spec,
      batched ? [rows.length, ...dimensions] : dimensions,
      elements,
      violations,
    );
  });
}

/** The shape that the nesting of the value itself has. */
function nestingOf(value: JsonValue): number[] {
  return Array.isArray(value)
    ? [value.length, ...(value[0] === undefined ? [] : nestingOf(value[0]))]
    : [];
}

/** The wanted shape with its open dimensions as long as the value is there. */
function shapeOf(value: JsonValue, wanted: readonly number[]): number[] {
  let inner: JsonValue | undefined = value;
  return wanted.map((dimension) => {
    const length = Array.isArray(inner) ? inner.length : 1;
    inner = Array.isArray(inner) ? inner[0] : inner;
    return dimension < 0 ? length : dimension;
  });
}

function nested(value: JsonValue, depth: number): JsonValue {
  let wrapped = value;
  for (let i = 0; i < depth; i++) {
    wrapped = [wrapped];
  }
  return wrapped;
}

interface Place {
  readonly shape: readonly number[];
  readonly spec: TensorSpec;
  readonly field: string;
}

/**
 * Adds the elements of a nested list in row-major order; recursion is as deep as the shape is long.
 */
function flatten(
  value: JsonValue | undefined,
  { shape, spec, field }: Place,
  elements: Element[],
  violations: Violations,
): void {
  if (violations.full) {
    return;
  }
  if (shape.length === 0) {
    addElement(elements, value, spec, field, violations);
    return;
  }
  if (!Array.isArray(value) || value.length !== shape[0]) {
    violations.add(
      field,
      `${field}: expected a list of ${shape[0]}${shape.length > 1 ? " lists" : ""} ` +
        `(shape ${showShape(shape)}), got ${showJson(value)}`,
    );
    return;
  }
  const inner = shape.slice(1);
  for (let i = 0; i < value.length; i++) {
    flatten(value[i], { shape: inner, spec, field: `${field}[${i}]` }, elements, violations);
  }
}

function addElement(
  elements: Element[],
  value: JsonValue | undefined,
  spec: TensorSpec,
  field: string,
  violations: Violations,
): void {
  const result = elementFromJson(value, spec.datatype);
  if (result.fault === undefined) {
    elements.push(result.element);
  } else {
    violations.add(field, `${field}: ${result.fault}`);
  }
}

function checkNames(
  row: JsonObject,
  index: number,
  known: readonly string[],
  noun: string,
  violations: Violations,
): void {
  for (const name of Object.keys(row)) {
    if (!known.includes(name)) {
      violations.add(
        at(index, name),
        `${at(index, name)}: there is no ${noun} ${quote(name)}; there are ${quoteAll(known)}`,
      );
      if (violations.full) {
        return;
      }
    }
  }
}

function tensorOf(
  { name, datatype }: TensorSpec,
  shape: readonly number[],
  elements: readonly Element[],
  violations: Violations,
): Tensor {
  if (datatype === "BYTES") {
    return { name, datatype, shape, data: elements as readonly string[] };
  }
  const data = new Uint8Array(violations.count > 0 ? 0 : elements.length * ELEMENT_BYTES[datatype]);
  const view = viewOf(data);
  for (let i = 0; i < elements.length && data.length > 0; i++) {
    const element = elements[i]!;
    if (datatype === "BOOL") {
      data[i] = element === true ? 1 : 0;
    } else {
      writeNumber(view, datatype, i, element as number | bigint);
    }
  }
  return { name, datatype, shape, data };
}

function own(row: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(row, name) ? row[name] : undefined;
}

function at(row: number, name: string): string {
  return /^[\w-]+$/.test(name) ? `rows[${row}].${name}` : `rows[${row}][${quote(name)}]`;
}
