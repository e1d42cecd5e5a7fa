// Writes a WebAssembly module, byte by byte (WebAssembly specification, chapter 5): functions over
// one imported memory, and of the instructions those that the arithmetic of the prover needs.
//
// A function is declared first and gets its body later, so that functions can call each other in
// any order. Code is a list of bytes; the helpers take the code of the operands and append theirs.

/** Types of parameters, locals and results. */
export type ValueType = keyof typeof VALUE_TYPES;

/** Instructions, with all that they take from the stack. */
export type Code = readonly number[];

/** A parameter or a local of a function. */
export interface Local {
  /** Its value. */
  readonly get: Code;
  /** Sets it. */
  set(value: Code): Code;
  /** Sets it and leaves the value. */
  tee(value: Code): Code;
}

/** The memory that a module imports as "environment" "memory"; sizes in pages of 64 KiB. */
export interface ImportedMemory {
  readonly minimumPages: number;
  /** Needed where shared is set. */
  readonly maximumPages: number;
  /** Whether threads share it; must be so of the memory that is given. */
  readonly shared: boolean;
}

const VALUE_TYPES = { i32: 0x7f, i64: 0x7e, f64: 0x7c, v128: 0x7b } as const;

/** A module in the making. */
export class WasmModule {
  readonly #functions: WasmFunction[] = [];

  /** Declares a function; with exported it is found under its name in the exports. */
  addFunction(
    name: string,
    parameters: readonly ValueType[],
    { results = [], exported = true }: FunctionOptions = {},
  ): WasmFunction {
    const made = new WasmFunction(this.#functions.length, { name, parameters, results, exported });
    this.#functions.push(made);
    return made;
  }

  /** The module as bytes; without a memory it has none. */
  toBytes(memory?: ImportedMemory): Uint8Array<ArrayBuffer> {
    const functions = this.#functions;
    const exported = functions.filter((made) => made.exported);
    return Uint8Array.from([
      ...[0, ...Buffer.from("asm"), 1, 0, 0, 0],
      ...section(1, list(functions.map((made) => made.typeCode()))),
      ...section(2, list(memory === undefined ? [] : [importCode(memory)])),
      ...section(3, list(functions.map((made) => unsigned(made.index)))),
      ...section(7, list(exported.map((made) => [...text(made.name), 0, ...unsigned(made.index)]))),
      ...section(10, list(functions.map((made) => made.bodyCode()))),
    ]);
  }
}

function importCode({ minimumPages, maximumPages, shared }: ImportedMemory): Code {
  const limits = [shared ? 3 : 1, ...unsigned(minimumPages), ...unsigned(maximumPages)];
  return [...text("environment"), ...text("memory"), 2, ...limits];
}

interface FunctionOptions {
  readonly results?: readonly ValueType[];
  readonly exported?: boolean;
}

/** A function in the making. */
export class WasmFunction {
  readonly index: number;
  readonly name: string;
  readonly exported: boolean;
  readonly parameters: readonly Local[];
  readonly #parameterTypes: readonly ValueType[];
  readonly #results: readonly ValueType[];
  readonly #locals: ValueType[] = [];
  #body: Code | undefined;

  constructor(
    index: number,
    declared: Required<FunctionOptions> & { name: string; parameters: readonly ValueType[] },
  ) {
    this.index = index;
    this.name = declared.name;
    this.exported = declared.exported;
    this.#parameterTypes = declared.parameters;
    this.#results = declared.results;
    this.parameters = declared.parameters.map((_, i) => local(i));
  }

  /** A new local; it is 0 when the function begins. */
  local(type: ValueType): Local {
    return local(this.#parameterTypes.length + this.#locals.push(type) - 1);
  }

  /** As many new locals. */
  locals(count: number, type: ValueType): readonly Local[] {
    return Array.from({ length: count }, () => this.local(type));
  }

  /** Gives the function its body. */
  setBody(...code: readonly Code[]): void {
    this.#body = code.flat();
  }

  /** A call of it. */
  call(...operands: readonly Code[]): Code {
    return [...operands.flat(), 0x10, ...unsigned(this.index)];
  }

  /** Its entry in the section of types. */
  typeCode(): Code {
    return [0x60, ...list(this.#parameterTypes.map(typeOf)), ...list(this.#results.map(typeOf))];
  }

  /** Its entry in the section of code. */
  bodyCode(): Code {
    if (this.#body === undefined) throw new Error(`The function ${this.name} has no body.`);
    const locals = list(this.#locals.map((type) => [1, ...typeOf(type)]));
    const code = [...locals, ...this.#body, 0x0b];
    return [...unsigned(code.length), ...code];
  }
}

/** An instruction with its operands before it. */
export function instruction(bytes: Code, ...operands: readonly Code[]): Code {
  return [...operands.flat(), ...bytes];
}

/** A load or store: address, then the value to store or the vector whose lane is replaced. */
export function access(
  { bytes, offset, lane }: { bytes: Code; offset: number; lane?: number },
  ...operands: readonly Code[]
): Code {
  // Alignment is a hint; 0 promises nothing.
  const immediate = [0, ...unsigned(offset), ...(lane === undefined ? [] : [lane])];
  return [...operands.flat(), ...bytes, ...immediate];
}

/** Does the code again and again until stopped by a branch out of it: depth 1 from within. */
export function loop(...code: readonly Code[]): Code {
  return [0x02, 0x40, 0x03, 0x40, ...code.flat(), 0x0c, 0, 0x0b, 0x0b];
}

/** Goes on behind the block or loop of this depth (0 the innermost; a loop counts as two). */
export function branchIf(depth: number, condition: Code): Code {
  return [...condition, 0x0d, ...unsigned(depth)];
}

/** Does the code where the condition is not 0. */
export function when(condition: Code, ...code: readonly Code[]): Code {
  return [...condition, 0x04, 0x40, ...code.flat(), 0x0b];
}

/** Ends the function; its result, if it has one, before. */
export function end(result: Code = []): Code {
  return [...result, 0x0f];
}

/** Does the code for counter, counter + step and so on while it is below the limit (unsigned). */
export function countUp(
  { counter, limit, step = 1 }: { counter: Local; limit: Code; step?: number },
  ...code: readonly Code[]
): Code {
  return loop(
    branchIf(1, instruction([0x4f], counter.get, limit)),
    ...code,
    counter.set(instruction([0x6a], counter.get, i32Constant(step))),
  );
}

/** A whole number of 32 bits. */
export function i32Constant(value: number): Code {
  return [0x41, ...signed(BigInt(value))];
}

/** A whole number of 64 bits. */
export function i64Constant(value: bigint): Code {
  return [0x42, ...signed(BigInt.asIntN(64, value))];
}

/** Numbers in base 128, the lowest digit first. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

function signed(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest < -64n || rest > 63n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest & 0x7fn)];
}

function local(index: number): Local {
  return {
    get: [0x20, ...unsigned(index)],
    set: (value) => [...value, 0x21, ...unsigned(index)],
    tee: (value) => [...value, 0x22, ...unsigned(index)],
  };
}

function typeOf(type: ValueType): number[] {
  return [VALUE_TYPES[type]];
}

function text(value: string): number[] {
  return [...unsigned(value.length), ...Buffer.from(value)];
}

function list(items: readonly Code[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function section(id: number, content: readonly number[]): number[] {
  return [id, ...unsigned(content.length), ...content];
}
