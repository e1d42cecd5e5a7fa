// Reads an ONNX file with its weights, from bytes that nobody has vouched for. Everything has a
// limit, and a limit is met before memory is taken for what lies beyond it.
// Field numbers: onnx.proto of ONNX 1.19 (IR version 13).

import { signed, WireError, type WireField, WireReader } from "../../common/onnx-wire.ts";
import type { Attribute, OnnxModel, OnnxNode, OnnxValue } from "./onnx-model.ts";
import {
  ELEMENT_TYPES,
  floatValues,
  type ModelLimits,
  RANK_MAX,
  readTensor,
} from "./read-tensor.ts";
import type { Tensor } from "./tensor.ts";
import { invalidModel } from "./unsupported.ts";

/** Far above what can be proved in a minute; far below what hurts. */
export const DEFAULT_LIMITS: ModelLimits = {
  fileBytes: 256 * 1024 * 1024,
  nodes: 10_000,
  initializers: 20_000,
  tensorElements: 16 * 1024 * 1024,
  computedElements: 4 * 1024 * 1024,
  computedTotal: 64 * 1024 * 1024,
  totalElements: 32 * 1024 * 1024,
  attributeValues: 4 * 1024 * 1024,
};

const NAME_CHARACTERS_MAX = 1024;
const NODE_VALUES_MAX = 1024;
const ATTRIBUTES_MAX = 64;
const VALUES_MAX = 20_000;
const METADATA_ENTRIES_MAX = 256;
const METADATA_CHARACTERS_MAX = 512 * 1024;
/** Texts of an attribute: modes of the nodes of trees, class labels. */
const TEXT_CHARACTERS_MAX = 4096;

/**
 * Reads a model.
 *
 * @throws InvalidArgument: not an ONNX file, beyond a limit, weights in another file, a NaN.
 */
export function readOnnx(bytes: Uint8Array, limits: ModelLimits = DEFAULT_LIMITS): OnnxModel {
  if (bytes.length > limits.fileBytes) {
    throw invalidModel(`the file has ${bytes.length} bytes; at most ${limits.fileBytes} are taken`);
  }
  try {
    return new ModelReading(bytes, limits).model();
  } catch (error) {
    if (error instanceof WireError) {
      throw invalidModel(`the file is not an ONNX model: ${error.message}`, error);
    }
    throw error;
  }
}

class ModelReading {
  readonly #reader: WireReader;
  readonly #limits: ModelLimits;
  readonly #opsets = new Map<string, number>();
  readonly #metadata = new Map<string, string>();
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<string, Tensor>();
  readonly #inputs: OnnxValue[] = [];
  readonly #outputs: OnnxValue[] = [];
  readonly #budget: { left: number };

  constructor(bytes: Uint8Array, limits: ModelLimits) {
    const read = (offset: number, length: number) => bytes.subarray(offset, offset + length);
    this.#reader = new WireReader({ size: bytes.length, read });
    this.#limits = limits;
    this.#budget = { left: limits.totalElements };
  }

  model(): OnnxModel {
    let graphs = 0;
    for (const field of this.#reader.fields(0, this.#reader.size)) {
      if (field.type !== "bytes") {
        continue;
      }
      if (field.number === 7) {
        graphs += 1;
        this.#graph(field);
      } else if (field.number === 8) {
        this.#opset(field);
      } else if (field.number === 14 && this.#metadata.size < METADATA_ENTRIES_MAX) {
        const [key, value] = this.#entry(field);
        this.#metadata.set(key, value);
      }
    }
    if (graphs !== 1) {
      throw invalidModel(`the file has ${graphs} graphs where one was expected`);
    }
    return {
      opsets: this.#opsets,
      metadata: this.#metadata,
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs: this.#inputs.filter((value) => !this.#initializers.has(value.name)),
      outputs: this.#outputs,
    };
  }

  #graph(graph: WireField): void {
    for (const field of this.#reader.fields(graph.start, graph.end)) {
      if (field.type !== "bytes") {
        continue;
      }
      if (field.number === 1) {
        this.#refuseMore(this.#nodes.length, this.#limits.nodes, "nodes");
        this.#nodes.push(this.#node(field));
      } else if (field.number === 5) {
        this.#refuseMore(this.#initializers.size, this.#limits.initializers, "initializers");
        const { name, tensor } = this.#tensor(field);
        if (this.#initializers.has(name)) {
          throw invalidModel(`two initializers are named "${name}"`);
        }
        this.#initializers.set(name, tensor);
      } else if (field.number === 15) {
        throw invalidModel("it has sparse initializers; save it with dense ones");
      } else if (field.number === 11 || field.number === 12) {
        const list = field.number === 11 ? this.#inputs : this.#outputs;
        this.#refuseMore(list.length, VALUES_MAX, field.number === 11 ? "inputs" : "outputs");
        list.push(this.#value(field));
      }
    }
  }

