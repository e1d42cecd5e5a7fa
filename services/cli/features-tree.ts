// A definition as it was written, whatever the language of its file: values with the place each
// stands at, so that every fault can be found again.

/** "airports.yaml:12:5", or "airports.ts default[3].ttl" for a module. */
export type Place = string;

/** Integers beyond 2^53 are text, as protobuf's JSON has them. */
export type Scalar = string | number | boolean | null;

/** One value. */
export interface ScalarTree {
  readonly kind: "scalar";
  readonly value: Scalar;
  readonly at: Place;
}

/** Values in order. */
export interface ListTree {
  readonly kind: "list";
  readonly items: readonly Tree[];
  readonly at: Place;
}

/** Values by key, in the order of the file. */
export interface MapTree {
  readonly kind: "map";
  readonly entries: readonly Entry[];
  readonly at: Place;
}

/** A key of a map and what stands under it. */
export interface Entry {
  readonly key: string;
  /** Where the key stands. */
  readonly at: Place;
  readonly value: Tree;
}

/** Any value of a definition. */
export type Tree = ScalarTree | ListTree | MapTree;

/** What is wrong, and where. */
export interface Fault {
  readonly at: Place;
  readonly text: string;
}

/** Deeper than any definition; a value that holds itself ends here. */
const DEPTH_MAX = 32;

/** "a list", "a map", or the value: what came in place of what was expected. */
export function whatCame(tree: Tree): string {
  if (tree.kind === "scalar") {
    return tree.value === null ? "nothing" : JSON.stringify(tree.value);
  }
  return tree.kind === "list" ? "a list" : "a map";
}

/** A JavaScript value as a tree. Keys whose value is undefined are left out. */
export function treeOf(value: unknown, at: Place, faults: Fault[], depth = 0): Tree {
  if (depth > DEPTH_MAX) {
    faults.push({ at, text: `more than ${DEPTH_MAX} levels deep` });
    return { kind: "scalar", value: null, at };
  }
  if (Array.isArray(value)) {
    const items = value.map((item, index) => treeOf(item, `${at}[${index}]`, faults, depth + 1));
    return { kind: "list", items, at };
  }
  if (value instanceof Uint8Array) {
    return { kind: "scalar", value: Buffer.from(value).toString("base64"), at };
  }
  if (value instanceof Date) {
    return { kind: "scalar", value: value.toISOString(), at };
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value)
      .filter(([, held]) => held !== undefined)
      .map(([key, held]): Entry => {
        const place = `${at}.${key}`;
        return { key, at: place, value: treeOf(held, place, faults, depth + 1) };
      });
    return { kind: "map", entries, at };
  }
  return { kind: "scalar", value: scalarOf(value, at, faults), at };
}

/** Whole numbers that a JavaScript number cannot carry become text. */
export function scalarOf(value: unknown, at: Place, faults: Fault[]): Scalar {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return value;
    case "bigint": {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : String(value);
    }
    case "function":
    case "symbol":
      faults.push({ at, text: `expected data, got a ${typeof value}` });
      return null;
    default:
      return null;
  }
}
