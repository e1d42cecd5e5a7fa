// What an ONNX file says of itself, read straight from its bytes: operators, opsets, inputs and
// outputs, metadata. It never holds the weights and never runs anything, so it may read any file;
// what it finds lets a refusal name the operator or the output instead of quoting onnxruntime.
// Field numbers: onnx.proto of ONNX 1.19 (IR version 13).

import {
  type ByteSource,
  signed,
  WireError,
  type WireField,
  WireReader,
} from "../common/onnx-wire.ts";

export type ValueKind = "tensor" | "sequence" | "map" | "optional" | "sparse" | "unknown";

/** An input or output as the graph declares it. */
export interface GraphValue {
  readonly name: string;
  readonly kind: ValueKind;
  /** TensorProto.DataType number; 0 when the graph does not say. */
  readonly elementType: number;
  /** A number, a symbolic name, or "" for an unnamed open dimension. Absent: rank unknown. */
  readonly shape?: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly irVersion: number;
  /** By domain; the default one is "ai.onnx". */
  readonly opsets: Readonly<Record<string, number>>;
  /** Exporter and its version; may be empty. */
  readonly producer: string;
  /** Nodes by "domain.Operator", subgraphs and model-local functions included. */
  readonly operators: Readonly<Record<string, number>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly parameterCount: number;
  /** Without the initializers that old files list among them. */
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  /** Files outside this one that hold weights, each once. */
  readonly externalFiles: readonly string[];
}

/** Far above real models (the largest transformers have some 10^5 values), far below what hurts. */
const VALUES_MAX = 1000;
const OPERATORS_MAX = 1000;
const METADATA_ENTRIES_MAX = 256;
const METADATA_CHARACTERS_MAX = 4096;
/** Entries that Plinth itself reads: the names of ten thousand columns fit. */
const PLINTH_METADATA_CHARACTERS_MAX = 512 * 1024;
const NAME_CHARACTERS_MAX = 256;
/**
 * Old files list their weights among the inputs, so this is no limit on what a caller must send.
 */
const INPUTS_MAX = 100_000;
const RANK_MAX = 64;
/**
 * A graph inside a graph is three messages; protobuf's own limit of 100 allows no more than this.
 */
const GRAPH_DEPTH_MAX = 32;
const INITIALIZER_NAMES_MAX = 1_000_000;

/**
 * Reads the graph.
 * @throws WireError when the bytes are not an ONNX model.
 */
export function readOnnxGraph(source: ByteSource): OnnxGraph {
  const scan = new GraphScan(source);
  scan.model();
  return scan.result();
}

class GraphScan {
  readonly #reader: WireReader;
  readonly #opsets = new Map<string, number>();
  readonly #operators = new Map<string, number>();
  readonly #metadata = new Map<string, string>();
  readonly #external = new Set<string>();
  readonly #initializers = new Set<string>();
  readonly #inputs: GraphValue[] = [];
  readonly #outputs: GraphValue[] = [];
  #irVersion = 0;
  #producerName = "";
  #producerVersion = "";
  #parameterCount = 0;
  #graphs = 0;

  constructor(source: ByteSource) {
    this.#reader = new WireReader(source);
  }

  model(): void {
    for (const field of this.#reader.fields(0, this.#reader.size)) {
      if (field.number === 1 && field.type === "varint") {
        this.#irVersion = signed(field);
      }
      if (field.type === "bytes") {
        this.#modelField(field);
      }
    }
    if (this.#graphs === 0) {
      throw new WireError("there is no graph in it");
    }
  }

