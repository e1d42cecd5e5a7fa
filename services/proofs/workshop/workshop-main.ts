// The main module of the workshop's processes: of one that compiles a model and ends, and of the one
// that evaluates rows. Its argument: bytes of circuits that are kept loaded.

import { serveTasks } from "../process/serve-tasks.ts";
import { compileFiles } from "./compile-task.ts";
import { LoadedCircuits } from "./loaded-circuits.ts";
import { evaluateRows, writeRowWitness } from "./row-tasks.ts";
import type { WorkshopTasks } from "./workshop-tasks.ts";

const loaded = new LoadedCircuits(Number(process.argv[2]) || 0);

serveTasks<WorkshopTasks>({
  compile: compileFiles,
  evaluate: (input, progress) => evaluateRows(loaded, input, progress),
  witness: (input, progress) => writeRowWitness(loaded, input, progress),
});
