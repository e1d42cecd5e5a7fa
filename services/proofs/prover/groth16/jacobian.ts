// Doubling in Jacobian coordinates (x = X / Z^2, y = Y / Z^3), which needs no division: the formula
// "dbl-2009-l" of the Explicit-Formulas Database for curves y^2 = x^3 + b.

import type { CoordinateArithmetic } from "./curve-instance.ts";

/** Doubles the point at x, y, z, which is not the zero point; a to d are room. All are addresses. */
export function doublePoint(
  field: CoordinateArithmetic,
  [x, y, z]: readonly [number, number, number],
  [a, b, c, d]: readonly [number, number, number, number],
): void {
  field.square(a, x);
  field.square(b, y);
  field.square(c, b);
  // d = 2 ((x + b)^2 - a - c)
  field.add(d, x, b);
  field.square(d, d);
  field.subtract(d, d, a);
  field.subtract(d, d, c);
  field.add(d, d, d);
  // z = 2 y z
  field.multiply(z, y, z);
  field.add(z, z, z);
  // a = 3 a
  field.add(b, a, a);
  field.add(a, b, a);
  // x = a^2 - 2 d, y = a (d - x) - 8 c
  field.square(x, a);
  field.subtract(x, x, d);
  field.subtract(x, x, d);
  field.subtract(d, d, x);
  field.multiply(y, a, d);
  for (let i = 0; i < 3; i += 1) field.add(c, c, c);
  field.subtract(y, y, c);
}
