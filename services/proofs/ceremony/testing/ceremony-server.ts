// For tests: ceremonies in a process of its own, which kills itself once a task of the prover is
// done and nobody has heard of it. Arguments: the folder of its state, the kind of task. Prints its
// address.

import { afterTask, startCeremonies } from "./start-ceremonies.ts";

const [folder = "", task = ""] = process.argv.slice(2);
const ceremonies = await startCeremonies({
  folder,
  prover: (prover) =>
    afterTask(prover, task as Parameters<typeof afterTask>[1], () => {
      process.kill(process.pid, "SIGKILL");
    }),
});
console.log(ceremonies.address);
