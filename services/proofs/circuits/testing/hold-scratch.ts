// For tests: a process with a folder of work, with something private in it, until it is killed.
// Argument: the scratch folder. Prints the path of its own.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeScratch } from "../scratch-folders.ts";

const { path } = await makeScratch(process.argv[2] ?? "", "prove");
writeFileSync(join(path, "row-0.wtns"), "private");
console.log(path);
setInterval(() => {}, 60_000);
