// Evaluates a row and does not dispose the workshop: a program that does so must end by itself.
// Argument: the source of the circuit as JSON.

import { openWorkshop } from "../workshop.ts";

const workshop = openWorkshop({ memoryBytesMax: 1024 ** 3, compileTimeoutMs: 60_000 });
const source = JSON.parse(process.argv[2] ?? "null");
const [values] = await workshop.evaluate(source, [{ tensors: [Float64Array.of(1, 2, 3, 4)] }]);
console.log(`${workshop.evaluatingId} ${values?.length}`);