  result(): OnnxGraph {
    return {
      irVersion: this.#irVersion,
      opsets: Object.fromEntries(this.#opsets),
      producer: `${this.#producerName} ${this.#producerVersion}`.trim(),
      operators: Object.fromEntries(this.#operators),
      metadata: Object.fromEntries(this.#metadata),
      parameterCount: this.#parameterCount,
      inputs: this.#inputs.filter((value) => !this.#initializers.has(value.name)),
      outputs: this.#outputs,
      externalFiles: [...this.#external],
    };
  }

  #modelField(field: WireField): void {
    switch (field.number) {
      case 2:
        this.#producerName = this.#reader.text(field, NAME_CHARACTERS_MAX);
        break;
      case 3:
        this.#producerVersion = this.#reader.text(field, NAME_CHARACTERS_MAX);
        break;
      case 7:
        this.#graphs++;
        this.#graph(field, { depth: 0 });
        break;
      case 8:
        this.#opset(field);
        break;
      case 14:
        this.#metadataEntry(field);
        break;
      case 25:
        for (const inner of this.#messages(field, 7)) {
          this.#node(inner, { depth: 0 });
        }
    }
  }

  #graph(graph: WireField, at: { readonly depth: number }): void {
    if (at.depth > GRAPH_DEPTH_MAX) {
      throw new WireError(`graphs are nested deeper than ${GRAPH_DEPTH_MAX}`);
    }
    for (const field of this.#reader.fields(graph.start, graph.end)) {
      if (field.type !== "bytes") {
        continue;
      }
      if (field.number === 1) {
        this.#node(field, at);
      } else if (field.number === 5) {
        this.#tensor(field, { isInitializer: at.depth === 0 });
      } else if (field.number === 15) {
        for (const values of this.#messages(field, 1)) {
          this.#tensor(values, { isInitializer: at.depth === 0 });
        }
      } else if (at.depth === 0 && (field.number === 11 || field.number === 12)) {
        const list = field.number === 11 ? this.#inputs : this.#outputs;
        const max = field.number === 11 ? INPUTS_MAX : VALUES_MAX;
        if (list.length >= max) {
          throw new WireError(`more than ${max} ${field.number === 11 ? "inputs" : "outputs"}`);
        }
        list.push(this.#value(field));
      }
    }
  }

  #node(node: WireField, at: { readonly depth: number }): void {
    let operator = "";
    let domain = "";
    for (const field of this.#reader.fields(node.start, node.end)) {
      if (field.type !== "bytes") {
        continue;
      }
      if (field.number === 4) {
        operator = this.#reader.text(field, NAME_CHARACTERS_MAX);
      } else if (field.number === 5) {
        this.#attribute(field, at);
      } else if (field.number === 7) {
        domain = this.#reader.text(field, NAME_CHARACTERS_MAX);
      }
    }
    const name = `${domainName(domain)}.${operator}`;
    if (this.#operators.size < OPERATORS_MAX || this.#operators.has(name)) {
      this.#operators.set(name, (this.#operators.get(name) ?? 0) + 1);
    }
  }

  #attribute(attribute: WireField, at: { readonly depth: number }): void {
    for (const field of this.#reader.fields(attribute.start, attribute.end)) {
      if (field.type !== "bytes") {
        continue;
      }
      if (field.number === 6 || field.number === 11) {
        this.#graph(field, { depth: at.depth + 1 });
      } else if (field.number === 5 || field.number === 10) {
        this.#tensor(field, { isInitializer: false });
      }
    }
  }

  /** Reads the head of a tensor; the values are stepped over. */
  #tensor(tensor: WireField, options: { readonly isInitializer: boolean }): void {
    let count = 1;
    let isExternal = false;
    let location = "";
    for (const field of this.#reader.fields(tensor.start, tensor.end)) {
      if (field.number === 1) {
        for (const dim of this.#reader.integers(field, RANK_MAX)) {
          count *= dim;
        }
      } else if (field.number === 8 && field.type === "bytes" && options.isInitializer) {
        if (this.#initializers.size < INITIALIZER_NAMES_MAX) {
          this.#initializers.add(this.#reader.text(field, NAME_CHARACTERS_MAX));
        }
      } else if (field.number === 13 && field.type === "bytes") {
        const [key, value] = this.#entry(field);
        location = key === "location" ? value : location;
      } else if (field.number === 14 && field.type === "varint") {
        isExternal = signed(field) === 1;
      }
    }
    if (isExternal && this.#external.size < VALUES_MAX) {
      this.#external.add(location === "" ? "a file that it does not name" : location);
    }
    const total = this.#parameterCount + count;
    this.#parameterCount = Number.isSafeInteger(total) && count >= 0 ? total : this.#parameterCount;
  }

