// Two functions in WebAssembly that ffjavascript lacks, for many multiples of one and the same
// point: a table of its multiples, and sums of entries of the table. They are added to its module,
// so that they run in its threads on its arithmetic.

import type { CodeBuilder, ModuleBuilder } from "ffjavascript";

/** Bytes of a coordinate of G1 and G2. */
const GROUPS = [
  { prefix: "g1m", coordinateBytes: 32 },
  { prefix: "g2m", coordinateBytes: 64 },
] as const;

/** Name of the function that fills a table: (base, count, out). */
export function tableFunction(prefix: string): string {
  return `${prefix}_fixedBaseTable`;
}

/** Name of the function that adds entries up: (table, windowBytes, digits, windows, count, out). */
export function sumFunction(prefix: string): string {
  return `${prefix}_fixedBaseSum`;
}

/** Adds the functions to the module, for both groups. */
export function addFixedBase(module: ModuleBuilder): void {
  for (const { prefix, coordinateBytes } of GROUPS) {
    addTable(module, prefix, coordinateBytes);
    addSum(module, prefix, coordinateBytes);
  }
}

/** out[i] = i * base for i from 0 to count - 1; base affine, out Jacobian. */
function addTable(module: ModuleBuilder, prefix: string, coordinateBytes: number): void {
  const made = module.addFunction(tableFunction(prefix));
  for (const name of ["base", "count", "out"]) made.addParam(name, "i32");
  made.addLocal("i", "i32");
  made.addLocal("next", "i32");
  const c = made.getCodeBuilder();
  made.addCode(
    c.call(`${prefix}_zero`, c.getLocal("out")),
    c.setLocal("i", c.i32_const(1)),
    repeat(c, "i", "count", [
      c.setLocal("next", c.i32_add(c.getLocal("out"), c.i32_const(3 * coordinateBytes))),
      c.call(`${prefix}_addMixed`, c.getLocal("out"), c.getLocal("base"), c.getLocal("next")),
      c.setLocal("out", c.getLocal("next")),
    ]),
  );
  module.exportFunction(tableFunction(prefix));
}

/**
 * out[i] = sum over w of table[w][digits[i][w]]; a digit is 16 bits, and one that is 0 adds nothing.
 * Table affine, out Jacobian.
 */
function addSum(module: ModuleBuilder, prefix: string, coordinateBytes: number): void {
  const made = module.addFunction(sumFunction(prefix));
  const parameters = ["table", "windowBytes", "digits", "windows", "count", "out"];
  for (const name of parameters) made.addParam(name, "i32");
  for (const name of ["i", "w", "digit", "window"]) made.addLocal(name, "i32");
  const c = made.getCodeBuilder();
  const entry = c.i32_add(
    c.getLocal("window"),
    c.i32_mul(c.getLocal("digit"), c.i32_const(2 * coordinateBytes)),
  );
  made.addCode(
    c.setLocal("i", c.i32_const(0)),
    repeat(c, "i", "count", [
      c.call(`${prefix}_zero`, c.getLocal("out")),
      c.setLocal("window", c.getLocal("table")),
      c.setLocal("w", c.i32_const(0)),
      repeat(c, "w", "windows", [
        c.setLocal("digit", c.i32_load16_u(c.getLocal("digits"))),
        c.if(
          c.getLocal("digit"),
          c.call(`${prefix}_addMixed`, c.getLocal("out"), entry, c.getLocal("out")),
        ),
        c.setLocal("digits", c.i32_add(c.getLocal("digits"), c.i32_const(2))),
        c.setLocal("window", c.i32_add(c.getLocal("window"), c.getLocal("windowBytes"))),
      ]),
      c.setLocal("out", c.i32_add(c.getLocal("out"), c.i32_const(3 * coordinateBytes))),
    ]),
  );
  module.exportFunction(sumFunction(prefix));
}

/** Does the body until the local equals the other, adding 1 to it each time. */
function repeat(
  c: CodeBuilder,
  counter: string,
  end: string,
  body: readonly (readonly number[])[],
): readonly number[] {
  return c.block(
    c.loop(
      c.br_if(1, c.i32_eq(c.getLocal(counter), c.getLocal(end))),
      ...body,
      c.setLocal(counter, c.i32_add(c.getLocal(counter), c.i32_const(1))),
      c.br(0),
    ),
  );
}
