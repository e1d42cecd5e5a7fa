// For tests: the service of circuits in a process of its own, which kills itself when it is about to
// make a key. Arguments: the folder of its state, the registry's address. Prints its own.

import { beforeTask, startCircuits } from "./start-circuits.ts";

const [folder = "", registryAddress = ""] = process.argv.slice(2);
const circuits = await startCircuits({
  folder,
  registryAddress: () => registryAddress,
  config: { jobLeaseMs: 1000 },
  prover: (prover) =>
    beforeTask(prover, "devSetup", () => void process.kill(process.pid, "SIGKILL")),
});
console.log(circuits.address);
