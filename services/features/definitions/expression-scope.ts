// What an expression may say, checked on its syntax tree before it is ever run: a list of functions
// that end in bounded time and give the same result on every machine, names that are there, and a
// bound on the steps that its loops can take. The library's own versions of a few functions depend
// on the machine's time zone; they are exchanged for ours here.

import { suggestion } from "./lookup.ts";

/** A node of the library's syntax tree, as far as it is looked at. */
export interface SyntaxNode {
  readonly op: string;
  args: unknown;
  readonly checkedType?: { readonly name: string };
}

/** What a walk finds out. */
export interface Scope {
  /** The inputs that it names. */
  readonly inputs: ReadonlySet<string>;
  /** The first thing wrong with it. */
  readonly fault: string | undefined;
}

/** Functions and macros by name; to another name where ours stands in. */
const FUNCTIONS: ReadonlyMap<string, string> = new Map([
  ...["bool", "bytes", "double", "duration", "int", "size", "string"].map(same),
  ["timestamp", "plinth_timestamp"],
]);

const CALENDAR = [
  ...["getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours"],
  ...["getMilliseconds", "getMinutes", "getMonth", "getSeconds"],
];

const METHODS: ReadonlyMap<string, string> = new Map([
  ...["all", "exists", "exists_one", "filter", "map"].map(same),
  ...["at", "base64", "contains", "endsWith", "hex", "indexOf", "join", "lastIndexOf"].map(same),
  ...["lowerAscii", "size", "split", "startsWith", "string", "substring", "trim"].map(same),
  same("upperAscii"),
  ...CALENDAR.map((name) => [name, `plinth_${name}`] as const),
]);

const LOOPS = ["all", "exists", "exists_one", "filter", "map"];
const MATH = "math";

/** Steps that the loops of one expression may take for one row. */
const STEPS_MAX = 10_000;
/** A duration is written "1h30m": nobody needs more, and the library reads it in cubic time. */
const DURATION_LENGTH_MAX = 40;

/** Looks at a tree that was parsed and not checked yet; puts our functions in their places. */
export function scopeOf(tree: SyntaxNode, inputs: readonly string[]): Scope {
  const walk = new Walk(inputs);
  const steps = walk.steps(tree, new Set());
  if (steps > STEPS_MAX) {
    walk.refuse(`can take ${steps} steps in its loops; at most ${STEPS_MAX}`);
  }
  return { inputs: walk.named, fault: walk.fault };
}

/** Looks at a tree whose types are known: lists and bytes that grow are not for here. */
export function growthFault(tree: SyntaxNode): string | undefined {
  const type = tree.checkedType?.name ?? "";
  if (tree.op === "+" && (type === "bytes" || type.startsWith("list"))) {
    return `joins two of ${type} with +; only numbers, texts, times and durations can be added`;
  }
  for (const child of childrenOf(tree)) {
    const fault = growthFault(child);
    if (fault !== undefined) {
      return fault;
    }
  }
  return undefined;
}

/** A message of the library in the words of the expression. */
export function withoutOurNames(message: string): string {
  return message
    .replaceAll("plinth_", "")
    .replaceAll("google.protobuf.", "")
    .replaceAll("MathNamespace", "math");
}

class Walk {
  readonly named = new Set<string>();
  fault: string | undefined;
  readonly #inputs: ReadonlySet<string>;

  constructor(inputs: readonly string[]) {
    this.#inputs = new Set(inputs);
  }

  refuse(fault: string): void {
    this.fault ??= fault;
  }

  /** Steps that a node takes; `bound` are the variables of the loops around it. */
  steps(node: SyntaxNode, bound: ReadonlySet<string>): number {
    switch (node.op) {
      case "id":
        this.#name(node.args as string, bound);
        return 1;
      case "call":
        return this.#call(node.args as [string, SyntaxNode[]], bound);
      case "rcall":
        return this.#method(node.args as [string, SyntaxNode, SyntaxNode[]], bound);
      default:
        return 1 + this.#sum(childrenOf(node), bound);
    }
  }

