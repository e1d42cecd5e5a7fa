// For tests: the handlers of ceremonies on real stores, a real prover and a real RPC server, in a
// folder. In the process of a test, or in one of its own that is killed.

import { join } from "node:path";
import { CircuitService } from "../../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { anonymous, type Principal } from "../../../common/auth/principal.ts";
import { openBlobStore } from "../../../common/blobs/open.ts";
import { parseSettings } from "../../../common/config.ts";
import { openSqliteStore } from "../../../common/documents/sqlite.ts";
import { bindService, type ServiceHandlers } from "../../../common/rpc/context.ts";
import { startRpcServer } from "../../../common/rpc/server.ts";
import { createLogger } from "../../../common/telemetry/log.ts";
import { FakeClock } from "../../../common/testing/fake-clock.ts";
import { CircuitFiles } from "../../circuits/circuit-files.ts";
import { CircuitStore } from "../../circuits/circuit-store.ts";
import { type ProofsConfig, proofsSettings } from "../../config.ts";
import { createEvents } from "../../events.ts";
import { openBuiltinProver } from "../../prover/builtin-driver.ts";
import type { Prover } from "../../prover/prover-port.ts";
import type { CeremonyDeps } from "../ceremony-deps.ts";
import { ceremonyHandlers } from "../ceremony-handlers.ts";
import { PowersOfTauStore } from "../powers-of-tau-store.ts";

export interface StartOptions {
  /** Holds the store, the blobs and what is on its way. */
  readonly folder: string;
  readonly config?: Partial<ProofsConfig>;
  readonly principal?: Principal;
  /** Changes what the prover does. */
  readonly prover?: (prover: Prover) => Prover;
  /** Where blobs are kept; absent: in the folder. */
  readonly blobsFolder?: string;
}

export interface StartedCeremonies extends CeremonyDeps, AsyncDisposable {
  readonly clock: FakeClock;
  readonly address: string;
}

/** Everything that ceremonies need. */
export async function startCeremonies(options: StartOptions): Promise<StartedCeremonies> {
  const { folder, blobsFolder = join(folder, "blobs") } = options;
  await using stack = new AsyncDisposableStack();
  const clock = new FakeClock();
  const path = join(folder, "store.db");
  const documents = stack.use(await openSqliteStore({ path, clock }));
  const blobs = stack.use(await openBlobStore(`file:${blobsFolder}`));
  const opened = stack.use(openBuiltinProver());
  const deps = {
    config: { ...parseSettings({}, proofsSettings), ...options.config },
    blobs,
    clock,
    events: createEvents(createLogger({ service: "proofs", level: "off" })),
    circuits: await CircuitStore.open(documents, { clock }),
    files: new CircuitFiles({ blobs, scratchDir: join(folder, "scratch") }),
    prover: options.prover?.(opened) ?? opened,
    ptaus: await PowersOfTauStore.open(documents, { blobs, clock }),
  };
  // The other methods are not called here.
  const handlers = ceremonyHandlers(deps) as ServiceHandlers<typeof CircuitService>;
  const server = stack.use(
    await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      bindings: [bindService(CircuitService, handlers)],
      authenticate: () => options.principal ?? anonymous,
    }),
  );
  const owned = stack.move();
  return {
    ...deps,
    address: server.address,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A prover that does something once a task of this kind is done, before anybody hears of it. */
export function afterTask(
  prover: Prover,
  task: "importContribution" | "importPtau",
  then: () => void | Promise<void>,
): Prover {
  return new Proxy(prover, {
    get(target, property) {
      const value = Reflect.get(target, property, target);
      if (property !== task) return typeof value === "function" ? value.bind(target) : value;
      return async (...all: readonly unknown[]) => {
        const result = await value.apply(target, all);
        await then();
        return result;
      };
    },
  });
}
