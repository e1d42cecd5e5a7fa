// A process that proves on a folder until it is killed, for tests. Argument: the folder. Prints
// "proving" once it does.

import { startProving } from "./use-proving.ts";

const rig = await startProving({ folder: process.argv[2] ?? "" });
rig.proving.start();
console.log("proving");