  #name(name: string, bound: ReadonlySet<string>): void {
    if (bound.has(name)) {
      return;
    }
    if (this.#inputs.has(name)) {
      this.named.add(name);
    } else {
      const known = suggestion(name, [...this.#inputs]);
      this.refuse(`names "${name.slice(0, 100)}", which is no input.${known}`);
    }
  }

  #call(args: [string, SyntaxNode[]], bound: ReadonlySet<string>): number {
    const [name, given] = args;
    const ours = FUNCTIONS.get(name);
    if (ours === undefined) {
      const known = `${offered(FUNCTIONS)}, and of math. such as math.abs(x)`;
      this.refuse(`calls ${name}(), which is not offered; there are ${known}`);
    }
    args[0] = ours ?? name;
    if (name === "duration") {
      const text = literalOf(given[0]);
      const fits = typeof text === "string" && text.length <= DURATION_LENGTH_MAX;
      if (!fits) {
        this.refuse('takes a duration that is not written out, like duration("1h30m")');
      }
    }
    return 1 + this.#sum(given, bound);
  }

  #method(args: [string, SyntaxNode, SyntaxNode[]], bound: ReadonlySet<string>): number {
    const [name, receiver, given] = args;
    if (receiver.op === "id" && receiver.args === MATH) {
      return 1 + this.#sum(given, bound);
    }
    const ours = METHODS.get(name);
    if (ours === undefined) {
      this.refuse(`calls .${name}(), which is not offered; there are ${offered(METHODS)}`);
    }
    args[0] = ours ?? name;
    if (CALENDAR.includes(name)) {
      this.#zone(given[0]);
    }
    if (!LOOPS.includes(name)) {
      return 1 + this.steps(receiver, bound) + this.#sum(given, bound);
    }
    const rounds = lengthOf(receiver);
    if (rounds === undefined) {
      this.refuse(`loops with ${name}() over what is not a list written out like [1, 2, 3]`);
    }
    const [variable, ...bodies] = given;
    const inner = new Set([...bound, String(variable?.args)]);
    return 1 + this.steps(receiver, bound) + (rounds ?? 0) * (1 + this.#sum(bodies, inner));
  }

  #zone(zone: SyntaxNode | undefined): void {
    if (zone === undefined) {
      return;
    }
    const name = literalOf(zone);
    if (typeof name !== "string") {
      this.refuse('takes a time zone that is not written out, like "America/New_York"');
    } else if (!isZone(name)) {
      this.refuse(`takes ${JSON.stringify(name.slice(0, 100))}, which is no time zone`);
    }
  }

  #sum(nodes: readonly SyntaxNode[], bound: ReadonlySet<string>): number {
    return nodes.reduce((sum, node) => sum + this.steps(node, bound), 0);
  }
}

/** Elements of a list that stands in the expression, or at most those of what loops over one. */
function lengthOf(node: SyntaxNode): number | undefined {
  if (node.op === "list" || node.op === "map") {
    return (node.args as readonly unknown[]).length;
  }
  const [name, receiver] = node.op === "rcall" ? (node.args as [string, SyntaxNode]) : [];
  return receiver !== undefined && (name === "map" || name === "filter")
    ? lengthOf(receiver)
    : undefined;
}

function childrenOf(node: SyntaxNode): readonly SyntaxNode[] {
  const found: SyntaxNode[] = [];
  const collect = (value: unknown): void => {
    if (Array.isArray(value)) {
      value.forEach(collect);
    } else if (typeof value === "object" && value !== null && "op" in value && "args" in value) {
      found.push(value as SyntaxNode);
    }
  };
  collect(node.args);
  return found;
}

function literalOf(node: SyntaxNode | undefined): unknown {
  return node?.op === "value" ? node.args : undefined;
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).format(0) !== "";
  } catch {
    return false;
  }
}

function same(name: string): readonly [string, string] {
  return [name, name];
}

function offered(names: ReadonlyMap<string, string>): string {
  return [...names.keys()].sort().join(", ");
}
