// On-demand features: expressions in CEL, typed when they are applied and run over columns when they
// are asked for. The only module that knows the library. Its ints are bigints, its doubles numbers,
// its times Dates, to the millisecond.

import { Environment } from "@marcbachmann/cel-js";
import type { Cell, Cells, Field, ValueType } from "../value.ts";
import type { OnDemandFeatureView } from "./definitions.ts";
import { mathFunctions, timeFunctions } from "./expression-functions.ts";
import { growthFault, type SyntaxNode, scopeOf, withoutOurNames } from "./expression-scope.ts";

/** One computed column: a cell a row, null where an input is missing or the row failed. */
export interface ComputedColumn {
  readonly cells: Cells;
  /** Rows whose expression failed or gave a value that its type cannot hold; ascending. */
  readonly failed: readonly number[];
}

/** The expressions of one version of an on-demand feature view. */
export interface CompiledTransform {
  /**
   * Computes every feature, in their order. `inputs` are the columns of the version's inputs, in
   * their order, of types that can be read as the inputs'. A row in which an input that an
   * expression names is null has null. Never throws for a row.
   */
  evaluate(inputs: readonly Cells[], rows: number): readonly ComputedColumn[];
}

const EXPRESSION_LENGTH_MAX = 2000;
/** Enough for anything that a person reads; keeps the recursion of the library shallow. */
const LIMITS = {
  maxAstNodes: 1000,
  maxDepth: 60,
  maxListElements: 500,
  maxMapEntries: 500,
  maxCallArguments: 10,
};
/** Texts and bytes that go into an expression: they can be joined a few hundred times. */
const INPUT_LENGTH_MAX = 65_536;
const OUTPUT_LENGTH_MAX = 1_048_576;

const CEL_TYPES: Readonly<Record<ValueType, string>> = {
  BOOL: "bool",
  INT32: "int",
  INT64: "int",
  FLOAT: "double",
  DOUBLE: "double",
  STRING: "string",
  BYTES: "bytes",
  TIMESTAMP: "google.protobuf.Timestamp",
};

/** A value as the library has it. */
type CelValue = boolean | number | bigint | string | Uint8Array | Date;

interface Compiled {
  readonly run: (context: ReadonlyMap<string, CelValue>) => unknown;
  /** Indexes of the inputs that it names. */
  readonly inputs: readonly number[];
  readonly type: ValueType;
}

class MathNamespace {}

/** Whether a name can stand in an expression: CEL keeps a few for itself. */
export function isInputName(name: string): boolean {
  let answer = inputNames.get(name);
  if (answer === undefined) {
    answer = environment.canDeclare(name);
    if (inputNames.size >= INPUT_NAMES_MAX) {
      inputNames.clear();
    }
    inputNames.set(name, answer);
  }
  return answer;
}

/** What is wrong with each of the expressions; undefined where it is good and gives the type. */
export function checkExpressions(
  inputs: readonly Field[],
  features: readonly { readonly expression: string; readonly type: ValueType }[],
): readonly (string | undefined)[] {
  const declared = declare(inputs);
  return features.map(({ expression, type }) => {
    const compiled = compile(declared, { expression, inputs, type });
    return typeof compiled === "string" ? compiled : undefined;
  });
}

const compiledTransforms = new WeakMap<OnDemandFeatureView, CompiledTransform>();

/**
 * The expressions of a version, ready to run; the same object for the same version.
 * @throws Error when one of them is at fault, which apply has ruled out.
 */
export function compileTransform(version: OnDemandFeatureView): CompiledTransform {
  const known = compiledTransforms.get(version);
  if (known !== undefined) {
    return known;
  }
  const { inputs } = version;
  const declared = declare(inputs);
  const features = version.features.map(({ name, expression, type }) => {
    const compiled = compile(declared, { expression, inputs, type });
    if (typeof compiled === "string") {
      throw new Error(`the expression of ${name} ${compiled}`);
    }
    return compiled;
  });
  const transform: CompiledTransform = {
    evaluate: (columns, rows) =>
      features.map((feature) => evaluate(feature, { inputs, columns, rows })),
  };
  compiledTransforms.set(version, transform);
  return transform;
}

const environment = newEnvironment();
const INPUT_NAMES_MAX = 10_000;
const inputNames = new Map<string, boolean>();

/** The library with our functions; each set of inputs gets a copy of it. */
function newEnvironment(): {
  readonly copy: () => Environment;
  readonly canDeclare: (name: string) => boolean;
} {
  const base = new Environment({ limits: LIMITS });
  base.registerType("MathNamespace", MathNamespace);
  base.registerConstant("math", "MathNamespace", new MathNamespace());
  for (const [signature, run] of [...timeFunctions(), ...mathFunctions("MathNamespace")]) {
    base.registerFunction(signature, run, { async: false } as object);
  }
  const copy = () => base.clone();
  return {
    copy,
    canDeclare(name) {
      try {
        return copy().registerVariable(name, "int").parse(name).ast.op === "id";
      } catch {
        return false;
      }
    },
  };
}

function declare(inputs: readonly Field[]): Environment {
  const declared = environment.copy();
  for (const { name, type } of inputs) {
    // Names that cannot be declared are a fault of the input, not of each expression.
    if (isInputName(name) && !declared.hasVariable(name)) {
      declared.registerVariable(name, CEL_TYPES[type]);
    }
  }
  return declared;
}