  #refuseMore(count: number, max: number, what: string): void {
    if (count >= max) {
      throw invalidModel(`it has more than ${max} ${what}`);
    }
  }

  #tensor(field: WireField): { readonly name: string; readonly tensor: Tensor } {
    return readTensor(this.#reader, field, { limits: this.#limits, total: this.#budget });
  }

  #node(node: WireField): OnnxNode {
    const inputs: string[] = [];
    const outputs: string[] = [];
    const attributes = new Map<string, Attribute>();
    const texts = new Map<number, string>();
    for (const field of this.#reader.fields(node.start, node.end)) {
      if (field.type !== "bytes") {
        continue;
      }
      if (field.number === 1 || field.number === 2) {
        const list = field.number === 1 ? inputs : outputs;
        this.#refuseMore(list.length, NODE_VALUES_MAX, "inputs or outputs at one node");
        list.push(this.#name(field));
      } else if (field.number === 5) {
        this.#refuseMore(attributes.size, ATTRIBUTES_MAX, "attributes at one node");
        const { name, attribute } = this.#attribute(field);
        attributes.set(name, attribute);
      } else if (field.number === 3 || field.number === 4 || field.number === 7) {
        texts.set(field.number, this.#name(field));
      }
    }
    return {
      name: texts.get(3) || outputs.find((name) => name !== "") || "a node without a name",
      operator: texts.get(4) ?? "",
      domain: texts.get(7) || "ai.onnx",
      inputs,
      outputs,
      attributes,
    };
  }

  #attribute(attribute: WireField): { readonly name: string; readonly attribute: Attribute } {
    let name = "";
    const integers: number[] = [];
    const floats: number[] = [];
    const texts: string[] = [];
    let tensor: Tensor | undefined;
    let isOther = false;
    const max = this.#limits.attributeValues;
    for (const field of this.#reader.fields(attribute.start, attribute.end)) {
      if (field.number === 1 && field.type === "bytes") {
        name = this.#name(field);
      } else if (field.number === 3 || field.number === 8) {
        append(integers, this.#reader.integers(field, max + 1));
      } else if (field.number === 2 || field.number === 7) {
        append(floats, floatValues(this.#reader, field));
      } else if ((field.number === 4 || field.number === 9) && field.type === "bytes") {
        texts.push(this.#reader.text(field, TEXT_CHARACTERS_MAX));
      } else if (field.number === 5 && field.type === "bytes") {
        tensor = this.#tensor(field).tensor;
      } else if ([6, 10, 11, 22, 23].includes(field.number)) {
        isOther = true;
      }
      this.#refuseMore(
        Math.max(integers.length, floats.length, texts.length) - 1,
        max,
        `values in the attribute "${name}"`,
      );
    }
    return { name, attribute: attributeOf({ integers, floats, texts, tensor, isOther }) };
  }

  #value(value: WireField): OnnxValue {
    let name = "";
    let type: Omit<OnnxValue, "name"> = {};
    for (const field of this.#reader.fields(value.start, value.end)) {
      if (field.number === 1 && field.type === "bytes") {
        name = this.#name(field);
      } else if (field.number === 2 && field.type === "bytes") {
        for (const kind of this.#reader.fields(field.start, field.end)) {
          if (kind.number === 1 && kind.type === "bytes") {
            type = this.#tensorType(kind);
          }
        }
      }
    }
    return { name, ...type };
  }

  #tensorType(type: WireField): Omit<OnnxValue, "name"> {
    let element = 0;
    let shape: (number | undefined)[] | undefined;
    for (const field of this.#reader.fields(type.start, type.end)) {
      if (field.number === 1 && field.type === "varint") {
        element = signed(field);
      } else if (field.number === 2 && field.type === "bytes") {
        shape = [];
        for (const dimension of this.#reader.fields(field.start, field.end)) {
          if (dimension.number === 1 && dimension.type === "bytes") {
            this.#refuseMore(shape.length, RANK_MAX, "dimensions at one value");
            shape.push(this.#dimension(dimension));
          }
        }
      }
    }
    const known = ELEMENT_TYPES[element];
    return { ...(known && { type: known }), ...(shape && { shape }) };
  }

  #dimension(dimension: WireField): number | undefined {
    for (const field of this.#reader.fields(dimension.start, dimension.end)) {
      if (field.number === 1 && field.type === "varint") {
        const size = signed(field);
        return size < 0 ? undefined : size;
      }
    }
    return undefined;
  }

  #opset(opset: WireField): void {
    let domain = "";
    let version = 0;
    for (const field of this.#reader.fields(opset.start, opset.end)) {
      if (field.number === 1 && field.type === "bytes") {
        domain = this.#name(field);
      } else if (field.number === 2 && field.type === "varint") {
        version = signed(field);
      }
    }
    if (this.#opsets.size < METADATA_ENTRIES_MAX) {
      this.#opsets.set(domain || "ai.onnx", version);
    }
  }

  /** A StringStringEntryProto. */
  #entry(entry: WireField): [key: string, value: string] {
    let key = "";
    let value = "";
    for (const field of this.#reader.fields(entry.start, entry.end)) {
      if (field.number === 1 && field.type === "bytes") {
        key = this.#name(field);
      } else if (field.number === 2 && field.type === "bytes") {
        value = this.#reader.text(field, METADATA_CHARACTERS_MAX);
      }
    }
    return [key, value];
  }

  #name(field: WireField): string {
    return this.#reader.text(field, NAME_CHARACTERS_MAX);
  }
}

/** `push(...values)` would put a large list on the stack. */
function append(list: number[], values: ArrayLike<number>): void {
  for (let i = 0; i < values.length; i++) {
    list.push(values[i]!);
  }
}

function attributeOf(found: {
  readonly integers: readonly number[];
  readonly floats: readonly number[];
  readonly texts: readonly string[];
  readonly tensor: Tensor | undefined;
  readonly isOther: boolean;
}): Attribute {
  if (found.isOther) {
    return { kind: "other" };
  }
  if (found.tensor !== undefined) {
    return { kind: "tensor", value: found.tensor };
  }
  if (found.floats.length > 0) {
    return { kind: "floats", values: found.floats };
  }
  if (found.texts.length > 0) {
    return { kind: "texts", values: found.texts };
  }
  return { kind: "integers", values: found.integers };
}