  #value(value: WireField): GraphValue {
    let name = "";
    let type: Omit<GraphValue, "name"> = { kind: "unknown", elementType: 0 };
    for (const field of this.#reader.fields(value.start, value.end)) {
      if (field.number === 1 && field.type === "bytes") {
        name = this.#reader.text(field, NAME_CHARACTERS_MAX);
      } else if (field.number === 2 && field.type === "bytes") {
        type = this.#type(field);
      }
    }
    return { name, ...type };
  }

  #type(type: WireField): Omit<GraphValue, "name"> {
    for (const field of this.#reader.fields(type.start, type.end)) {
      const kind = KINDS[field.number];
      if (kind !== undefined && field.type === "bytes") {
        return kind === "tensor" ? this.#tensorType(field) : { kind, elementType: 0 };
      }
    }
    return { kind: "unknown", elementType: 0 };
  }

  #tensorType(type: WireField): Omit<GraphValue, "name"> {
    let elementType = 0;
    let shape: (number | string)[] | undefined;
    for (const field of this.#reader.fields(type.start, type.end)) {
      if (field.number === 1 && field.type === "varint") {
        elementType = signed(field);
      } else if (field.number === 2 && field.type === "bytes") {
        shape = [];
        for (const dimension of this.#messages(field, 1)) {
          shape.push(this.#dimension(dimension));
          if (shape.length > RANK_MAX) {
            throw new WireError(`a tensor has more than ${RANK_MAX} dimensions`);
          }
        }
      }
    }
    return { kind: "tensor", elementType, ...(shape === undefined ? {} : { shape }) };
  }

  #dimension(dimension: WireField): number | string {
    for (const field of this.#reader.fields(dimension.start, dimension.end)) {
      if (field.number === 1 && field.type === "varint") {
        const size = signed(field);
        return size < 0 ? "" : size;
      }
      if (field.number === 2 && field.type === "bytes") {
        return this.#reader.text(field, NAME_CHARACTERS_MAX);
      }
    }
    return "";
  }

  #opset(opset: WireField): void {
    let domain = "";
    let version = 0;
    for (const field of this.#reader.fields(opset.start, opset.end)) {
      if (field.number === 1 && field.type === "bytes") {
        domain = this.#reader.text(field, NAME_CHARACTERS_MAX);
      } else if (field.number === 2 && field.type === "varint") {
        version = signed(field);
      }
    }
    if (this.#opsets.size < VALUES_MAX) {
      this.#opsets.set(domainName(domain), version);
    }
  }

  #metadataEntry(field: WireField): void {
    if (this.#metadata.size < METADATA_ENTRIES_MAX) {
      this.#metadata.set(...this.#entry(field));
    }
  }

  /** A StringStringEntryProto. */
  #entry(entry: WireField): [key: string, value: string] {
    let key = "";
    let value = "";
    for (const field of this.#reader.fields(entry.start, entry.end)) {
      if (field.number === 1 && field.type === "bytes") {
        key = this.#reader.text(field, NAME_CHARACTERS_MAX);
      } else if (field.number === 2 && field.type === "bytes") {
        const max = key.startsWith("plinth.")
          ? PLINTH_METADATA_CHARACTERS_MAX
          : METADATA_CHARACTERS_MAX;
        value = this.#reader.text(field, max);
      }
    }
    return [key, value];
  }

  *#messages(parent: WireField, number: number): Generator<WireField> {
    for (const field of this.#reader.fields(parent.start, parent.end)) {
      if (field.number === number && field.type === "bytes") {
        yield field;
      }
    }
  }
}

const KINDS: Readonly<Record<number, ValueKind>> = {
  1: "tensor",
  4: "sequence",
  5: "map",
  8: "sparse",
  9: "optional",
};

/** "ai.onnx" is written as the empty text in files. */
function domainName(domain: string): string {
  return domain === "" ? "ai.onnx" : domain;
}
