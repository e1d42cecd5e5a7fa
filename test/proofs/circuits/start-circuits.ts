// For tests: the service of circuits on real stores, a real workshop, a real prover and a real RPC
// server, over a folder and a registry. In the process of a test, or in one of its own that dies.

import { join } from "node:path";
import { CircuitService } from "../../../gen/plinth/proofs/v1/circuit_service_pb.js";
import { anonymous, type Principal } from "../../../services/common/auth/principal.ts";
import { openBlobStore } from "../../../services/common/blobs/open.ts";
import { type Clock, systemClock } from "../../../services/common/clock.ts";
import { parseSettings } from "../../../services/common/config.ts";
import { openSqliteStore } from "../../../services/common/documents/sqlite.ts";
import { Channel } from "../../../services/common/rpc/client.ts";
import { bindService } from "../../../services/common/rpc/context.ts";
import { startRpcServer } from "../../../services/common/rpc/server.ts";
import { createLogger } from "../../../services/common/telemetry/log.ts";
import { ceremonyHandlers } from "../../../services/proofs/ceremony/ceremony-handlers.ts";
import { ceremony } from "../../../services/proofs/ceremony/close-ceremony.ts";
import { PowersOfTauStore } from "../../../services/proofs/ceremony/powers-of-tau-store.ts";
import { BlobClaims } from "../../../services/proofs/circuits/blob-claims.ts";
import { CircuitFiles } from "../../../services/proofs/circuits/circuit-files.ts";
import { circuitHandlers } from "../../../services/proofs/circuits/circuit-handlers.ts";
import { CircuitMaker } from "../../../services/proofs/circuits/circuit-maker.ts";
import { CircuitStore } from "../../../services/proofs/circuits/circuit-store.ts";
import type { CircuitDeps } from "../../../services/proofs/circuits/deps.ts";
import { CircuitReports } from "../../../services/proofs/circuits/report-circuits.ts";
import { type ProofsConfig, proofsSettings } from "../../../services/proofs/config.ts";
import { createEvents, type ProofsEvents } from "../../../services/proofs/events.ts";
import { openBuiltinProver } from "../../../services/proofs/prover/builtin-driver.ts";
import type { Prover } from "../../../services/proofs/prover/prover-port.ts";
import { openWorkshop } from "../../../services/proofs/workshop/workshop.ts";
import type { Workshop } from "../../../services/proofs/workshop/workshop-port.ts";

export interface StartOptions {
  /** Holds the store, the blobs and what is on its way. */
  readonly folder: string;
  /** Asked at the first call. */
  readonly registryAddress: () => string;
  readonly config?: Partial<ProofsConfig>;
  readonly clock?: Clock;
  readonly principal?: Principal;
  /** Change what these do. */
  readonly prover?: (prover: Prover) => Prover;
  readonly workshop?: (workshop: Workshop) => Workshop;
  readonly newestProof?: CircuitDeps["newestProof"];
  readonly waitingRows?: CircuitDeps["waitingRows"];
  /** Told of failures in the background. */
  readonly failed?: ProofsEvents["backgroundFailed"];
  /** How often reports look at everything again. */
  readonly recheckMs?: number;
  /** False: nothing is made. */
  readonly isMaking?: boolean;
}

export interface StartedCircuits extends CircuitDeps, AsyncDisposable {
  readonly address: string;
  readonly claims: BlobClaims;
  readonly maker: CircuitMaker;
  readonly reports: CircuitReports;
}

/** The service of circuits, making and reporting. */
export async function startCircuits(options: StartOptions): Promise<StartedCircuits> {
  const { folder, clock = systemClock } = options;
  await using stack = new AsyncDisposableStack();
  const documents = stack.use(await openSqliteStore({ path: join(folder, "store.db"), clock }));
  const blobs = stack.use(await openBlobStore(`file:${join(folder, "blobs")}`));
  const registry = stack.use(new Channel({ address: options.registryAddress, timeoutMs: 2000 }));
  const workshop = stack.use(
    openWorkshop({ memoryBytesMax: 2 ** 31, compileTimeoutMs: 120_000, idleMs: 1000 }),
  );
  const prover = stack.use(openBuiltinProver({ threads: 2 }));
  const claims = await BlobClaims.open(documents, clock);
  const events = createEvents(createLogger({ service: "proofs", level: "off" }));
  const ptaus = await PowersOfTauStore.open(documents, { blobs, clock });
  const circuits = await CircuitStore.open(documents, { clock });
  const files = new CircuitFiles({ blobs, claims, scratchDir: join(folder, "scratch") });
  const deps = {
    config: {
      ...parseSettings({ PLINTH_PROOFS_JOB_POLL: "200ms" }, proofsSettings),
      ...options.config,
    },
    clock,
    events: { ...events, backgroundFailed: options.failed ?? (() => {}) },
    blobs,
    claims,
    circuits,
    files,
    workshop: options.workshop?.(workshop) ?? workshop,
    prover: options.prover?.(prover) ?? prover,
    ptaus,
    powersOfTau: ptaus,
    ceremony: ceremony({ files, prover, ptaus }),
    newestProof: options.newestProof ?? (async () => undefined),
    waitingRows: options.waitingRows ?? (() => 0),
    registry,
  };
  const maker = stack.use(new CircuitMaker({ ...deps, backoffFirstMs: 10 }));
  const reports = stack.use(
    await CircuitReports.open({
      ...deps,
      documents,
      retryMs: [20],
      recheckMs: options.recheckMs ?? 200,
    }),
  );
  const stopping = new AbortController();
  const handlers = { ...circuitHandlers(deps, stopping.signal), ...ceremonyHandlers(deps) };
  const server = stack.use(
    await startRpcServer({
      host: "127.0.0.1",
      port: 0,
      bindings: [bindService(CircuitService, handlers)],
      authenticate: () => options.principal ?? anonymous,
    }),
  );
  if (options.isMaking !== false) {
    maker.start();
  }
  reports.start();
  stack.defer(() => stopping.abort());
  const owned = stack.move();
  return {
    ...deps,
    maker,
    reports,
    address: server.address,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A prover or workshop that does something before a task of this kind begins. */
export function beforeTask<T extends object>(
  of: T,
  task: keyof T,
  then: () => void | Promise<void>,
): T {
  return new Proxy(of, {
    get(target, property) {
      const value = Reflect.get(target, property, target);
      if (typeof value !== "function") return value;
      if (property !== task) return value.bind(target);
      return async (...all: readonly unknown[]) => {
        await then();
        return await value.apply(target, all);
      };
    },
  });
}
