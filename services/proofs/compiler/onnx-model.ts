// An ONNX model in memory, weights included, as the reader gives it to the compiler.

import type { ElementType, Tensor } from "./tensor.ts";

export interface OnnxModel {
  /** By domain; the default one is "ai.onnx". */
  readonly opsets: ReadonlyMap<string, number>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Without the initializers that old files list among them. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** An input or output as the graph declares it. */
export interface OnnxValue {
  readonly name: string;
  readonly type?: ElementType;
  /** A number, or undefined for an open dimension. Absent: rank unknown, or no tensor. */
  readonly shape?: readonly (number | undefined)[];
}

export interface OnnxNode {
  /** Its own, or its first output's. */
  readonly name: string;
  readonly operator: string;
  /** "ai.onnx" is the default one. */
  readonly domain: string;
  /** The empty name is an input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

export type Attribute =
  | { readonly kind: "integers"; readonly values: readonly number[] }
  | { readonly kind: "floats"; readonly values: readonly number[] }
  | { readonly kind: "texts"; readonly values: readonly string[] }
  | { readonly kind: "tensor"; readonly value: Tensor }
  | { readonly kind: "other" };

/** For people: the operator with its domain where that is not ONNX's own. */
export function operatorName(node: Pick<OnnxNode, "domain" | "operator">): string {
  return node.domain === "ai.onnx" ? node.operator : `${node.domain}.${node.operator}`;
}

/** One integer, or what stands for it where it is not said. */
export function integerOf(node: OnnxNode, name: string, otherwise: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === "integers" ? (attribute.values[0] ?? otherwise) : otherwise;
}

/** One float, or what stands for it where it is not said. */
export function floatOf(node: OnnxNode, name: string, otherwise: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === "floats" ? (attribute.values[0] ?? otherwise) : otherwise;
}

/** One text, or what stands for it where it is not said. */
export function textOf(node: OnnxNode, name: string, otherwise: string): string {
  const attribute = node.attributes.get(name);
  return attribute?.kind === "texts" ? (attribute.values[0] ?? otherwise) : otherwise;
}

/** A list; undefined where it is not said. */
export function integersOf(node: OnnxNode, name: string): readonly number[] | undefined {
  const attribute = node.attributes.get(name);
  return attribute?.kind === "integers" ? attribute.values : undefined;
}

/** A list; undefined where it is not said. */
export function floatsOf(node: OnnxNode, name: string): readonly number[] | undefined {
  const attribute = node.attributes.get(name);
  return attribute?.kind === "floats" ? attribute.values : undefined;
}

/** A list; undefined where it is not said. */
export function textsOf(node: OnnxNode, name: string): readonly string[] | undefined {
  const attribute = node.attributes.get(name);
  return attribute?.kind === "texts" ? attribute.values : undefined;
}

/** A tensor; undefined where it is not said. */
export function tensorOf(node: OnnxNode, name: string): Tensor | undefined {
  const attribute = node.attributes.get(name);
  return attribute?.kind === "tensor" ? attribute.value : undefined;
}