/** The expression ready to run, or what is wrong with it. */
function compile(
  declared: Environment,
  of: {
    readonly expression: string;
    readonly inputs: readonly Field[];
    readonly type: ValueType;
  },
): Compiled | string {
  const { expression, inputs, type } = of;
  if (expression.trim() === "" || expression.length > EXPRESSION_LENGTH_MAX) {
    return `has ${expression.length} characters; 1 to ${EXPRESSION_LENGTH_MAX} are possible`;
  }
  try {
    const parsed = declared.parse(expression);
    const tree = parsed.ast as unknown as SyntaxNode;
    const names = inputs.map(({ name }) => name);
    const scope = scopeOf(tree, names);
    if (scope.fault !== undefined) {
      return scope.fault;
    }
    const checked = parsed.check();
    if (checked.error !== undefined) {
      return describe(checked.error);
    }
    if (checked.type !== CEL_TYPES[type]) {
      return `gives ${withoutOurNames(checked.type ?? "nothing")}; ${type} ${NEEDS[type]}`;
    }
    const named = names.flatMap((name, index) => (scope.inputs.has(name) ? [index] : []));
    // The library takes a Map as well, and looks names up in it as they are.
    const run = (context: ReadonlyMap<string, CelValue>) => parsed(context as never);
    return growthFault(tree) ?? { run, inputs: named, type };
  } catch (error) {
    return describe(error);
  }
}

const NEEDS: Readonly<Record<ValueType, string>> = {
  BOOL: "needs a bool",
  INT32: "needs an int: int(...) makes one",
  INT64: "needs an int: int(...) makes one",
  FLOAT: "needs a double: double(...) makes one",
  DOUBLE: "needs a double: double(...) makes one",
  STRING: "needs a string: string(...) makes one",
  BYTES: "needs bytes: bytes(...) makes them",
  TIMESTAMP: "needs a timestamp: timestamp(...) makes one",
};

/** An error of the library: what, and where in the expression. */
function describe(error: unknown): string {
  const { summary, message, range } = error as {
    readonly summary?: string;
    readonly message?: string;
    readonly range?: { readonly start: number };
  };
  const place = range === undefined ? "" : ` at character ${range.start + 1}`;
  const said = withoutOurNames(summary ?? message ?? "it cannot be read");
  const isMixed = /no such overload: .*\b(?:int\b.*\bdouble|double\b.*\bint)\b/.test(said);
  const advice = isMixed
    ? ". Ints and doubles do not mix: double(x) or int(x) makes one of the other"
    : "";
  return `is not valid CEL${place}: ${said}${advice}`;
}

function evaluate(
  feature: Compiled,
  over: {
    readonly inputs: readonly Field[];
    readonly columns: readonly Cells[];
    readonly rows: number;
  },
): ComputedColumn {
  const { inputs, columns, rows } = over;
  const named = feature.inputs.map((index) => ({
    ...(inputs[index] as Field),
    cells: columns[index] ?? [],
  }));
  const cells: Cell[] = new Array(rows).fill(null);
  const failed: number[] = [];
  const context = new Map<string, CelValue>();
  for (let row = 0; row < rows; row++) {
    const isComplete = named.every(({ cells: column }) => (column[row] ?? null) !== null);
    if (!isComplete) {
      continue;
    }
    try {
      for (const { name, type, cells: column } of named) {
        context.set(name, toCel(type, column[row] as Exclude<Cell, null>));
      }
      cells[row] = fromCel(feature.type, feature.run(context));
    } catch {
      failed.push(row);
    }
  }
  return { cells, failed };
}

function toCel(type: ValueType, cell: Exclude<Cell, null>): CelValue {
  switch (type) {
    case "INT32":
    case "INT64":
      return BigInt(cell as number | bigint);
    case "FLOAT":
    case "DOUBLE":
      return Number(cell);
    case "TIMESTAMP":
      return new Date(Math.floor(Number(cell) / 1000));
    case "STRING":
    case "BYTES":
      if ((cell as string | Uint8Array).length > INPUT_LENGTH_MAX) {
        throw new RangeError(`a text of more than ${INPUT_LENGTH_MAX} is not computed with`);
      }
      return cell as string | Uint8Array;
    case "BOOL":
      return cell as boolean;
  }
}

/** The result as a cell of its type. @throws RangeError when the type cannot hold it. */
function fromCel(type: ValueType, value: unknown): Cell {
  const cell = convert(type, value);
  if (cell === undefined) {
    throw new RangeError(`the result is no ${type}`);
  }
  return cell;
}

function convert(type: ValueType, value: unknown): Cell | undefined {
  switch (type) {
    case "BOOL":
      return typeof value === "boolean" ? value : undefined;
    case "INT32":
      return typeof value === "bigint" && BigInt.asIntN(32, value) === value
        ? Number(value)
        : undefined;
    case "INT64":
      if (typeof value !== "bigint" || BigInt.asIntN(64, value) !== value) {
        return undefined;
      }
      return Number.isSafeInteger(Number(value)) ? Number(value) : value;
    case "FLOAT": {
      const narrow = typeof value === "number" ? Math.fround(value) : undefined;
      return Number.isFinite(value) && !Number.isFinite(narrow) ? undefined : narrow;
    }
    case "DOUBLE":
      return typeof value === "number" ? value : undefined;
    case "STRING":
      return typeof value === "string" && fits(value) && value.isWellFormed() ? value : undefined;
    case "BYTES":
      return value instanceof Uint8Array && fits(value) ? value : undefined;
    case "TIMESTAMP": {
      const us = value instanceof Date ? value.getTime() * 1000 : Number.NaN;
      return Number.isSafeInteger(us) ? us : undefined;
    }
  }
}

/** A text of as many characters may have more bytes: those of UTF-8 are counted too. */
function fits(value: string | Uint8Array): boolean {
  return (
    value.length <= OUTPUT_LENGTH_MAX &&
    (typeof value !== "string" || Buffer.byteLength(value) <= OUTPUT_LENGTH_MAX)
  );
}
