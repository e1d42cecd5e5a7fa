// `plinth up` and `plinth serve`: their options and help. The mesh itself is services/mesh,
// imported when one of them runs. An option that is not given stays absent: then the environment
// decides.

import type { Command } from "commander";
import type { ServeOptions, UpOptions } from "../mesh/run.ts";
import type { Definitions } from "../mesh/seed-features.ts";
import { examples, type GlobalOptions, type Runtime, wholeNumber } from "./command.ts";
import type { ExitCode } from "./exit-codes.ts";

type ServiceName = "registry" | "features" | "monitoring" | "proofs" | "inference" | "gateway";

const SERVICES: readonly ServiceName[] = [
  "registry",
  "features",
  "monitoring",
  "proofs",
  "inference",
  "gateway",
];

const PORT_MAX = 65_535;

/** Adds `plinth up` and `plinth serve`. */
export function serverCommands(program: Command, runtime: Runtime): void {
  upCommand(program, runtime);
  serveCommand(program, runtime);
}

function upCommand(program: Command, runtime: Runtime): void {
  const port = wholeNumber(0, PORT_MAX);
  const up = program
    .command("up")
    .summary("start the whole mesh in this process")
    .description(
      "Start registry, features, monitoring, proofs, inference and gateway in this process; Ctrl-C " +
        "stops them cleanly. " +
        "Further settings come from PLINTH_ variables; options win over them.",
    )
    .option("--store <uri>", "sqlite (default), sqlite:<file> or mongodb://host/database")
    .option("--data-dir <folder>", "embedded store and model files (default .plinth)")
    .option("--host <address>", "address to listen on (default 127.0.0.1; others need an API key)")
    .option("--grpc-port <port>", "gRPC (default 50051; 0 picks a free one)", port)
    .option("--web-port <port>", "Connect, REST, /metrics (default 8080; 0 picks a free one)", port)
    .option("--no-examples", "do not register the examples in an empty data folder");
  examples(up, [
    ["Everything on this machine", "plinth up"],
    ["On MongoDB", "plinth up --store mongodb://127.0.0.1:27017/plinth"],
    [
      "For the network: first make a key",
      "plinth keys create --role admin --all-workspaces --data-dir .plinth",
    ],
    ["then listen everywhere", "plinth up --host 0.0.0.0"],
  ]);
  up.action(async (flags: Omit<UpOptions, keyof Shared | "readDefinitions">) => {
    const { runUp } = await import("../mesh/run.ts");
    const options = { ...flags, ...shared(up), readDefinitions: definitionsOf };
    runtime.exitCode = (await runUp(options)) as ExitCode;
  });
}

function serveCommand(program: Command, runtime: Runtime): void {
  const serve = program
    .command("serve")
    .summary("start one service by itself")
    .description(
      "Start one service by itself, to run many of it. Services of one mesh share PLINTH_MESH_SECRET; " +
        "further settings come from PLINTH_ variables; options win over them.",
    )
    .option("--listen <host:port>", "address to listen on")
    .option("--store <uri>", "sqlite, sqlite:<file> or mongodb://host/database")
    .option("--data-dir <folder>", "embedded store and model files")
    .option("--registry <host:port>", "all others: where the registry is")
    .option(
      "--features <host:port>",
      "monitoring, inference, gateway: where the features service is",
    )
    .option("--monitoring <host:port>", "inference, gateway: where the monitoring service is")
    .option("--proofs <host:port>", "inference, gateway: where the proofs service is")
    .option("--inference <host:port>", "gateway: where the inference servers are");
  serve.addArgument(serve.createArgument("<service>", "which one").choices([...SERVICES]));
  examples(serve, [
    [
      "A registry",
      "plinth serve registry --listen 127.0.0.1:50051 --store mongodb://127.0.0.1/plinth",
    ],
    [
      "An inference server",
      "plinth serve inference --listen 127.0.0.1:50061 --registry 127.0.0.1:50051",
    ],
    [
      "A gateway",
      "plinth serve gateway --listen 127.0.0.1:8080 --registry 127.0.0.1:50051 " +
        "--inference 127.0.0.1:50061",
    ],
  ]);
  serve.action(async (service: ServiceName, flags: Omit<ServeOptions, keyof Shared>) => {
    const { runServe } = await import("../mesh/run.ts");
    runtime.exitCode = (await runServe(service, { ...flags, ...shared(serve) })) as ExitCode;
  });
}

/** The parser is imported when there is something to read. */
async function definitionsOf(path: string): Promise<Definitions> {
  const { readDefinitions } = await import("./features-lists.ts");
  return readDefinitions(path);
}

interface Shared {
  readonly json: boolean;
  readonly quiet: boolean;
}

function shared(command: Command): Shared {
  const { json = false, quiet = false } = command.optsWithGlobals<GlobalOptions>();
  return { json, quiet };
}
